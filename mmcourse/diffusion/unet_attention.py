"""Cross-attention in the U-Net: every place of the picture reads the words.

Queries come from the picture, keys and values from the caption. Parameter names follow the
published checkpoints of Stable Diffusion 1.x.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.diffusion.process import Steps
from mmcourse.diffusion.unet_blocks import group_norm
from mmcourse.transformers.attention import (
    fused_attention,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)

TOKENS = Float[Tensor, "batch places width"]
WORDS = Float[Tensor, "batch words context_dim"]


class CrossAttention(nn.Module):
    """Attention from the places of a picture to a context, or to themselves without one.

    softmax(Q Kᵀ / √d) V with Q = x W_q, K = c W_k, V = c W_v (no biases), then W_o.

    Args:
        width: of the picture's tokens.
        num_heads: must divide `width`.
        context_dim: width of the context; None where the picture attends to itself.

    Raises:
        ValueError: `num_heads` does not divide `width`.

    Source: Rombach et al. 2022, arXiv:2112.10752, §3.3.
    """

    def __init__(self, width: int, num_heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise ValueError(f"num_heads must divide the width {width}, got {num_heads}")
        self.num_heads = num_heads
        source = width if context_dim is None else context_dim
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(source, width, bias=False)
        self.to_v = nn.Linear(source, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: TOKENS, context: WORDS | None = None) -> TOKENS:
        """Let each of the tokens x (batch, places, width) read the context."""
        return self.to_out[0](merge_heads(fused_attention(*self._heads(x, context))))

    def weights(
        self, x: TOKENS, context: WORDS | None = None
    ) -> Float[Tensor, "batch heads places words"]:
        """Who reads what: the attention weights of the same call."""
        return scaled_dot_product_attention(*self._heads(x, context))[1]

    def _heads(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        context = x if context is None else context
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        return tuple(split_heads(part, self.num_heads) for part in (q, k, v))  # type: ignore


class GatedGELU(nn.Module):
    """a · gelu(b), where (a, b) = W x: the second half opens the gate for the first.

    Source: Shazeer 2020, arXiv:2002.05202, "GEGLU".
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * hidden)

    def forward(self, x: Float[Tensor, "batch t width"]) -> Float[Tensor, "batch t hidden"]:
        """Map x (batch, tokens, width) to (batch, tokens, hidden)."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class GatedFeedForward(nn.Module):
    """W · geglu(x), four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Place 1 is a dropout in the published network.
        parts = [GatedGELU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)]
        self.net = nn.Sequential(*parts)

    def forward(self, x: TOKENS) -> TOKENS:
        """Change each token by itself."""
        return self.net(x)


class ReadingBlock(nn.Module):
    """Look at the picture, read the words, think: three pre-LN branches with residuals.

    x ← x + attn₁(LN(x));   x ← x + attn₂(LN(x), context);   x ← x + ff(LN(x))

    Source: as `SpatialTransformer`.
    """

    def __init__(self, width: int, num_heads: int, context_dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1 = CrossAttention(width, num_heads)
        self.attn2 = CrossAttention(width, num_heads, context_dim)
        self.ff = GatedFeedForward(width)

    def forward(self, x: TOKENS, context: WORDS) -> TOKENS:
        """Map the tokens x (batch, places, width), told the words."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """A Transformer block whose tokens are the places of a feature map.

    x ↦ x + W_out · block(W_in · groupnorm(x), context)

    Args:
        channels: of the feature map.
        num_heads: must divide `channels`.
        context_dim: width of the context.
        groups: of the GroupNorm, whose ε is 1e-6 here (1e-5 in the ResNet blocks).

    Source: Rombach et al. 2022, arXiv:2112.10752, appendix E.2.1.
    """

    def __init__(self, channels: int, *, num_heads: int, context_dim: int, groups: int = 32):
        super().__init__()
        self.norm = group_norm(groups, channels, 1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([ReadingBlock(channels, num_heads, context_dim)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(
        self, x: Float[Tensor, "b channels h w"], context: WORDS
    ) -> Float[Tensor, "b channels h w"]:
        """Keep the shape of x (b, channels, h, w); context (b, words, context_dim)."""
        tokens = rearrange(self.proj_in(self.norm(x)), "b c h w -> b (h w) c")
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        # (b, places, c) -> (b, c, h, w)
        back = rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[2])
        return x + self.proj_out(back)


def attention_maps(
    model: nn.Module, x: Float[Tensor, "batch c h w"], step: Steps, context: Any
) -> dict[str, Float[Tensor, "batch heads rows columns words"]]:
    """Which place of the picture reads which word, in every cross-attention layer.

    Args:
        model: a U-Net with cross-attention, called as model(x, step, context).
        x: noisy pictures or latents.
        step, context: as the model takes them.

    Returns:
        Layer name → weights (batch, heads, rows, columns, words), a distribution over the words
        at each place.

    Raises:
        ValueError: the model has no cross-attention.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, CrossAttention) and name.endswith("attn2")
    }
    if not layers:
        raise ValueError("the model has no cross-attention layer: build it with context_dim")
    found: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[..., None]:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            weights = layers[name].weights(*inputs)
            rows = round(math.sqrt(weights.shape[2] * x.shape[2] / x.shape[3]))
            found[name] = rearrange(weights, "b n (r c) w -> b n r c w", r=rows)

        return look

    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            model(x, step, context)
    finally:
        for hook in hooks:
            hook.remove()
    return found
