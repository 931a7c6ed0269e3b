"""Proves a sheet in this process: the reference passes, the stub stops, wrong answers are named.

python -m mmcourse.grading.bank solutions/31_attention.md
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmcourse.grading import checks
from mmcourse.grading.expect import CheckFailed
from mmcourse.grading.forbid import forbidden_calls
from mmcourse.grading.release import stub
from mmcourse.grading.sheet import FIELDS, IMPORT, Cell, Sheet, SheetError, read_sheet

SEEDS = 3
COLUMNS = 79
WRONG_PER_QUESTION = 3


class BankBackend(checks.LocalBackend):
    """Learner's code in a namespace of its own, silent, with a seed that can be moved."""

    def __init__(self, namespace: dict[str, Any], shift: int) -> None:
        super().__init__(namespace, loud=False)
        self.shift = shift

    def seed(self, key: str) -> int:
        """The notebook's seed, moved: the grader will use others, too."""
        return super().seed(key) + self.shift

    def finish(self, key: str, error: BaseException | None) -> bool:
        """Errors pass through as they are."""
        return False


def prove(sheet: Sheet) -> list[str]:
    """Everything that is wrong with a sheet; an empty list is the proof."""
    problems = list(layout(sheet))
    problems += reference(sheet)
    problems += untouched(sheet)
    for cell in sheet.role("wrong"):
        problems += wrong(sheet, cell)
    return problems


def layout(sheet: Sheet) -> Iterator[str]:
    """Rules of the format that need no execution."""
    code = [cell for cell in sheet.cells if cell.kind == "code"]
    roles = [cell.role for cell in code]
    if "wrong" in roles and "wrong" in roles[: len(roles) - roles.count("wrong")]:
        yield "wrong answers must come after every other code cell"
    if IMPORT not in code[0].source.splitlines():
        yield f"the setup cell must hold the line `{IMPORT}`"
    for cell in code:
        for key in sorted(set(cell.meta) - FIELDS):
            yield f"{cell.key}: unknown field {key!r}; quote a text that holds a comma or a colon"
        for line in cell.source.splitlines():
            if len(line) > COLUMNS:
                yield f"{cell.key}: a line of {len(line)} columns (at most {COLUMNS}): {line}"
    defined = {name for cell in sheet.answers.values() for name in cell.meta["defines"]}
    for cell in sheet.role("setup"):
        for name in sorted(defined & bound_names(cell.source)):
            yield f"{cell.key}: defines {name}, which is asked for (import it by another name)"
    for key, answer in sheet.answers.items():
        for name in forbidden_calls(answer.source, answer.meta.get("forbid", [])):
            yield f"{key}: the reference itself uses {name}, which is forbidden"
        count = sum(c.exercise == key for c in sheet.role("wrong"))
        if count < WRONG_PER_QUESTION:
            yield f"{key}: {count} wrong answers (at least {WRONG_PER_QUESTION})"


def bound_names(source: str) -> set[str]:
    """Names that a cell imports, assigns or defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names


def reference(sheet: Sheet) -> Iterator[str]:
    """The reference passes every check, for several seeds and in silence."""
    namespace = learner(sheet, {})
    for shift in range(SEEDS):
        for cell in sheet.role("check"):
            error, output = attempt(sheet, namespace, cell, shift)
            if error is not None:
                yield f"{cell.key}: the reference fails: {describe(error)}"
            elif output:
                yield f"{cell.key}: the check prints {output[:40]!r}; it should be silent"


def untouched(sheet: Sheet) -> Iterator[str]:
    """Unanswered questions stop with NotImplementedError, and block no other question."""
    for key, answer in sheet.answers.items():
        namespace = learner(sheet, {key: stub(answer.source)})
        for cell in sheet.role("check"):
            error, _ = attempt(sheet, namespace, cell, 0)
            if cell.exercise == key and not checks.unanswered(error):
                yield f"{cell.key}: untouched, it gives {describe(error)}"
            if cell.exercise != key and error is not None:
                yield f"{cell.key}: blocked while {key} is unanswered: {describe(error)}"


def wrong(sheet: Sheet, cell: Cell) -> Iterator[str]:
    """A wrong answer fails the check it names, with the phrase it names."""
    try:
        namespace = learner(sheet, {cell.exercise: cell.source})
    except Exception as error:
        yield f"{cell.key}: the cell itself fails: {describe(error)}"
        return
    missing = set(sheet.answers[cell.exercise].meta["defines"]) - bound_names(cell.source)
    if missing:
        yield f"{cell.key}: does not define {', '.join(sorted(missing))}"
    target, says = sheet.checks[cell.meta["fails"]], str(cell.meta["says"])
    for shift in range(SEEDS):
        error, _ = attempt(sheet, namespace, target, shift)
        if error is None:
            yield f"{cell.key}: passes {target.key}"
        elif not isinstance(error, CheckFailed):
            yield f"{cell.key}: crashes in {target.key}: {describe(error)}"
        elif says not in str(error):
            yield f"{cell.key}: {target.key} says {str(error)!r}, not {says!r}"
        else:
            continue
        return


def learner(sheet: Sheet, replaced: dict[str, str]) -> dict[str, Any]:
    """The learner's names after setup and all answers, some of them replaced."""
    namespace: dict[str, Any] = {"__name__": "learner"}
    for cell in sheet.role("setup"):
        execute(cell.source, cell.key, namespace)
    for key, cell in sheet.answers.items():
        with contextlib.suppress(NotImplementedError):
            execute(replaced.get(key, cell.source), key, namespace)
    return namespace


def attempt(
    sheet: Sheet, namespace: dict[str, Any], cell: Cell, shift: int
) -> tuple[BaseException | None, str]:
    """Runs one check as the grader does, its names apart from the learner's: (error, output)."""
    judge: dict[str, Any] = {"__name__": "judge"}
    before = checks.session.backend
    checks.session.backend = BankBackend(namespace, shift)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            for setup in sheet.role("setup"):
                execute(setup.source, setup.key, judge)
            with checks.check(cell.key):
                execute(cell.source, cell.key, judge)
    except Exception as error:
        return error, output.getvalue()
    finally:
        checks.session.backend = before
    return None, output.getvalue()


def execute(source: str, name: str, namespace: dict[str, Any]) -> None:
    """Runs a cell's source; its lines can be found by inspect and tracebacks."""
    from IPython.core.inputtransformer2 import TransformerManager

    file = f"<{name}>"
    text = TransformerManager().transform_cell(source)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), namespace)


def describe(error: BaseException | None) -> str:
    """An error in one line."""
    if error is None:
        return "a pass"
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def main(arguments: list[str]) -> int:
    """Proves the sheets named on the command line; 1 if one has a problem."""
    failed = not arguments
    for name in arguments:
        try:
            sheet = read_sheet(Path(name))
        except SheetError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        problems = prove(sheet)
        for problem in problems:
            print(f"{name}: {problem}", file=sys.stderr)
        failed |= bool(problems)
        if not problems:
            count = len(sheet.checks), len(sheet.role("wrong"))
            print(f"ok {name}: {count[0]} checks, {count[1]} wrong answers")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
