"""The rules of a sheet's format, and the first one that a sheet breaks, in one line.

What a cell's fields mean stands in `mmcourse.grading.sheet`.
"""

from __future__ import annotations

import ast
import math
import re
import symtable
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmcourse.grading.sheet import Cell, Sheet

ROLES = ("text", "setup", "answer", "check", "wrong")
MARKER = re.compile(r"^[ \t]*#[ \t]*mmcourse:[ \t]*answer[ \t]+(\S+)", re.MULTILINE)
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
REGION = re.compile(r"\b(BEGIN|END)\s+(SOLUTION|HIDDEN\s+TESTS)\b", re.IGNORECASE)
KEY = re.compile(r"[A-Za-z0-9-]{1,24}(\.[A-Za-z0-9-]{1,32})?")
MAX_PARSED = 100_000  # characters of a learner's that are given to a parser
COMMON = frozenset(["role", "key", "title"])
OF_ROLE = {
    "text": frozenset(["role"]),
    "setup": COMMON,
    "answer": COMMON | {"defines", "forbid"},
    "check": COMMON | {"exercise", "points", "hidden", "timeout_s"},
    "wrong": COMMON | {"exercise", "fails", "says"},
}


def python(source: str) -> str:
    """A cell's source with magics and shell lines turned into plain Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


def bound_names(source: str) -> set[str]:
    """Names that a cell imports, assigns or defines at its top level, in branches too."""
    try:
        table = symtable.symtable(python(source), "cell", "exec")
    except SyntaxError:
        return set()
    symbols = table.get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}


def imported_modules(source: str) -> set[str]:
    """The modules that a cell imports by absolute name."""
    try:
        nodes = list(ast.walk(ast.parse(python(source))))
    except SyntaxError:
        return set()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = (node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level)
    return names | {node.module for node in froms if node.module}


def first_problem(sheet: Sheet) -> str:
    """The first broken rule, or an empty string."""
    for number, cell in enumerate(sheet.cells, start=1):
        problem = next(_cell_problems(cell), "")
        if problem:
            return f"cell {_name(cell, number)}: {problem}"
    return next(_sheet_problems(sheet), "")


def _name(cell: Cell, number: int) -> str:
    """What a person finds the cell by."""
    key = cell.meta.get("key")
    first = cell.source.strip().split("\n")[0]
    return key if isinstance(key, str) and key else f"{number} ({first[:40]!r})"


def _cell_problems(cell: Cell) -> Iterator[str]:
    yield from _role_problems(cell)
    for field, value in cell.meta.items():
        if field not in OF_ROLE[cell.role]:
            known = ", ".join(sorted(OF_ROLE[cell.role]))
            hint = "quote a text that holds a comma or a colon"
            yield f"unknown field {field!r} (a {cell.role} cell has: {known}; {hint})"
        elif not ALLOWED[field][0](value):
            yield f"{field} must be {ALLOWED[field][1]}, got {value!r:.60}"
    if cell.role not in ("answer", "wrong"):
        yield from _leaks(cell)
    if cell.kind == "code":
        yield from _code_problems(cell)


def _role_problems(cell: Cell) -> Iterator[str]:
    role = cell.meta.get("role", "text")
    if cell.kind != "code":
        if role not in ("text", "wrong"):
            yield f"it is no code cell, so its role is `text` or `wrong`, not {role!r}"
    elif role not in ROLES or role == "text":
        yield f"role must be one of {', '.join(ROLES[1:])}, got {cell.meta.get('role')!r}"


def _leaks(cell: Cell) -> Iterator[str]:
    """Lines that another grader's author expects to be taken out."""
    for line in cell.source.splitlines():
        if found := REGION.search(line):
            what = "a check with `hidden: true`" if "HID" in found[0].upper() else "an answer cell"
            yield f"{line.strip()!r} takes nothing out here: use {what}"


