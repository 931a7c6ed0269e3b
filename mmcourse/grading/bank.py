"""Proves a sheet in this process: the reference passes, the stub stops, wrong answers are named.

mmcourse prove homework.md
"""

from __future__ import annotations

import contextlib
import io
import linecache
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmcourse.grading import checks
from mmcourse.grading.expect import CheckFailed
from mmcourse.grading.forbid import forbidden_calls
from mmcourse.grading.release import exercise_notebook, notebook_text, solution_notebook, stub
from mmcourse.grading.rules import bound_names, python
from mmcourse.grading.sheet import IMPORT, Cell, Sheet

SEEDS = 3
BUDGET_S = 120.0
COLUMNS = 79
WRONG_PER_QUESTION = 3


class CellError(Exception):
    """A cell of the sheet that does not run; the message is one line that names it."""


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


def prove(sheet: Sheet, course: bool = True) -> list[str]:
    """Everything that is wrong with a sheet; an empty list is the proof.

    Args:
        sheet: what `read_sheet` gave.
        course: whether the course's own rules hold, too: lines of 79 columns, three wrong
            answers to a question.
    """
    problems = [*layout(sheet), *(house(sheet) if course else [])]
    try:
        learner(sheet, {})
    except CellError as error:
        return [*problems, str(error)]
    problems += reference(sheet)
    problems += untouched(sheet)
    for cell in sheet.role("wrong"):
        problems += wrong(sheet, cell)
    return problems


def layout(sheet: Sheet) -> Iterator[str]:
    """What needs no execution and would surprise learners."""
    seen = False
    for number, cell in enumerate(sheet.cells, start=1):
        if seen and cell.role != "wrong":
            what = cell.key or f"text cell {number}"
            yield f"{what}: stands below a wrong answer (these come last, with role `wrong`)"
        seen |= cell.kind == "code" and cell.role == "wrong"
    defined = {name for cell in sheet.answers.values() for name in cell.meta["defines"]}
    for cell in sheet.role("setup"):
        for name in sorted(defined & bound_names(cell.source)):
            yield f"{cell.key}: defines {name}, which is asked for (import it by another name)"
    for key, answer in sheet.answers.items():
        for name in forbidden_calls(answer.source, answer.meta.get("forbid", [])):
            yield f"{key}: the reference itself uses {name}, which is forbidden"


def house(sheet: Sheet) -> Iterator[str]:
    """The course's own rules, which sheets of other people need not follow."""
    for cell in sheet.cells:
        for line in cell.source.splitlines() if cell.kind == "code" else ():
            if len(line) > COLUMNS and line != IMPORT:
                yield f"{cell.key}: a line of {len(line)} columns (at most {COLUMNS}): {line}"
    for key in sheet.answers:
        count = sum(c.exercise == key for c in sheet.role("wrong"))
        if count < WRONG_PER_QUESTION:
            yield f"{key}: {count} wrong answers (at least {WRONG_PER_QUESTION})"


def reference(sheet: Sheet) -> Iterator[str]:
    """The reference passes every check, for several seeds and in silence."""
    namespace = learner(sheet, {})
    for shift in range(SEEDS):
        for cell in sheet.role("check"):
            error, output = attempt(sheet, namespace, cell, shift)
            if error is not None:
                yield f"{cell.key}: the reference fails: {describe(error)}"
            elif output:
                yield f"{cell.key}: the check prints {output[:80]!r}; it should be silent"


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
    except CellError as error:
        yield f"{cell.key}: {error}"
        return
    missing = set(sheet.answers[cell.exercise].meta["defines"]) - bound_names(cell.source)
    if missing:
        yield f"{cell.key}: does not define {', '.join(sorted(missing))}"
    for name in forbidden_calls(cell.source, sheet.answers[cell.exercise].meta.get("forbid", [])):
        yield f"{cell.key}: uses {name}, which is forbidden: its check would not run"
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
    """The learner's names after setup and all answers, some of them replaced.

    Raises:
        CellError: a cell does not run.
    """
    namespace: dict[str, Any] = {"__name__": "learner"}
    for cell in [*sheet.role("setup"), *sheet.answers.values()]:
        source = replaced.get(cell.key, cell.source)
        try:
            execute(source, cell.key, namespace)
        except NotImplementedError:
            continue
        except Exception as error:
            raise CellError(f"cell {cell.key} does not run: {describe(error)}") from error
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
    file, text = f"<{name}>", python(source)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), namespace)


def describe(error: BaseException | None) -> str:
    """An error in one line."""
    if error is None:
        return "a pass"
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def graded(sheet: Sheet, folder: Path) -> list[str]:
    """What the real grader makes of the reference and of the untouched sheet."""
    from mmcourse.grading import batch

    handed_in = {
        "the reference": solution_notebook(sheet),
        "the untouched sheet": exercise_notebook(sheet),
    }
    todo = []
    for name, notebook in handed_in.items():
        path = folder / f"{name}.ipynb"
        path.write_text(notebook_text(notebook), encoding="utf-8")
        todo.append(batch.Job(name, path, sheet))
    problems: list[str] = []
    for result in batch.grade_all(
        todo, folder / "out", parallel=2, isolation="auto", budget_s=BUDGET_S
    ):
        name, said = result["submission"], [*result["infra"]]
        wanted = result["max_points"] if name == "the reference" else 0
        if result["points"] != wanted:
            rows = [row for row in result["checks"] if (row["status"] == "pass") == (not wanted)]
            said += [f"{row['id']}: {row['status']} {row['message']}".strip() for row in rows]
        problems += [f"graded, {name} has {result['points']:g} points: {text}" for text in said]
    return problems


def extent(sheet: Sheet) -> str:
    """How much has been proved."""
    return f"{len(sheet.checks)} checks, {len(sheet.role('wrong'))} wrong answers"
