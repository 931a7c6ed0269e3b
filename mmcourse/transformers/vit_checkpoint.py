"""Published ViT checkpoints: their sizes and names, in the words of `ViT`."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

ACTIVATION_NAMES = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
}
# Width → heads of the published models: Ti, S, B, L, H.
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
HUGGINGFACE = {
    "vit.embeddings.cls_token": "class_token",
    "vit.embeddings.position_embeddings": "positions",
    "vit.embeddings.patch_embeddings.projection": "patches.project",
    "vit.layernorm": "norm",
    "classifier": "head",
    "vit.encoder.layer": "blocks",
    "attention.attention.query": "attention.query",
    "attention.attention.key": "attention.key",
    "attention.attention.value": "attention.value",
    "attention.output.dense": "attention.output",
    "layernorm_before": "attention_norm",
    "layernorm_after": "feed_forward_norm",
    "intermediate.dense": "feed_forward.expand",
    "output.dense": "feed_forward.contract",
}
TIMM = {
    "cls_token": "class_token",
    "pos_embed": "positions",
    "patch_embed.proj": "patches.project",
    "norm": "norm",
    "fc_norm": "norm",
    "head": "head",
    "attn.proj": "attention.output",
    "norm1": "attention_norm",
    "norm2": "feed_forward_norm",
    "mlp.fc1": "feed_forward.expand",
    "mlp.fc2": "feed_forward.contract",
}


def from_huggingface(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Keyword arguments of `ViT` and its weights, from a `ViTForImageClassification` folder.

    Raises:
        ValueError: another architecture, or an activation that `ViT` does not have.
    """
    names = config.get("architectures") or [config.get("model_type")]
    if "ViTForImageClassification" not in names:
        raise ValueError(f"config.json must describe a ViTForImageClassification, got {names}")
    activation = config.get("hidden_act", "gelu")
    if activation not in ACTIVATION_NAMES:
        raise ValueError(f"hidden_act must be one of {list(ACTIVATION_NAMES)}, got {activation!r}")
    width = config.get("hidden_size", 768)
    options = {
        "image_size": config.get("image_size", 224),
        "patch_size": config.get("patch_size", 16),
        "channels": config.get("num_channels", 3),
        "embed_dim": width,
        "num_layers": config.get("num_hidden_layers", 12),
        "num_heads": config.get("num_attention_heads", 12),
        "hidden_dim": config.get("intermediate_size", 3072),
        "num_classes": len(config.get("id2label") or (0, 1)),  # two if nothing is said
        "dropout": config.get("hidden_dropout_prob", 0.0),
        "activation": ACTIVATION_NAMES[activation],
        "norm_eps": config.get("layer_norm_eps", 1e-12),
    }
    renamed = {_huggingface_name(name): tensor for name, tensor in tensors.items()}
    if not config.get("qkv_bias", True):  # no bias is a bias of zero
        for layer in range(options["num_layers"]):
            for part in ("query", "key", "value"):
                renamed[f"blocks.{layer}.attention.{part}.bias"] = torch.zeros(width)
    return options, _reshaped(renamed)


def from_timm(
    tensors: Mapping[str, Tensor], num_heads: int | None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Keyword arguments of `ViT` and its weights, from a timm `VisionTransformer`.

    Raises:
        ValueError: a part of the architecture is missing, or the heads cannot be told.
    """
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight")
    if missing := [name for name in needed if name not in tensors]:
        raise ValueError(f"expected the weights of a timm VisionTransformer, found no {missing[0]}")
    width, channels, patch, _ = tensors["patch_embed.proj.weight"].shape
    heads = HEADS.get(width) if num_heads is None else num_heads
    if heads is None:
        raise ValueError(f"name num_heads: it cannot be told from the width {width}")
    side = math.isqrt(tensors["pos_embed"].shape[1] - 1)
    if 1 + side * side != tensors["pos_embed"].shape[1]:
        count = tensors["pos_embed"].shape[1]
        raise ValueError(f"pos_embed must hold 1 + g·g positions of a square grid, got {count}")
    options = {
        "image_size": patch * side,
        "patch_size": patch,
        "channels": channels,
        "embed_dim": width,
        "num_layers": len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
        "num_heads": heads,
        "hidden_dim": len(tensors["blocks.0.mlp.fc1.weight"]),
        "num_classes": len(tensors.get("head.weight", ())),
        "pool": "mean" if "fc_norm.weight" in tensors else "cls",
    }
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".attn.qkv." in name:  # one matrix for three
            front, _, kind = name.partition(".attn.qkv.")
            parts = ("query", "key", "value")
            for part, third in zip(parts, tensor.chunk(3), strict=True):
                renamed[f"{front}.attention.{part}.{kind}"] = third
        else:
            renamed[_timm_name(name)] = tensor
    return options, _reshaped(renamed)


def _huggingface_name(name: str) -> str:
    for theirs, ours in HUGGINGFACE.items():
        if name == theirs or name.startswith(f"{theirs}.") or f".{theirs}." in name:
            name = name.replace(theirs, ours, 1)
    return name


def _timm_name(name: str) -> str:
    front, rest = "", name
    if name.startswith("blocks."):
        front, rest = ".".join(name.split(".")[:2]) + ".", name.split(".", 2)[2]
    if rest in TIMM:
        return front + TIMM[rest]
    stem, _, kind = rest.rpartition(".")
    return f"{front}{TIMM.get(stem, stem)}.{kind}"


def _reshaped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop leading axes of length one, and turn the strided convolution into a matrix."""
    for name in ("class_token", "positions"):
        if name in tensors:
            tensors[name] = tensors[name].reshape(tensors[name].shape[-2:])
    if "class_token" in tensors:
        tensors["class_token"] = tensors["class_token"].flatten()
    if (kernel := tensors.get("patches.project.weight")) is not None:
        tensors["patches.project.weight"] = rearrange(kernel, "d c p q -> d (p q c)").contiguous()
    return tensors
