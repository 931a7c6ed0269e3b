"""What a Vision Transformer has learned to see: its positions, and where its heads look."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def position_similarity(
    positions: Float[Tensor, "tokens width"],
) -> Float[Tensor, "rows columns rows columns"]:
    """Cosine similarity of every patch position with every other.

    Args:
        positions: (1 + g·g, width), the class token's first.

    Returns:
        (g, g, g, g): entry [i, j] is the map of the patch in row i, column j.

    Raises:
        ValueError: if the patches fill no square grid.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, Fig. 7 (centre).
    """
    grid = _side(len(positions))
    unit = F.normalize(positions[1:], dim=-1)
    return (unit @ unit.T).reshape(grid, grid, grid, grid)


def grid_distances(rows: int, columns: int) -> Float[Tensor, "patches patches"]:
    """Distance between the centres of every two patches, in patches."""
    ys, xs = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    points = torch.stack([ys.flatten(), xs.flatten()], dim=-1).double()
    return torch.cdist(points, points).to(torch.get_default_dtype())


def attention_distance(
    weights: Float[Tensor, "layers batch heads tokens tokens"],
) -> Float[Tensor, "layers heads"]:
    """How far a patch looks, in patches: the mean distance to what it attends to.

    For every head Σⱼ aᵢⱼ |i − j| / Σⱼ aᵢⱼ over the patches j, averaged over the patches i and
    the pictures; the class token is left out on both sides.

    Raises:
        ValueError: if the patches fill no square grid.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, Fig. 7 (right).
    """
    grid = _side(weights.shape[-1])
    between = weights[..., 1:, 1:]  # patches only
    total = between.sum(dim=-1).clamp_min(torch.finfo(weights.dtype).tiny)
    far = (between * grid_distances(grid, grid).to(weights)).sum(dim=-1) / total
    return far.mean(dim=(1, 3))  # (layers, batch, heads, patches) → (layers, heads)


def attention_rollout(
    weights: Float[Tensor, "layers batch heads tokens tokens"],
) -> Float[Tensor, "batch tokens tokens"]:
    """From which input tokens a last-layer token has mixed its content, all layers together.

    R = A_L ⋯ A₂ A₁ with A = ½ (mean over the heads) + ½ I, the half I for the shortcut.

    Returns:
        (batch, tokens, tokens), rows ≥ 0 with sum 1.

    Source: Abnar and Zuidema 2020, arXiv:2005.00928, §3. It ignores what values and
    feed-forward networks do: a rough picture, not an explanation.
    """
    layers = weights.mean(dim=2)  # (layers, batch, tokens, tokens)
    shortcut = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    rolled = shortcut.expand(layers.shape[1:])
    for layer in layers:
        rolled = (layer + shortcut) / 2 @ rolled
    return rolled


def _side(tokens: int) -> int:
    side = math.isqrt(max(tokens - 1, 0))
    if side < 1 or side * side != tokens - 1:
        raise ValueError(f"need one class token and a square grid of patches, got {tokens} tokens")
    return side
