"""Where a learner's code runs: a process with nothing to reach, at the best level there is.

bwrap    own user or uid, process, network, IPC and mount namespaces (Linux, bubblewrap)
process  a separate process with resource limits only: for checking one's own work
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcourse

LEVELS = ("bwrap", "process")
MEMORY_BYTES = 4 * 2**30
TEMPORARY_BYTES = 512 * 2**20
SHARED_BYTES = 256 * 2**20
PROCESSES = 64
ENVIRONMENT = {
    "HOME": "/tmp", "TMPDIR": "/tmp", "IPYTHONDIR": "/tmp/.ipython", "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/.matplotlib", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin",
    "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Isolation:
    """A level that was probed and works here; drop says that root becomes nobody inside."""

    level: str
    drop: bool = False


@functools.cache
def best_isolation(wanted: str = "auto") -> Isolation:
    """Probes the levels and returns the best, or the one wanted.

    Raises:
        ValueError: the level is unknown, or does not work on this machine.
    """
    if wanted not in ("auto", *LEVELS):
        raise ValueError(f"isolation must be auto or one of {', '.join(LEVELS)}, got {wanted!r}")
    root = os.geteuid() == 0
    if wanted in ("auto", "bwrap"):
        for drop in [True, False] if root else [False]:
            if _works(Isolation("bwrap", drop)):
                return Isolation("bwrap", drop)
    if wanted == "bwrap":
        raise ValueError("isolation bwrap does not work here: install bubblewrap, see its probe")
    process = Isolation("process", drop=True)
    return process if root and _works(process) else Isolation("process")


def _works(isolation: Isolation) -> bool:
    """Runs the real arguments with a harmless program in place of the worker."""
    if isolation.level == "bwrap" and not shutil.which("bwrap"):
        return False
    uid = _uid() if isolation.drop else 0
    program = f"import os; {uid} and (os.setgid({uid}), os.setuid({uid})); import json, tempfile"
    command = [*prefix(isolation), sys.executable, "-P", "-S", "-c", program]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=20, stdin=subprocess.DEVNULL, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def prefix(isolation: Isolation) -> list[str]:
    """The command that goes before the interpreter."""
    if isolation.level == "process":
        return []
    command = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    for name in ("pid", "net", "ipc", "uts"):
        command += [f"--unshare-{name}"]
    command += ["--unshare-cgroup-try"]
    if not isolation.drop:
        command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    command += ["--cap-drop", "ALL"]
    if isolation.drop:
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    for name, value in environment().items():
        command += ["--setenv", name, value]
    return [*command, *_mounts(), "--chdir", "/tmp", "--"]


def environment() -> dict[str, str]:
    """The worker's whole environment."""
    return ENVIRONMENT | {"PYTHONPATH": str(Path(mmcourse.__file__).parent.parent)}


def _mounts() -> list[str]:
    """A root folder with the system's libraries, this Python and this package; all read-only."""
    mounts = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            mounts += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            mounts += ["--ro-bind", str(path), str(path)]
    for name in ("ld.so.cache", "alternatives", "localtime", "fonts"):
        mounts += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    mounts += ["--proc", "/proc", "--dev", "/dev"]
    mounts += ["--perms", "1777", "--size", str(SHARED_BYTES), "--tmpfs", "/dev/shm"]
    mounts += ["--remount-ro", "/dev"]
    mounts += ["--perms", "1777", "--size", str(TEMPORARY_BYTES), "--tmpfs", "/tmp"]
    folders = _python_folders()
    for parent in sorted({str(p) for folder in folders for p in Path(folder).parents}):
        if parent not in ("/", "/tmp", "/usr", "/dev") and not Path(parent).is_symlink():
            # Else bubblewrap makes them readable for its own user only.
            mounts += ["--perms", "0755", "--dir", parent]
    for path in folders:
        mounts += ["--ro-bind", path, path]
    return mounts


def _python_folders() -> list[str]:
    folders = {
        Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent,
        Path(mmcourse.__file__).resolve().parent,
    }  # fmt: skip
    return sorted(str(path) for path in folders if path not in (Path("/"), Path("/usr")))


def _uid() -> int:
    """An uid of its own per judge, so that limits on processes are not shared."""
    return 20_000 + os.getpid() % 40_000


class Sandbox:
    """A worker process at some level; `child()` gives a fresh child of it to talk to.

    Args:
        isolation: the level.
        cpu_s: processor seconds that one child may use.
    """

    def __init__(self, isolation: Isolation, cpu_s: int) -> None:
        self.isolation = isolation
        self.control, inside = socket.socketpair()
        self.output, self._write = os.pipe()
        os.set_blocking(self.output, False)
        options = self._options(cpu_s)
        command = [*prefix(isolation), sys.executable, "-P", "-m", "mmcourse.grading.worker"]
        # A process without a mount namespace gets a folder of its own to write to.
        own = isolation.level == "process"
        self.folder = tempfile.mkdtemp(prefix="mmcourse-worker-") if own else ""
        if own and isolation.drop:
            os.chmod(self.folder, 0o777)
        self.process = subprocess.Popen(
            [*command, json.dumps(options)],
            stdin=inside.fileno(), stdout=self._write, stderr=self._write, cwd=self.folder or "/",
            env=self._environment(), start_new_session=True,
        )  # fmt: skip
        inside.close()
        os.close(self._write)

    def _environment(self) -> dict[str, str]:
        if self.isolation.level == "bwrap":
            return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        home = self.folder
        return {k: v.replace("/tmp", home) for k, v in ENVIRONMENT.items()} | {
            "PYTHONPATH": environment()["PYTHONPATH"]
        }

    def _options(self, cpu_s: int) -> dict[str, Any]:
        return {
            "uid": _uid() if self.isolation.drop else 0,
            "own_pids": self.isolation.level == "bwrap",
            "file_bytes": TEMPORARY_BYTES,
            # Address space is mostly reserved, not used: the watchdog looks at real memory.
            "address_bytes": MEMORY_BYTES + 12 * 2**30,
            "cpu_s": cpu_s,
            "processes": 4 * PROCESSES,
        }

    def wait_ready(self, timeout_s: float) -> None:
        """Waits for the worker's imports; raises OSError if it does not come up."""
        self._expect(b"ready", timeout_s)

    def child(self) -> socket.socket:
        """Kills what runs, starts a fresh child and returns the socket to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [b"start"], [theirs.fileno()])
            self._expect(b"done", 30)
        return ours

    def kill_child(self) -> None:
        """Ends the child and everything it has started."""
        self.control.send(b"kill")
        self._expect(b"done", 30)

    def _expect(self, word: bytes, timeout_s: float) -> None:
        self.control.settimeout(timeout_s)
        got = self.control.recv(len(word))
        if got != word:
            raise OSError(f"the sandbox said {got!r} instead of {word!r}")

    def close(self) -> None:
        """Ends the sandbox and everything in it."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            # A worker without a process namespace ends its children when the socket closes.
            self.process.wait(0 if self.isolation.level == "bwrap" else 2)
        self.process.kill()
        self.process.wait()
        os.close(self.output)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
