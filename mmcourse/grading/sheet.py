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
below. Wrong answers come last, under a heading of role `wrong`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROLES = ("text", "setup", "answer", "check", "wrong")
IMPORT = "from mmcourse.grading import check, expect, rand, randint, randn, student"
MARKER = re.compile(r"^\s*#\s*mmcourse:\s*answer\s+(\S+)", re.MULTILINE)
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
CHECK_TIMEOUT_S = 20.0
FIELDS = frozenset(
    [
        "role",
        "key",
        "exercise",
        "title",
        "points",
        "hidden",
        "timeout_s",
        "defines",
        "forbid",
        "fails",
        "says",
    ]
)


class SheetError(ValueError):
    """A sheet that breaks a rule; the message is one line that names the cell."""


@dataclass(frozen=True)
class Cell:
    """One cell of a sheet; `meta` is its `mmcourse` metadata."""

    kind: str
    source: str
    meta: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

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
    about = notebook.metadata.get("mmcourse")
    if not isinstance(about, dict) or not about.get("assignment"):
        raise SheetError(f"{path}: the notebook metadata needs `mmcourse: {{assignment, version}}`")
    cells = []
    for raw in notebook.cells:
        meta = raw.metadata.get("mmcourse") or {}
        others = {k: v for k, v in raw.metadata.items() if k != "mmcourse"}
        cells.append(Cell(raw.cell_type, raw.source, dict(meta), others))
    sheet = Sheet(path, str(about["assignment"]), str(about.get("version", "1")), tuple(cells))
    problem = _first_problem(sheet)
    if problem:
        raise SheetError(f"{path}: {problem}")
    return sheet


def read_notebook(path: Path) -> Any:
    """A text or JSON notebook as a notebook node."""
    import jupytext

    try:
        return jupytext.read(path)
    except FileNotFoundError:
        raise SheetError(f"{path}: no such file") from None
    except Exception as error:
        raise SheetError(f"{path}: not a notebook ({str(error).splitlines()[0]:.120})") from None


def _first_problem(sheet: Sheet) -> str:
    """The first broken rule, or an empty string."""
    keys: set[str] = set()
    code = [cell for cell in sheet.cells if cell.kind == "code"]
    for cell in code:
        problem = _cell_problem(cell)
        if problem:
            return f"cell {cell.key or cell.source[:30]!r}: {problem}"
        if cell.key in keys:
            return f"the key {cell.key!r} is used twice"
        keys.add(cell.key)
    if not sheet.role("setup") or not code or code[0].role != "setup":
        return "the first code cell must have role `setup`"
    if not sheet.checks:
        return "there is no check"
    return _reference_problem(sheet)


def _cell_problem(cell: Cell) -> str:
    if "role" not in cell.meta or cell.role not in ROLES or cell.role == "text":
        return f"role must be one of {', '.join(ROLES[1:])}, got {cell.meta.get('role')!r}"
    if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)?", str(cell.key)):
        return "key must be like `ex1` or `ex1.value`"
    if cell.role == "answer":
        return _answer_problem(cell)
    if cell.role == "check" and cell.points <= 0:
        return "points must be more than 0"
    if cell.role == "wrong" and not (cell.meta.get("fails") and cell.meta.get("says")):
        return "a wrong answer needs `fails` and `says`"
    return ""


def _answer_problem(cell: Cell) -> str:
    first = cell.source.splitlines()[0] if cell.source else ""
    if first != f"# mmcourse: answer {cell.key}":
        return f"the first line must be `# mmcourse: answer {cell.key}`"
    if not isinstance(cell.meta.get("defines"), list) or not cell.meta["defines"]:
        return "`defines` must list the names that the cell defines"
    begins, ends = cell.source.count(BEGIN), cell.source.count(END)
    if begins != ends or not begins:
        return f"needs matching `{BEGIN}` and `{END}` lines"
    return ""


def _reference_problem(sheet: Sheet) -> str:
    """Keys that point at nothing."""
    for cell in sheet.role("check"):
        if cell.exercise not in sheet.answers:
            return f"check {cell.key!r}: there is no answer {cell.exercise!r}"
    for cell in sheet.role("wrong"):
        if cell.meta["fails"] not in sheet.checks:
            return f"wrong answer {cell.key!r}: there is no check {cell.meta['fails']!r}"
    for key in sheet.answers:
        if not any(cell.exercise == key for cell in sheet.role("check")):
            return f"answer {key!r} has no check"
    return ""


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
