"""What a release keeps, removes and repeats."""

import json
import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest
from submissions import SAMPLE

from mmcourse.grading.release import (
    block,
    differing,
    drifted,
    exercise_notebook,
    notebook_text,
    own_targets,
    stub,
    targets,
    write_all,
)
from mmcourse.grading.sheet import IMPORT, Cell, SheetError, read_sheet


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


EX2_KEY = "key: ex2, defines: [Residual]"
BROKEN = [
    # the notebook
    ("  assignment: 00_sample\n", "", "the notebook metadata needs `mmcourse: {assignment"),
    ("assignment: 00_sample", "assignment: 815", "assignment must be a text of letters"),
    ("assignment: 00_sample", "assignment: a/b", "assignment must be a text of letters"),
    ("version: '1'", "version: [1]", "version must be a text or a number"),
    # fields
    ("role: check, key: ex1.value", "role: chck, key: ex1.value", "ex1.value: role must be one of"),
    ("{role: setup, key: setup}", "{key: setup}", "cell setup: role must be one of setup, answer"),
    ("{role: setup, key: setup}", "[setup]", "cell 2: `mmcourse` must hold fields"),
    ("{role: setup, key: setup}", "{role: setup}", r"cell 2 \('from mmcourse.*: a key is missing"),
    ("key: ex2.gradient", "key: 7", "key must be like `ex1` or `ex1.value`.*got 7"),
    ("key: ex2.gradient", "key: ex2_gradient", "key must be like"),
    ("key: setup", "key: text-1", "cell text-1: the key may not begin with"),
    ("hidden: true", "hiden: true", "cell ex1.large: unknown field 'hiden'"),
    ("hidden: true", "hidden: 'yes'", "cell ex1.large: hidden must be true or false, got 'yes'"),
    ("points: 2, timeout_s", "points: 0, timeout_s", "cell ex2.value: points must be more than 0"),
    ("points: 2, timeout_s", "points: two, timeout_s", "points must be more than 0, got 'two'"),
    ("points: 2, timeout_s", "points: .nan, timeout_s", "points must be more than 0, got nan"),
    ("points: 2, timeout_s", "timeout_s", "cell ex2.value: points are missing"),
    ("timeout_s: 10", "timeout_s: soon", "cell ex1.large: timeout_s must be more than 0 seconds"),
    ("defines: [Residual]", "defines: Residual", "cell ex2: defines must be a list of names"),
    ("defines: [Residual]", "defines: []", "cell ex2: defines must be a list of names"),
    (", defines: [Residual]", "", "cell ex2: `defines` must list"),
    ("defines: [Residual]", "defines: [Rest]", "cell ex2: it does not define Rest"),
    ("[scaled_dot_product_attention]", "[F.sdpa]", "cell ex1: forbid must be a list of names"),
    ("says: not over the keys", "says: not over, the keys", "unknown field 'the keys'"),
    (", says: not over the keys", "", "cell ex1.wrong-axis: a wrong answer needs `fails` and"),
    ("role: wrong, key: ex1.wrong-axis", "role: wrong, key: ex1.wrong-axis, points: 1",
     "cell ex1.wrong-axis: unknown field 'points'"),
    ('+++ {"mmcourse": {"role": "wrong"}}', '+++ {"mmcourse": {"role": "check"}}',
     "its role is `text` or `wrong`, not 'check'"),
    # sources
    ("# mmcourse: answer ex1\n", "", "cell ex1: the first line must be"),
    ("    return x + self.inner(x)\n        ### END", "    return x +\n        ### END",
     "cell ex2: not Python in line [0-9]+: "),
    ("    ### END SOLUTION", "    # end", "needs matching"),
    ("    ### BEGIN SOLUTION", "    ### BEGIN SOLUTION (short)", "must be alone on its line"),
    ("    ### END SOLUTION", "    ### END SOLUTION\n    #BEGIN SOLUTION", "alone on its line"),
    ("    ### BEGIN SOLUTION", "    ### END SOLUTION\n    ### BEGIN SOLUTION", "needs matching"),
    ("import torch\n", "import torch\n### BEGIN SOLUTION\n### END SOLUTION\n",
     "cell setup: '### BEGIN SOLUTION' takes nothing out here: use an answer cell"),
    ("q = 1000", "### BEGIN HIDDEN TESTS\nq = 1000", "use a check with `hidden: true`"),
    # how cells hang together
    ("key: ex2.gradient", "key: ex2.value", "the key 'ex2.value' is used twice"),
    ("key: setup", "key: ex1-value", "the keys 'ex1-value' and 'ex1.value' give the same cell id"),
    ("role: setup, key: setup", "role: check, key: ex1.first, points: 1", "must have role `setup`"),
    (EX2_KEY, EX2_KEY.replace("ex2", "ex2.a"), "cell ex2.a: the key of an answer has no dot"),
    ("exercise: ex2, title: Gradient", "exercise: ex9, title: G", "there is no answer 'ex9'"),
    ("exercise: ex2, title: Gradient", "exercise: ex1, title: G", "must begin with 'ex1' and"),
    ("fails: ex1.large", "fails: ex1.huge", "there is no check 'ex1.huge'"),
    ("fails: ex1.large", "fails: ex2.value", "'ex2.value' is a check of another question"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_a_broken_sheet_is_refused_in_one_line(tmp_path, old, new, says):
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "00_sample.md"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SheetError, match=says) as caught:
        read_sheet(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (("setup",), "there is no answer"),
        (("setup", "answer"), "there is no check"),
        ((), "the first code cell must have role `setup`"),
    ],
)
def test_a_sheet_with_a_part_missing_is_refused(tmp_path, kept, says):
    notebook = jupytext.read(SAMPLE)
    cells = notebook.cells
    notebook.cells = [c for c in cells if c.metadata.get("mmcourse", {}).get("role") in kept]
    path = tmp_path / "part.ipynb"
    jupytext.write(notebook, path)
    with pytest.raises(SheetError, match=says):
        read_sheet(path)


def test_pictures_in_text_are_kept_and_raw_cells_stay_raw(tmp_path):
    notebook = jupytext.read(SAMPLE)
    notebook.cells[0].attachments = {"a.png": {"image/png": "AAAA"}}
    notebook.cells.insert(1, nbformat.v4.new_raw_cell("raw"))
    jupytext.write(notebook, tmp_path / "00_sample.ipynb")
    made = exercise_notebook(read_sheet(tmp_path / "00_sample.ipynb"))
    assert made.cells[0].attachments == {"a.png": {"image/png": "AAAA"}}
    assert made.cells[1].cell_type == "raw"


def test_the_words_of_checks_are_imported_if_the_sheet_does_not(tmp_path):
    path = tmp_path / "00_sample.md"
    path.write_text(SAMPLE.read_text().replace(f"{IMPORT}\n\n", "").replace(f"{IMPORT}\n", ""))
    assert IMPORT not in path.read_text()
    assert read_sheet(path).cells == read_sheet(SAMPLE).cells


def test_own_sheets_are_released_anywhere_but_never_over_themselves(tmp_path):
    sheet = tmp_path / "hw.md"
    shutil.copy(SAMPLE, sheet)
    targets = own_targets([sheet], tmp_path / "out")
    assert differing(targets) == [tmp_path / "out" / "hw.ipynb"]
    with pytest.raises(SheetError, match="would replace it"):
        own_targets([tmp_path / "hw.ipynb"], tmp_path)
    with pytest.raises(SheetError, match="would both become"):
        own_targets([sheet, tmp_path / "hw.ipynb"], tmp_path / "out")
