"""Where a learner's code runs: a process with nothing to reach, at the best level there is.

bwrap      own user or uid, process, network, IPC and mount namespaces (Linux, bubblewrap)
landlock   no files but the system's and a folder of its own, no network (Linux)
container  whatever runs the grader is the sandbox: a container or pod for each submission
process    a separate process with resource limits only: for checking one's own work
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcourse
from mmcourse.grading import landlock, namespaces

LEVELS = ("bwrap", "landlock", "container", "process")
SAFE = LEVELS[:3]
MEMORY_BYTES = 4 * 2**30
TEMPORARY_BYTES = 512 * 2**20
SHARED_BYTES = 256 * 2**20
PROCESSES = 64
NEEDS = {
    "bwrap": "install bubblewrap, and allow it to make namespaces",
    "landlock": "it needs Linux 5.13 or later",
}
ENVIRONMENT = {
    "HOME": "/tmp", "TMPDIR": "/tmp", "IPYTHONDIR": "/tmp/.ipython", "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/.matplotlib", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin",
    "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Isolation:
    """A level that was probed and works here.

    Args:
        level: one of LEVELS.
        drop: root becomes nobody inside.
        warm: one sandbox serves many submissions, each in namespaces of its own.
    """

    level: str
    drop: bool = False
    warm: bool = False


@functools.cache
def best_isolation(wanted: str = "auto") -> Isolation:
    """Probes the levels and returns the best, or the one wanted.

    Raises:
        ValueError: the level is unknown, or does not work on this machine.
    """
    if wanted not in ("auto", *LEVELS):
        raise ValueError(f"isolation must be auto or one of {', '.join(LEVELS)}, got {wanted!r}")
    for level in LEVELS if wanted == "auto" else [wanted]:
        # That this is a container of its own is for its owner to say, never guessed.
        if level != "container" or wanted == "container":
            for isolation in _variants(level):
                if _works(isolation):
                    return isolation
    raise ValueError(f"isolation {wanted} does not work here ({NEEDS.get(wanted, 'see the log')})")


def _variants(level: str) -> list[Isolation]:
    """The ways to have a level, the best first."""
    drops = [True, False] if os.geteuid() == 0 else [False]
    warm = [True, False] if level == "bwrap" else [False]
    return [Isolation(level, drop, hot) for drop in drops for hot in warm]


def _works(isolation: Isolation) -> bool:
    """Runs the real arguments with a harmless program in place of the worker."""
    if isolation.level == "bwrap" and not shutil.which("bwrap"):
        return False
    if isolation.level == "landlock" and (sys.platform != "linux" or not landlock.version()):
        return False
    program = ["-c", ""]
    if isolation.warm:
        program = [namespaces.__file__]
    elif isolation.level == "landlock" and not isolation.drop:
        program = [landlock.__file__, *readable()]
    elif isolation.drop:
        program = ["-c", f"import os; os.setgid({_uid()}); os.setuid({_uid()}); import tempfile"]
    command = [*prefix(isolation), sys.executable, "-I", "-S", *program]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=20, stdin=subprocess.DEVNULL, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def prefix(isolation: Isolation) -> list[str]:
    """The command that goes before the interpreter."""
    if isolation.level != "bwrap":
        return []
    command = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    for name in ("pid", "net", "ipc", "uts"):
        command += [f"--unshare-{name}"]
    command += ["--unshare-cgroup-try"]
    if not isolation.drop:
        command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    command += ["--cap-drop", "ALL"]
    kept = ["CAP_SETUID", "CAP_SETGID"] if isolation.drop else []
    # For the worker alone: the learner's process gives up all it has.
    kept += ["CAP_SYS_ADMIN"] if isolation.warm else []
    command += [part for name in kept for part in ("--cap-add", name)]
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


def readable() -> list[str]:
    """What Landlock leaves: the system's libraries, harmless devices, this Python and package."""
    system = ["/usr", "/bin", "/lib", "/lib64", "/proc", "/etc/ld.so.cache", "/etc/localtime"]
    devices = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")]
    return [*system, *devices, *_python_folders()]


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
        modules: what the worker imports beside torch, before any fork.
    """

    def __init__(self, isolation: Isolation, modules: Sequence[str] = ()) -> None:
        self.isolation = isolation
        self.modules = modules
        self.control, inside = socket.socketpair()
        self.output, self._write = os.pipe()
        os.set_blocking(self.output, False)
        # A process without a mount namespace gets a folder of its own to write to.
        own = isolation.level != "bwrap"
        self.folder = tempfile.mkdtemp(prefix="mmcourse-worker-") if own else ""
        if own and isolation.drop:
            os.chmod(self.folder, 0o777)
        command = [*prefix(isolation), sys.executable, "-P", "-m", "mmcourse.grading.worker"]
        self.process = subprocess.Popen(
            [*command, json.dumps(self._options())],
            stdin=inside.fileno(), stdout=self._write, stderr=self._write, cwd=self.folder or "/",
            env=self._environment(), start_new_session=True,
        )  # fmt: skip
        inside.close()
        os.close(self._write)
        self.said = b""

    def _environment(self) -> dict[str, str]:
        if self.isolation.level == "bwrap":
            return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        home = self.folder
        return {k: v.replace("/tmp", home) for k, v in ENVIRONMENT.items()} | {
            "PYTHONPATH": environment()["PYTHONPATH"]
        }

    def _options(self) -> dict[str, Any]:
        return {
            "uid": _uid() if self.isolation.drop else 0,
            "warm": self.isolation.warm,
            "landlock": self.isolation.level == "landlock",
            "folder": self.folder,
            "readable": readable(),
            "kept": [path for path in _python_folders() if path.startswith(("/tmp/", "/dev/shm/"))],
            "modules": list(self.modules),
            "temporary_bytes": TEMPORARY_BYTES,
            "shared_bytes": SHARED_BYTES,
            # Address space is mostly reserved, not used: the watchdog looks at real memory.
            "address_bytes": MEMORY_BYTES + 12 * 2**30,
            "processes": 4 * PROCESSES,
        }

    def wait_ready(self, timeout_s: float) -> None:
        """Waits for the worker's imports; raises OSError if it does not come up."""
        self._expect(b"ready", timeout_s)

    def child(self, cpu_s: int) -> socket.socket:
        """Ends what runs, starts a fresh child and returns the socket to it.

        Args:
            cpu_s: processor seconds that the child may use.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._ask({"cpu_s": cpu_s}, theirs.fileno())
        return ours

    def kill_child(self) -> None:
        """Ends the child and everything it has started."""
        self._ask({})

    def _ask(self, request: dict[str, Any], *handles: int) -> None:
        """Sends a request and waits until it is done; what was said before does not count."""
        token = secrets.token_hex(8)
        data = json.dumps(request | {"token": token}).encode()
        socket.send_fds(self.control, [data], list(handles))
        self._expect(token.encode(), 30)

    def _expect(self, word: bytes, timeout_s: float) -> None:
        self.control.settimeout(timeout_s)
        while b"\n" not in self.said or word not in self.said.split(b"\n")[:-1]:
            got = self.control.recv(4096)
            if not got:
                raise OSError("the sandbox has ended")
            self.said += got
        self.said = b""

    def take_output(self) -> bytes:
        """What was printed since the last time, at most a few MB of it."""
        parts = []
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                parts.append(os.read(self.output, 65536))
                if not parts[-1]:
                    break
        return b"".join(parts)

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
