"""One process that has imported everything a judge needs, and forks a judge in milliseconds.

Importing torch, pytest and the kernel takes seconds; a run of hundreds of submissions pays
that once. Nothing of a learner's ever runs here. Whoever asks for a process holds a socket to
it: when the socket closes, the process ends.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import mmcourse

KERNEL_OPTIONS = ["--IPKernelApp.capture_fd_output=False", "--HistoryManager.enabled=False"]

PRELOADED = (
    "torch", "psutil", "pytest", "nbval.plugin", "pytest_reportlog.plugin",
    "jupyter_client.manager", "ipykernel.kernelapp", "IPython.core.interactiveshell",
    "mmcourse.grading.judge", "mmcourse.grading.nbval_ids",
)  # fmt: skip


class Nursery:
    """The grader's side: starts the nursery, asks it for judges, ends it."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="mmcourse-nursery-")
        self.address = str(Path(self.folder) / "socket")
        self.control, inside = socket.socketpair()
        environment = os.environ | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(mmcourse.__file__).parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [sys.executable, "-P", "-m", "mmcourse.grading.nursery", self.address]
        with inside:
            self.process = subprocess.Popen(
                command, stdin=inside.fileno(), env=environment, start_new_session=True
            )

    def wait_ready(self, timeout_s: float = 180) -> None:
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


def main(address: str) -> None:
    """Imports, then serves requests until standard input closes."""
    control = socket.socket(fileno=os.dup(0))
    threading.Thread(target=_end_with, args=(control, address), daemon=True).start()
    _preload()
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(64)
    control.send(b"ready")
    while True:
        connection, _ = server.accept()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            server.close()
            control.close()
            _child(connection)
        connection.close()


def _preload() -> None:
    for module in PRELOADED:
        importlib.import_module(module)


def _end_with(control: socket.socket, address: str) -> None:
    """Ends this process when the grader is gone, and leaves nothing behind."""
    control.recv(1)
    shutil.rmtree(Path(address).parent, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGKILL)


def _child(connection: socket.socket) -> None:
    """A fork: becomes a pytest or a kernel, reports its exit code, never returns."""
    code = 1
    try:
        from mmcourse.grading.worker import die_with_parent

        die_with_parent()
        os.setsid()
        request = json.loads(_line(connection))
        os.chdir(request["cwd"])
        threading.Thread(target=_watch, args=(connection,), daemon=True).start()
        code = {"pytest": _pytest, "kernel": _kernel}[request["kind"]](request)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        with contextlib.suppress(OSError):
            connection.send(str(int(code)).encode())
        os._exit(0)


def _line(connection: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            os._exit(1)
        got += part
    return got


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

    os.environ["IPYTHONDIR"] = str(Path(request["cwd"]) / "ipython")
    # A kernel whose parent is not the program that asked for it must not look for that parent.
    os.environ.pop("JPY_PARENT_PID", None)
    log = os.open("kernel.log", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    launch_new_instance(argv=["-f", request["connection_file"], *KERNEL_OPTIONS])
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
