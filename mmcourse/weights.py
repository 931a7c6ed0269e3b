"""Checkpoints, published ones and our own → tensors, strict about names and shapes.

Only safetensors are read: nothing here unpickles.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

WEIGHT_FILES = ("model.safetensors", "diffusion_pytorch_model.safetensors")


def checkpoint_folder(path_or_hub_id: str | Path) -> Path:
    """The local folder of a checkpoint; a hub id ("owner/name") goes through huggingface_hub.

    Raises:
        ValueError: if it is neither a folder nor a hub id that can be had.
    """
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        return folder
    try:
        from huggingface_hub import snapshot_download

        wanted = ["*.json", "*.safetensors"]
        return Path(snapshot_download(str(path_or_hub_id), allow_patterns=wanted))
    except Exception as error:  # the hub raises many kinds: offline, unknown, malformed id
        raise ValueError(
            "expected a checkpoint folder or a reachable hub id, "
            f"got {str(path_or_hub_id)!r} ({error})"
        ) from error


def read_checkpoint(path_or_hub_id: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the tensors of a published checkpoint folder.

    Returns:
        ``config.json`` as a dictionary, and name → tensor from its safetensors file
        (or from the shards that its index names).

    Raises:
        ValueError: if a file is missing or damaged, or if the weights are only there as a pickle.
    """
    folder = checkpoint_folder(path_or_hub_id)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ValueError(f"expected {config_file.name} in the checkpoint folder, found none")
    config = json.loads(config_file.read_text(encoding="utf-8"))
    for name in WEIGHT_FILES:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return config, _load(folder / name)
        if index.is_file():
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            parts = [_load(_inside(folder, shard)) for shard in sorted(shards)]
            return config, {key: tensor for part in parts for key, tensor in part.items()}
    pickles = [p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt"}]
    found = f"only a pickle ({pickles[0]}), which is never read" if pickles else "none"
    raise ValueError(
        f"expected {' or '.join(WEIGHT_FILES)} in the checkpoint folder, found {found}"
    )


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Name → tensor from one .safetensors file.

    Raises:
        ValueError: if there is no such file, or it is damaged or of another kind.
    """
    file = Path(path)
    if not file.is_file() or file.suffix != ".safetensors":
        found = "a file of another kind" if file.is_file() else "none"
        raise ValueError(f"expected a .safetensors file, got {file.name!r} ({found})")
    return _load(file)


def _load(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file.name} is damaged or cut short: {error}") from error


def checkpoint_file(name_or_path: str | Path) -> Path:
    """The file of a checkpoint that comes with the package, or of one's own.

    Raises:
        ValueError: no such checkpoint.
    """
    shipped = Path(__file__).parent / "checkpoints"
    for file in (Path(name_or_path), shipped / f"{name_or_path}.safetensors"):
        if file.is_file():
            return file
    known = sorted(file.stem for file in shipped.glob("*.safetensors"))
    raise ValueError(f"no checkpoint {str(name_or_path)!r}; a path, or one of {known}")


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(path: str | Path) -> dict[str, Any]:
    """The card (.json) beside a checkpoint of ours, after checking its hash against the file.

    Raises:
        ValueError: no such checkpoint, no card beside it, or a card that is damaged or of
            another file.
    """
    file = Path(path)
    card_file = file.with_suffix(".json")
    if not file.is_file():
        raise ValueError(f"expected a checkpoint, found no {file.name}")
    if file.suffix != ".safetensors":
        raise ValueError(f"expected a .safetensors file, got {file.name!r}")
    if not card_file.is_file():
        raise ValueError(f"{file.name} needs its card {card_file.name} beside it, found none")
    try:
        card = json.loads(card_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{card_file.name} is damaged, copy it again: {error}") from error
    if not isinstance(card, dict):
        raise ValueError(f"{card_file.name} must hold a card, {{…}}, got {type(card).__name__}")
    found = sha256(file)
    if found != card.get("sha256"):
        raise ValueError(
            f"{file.name} is damaged, or of another card: copy both again "
            f"(its card expects sha256 {card.get('sha256')}, got {found})"
        )
    return card


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device to compute on: "auto" takes cuda, then mps, then cpu.

    Raises:
        ValueError: if the named device is unknown or not present.
    """
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'device must be "auto", "cpu", "cuda" or "mps" and be present, got {str(device)!r}'
        ) from error


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise ValueError(f"a shard must be a plain file name in the folder, got {name!r}")
    return folder / name


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into `module`; every weight must be there, with its shape, and no other.

    Raises:
        ValueError: naming the missing, unexpected or misshapen weights.
    """
    own = module.state_dict()
    problems = []
    if missing := sorted(set(own) - set(tensors)):
        problems.append(f"missing {_some(missing)}")
    if unexpected := sorted(set(tensors) - set(own)):
        problems.append(f"unexpected {_some(unexpected)}")
    for name in sorted(set(own) & set(tensors)):
        expected, received = tuple(own[name].shape), tuple(tensors[name].shape)
        if expected != received:
            problems.append(f"{name} must have shape {expected}, got {received}")
    if problems:
        raise ValueError(f"{type(module).__name__}: " + "; ".join(problems[:6]))
    module.load_state_dict(dict(tensors))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
