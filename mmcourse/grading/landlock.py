"""Landlock: a process gives up all files but some, and all TCP, without being root (Linux 5.13).

What it does not do: it hides no processes, sets no size on a folder, and knows only the kinds of
access of the kernel's version (TCP from 6.7, signals to outsiders from 6.12). Source: the
kernel's documentation, userspace-api/landlock.

Run by path with the standard library alone it tries this out: exit status 0 means it works.

    python -I -S landlock.py READABLE…
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable

CREATE, ADD_RULE, RESTRICT = 444, 445, 446  # the same on every machine
ASK_VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
# How many kinds of file access each version knows.
FILE_ACCESS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
TCP_FROM, SCOPES_FROM = 4, 6
ALL_TCP, ALL_SCOPES = 0b11, 0b11
READING = EXECUTE | READ_FILE | READ_DIR
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
SET_NO_NEW_PRIVILEGES = 38


def version() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    return max(0, _libc().syscall(CREATE, None, ctypes.c_size_t(0), ASK_VERSION))


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Leaves this process and its children these paths, and nothing else of the file system.

    Args:
        readable: files and folders that may be read and executed.
        writable: folders in which everything is allowed.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    known = version()
    if not known:
        raise OSError("this kernel has no Landlock")
    everything = (1 << FILE_ACCESS[min(known, max(FILE_ACCESS))]) - 1
    fields = [everything]
    fields += [ALL_TCP] if known >= TCP_FROM else []
    fields += [ALL_SCOPES] if known >= SCOPES_FROM else []
    about = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = _call(CREATE, about, ctypes.c_size_t(len(about)), 0)
    for path in readable:
        _allow(ruleset, path, READING & everything)
    for path in writable:
        _allow(ruleset, path, everything)
    _libc().prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call(RESTRICT, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = access if os.path.isdir(path) else access & ON_FILES
            rule = struct.pack("=Qi", allowed, handle)
            _call(ADD_RULE, ruleset, PATH_BENEATH, rule, 0)
        finally:
            os.close(handle)


def _call(number: int, *arguments: object) -> int:
    result = _libc().syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _try_out(paths: list[str]) -> int:
    """Keeps only the paths, and looks whether Python can still import, and no longer list /."""
    restrict(paths, [])
    import tempfile  # noqa: F401 - from the standard library's folder

    try:
        os.listdir("/")
    except PermissionError:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(_try_out(sys.argv[1:]))
