"""The hostile corpus, graded in one run: right points for everybody, and nothing else happens."""

import contextlib
import csv
import ctypes
import json
import os
import pickle
import re
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
from filelock import FileLock
from grading.cases import Case
from grading.corpus import CORPUS, INNOCENT, write_corpus
from submissions import SAMPLE

import mmcourse
from mmcourse.grading import batch, rebuild
from mmcourse.grading.sandbox import best_isolation

pytestmark = pytest.mark.slow

BECOME_SUBREAPER = 36
LEARNERS = range(20_000, 60_000)
PACKAGE = Path(mmcourse.__file__).parent
TIMES = ("graded_at", "wall_s", "seconds")


@dataclass
class Run:
    """What a run of the grader left."""

    out: Path
    temporary: Path
    results: dict[str, dict]
    changed: list[str]
    processes: list[str]
    reached: list[str]
    nonces: list[str]

    def files(self) -> dict[str, bytes]:
        """Everything in the output folder, by path."""
        every = (path for path in self.out.rglob("*") if path.is_file())
        return {str(path.relative_to(self.out)): path.read_bytes() for path in every}


def grade(folder: Path, out: Path) -> dict[str, dict]:
    todo = batch.jobs(batch.submissions([folder]), SAMPLE)
    options = {"parallel": 2, "isolation": "bwrap", "budget_s": 60}
    return {r["submission"]: r for r in batch.grade_all(todo, out, **options)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The whole corpus in one run; of several test processes the first grades for all."""
    if sys.platform != "linux" or best_isolation().level != "bwrap":
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("these notebooks are let loose behind bubblewrap only")
    base = tmp_path_factory.getbasetemp()
    kept = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "hostile.pickle"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            kept.write_bytes(pickle.dumps(watched_run(tmp_path_factory)))
        return pickle.loads(kept.read_bytes())


def watched_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Grades the corpus with everything around it watched."""
    folder, out, canary, temporary = map(tmp_path_factory.mktemp, ("in", "out", "canary", "t"))
    (canary / "deep").mkdir()
    (canary / "deep" / "kept.txt").write_text("kept")
    canary.chmod(0o777)
    watched = [folder, canary, PACKAGE, Path(torch.__file__).parent / "optim"]
    with pytest.MonkeyPatch.context() as patch, listening() as (port, reached), reaping() as left:
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", str(temporary))
        nonces = []
        patch.setattr(rebuild, "build", remembering(rebuild.build, nonces))
        write_corpus(folder, CORPUS, port, str(canary))
        start, before = time.time(), {path: snapshot(path) for path in watched}
        results = grade(folder, out)
        processes = left()
        changed = [str(path) for path in watched if snapshot(path) != before[path]]
        changed += strangers(start)
        return Run(out, temporary, results, changed, processes, reached(), nonces)


@contextlib.contextmanager
def listening():
    """Listens for TCP and UDP on this machine; the second function says what came."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(64)
        udp.bind(tcp.getsockname())
        tcp.setblocking(False)
        udp.setblocking(False)

        def came() -> list[str]:
            found = []
            with contextlib.suppress(BlockingIOError):
                found.append(f"TCP from {tcp.accept()[1]}")
            with contextlib.suppress(BlockingIOError):
                found.append(f"UDP from {udp.recvfrom(9)[1]}")
            return found

        yield tcp.getsockname()[1], came


@contextlib.contextmanager
def reaping():
    """Whatever outlives its parents becomes a child of this process; the function lists it."""
    prctl, own = ctypes.CDLL(None).prctl, psutil.Process()
    before = set(own.children(recursive=True))
    prctl(BECOME_SUBREAPER, 1, 0, 0, 0)

    def left() -> list[str]:
        alive = [p for p in own.children(recursive=True) if p not in before]
        psutil.wait_procs(alive, timeout=5)
        return [str(p) for p in alive if p.is_running()]

    try:
        yield left
    finally:
        prctl(BECOME_SUBREAPER, 0, 0, 0, 0)


def remembering(build, nonces):
    def built(*arguments, **keywords):
        spec = build(*arguments, **keywords)
        nonces.append(spec["nonce"])
        return spec

    return built


def snapshot(folder: Path) -> list[tuple]:
    """Name and kind of everything under a folder, size and time of files; compiled ones come."""
    every = sorted(p for p in folder.rglob("*") if "__pycache__" not in p.parts)
    about = [(p, p.lstat(), p.is_file()) for p in every]
    return [(str(p), s.st_mode, s.st_size * f, s.st_mtime_ns * f) for p, s, f in about]


def strangers(start: float) -> list[str]:
    """Files that a learner's user left where everybody can write."""
    found = []
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", str(Path.home()), os.getcwd()):
        for entry in os.scandir(folder):
            if entry.name.startswith("mmcourse-worker-"):
                continue  # of another test that runs at the same time, at a level without mounts
            with contextlib.suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                if about.st_ctime >= start and about.st_uid in LEARNERS:
                    found.append(entry.path)
    return found


def said(result: dict) -> dict[str, str]:
    """Messages by check, and the notes and the errors of cells."""
    about = {row["id"]: row["message"] for row in result["checks"]}
    errors = [f"{label}: {text}" for label, text in result["cell_errors"].items()]
    return about | {"note": "\n".join(result["notes"]), "cell": "\n".join(errors)}


@pytest.mark.parametrize("case", CORPUS, ids=[case.name[:40] for case in CORPUS])
def test_each_gets_its_points(graded: Run, case: Case):
    result = graded.results[case.name]
    assert (result["status"], result["infra"]) == (case.status, [])
    if case.points is not None:
        assert tuple(row["points"] for row in result["exercises"]) == case.points
    for where, pattern in case.says.items():
        assert re.search(pattern, said(result)[where])


def test_the_corpus_is_large_and_every_name_is_there(graded: Run):
    assert len({case.name for case in CORPUS}) == len(CORPUS) >= 100
    assert set(graded.results) == {case.name for case in CORPUS}


def test_no_process_is_left(graded: Run):
    assert graded.processes == []


def test_no_file_is_changed_but_the_results(graded: Run):
    assert graded.changed == []
    assert list(graded.temporary.iterdir()) == []
    names = {case.name for case in CORPUS}
    expected = {"results.json", "grades.csv", ".lock"}
    expected |= {f"feedback/{name}.html" for name in names}
    expected |= {f".results/{name}.json" for name in names}
    assert set(graded.files()) <= expected
    assert set(graded.files()) >= expected - {".lock"}


def test_nothing_reaches_the_network(graded: Run):
    assert graded.reached == []


def test_no_output_holds_a_secret(graded: Run):
    secrets = [nonce.encode() for nonce in graded.nonces]
    secrets += [rebuild.secret(), rebuild.secret().hex().encode()]
    secrets += [b"LEAK", b"REACHED", b"1000 * randn", b"large scores give NaN"]
    assert len(graded.nonces) > 80
    for name, data in graded.files().items():
        assert not [secret for secret in secrets if secret in data], name


def test_pages_and_tables_stay_harmless(graded: Run):
    for name, data in graded.files().items():
        if name.endswith(".html"):
            assert b"<script" not in data, name
            assert len(data) < 60_000, name
    with open(graded.out / "grades.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == len(CORPUS) + 1
    assert not [cell for row in rows for cell in row if cell[:1] in "=+-@\t\r" and cell]


def test_a_bad_file_changes_no_other_result(graded: Run, tmp_path: Path):
    write_corpus(tmp_path / "in", INNOCENT)
    alone = grade(tmp_path / "in", tmp_path / "out")
    beside = {name: graded.results[name] for name in alone}
    assert timeless(alone) == timeless(beside)


def timeless(value):
    """Without what a clock says."""
    text = json.dumps(value, sort_keys=True)
    return json.loads(text, object_hook=lambda d: {k: d[k] for k in d if k not in TIMES})
