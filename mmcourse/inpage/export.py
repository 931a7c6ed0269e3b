"""Exports by recipe: which networks of a model a page needs, and what else it must know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mmcourse.diffusion import TextToImage
from mmcourse.inpage.onnx_graph import graph
from mmcourse.inpage.page_model import Method, Part
from mmcourse.inpage.watched import WatchedUNet
from mmcourse.weights import checkpoint_file


def text_to_image(name: str) -> tuple[dict[str, Part], dict[str, Any]]:
    """Reader, U-Net (for two captions at once: guidance) and decoder of a text-to-image model."""
    found = TextToImage.load(name, device="cpu")
    model, vocabulary = found.model, found.vocabulary
    ids = vocabulary.encode([vocabulary.words[0]])
    context = model.reader(ids).detach()
    channels = model.autoencoder.latent_channels
    z = torch.randn(2, channels, found.size, found.size, generator=torch.Generator().manual_seed(0))
    both = {"z": z, "step": torch.tensor([500, 500]), "context": context.repeat(2, 1, 1)}
    parts = {
        "reader": Part(model.reader, {"ids": ids}),
        "unet": Part(WatchedUNet(model.unet), both, ("out", "maps")),
        "decoder": Part(Method(model, "decode"), {"z": z[:1]}),
    }
    return parts, {
        "kind": "text-to-image",
        "words": vocabulary.words,
        "aliases": vocabulary.aliases,
        "length": vocabulary.length,
        "latent": [channels, found.size, found.size],
        "picture": list(model.decode(z[:1]).shape[1:]),
        "power": model.power,
        "prediction": model.prediction,
        "signal": model.schedule.signal_rates,
        "spread": model.schedule.noise_rates,
    }


EXPORTS: dict[str, Callable[[str], tuple[dict[str, Part], dict[str, Any]]]] = {
    "text-to-image": text_to_image,
    "text-to-emoji": text_to_image,
}


def export(name: str, out: Path) -> dict[str, Any]:
    """Write a model's graphs and `model.json`, its description, into a folder.

    Args:
        name: of a checkpoint that comes with the package, see `EXPORTS`.
        out: the folder.

    Returns:
        The description: what the page must know, the files' sizes, and under "apart" the largest
        difference of each graph to PyTorch.

    Raises:
        ValueError: no such model, a damaged checkpoint, or a graph that differs from PyTorch.
    """
    if name not in EXPORTS:
        raise ValueError(f"can export {', '.join(EXPORTS)}, not {name!r}")
    checkpoint_file(name)
    parts, about = EXPORTS[name](name)
    about = {"name": name, **about, "parts": list(parts), "bytes": {}, "apart": {}}
    out.mkdir(parents=True, exist_ok=True)
    for piece, part in parts.items():
        made = graph(part.network.eval(), part.inputs, part.outputs, halves=True)
        data, about["apart"][piece] = made
        about["bytes"][piece] = len(data)
        (out / f"{piece}.onnx").write_bytes(data)
    (out / "model.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    return about
