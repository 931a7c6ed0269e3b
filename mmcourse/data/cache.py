"""Data that is computed once per machine: built under a lock, written whole, verified by hash."""

import errno
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from torch import Tensor


class DataError(RuntimeError):
    """Data cannot be had on this machine; the message says why and how to mend it."""


def cache_folder() -> Path:
    """Where computed data is kept: $MMCOURSE_CACHE, else the user's cache folder."""
    chosen = os.environ.get("MMCOURSE_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("mmcourse", appauthor=False))


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside its place first, then moved there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path) -> dict[str, Tensor] | None:
    """The stored tensors, or None where nothing (or nothing intact) is stored."""
    from safetensors.torch import load

    card = path.with_suffix(".json")
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
        wanted = json.loads(card.read_text("utf-8"))["sha256"]
        if hashlib.sha256(content).hexdigest() == wanted:
            return load(content)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # no card, or one that is not readable: as damaged as a wrong hash
    warnings.warn(f"{path} is damaged and is built again", stacklevel=4)
    return None


def _store(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save

    content = save(tensors)
    _write(path, content)
    card = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    _write(path.with_suffix(".json"), json.dumps(card).encode())


def _mend(error: OSError, folder: Path) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full; free some space"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "it may not be written to; change its permissions"
    else:
        reason = f"{error.strerror or error}; repair it"
    return DataError(
        f"cannot keep data in {folder}: {reason}, or set MMCOURSE_CACHE to another folder"
    )


def cached(name: str, build: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors that are built once, kept on disk, and verified at every reading.

    Two processes never build at the same time: the second waits and reads. A damaged file is
    built again.

    Args:
        name: file name without ending; it must change when the content does.
        build: makes the tensors.

    Returns:
        the tensors.

    Raises:
        DataError: if the cache folder cannot be written (full disk, permissions).
    """
    from filelock import FileLock

    folder = cache_folder()
    path = folder / f"{name}.safetensors"
    try:
        if path.exists() and (found := _read(path)) is not None:
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if path.exists() and (found := _read(path)) is not None:
                return found
            tensors = build()
            _store(path, tensors)
            return tensors
    except OSError as error:
        raise _mend(error, folder) from error
