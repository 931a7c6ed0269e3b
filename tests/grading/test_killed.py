"""A run that is killed, and one that is stopped: nothing half-written, no process, it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from lessons import ROOT
from submissions import EX1, EX2, SAMPLE, submission, write

pytestmark = pytest.mark.slow


class Command:
    """`mmcourse grade` as a process of its own, with a folder of its own for temporary files."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.out = folder / "out"
        words = ["grade", str(folder / "in"), "--source", str(SAMPLE), "--out", str(self.out)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mmcourse", *words], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(temporary)},
        )  # fmt: skip

    def finished(self) -> set[str]:
        return {path.stem for path in (self.out / ".results").glob("*.json")}

    def wait_for(self, count: int) -> list[psutil.Process]:
        """Waits until so many results are there; returns the processes of the run."""
        end = time.monotonic() + 120
        while self.process.poll() is None and (
            len(self.finished()) < count or not (self.out / ".lock").exists()
        ):
            assert time.monotonic() < end, "no result in two minutes"
            time.sleep(0.05)
        assert self.process.poll() is None, self.process.stderr.read()
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> tuple[int, str, str]:
        told = self.process.communicate(timeout=120)
        return self.process.returncode, *told


def gone(tree: list[psutil.Process]) -> bool:
    return len(tree) > 0 and psutil.wait_procs(tree, timeout=15)[1] == []


def test_a_run_ends_with_all_it_started_and_is_taken_up_again(tmp_path_factory):
    folder, temporary = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("t")
    (folder / "in").mkdir()
    for number in range(12):  # so many that the last is far when the run is stopped
        write(folder / "in", f"s{number}", submission(EX1, EX2, (f"x = {number}",)))

    first = Command(folder, temporary)
    first.wait_for(0)
    code, said, why = Command(folder, temporary).end()
    assert (code, said, len(why.splitlines())) == (2, "", 1)
    assert "another run is writing to this folder" in why
    tree = first.wait_for(1)
    first.process.kill()
    first.end()
    assert gone(tree)
    assert not list(temporary.iterdir())
    kept = first.finished()
    for path in (first.out / ".results").glob("*.json"):
        assert json.loads(path.read_text())["result"]["points"] == 6

    second = Command(folder, temporary)
    tree = second.wait_for(len(kept) + 1)
    second.process.send_signal(signal.SIGINT)
    code, said, why = second.end()
    assert (code, said) == (130, "")
    assert f"{len(kept)} kept from an earlier run" in why
    assert "the same command again goes on" in why
    assert gone(tree)
    assert not list(temporary.iterdir())
    reported = json.loads((second.out / "results.json").read_text())
    assert {result["submission"] for result in reported} == second.finished() > kept
