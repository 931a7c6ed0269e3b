"""The sandbox from inside: what an attempt can reach, and what it leaves behind."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mmcourse.grading import link as linking
from mmcourse.grading.link import Link, Stopped
from mmcourse.grading.sandbox import LEVELS, Isolation, Sandbox, best_isolation
from mmcourse.grading.wire import VALUE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox's levels are Linux's"),
]
BUDGET_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


def run(link: Link, source: str, limit_s: float = 10) -> str:
    """Runs a cell: an empty text, or the name and text of the error it ended with."""
    reply, _ = link.exchange(b"c" + source.encode(), limit_s)
    if reply[:1] == VALUE:
        return ""
    about = json.loads(reply[1:])
    return f"{about['names'][0]}: {about['message']}"


@pytest.fixture(scope="module")
def warm() -> Iterator[Sandbox]:
    isolation = best_isolation()
    if not isolation.warm:
        pytest.fail(f"bubblewrap does not work on this machine: {isolation}")
    sandbox = Sandbox(isolation)
    sandbox.wait_ready(120)
    yield sandbox
    sandbox.close()


@pytest.fixture
def link(warm: Sandbox) -> Iterator[Link]:
    """A submission's line to a warm sandbox, with a fresh attempt on it."""
    line = Link(warm.isolation, BUDGET_S, warm)
    line.fresh()
    yield line
    line.close()


@pytest.fixture(scope="module", params=["landlock", "process"])
def plain(request: pytest.FixtureRequest) -> Iterator[Link]:
    """A level without namespaces."""
    line = Link(best_isolation(request.param), BUDGET_S)
    yield line
    line.close()


def test_an_attempt_finds_nothing_of_the_one_before(link: Link) -> None:
    leave = "open('/tmp/note', 'w').write('x'); open('/dev/shm/note', 'w').write('x')"
    assert run(link, f"{leave}\nimport os\nos.environ['note'] = 'x'\nnote = 1") == ""
    link.fresh()
    look = "import os\nfound = {*os.listdir('/tmp'), *os.listdir('/dev/shm'), *os.environ}"
    assert run(link, look + "\nassert 'note' not in found, found") == ""
    assert run(link, "note").startswith("NameError")


def test_a_submission_finds_nothing_of_the_one_before(warm: Sandbox) -> None:
    for _ in range(2):
        line = Link(warm.isolation, BUDGET_S, warm)
        line.fresh()
        assert run(line, "import os; assert not os.path.exists('/tmp/note')") == ""
        assert run(line, "open('/tmp/note', 'w').write('x'); print('printed', flush=True)") == ""
        line.close()
        assert line.output.decode() == "printed\n"


def test_an_unprivileged_sandbox_shows_no_process_that_could_be_entered() -> None:
    isolation = Isolation("bwrap", drop=False, warm=True)
    sandbox = Sandbox(isolation)
    sandbox.wait_ready(120)
    line = Link(isolation, BUDGET_S, sandbox)
    line.fresh()
    source = """
    import os
    own = os.readlink("/proc/self")
    for name in set(filter(str.isdecimal, os.listdir("/proc"))) - {own}:
        try:
            handle = os.open(f"/proc/{name}/mem", os.O_RDWR)
        except OSError:
            continue
        raise SystemError(name)
    """
    assert run(line, "\n".join(row[4:] for row in source.splitlines())) == ""
    line.close()
    sandbox.close()


def test_daemons_end_with_their_attempt(link: Link) -> None:
    before = below(link.sandbox.process.pid)
    assert run(link, DAEMON) == ""
    assert below(link.sandbox.process.pid) > before
    link.drop()
    assert below(link.sandbox.process.pid) < before


def test_daemons_end_without_namespaces_too(plain: Link) -> None:
    plain.fresh()
    before = below(plain.sandbox.process.pid)
    assert run(plain, DAEMON) == ""
    assert below(plain.sandbox.process.pid) == before + 1
    plain.drop()
    assert below(plain.sandbox.process.pid) == 0


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(1)
    os._exit(0)
