"""Generated notebooks agree with their sources; exercises stop and solutions run as promised."""

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from lessons import LESSONS, ROOT, SHEETS
from nbclient import NotebookClient
from submissions import SAMPLE

from mmcourse.grading.release import (
    drifted,
    exercise_notebook,
    generated,
    notebook_text,
    solution_notebook,
)
from mmcourse.grading.sheet import read_sheet

EVERY_SHEET = [SAMPLE, *SHEETS]


def test_no_generated_file_has_drifted() -> None:
    names = [str(path.relative_to(ROOT)) for path in drifted(ROOT, [])]
    assert names == [], "run `mmcourse release`"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_and_its_notebook_agree(path: Path) -> None:
    text = jupytext.read(path)
    paired = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert paired.cells[0].id == "launch", "tests/test_launch.py proves that it does nothing here"
    assert [(c.cell_type, c.source) for c in text.cells] == [
        (c.cell_type, c.source) for c in paired.cells[1:]
    ]
    assert all(not c.get("outputs") and not c.get("execution_count") for c in paired.cells)
    assert generated(path) == generated(path)


@pytest.mark.notebook
@pytest.mark.parametrize("path", EVERY_SHEET, ids=lambda path: path.stem)
def test_an_untouched_exercise_stops_only_with_not_implemented_error(path: Path) -> None:
    notebook = exercise_notebook(read_sheet(path))
    notebook_errors = run(notebook)
    assert notebook_errors, "an untouched exercise cannot pass"
    assert set(notebook_errors.values()) == {"NotImplementedError"}, notebook_errors


@pytest.mark.notebook
@pytest.mark.parametrize("path", EVERY_SHEET, ids=lambda path: path.stem)
def test_a_solution_is_green_under_nbval(path: Path, tmp_path: Path) -> None:
    file = tmp_path / f"{path.stem}.ipynb"
    file.write_text(notebook_text(solution_notebook(read_sheet(path))), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env"]
    command += ["--noconftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, cwd=ROOT, env=environment()
    )
    assert done.returncode == 0, done.stdout[-3000:]


def run(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """The name of the error of every cell that ends with one."""
    NotebookClient(notebook, timeout=120, allow_errors=True).execute(
        cwd=str(ROOT), env=environment()
    )
    return {
        cell.id: output.ename
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }


def environment() -> dict[str, str]:
    """This environment, with one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}
