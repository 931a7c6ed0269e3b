"""Published CLIP checkpoints: their configuration and names, in the words of `CLIP`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

ACTIVATION = {"quick_gelu": "quick_gelu", "gelu": "gelu"}
Tensors = Mapping[str, Tensor]

# Hugging Face's names of a block's parts.
LAYER = {
    "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key",
    "self_attn.v_proj": "attention.value",
    "self_attn.out_proj": "attention.output",
    "layer_norm1": "attention_norm",
    "layer_norm2": "feed_forward_norm",
    "mlp.fc1": "feed_forward.expand",
    "mlp.fc2": "feed_forward.contract",
}
TEXT = {
    "embeddings.token_embedding.weight": "tokens.weight",
    "embeddings.position_embedding.weight": "stack.positions.weight",
    "encoder.layers": "stack.blocks",
    "final_layer_norm.weight": "stack.norm.weight",
    "final_layer_norm.bias": "stack.norm.bias",
}
IMAGE = {
    "embeddings.class_embedding": "class_token",
    "embeddings.patch_embedding.weight": "patches.weight",
    "embeddings.position_embedding.weight": "positions",
    "encoder.layers": "blocks",
    "pre_layrnorm.weight": "pre_norm.weight",  # the published name is misspelt
    "pre_layrnorm.bias": "pre_norm.bias",
    "post_layernorm.weight": "norm.weight",
    "post_layernorm.bias": "norm.bias",
}
WHOLE = {
    "visual_projection.weight": "image_projection.weight",
    "text_projection.weight": "text_projection.weight",
    "logit_scale": "logit_scale",
}
# open_clip's names of a block's parts; its attention is split further below.
OPEN_LAYER = {
    "ln_1": "attention_norm",
    "ln_2": "feed_forward_norm",
    "attn.out_proj": "attention.output",
    "mlp.c_fc": "feed_forward.expand",
    "mlp.c_proj": "feed_forward.contract",
}
OPEN_REST = {
    "token_embedding.weight": "text.tokens.weight",
    "positional_embedding": "text.stack.positions.weight",
    "ln_final.weight": "text.stack.norm.weight",
    "ln_final.bias": "text.stack.norm.bias",
    "visual.conv1.weight": "image.patches.weight",
    "visual.class_embedding": "image.class_token",
    "visual.positional_embedding": "image.positions",
    "visual.ln_pre.weight": "image.pre_norm.weight",
    "visual.ln_pre.bias": "image.pre_norm.bias",
    "visual.ln_post.weight": "image.norm.weight",
    "visual.ln_post.bias": "image.norm.bias",
    "logit_scale": "logit_scale",
}
BUFFERS = ("position_ids", "attn_mask")  # constants that some files hold too


def text_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `TextTower` for a published text configuration.

    Raises:
        ValueError: another architecture, or an activation that the course does not have.
    """
    kind = config.get("model_type", "clip_text_model")
    if kind != "clip_text_model":
        raise ValueError(f"config.json must describe a 'clip_text_model', got {kind!r}")
    end = config.get("eos_token_id", 49407)
    return _block(config) | {
        "vocab_size": config.get("vocab_size", 49408),
        "max_positions": config.get("max_position_embeddings", 77),
        "width": config.get("hidden_size", 512),
        "depth": config.get("num_hidden_layers", 12),
        "num_heads": config.get("num_attention_heads", 8),
        # Early files say 2 by mistake: there the largest number is meant.
        "end_id": None if end == 2 else end,
    }


def text_names(tensors: Tensors) -> dict[str, Tensor]:
    """A text tower's tensors in our names, from files with and without the prefix."""
    return _renamed(tensors, "text_model.", TEXT)


