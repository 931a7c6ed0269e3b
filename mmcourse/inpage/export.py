"""Exports by recipe: which networks of a model a page needs, and what else it must know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmcourse.diffusion import TextToImage
from mmcourse.inpage.onnx_graph import write_graph
from mmcourse.weights import checkpoint_file


class _Decoder(nn.Module):
    """From the U-Net's latents to the picture, held in [-1, 1]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z)


def text_to_image(name: str, out: Path) -> dict[str, Any]:
    """Reader, U-Net (for two captions at once: guidance) and decoder of a text-to-image model."""
    found = TextToImage.load(name, device="cpu")
    model, vocabulary = found.model, found.vocabulary
    ids = vocabulary.encode([vocabulary.words[0]])
    context = model.reader(ids).detach()
    channels = model.autoencoder.latent_channels
    z = torch.randn(2, channels, found.size, found.size, generator=torch.Generator().manual_seed(0))
    both = {"z": z, "step": torch.tensor([500, 500]), "context": context.repeat(2, 1, 1)}
    graphs: dict[str, tuple[nn.Module, dict[str, Tensor]]] = {
        "reader": (model.reader, {"ids": ids}),
        "unet": (model.unet, both),
        "decoder": (_Decoder(model), {"z": z[:1]}),
    }
    apart = {
        part: write_graph(network.eval(), inputs, out / f"{part}.onnx")
        for part, (network, inputs) in graphs.items()
    }
    picture = model.decode(z[:1])
    return {
        "kind": "text-to-image",
        "parts": list(graphs),
        "apart": apart,
        "words": vocabulary.words,
        "aliases": vocabulary.aliases,
        "length": vocabulary.length,
        "latent": [channels, found.size, found.size],
        "picture": list(picture.shape[1:]),
        "power": model.power,
        "prediction": model.prediction,
        "signal": model.schedule.signal_rates,
        "spread": model.schedule.noise_rates,
    }


EXPORTS: dict[str, Callable[[str, Path], dict[str, Any]]] = {
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
    about = EXPORTS[name](name, out)
    about = {"name": name, **about}
    about["bytes"] = {part: (out / f"{part}.onnx").stat().st_size for part in about["parts"]}
    (out / "model.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    return about
