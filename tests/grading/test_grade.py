"""Whole submissions, hostile and broken ones among them, graded in one run."""

import csv
import json
import os
import re
from pathlib import Path

import pytest
from submissions import (
    EX1,
    EX1_WRONG,
    EX2,
    RESIDUAL,
    SAMPLE,
    code,
    submission,
    without,
    write,
)

from mmcourse.grading import batch
from mmcourse.grading.release import solution_notebook
from mmcourse.grading.sandbox import best_isolation
from mmcourse.grading.sheet import read_sheet

pytestmark = pytest.mark.slow

FORGER = """
import builtins
print("ok ex1.value"); print("ok ex2.value")
class check:
    def __init__(self, key): self.key = key
    def __enter__(self): print("ok", self.key)
    def __exit__(self, *_): return True
torch.allclose = torch.isclose = lambda *a, **k: torch.tensor(True)
builtins.AssertionError = KeyError
shell = get_ipython()
shell.input_transformers_post.append(lambda lines: [*lines, "print('ok ex1.value')\\n"])
"""
TELLTALE = """import builtins
    class Told(ValueError): pass
    if float(q.abs().max()) > 100: raise Told(q.tolist())
    return"""
KILLER = "import os\nos.kill(os.getpid(), 9)"


HIDDEN = {
    "leaves": "this hidden check did not pass",
    # Neither the text nor the name that the learner's code gave its error gets out.
    "telltale": "your code raised ValueError",
    "crashed": "your code raised NameError",
    "refused": "this answer may not use scaled_dot_product_attention",
}


def hand_in(folder: Path) -> None:
    """Writes every submission of this module."""
    copied = submission("# mmcourse: answer ex1\ndef attention_weights(q, k:", EX2)
    stub = next(cell for cell in submission()["cells"] if cell["id"] == "ex2")
    copied["cells"] += [code("# mmcourse: answer ex2\nHELPER = 1", id="ex2"), stub]
    notebooks = {
        "solution": json.loads(json.dumps(solution_notebook(read_sheet(SAMPLE)))),
        "untouched": submission(),
        "endless": submission(EX1, RESIDUAL.format("while True: pass")),
        "leaves": submission(EX1.replace("return", "import os; os._exit(0)\n    return"), EX2),
        "telltale": submission(EX1.replace("return", TELLTALE), EX2),
        "crashed": submission(EX1.replace("return", "return unknown +"), EX2),
        "refused": submission(EX1 + "f = scaled_dot_product_attention", EX2),
        "forged": submission(EX1_WRONG, RESIDUAL.format("import sys; sys.exit(0)"), (FORGER,)),
        "copied": copied,
        "missing": without(submission(EX1, EX2, (KILLER,)), "ex1"),
        "nothing": {"cells": [code("x = 1")], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    }
    for name, raw in notebooks.items():
        write(folder, name, raw)
    (folder / "essay.ipynb").write_text("Dear teacher,")
    (folder / "empty.ipynb").write_text("")
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.ipynb")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict]]:
    """The output folder and the results by name."""
    folder, out = tmp_path_factory.mktemp("handed-in"), tmp_path_factory.mktemp("out")
    hand_in(folder)
    run(folder, out)
    results = json.loads((out / "results.json").read_text())
    return out, {result["submission"]: result for result in results}


def run(folder: Path, out: Path) -> list[dict]:
    todo = batch.jobs(batch.submissions([folder]), SAMPLE)
    return list(batch.grade_all(todo, out, parallel=2, isolation="auto", budget_s=60))


def messages(result: dict) -> dict[str, str]:
    return {row["id"]: row["message"] for row in result["checks"]}


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("solution", {"ex1": 3, "ex2": 3}),
        ("untouched", {"ex1": 0, "ex2": 0}),
        ("endless", {"ex1": 3, "ex2": 0}),
        ("leaves", {"ex1": 0, "ex2": 3}),
        ("telltale", {"ex1": 2, "ex2": 3}),
        ("crashed", {"ex1": 0, "ex2": 3}),
        ("refused", {"ex1": 0, "ex2": 3}),
        ("forged", {"ex1": 1, "ex2": 0}),
        ("copied", {"ex1": 0, "ex2": 3}),
        ("missing", {"ex1": 0, "ex2": 3}),
    ],
)
def test_points_are_given_for_each_question_by_itself(graded, name, points):
    result = graded[1][name]
    assert result["infra"] == []
    assert result["status"] == "graded"
    assert {row["id"]: row["points"] for row in result["exercises"]} == points
    assert result["points"] == sum(points.values())
    assert result["max_points"] == 6


