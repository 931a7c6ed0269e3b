"""A run as a whole, with an engine that grades nothing: kept, refused, stopped, reported."""

import contextlib
import json
import sys
from pathlib import Path

import pytest
from submissions import EX1, EX2, SAMPLE, submission, write

from mmcourse import cli
from mmcourse.grading import batch, collect, run
from mmcourse.grading.sheet import SheetError

OPTIONS = {"parallel": 2, "isolation": "auto", "budget_s": 60}


class Engine:
    """Gives the points asked for, fails on some submissions, stops at one; counts its calls."""

    def __init__(self) -> None:
        self.level, self.fails, self.stops_at = "bwrap", set(), ""
        self.graded: list[str] = []

    def __call__(self, todo):
        for job in todo:
            if job.name == self.stops_at:
                raise KeyboardInterrupt
            self.graded.append(job.name)
            if job.name in self.fails:
                yield collect.failed(job, self.level, ["the disk is full"])
            else:
                yield run.blank(job.name, job.sheet, self.level) | {"points": 6.0}


@pytest.fixture
def engine(monkeypatch):
    """An engine in place of the grader."""
    made = Engine()

    @contextlib.contextmanager
    def chosen(plan):
        yield made, (made.level,)

    monkeypatch.setattr(batch, "_engine", chosen)
    return made


@pytest.fixture
def folder(tmp_path):
    """Three submissions."""
    inside = tmp_path / "in"
    inside.mkdir()
    for number, name in enumerate(("anna", "ben", "cho")):
        write(inside, name, submission(EX1, EX2, (f"x = {number}",)))
    return inside


def grade(folder: Path, **options):
    todo = batch.jobs(batch.submissions([folder]), SAMPLE)
    return batch.grade_all(todo, folder.parent / "out", **OPTIONS | options)


def command(monkeypatch, folder: Path, *options: str) -> int:
    words = ["grade", str(folder), "--source", str(SAMPLE), "--out", str(folder.parent / "out")]
    monkeypatch.setattr(sys, "argv", ["mmcourse", *words, *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_names_are_safe_short_and_different(tmp_path):
    for name in ("a b", "a_b", "A_B", "x" * 240, "가" * 70, "=1+1", "é", ".hidden", "line\nfeed"):
        (tmp_path / f"{name}.ipynb").write_text("")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.ipynb").write_text("")
    found = batch.submissions([tmp_path])
    assert len(found) == 9  # all but the hidden one
    assert len({name.casefold() for name in found}) == 9
    assert "deep__er__a" in found
    for name in found:
        assert len(name.encode()) <= 160
        assert not set(name) & set("/\\\n =+")


def test_a_grader_error_is_graded_again_and_nothing_else(engine, folder):
    engine.fails = {"ben"}
    assert [r["status"] for r in grade(folder)] == ["graded", "grader_error", "graded"]
    engine.fails, engine.graded = set(), []
    told = []
    results = list(grade(folder, on_kept=told.append))
    assert (engine.graded, told) == (["ben"], [2])
    assert sorted(r["submission"] for r in results) == ["anna", "ben", "cho"]


@pytest.mark.parametrize("change", ["submission", "budget", "level", "file"])
def test_a_result_is_kept_only_while_it_holds(engine, folder, change):
    list(grade(folder))
    engine.graded = []
    options = {}
    if change == "submission":
        write(folder, "ben", submission(EX1))
    elif change == "budget":
        options = {"budget_s": 30}
    elif change == "level":
        engine.level = "landlock"
    else:  # a machine that lost power
        (folder.parent / "out" / ".results" / "ben.json").write_text('{"state": ')
    list(grade(folder, **options))
    assert engine.graded == (
        ["ben"] if change in ("submission", "file") else ["anna", "ben", "cho"]
    )


def test_two_runs_never_share_a_folder(engine, folder):
    first = grade(folder)
    next(first)
    with pytest.raises(SheetError, match="another run is writing"):
        list(grade(folder))
    first.close()
    assert len(list(grade(folder))) == 3


def test_what_a_killed_run_left_half_written_goes(engine, folder):
    out = folder.parent / "out"
    (out / ".results").mkdir(parents=True)
    (out / ".results" / ".anna.json.17.part").write_text("{")
    (out / ".grades.csv.17.part").write_text("anna,")
    list(grade(folder))
    assert not list(out.rglob("*.part"))


def test_the_command_counts_and_names_what_failed(engine, folder, monkeypatch, capsys):
    (folder / "essay.ipynb").symlink_to("/etc/passwd")
    engine.fails = {"ben"}
    assert command(monkeypatch, folder) == 1
    told = capsys.readouterr()
    assert told.out.startswith(
        "4 submissions (2 graded, 1 unreadable, 0 needs_manual, 1 grader_error): see "
    )
    assert len(told.out.splitlines()) == 1
    assert "the grader itself failed on ben: this is no mark" in told.err
    assert "anna: 6 of 6" in told.err
    assert "ben: grader_error" in told.err
    engine.fails = set()
    assert command(monkeypatch, folder) == 0
    told = capsys.readouterr()
    assert "3 kept from an earlier run" in told.err
    assert "anna" not in told.err
    assert command(monkeypatch, folder, "--json") == 0
    told = capsys.readouterr()
    assert (len(json.loads(told.out)), told.err) == (4, "")


def test_a_stopped_command_reports_what_is_there(engine, folder, monkeypatch, capsys):
    engine.stops_at = "cho"
    assert command(monkeypatch, folder) == 130
    told = capsys.readouterr()
    assert "stopped after 2 of 3; the same command again goes on" in told.err
    results = json.loads((folder.parent / "out" / "results.json").read_text())
    assert [result["submission"] for result in results] == ["anna", "ben"]
    engine.stops_at = ""
    assert command(monkeypatch, folder) == 0
    assert engine.graded == ["anna", "ben", "cho"]


def test_the_bar_leaves_kept_results_out_of_its_rate():
    from rich.progress import Task

    from mmcourse.cli_grade import _rate_column

    task = Task(0, "", 10, 7, _get_time=lambda: 30.0, fields={"kept": 4})
    task.start_time = 0.0
    assert _rate_column().render(task).plain == "6/min"


@pytest.mark.parametrize("broken", [".results", "feedback"])
def test_one_result_that_cannot_be_written_is_an_error_of_its_own(
    engine, folder, monkeypatch, broken
):
    real = batch.write_atomically

    def failing(path: Path, text: str) -> None:
        if path.parent.name == broken and path.stem == "ben":
            raise OSError(36, "File name too long")
        real(path, text)

    monkeypatch.setattr(batch, "write_atomically", failing)
    monkeypatch.setattr("mmcourse.grading.report.write_atomically", failing)
    list(grade(folder))
    results = json.loads((folder.parent / "out" / "results.json").read_text())
    status = {result["submission"]: result["status"] for result in results}
    assert status == {"anna": "graded", "ben": "grader_error", "cho": "graded"}
    assert "File name too long" in results[1]["infra"][0]
