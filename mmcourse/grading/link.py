"""The judge's line to the sandbox: requests with a time limit, a memory watch, kept output."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from pathlib import Path

from mmcourse.grading import wire
from mmcourse.grading.sandbox import (
    MEMORY_BYTES,
    PROCESSES,
    TEMPORARY_BYTES,
    Isolation,
    Sandbox,
)

TICK_S = 0.1
OUTPUT_BYTES = 20_000
FILES = 20_000
START_S = 120.0
NOISY = "your code wrote to the grader's own line"
CREDENTIALS = struct.Struct("3i")


# The warm sandbox of this process's place, where it was forked with one.
inherited: Sandbox | None = None


class Stopped(Exception):
    """The learner's process was ended, or ended itself; the text is for the learner."""


class Link:
    """One sandbox, restarted when need be, and the child in it.

    Args:
        isolation: the level that was probed.
        budget_s: seconds of the learner's code in all.
        warm: a sandbox that is ready and outlives this link, or None.
    """

    def __init__(self, isolation: Isolation, budget_s: float, warm: Sandbox | None = None) -> None:
        self.isolation = isolation
        self.budget_s = budget_s
        self.spent_s = 0.0
        self.output = bytearray()
        self.muted = False
        self.warm = warm
        self.sandbox = warm or Sandbox(isolation)
        self.ready = False
        self.connection: socket.socket | None = None
        self.pid = 0
        self.above = 0

    def fresh(self) -> None:
        """A new child with nothing of the learner's in it."""
        self.drop()
        try:
            self._child()
        except OSError:
            # The learner's code may have ended the whole sandbox: build another, once.
            self._drain()
            self._leave()
            self.warm, self.ready = None, False
            self.sandbox = Sandbox(self.isolation)
            self._child()

    def _child(self) -> None:
        if not self.ready:
            if self.warm:
                # What another submission left in the pipe is not of this one.
                self.sandbox.kill_child()
                self.sandbox.take_output()
            else:
                self.sandbox.wait_ready(START_S)
            self.ready = True
        self.connection = self.sandbox.child(int(4 * self.budget_s) + 60)
        self.pid = _hello(self.connection)
        self.above = _parent(self.pid)
        self.connection.setblocking(False)

    def drop(self) -> None:
        """Ends the child, if there is one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
            with contextlib.suppress(OSError):
                self.sandbox.kill_child()

    def close(self) -> None:
        """Ends everything but a warm sandbox, which the next submission uses."""
        self.drop()
        self._drain()
        self._leave()

    def _leave(self) -> None:
        if self.sandbox is not self.warm:
            self.sandbox.close()

    def exchange(self, payload: bytes, limit_s: float) -> tuple[bytes, float]:
        """Sends a request and waits for its reply: (reply, seconds of the learner's code).

        Raises:
            Stopped: the time, memory or process limit was passed, or the process ended.
        """
        if self.connection is None:
            raise Stopped("the Python process of the answer has ended")
        if self.noisy():
            self.drop()
            raise Stopped(NOISY)
        limit_s = min(limit_s, self.budget_s - self.spent_s)
        clock = _FairClock(self.pid)
        try:
            token = os.urandom(wire.TOKEN_BYTES)
            reply = self._talk(self.connection, token + payload, clock, limit_s)
            if not reply.startswith(token):
                raise Stopped(NOISY)
            return reply[len(token) :], clock.seconds()
        except (OSError, EOFError):
            self.drop()
            raise Stopped("your code ended the Python process") from None
        except Stopped:
            self.drop()
            raise
        finally:
            self.spent_s += clock.seconds()
            self._drain()

    def _talk(
        self, connection: socket.socket, payload: bytes, clock: _FairClock, limit_s: float
    ) -> bytes:
        waiting, got = memoryview(wire.frame(payload)), bytearray()
        watch = time.monotonic() + 2 * TICK_S
        while len(got) < 8 or len(got) < 8 + _length(got):
            writers = [connection] if waiting else []
            readable, writable, _ = select.select(
                [connection, self.sandbox.output], writers, [], TICK_S
            )
            if writable:
                waiting = waiting[connection.send(waiting) :]
            if connection in readable:
                part = connection.recv(2**20)
                if not part:
                    raise EOFError
                got += part
            self._drain()
            if time.monotonic() > watch:
                watch = time.monotonic() + 2 * TICK_S
                _check_usage(self.above, self.sandbox.folder)
            if clock.over(limit_s):
                raise Stopped(f"no answer within {limit_s:.0f} s (is there an endless loop?)")
        if len(got) > 8 + _length(got):
            raise Stopped(NOISY)
        return bytes(got[8:])

    def noisy(self) -> bool:
        """True if something has come that nobody asked for: an answer made in advance, say."""
        return bool(self.connection and select.select([self.connection], [], [], 0)[0])

    def _drain(self) -> None:
        """Reads what the learner's code printed, so that it never blocks on a full pipe."""
        printed = self.sandbox.take_output()
        if not self.muted:
            self.output += printed[: max(0, OUTPUT_BYTES - len(self.output))]


class _FairClock:
    """Seconds of a process, without those it waited for a processor."""

    def __init__(self, pid: int) -> None:
        self.schedstat = Path(f"/proc/{pid}/schedstat")
        self.start = time.monotonic()
        self.waited = self._waited()
        self.last = self.waited

    def seconds(self) -> float:
        """Fair seconds since the start."""
        self.last = max(self.last, self._waited())
        return max(0.0, time.monotonic() - self.start - (self.last - self.waited))

    def over(self, limit_s: float) -> bool:
        """True if the fair limit, or ten times as much wall time, has passed."""
        wall = time.monotonic() - self.start
        return wall > limit_s and (self.seconds() > limit_s or wall > 10 * limit_s + 10)

    def _waited(self) -> float:
        try:
            return int(self.schedstat.read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0


def _length(got: bytearray) -> int:
    (length,) = struct.unpack_from("<Q", got)
    if length > wire.MAX_FRAME:
        raise Stopped("the result is too large")
    return length


def _hello(connection: socket.socket) -> int:
    """The child's process id as this side sees it (0 where the system does not say)."""
    connection.settimeout(30)
    if not hasattr(socket, "SO_PASSCRED"):
        if wire.receive(connection) != b"hello":
            raise OSError("no greeting")
        return 0
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    data, extra, _, _ = connection.recvmsg(13, socket.CMSG_SPACE(CREDENTIALS.size))
    if data != wire.frame(b"hello"):
        raise OSError("no greeting")
    for _, kind, content in extra:
        if kind == socket.SCM_CREDENTIALS:
            return CREDENTIALS.unpack(content[: CREDENTIALS.size])[0]
    return 0


def _parent(pid: int) -> int:
    """The process above the learner's, which adopts the orphans among them (0 if unknown)."""
    import psutil

    try:
        return psutil.Process(pid).ppid() if pid else 0
    except psutil.Error:
        return 0


def _check_usage(above: int, folder: str) -> None:
    """Raises Stopped if the learner's processes together hold too much.

    Args:
        above: the process above all of them; 0 if it is not known.
        folder: where they may write, if that is no file system with a size.
    """
    import psutil

    try:
        tree = psutil.Process(above).children(recursive=True) if above else []
    except psutil.Error:
        return
    if len(tree) > PROCESSES:
        raise Stopped(f"your code started more than {PROCESSES} processes")
    pids = [process.pid for process in tree]
    # What forks share counts once only in the second, slower sum.
    if sum(map(_resident, pids)) > MEMORY_BYTES < sum(map(_proportional, pids)):
        raise Stopped(f"your code used more than {MEMORY_BYTES // 2**30} GiB of memory")
    if folder and not _fits(folder):
        raise Stopped(f"your code wrote more than {TEMPORARY_BYTES // 2**20} MiB of files")


def _fits(folder: str) -> bool:
    """True if a folder holds few files and few bytes; a file that is gone counts as none."""
    held = count = 0
    for place, _, names in os.walk(folder):
        count += len(names) + 1
        for name in names:
            with contextlib.suppress(OSError):
                held += os.lstat(os.path.join(place, name)).st_blocks * 512
        if held > TEMPORARY_BYTES or count > FILES:
            return False
    return True


def _resident(pid: int) -> int:
    """Bytes that a process holds itself or shares by mmap (RssAnon + RssShmem)."""
    return _kibibytes(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:")) or 0


def _proportional(pid: int) -> int:
    """The same with what is shared divided among those who share it, where that can be read."""
    shares = _kibibytes(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))
    return _resident(pid) if shares is None else shares


def _kibibytes(file: str, names: tuple[str, ...]) -> int | None:
    """The sum of some lines of a file of /proc, in bytes; None if it cannot be read."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(names))