@pytest.mark.parametrize(
    ("name", "check", "says"),
    [
        ("untouched", "ex1.value", "^not answered yet$"),
        ("untouched", "ex1.large", "^not answered yet$"),
        ("endless", "ex2.value", "no answer within 3 s"),
        ("leaves", "ex1.value", "ended the Python process"),
        ("forged", "ex1.value", "over the queries, not over the keys"),
        ("forged", "ex2.value", "raised SystemExit"),
        ("crashed", "ex1.value", "name 'unknown' is not defined\nyour line 3: return un"),
        ("refused", "ex1.value", "^this answer may not use scaled_dot_product_attention$"),
        ("copied", "ex1.value", "the answer cell stops: your code raised SyntaxError"),
        ("missing", "ex1.value", "no answer cell was found"),
    ],
)
def test_a_failed_check_says_why(graded, name, check, says):
    assert re.search(says, messages(graded[1][name])[check])


def test_hidden_checks_say_nothing_of_what_they_ask(graded):
    said = {name: messages(graded[1][name])["ex1.large"] for name in graded[1] if name in HIDDEN}
    assert said == HIDDEN


@pytest.mark.parametrize(
    ("name", "status", "note"),
    [
        ("essay", "unreadable", "not JSON"),
        ("empty", "unreadable", "the file is empty"),
        ("link", "unreadable", "cannot be opened"),
        ("pipe", "unreadable", "not a regular file"),
        ("nothing", "needs_manual", "look at it by hand"),
    ],
)
def test_what_is_no_submission_is_told_from_a_zero(graded, name, status, note):
    result = graded[1][name]
    assert result["status"] == status
    assert any(note in text for text in result["notes"])


def test_what_a_cell_prints_is_shown_but_never_believed(graded):
    assert "ok ex1.value" in graded[1]["forged"]["output"]
    assert "code cell" in next(iter(graded[1]["missing"]["cell_errors"]))


def test_reports_are_complete(graded):
    out, results = graded
    with open(out / "grades.csv", newline="") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(results)
    assert rows["forged"]["points"] == "1"
    assert rows["forged"]["ex1"] == "1"
    assert rows["essay"]["points"] == ""
    titles = [row["title"] for row in results["forged"]["exercises"]]
    assert titles == ["Question 1 — Attention weights", "Question 2 — A residual block"]
    assert results["forged"]["checks"][0]["title"] == "Attention weights"
    for name in results:
        page = (out / "feedback" / f"{name}.html").read_text()
        assert "default-src 'none'" in page
        assert "<script" not in page


def test_a_finished_submission_is_not_graded_again(graded, tmp_path):
    out, results = graded
    folder = tmp_path / "again"
    folder.mkdir()
    write(folder, "untouched", submission())
    before = (out / ".results" / "untouched.json").stat().st_mtime_ns
    again = run(folder, out)
    assert again == [results["untouched"]]
    assert (out / ".results" / "untouched.json").stat().st_mtime_ns == before


def test_the_sandbox_level_is_recorded(graded):
    assert graded[1]["solution"]["isolation"] == best_isolation().level


def test_the_plain_process_level_gives_the_same_points(graded, tmp_path):
    write(
        tmp_path, "leaves", submission(EX1.replace("return", "import os; os._exit(0)\n    #"), EX2)
    )
    todo = batch.jobs(batch.submissions([tmp_path / "leaves.ipynb"]), SAMPLE)
    options = {"parallel": 1, "isolation": "process", "budget_s": 60}
    (result,) = batch.grade_all(todo, tmp_path / "out", **options)
    assert (result["isolation"], result["points"]) == ("process", graded[1]["leaves"]["points"])
