"""Checkpoint folders: read when right, refused by name when not; hub ids from a local cache."""

import json
from pathlib import Path

import pytest
import torch
from helpers import rejects
from safetensors.torch import save_file
from torch import nn

from mmcourse.weights import load_strict, read_card, read_checkpoint, read_tensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"width": 3}))
    save_file({"weight": torch.ones(1, 3)}, tmp_path / "model.safetensors")
    return tmp_path


def test_reads_a_folder(folder: Path) -> None:
    config, tensors = read_checkpoint(folder)
    assert config == {"width": 3}
    torch.testing.assert_close(tensors["weight"], torch.ones(1, 3))


def test_reads_shards(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "part-1.safetensors")
    save_file({"bias": torch.zeros(1)}, folder / "part-2.safetensors")
    names = {"weight": "part-1.safetensors", "bias": "part-2.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    assert set(read_checkpoint(folder)[1]) == {"weight", "bias"}
    index.write_text(json.dumps({"weight_map": {"weight": "../outside.safetensors"}}))
    with rejects("plain file name"):
        read_checkpoint(folder)


def test_a_pickle_is_never_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with rejects(r"only a pickle \(pytorch_model.bin\)"):
        read_checkpoint(folder)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with rejects("expected config.json"):
        read_checkpoint(tmp_path)
    with rejects("folder or a reachable hub id, got 'no/such-thing'"):
        read_checkpoint("no/such-thing")


def test_a_hub_id_resolves_through_the_cache(folder: Path, tmp_path_factory, monkeypatch) -> None:
    cache = tmp_path_factory.mktemp("hub")
    snapshot = cache / "models--someone--tiny" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    refs = cache / "models--someone--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert read_checkpoint("someone/tiny")[0] == {"width": 3}


def test_a_file_that_lost_its_end_is_called_damaged(folder: Path) -> None:
    file = folder / "model.safetensors"
    for kept in (0, 5, len(file.read_bytes()) - 4):
        file.write_bytes(file.read_bytes()[:kept] if kept else b"")
        for read in (lambda: read_checkpoint(folder), lambda: read_tensors(file)):
            with rejects("model.safetensors is damaged or cut short"):
                read()
        save_file({"weight": torch.ones(1, 3)}, file)


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (b"", "own.json is damaged, copy it again"),
        (b'{"sha256": ', "own.json is damaged, copy it again"),
        (b"\xff\xfe{", "own.json is damaged, copy it again"),
        (b"[1, 2]", "own.json must hold a card, .* got list"),
        (b'{"sha256": "12"}', "own.safetensors is damaged, or of another card: copy both again"),
        (None, "own.safetensors needs its card own.json beside it"),
    ],
)
def test_a_card_must_be_whole_and_of_its_file(
    tmp_path: Path, card: bytes | None, says: str
) -> None:
    file = tmp_path / "own.safetensors"
    save_file({"weight": torch.ones(1, 3)}, file)
    if card is not None:
        file.with_suffix(".json").write_bytes(card)
    with rejects(says):
        read_card(file)


def test_a_card_is_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("{}")
    with rejects("expected a .safetensors file, got 'own.json'"):
        read_card(tmp_path / "own.json")


def test_load_strict_names_every_problem() -> None:
    model = nn.Linear(3, 1)
    with rejects("missing bias; unexpected extra; weight must have shape .1, 3., got .2, 3."):
        load_strict(model, {"weight": torch.ones(2, 3), "extra": torch.ones(1)})
    load_strict(model, {"weight": torch.ones(1, 3), "bias": torch.zeros(1)})
    torch.testing.assert_close(model.weight.detach(), torch.ones(1, 3))
