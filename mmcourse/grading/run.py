"""One submission from file to result: extract, rebuild, run nbval, compare two records."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmcourse.grading import extract, rebuild
from mmcourse.grading.nursery import Nursery
from mmcourse.grading.sandbox import Isolation
from mmcourse.grading.sheet import Sheet

SCHEMA = "mmcourse.result/1"
HIDDEN_FAILED = "this hidden check did not pass"
PLUGINS = ("nbval.plugin", "pytest_reportlog.plugin", "mmcourse.grading.nbval_ids")


@dataclass(frozen=True)
class Settings:
    """What is the same for every submission of a run."""

    isolation: Isolation
    budget_s: float
    key: bytes | dict[str, int]


def grade(
    name: str, path: Path, sheet: Sheet, settings: Settings, nursery: Nursery
) -> dict[str, Any]:
    """The result of one submission; never raises for anything a submission can hold."""
    start = time.monotonic()
    result = blank(name, sheet, settings.isolation.level)
    try:
        data = extract.read_bytes(path)
        result["sha256"] = extract.digest(data)
        metadata, cells = extract.read_cells(data)
    except extract.Unreadable as error:
        result["status"], result["notes"] = "unreadable", [str(error)]
        return result
    answers = extract.extract(sheet, cells)
    result["notes"] = answers.notes
    claimed = extract.assignment_of(metadata)
    if claimed and claimed != sheet.assignment:
        result["notes"].append(f"the notebook says it is {claimed}, graded as {sheet.assignment}")
    if not any(piece.exercise for piece in answers.pieces):
        result["status"] = "needs_manual"
        result["notes"].append("no answer of this sheet was found: look at it by hand")
        return result
    with tempfile.TemporaryDirectory(dir=nursery.folder) as folder, nursery.place() as place:
        job = Path(folder).resolve()
        isolation, budget = settings.isolation, settings.budget_s
        address, key = nursery.address, settings.key
        spec = rebuild.build(
            job, sheet, answers, result["sha256"], isolation, budget, key, address, place
        )
        problem = run_nbval(job, budget, nursery)
        merge(result, sheet, spec, _read_record(job), _passed_cells(job), problem)
        if result["infra"]:
            nursery.renew(place)
    result["wall_s"] = round(time.monotonic() - start, 2)
    return result


def empty(name: str) -> dict[str, Any]:
    """A result with nothing in it yet."""
    return {
        "schema": SCHEMA, "submission": name, "assignment": "", "version": "", "sha256": "",
        "title": "", "lesson": "", "graded_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "status": "graded", "isolation": "", "points": 0.0, "max_points": 0.0,
        "exercises": [], "checks": [], "notes": [], "cell_errors": {}, "restarts": 0,
        "output": "", "infra": [], "wall_s": 0.0,
    }  # fmt: skip


def blank(name: str, sheet: Sheet | None, level: str = "") -> dict[str, Any]:
    """An empty result for a sheet, if there is one, graded at a level."""
    return (
        empty(name)
        if sheet is None
        else empty(name)
        | {
            "assignment": sheet.assignment,
            "version": sheet.version,
            "title": sheet.title,
            "lesson": sheet.lesson,
            "isolation": level,
            "max_points": sum(cell.points for cell in sheet.role("check")),
        }
    )


def run_nbval(job: Path, budget_s: float, nursery: Nursery) -> str:
    """Runs the judge's notebook; returns what went wrong with the run itself, if anything."""
    arguments = ["-q", "-c", str(job / "pytest.ini"), "--rootdir", str(job), "--noconftest"]
    arguments += ["-p", "no:cacheprovider", "--color=no", "--continue-on-collection-errors"]
    arguments += [part for plugin in PLUGINS for part in ("-p", plugin)]
    arguments += ["--nbval-lax", "--nbval-kernel-name", rebuild.KERNEL_NAME]
    arguments += ["--nbval-cell-timeout", str(12 * budget_s + 180)]
    arguments += ["--report-log", str(job / "report.jsonl"), str(job / "judge.ipynb")]
    try:
        code = nursery.pytest(arguments, job, _environment(job), 15 * budget_s + 300)
    except TimeoutError:
        return "the judge did not finish"
    except OSError as error:
        return f"the judge could not be started ({error})"
    if code not in (0, 1):
        log = job / "pytest.log"
        tail = log.read_text(errors="replace")[-500:] if log.exists() else ""
        return f"pytest ended with {code}: {tail}"
    return ""


def _environment(job: Path) -> dict[str, str]:
    return {
        "JUPYTER_PATH": str(job / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(job / "config"),
        "JUPYTER_RUNTIME_DIR": str(job / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": str(job / "ipython"),
        "TMPDIR": str(job),
    }


def _read_record(job: Path) -> dict[str, Any]:
    try:
        return json.loads((job / "record.json").read_text())
    except (OSError, ValueError):
        return {"checks": {}, "infra": ["the judge left no record"]}


def _passed_cells(job: Path) -> set[str]:
    """Ids of the cells that nbval passed: outcome `passed`, and not an expected failure."""
    passed: set[str] = set()
    try:
        lines = (job / "report.jsonl").read_text().splitlines()
    except OSError:
        return passed
    for line in lines:
        report = json.loads(line)
        good = report.get("when") == "call" and report.get("outcome") == "passed"
        if good and "wasxfail" not in report:
            passed |= {value for name, value in report["user_properties"] if name == "cell_id"}
    return passed


def merge(
    result: dict[str, Any],
    sheet: Sheet,
    spec: dict[str, Any],
    record: dict[str, Any],
    passed: set[str],
    problem: str,
) -> None:
    """Points where nbval and the judge's own record agree; anything else is the grader's fault."""
    infra = [*record.get("infra", []), *([problem] if problem else [])]
    trusted = ["judge-start", "judge-end", *(c.key.replace(".", "-") for c in sheet.role("setup"))]
    infra += [f"the judge's cell {name} did not pass" for name in trusted if name not in passed]
    for key, cell in sheet.checks.items():
        own = record["checks"].get(key)
        agreed = own is not None and (own["status"] == "pass") == (key.replace(".", "-") in passed)
        if not agreed:
            infra.append(f"{key}: nbval and the judge's record disagree")
        own = own or {"status": "not_run", "message": "", "seconds": 0.0}
        won = cell.points if agreed and own["status"] == "pass" else 0.0
        seed = own.get("seed", spec["checks"][key]["seed"])
        result["checks"].append(_check_row(cell, own, won, seed))
    result["exercises"] = [_exercise_row(sheet, key, result["checks"]) for key in sheet.answers]
    for name in ("cell_errors", "restarts", "output"):
        result[name] = record.get(name, result[name])
    result["infra"] = infra
    result["points"] = sum(row["points"] for row in result["checks"])
    if infra:
        result["status"] = "grader_error"


def _check_row(cell: Any, own: dict[str, Any], won: float, seed: int) -> dict[str, Any]:
    message = own["message"]
    if cell.hidden and own["status"] == "fail":
        message = own.get("public") or HIDDEN_FAILED
    return {
        "id": cell.key, "exercise": cell.exercise, "title": cell.title, "hidden": cell.hidden,
        "points": won, "max_points": cell.points, "status": own["status"], "message": message,
        "seconds": own["seconds"], "seed": seed,
    }  # fmt: skip


def _exercise_row(sheet: Sheet, key: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if row["exercise"] == key]
    points, most = (sum(row[name] for row in own) for name in ("points", "max_points"))
    return {"id": key, "title": sheet.question(key), "points": points, "max_points": most}
