"""A Dask cluster grades as one machine does, whatever happens to its workers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import distributed
import psutil
import pytest
from submissions import EX1, EX1_WRONG, EX2, RESIDUAL, SAMPLE, code, submission, without, write

from mmcourse.grading import batch, cluster, one
from mmcourse.grading.sheet import read_sheet
from mmcourse.grading.units import Waiting

pytestmark = pytest.mark.slow

LEAVES = EX1.replace("return", "import os; os._exit(0)\n    return")
KILLER = "import os\nos.kill(os.getpid(), 9)"
FORGER = "print('ok ex1.value'); torch.allclose = lambda *a, **k: True"
ENDLESS = RESIDUAL.format("while True: pass")
OF_TIME = {"graded_at", "wall_s", "seconds"}
REFUSE = """
from mmcourse.grading import one
def refuse(unit, places=1):
    raise {}("{}")
kept = one.grade if not hasattr(one, "kept") else one.kept
one.kept, one.grade = kept, refuse
"""
RELENT = "from mmcourse.grading import one\none.grade = one.kept\n"


def hand_in(folder: Path) -> None:
    """Twenty notebooks: right, wrong, hostile, broken."""
    notebooks = {
        **{f"right-{i}": submission(EX1, EX2, (f"x = {i}",)) for i in range(5)},
        **{f"wrong-{i}": submission(EX1_WRONG, EX2, (f"x = {i}",)) for i in range(3)},
        "stub": submission(),
        "half": submission(EX1),
        "other-half": submission(None, EX2),
        "leaves": submission(LEAVES, EX2),
        "killer": submission(EX1, EX2, (KILLER,)),
        "forger": submission(EX1_WRONG, EX2, (FORGER,)),
        "endless": submission(EX1, ENDLESS),
        "missing": without(submission(EX1, EX2), "ex1"),
        "한글 이름": submission(EX1, EX2),
        "nothing": {"cells": [code("x = 1")], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    }
    for name, raw in notebooks.items():
        write(folder, name, raw)
    (folder / "essay.ipynb").write_text("Dear teacher,")
    (folder / "link.ipynb").symlink_to("/etc/passwd")


@pytest.fixture(scope="module")
def engine():
    """A cluster of two processes on this machine."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as local, distributed.Client(local) as client:
        yield client


def graded(folder: Path, out: Path, address: str = ""):
    todo = batch.jobs(batch.submissions([folder]), SAMPLE)
    options = {"parallel": 2, "isolation": "auto", "budget_s": 30, "cluster": address}
    return batch.grade_all(todo, out, **options)


def timeless(value):
    """A value without what a clock says."""
    if isinstance(value, dict):
        return {key: timeless(own) for key, own in value.items() if key not in OF_TIME}
    return [timeless(own) for own in value] if isinstance(value, list) else value


