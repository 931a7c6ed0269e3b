"""Published U-Net checkpoints: their configuration and older names, in the words of `UNet`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Settings that this U-Net knows in one form only: of both published networks, …
EXPECTED = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "mid_block_scale_factor": (1,),
    "act_fn": ("silu", "swish"),
    "resnet_time_scale_shift": ("default",),
    "class_embed_type": (None,),
    "time_embedding_dim": (None,),
}
# … of the unconditional one, …
PLAIN = {
    "mid_block_type": ("UNetMidBlock2D",),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "attn_norm_num_groups": (None,),
}
# … and of the one that reads words: Stable Diffusion 1.x, not its successors.
READING = {
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "only_cross_attention": (False,),
    "mid_block_only_cross_attention": (None, False),
    "transformer_layers_per_block": (1,),
    "reverse_transformer_layers_per_block": (None,),
    "use_linear_projection": (False,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "addition_embed_type": (None,),
    "num_class_embeds": (None,),
    "upcast_attention": (False, None),
    "resnet_skip_time_act": (False,),
    "resnet_out_scale_factor": (1.0,),
    "time_embedding_act_fn": (None,),
    "timestep_post_act": (None,),
    "time_cond_proj_dim": (None,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "attention_type": ("default",),
    "class_embeddings_concat": (False,),
    "cross_attention_norm": (None,),
}
DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True, "CrossAttnDownBlock2D": True}
UP = {"UpBlock2D": False, "AttnUpBlock2D": True, "CrossAttnUpBlock2D": True}
# Early files call the attention layer's parts by other names.
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `UNet` for a published configuration.

    Args:
        config: the contents of config.json.

    Returns:
        Keyword arguments.

    Raises:
        ValueError: another architecture, or a setting that `UNet` does not have.
    """
    name = config.get("_class_name")
    known = {"UNet2DModel": _plain, "UNet2DConditionModel": _reading}
    if name not in known:
        raise ValueError(f"config.json must describe a {' or '.join(known)}, got {name!r}")
    _check(config, EXPECTED)
    down = _flags(config["down_block_types"], DOWN)
    if _flags(config["up_block_types"], UP) != down[::-1]:
        raise ValueError("up_block_types must mirror down_block_types")
    eps, groups = config.get("norm_eps", 1e-5), config.get("norm_num_groups", 32)
    return known[name](config) | {
        "channels": tuple(config["block_out_channels"]),
        "attention": down,
        "blocks_per_level": config.get("layers_per_block", 2),
        "groups": groups,
        "eps": eps,
        "dropout": config.get("dropout", 0.0),
        "cosine_first": config.get("flip_sin_to_cos", True),
        "frequency_shift": config.get("freq_shift", 0),
        "downsample_padding": config.get("downsample_padding", 1),
    }


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    _check(config, PLAIN)
    return {
        "in_channels": config.get("in_channels", 3),
        "out_channels": config.get("out_channels", 3),
        "middle_attention": config.get("add_attention", True),
        "head_dim": config.get("attention_head_dim", 8),
        "num_classes": config.get("num_class_embeds"),
    }


def _reading(config: Mapping[str, Any]) -> dict[str, Any]:
    _check(config, READING)
    # The published name misleads: here attention_head_dim is the *number* of heads.
    heads = config.get("num_attention_heads") or config.get("attention_head_dim", 8)
    several = set(heads) if isinstance(heads, (list, tuple)) else {heads}
    if len(several) > 1:
        raise ValueError(f"attention_head_dim must be one number for all levels, got {heads}")
    return {
        "in_channels": config.get("in_channels", 4),
        "out_channels": config.get("out_channels", 4),
        "num_heads": several.pop(),
        "context_dim": config.get("cross_attention_dim", 1280),
    }


def _check(config: Mapping[str, Any], expected: Mapping[str, tuple]) -> None:
    for key, allowed in expected.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{key} must be {allowed[0]!r}, got {config[key]!r}")


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
