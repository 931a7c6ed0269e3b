"""What a hidden check asks stays hidden, also from a learner who keeps notes between checks."""

import json
import re
from pathlib import Path

import pytest
from submissions import EX1, RESIDUAL, SAMPLE, submission, write

from mmcourse.grading import batch
from mmcourse.grading.sandbox import best_isolation

pytestmark = pytest.mark.slow

# At each call: write the input down, tell what was written before, then end the process.
NOTES = """import glob, os, pathlib
        notes = sorted(glob.glob(os.getcwd() + "/note*"))
        told = [pathlib.Path(name).read_text() for name in notes]
        print(told)
        pathlib.Path(os.getcwd(), f"note{len(told)}").write_text(f"SECRET {x.flatten().tolist()}")
        os._exit(0)"""
TELLER = """
import glob, os, pathlib
for name in glob.glob(os.getcwd() + "/note*"):
    raise ValueError(pathlib.Path(name).read_text())
"""


@pytest.mark.parametrize("level", ["bwrap", "landlock", "process"])
def test_notes_on_hidden_inputs_reach_nobody(level: str, tmp_path: Path) -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    text, count = re.subn(r"(key: ex2\.\w+, exercise: ex2, )", r"\1hidden: true, ", text)
    assert count >= 2
    sheet = tmp_path / "00_sample.md"
    sheet.write_text(text, encoding="utf-8")
    write(tmp_path, "notes", submission(EX1, RESIDUAL.format(NOTES), (TELLER,)))
    todo = batch.jobs(batch.submissions([tmp_path / "notes.ipynb"]), sheet)
    assert best_isolation(level).level == level
    options = {"parallel": 1, "isolation": level, "budget_s": 60.0}
    (result,) = batch.grade_all(todo, tmp_path / "out", **options)
    assert (result["status"], result["infra"]) == ("graded", [])
    assert {row["id"]: row["points"] for row in result["exercises"]} == {"ex1": 3, "ex2": 0}
    assert result["restarts"] >= 2
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or "SECRET" not in path.read_text(encoding="utf-8"), path
    assert "SECRET" not in json.dumps(result)
