"""Pretext tasks: questions about a picture whose answers the picture itself gives.

Two of them: by how much was it turned, and in which order lie its shuffled tiles.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.selfsupervision.augment import rotate_quarters
from mmcourse.selfsupervision.tiles import (
    IMAGES,
    TILES,
    check_permutations,
    crop_tiles,
    cut_tiles,
    restore_tiles,
    shuffle_tiles,
)


def rotate_batch(
    images: IMAGES, turns: Int[Tensor, " batch"] | None = None
) -> tuple[Float[Tensor, "rotated channels height width"], Int[Tensor, " rotated"]]:
    """Pictures turned by quarter turns, and the turns as labels.

    Label k means k · 90° counter-clockwise, k = 0 … 3. Quarter turns only move pixels: nothing
    is interpolated, so no trace of the turning is left for a network to find.

    Args:
        images: (batch, channels, side, side), square.
        turns: (batch,) one label per picture; None for all four turns of every picture, which
            is how the paper trains.

    Returns:
        pictures and labels, as many as `turns`; without it four times as many as `images`,
        picture by picture: places 4i … 4i + 3 hold the turns 0 … 3 of picture i.

    Raises:
        ValueError: no pictures, pictures that are not square, or turns that do not fit.

    Source: Gidaris, Singh & Komodakis 2018, arXiv:1803.07728, §3.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3] or len(images) == 0:
        raise ValueError(
            "images must be square, (batch ≥ 1, channels, side, side): a quarter turn of "
            f"another shape gives itself away; got {tuple(images.shape)}"
        )
    if turns is None:
        turns = torch.arange(4, device=images.device).repeat(len(images))
        return rotate_quarters(images.repeat_interleave(4, dim=0), turns), turns
    _check_turns(turns, len(images))
    return rotate_quarters(images, turns), turns


class JigsawSolver(nn.Module):
    """Say in which of the known orders shuffled tiles lie.

    Every tile goes through the same encoder by itself, so that its features know nothing of
    its neighbours; only the head sees all of them, in the order of the places.

    Args:
        encoder: (batch, channels, rows, columns) → (batch, width).
        width: features of a tile.
        permutations: (K, n), the orders to tell apart; from `permutation_set`.
        hidden: width of the head's one hidden layer.

    Raises:
        ValueError: permutations that are none, or widths below 1.

    Source: Noroozi & Favaro 2016, arXiv:1603.09246 (the context-free network).
    """

    permutations: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        permutations: Int[Tensor, "count tiles"],
        *,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        check_permutations(permutations)
        if width < 1 or hidden < 1:
            raise ValueError(f"width and hidden must be at least 1, got {width}, {hidden}")
        count, tiles = permutations.shape
        self.encoder = encoder
        self.register_buffer("permutations", permutations.clone())
        self.head = nn.Sequential(
            nn.Linear(tiles * width, hidden), nn.ReLU(), nn.Linear(hidden, count)
        )

    def forward(self, tiles: TILES) -> Float[Tensor, "batch count"]:
        """Scores of the known orders for shuffled tiles (batch, n, channels, rows, columns).

        Raises:
            ValueError: another number of tiles than the orders have.
        """
        n = self.permutations.shape[1]
        if tiles.ndim != 5 or tiles.shape[1] != n:
            raise ValueError(
                f"tiles must be (batch, {n}, channels, rows, columns), got {tuple(tiles.shape)}"
            )
        features = self.encoder(tiles.flatten(0, 1))
        return self.head(rearrange(features, "(b n) d -> b (n d)", n=n))

    @torch.no_grad()
    def solve(self, tiles: TILES) -> TILES:
        """Lay shuffled tiles as the likeliest order says: the picture, if it is right."""
        return restore_tiles(tiles, self.permutations[self(tiles).argmax(1)])


def jigsaw_batch(
    images: IMAGES,
    permutations: Int[Tensor, "count tiles"],
    *,
    margin: int = 0,
    generator: torch.Generator | None = None,
) -> tuple[TILES, Int[Tensor, " batch"]]:
    """Shuffled tiles of pictures, and the number of the order as label.

    Args:
        images: (batch, channels, height, width); the grid of the tiles divides both sides.
        permutations: (K, n), n a square number; each picture gets one of them at random.
        margin: of `crop_tiles`.

    Returns:
        tiles (batch, n, channels, height / √n − margin, width / √n − margin), labels (batch,).

    Raises:
        ValueError: permutations that are none or fill no square, and as the parts above.

    Source: Noroozi & Favaro 2016, arXiv:1603.09246.
    """
    check_permutations(permutations)
    count, n = permutations.shape
    if math.isqrt(n) ** 2 != n:
        raise ValueError(f"permutations must be of a square number of tiles, got {n}")
    tiles = crop_tiles(cut_tiles(images, math.isqrt(n)), margin, generator=generator)
    label = torch.randint(count, (len(images),), generator=generator).to(images.device)
    return shuffle_tiles(tiles, permutations.to(images.device)[label]), label


def _check_turns(turns: Tensor, count: int) -> None:
    fits = turns.shape == (count,) and not turns.is_floating_point()
    if not fits or bool(((turns < 0) | (turns > 3)).any()):
        raise ValueError(
            f"turns must be {count} whole numbers from 0 to 3, "
            f"got {turns.dtype} of shape {tuple(turns.shape)}: {turns.flatten()[:8].tolist()}"
        )
