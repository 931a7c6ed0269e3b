"""Positions as waves: a vector for each place in a sentence."""

import torch
from jaxtyping import Float
from torch import Tensor


def wave_frequencies(embed_dim: int) -> Float[Tensor, "pairs"]:
    """ωᵢ = 10000^(−2i / embed_dim), in radians per position, for i = 0 … embed_dim/2 − 1.

    Raises:
        ValueError: if `embed_dim` is odd or below 2.

    Source: as `sinusoidal_positions`.
    """
    if embed_dim < 2 or embed_dim % 2:
        raise ValueError(f"embed_dim must be even and at least 2, got {embed_dim}")
    pairs = torch.arange(0, embed_dim, 2, dtype=torch.float64)
    return 10000.0 ** (-pairs / embed_dim)


def sinusoidal_positions(
    num_positions: int, embed_dim: int
) -> Float[Tensor, "positions embed_dim"]:
    """One vector for each position: sines on the even columns, cosines on the odd ones.

    PE(p, 2i) = sin(p ωᵢ),  PE(p, 2i + 1) = cos(p ωᵢ),  ωᵢ = 10000^(−2i / embed_dim).

    Args:
        num_positions: positions 0 … num_positions − 1.
        embed_dim: width of the vectors, even.

    Returns:
        (num_positions, embed_dim) in the default dtype; every vector has length √(embed_dim/2).

    Raises:
        ValueError: if `num_positions` is below 1, or `embed_dim` is odd or below 2.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.5.
    """
    if num_positions < 1:
        raise ValueError(f"num_positions must be at least 1, got {num_positions}")
    # float64: at position 10,000 a float32 angle is off by up to 0.0005.
    angles = torch.arange(num_positions, dtype=torch.float64)[:, None] * wave_frequencies(embed_dim)
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1)  # (positions, pairs, 2)
    return waves.flatten(1).to(torch.get_default_dtype())  # (positions, embed_dim)


def shift_matrix(offset: int, embed_dim: int) -> Float[Tensor, "embed_dim embed_dim"]:
    """The matrix that moves every position by `offset`, whatever the position.

    PE(p + offset) = M PE(p): each (sin, cos) pair turns by the angle offset·ωᵢ, so M is
    block-diagonal with the rotations [[cos, sin], [−sin, cos]].

    Raises:
        ValueError: if `embed_dim` is odd or below 2.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.5 (stated there without the matrix).
    """
    angles = offset * wave_frequencies(embed_dim)
    cos, sin = angles.cos(), angles.sin()
    blocks = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], dim=-2)
    return torch.block_diag(*blocks).to(torch.get_default_dtype())
