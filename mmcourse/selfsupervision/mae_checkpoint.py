"""Published masked autoencoders: their configuration and names, in the words of `MAE`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmcourse.transformers import vit_checkpoint

# A decoder's layers: as the published files call them, and as transformers 5 writes them.
LAYERS = ("decoder.decoder_layers.", "decoder.decoder_encoder.layer.")
DECODER = {
    "decoder.decoder_embed.weight": "decoder.embed.weight",
    "decoder.decoder_embed.bias": "decoder.embed.bias",
    "decoder.mask_token": "decoder.mask_token",
    "decoder.decoder_pos_embed": "decoder.positions",
    "decoder.decoder_norm.weight": "decoder.norm.weight",
    "decoder.decoder_norm.bias": "decoder.norm.bias",
    "decoder.decoder_pred.weight": "decoder.predict.weight",
    "decoder.decoder_pred.bias": "decoder.predict.bias",
}
Tensors = Mapping[str, Tensor]


def from_huggingface(
    config: Mapping[str, Any], tensors: Tensors
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Keyword arguments of `MAE` and its weights, from a `ViTMAEForPreTraining` folder.

    Raises:
        ValueError: another architecture, or an activation that the course does not have.
    """
    names = config.get("architectures") or [config.get("model_type")]
    if "ViTMAEForPreTraining" not in names:
        raise ValueError(f"config.json must describe a ViTMAEForPreTraining, got {names}")
    encoder = {name: t for name, t in tensors.items() if name.startswith("vit.")}
    options, renamed = _vit(config, encoder)
    inner = {
        "hidden_size": config.get("decoder_hidden_size", 512),
        "num_hidden_layers": config.get("decoder_num_hidden_layers", 8),
        "num_attention_heads": config.get("decoder_num_attention_heads", 16),
        "intermediate_size": config.get("decoder_intermediate_size", 2048),
    }
    layers = {_as_layer(name): t for name, t in tensors.items() if name.startswith(LAYERS)}
    sizes, blocks = _vit({**config, **inner}, layers)
    options |= {
        "decoder_dim": sizes["embed_dim"],
        "decoder_layers": sizes["num_layers"],
        "decoder_heads": sizes["num_heads"],
        "decoder_hidden_dim": sizes["hidden_dim"],
        "mask_ratio": config.get("mask_ratio", 0.75),
        "norm_pix_loss": config.get("norm_pix_loss", False),
    }
    ours = {f"encoder.{name}": t for name, t in renamed.items()}
    ours |= {f"decoder.{name}": t for name, t in blocks.items()}
    rest = set(tensors) - set(encoder) - {n for n in tensors if n.startswith(LAYERS)}
    return options, ours | {DECODER.get(name, name): _flat(name, tensors[name]) for name in rest}


def _vit(config: Mapping[str, Any], tensors: Tensors) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A stack of blocks, translated as if it were a published classifier's."""
    named = {**config, "architectures": ["ViTForImageClassification"]}
    options, renamed = vit_checkpoint.from_huggingface(named, tensors)
    # The published models drop nothing, and have no classes.
    return {k: v for k, v in options.items() if k not in ("dropout", "num_classes")}, renamed


def _as_layer(name: str) -> str:
    front = next(prefix for prefix in LAYERS if name.startswith(prefix))
    return "vit.encoder.layer." + name.removeprefix(front)


def _flat(name: str, tensor: Tensor) -> Tensor:
    """Without the leading axes of length one that the tokens and positions carry."""
    if name == "decoder.mask_token":
        return tensor.flatten()
    return tensor.squeeze(0) if name == "decoder.decoder_pos_embed" else tensor
