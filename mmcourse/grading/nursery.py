"""One process that has imported everything a judge needs, and forks a judge in milliseconds.

Importing torch, pytest and the kernel takes seconds; a run of hundreds of submissions pays
that once. Nothing of a learner's ever runs here. Whoever asks for a process holds a socket to
it: when the socket closes, the process ends. The warm sandboxes, one for each submission that
is graded at the same time, are started here too; a judge inherits the one of its place.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mmcourse
from mmcourse.grading.namespaces import die_with_parent
from mmcourse.grading.sandbox import Isolation, Sandbox

START_S = 180.0

KERNEL_OPTIONS = ["--IPKernelApp.capture_fd_output=False", "--HistoryManager.enabled=False"]

PRELOADED = (
    "torch", "psutil", "pytest", "nbval.plugin", "pytest_reportlog.plugin",
    "jupyter_client.manager", "ipykernel.kernelapp", "IPython.core.interactiveshell",
    "mmcourse.grading.judge", "mmcourse.grading.nbval_ids", "IPython.core.inputtransformer2",
)  # fmt: skip


class Nursery:
    """The grader's side: starts the nursery, asks it for judges, ends it.

    Args:
        isolation: where learners' code will run; only a warm level is prepared.
        places: how many submissions are graded at the same time.
        modules: what the sheets import: done once, here and in the sandboxes.
    """

    def __init__(
        self, isolation: Isolation | None = None, places: int = 1, modules: Sequence[str] = ()
    ) -> None:
        self.folder = tempfile.mkdtemp(prefix="mmcourse-nursery-")
        self.address = str(Path(self.folder) / "socket")
        self.free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for place in range(places):
            self.free.put(place)
        self.control, inside = socket.socketpair()
        environment = os.environ | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(mmcourse.__file__).parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        warm = asdict(isolation) if isolation and isolation.warm else None
        about = json.dumps(
            {"address": self.address, "isolation": warm, "places": places, "modules": [*modules]}
        )
        command = [sys.executable, "-P", "-m", "mmcourse.grading.nursery", about]
        with inside:
            self.process = subprocess.Popen(
                command, stdin=inside.fileno(), env=environment, start_new_session=True
            )

    @contextlib.contextmanager
    def place(self) -> Iterator[int]:
        """A place that no other submission has; waits until one is free."""
        number = self.free.get()
        try:
            yield number
        finally:
            self.free.put(number)

    def renew(self, place: int) -> None:
        """Replaces the sandbox of a place, after a run that went wrong in any way."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_S)
            connection.connect(self.address)
            connection.sendall(json.dumps({"kind": "renew", "place": place}).encode() + b"\n")
            connection.recv(16)

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Waits for the imports; raises OSError if they fail."""
        self.control.settimeout(timeout_s)
        if self.control.recv(5) != b"ready":
            raise OSError("the nursery did not start")

    def pytest(self, arguments: list[str], job: Path, env: dict[str, str], wait_s: float) -> int:
        """Runs pytest in a fork; returns its exit code. Raises TimeoutError."""
        request = {"kind": "pytest", "arguments": arguments, "cwd": str(job), "env": env}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            connection.settimeout(wait_s)
            return int(connection.recv(16) or b"-1")

    def close(self) -> None:
        """Ends the nursery; what it forked ends with it."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main(about: dict[str, Any]) -> None:
    """Imports, then serves requests until standard input closes."""
    control = socket.socket(fileno=os.dup(0))
    address = about["address"]
    threading.Thread(target=_end_with, args=(control, address), daemon=True).start()
    if about["isolation"]:
        isolation = Isolation(**about["isolation"])
        _sandboxes.extend(Sandbox(isolation, about["modules"]) for _ in range(about["places"]))
    _preload(about["modules"])
    for sandbox in _sandboxes:
        sandbox.wait_ready(START_S)
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(64)
    control.send(b"ready")
    while True:
        connection, _ = server.accept()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        request = _request(connection)
        if request and request["kind"] == "renew":
            _renew(request["place"])
            with contextlib.suppress(OSError):
                connection.send(b"0")
        elif request and os.fork() == 0:
            server.close()
            control.close()
            _child(connection, request)
        connection.close()


_sandboxes: list[Sandbox] = []


def _renew(place: int) -> None:
    """A new sandbox in the place of one that may be broken."""
    if place < len(_sandboxes):
        old = _sandboxes[place]
        _sandboxes[place] = Sandbox(old.isolation, old.modules)
        old.close()
        _sandboxes[place].wait_ready(START_S)


def _preload(modules: list[str]) -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    for module in modules:
        with contextlib.suppress(Exception):  # the judge will say what is missing
            importlib.import_module(module)


def _end_with(control: socket.socket, address: str) -> None:
    """Ends this process when the grader is gone, and leaves nothing behind."""
    control.recv(1)
    shutil.rmtree(Path(address).parent, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGKILL)


def _child(connection: socket.socket, request: dict[str, Any]) -> None:
    """A fork: becomes a pytest or a kernel, reports its exit code, never returns."""
    code = 1
    try:
        die_with_parent()
        os.setsid()
        os.chdir(request["cwd"])
        threading.Thread(target=_watch, args=(connection,), daemon=True).start()
        code = {"pytest": _pytest, "kernel": _kernel}[request["kind"]](request)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        with contextlib.suppress(OSError):
            connection.send(str(int(code)).encode())
        os._exit(0)


def _request(connection: socket.socket) -> dict[str, Any] | None:
    """One line of JSON, or None if whoever asks is gone or says nothing for long."""
    connection.settimeout(10)
    got = b""
    try:
        while not got.endswith(b"\n"):
            part = connection.recv(65536)
            if not part:
                return None
            got += part
    except OSError:
        return None
    connection.settimeout(None)
    return json.loads(got)


def _watch(connection: socket.socket) -> None:
    """Passes interrupts on; ends this process group when the other side is gone."""
    while connection.recv(1) == b"i":
        os.kill(os.getpid(), signal.SIGINT)
    os.killpg(0, signal.SIGKILL)


def _pytest(request: dict[str, Any]) -> int:
    import pytest

    os.environ.update(request["env"])
    log = os.open("pytest.log", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return int(pytest.main(request["arguments"]))


def _kernel(request: dict[str, Any]) -> int:
    from ipykernel.kernelapp import launch_new_instance

    from mmcourse.grading import link

    place = request["place"]
    link.inherited = _sandboxes[place] if place < len(_sandboxes) else None
    for number, sandbox in enumerate(_sandboxes):
        if number != place:
            sandbox.control.close()
            os.close(sandbox.output)
    os.environ["IPYTHONDIR"] = str(Path(request["cwd"]) / "ipython")
    # A kernel whose parent is not the program that asked for it must not look for that parent.
    os.environ.pop("JPY_PARENT_PID", None)
    log = os.open("kernel.log", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    launch_new_instance(argv=["-f", request["connection_file"], *KERNEL_OPTIONS])
    return 0


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
