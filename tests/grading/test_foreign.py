"""An assignment of somebody else's, from the instructors' page: as printed there, and as .ipynb."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
from lessons import ROOT
from submissions import code

from mmcourse.grading import batch
from mmcourse.grading.release import exercise_notebook, notebook_text, own_targets, write
from mmcourse.grading.sheet import read_sheet

PAGE = (ROOT / "book" / "grading.md").read_text(encoding="utf-8")
SECRETS = ("ex1-empty", "IndexError", "sliding_window", "self.items", "pop(0)", "SOLUTION", "Wrong")
RIGHT = {
    "ex1": "class Stack(list):\n    push = list.append",
    "ex2": "def running_mean(x, n):\n    return [x[i:i + n].mean() for i in range(len(x) - n + 1)]",
}
LOST = {
    "ex1": RIGHT["ex1"] + "\n    def pop(self):\n        return super().pop() if self else None",
    "ex2": "import numpy as np\ndef running_mean(x, n):\n    return np.convolve(x, [1] * n) / n",
}


def fenced(kind: str) -> str:
    """The only block of this kind on the page."""
    (text,) = re.findall(rf"^(`{{3,}}){kind}\n(.*?)^\1$", PAGE, re.MULTILINE | re.DOTALL)
    return text[1]


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page's sheet as .md, and the same as .ipynb, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("own")
    md, ipynb = folder / "md" / "stack.md", folder / "ipynb" / "stack.ipynb"
    for path in (md, ipynb):
        path.parent.mkdir()
    md.write_text(fenced("markdown"), encoding="utf-8")
    jupytext.write(jupytext.read(md), ipynb)
    return {"md": md, "ipynb": ipynb}


def test_both_forms_are_the_same_sheet_and_give_nothing_away(sheets, tmp_path):
    released = []
    for kind, path in sheets.items():
        targets = own_targets([path], tmp_path / kind)
        write(targets, list(targets))
        released.append((tmp_path / kind / "stack.ipynb").read_text(encoding="utf-8"))
    assert released[0] == released[1]
    assert "ex1.order" in released[0]
    cells = [c for c in json.loads(released[0])["cells"] if c["id"] != "text-checks"]
    assert [word for word in SECRETS if word in json.dumps(cells)] == []


@pytest.mark.slow
def test_the_page_prints_what_its_commands_print(sheets):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for part in fenced("console").removeprefix("$ ").split("\n$ "):
        command, _, printed = part.partition("\n")
        done = subprocess.run(
            command, shell=True, cwd=sheets["md"].parent, env=environment, timeout=180,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.stdout.strip() == printed.strip(), command
        assert done.returncode == 0


@pytest.mark.slow
def test_an_ipynb_source_grades_what_comes_back(sheets, tmp_path):
    sheet = read_sheet(sheets["ipynb"])
    folder = tmp_path / "handed-in"
    folder.mkdir()
    for name, answers in {"right": RIGHT, "lost": LOST}.items():
        raw = json.loads(notebook_text(exercise_notebook(sheet)))
        # Cells without metadata or ids, as other editors leave them.
        raw["cells"] = [code(f"# mmcourse: answer {key}\n{text}") for key, text in answers.items()]
        (folder / f"{name}.ipynb").write_text(json.dumps(raw))
    todo = batch.jobs(batch.submissions([folder]), sheets["ipynb"])
    graded = batch.grade_all(todo, tmp_path / "out", parallel=2, isolation="auto", budget_s=60)
    results = {result["submission"]: result for result in graded}
    assert {name: result["status"] for name, result in results.items()} == {
        "right": "graded",
        "lost": "graded",
    }
    assert results["right"]["points"] == 6, results["right"]["checks"]
    said = {row["id"]: row["message"] for row in results["lost"]["checks"]}
    assert said == {
        "ex1.order": "",
        "ex1.empty": "this hidden check did not pass",
        "ex2.value": "this answer may not use convolve",
    }
    with open(tmp_path / "out" / "grades.csv", newline="") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert (rows["lost"]["ex1"], rows["lost"]["ex2"]) == ("2", "0")
