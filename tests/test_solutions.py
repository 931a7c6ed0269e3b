"""Every exercise sheet proves itself: reference, untouched stub, wrong answers."""

from pathlib import Path

import pytest
from lessons import ROOT, SHEETS

from mmcourse.grading.bank import prove
from mmcourse.grading.sheet import read_sheet


def test_there_are_sheets() -> None:
    assert SHEETS, f"no sheet in {ROOT / 'solutions'}"


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.stem)
def test_the_sheet_is_proved(path: Path) -> None:
    sheet = read_sheet(path)
    assert sheet.assignment == path.stem
    assert prove(sheet) == []
