"""Other people's weights for `Transformer`: PyTorch's module, and published Marian models."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmcourse.transformers.block import TransformerBlock
from mmcourse.transformers.decoder import DecoderBlock

# Settings of Marian models that this Transformer knows in one form only.
EXPECTED = {
    "normalize_before": (False,),
    "add_final_layer_norm": (False,),
    "normalize_embedding": (False,),
    "static_position_embeddings": (True,),
    "tie_word_embeddings": (True,),
}
MARIAN_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "silu": "silu", "swish": "silu"}
# Parts of a Marian block, in our words.
PARTS = {
    "self_attn": "attention",
    "self_attn_layer_norm": "attention_norm",
    "encoder_attn": "cross_attention",
    "encoder_attn_layer_norm": "cross_attention_norm",
    "fc1": "feed_forward.expand",
    "fc2": "feed_forward.contract",
    "final_layer_norm": "feed_forward_norm",
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "out_proj": "output",
}
# Copies of one embedding that a file may hold beside it.
TIED = ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")


def copy_from_torch(
    cls: Any,
    module: nn.Transformer,
    source_embedding: nn.Embedding,
    target_embedding: nn.Embedding | None,
    **options: Any,
) -> Any:
    """A `Transformer` (the `cls`) with the weights of PyTorch's; see `Transformer.from_torch`."""
    encoder = [TransformerBlock.from_torch(layer) for layer in _layers(module.encoder)]
    decoder = [DecoderBlock.from_torch(layer) for layer in _layers(module.decoder)]
    norms = module.encoder.norm, module.decoder.norm
    ours = cls(
        source_embedding.num_embeddings,
        None if target_embedding is None else target_embedding.num_embeddings,
        embed_dim=module.d_model,
        num_heads=module.nhead,
        encoder_layers=len(encoder),
        decoder_layers=len(decoder),
        norm_first=encoder[0].norm_first,
        final_norm=norms[0] is not None,
        norm_eps=encoder[0].attention_norm.eps,
        bias=encoder[0].feed_forward.expand.bias is not None,
        **options,
    ).to(source_embedding.weight)
    ours.encoder, ours.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
    for own, norm in zip((ours.encoder_norm, ours.decoder_norm), norms, strict=True):
        own.load_state_dict({} if norm is None else norm.state_dict())
    with torch.no_grad():
        ours.source_embedding.weight.copy_(source_embedding.weight)
        if target_embedding is not None:
            ours.target_embedding.weight.copy_(target_embedding.weight)
    return ours


def _layers(stack: nn.Module) -> list[Any]:
    layers = list(getattr(stack, "layers", []))
    if not layers:
        raise ValueError(f"expected a stack of PyTorch's layers, got {type(stack).__name__}")
    return layers


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Transformer` for a published Marian configuration.

    Raises:
        ValueError: another architecture, or a setting that `Transformer` does not have.
    """
    kind = config.get("model_type")
    if kind != "marian":
        raise ValueError(f"config.json must describe a marian model, got {kind!r}")
    for key, allowed in EXPECTED.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{key} must be {allowed[0]!r}, got {config[key]!r}")
    for part in ("attention_heads", "ffn_dim"):
        both = config[f"encoder_{part}"], config[f"decoder_{part}"]
        if both[0] != both[1]:
            raise ValueError(f"encoder and decoder must have the same {part}, got {both}")
    activation = config["activation_function"]
    if activation not in MARIAN_ACTIVATIONS:
        known = sorted(MARIAN_ACTIVATIONS)
        raise ValueError(f"activation_function must be one of {known}, got {activation!r}")
    shared = config.get("share_encoder_decoder_embeddings", True)
    return {
        "source_vocab": config["vocab_size"],
        "target_vocab": None if shared else config.get("decoder_vocab_size", config["vocab_size"]),
        "embed_dim": config["d_model"],
        "num_heads": config["encoder_attention_heads"],
        "hidden_dim": config["encoder_ffn_dim"],
        "encoder_layers": config["encoder_layers"],
        "decoder_layers": config["decoder_layers"],
        "dropout": config["dropout"],
        "activation": MARIAN_ACTIVATIONS[activation],
        "max_length": config["max_position_embeddings"],
        "pad_id": config["pad_token_id"],
        "start_id": config["decoder_start_token_id"],
        "end_id": config["eos_token_id"],
        "scale_embedding": config.get("scale_embedding", False),
        "interleave": False,
        "output_bias": True,
    }


def our_names(tensors: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
    """A Marian file's tensors under the names of `model`.

    The copies of a tied embedding and the position tables, which some files hold, are compared
    with what they must be and dropped.

    Raises:
        ValueError: if such a copy or table differs.
    """
    renamed, copies = {}, {}
    source, target = "embeddings.0.weight", f"embeddings.{len(model.embeddings) - 1}.weight"
    for name, tensor in tensors.items():
        if name == "final_logits_bias":
            renamed["output_bias"] = tensor.flatten()
        elif name.endswith("embed_positions.weight"):
            _check_equal(name, tensor, model.positions)
        elif name in TIED:
            copies[name] = tensor
        elif name == "model.shared.weight":
            renamed[source] = renamed[target] = tensor
        else:
            pieces = [PARTS.get(piece, piece) for piece in name.split(".")]
            renamed[".".join(p for p in pieces if p not in ("model", "layers"))] = tensor
    # A bias of zeros is what Marian means by none.
    renamed.setdefault("output_bias", torch.zeros_like(model.output_bias))
    for own, name in ((source, TIED[1]), (target, TIED[2]), (target, TIED[0])):
        if name in copies:
            _check_equal(name, copies[name], renamed.setdefault(own, copies[name]))
    return renamed


def _check_equal(name: str, tensor: Tensor, expected: Tensor) -> None:
    close = tensor.shape == expected.shape and torch.allclose(tensor.float(), expected, atol=1e-3)
    if not close:
        raise ValueError(
            f"{name} must equal the tied embedding or the sinusoidal positions of shape "
            f"{tuple(expected.shape)}, got other values or shape {tuple(tensor.shape)}"
        )
