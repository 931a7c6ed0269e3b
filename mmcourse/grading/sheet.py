"""An exercise sheet as its instructor wrote it: cells with roles, read and checked.

A cell's metadata stands under the key `mmcourse`:

| field | of | meaning |
| --- | --- | --- |
| role | every code cell | setup, answer, check, wrong (text needs none) |
| key | every code cell | a unique name: `setup`, `ex1`, `ex1.value`, `ex1.wrong-axis` |
| exercise, title, points | check | the answer it belongs to, its name, what it is worth |
| hidden, timeout_s | check | not released; seconds before it is stopped |
| defines, forbid | answer | names it must define; names it may not use |
| fails, says | wrong | the check that must fail, and a phrase of its message |

An answer begins with `# mmcourse: answer ex1` and holds its solution between the two markers
`### BEGIN SOLUTION` and `### END SOLUTION`. Wrong answers come last, under a heading of role
`wrong`. The rules are in `mmcourse.grading.rules`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmcourse.grading import rules
from mmcourse.grading.rules import BEGIN, END, MARKER

__all__ = [
    "BEGIN", "END", "IMPORT", "MARKER", "Cell", "Sheet", "SheetError", "read_notebook",
    "read_sheet", "repository", "to_json", "write_atomically",
]  # fmt: skip
IMPORT = "from mmcourse.grading import check, expect, rand, randint, randn, student"
CHECK_TIMEOUT_S = 20.0


class SheetError(ValueError):
    """A sheet that breaks a rule; the message is one line that names the cell."""


@dataclass(frozen=True)
class Cell:
    """One cell of a sheet; `meta` is its `mmcourse` metadata."""

    kind: str
    source: str
    meta: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """text, setup, answer, check or wrong."""
        return self.meta.get("role", "text")

    @property
    def key(self) -> str:
        """The stable name, such as `ex1.value`."""
        return self.meta.get("key", "")

    @property
    def exercise(self) -> str:
        """The key of the answer that this cell is about."""
        return str(self.meta.get("exercise") or self.key.split(".")[0])

    @property
    def hidden(self) -> bool:
        """True for a check that learners do not see."""
        return bool(self.meta.get("hidden", False))

    @property
    def points(self) -> float:
        """What passing this check is worth."""
        return float(self.meta.get("points", 0))

    @property
    def title(self) -> str:
        """The check's name for people."""
        return str(self.meta.get("title") or self.key)

    @property
    def timeout_s(self) -> float:
        """Seconds that the learner's code may take in this check."""
        return float(self.meta.get("timeout_s", CHECK_TIMEOUT_S))


@dataclass(frozen=True)
class Sheet:
    """All cells of a sheet, in order."""

    path: Path
    assignment: str
    version: str
    cells: tuple[Cell, ...]

    def role(self, role: str) -> list[Cell]:
        """The code cells with this role, in order."""
        return [cell for cell in self.cells if cell.kind == "code" and cell.role == role]

    @property
    def answers(self) -> dict[str, Cell]:
        """Answer cells by key."""
        return {cell.key: cell for cell in self.role("answer")}

    @property
    def checks(self) -> dict[str, Cell]:
        """Check cells by key, in the sheet's order."""
        return {cell.key: cell for cell in self.role("check")}

    @property
    def modules(self) -> set[str]:
        """What the setup cells import."""
        found = (rules.imported_modules(cell.source) for cell in self.role("setup"))
        return set().union(*found)

    def checks_of(self, exercise: str) -> list[Cell]:
        """The checks of one answer."""
        return [cell for cell in self.role("check") if cell.exercise == exercise]

    @property
    def title(self) -> str:
        """The sheet's `#` heading, or the assignment's name."""
        found = re.findall(r"^# +(.+)$", self._text(), re.MULTILINE)
        return found[0].strip() if found else self.assignment

    @property
    def lesson(self) -> str:
        """The title of the lesson that the sheet links to, or an empty string."""
        found = re.search(r"^Lesson:\s+\[(.+?)\]\(", self._text(), re.MULTILINE)
        return found[1] if found else ""

    def question(self, key: str) -> str:
        """The heading above an answer, else the answer's own title or key."""
        headings = re.findall(r"^## +(.+)$", self._text(key), re.MULTILINE)
        return headings[-1].strip() if headings else self.answers[key].title

    def _text(self, before: str = "") -> str:
        """All prose, or that since the last answer before the cell with this key."""
        parts: list[str] = []
        for cell in self.cells:
            if before and cell.key == before:
                break
            if before and cell.kind == "code" and cell.role == "answer":
                parts.clear()
            if cell.kind == "markdown":
                parts.append(cell.source)
        return "\n\n".join(parts)


def read_sheet(path: Path) -> Sheet:
    """Reads and checks a sheet (.md or .ipynb).

    Raises:
        SheetError: the file is no notebook, or a cell breaks a rule of the format.
    """
    notebook = read_notebook(path)
    assignment, version = _about(path, notebook.metadata.get("mmcourse"))
    cells = tuple(_cell(path, raw, number) for number, raw in enumerate(notebook.cells, start=1))
    sheet = Sheet(path, assignment, version, cells)
    problem = rules.first_problem(sheet)
    if problem:
        raise SheetError(f"{path}: {problem}")
    return replace(sheet, cells=_with_import(cells))


def _about(path: Path, about: Any) -> tuple[str, str]:
    """Assignment and version of the notebook metadata."""
    if not isinstance(about, dict) or not about.get("assignment"):
        raise SheetError(f"{path}: the notebook metadata needs `mmcourse: {{assignment, version}}`")
    name, version = about["assignment"], about.get("version", "1")
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,80}", name):
        rule = "a text of letters, digits, _ and - (in quotes if it is a number)"
        raise SheetError(f"{path}: assignment must be {rule}, got {name!r:.90}")
    if not isinstance(version, (str, int, float)):
        raise SheetError(f"{path}: version must be a text or a number, got {version!r:.60}")
    return name, str(version)


def _cell(path: Path, raw: Any, number: int) -> Cell:
    meta = raw.metadata.get("mmcourse") or {}
    if not isinstance(meta, dict):
        raise SheetError(f"{path}: cell {number}: `mmcourse` must hold fields, got {meta!r:.60}")
    others = {k: v for k, v in raw.metadata.items() if k != "mmcourse"}
    return Cell(raw.cell_type, raw.source, dict(meta), others, dict(raw.get("attachments", {})))


def _with_import(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """The cells, their first setup with the line that gives checks their words."""
    first = next(number for number, cell in enumerate(cells) if cell.kind == "code")
    setup = cells[first]
    if IMPORT in setup.source.splitlines():
        return cells
    source = f"{IMPORT}\n\n{setup.source}".rstrip()
    return (*cells[:first], replace(setup, source=source), *cells[first + 1 :])


def read_notebook(path: Path) -> Any:
    """A text or JSON notebook as a notebook node."""
    import jupytext

    try:
        return jupytext.read(path)
    except FileNotFoundError:
        raise SheetError(f"{path}: no such file") from None
    except Exception as error:
        raise SheetError(f"{path}: not a notebook ({str(error).splitlines()[0]:.120})") from None


def repository() -> Path:
    """The course's folder: the working folder if it holds the sheets, else the package's."""
    here = Path.cwd()
    if (here / "solutions").is_dir() and (here / "notebooks").is_dir():
        return here
    return Path(__file__).resolve().parents[2]


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def to_json(value: Any) -> str:
    """Readable JSON with a final newline."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
