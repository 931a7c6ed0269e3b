"""The parts of the U-Net: time embedding, ResNet block, self-attention, resampling.

Parameter names follow the published checkpoints, so that a file loads without a translation table.
Every part maps (batch, channels, height, width) to the same layout.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.transformers.attention import fused_attention, merge_heads, split_heads


def time_embedding(
    step: Int[Tensor, "batch"] | Float[Tensor, "batch"],
    embed_dim: int,
    *,
    cosine_first: bool = False,
    frequency_shift: float = 1.0,
) -> Float[Tensor, "batch embed_dim"]:
    """Write a step as waves of many lengths, so that a network can tell near and far steps apart.

    ω_i = 10000^{−i / (d/2 − shift)},  e = [ sin(t ω_0) … sin(t ω_{d/2−1}), cos(t ω_0) … ]

    Args:
        step: code indices (batch,).
        embed_dim: d, even.
        cosine_first: put the cosines before the sines.
        frequency_shift: 1 in DDPM, so that the slowest wave is exactly 1/10000; 0 in Stable
            Diffusion (with cosine_first=True) and in the Transformer.

    Returns:
        The embedding (batch, embed_dim), float32.

    Raises:
        ValueError: embed_dim is odd or too small for the shift.

    Source: Ho et al. 2020, arXiv:2006.11239, appendix B, after Vaswani et al. 2017, §3.5, who
        interleave sines and cosines instead of concatenating them.
    """
    half = embed_dim // 2
    if embed_dim % 2 or half <= frequency_shift:
        lowest = 2 * int(frequency_shift) + 2
        raise ValueError(f"embed_dim must be even and at least {lowest}, got {embed_dim}")
    index = torch.arange(half, dtype=torch.float32, device=step.device)
    frequencies = torch.exp(-math.log(10_000) * index / (half - frequency_shift))
    angles = rearrange(step.float(), "b -> b 1") * frequencies
    waves = [angles.cos(), angles.sin()] if cosine_first else [angles.sin(), angles.cos()]
    return torch.cat(waves, dim=1)


class TimeMLP(nn.Module):
    """Two layers that turn the waves into what the ResNet blocks listen to.

    t ↦ W₂ · silu(W₁ t)

    Source: the published code of Ho et al. 2020, arXiv:2006.11239.
    """

    def __init__(self, embed_dim: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(embed_dim, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, waves: Float[Tensor, "batch waves"]) -> Float[Tensor, "batch width"]:
        return self.linear_2(F.silu(self.linear_1(waves)))


class ResBlock(nn.Module):
    """Two convolutions around a residual, with the time added between them.

    h = conv(silu(norm(x))) + W silu(time),   x ↦ skip(x) + conv(dropout(silu(norm(h))))

    The last convolution starts at zero, so that a new block changes nothing.

    Source: Ho et al. 2020, arXiv:2006.11239, appendix B; He et al. 2016; Wu & He 2018.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        time_width: int | None,
        groups: int = 32,
        eps: float = 1e-5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = group_norm(groups, in_channels, eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        if time_width is not None:  # an autoencoder's blocks know no time
            self.time_emb_proj = nn.Linear(time_width, out_channels)
        self.norm2 = group_norm(groups, out_channels, eps)
        self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        same = in_channels == out_channels
        self.conv_shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)
        self.dropout = dropout

    def forward(
        self, x: Float[Tensor, "b channels h w"], time: Float[Tensor, "b width"] | None = None
    ) -> Float[Tensor, "b out h w"]:
        """Map x (b, channels, h, w) to (b, out, h, w), told the time embedding (b, width)."""
        h = self.conv1(silu_(self.norm1(x)))
        if time is not None:
            # One number per channel, the same at every place: (b, c) -> (b, c, 1, 1).
            h += rearrange(self.time_emb_proj(F.silu(time)), "b c -> b c 1 1")
        h = silu_(self.norm2(h))
        if self.dropout:
            h = F.dropout(h, self.dropout, self.training)
        h = self.conv2(h)
        h += self.conv_shortcut(x)
        return h


class SelfAttention2d(nn.Module):
    """Self-attention in which every place of the image is a token.

    x ↦ x + W_o · attention(W_q n, W_k n, W_v n),  n = groupnorm(x)

    It takes a context too, which it does not use: whatever stands in its place may.

    Source: Ho et al. 2020, arXiv:2006.11239, appendix B.
    """

    def __init__(
        self, channels: int, *, head_dim: int | None = None, groups: int = 32, eps: float = 1e-5
    ) -> None:
        super().__init__()
        head_dim = channels if head_dim is None else head_dim
        if head_dim < 1 or channels % head_dim:
            raise ValueError(f"channels must be divisible by head_dim, got {channels}, {head_dim}")
        self.num_heads = channels // head_dim
        self.group_norm = group_norm(groups, channels, eps)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([zeroed(nn.Linear(channels, channels))])

    def forward(
        self, x: Float[Tensor, "b channels h w"], context: Tensor | None = None
    ) -> Float[Tensor, "b channels h w"]:
        """Let every place of x (b, channels, h, w) look at every other; the shape stays."""
        tokens = rearrange(self.group_norm(x), "b c h w -> b (h w) c").contiguous()
        q, k, v = (
            split_heads(project(tokens), self.num_heads)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        mixed = merge_heads(fused_attention(q, k, v))
        mixed = self.to_out[0](mixed)
        return x + rearrange(mixed, "b (h w) c -> b c h w", h=x.shape[2])


class Downsample(nn.Module):
    """Halve height and width with a convolution of stride 2.

    With padding 0 only the right and the bottom edge are padded, as in the first DDPM code.
    """

    def __init__(self, channels: int, *, padding: int = 1) -> None:
        super().__init__()
        if padding not in (0, 1):
            raise ValueError(f"padding must be 0 or 1, got {padding}")
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)
        self.pad = padding == 0

    def forward(self, x: Float[Tensor, "b channels h w"]) -> Float[Tensor, "b channels h2 w2"]:
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.pad else x)


class Upsample(nn.Module):
    """Double height and width: repeat each pixel, then smooth with a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b channels h w"]) -> Float[Tensor, "b channels h2 w2"]:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def silu_(x: Tensor) -> Tensor:
    """x · sigmoid(x); writes into x itself where no gradient needs the old values."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def group_norm(groups: int, channels: int, eps: float) -> nn.GroupNorm:
    """A GroupNorm whose groups divide its channels, or a ValueError that says so."""
    if groups < 1 or channels % groups:
        raise ValueError(f"channels must be divisible by groups, got {channels} and {groups}")
    return nn.GroupNorm(groups, channels, eps=eps)


def zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """A layer that begins by returning zeros."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
