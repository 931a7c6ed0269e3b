"""One submission as a file-to-file command: what a pod, a batch job or a Dask worker runs.

    python -m mmcourse.grading.one unit.json result.json

A unit holds all that its result depends on: the submission's bytes, the sheet's cells, the
settings, and the seeds of its checks. The secret that the seeds come from stays where the unit
was made. Exit status: 0 graded (or not gradable), 1 the grader failed, 2 not possible here.
"""

from __future__ import annotations

import atexit
import base64
import json
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mmcourse
from mmcourse.grading import extract, rebuild, run
from mmcourse.grading.nursery import Nursery
from mmcourse.grading.sandbox import Isolation, best_isolation
from mmcourse.grading.sheet import Cell, Sheet, to_json, write_atomically

SCHEMA = "mmcourse.unit/1"


class Unfit(ValueError):
    """This machine cannot grade a unit; another one may."""


def pack(
    name: str,
    path: Path,
    sheet: Sheet,
    *,
    isolation: str,
    budget_s: float,
    unsafe: bool,
    key: bytes,
) -> dict[str, Any]:
    """The unit of one submission.

    Args:
        isolation: `auto` or a level; found out where the unit is run.
        unsafe: whether the level `process` may be used, if there is no better one.
        key: the secret; only what it says of this submission goes into the unit.

    Raises:
        Unreadable: the file is not a regular one, or too large.
    """
    data = extract.read_bytes(path)
    digest = extract.digest(data)
    cells = [asdict(cell) for cell in sheet.cells]
    return {
        "schema": SCHEMA,
        "grader": mmcourse.__version__,
        "submission": name,
        "notebook": base64.b64encode(data).decode("ascii"),
        "sheet": {"assignment": sheet.assignment, "version": sheet.version, "cells": cells},
        "seeds": {check: rebuild.seed_of(key, digest, check) for check in sheet.checks},
        "isolation": isolation,
        "unsafe": unsafe,
        "budget_s": budget_s,
    }


def grade(unit: dict[str, Any], places: int = 1) -> dict[str, Any]:
    """The result of a unit; what it needs stays warm in this process for the next one.

    Args:
        places: how many units this process grades at the same time.

    Raises:
        Unfit: the grader here is another version, or has no sandbox that is good enough.
    """
    if (unit.get("schema"), unit.get("grader")) != (SCHEMA, mmcourse.__version__):
        raise Unfit(f"the grader here is {mmcourse.__version__}, the unit is of another version")
    try:
        isolation = best_isolation(unit["isolation"])
    except ValueError as error:
        raise Unfit(str(error)) from None
    if isolation.level == "process" and not unit["unsafe"]:
        raise Unfit("there is no sandbox here: install bubblewrap")
    about = unit["sheet"]
    cells = tuple(Cell(**cell) for cell in about["cells"])
    sheet = Sheet(Path(about["assignment"]), about["assignment"], about["version"], cells)
    settings = run.Settings(isolation, unit["budget_s"], unit["seeds"])
    with tempfile.TemporaryDirectory(prefix="mmcourse-unit-") as folder:
        path = Path(folder) / "submission.ipynb"
        path.write_bytes(base64.b64decode(unit["notebook"]))
        nursery = _nursery(isolation, places, sorted(sheet.modules))
        return run.grade(unit["submission"], path, sheet, settings, nursery)


def _nursery(isolation: Isolation, places: int, modules: list[str]) -> Nursery:
    """The nursery of this process: started when first needed, and again when it has ended."""
    with _starting:
        known = _nurseries.get(isolation)
        if known is not None and known.process.poll() is None:
            return known
        if known is not None:
            known.close()
        nursery = Nursery(isolation, places, modules)
        atexit.register(nursery.close)
        nursery.wait_ready()
        _nurseries[isolation] = nursery
        return nursery


_starting = threading.Lock()
_nurseries: dict[Isolation, Nursery] = {}


def main(arguments: list[str]) -> int:
    """Reads a unit, writes its result; the exit status says whether to try elsewhere."""
    if len(arguments) != 2:
        print("usage: python -m mmcourse.grading.one unit.json result.json", file=sys.stderr)
        return 2
    try:
        unit = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        result = grade(unit)
        write_atomically(Path(arguments[1]), to_json(result))
    except (Unfit, OSError, ValueError) as error:
        print(f"mmcourse: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 1 if result["status"] == "grader_error" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
