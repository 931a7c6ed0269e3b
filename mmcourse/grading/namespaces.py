"""Namespaces of its own for one attempt of a submission, made by a fork of the warm worker.

Bubblewrap builds the sandbox once; its worker imports torch once. Each attempt then gets
processes, mounts, IPC and network of its own, with an empty `/tmp` and `/dev/shm`, so that
nothing of one learner's is there when the next one's code runs, and the worker cannot be named
from inside. Three processes do it:

    outer   asks for the namespaces; dies with the worker
    init    process 1 of them: mounts, gives all its rights up, waits; its end is the end of all
    inner   the only one that comes back from `enter`, and goes on to run the learner's code

Run by path with the standard library alone it tries this out: exit status 0 means it works.

    python -I -S namespaces.py
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_PIDS, NEW_NET = (
    0x0002_0000, 0x0400_0000, 0x0800_0000, 0x2000_0000, 0x4000_0000,
)  # fmt: skip
NO_SUID, NO_DEV, NO_EXEC, BIND, RECURSIVE, PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
SET_DEATH_SIGNAL, SET_DUMPABLE, BECOME_SUBREAPER, SET_NO_NEW_PRIVILEGES = 1, 4, 36, 38
CAPABILITIES_3 = 0x2008_0522


def enter(
    temporary_bytes: int,
    shared_bytes: int,
    handles: tuple[int, ...] = (),
    kept: Sequence[str] = (),
) -> None:
    """Returns in a process with namespaces of its own; the two above it never return.

    Args:
        temporary_bytes: size of `/tmp`.
        shared_bytes: size of `/dev/shm`.
        handles: file descriptors that only the process inside may keep.
        kept: folders that stay where they are, read-only, although they lie under `/tmp`.

    Raises:
        OSError: a namespace or a mount is refused (the process that meets it ends).
    """
    die_with_parent()
    _checked(_libc().unshare(NEW_MOUNTS | NEW_UTS | NEW_IPC | NEW_PIDS | NEW_NET), "unshare")
    init = os.fork()
    if init:
        _end_with(init, handles)
    die_with_parent()
    _mount(None, "/", None, RECURSIVE | PRIVATE, "")
    opened = [(folder, os.open(folder, os.O_PATH)) for folder in kept]
    _mount("tmpfs", "/tmp", "tmpfs", NO_SUID | NO_DEV, f"size={temporary_bytes},mode=1777")
    _mount("tmpfs", "/dev/shm", "tmpfs", NO_SUID | NO_DEV, f"size={shared_bytes},mode=1777")
    for folder, handle in opened:
        os.makedirs(folder, 0o755, exist_ok=True)
        _mount(f"/proc/self/fd/{handle}", folder, None, BIND | RECURSIVE, "")
        os.close(handle)
    try:
        _mount("proc", "/proc", "proc", NO_SUID | NO_DEV | NO_EXEC, "")
    except PermissionError:
        # An unprivileged sandbox may not: its own `/proc` stays. The worker in it is closed to
        # a process without capabilities; bubblewrap itself, which has none either, is covered.
        _mount("tmpfs", "/proc/1", "tmpfs", NO_SUID | NO_DEV | NO_EXEC, "size=4096,mode=0555")
    os.chdir("/tmp")
    inner = os.fork()
    if inner:
        # What runs inside must not be able to look into this process, whatever its user is.
        _libc().prctl(SET_DUMPABLE, 0, 0, 0, 0)
        give_up_capabilities()
        _end_with(inner, handles)


def die_with_parent() -> None:
    """Asks Linux to kill this process when the one that started it ends; gains no privileges."""
    if sys.platform == "linux":
        _libc().prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        _libc().prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent has ended."""
    if sys.platform == "linux":
        _libc().prctl(BECOME_SUBREAPER, 1, 0, 0, 0)


def give_up_capabilities() -> None:
    """Leaves this process without any capability, for good where it gains no privileges."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0)
    _checked(_libc().capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _end_with(child: int, handles: tuple[int, ...]) -> None:
    """Waits for a child, collecting whatever orphans come, and ends as soon as it has."""
    for handle in handles:
        os.close(handle)
    while os.waitpid(-1, 0)[0] != child:
        pass
    os._exit(0)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str) -> None:
    names = [name.encode() if name else None for name in (source, target, kind)]
    done = _libc().mount(*names, ctypes.c_ulong(flags), data.encode())
    _checked(done, f"mount {target}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _try_out() -> int:
    """Enters and looks whether this is a new world: 0 if so."""
    reader, writer = os.pipe()
    outer = os.fork()
    if not outer:
        try:
            enter(2**20, 2**20, (writer,))
            inside = os.getpid() == 2 and not os.listdir("/tmp")
            os.write(writer, b"ok" if inside else b"no")
        except OSError as error:
            print(error, file=sys.stderr, flush=True)
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(outer, 0)
    return 0 if os.read(reader, 2) == b"ok" else 1


if __name__ == "__main__":
    sys.exit(_try_out())
