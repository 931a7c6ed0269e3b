"""Landlock and the filter of system calls, each by itself."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from mmcourse.grading import landlock, seccomp
from mmcourse.grading.sandbox import readable

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="a lock of Linux")


def in_a_process(source: str) -> str:
    """Standard output of a script that restricts itself."""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    return done.stdout + done.stderr[-300:]


@LINUX
def test_landlock_leaves_the_listed_paths_only(tmp_path: Path) -> None:
    if not landlock.version():
        pytest.fail("this kernel has no Landlock")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "mine").mkdir()
    said = in_a_process(f"""
import os, socket
from mmcourse.grading import landlock
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
landlock.restrict({readable()!r}, [{str(tmp_path / "mine")!r}])
open({str(tmp_path / "mine" / "a")!r}, "w").write("a")
def tried(act):
    try: act()
    except PermissionError: return "refused"
    return "done"
print(tried(lambda: open({str(tmp_path / "secret")!r})), end=" ")
print(tried(lambda: open({str(tmp_path / "new")!r}, "w")), end=" ")
print(tried(lambda: os.remove({str(tmp_path / "mine" / "a")!r})), end=" ")
print(tried(lambda: os.kill({os.getpid()}, 0)), end=" ")
print(tried(lambda: socket.create_connection(server.getsockname())))
""")
    signals = "refused" if landlock.version() >= landlock.SCOPES_FROM else "done"
    tcp = "refused" if landlock.version() >= landlock.TCP_FROM else "done"
    assert said.split() == ["refused", "refused", "done", signals, tcp], said


@pytest.mark.parametrize("machine", sorted(seccomp.MACHINES))
def test_the_filter_refuses_its_list_and_allows_the_rest(machine: str) -> None:
    """Against an interpreter of the few instructions, written from their manual."""
    column, code = seccomp.MACHINES[machine]
    steps = list(struct.iter_unpack("HBBI", seccomp.assemble(machine)))

    def verdict(number: int, argument: int = 0, arch: int = code) -> int:
        words = {0: number, 4: arch, 16: argument}
        at = held = 0
        while True:
            kind, yes, no, value = steps[at]
            if kind == 0x06:
                return value
            if kind == 0x20:
                held, hit = words[value], None
            else:
                hit = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[kind]
            at += 1 + (0 if hit is None else yes if hit else no)

    allow, refused = 0x7FFF_0000, 0x0005_0001
    denied = {numbers[column] for numbers in seccomp.REFUSED.values()}
    special = {seccomp.CLONE[column], seccomp.CLONE3[column], seccomp.SOCKET[column]}
    for number in range(500):
        if number not in special:
            assert verdict(number) == (refused if number in denied else allow), number
    assert verdict(seccomp.SOCKET[column], 1) == allow
    assert {verdict(seccomp.SOCKET[column], family) for family in range(2, 46)} == {refused}
    assert verdict(seccomp.CLONE[column], 0x003D_0F00) == allow  # a thread
    assert {verdict(seccomp.CLONE[column], 1 << bit) for bit in (17, 25, 26, 27, 28, 29, 30)} == {
        refused
    }
    assert verdict(seccomp.CLONE3[column]) == 0x0005_0026  # ENOSYS
    assert verdict(0, arch=0x4000_0003) == refused  # 32-bit calls
    assert verdict(0x4000_0000) == refused


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.assemble("riscv64") == b""
