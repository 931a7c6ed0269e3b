"""The first cell of a lesson's .ipynb: Colab and Binder get the package, others get nothing."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nbformat
import pytest
from lessons import LESSONS, ROOT

from mmcourse.grading.launch import NEEDS, launch_cell, published
from mmcourse.grading.release import generated
from mmcourse.grading.sheet import SheetError

REPOSITORY = "https://github.com/someone/mmcourse"
TEXT = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n# 00 · Sample\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that has not got the package; `commands` are what the cell has called."""
    found, commands, shown = importlib.util.find_spec, [], []
    colab = ModuleType("google.colab")
    colab.output = SimpleNamespace(enable_custom_widget_manager=lambda: shown.append(True))
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    lacks = lambda name: None if name == "mmcourse" else found(name)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", lacks)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    for name in ("COLAB_RELEASE_TAG", "BINDER_LAUNCH_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(commands=commands, shown=shown, found=found)


def run(repository: str = REPOSITORY) -> None:
    exec(compile(launch_cell(repository).source, "launch", "exec"), {})


def test_elsewhere_it_does_nothing(machine, capsys):
    run()
    assert (machine.commands, machine.shown, capsys.readouterr().out) == ([], [], "")


def test_on_colab_it_installs_the_package_and_says_so(machine, monkeypatch, capsys):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    run()
    needs, package = machine.commands
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    assert needs == [*pip, *NEEDS.split()]
    assert package == [*pip, "--no-deps", f"git+{REPOSITORY}"]
    said = capsys.readouterr().out
    assert "Installing the course's package" in said
    assert "is installed" in said
    assert machine.shown, "Colab shows widgets only when it is asked to"


def test_where_the_package_is_nothing_is_installed(machine, monkeypatch, capsys):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.setattr(importlib.util, "find_spec", machine.found)
    run()
    assert (machine.commands, capsys.readouterr().out) == ([], "")
    assert machine.shown


def test_on_binder_it_takes_the_checkout(machine, monkeypatch):
    monkeypatch.setenv("BINDER_LAUNCH_HOST", "https://mybinder.org/")
    monkeypatch.chdir(ROOT / "notebooks")
    run("")
    assert machine.commands[1][-1] == ".."
    assert not machine.shown


def test_a_copy_that_knows_no_place_says_so(machine, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    with pytest.raises(RuntimeError, match="does not know where its package is"):
        run("")


def test_it_gets_everything_that_a_lesson_imports():
    own = {"grading", "cli.py", "cli_grade.py", "cli_models.py", "cli_sheets.py", "doctor.py"}
    known, wanted = packages_distributions(), set()
    for path in (ROOT / "mmcourse").rglob("*.py"):
        if path.relative_to(ROOT / "mmcourse").parts[0] in own:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                wanted.add((node.module or "").split(".")[0])
    # Every notebook server has IPython; matplotlib brings its cycler; graphs are made where the
    # book is built, nowhere else.
    wanted -= {*sys.stdlib_module_names, "mmcourse", "IPython", "cycler", "onnx"}
    needs = {name.lower() for name in NEEDS.split()}
    missing = {m for m in wanted if not needs & {d.lower().replace("_", "-") for d in known[m]}}
    assert not missing


def test_it_is_the_first_cell_of_every_lesson_and_fits_a_page():
    for path in LESSONS:
        cells = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
        assert cells[0] == launch_cell(published(ROOT))
    assert max(map(len, launch_cell(published(ROOT)).source.splitlines())) <= 79


def lesson(folder: Path, text: str = TEXT, project: str = "") -> Path:
    (folder / "notebooks").mkdir()
    (folder / "pyproject.toml").write_text(project)
    path = folder / "notebooks" / "00_sample.md"
    path.write_text(text)
    return path


def test_the_repository_stands_in_one_place(tmp_path):
    path = lesson(tmp_path, project=f'[tool.mmcourse]\nrepository = "{REPOSITORY}/"\n')
    first = nbformat.reads(generated(path), 4).cells[0]
    assert f'repository = "{REPOSITORY}"\n' in first.source
    assert first.metadata["tags"] == ["launch"]
    (tmp_path / "pyproject.toml").unlink()
    assert 'repository = ""\n' in nbformat.reads(generated(path), 4).cells[0].source


def test_a_text_with_that_cell_is_refused(tmp_path):
    cell = "\n```{code-cell} ipython3\n:tags: [launch]\n\nprint(1)\n```\n"
    with pytest.raises(SheetError, match="take out the cell tagged `launch`"):
        generated(lesson(tmp_path, TEXT + cell))


def test_jupyterlab_opens_the_pair_and_shows_the_text(tmp_path):
    """Even where the .ipynb is younger, which jupytext by itself refuses to open."""
    from jupyter_server.services.contents.largefilemanager import LargeFileManager
    from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class

    path = lesson(tmp_path)
    shutil.copy(ROOT / "jupytext.toml", tmp_path)
    path.with_suffix(".ipynb").write_text(generated(path))
    os.utime(path, (1e9, 1e9))
    manager = build_sync_jupytext_contents_manager_class(LargeFileManager)()
    manager.root_dir = str(tmp_path)
    opened = manager.get("notebooks/00_sample.ipynb")["content"]
    assert [cell["source"] for cell in opened["cells"]] == ["# 00 · Sample"]
