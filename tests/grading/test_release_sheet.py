"""What a release keeps, removes and repeats."""

import json
import shutil
from pathlib import Path

import pytest
from submissions import SAMPLE

from mmcourse.grading.release import (
    block,
    drifted,
    exercise_notebook,
    notebook_text,
    stub,
    targets,
    write_all,
)
from mmcourse.grading.sheet import Cell, SheetError, read_sheet


@pytest.fixture
def released() -> dict[str, dict]:
    """The released sample's cells by id."""
    raw = json.loads(notebook_text(exercise_notebook(read_sheet(SAMPLE))))
    return {cell["id"]: cell for cell in raw["cells"]}


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_solutions_go_and_signatures_stay(released):
    text = source(released["ex1"])
    assert "softmax" not in text
    assert text.endswith("    # Your code here\n    raise NotImplementedError")
    assert text.startswith("# mmcourse: answer ex1\ndef attention_weights(q, k):")
    assert '"""Weights (t, s)' in text
    assert "        raise NotImplementedError" in source(released["ex2"])


def test_hidden_checks_and_wrong_answers_are_not_released(released):
    everything = json.dumps(list(released.values()), ensure_ascii=False)
    for secret in ("ex1-large", "isfinite", "wrong-axis", "Wrong answers", "BEGIN SOLUTION"):
        assert secret not in everything


def test_a_released_check_is_the_same_source_in_a_block(released):
    text = source(released["ex1-value"])
    head, text = text.split("\n):\n")
    assert head.split() == [
        "with", "check(", '"ex1.value",', "forbid=[", '"scaled_dot_product_attention",', "],",
    ]  # fmt: skip
    body = text.split("\n")
    original = read_sheet(SAMPLE).checks["ex1.value"].source
    assert "\n".join(line.removeprefix("    ") for line in body) == original


def test_the_sheet_says_what_a_question_is_worth_and_what_it_does_not_allow(released):
    order = list(released)
    assert order[order.index("ex1") - 1] == "text-ex1"
    assert source(released["text-ex1"]) == (
        "**3 points.** Not allowed in this answer: `scaled_dot_product_attention`."
    )
    assert source(released["text-ex2"]) == "**3 points.**"
    assert "**6 points in all.**" in source(released["text-checks"])


def test_checks_at_hand_in_are_announced_once_and_only_if_there_are_any(released, tmp_path):
    everything = json.dumps(list(released.values()))
    assert everything.count("only when you hand in") == 1
    path = tmp_path / "00_sample.md"
    path.write_text(SAMPLE.read_text().replace("hidden: true, ", ""))
    assert "only when you hand in" not in notebook_text(exercise_notebook(read_sheet(path)))


def test_check_cells_are_folded_and_no_others(released):
    folded = [k for k, c in released.items() if c["metadata"].get("jupyter")]
    assert folded == ["ex1-value", "ex2-value", "ex2-gradient"]
    assert released["ex1-value"]["metadata"]["jupyter"] == {"source_hidden": True}


def test_a_sheet_knows_its_title_its_lesson_and_its_questions(tmp_path):
    sheet = read_sheet(SAMPLE)
    assert (sheet.title, sheet.lesson) == ("Exercise 00 · Sample", "")
    assert sheet.question("ex1") == "Question 1 — Attention weights"
    assert sheet.question("ex2") == "Question 2 — A residual block"
    text = SAMPLE.read_text().replace("Two questions,", "Lesson: [00 · Plain](x.ipynb). Two")
    path = tmp_path / "00_sample.md"
    path.write_text(text.replace("## Question 2 — A residual block", "A residual block."))
    assert read_sheet(path).lesson == "00 · Plain"
    assert read_sheet(path).question("ex2") == "ex2"


def test_strings_over_several_lines_keep_their_text():
    cell = Cell("code", 'x = """a\n  b"""\ny = 1', {"role": "check", "key": "ex1.a"})
    assert block(cell) == 'with check("ex1.a"):\n    x = """a\n  b"""\n    y = 1'


def test_metadata_is_kept_and_nothing_is_run(released):
    assert released["ex1"]["metadata"]["mmcourse"]["defines"] == ["attention_weights"]
    assert released["ex1-value"]["metadata"]["mmcourse"]["points"] == 2
    for cell in released.values():
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_a_stub_keeps_what_surrounds_each_region():
    text = "a = 1\n### BEGIN SOLUTION\nb = 2\n### END SOLUTION\nc = 3"
    assert stub(text) == "a = 1\n# Your code here\nraise NotImplementedError\nc = 3"


def make_course(root: Path) -> Path:
    for name in ("solutions", "notebooks", "exercises"):
        (root / name).mkdir()
    shutil.copy(SAMPLE, root / "solutions" / "00_sample.md")
    return root


def test_releasing_twice_changes_nothing_and_drift_is_named(tmp_path):
    root = make_course(tmp_path)
    made = root / "exercises" / "00_sample.ipynb"
    assert drifted(root, []) == [made]
    assert write_all(root, []) == [made]
    assert write_all(root, ["00"]) == []
    assert drifted(root, []) == []
    made.write_text(made.read_text().replace("Question 1", "Question one"))
    assert drifted(root, ["00_sample"]) == [made]
    orphan = root / "exercises" / "99_gone.ipynb"
    orphan.write_text("{}")
    assert drifted(root, []) == [made, orphan]


def test_an_unknown_lesson_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(SheetError, match=r"unknown lesson '98'; known: 00_sample"):
        targets(make_course(tmp_path), ["98"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("role: check, key: ex1.value", "role: chck, key: ex1.value", "role must be one of"),
        ("# mmcourse: answer ex1\n", "", "the first line must be"),
        ("key: ex2.gradient", "key: ex2.value", "used twice"),
        ("exercise: ex2, title: Gradient", "exercise: ex9, title: G", "there is no answer 'ex9'"),
        ("fails: ex1.large", "fails: ex1.huge", "there is no check 'ex1.huge'"),
        ("points: 2, timeout_s", "points: 0, timeout_s", "points must be more than 0"),
        ("    ### END SOLUTION", "    # end", "matching"),
        ("  assignment: 00_sample\n", "", "assignment"),
    ],
)
def test_a_broken_sheet_is_refused_in_one_line(tmp_path, old, new, says):
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "00_sample.md"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SheetError, match=says) as caught:
        read_sheet(path)
    assert "\n" not in str(caught.value)