def _code_problems(cell: Cell) -> Iterator[str]:
    if "key" not in cell.meta:
        yield "a key is missing, such as `ex1` or `ex1.value`"
    if cell.key.startswith(("text-", "judge-")):
        yield "the key may not begin with `text-` or `judge-`"
    try:
        compile(python(cell.source), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        yield f"not Python{line}: {getattr(error, 'msg', error)}"
    if cell.role == "answer":
        yield from _answer_problems(cell)
    if cell.role == "check" and "points" not in cell.meta:
        yield "points are missing: what is the check worth?"
    if cell.role == "wrong" and not {"fails", "says"} <= set(cell.meta):
        yield "a wrong answer needs `fails` and `says`"


def _answer_problems(cell: Cell) -> Iterator[str]:
    if "." in cell.key:
        yield "the key of an answer has no dot, such as `ex1`"
    first = cell.source.split("\n")[0].rstrip()
    if first != f"# mmcourse: answer {cell.key}":
        yield f"the first line must be `# mmcourse: answer {cell.key}`"
    if "defines" not in cell.meta:
        yield "`defines` must list the names that the cell defines"
    yield from _region_problems(cell.source)
    if missing := set(cell.meta.get("defines", ())) - bound_names(cell.source):
        yield f"it does not define {', '.join(sorted(missing))}, as `defines` says"


def _region_problems(source: str) -> Iterator[str]:
    """Markers must alternate, each alone on its line: else a solution would be handed out."""
    inside = found = False
    for line in source.splitlines():
        mark = REGION.search(line)
        if mark and line.strip() not in (BEGIN, END):
            yield f"the marker must be alone on its line and exact, got {line.strip()!r:.80}"
        if mark and (line.strip() == BEGIN) == inside:
            break
        if mark:
            inside, found = not inside, True
    else:
        if found and not inside:
            return
    yield f"needs matching `{BEGIN}` and `{END}` lines"


def _sheet_problems(sheet: Sheet) -> Iterator[str]:
    code = [cell for cell in sheet.cells if cell.kind == "code"]
    ids: dict[str, str] = {}
    for cell in code:
        other = ids.setdefault(cell.key.replace(".", "-"), cell.key)
        if other == cell.key and sum(c.key == cell.key for c in code) > 1:
            yield f"the key {cell.key!r} is used twice"
        elif other != cell.key:
            yield f"the keys {other!r} and {cell.key!r} give the same cell id"
    if not code or code[0].role != "setup":
        yield "the first code cell must have role `setup`"
    if not sheet.answers:
        yield "there is no answer"
    if not sheet.checks:
        yield "there is no check"
    for cell in [*sheet.role("check"), *sheet.role("wrong")]:
        yield from _reference_problems(sheet, cell)
    for key in sheet.answers:
        if not sheet.checks_of(key):
            yield f"answer {key!r} has no check"


def _reference_problems(sheet: Sheet, cell: Cell) -> Iterator[str]:
    """Keys that point at nothing, or at another question."""
    what = f"{'wrong answer' if cell.role == 'wrong' else 'check'} {cell.key!r}"
    if cell.exercise not in sheet.answers:
        yield f"{what}: there is no answer {cell.exercise!r}"
    elif not cell.key.startswith(f"{cell.exercise}."):
        yield f"{what}: its key must begin with {cell.exercise!r} and a dot"
    fails = cell.meta.get("fails")
    if fails and fails not in sheet.checks:
        yield f"{what}: there is no check {fails!r}"
    elif fails and sheet.checks[fails].exercise != cell.exercise:
        yield f"{what}: {fails!r} is a check of another question"


def _positive(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and v.isidentifier() for v in value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value.strip()


ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "role": (lambda v: v in ROLES, f"one of {', '.join(ROLES)}"),
    "key": (
        lambda v: isinstance(v, str) and KEY.fullmatch(v) is not None,
        "like `ex1` or `ex1.value`: letters, digits and hyphens",
    ),
    "title": (_text, "a text of one line"),
    "exercise": (_text, "the key of an answer"),
    "points": (_positive, "more than 0"),
    "timeout_s": (_positive, "more than 0 seconds"),
    "hidden": (lambda v: isinstance(v, bool), "true or false"),
    "defines": (lambda v: _names(v) and bool(v), "a list of names"),
    "forbid": (_names, "a list of names without dots, such as [softmax]"),
    "fails": (_text, "the key of a check"),
    "says": (lambda v: isinstance(v, (str, int, float)) and bool(str(v).strip()), "a phrase"),
}