def from_huggingface(
    config: Mapping[str, Any], tensors: Tensors
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Sizes and tensors of `CLIP` from a published `CLIPModel`.

    Raises:
        ValueError: another architecture.
    """
    if config.get("model_type") != "clip":
        raise ValueError(
            f"config.json must describe a model of type 'clip', got {config.get('model_type')!r}"
        )
    vision = config.get("vision_config", {})
    image = _block(vision) | {
        "image_size": vision.get("image_size", 224),
        "patch_size": vision.get("patch_size", 32),
        "channels": vision.get("num_channels", 3),
        "width": vision.get("hidden_size", 768),
        "depth": vision.get("num_hidden_layers", 12),
        "num_heads": vision.get("num_attention_heads", 12),
    }
    text = text_arguments(config.get("text_config", {}))
    sizes = {"image": image, "text": text, "embed_dim": config.get("projection_dim", 512)}
    renamed = {}
    for prefix, target, names in (("text_model.", "text", TEXT), ("vision_model.", "image", IMAGE)):
        part = {name: t for name, t in tensors.items() if name.startswith(prefix)}
        renamed |= {f"{target}.{n}": t for n, t in _renamed(part, prefix, names).items()}
    rest = {n: t for n, t in tensors.items() if not n.startswith(("text_model.", "vision_model."))}
    return sizes, renamed | {WHOLE.get(name, name): tensor for name, tensor in rest.items()}


def from_open_clip(
    tensors: Tensors, quick_gelu: bool, num_heads: tuple[int, int] | None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Sizes and tensors of `CLIP` from an open_clip state dict; the sizes follow from the shapes.

    Raises:
        ValueError: a weight that every such model has is missing.
    """
    needed = ("visual.conv1.weight", "visual.proj", "text_projection", "token_embedding.weight")
    if missing := [name for name in needed if name not in tensors]:
        raise ValueError(
            f"expected an open_clip model of two Transformers, {missing[0]} is missing"
        )
    conv, proj = tensors["visual.conv1.weight"], tensors["visual.proj"]
    words = tensors["token_embedding.weight"]
    heads = num_heads or (conv.shape[0] // 64, words.shape[1] // 64)
    block = {"activation": "quick_gelu" if quick_gelu else "gelu"}
    places = len(tensors["visual.positional_embedding"]) - 1
    image = block | {
        "image_size": conv.shape[2] * round(places**0.5),
        "patch_size": conv.shape[2],
        "channels": conv.shape[1],
        "width": conv.shape[0],
        "depth": _depth(tensors, "visual.transformer.resblocks."),
        "num_heads": heads[0],
    }
    text = block | {
        "vocab_size": words.shape[0],
        "max_positions": len(tensors["positional_embedding"]),
        "width": words.shape[1],
        "depth": _depth(tensors, "transformer.resblocks."),
        "num_heads": heads[1],
    }
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.endswith(BUFFERS):
            renamed |= _open_name(name, tensor)
    return {"image": image, "text": text, "embed_dim": proj.shape[1]}, renamed


def _open_name(name: str, tensor: Tensor) -> dict[str, Tensor]:
    if name in ("visual.proj", "text_projection"):  # kept as x @ W: (width, embed)
        target = "image" if name.startswith("visual") else "text"
        return {f"{target}_projection.weight": tensor.T.contiguous()}
    if ".resblocks." not in name and not name.startswith("transformer."):
        return {OPEN_REST.get(name, name): tensor}
    front, _, rest = name.partition("resblocks.")
    number, _, part = rest.partition(".")
    place = f"{'image' if front.startswith('visual') else 'text.stack'}.blocks.{number}"
    if part.startswith("attn.in_proj_"):
        kind = part.removeprefix("attn.in_proj_")
        thirds = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
        return {f"{place}.attention.{which}.{kind}": t.contiguous() for which, t in thirds}
    layer, _, kind = part.rpartition(".")
    return {f"{place}.{OPEN_LAYER.get(layer, layer)}.{kind}": tensor}


def _block(config: Mapping[str, Any]) -> dict[str, Any]:
    act = config.get("hidden_act", "quick_gelu")
    if act not in ACTIVATION:
        raise ValueError(f"hidden_act must be one of {sorted(ACTIVATION)}, got {act!r}")
    sizes = {"activation": ACTIVATION[act], "norm_eps": config.get("layer_norm_eps", 1e-5)}
    hidden = config.get("intermediate_size")
    return sizes if hidden is None else {**sizes, "hidden_dim": hidden}


def _renamed(tensors: Tensors, prefix: str, names: Mapping[str, str]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in tensors.items():
        name = name.removeprefix(prefix)
        if name.endswith(BUFFERS):
            continue
        if name.startswith("encoder.layers."):
            number, _, part = name.removeprefix("encoder.layers.").partition(".")
            layer, _, kind = part.rpartition(".")
            name = f"{names['encoder.layers']}.{number}.{LAYER.get(layer, layer)}.{kind}"
        found[names.get(name, name)] = tensor
    return found


def _depth(tensors: Tensors, prefix: str) -> int:
    numbers = {
        name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)
    }
    return len(numbers)
