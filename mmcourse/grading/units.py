"""Submissions packed for machines that this one does not reach, and their results taken back.

    FOLDER/units/0.json …      what `python -m mmcourse.grading.one` reads, wherever it runs
    FOLDER/results/0.json …    what it writes

The number is a job array's index, or a pod's. A unit that is packed again is the same, byte for
byte, so a result belongs to a submission exactly if the unit of its number does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mmcourse.grading import extract, one
from mmcourse.grading.collect import Job, failed
from mmcourse.grading.sheet import Sheet, write_atomically

if TYPE_CHECKING:
    from mmcourse.grading.batch import Plan


class Waiting(Exception):
    """Some units have no result yet; the message says what to run."""


def grade(folder: Path, todo: list[Job], plan: Plan, key: bytes) -> Iterator[dict[str, Any]]:
    """Yields the results that are there and packs what is missing.

    Raises:
        Waiting: at the end, if results are missing.
    """
    known = {
        file.read_text(encoding="utf-8"): int(file.stem)
        for file in (folder / "units").glob("*.json")
        if file.stem.isdigit()
    }
    missing = []
    for job in todo:
        try:
            text = pack(job, plan, key)
        except extract.Unreadable as error:  # it has changed since we looked
            yield failed(job, "", [str(error)])
            continue
        if text not in known:
            known[text] = max(known.values(), default=-1) + 1
            (folder / "results" / f"{known[text]}.json").unlink(missing_ok=True)
            write_atomically(folder / "units" / f"{known[text]}.json", text)
        result = _result(folder / "results" / f"{known[text]}.json", job)
        if result is None:
            missing.append(known[text])
        else:
            yield result
    if missing:
        (folder / "results").mkdir(parents=True, exist_ok=True)
        numbers = f"{min(missing)} to {max(missing)}" if len(missing) > 1 else str(missing[0])
        command = f"python -m mmcourse.grading.one {folder}/units/N.json {folder}/results/N.json"
        raise Waiting(f"{len(missing)} of {len(todo)} wait for `{command}`, N = {numbers}")


def pack(job: Job, plan: Plan, key: bytes) -> str:
    """The unit of a submission as text."""
    options: dict[str, Any] = {"isolation": plan.isolation, "budget_s": plan.budget_s}
    options |= {"unsafe": plan.unsafe, "key": key}
    unit = one.pack(job.name, job.path, cast(Sheet, job.sheet), **options)
    return json.dumps(unit, default=str) + "\n"


def _result(file: Path, job: Job) -> dict[str, Any] | None:
    """A result that was written for this submission; a failure of the grader's is none."""
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        about = result["submission"], result["sha256"], result["status"] != "grader_error"
    except (OSError, ValueError, KeyError, TypeError):
        return None
    wanted = job.name, extract.digest(extract.read_bytes(job.path)), True
    return result if about == wanted else None
