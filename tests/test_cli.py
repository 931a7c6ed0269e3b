"""The command line: help everywhere, one clear line for bad input, JSON for machines."""

import json
import subprocess
import sys

import pytest
from lessons import ROOT
from submissions import SAMPLE, submission, write

from mmcourse import __version__, doctor

SHEET = ["FILE", "--source", str(SAMPLE), "--out", "OUT"]


def mmcourse(*arguments: str, cwd=ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmcourse", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_version_and_help():
    assert mmcourse("--version").stdout == f"mmcourse {__version__}\n"
    for command in ([], ["doctor"], ["release"], ["grade"]):
        done = mmcourse(*command, "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout


def test_starting_imports_no_torch():
    code = "import sys, mmcourse.cli; sys.exit('torch' in sys.modules or 'IPython' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["paint"], "No such command 'paint'"),
        (["doctor", "--loud"], "No such option"),
        (["release", "98_gone"], "unknown lesson '98_gone'; known: "),
        (["grade", "nowhere.ipynb", "--out", "OUT"], "nowhere.ipynb: no such file"),
        (["grade", "EMPTY", "--out", "OUT"], "no notebook was found"),
        (["grade", "FILE", "--out", "OUT", "-n", "0"], "-n"),
        (["grade", "FILE", "--out", "OUT", "--source", "nowhere.md"], "nowhere.md: no such file"),
        (["grade", "FILE", "--out", "OUT", "--source", "TEXT"], "TEXT: "),
        (["grade", "FILE", "--out", "OUT"], "give one with --source"),
        (["grade", "FILE", "--out", "TEXT"], "TEXT: "),
        (["grade", "FILE", "--out", "OUT", "--isolation", "magic"], "must be auto or one of bwrap"),
        (["grade", "FILE", "--out", "OUT", "--isolation", "process"], "--allow-unsafe"),
        (["grade", *SHEET, "--cluster", "nowhere"], "no Dask cluster at nowhere (missing port"),
        (["grade", *SHEET, "--cluster", "ftp://a:1"], "no Dask cluster at ftp://a:1 (unknown "),
        (["grade", *SHEET, "--cluster", "tls://a:1"], "no Dask cluster at tls://a:1 (Dask's "),
        (["grade", *SHEET, "--cluster", "tls://a:1", "--isolation", "magic"], "must be auto or"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, arguments, says):
    (tmp_path / "EMPTY").mkdir()
    text = tmp_path / "TEXT"
    text.write_text("no sheet")
    file = write(tmp_path, "FILE", submission())
    places = {"EMPTY": str(tmp_path / "EMPTY"), "TEXT": str(text), "FILE": str(file),
              "OUT": str(tmp_path / "out")}  # fmt: skip
    if arguments[-1] == "TEXT" and arguments[-2] == "--out":
        arguments = [*arguments, "--source", str(SAMPLE)]
    done = mmcourse(*[places.get(word, word) for word in arguments])
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert says.replace("TEXT", str(text)) in done.stderr


def test_one_submission_is_counted_as_one(tmp_path):
    file = tmp_path / "essay.ipynb"
    file.write_text("Dear teacher,")
    arguments = ["grade", str(file), "--source", str(SAMPLE), "--out", str(tmp_path / "out")]
    done = mmcourse(*arguments, "--isolation", "process", "--allow-unsafe")
    assert "essay: unreadable" in done.stderr
    assert done.stdout.startswith("1 submission (0 graded, 1 unreadable, ")


def test_without_dask_a_cluster_is_refused_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "distributed.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = write(tmp_path, "anna", submission())
    arguments = ["grade", str(file), "--source", str(SAMPLE), "--out", str(tmp_path / "out")]
    done = mmcourse(*arguments, "--cluster", "tcp://127.0.0.1:9")
    assert done.returncode == 2
    assert done.stderr == "mmcourse: --cluster needs Dask: pip install 'mmcourse[cluster]'\n"


def test_release_check_names_what_has_drifted(tmp_path):
    for name in ("solutions", "notebooks", "exercises"):
        (tmp_path / name).mkdir()
    (tmp_path / "solutions" / "00_sample.md").write_text(SAMPLE.read_text())
    done = mmcourse("release", "--check", cwd=tmp_path)
    assert done.returncode == 1
    assert "exercises/00_sample.ipynb" in done.stdout
    done = mmcourse("release", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"written": ["exercises/00_sample.ipynb"]}
    assert mmcourse("release", "--check", "00", cwd=tmp_path).returncode == 0


def test_doctor_says_how_to_mend(tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "torch==0.1\nno-such-package==1 ; python_version > '3'\nother==1 ; python_version < '3'\n"
    )
    found = list(doctor.packages(tmp_path))
    assert [finding.value.split()[0] for finding in found] == ["torch", "no-such-package"]
    assert all("pip install" in finding.mend for finding in found)
    done = mmcourse("doctor", "--json")
    names = {finding["name"] for finding in json.loads(done.stdout)["findings"]}
    assert {"Python", "Disk", "Korean font", "Browser", "Device", "Processor speed"} <= names
