"""Exports by recipe: which networks of a model a page needs, and what else it must know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmcourse.diffusion import TextToImage
from mmcourse.diffusion.unet_attention import CrossAttention
from mmcourse.inpage.onnx_graph import graph
from mmcourse.inpage.page_model import Method
from mmcourse.weights import checkpoint_file

Parts = dict[str, tuple[nn.Module, dict[str, Tensor], tuple[str, ...]]]


class WatchedUNet(nn.Module):
    """A U-Net that also tells where each word is read.

    Returns the prediction, and the weights (batch, rows, columns, words), the mean over heads and
    over the cross-attention layers with as many places as z.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, z: Tensor, step: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        maps: list[Tensor] = []

        def look(layer: CrossAttention, inputs: tuple[Tensor, Tensor]) -> None:
            if inputs[0].shape[1] == z.shape[2] * z.shape[3]:
                maps.append(layer.weights(*inputs).mean(dim=1))

        layers = [m for n, m in self.unet.named_modules() if n.endswith("attn2")]
        hooks = [layer.register_forward_pre_hook(look) for layer in layers]  # type: ignore
        try:
            found = self.unet(z, step, context)
        finally:
            for hook in hooks:
                hook.remove()
        mean = torch.stack(maps).mean(dim=0)
        return found, mean.reshape(len(z), *z.shape[2:], -1)


def text_to_image(name: str) -> tuple[Parts, dict[str, Any]]:
    """Reader, U-Net (for two captions at once: guidance) and decoder of a text-to-image model."""
    found = TextToImage.load(name, device="cpu")
    model, vocabulary = found.model, found.vocabulary
    ids = vocabulary.encode([vocabulary.words[0]])
    context = model.reader(ids).detach()
    channels = model.autoencoder.latent_channels
    z = torch.randn(2, channels, found.size, found.size, generator=torch.Generator().manual_seed(0))
    both = {"z": z, "step": torch.tensor([500, 500]), "context": context.repeat(2, 1, 1)}
    parts: Parts = {
        "reader": (model.reader, {"ids": ids}, ("out",)),
        "unet": (WatchedUNet(model.unet), both, ("out", "maps")),
        "decoder": (Method(model, "decode"), {"z": z[:1]}, ("out",)),
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


EXPORTS: dict[str, Callable[[str], tuple[Parts, dict[str, Any]]]] = {
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
    for part, (network, inputs, outputs) in parts.items():
        data, about["apart"][part] = graph(network.eval(), inputs, outputs, halves=True)
        about["bytes"][part] = len(data)
        (out / f"{part}.onnx").write_bytes(data)
    (out / "model.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    return about
