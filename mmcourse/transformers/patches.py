"""Pictures as tokens: patches, their linear embedding, and positions on a grid."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor, nn


def patchify(
    images: Shaped[Tensor, "batch channels height width"], patch_size: int
) -> Shaped[Tensor, "batch patches numbers"]:
    """Cut pictures into square patches and lay each out as one vector.

    Patches come row by row, from the upper left; within a patch the numbers come by row,
    column and channel, so that (16, 16, 3) becomes 768.

    Args:
        images: (batch, channels, height, width); the patch size divides height and width.
        patch_size: side of a patch in pixels, p.

    Returns:
        (batch, (height/p)·(width/p), p·p·channels).

    Raises:
        ValueError: unless there are four axes and p divides height and width.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, §3.1.
    """
    shape = tuple(images.shape)
    if len(shape) != 4 or patch_size < 1 or shape[2] % patch_size or shape[3] % patch_size:
        raise ValueError(
            "images must be (batch, channels, height, width) with height and width multiples "
            f"of the patch size {patch_size}, got shape {shape}"
        )
    pattern = "batch c (rows p) (columns q) -> batch (rows columns) (p q c)"
    return rearrange(images, pattern, p=patch_size, q=patch_size)


def unpatchify(
    patches: Shaped[Tensor, "batch patches numbers"], patch_size: int, rows: int | None = None
) -> Shaped[Tensor, "batch channels height width"]:
    """Put pictures together again: the exact inverse of `patchify`.

    Args:
        patches: (batch, patches, p·p·channels).
        patch_size: side of a patch in pixels, p.
        rows: patches from top to bottom; by default the picture is square.

    Raises:
        ValueError: if the patches fill no such picture.
    """
    count, numbers = patches.shape[-2:]
    down = math.isqrt(count) if rows is None else rows
    whole = down >= 1 and count % down == 0 and (rows is not None or down * down == count)
    if patches.ndim != 3 or not whole or patch_size < 1 or numbers % patch_size**2:
        raise ValueError(
            f"need (batch, patches, {patch_size}·{patch_size}·channels) in {down} equal rows "
            f"(name `rows` if the picture is not square), got shape {tuple(patches.shape)}"
        )
    pattern = "batch (rows columns) (p q c) -> batch c (rows p) (columns q)"
    return rearrange(patches, pattern, rows=down, p=patch_size, q=patch_size)


class PatchEmbedding(nn.Module):
    """Patches to tokens, by one linear map for all of them.

    x = patchify(images) E + b,   with E of shape (p·p·channels, embed_dim).

    Args:
        patch_size: side of a patch in pixels, p.
        channels: 3 for colour, 1 for grey.
        embed_dim: width of the tokens.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, eq. 1.
    """

    def __init__(self, patch_size: int, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_size, self.channels = patch_size, channels
        self.project = nn.Linear(patch_size * patch_size * channels, embed_dim)
        nn.init.normal_(self.project.weight, std=self.project.in_features**-0.5)
        nn.init.zeros_(self.project.bias)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch patches embed_dim"]:
        """Tokens (batch, patches, embed_dim) of pictures (batch, channels, height, width)."""
        return self.project(patchify(images, self.patch_size))

    def as_convolution(self) -> nn.Conv2d:
        """The same map as a convolution whose stride is its kernel's size."""
        p, numbers = self.patch_size, self.project.weight
        layer = nn.Conv2d(self.channels, len(numbers), p, stride=p)
        with torch.no_grad():
            layer.weight.copy_(rearrange(numbers, "d (p q c) -> d c p q", p=p, q=p))
            layer.bias.copy_(self.project.bias)  # type: ignore[union-attr]
        return layer


def resize_positions(
    positions: Float[Tensor, "tokens width"], rows: int, columns: int
) -> Float[Tensor, "new_tokens width"]:
    """Stretch a square table of positions to another grid, as if it were a small picture.

    The first vector, the class token's, stays as it is. Bicubic, smoothed where the grid
    shrinks; the new grid may be oblong.

    Args:
        positions: (1 + g·g, width) of a g × g grid.
        rows: patches from top to bottom. columns: patches from left to right.

    Returns:
        (1 + rows·columns, width).

    Raises:
        ValueError: if the grid is not square, or the new one is empty.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, §3.2 (there bilinear; bicubic with
    smoothing is timm's choice).
    """
    side = math.isqrt(max(len(positions) - 1, 0))
    if side < 1 or side * side != len(positions) - 1 or min(rows, columns) < 1:
        raise ValueError(
            "need one class position and a square grid, and a new grid of at least 1 × 1, "
            f"got {len(positions)} positions and {rows} × {columns}"
        )
    if (rows, columns) == (side, side):
        return positions
    grid = rearrange(positions[1:], "(rows columns) d -> 1 d rows columns", rows=side)
    size = (rows, columns)
    grid = F.interpolate(grid, size, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:1], rearrange(grid, "1 d rows columns -> (rows columns) d")])
