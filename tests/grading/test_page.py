"""The instructors' page says what the code does: options, fields, statuses, limits."""

import re

import pytest
import typer.main
from lessons import ROOT

from mmcourse.cli import app
from mmcourse.grading import (
    bank,
    extract,
    fairness,
    judge,
    link,
    report,
    rules,
    run,
    sandbox,
    sheet,
    values,
)
from mmcourse.grading.expect import Expect

PAGE = (ROOT / "book" / "grading.md").read_text(encoding="utf-8")
MIB = 2**20
LIMITS = {
    "one check, unless it says otherwise": f"{sheet.CHECK_TIMEOUT_S:g} s",
    "one cell of the learner's": f"{judge.CELL_LIMIT_S:g} s",
    "all code of a submission (`--budget-s`)": f"{bank.BUDGET_S:g} s",
    "time-outs after which a question is left": str(judge.TIMEOUTS_ALLOWED),
    "memory of the learner's processes": f"{sandbox.MEMORY_BYTES // 2**30} GiB",
    "processes and threads that count as processes": str(sandbox.PROCESSES),
    "temporary files": f"{sandbox.TEMPORARY_BYTES // MIB} MiB",
    "shared memory": f"{sandbox.SHARED_BYTES // MIB} MiB",
    "a result that crosses to a check": f"{values.MAX_BYTES // MIB} MiB",
    "printed text that is kept": f"{link.OUTPUT_BYTES} bytes",
    "a submission's file": f"{extract.MAX_FILE // MIB} MiB",
    "cells of a submission": str(extract.MAX_CELLS),
    "draws of inputs, if your solution fails with some": str(fairness.TURNS),
}


def table(heading: str) -> dict[str, str]:
    """First column → second column of the first table below a heading."""
    text = PAGE[PAGE.index(f"\n{heading}\n") :]
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: row[1].rstrip(" |") for row in cells}


def words(names: object) -> set[str]:
    """The code words in the first columns of a table."""
    return set(re.findall(r"`([^`]+)`", " ".join(names)))


def test_the_limits_are_those_of_the_code():
    assert table("## Costs and limits") == LIMITS


def test_every_field_is_explained():
    assert words(table("## Writing a sheet")) == set().union(*rules.OF_ROLE.values())


def test_every_option_of_grade_is_explained():
    command = typer.main.get_command(app).commands["grade"]  # type: ignore[attr-defined]
    flags = {option.opts[0] for option in command.params if option.name != "submissions"}
    told = {word.split()[0] for word in words(table("## Grading what comes back"))}
    assert told - {"SUBMISSION…"} == flags


def test_every_key_of_a_result_is_explained():
    told = table("### What it writes")
    assert words(told) == set(run.empty(""))


def test_every_status_and_level_is_explained():
    page = PAGE[PAGE.index("Every submission gets one status") :]
    assert all(f"| `{status}` |" in page for status in ("graded", *report.STATUS))
    for level in sandbox.LEVELS:
        assert re.search(rf"^{level}\n: ", page, re.MULTILINE), level


@pytest.mark.parametrize("name", [name for name in vars(Expect) if not name.startswith("_")])
def test_every_assertion_is_explained(name):
    assert f"| `expect.{name}(" in PAGE
