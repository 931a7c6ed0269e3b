"""Many submissions: found, matched with their sheets, graded side by side, resumed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcourse
from mmcourse.grading import extract, run
from mmcourse.grading.nursery import Nursery
from mmcourse.grading.rebuild import secret
from mmcourse.grading.report import write_reports
from mmcourse.grading.sandbox import Isolation, best_isolation
from mmcourse.grading.sheet import (
    Sheet,
    SheetError,
    read_sheet,
    repository,
    to_json,
    write_atomically,
)


@dataclass(frozen=True)
class Job:
    """One submission and the sheet it is graded with (None if it names none)."""

    name: str
    path: Path
    sheet: Sheet | None


def submissions(paths: list[Path]) -> dict[str, Path]:
    """Name → file for files and, in folders, every notebook.

    Raises:
        SheetError: a path does not exist, or nothing was found.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise SheetError(f"{path}: no such file or folder")
        inside = _notebooks(path) if path.is_dir() else [path]
        for file in inside:
            relative = file.relative_to(path) if path.is_dir() else Path(file.name)
            name = _name(str(relative.with_suffix("")))
            number = 2
            while name in found:
                name = f"{_name(str(relative.with_suffix('')))}-{number}"
                number += 1
            found[name] = file
    if not found:
        raise SheetError("no notebook was found in the folders given")
    return found


def _notebooks(folder: Path) -> list[Path]:
    every = folder.rglob("*.ipynb")
    return sorted(
        path
        for path in every
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _name(text: str) -> str:
    """A file name that is safe everywhere."""
    return re.sub(r"[^\w.-]+", "_", text.replace("/", "__")).lstrip(".-")[:120] or "submission"


def jobs(found: dict[str, Path], source: Path | None) -> list[Job]:
    """Matches submissions with sheets.

    Raises:
        SheetError: the source is no sheet, or no submission names a sheet of the course.
    """
    if source is not None:
        sheet = read_sheet(source)
        return [Job(name, path, sheet) for name, path in found.items()]
    known: dict[str, Sheet | None] = {"": None}
    matched = []
    for name, path in found.items():
        assignment = _assignment(path)
        if assignment not in known:
            file = repository() / "solutions" / f"{assignment}.md"
            known[assignment] = read_sheet(file) if file.is_file() else None
        matched.append(Job(name, path, known[assignment]))
    if all(job.sheet is None for job in matched):
        raise SheetError("no submission names a sheet of this course: give one with --source")
    return matched


def _assignment(path: Path) -> str:
    try:
        return extract.assignment_of(extract.read_cells(extract.read_bytes(path))[0])
    except extract.Unreadable:
        return ""


def grade_all(
    todo: list[Job], out: Path, *, parallel: int, isolation: str, budget_s: float
) -> Iterator[dict[str, Any]]:
    """Yields every result as it comes, kept ones first, and writes the reports at the end."""
    isolated = best_isolation(isolation)
    states = {job.name: _state(job, isolated, budget_s) for job in todo}
    results: dict[str, dict[str, Any]] = {}
    for job in todo:
        known = _kept(_store(out, job.name), states[job.name])
        if known is None and job.sheet is None:
            known = _without_sheet(job)
        if known is not None:
            results[job.name] = known
            yield known
    left = [job for job in todo if job.name not in results]
    for result in _grade_new(left, run.Settings(isolated, budget_s, secret()), parallel):
        name = result["submission"]
        if result["status"] != "grader_error":
            kept = {"state": states[name], "result": result}
            write_atomically(_store(out, name), to_json(kept))
        results[name] = result
        yield result
    write_reports(out, [results[job.name] for job in todo])


def _grade_new(todo: list[Job], settings: run.Settings, parallel: int) -> Iterator[dict[str, Any]]:
    """Grades side by side; the machinery is started only if there is something to do."""
    if not todo:
        return
    nursery, pool = Nursery(), ThreadPoolExecutor(parallel)
    try:
        nursery.wait_ready()
        futures = [pool.submit(_grade_one, job, settings, nursery) for job in todo]
        for future in as_completed(futures):
            yield future.result()
    finally:
        # Closed first: what still runs ends at once, and the pool with it.
        nursery.close()
        pool.shutdown(cancel_futures=True)


def _grade_one(job: Job, settings: run.Settings, nursery: Nursery) -> dict[str, Any]:
    if job.sheet is None:
        return _without_sheet(job)
    try:
        return run.grade(job.name, job.path, job.sheet, settings, nursery)
    except Exception as error:  # a full disk, say: never a zero
        blank = run.blank(job.name, job.sheet, settings)
        return blank | {"status": "grader_error", "infra": [f"{type(error).__name__}: {error}"]}


def _store(out: Path, name: str) -> Path:
    return out / ".results" / f"{name}.json"


def _state(job: Job, isolation: Isolation, budget_s: float) -> str:
    """What a result depends on: submission, sheet, grader, settings."""
    sheet = job.sheet
    cells = repr((sheet.assignment, sheet.version, sheet.cells)) if sheet else ""
    try:
        data = extract.digest(extract.read_bytes(job.path))
    except extract.Unreadable as error:
        data = str(error)
    parts = [mmcourse.__version__, repr(isolation), str(budget_s), cells, data]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _kept(store: Path, state: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return run.empty("") | kept["result"] if kept.get("state") == state else None


def _without_sheet(job: Job) -> dict[str, Any]:
    result = run.empty(job.name)
    try:
        data = extract.read_bytes(job.path)
        result["sha256"] = extract.digest(data)
        extract.read_cells(data)
    except extract.Unreadable as error:
        return result | {"status": "unreadable", "notes": [str(error)]}
    note = "the notebook names no sheet of this course: grade it with --source"
    return result | {"status": "needs_manual", "notes": [note]}