def test_twenty_submissions_give_the_results_file_of_a_local_run(engine, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    hand_in(folder)
    assert len(list(graded(folder, tmp_path / "there", engine.scheduler.address))) == 20
    list(graded(folder, tmp_path / "here"))
    files = [tmp_path / name / "results.json" for name in ("here", "there")]
    here, there = (json.loads(file.read_text()) for file in files)
    assert timeless(there) == timeless(here)
    assert all(result["infra"] == [] for result in here)
    points = {result["submission"]: result["points"] for result in here}
    assert (points["right-0"], points["forger"], points["killer"]) == (6, 4, 6)
    assert (tmp_path / "here/grades.csv").read_text() == (tmp_path / "there/grades.csv").read_text()
    # What the cluster graded, this machine need not grade again.
    before = os.stat(tmp_path / "there/.results/endless.json").st_mtime_ns
    list(graded(folder, tmp_path / "there"))
    assert os.stat(tmp_path / "there/.results/endless.json").st_mtime_ns == before


def test_what_goes_wrong_on_one_worker_is_done_by_another(engine, tmp_path):
    write(tmp_path, "anna", submission(EX1, EX2))
    first = next(iter(engine.scheduler_info()["workers"]))
    engine.run(exec, REFUSE.format("one.Unfit", "no sandbox here"), {}, workers=[first])
    try:
        (result,) = graded(tmp_path, tmp_path / "out", engine.scheduler.address)
    finally:
        engine.run(exec, RELENT, {}, workers=[first])
    assert (result["status"], result["points"]) == ("graded", 6)


@pytest.mark.parametrize(("error", "text"), [("one.Unfit", "no sandbox"), ("OSError", "disk full")])
def test_what_goes_wrong_everywhere_is_a_grader_error_and_no_zero(engine, tmp_path, error, text):
    for name in ("anna", "ben", "cho"):
        write(tmp_path, name, submission(EX1, EX2))
    engine.run(exec, REFUSE.format(error, text), {})
    try:
        results = list(graded(tmp_path, tmp_path / "out", engine.scheduler.address))
    finally:
        engine.run(exec, RELENT, {})
    for result in results:
        assert result["status"] == "grader_error"
        assert len(result["infra"]) == cluster.TRIES
        assert all(text in line for line in result["infra"])
    assert ",," in (tmp_path / "out" / "grades.csv").read_text().splitlines()[1]
    assert not list((tmp_path / "out" / ".results").glob("*.json"))


def test_a_worker_that_is_killed_loses_no_submission(engine, tmp_path):
    for number in range(3):
        write(tmp_path, f"s{number}", submission(EX1, EX2, (f"x = {number}",)))
    run = graded(tmp_path, tmp_path / "out", engine.scheduler.address)
    results = [next(run)]
    (pid, *_) = engine.run(os.getpid).values()
    tree = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    results += run
    assert [result["points"] for result in results] == [6] * 3
    assert psutil.wait_procs(tree, timeout=10)[1] == []


def test_a_unit_holds_seeds_and_no_secret(tmp_path):
    path = write(tmp_path, "anna", submission(EX1, EX2))
    key, sheet = b"k" * 32, read_sheet(SAMPLE)
    options = {"isolation": "auto", "budget_s": 30, "unsafe": False}
    unit = json.dumps(one.pack("anna", path, sheet, key=key, **options))
    assert "kkk" not in unit
    assert len(set(json.loads(unit)["seeds"].values())) == len(sheet.checks)


def test_nothing_at_the_address_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    write(tmp_path, "anna", submission(EX1, EX2))
    with pytest.raises(ValueError, match=r"no Dask cluster at tcp://127.0.0.1:9 "):
        list(graded(tmp_path, tmp_path / "out", "tcp://127.0.0.1:9"))


def test_packed_submissions_are_graded_by_a_command_from_file_to_file(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in ("anna", "ben"):
        write(tmp_path / "in", name, submission(EX1, EX2, (f"name = {name!r}",)))
    elsewhere = tmp_path / "units"

    def turn() -> list[tuple[str, str, float]]:
        todo = batch.jobs(batch.submissions([tmp_path / "in"]), SAMPLE)
        options = {"parallel": 2, "isolation": "auto", "budget_s": 30, "packed": elsewhere}
        results = batch.grade_all(todo, tmp_path / "out", **options)
        return [(r["submission"], r["status"], r["points"]) for r in results]

    for _ in range(2):  # packed once, however often it is asked for
        with pytest.raises(Waiting, match=r"2 of 2 wait for .*, N = 0 to 1"):
            turn()
    assert sorted(path.name for path in (elsewhere / "units").iterdir()) == ["0.json", "1.json"]
    files = [str(elsewhere / part / "0.json") for part in ("units", "results")]
    subprocess.run([sys.executable, "-m", "mmcourse.grading.one", *files], check=True)
    with pytest.raises(Waiting, match=r"1 of 2 wait for .*, N = 1"):
        turn()
    # The result of another submission is none, nor is one where the grader failed.
    other = json.loads((elsewhere / "results" / "0.json").read_text())
    digest = one.extract.digest((tmp_path / "in" / "ben.ipynb").read_bytes())
    for wrong in ({}, {"submission": "ben", "sha256": digest, "status": "grader_error"}):
        (elsewhere / "results" / "1.json").write_text(json.dumps(other | wrong))
        with pytest.raises(Waiting, match="1 of 1 wait"):
            turn()
    own = other | {"submission": "ben", "sha256": digest}
    (elsewhere / "results" / "1.json").write_text(json.dumps(own))
    assert turn() == [("anna", "graded", 6), ("ben", "graded", 6)]


def test_a_unit_of_another_grader_is_refused(tmp_path, capsys):
    (tmp_path / "unit.json").write_text(json.dumps({"schema": one.SCHEMA, "grader": "0.0"}))
    assert one.main([str(tmp_path / "unit.json"), str(tmp_path / "result.json")]) == 2
    assert "another version" in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()
