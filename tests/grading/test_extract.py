"""Answers are found wherever they went, and nothing about a file is believed."""

import json
import os
import time

import pytest
from submissions import EX1, EX2, SAMPLE, code, submission, without

from mmcourse.grading import rules
from mmcourse.grading.extract import Unreadable, assignment_of, extract, read_bytes, read_cells
from mmcourse.grading.forbid import forbidden_calls
from mmcourse.grading.rebuild import pieces, refused, seed_of
from mmcourse.grading.sheet import read_sheet

SHEET = read_sheet(SAMPLE)


def answers(raw):
    return extract(SHEET, read_cells(json.dumps(raw).encode())[1])


@pytest.mark.parametrize("kept", ["metadata", "id", "marker", "name"])
def test_an_answer_is_found_by_any_of_its_four_signs(kept):
    raw = submission(EX1, EX2)
    for cell in raw["cells"]:
        if cell["id"] == "ex1":
            if kept != "metadata":
                cell["metadata"] = {}
            if kept not in ("metadata", "id"):
                cell["id"] = "abc"
            if kept == "name":
                cell["source"] = cell["source"].split("\n", 1)[1]
    found = answers(raw)
    assert [piece.exercise for piece in found.pieces] == ["ex1", "ex2"]


def test_instructors_cells_are_rebuilt_not_taken():
    found = answers(submission(EX1, EX2))
    assert all("with check" not in piece.source for piece in found.pieces)
    rebuilt = pieces(SHEET, found)
    assert [piece["trusted"] for piece in rebuilt] == [True, False, False]
    assert rebuilt[0]["source"] == SHEET.role("setup")[0].source


def test_helpers_and_a_changed_setup_are_kept_in_order():
    raw = submission(EX1, EX2, extra=("HELPER = 1",))
    setup = next(cell for cell in raw["cells"] if cell["id"] == "setup")
    setup["source"] = "import math\n" + "".join(setup["source"])
    found = answers(raw)
    assert [piece.exercise for piece in found.pieces] == ["", "", "ex1", "ex2"]
    assert "import math" in found.pieces[0].source


def test_an_untouched_copy_does_not_undo_an_answer():
    raw = submission(EX1, EX2)
    stub = next(cell for cell in submission()["cells"] if cell["id"] == "ex1")
    raw["cells"].append(stub)
    found = answers(raw)
    assert len(found.of("ex1")) == 1
    assert any("untouched copy" in note for note in found.notes)


def test_a_missing_answer_is_noted():
    found = answers(without(submission(EX1, EX2), "ex1"))
    assert found.of("ex1") == []
    assert "ex1: no answer cell was found" in found.notes


@pytest.mark.parametrize(
    "data",
    [b"", b"  \n", b"Dear teacher", b"\xff\xfe", b"[" * 100_000, b"[]", b"3", b'{"cells": {}}',
     b'{"worksheets": []}', json.dumps({"cells": [{}] * 3000}).encode()],
)  # fmt: skip
def test_what_is_no_notebook_is_unreadable(data):
    with pytest.raises(Unreadable):
        read_cells(data)


def test_odd_cells_are_survived():
    odd = [None, 3, {"cell_type": "code"}, {"cell_type": "code", "source": 3, "metadata": 4},
           {"cell_type": "code", "source": ["x", 1], "metadata": {"mmcourse": {"key": [1]}}},
           code("\ud800"), code("x" * 2_000_000), code("def (", id=7)]  # fmt: skip
    found = answers({"cells": odd, "metadata": []})
    assert all(piece.exercise == "" for piece in found.pieces)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/hostname")
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.truncate(30 * 2**20)
    for name in ("pipe", "link", "big", "gone"):
        with pytest.raises(Unreadable):
            read_bytes(tmp_path / name)
    with pytest.raises(Unreadable):
        read_bytes(tmp_path)


def test_an_assignment_cannot_name_a_path():
    assert assignment_of({"mmcourse": {"assignment": "31_attention"}}) == "31_attention"
    for name in ("../../etc/passwd", "a/b", "", 3, None, "x" * 200):
        assert assignment_of({"mmcourse": {"assignment": name}}) == ""


def test_forbidden_calls_are_named():
    source = EX1 + "\nimport torch.nn.functional as F\nF.scaled_dot_product_attention(1)\n"
    assert forbidden_calls(source, ["scaled_dot_product_attention"])
    assert forbidden_calls("%timeit 1\ny = soft", ["softmax"]) == []
    assert forbidden_calls("def (", ["softmax"]) == []
    found = refused(SHEET, answers(submission(source, EX2)))
    assert found == {"ex1": "this answer may not use scaled_dot_product_attention"}


def test_seeds_are_repeatable_and_their_own_for_each_check_and_submission():
    seeds = {seed_of(b"key", sha, name) for sha in ("a", "b") for name in SHEET.checks}
    assert len(seeds) == 2 * len(SHEET.checks)
    assert seed_of(b"key", "a", "ex1.value") == seed_of(b"key", "a", "ex1.value")
    assert seed_of(b"other", "a", "ex1.value") not in seeds


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from a.b import softmax as f", True),
        ("import a.softmax as f", True),
        ("f = softmax", True),
        ("softmax = softmax", True),
        ("x.apply(softmax)", True),
        ("def softmax(x): return x\nsoftmax(1)", False),
        ("softmax = 1 + 2\nprint(softmax)", False),
        ("def f(softmax): return softmax + 1", False),
        ("'softmax'  # softmax", False),
    ],
)
def test_an_alias_is_found_and_a_name_of_ones_own_is_allowed(source, found):
    assert forbidden_calls(source, ["softmax"]) == ["softmax"] * found


@pytest.mark.parametrize("line", ["\n", " \n", "\t# ", "%time 1\n", "x = !ls\n", "(-", "a.b;"])
def test_a_million_of_anything_takes_no_time(line):
    most = line * (900_000 // len(line))
    source = f"# mmcourse: answer ex1\n{most}"
    start = time.process_time()
    found = answers(submission(source, EX2, (most,)))
    assert len(found.pieces) == 3 - (not line.strip())
    refused(SHEET, found)
    assert time.process_time() - start < 5


def test_many_magics_do_not_stop_the_search_for_forbidden_names():
    source = "%time 1\n" * 600 + "softmax(1)"
    start = time.process_time()
    assert forbidden_calls(source, ["softmax", "relu"]) == ["softmax"]
    assert time.process_time() - start < 1


def test_a_broken_or_magic_cell_does_not_hide_the_others():
    for cells in ([")", "softmax(1)"], ["%%time\nsoftmax(1)"], ["    softmax(1)"]):
        assert forbidden_calls(cells, ["softmax"]) == ["softmax"]
    own = ["def softmax(x): return x", "softmax(1)"]
    assert forbidden_calls(own, ["softmax"]) == []


def test_the_modules_of_a_sheet_are_those_its_setup_imports() -> None:
    assert read_sheet(SAMPLE).modules == {"torch", "mmcourse.grading"}
    source = "import a.b as c, d\nfrom e.f import g\nfrom . import h\n%matplotlib inline\n"
    assert rules.imported_modules(source) == {"a.b", "d", "e.f"}
    assert rules.imported_modules("import (") == set()
