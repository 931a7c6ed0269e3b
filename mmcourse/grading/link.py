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
from mmcourse.grading.sandbox import MEMORY_BYTES, PROCESSES, Isolation, Sandbox

TICK_S = 0.1
OUTPUT_BYTES = 20_000
START_S = 120.0
CREDENTIALS = struct.Struct("3i")


class Stopped(Exception):
    """The learner's process was ended, or ended itself; the text is for the learner."""


class Link:
    """One sandbox, restarted when need be, and the child in it.

    Args:
        isolation: the level that was probed.
        budget_s: seconds of the learner's code in all.
    """

    def __init__(self, isolation: Isolation, budget_s: float) -> None:
        self.isolation = isolation
        self.budget_s = budget_s
        self.spent_s = 0.0
        self.output = bytearray()
        self.muted = False
        self.sandbox = Sandbox(isolation, cpu_s=int(4 * budget_s) + 60)
        self.ready = False
        self.connection: socket.socket | None = None
        self.pid = 0

    def fresh(self) -> None:
        """A new child with nothing of the learner's in it."""
        self.drop()
        try:
            self._child()
        except OSError:
            # The learner's code may have ended the whole sandbox: build another, once.
            self._drain()
            self.sandbox.close()
            self.sandbox = Sandbox(self.isolation, cpu_s=int(4 * self.budget_s) + 60)
            self.ready = False
            self._child()

    def _child(self) -> None:
        if not self.ready:
            self.sandbox.wait_ready(START_S)
            self.ready = True
        self.connection = self.sandbox.child()
        self.pid = _hello(self.connection)
        self.connection.setblocking(False)

    def drop(self) -> None:
        """Ends the child, if there is one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
            with contextlib.suppress(OSError):
                self.sandbox.kill_child()

    def close(self) -> None:
        """Ends everything."""
        self.drop()
        self._drain()
        self.sandbox.close()

    def exchange(self, payload: bytes, limit_s: float) -> tuple[bytes, float]:
        """Sends a request and waits for its reply: (reply, seconds of the learner's code).

        Raises:
            Stopped: the time, memory or process limit was passed, or the process ended.
        """
        if self.connection is None:
            raise Stopped("the Python process of the answer has ended")
        limit_s = min(limit_s, self.budget_s - self.spent_s)
        clock = _FairClock(self.pid)
        try:
            return self._talk(self.connection, payload, clock, limit_s), clock.seconds()
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
                _check_usage(self.sandbox.process.pid)
            if clock.over(limit_s):
                raise Stopped(f"no answer within {limit_s:.0f} s (is there an endless loop?)")
        return bytes(got[8:])

    def _drain(self) -> None:
        """Reads what the learner's code printed, so that it never blocks on a full pipe."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                part = os.read(self.sandbox.output, 65536)
                if not part:
                    return
                if not self.muted:
                    self.output += part[: max(0, OUTPUT_BYTES - len(self.output))]


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


def _check_usage(pid: int) -> None:
    """Raises Stopped if the sandbox's processes together hold too much."""
    import psutil

    try:
        tree = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return
    if len(tree) > PROCESSES:
        raise Stopped(f"your code started more than {PROCESSES} processes")
    if sum(_resident(process.pid) for process in tree) > MEMORY_BYTES:
        raise Stopped(f"your code used more than {MEMORY_BYTES // 2**30} GiB of memory")


def _resident(pid: int) -> int:
    """Bytes that a process holds itself or shares by mmap (RssAnon + RssShmem)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    wanted = [line for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(int(line.split()[1]) * 1024 for line in wanted)
