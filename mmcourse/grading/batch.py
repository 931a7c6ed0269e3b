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
from mmcourse.grading.rebuild import secret
from mmcourse.grading.report import write_reports
from mmcourse.grading.sandbox import best_isolation
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
    """Grades every job, yields each result as it comes and writes the reports at the end."""
    settings = run.Settings(best_isolation(isolation), budget_s, secret())
    results: dict[str, dict[str, Any]] = {}
    pool = ThreadPoolExecutor(parallel)
    try:
        futures = {pool.submit(_graded, job, out, settings): job.name for job in todo}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    write_reports(out, [results[job.name] for job in todo])


def _graded(job: Job, out: Path, settings: run.Settings) -> dict[str, Any]:
    """One result: the kept one if nothing has changed, else a new one."""
    store = out / ".results" / f"{job.name}.json"
    state = _state(job, settings)
    kept = _kept(store, state)
    if kept is not None:
        return kept
    if job.sheet is None:
        return _without_sheet(job)
    result = run.grade(job.name, job.path, job.sheet, settings)
    if result["status"] != "grader_error":
        write_atomically(store, to_json({"state": state, "result": result}))
    return result


def _state(job: Job, settings: run.Settings) -> str:
    """What a result depends on: submission, sheet, grader, settings."""
    parts = [mmcourse.__version__, repr(settings.isolation), str(settings.budget_s)]
    files = [job.path, *([job.sheet.path] if job.sheet else [])]
    for path in files:
        try:
            parts.append(extract.digest(extract.read_bytes(path)))
        except extract.Unreadable as error:
            parts.append(str(error))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _kept(store: Path, state: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept["result"] if kept.get("state") == state else None


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