os.wait()
"""


def below(pid: int) -> int:
    return len(psutil.Process(pid).children(recursive=True))


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import socket; socket.socket()", "PermissionError"),
        ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "PermissionError"),
        ("import os; os.memfd_create('x')", "PermissionError"),
        (f"import os; os.listdir({str(ROOT / 'solutions')!r})", "FileNotFoundError"),
        ("import os; os.listdir('/home')", "FileNotFoundError"),
        ("import torch; open(torch.__file__, 'a')", "PermissionError OSError"),
        ("import ctypes, os; assert ctypes.CDLL(None).unshare(0x10000000) == 0", "AssertionError"),
        ("open('/proc/1/environ').read()", "PermissionError"),
        ("import os; os.setuid(0)", "PermissionError"),
        ("import subprocess; subprocess.run(['true'], check=True)", ""),
        ("import threading; t = threading.Thread(target=print); t.start(); t.join()", ""),
        ("import socket; socket.socketpair()", ""),
    ],
)
def test_what_an_attempt_may_do(link: Link, source: str, error: str) -> None:
    name = run(link, source).split(":")[0]
    assert name == error or name in error.split()


def test_an_attempt_has_no_capability_and_sees_its_own_processes_only(link: Link) -> None:
    source = """
    import os
    status = open('/proc/self/status').read()
    assert int(status.split('CapEff:')[1].split()[0], 16) == 0, status
    assert int(status.split('CapPrm:')[1].split()[0], 16) == 0, status
    assert os.getuid() != 0
    seen = [name for name in os.listdir('/proc') if name.isdecimal()]
    assert len(seen) == 2, seen
    """
    assert run(link, "\n".join(line[4:] for line in source.splitlines())) == ""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os; os._exit(0)", "ended the Python process"),
        ("import os; os.kill(os.getpid(), 9)", "ended the Python process"),
        ("import os\ntry: os.kill(os.getppid(), 9)\nfinally: os._exit(0)", "ended the Python"),
        ("import os; os.kill(os.getpid(), 19)", "no answer within 2 s"),
        ("while True: pass", "no answer within 2 s"),
        ("x = []\nwhile True: x.append(bytearray(2**24))", "4 GiB of memory"),
        ("import os, time\nfor _ in range(100): os.fork() or time.sleep(60)", "64 processes"),
    ],
)
def test_an_attempt_that_goes_too_far_is_ended_and_the_next_one_works(
    link: Link, source: str, says: str
) -> None:
    with pytest.raises(Stopped, match=says):
        run(link, source, 20 if "memory" in says else 2)
    link.fresh()
    assert run(link, "x = 1") == ""
    assert link.sandbox is link.warm


def test_an_answer_made_in_advance_is_not_taken(link: Link) -> None:
    forge = """
    import os, stat, struct
    for handle in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(handle).st_mode):
                os.write(handle, struct.pack("<Q", 1) + b"v")
        except OSError:
            pass
    """

    def ask_twice() -> None:
        run(link, "\n".join(row[4:] for row in forge.splitlines()))
        run(link, "x = 1")

    with pytest.raises(Stopped, match="the grader's own line"):
        ask_twice()
    link.fresh()
    assert not link.noisy()
    assert run(link, "x = 1") == ""


def test_a_sandbox_that_has_died_is_replaced(warm: Sandbox) -> None:
    broken = Sandbox(warm.isolation)
    broken.wait_ready(120)
    line = Link(warm.isolation, BUDGET_S, broken)
    broken.process.kill()
    broken.process.wait()
    line.fresh()
    assert run(line, "x = 1") == ""
    assert line.sandbox is not broken
    line.close()
    os.close(broken.output)


def test_too_many_files_are_seen_where_a_folder_has_no_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert linking._fits(str(tmp_path))
    (tmp_path / "big").write_bytes(b"x" * 2**20)
    monkeypatch.setattr(linking, "TEMPORARY_BYTES", 2**19)
    assert not linking._fits(str(tmp_path))


def test_unknown_levels_are_named() -> None:
    with pytest.raises(ValueError, match=f"auto or one of {', '.join(LEVELS)}"):
        best_isolation("docker")


def test_a_container_is_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmcourse.grading.sandbox._works", lambda x: x.level != "bwrap")
    best_isolation.cache_clear()
    try:
        assert best_isolation().level == "landlock"
        assert best_isolation("container") == Isolation("container", drop=os.geteuid() == 0)
        with pytest.raises(ValueError, match="install bubblewrap"):
            best_isolation("bwrap")
    finally:
        best_isolation.cache_clear()


def test_waiting_costs_no_time_of_the_learner(link: Link) -> None:
    start = time.monotonic()
    assert run(link, "import time; time.sleep(0.3)") == ""
    assert 0.25 < link.spent_s < time.monotonic() - start + 0.2
