"""A submission's answers, read from its raw JSON with everything about it doubted."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmcourse.grading.release import stub
from mmcourse.grading.rules import MAX_PARSED
from mmcourse.grading.sheet import MARKER, Sheet

MAX_FILE = 20 * 2**20
MAX_CELLS = 2000
MAX_SOURCE = 2**20


class Unreadable(ValueError):
    """A submission that is not a notebook; the message is one line for its author."""


@dataclass(frozen=True)
class Piece:
    """One cell of the learner's: an answer (or part of one), or a helper if exercise is empty."""

    label: str
    source: str
    exercise: str = ""


@dataclass
class Answers:
    """What was found in a submission, in document order."""

    pieces: list[Piece] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, exercise: str) -> list[Piece]:
        """The pieces of one answer."""
        return [piece for piece in self.pieces if piece.exercise == exercise]


def read_bytes(path: Path) -> bytes:
    """A regular file's bytes: no links, devices, pipes or giants.

    Raises:
        Unreadable: the file is something else.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise Unreadable(f"cannot be opened ({error.strerror})") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not a regular file")
        if status.st_size > MAX_FILE:
            raise Unreadable(f"larger than {MAX_FILE // 2**20} MiB")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_FILE)
    finally:
        os.close(handle)


def read_cells(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Notebook metadata and code cells of raw notebook bytes.

    Raises:
        Unreadable: the bytes are not a version-4 notebook.
    """
    if not data.strip():
        raise Unreadable("the file is empty")
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError, MemoryError):
        raise Unreadable("not a notebook (the file is not JSON)") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise Unreadable("not a notebook of format 4 (it has no list of cells)")
    if len(cells) > MAX_CELLS:
        raise Unreadable(f"more than {MAX_CELLS} cells")
    metadata = notebook.get("metadata")
    code = [c for c in cells if isinstance(c, dict) and c.get("cell_type") == "code"]
    return metadata if isinstance(metadata, dict) else {}, code


def digest(data: bytes) -> str:
    """The sha256 of a submission."""
    return hashlib.sha256(data).hexdigest()


def assignment_of(metadata: dict[str, Any]) -> str:
    """The sheet that a notebook says it belongs to, or an empty string."""
    about = metadata.get("mmcourse")
    name = about.get("assignment") if isinstance(about, dict) else None
    return name if isinstance(name, str) and re.fullmatch(r"[\w-]{1,80}", name) else ""


def extract(sheet: Sheet, cells: list[dict[str, Any]]) -> Answers:
    """Finds the answers of a sheet among raw code cells."""
    found = Answers()
    for number, raw in enumerate(cells, start=1):
        source = _source(raw)
        if not source.strip():
            continue
        if len(source) > MAX_SOURCE:
            found.notes.append(f"code cell {number} is longer than a million characters: left out")
            continue
        piece = _piece(sheet, raw, source, number)
        if piece is not None:
            found.pieces.append(piece)
    _drop_stubs(sheet, found)
    for key in sheet.answers:
        if len(found.of(key)) > 1:
            found.notes.append(f"{key}: {len(found.of(key))} cells, run in document order")
        elif not found.of(key):
            found.notes.append(f"{key}: no answer cell was found")
    return found


def _source(raw: dict[str, Any]) -> str:
    source = raw.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else ""


def _piece(sheet: Sheet, raw: dict[str, Any], source: str, number: int) -> Piece | None:
    """The piece a cell is, or None for the instructor's own cells (they are rebuilt)."""
    keys = [str(key) for key in _claims(raw)]
    for key in [*keys, *_markers(source)]:
        if key in sheet.answers:
            return Piece(f"{key} (code cell {number})", source, key)
    known = {cell.key: cell for cell in sheet.cells if cell.kind == "code"}
    ids = {cell.key.replace(".", "-"): cell for cell in known.values()}
    for key in keys:
        cell = known.get(key) or ids.get(key)
        if cell is not None and cell.role == "check":
            return None
        if cell is not None and cell.role == "setup":
            same = source.strip() == cell.source.strip()
            return None if same else Piece(f"changed {cell.key} (code cell {number})", source)
    if re.match(r"\s*with check\(", source):
        return None
    return Piece(f"code cell {number}", source, _by_name(sheet, source))


def _markers(source: str) -> list[str]:
    """Answers that a cell's marker lines name; line by line, as blank space may be endless."""
    found = (MARKER.match(line) for line in source.splitlines())
    return [match[1] for match in found if match]


def _claims(raw: dict[str, Any]) -> Iterator[Any]:
    """What a cell says it is: metadata key, then cell id."""
    metadata = raw.get("metadata")
    about = metadata.get("mmcourse") if isinstance(metadata, dict) else None
    if isinstance(about, dict) and isinstance(about.get("key"), str):
        yield about["key"]
    if isinstance(raw.get("id"), str):
        yield raw["id"]


def _by_name(sheet: Sheet, source: str) -> str:
    """The answer whose name a cell defines, or an empty string; no parser is fed a giant."""
    if len(source) > MAX_PARSED:
        return ""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = {node.name for node in body if isinstance(node, kinds)}
    for key, cell in sheet.answers.items():
        if names & set(cell.meta["defines"]):
            return key
    return ""


def _drop_stubs(sheet: Sheet, found: Answers) -> None:
    """An untouched copy beside an answered one does not undo it."""
    for key, cell in sheet.answers.items():
        untouched = stub(cell.source).strip()
        stubs = [piece for piece in found.of(key) if piece.source.strip() == untouched]
        if stubs and len(stubs) < len(found.of(key)):
            found.pieces = [piece for piece in found.pieces if piece not in stubs]
            found.notes.append(f"{key}: an untouched copy of the answer cell was left out")
