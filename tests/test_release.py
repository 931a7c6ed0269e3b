"""Generated notebooks agree with their sources; exercises stop and solutions run as promised."""

from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
import pytest
from lessons import LESSONS, ROOT, SHEETS
from nbclient import NotebookClient
from submissions import SAMPLE

from mmcourse.grading.nursery import Nursery
from mmcourse.grading.rebuild import KERNEL_NAME, write_kernel
from mmcourse.grading.release import (
    drifted,
    exercise_notebook,
    generated,
    notebook_text,
    solution_notebook,
)
from mmcourse.grading.sheet import read_sheet

EVERY_SHEET = [SAMPLE, *SHEETS]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Forks a kernel for each notebook, with all that sheets import in it."""
    modules = sorted(set().union(*(read_sheet(path).modules for path in EVERY_SHEET)))
    started = Nursery(modules=modules)
    try:
        started.wait_ready()
        yield started
    finally:
        started.close()


@pytest.fixture
def kernel(nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, where a forked kernel is found by its name."""
    write_kernel(tmp_path, nursery.address)
    for name in ("path", "config_dir", "runtime_dir"):
        monkeypatch.setenv(f"JUPYTER_{name.upper()}", str(tmp_path / "jupyter"))
    return tmp_path


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
def test_an_untouched_exercise_stops_only_with_not_implemented_error(
    path: Path, kernel: Path
) -> None:
    notebook = exercise_notebook(read_sheet(path))
    options = {"timeout": 120, "allow_errors": True, "kernel_name": KERNEL_NAME}
    NotebookClient(notebook, **options).execute(cwd=str(kernel))
    errors = {
        cell.id: output.ename
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }
    assert errors, "an untouched exercise cannot pass"
    assert set(errors.values()) == {"NotImplementedError"}, errors


@pytest.mark.notebook
@pytest.mark.parametrize("path", EVERY_SHEET, ids=lambda path: path.stem)
def test_a_solution_is_green_under_nbval(path: Path, kernel: Path, nursery: Nursery) -> None:
    file = kernel / f"{path.stem}.ipynb"
    file.write_text(notebook_text(solution_notebook(read_sheet(path))), encoding="utf-8")
    arguments = ["-q", "-p", "nbval.plugin", "--nbval-lax", "--nbval-kernel-name", KERNEL_NAME]
    arguments += ["--noconftest", "-p", "no:cacheprovider", "--rootdir", str(kernel), str(file)]
    jupyter = {"JUPYTER_PATH": str(kernel / "jupyter")}
    code = nursery.pytest(arguments, kernel, jupyter, wait_s=180)
    said = (kernel / "pytest.log").read_text()
    assert code == 0, said[-3000:]
    assert " passed" in said
