"""A right answer never fails for the inputs that were drawn."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from submissions import SAMPLE

from mmcourse.grading import batch
from mmcourse.grading.fairness import TURNS, Reference, following
from mmcourse.grading.release import notebook_text, solution_notebook
from mmcourse.grading.sheet import Sheet, read_sheet

UNLUCKY = """
y = randint(0, 4, ())
expect.not_close(y, student.attention_weights(rand(1, 2), rand(1, 2))[0, 0].long(), "a mistake")
"""
# The solution gives 1 here, and one of four inputs is 1, too.
BROKEN = """
expect.true(student.attention_weights(rand(2, 2), rand(2, 2)) is None, "never right")
"""


def sheet_with(check: str, folder: Path) -> Sheet:
    """The sample with another visible check in the place of its first."""
    text = SAMPLE.read_text(encoding="utf-8")
    first = next(cell for cell in read_sheet(SAMPLE).role("check"))
    assert first.source in text
    path = folder / "00_sample.md"
    path.write_text(text.replace(first.source, check.strip()), encoding="utf-8")
    return read_sheet(path)


def reference(sheet: Sheet) -> Reference:
    return Reference([asdict(cell) for cell in sheet.cells])


def test_a_seed_that_is_good_is_kept() -> None:
    asked = reference(read_sheet(SAMPLE))
    for key in asked.sheet.checks:
        assert [asked.seed(key, seed) for seed in range(3)] == [0, 1, 2]


def test_an_unlucky_seed_is_passed_over(tmp_path: Path) -> None:
    asked = reference(sheet_with(UNLUCKY, tmp_path))
    key = next(iter(asked.sheet.checks))
    given = {seed: asked.seed(key, seed) for seed in range(40)}
    moved = [seed for seed, fair in given.items() if fair != seed]
    assert 2 <= len(moved) <= 20
    for seed in moved:
        after = seed
        while after != given[seed]:
            after = following(after)
        assert asked.seed(key, given[seed]) == given[seed]


def test_following_seeds_are_different_and_of_56_bits() -> None:
    seeds = [following(seed) for seed in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**56 for seed in seeds)


def test_a_check_that_nothing_passes_has_no_seed(tmp_path: Path) -> None:
    asked = reference(sheet_with(BROKEN, tmp_path))
    assert asked.seed(next(iter(asked.sheet.checks)), 1) is None
    assert TURNS >= 5  # an input that is bad half of the time leaves 1 in 256 at eight turns


@pytest.mark.slow
def test_a_broken_check_is_the_graders_error_and_never_a_zero(tmp_path: Path) -> None:
    sheet = sheet_with(BROKEN, tmp_path)
    path = tmp_path / "good.ipynb"
    path.write_text(notebook_text(solution_notebook(read_sheet(SAMPLE))), encoding="utf-8")
    (job,) = batch.jobs({"good": path}, sheet.path)
    options = {"parallel": 1, "isolation": "auto", "budget_s": 60.0}
    (result,) = batch.grade_all([job], tmp_path / "out", **options)
    key = next(iter(sheet.checks))
    assert result["status"] == "grader_error"
    assert f"{key}: the sheet's own solution does not pass it" in result["infra"]
    assert json.loads((tmp_path / "out" / "results.json").read_text())[0]["status"] == (
        "grader_error"
    )
