"""Published U-Net checkpoints: their configuration and older names, in the words of `UNet`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Settings of UNet2DModel that this U-Net knows in one form only.
EXPECTED = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1,),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),
    "resnet_time_scale_shift": ("default",),
    "class_embed_type": (None,),
    "time_embedding_dim": (None,),
    "attn_norm_num_groups": (None,),
}
DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True}
UP = {"UpBlock2D": False, "AttnUpBlock2D": True}
# Early files call the attention layer's parts by other names.
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `UNet` for a published `UNet2DModel` configuration.

    Args:
        config: the contents of config.json.

    Returns:
        Keyword arguments.

    Raises:
        ValueError: another architecture, or a setting that `UNet` does not have.
    """
    name = config.get("_class_name")
    if name != "UNet2DModel":
        raise ValueError(f"config.json must describe a UNet2DModel, got {name!r}")
    for key, allowed in EXPECTED.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{key} must be {allowed[0]!r}, got {config[key]!r}")
    down = _flags(config["down_block_types"], DOWN)
    if _flags(config["up_block_types"], UP) != down[::-1]:
        raise ValueError("up_block_types must mirror down_block_types")
    eps, groups = config.get("norm_eps", 1e-5), config.get("norm_num_groups", 32)
    return {
        "in_channels": config.get("in_channels", 3),
        "out_channels": config.get("out_channels", 3),
        "channels": tuple(config["block_out_channels"]),
        "attention": down,
        "middle_attention": config.get("add_attention", True),
        "blocks_per_level": config.get("layers_per_block", 2),
        "head_dim": config.get("attention_head_dim", 8),
        "groups": groups,
        "eps": eps,
        "dropout": config.get("dropout", 0.0),
        "num_classes": config.get("num_class_embeds"),
        "cosine_first": config.get("flip_sin_to_cos", True),
        "frequency_shift": config.get("freq_shift", 0),
        "downsample_padding": config.get("downsample_padding", 1),
    }


def current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under today's names, whichever generation of files they come from."""
    renamed = {}
    for name, tensor in tensors.items():
        if ".attentions." in name:
            *front, part, kind = name.split(".")
            name = ".".join([*front, OLD_NAMES.get(part, part), kind])
        renamed[name] = tensor
    return renamed


def _flags(names: list[str], known: Mapping[str, bool]) -> tuple[bool, ...]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"block types must be among {sorted(known)}, got {unknown[0]!r}")
    return tuple(known[name] for name in names)
