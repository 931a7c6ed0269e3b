"""Published BERT checkpoints: their configuration and names, in the words of `Bert`."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

ACTIVATION = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
# Settings that `Bert` knows in one form only.
EXPECTED = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
LAYER = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "feed_forward.expand",
    "output.dense": "feed_forward.contract",
    "output.LayerNorm": "feed_forward_norm",
}
REST = {
    "embeddings.word_embeddings": "embeddings.token",
    "embeddings.token_type_embeddings": "embeddings.segment",
    "embeddings.position_embeddings": "embeddings.position",
    "embeddings.LayerNorm": "embeddings.norm",
    "pooler.dense": "pooler",
    "cls.predictions.transform.dense": "mlm.transform",
    "cls.predictions.transform.LayerNorm": "mlm.norm",
    "cls.predictions": "mlm",  # its bias
    "cls.seq_relationship": "nsp",
}
# Copies of other weights, which some files hold too: name → the weight it must equal.
COPIES = {
    "cls.predictions.decoder.weight": "embeddings.token.weight",
    "cls.predictions.decoder.bias": "mlm.bias",
}


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `Bert` for a published configuration.

    Raises:
        ValueError: another architecture, or a setting that `Bert` does not have.
    """
    kind = config.get("model_type")
    if kind != "bert":
        raise ValueError(f"config.json must describe a model of type 'bert', got {kind!r}")
    for key, allowed in EXPECTED.items():
        if config.get(key, allowed) != allowed:
            raise ValueError(f"{key} must be {allowed!r}, got {config[key]!r}")
    act = config.get("hidden_act", "gelu")
    if act not in ACTIVATION:
        raise ValueError(f"hidden_act must be one of {sorted(ACTIVATION)}, got {act!r}")
    return {
        "vocab_size": config["vocab_size"],
        "embed_dim": config["hidden_size"],
        "num_heads": config["num_attention_heads"],
        "num_layers": config["num_hidden_layers"],
        "hidden_dim": config["intermediate_size"],
        "max_positions": config.get("max_position_embeddings", 512),
        "num_segments": config.get("type_vocab_size", 2),
        "dropout": config.get("hidden_dropout_prob", 0.1),
        "norm_eps": config.get("layer_norm_eps", 1e-12),
        "activation": ACTIVATION[act],
    }


def current_names(tensors: Mapping[str, Tensor], *, heads: bool = True) -> dict[str, Tensor]:
    """Tensors under `Bert`'s names, from files with or without the prefix ``bert.``.

    Early files (the published bert-base-uncased among them) call a norm's weight and bias
    gamma and beta. Without `heads`, the weights of the two heads are left out.

    Raises:
        ValueError: if a file's output matrix is not the embedding matrix (not tied).
    """
    found, copies = {}, {}
    for name, tensor in tensors.items():
        name = name.removeprefix("bert.")
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        if name.endswith("embeddings.position_ids") or (not heads and name.startswith("cls.")):
            continue  # a row of 0, 1, 2 …, no weight
        if name in COPIES:
            copies[name] = tensor
        else:
            found[_renamed(name)] = tensor
    for name, tensor in copies.items():
        twin = found.get(COPIES[name])
        if twin is None:
            found[COPIES[name]] = tensor
        elif not torch.equal(twin, tensor):
            raise ValueError(f"{name} must equal {COPIES[name]} (tied weights), it differs")
    return found


def _renamed(name: str) -> str:
    layer = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(\w+)", name)
    if layer:
        number, part, kind = layer.groups()
        return f"blocks.{number}.{LAYER.get(part, part)}.{kind}"
    part, _, kind = name.rpartition(".")
    return f"{REST.get(part, part)}.{kind}"
