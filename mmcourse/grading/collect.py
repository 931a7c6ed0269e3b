"""Submissions as they were handed in: found, named, matched with their sheets."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcourse.grading import extract, run
from mmcourse.grading.sheet import Sheet, SheetError, read_sheet, repository

NAME_BYTES = 150


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
    taken: set[str] = set()
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise SheetError(f"{path}: no such file or folder")
        inside = _notebooks(path) if path.is_dir() else [path]
        for file in inside:
            relative = file.relative_to(path) if path.is_dir() else Path(file.name)
            name = plain = _name(str(relative.with_suffix("")))
            number = 2
            while name.casefold() in taken:  # some file systems take A and a for one
                name, number = f"{plain}-{number}", number + 1
            taken.add(name.casefold())
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
    """A file name that is safe everywhere, and leaves room for what is put around it."""
    plain = unicodedata.normalize("NFC", text.replace("/", "__"))
    safe = re.sub(r"[^\w.-]+", "_", plain).lstrip(".-")
    return safe.encode()[:NAME_BYTES].decode(errors="ignore") or "submission"


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


def by_hand(job: Job) -> dict[str, Any] | None:
    """The result of what nothing needs to be run for: no file, or no sheet. Else None."""
    result = run.blank(job.name, job.sheet)
    try:
        data = extract.read_bytes(job.path)
        if job.sheet is not None:
            return None
        result["sha256"] = extract.digest(data)
        extract.read_cells(data)
    except extract.Unreadable as error:
        return result | {"status": "unreadable", "notes": [str(error)]}
    note = "the notebook names no sheet of this course: grade it with --source"
    return result | {"status": "needs_manual", "notes": [note]}


def failed(job: Job, level: str, problems: list[str]) -> dict[str, Any]:
    """The result of a submission that the grader could not grade: no mark."""
    return run.blank(job.name, job.sheet, level) | {"status": "grader_error", "infra": problems}
