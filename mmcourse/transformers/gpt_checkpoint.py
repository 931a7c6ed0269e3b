"""Published GPT-2 checkpoints: their configuration and names, in the words of `GPT`."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# Settings of GPT2Config that this model knows in one form only.
EXPECTED = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
TOP = {"wte": "tokens", "wpe": "stack.positions", "ln_f": "stack.norm"}
IN_BLOCK = {
    "ln_1": "attention_norm",
    "attn.c_proj": "attention.output",
    "ln_2": "feed_forward_norm",
    "mlp.c_fc": "feed_forward.expand",
    "mlp.c_proj": "feed_forward.contract",
}
IN_BLOCK_NAME = re.compile(r"h\.(\d+)\.(.+)\.(weight|bias)")
# Causal masks that older files carry along: no weights.
BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias")


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `GPT` for a published GPT-2 configuration.

    Args:
        config: the contents of config.json.

    Returns:
        Keyword arguments.

    Raises:
        ValueError: another architecture, a missing size, or a setting that `GPT` does not have.
    """
    kind = config.get("model_type")
    if kind != "gpt2":
        raise ValueError(f"config.json must describe a model of type 'gpt2', got {kind!r}")
    for key, allowed in EXPECTED.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{key} must be {allowed[0]!r}, got {config[key]!r}")
    needed = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    if missing := [key for key in needed if key not in config]:
        raise ValueError(f"config.json must give {', '.join(needed)}; missing {missing}")
    return {
        "vocab_size": config["vocab_size"],
        "max_positions": config["n_positions"],
        "embed_dim": config["n_embd"],
        "depth": config["n_layer"],
        "num_heads": config["n_head"],
        "hidden_dim": config.get("n_inner"),
        "dropout": config.get("resid_pdrop", 0.1),
        "norm_eps": config.get("layer_norm_epsilon", 1e-5),
    }


def our_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names of `GPT`, with and without the prefix "transformer.".

    Their linear layers store (in, out), which is transposed here, and one matrix for queries,
    keys and values, which is cut in three. Names that are not known stay as they are, so that
    `load_strict` will name them.

    Raises:
        ValueError: if the file carries an output matrix that is not its input embedding.
    """
    renamed: dict[str, Tensor] = {}
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    head = tensors.pop("lm_head.weight", None)
    if head is not None and not torch.equal(head, tensors.get("wte.weight", head)):
        raise ValueError("lm_head.weight must equal wte.weight (tied), but the two differ")
    if head is not None:
        tensors.setdefault("wte.weight", head)
    for name, tensor in tensors.items():
        if not BUFFER.fullmatch(name):
            renamed.update(_renamed(name, tensor))
    return renamed


def _renamed(name: str, tensor: Tensor) -> dict[str, Tensor]:
    part, _, kind = name.rpartition(".")
    if part in TOP:
        return {f"{TOP[part]}.{kind}": tensor}
    found = IN_BLOCK_NAME.fullmatch(name)
    if not found:
        return {name: tensor}
    number, part, kind = found.groups()
    front = f"stack.blocks.{number}"
    # A Conv1D of size 1 is a linear layer that stores its matrix as (in, out).
    turned = tensor.T.contiguous() if tensor.ndim == 2 else tensor
    if part == "attn.c_attn":
        layers = ("query", "key", "value")
        pieces = turned.chunk(3)
        return {
            f"{front}.attention.{layer}.{kind}": piece.contiguous()
            for layer, piece in zip(layers, pieces, strict=True)
        }
    if part not in IN_BLOCK:
        return {name: tensor}
    return {f"{front}.{IN_BLOCK[part]}.{kind}": turned}
