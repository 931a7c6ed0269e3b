"""Tiles of a picture: cut, shuffle and restore them, and choose the orders of a puzzle."""

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

IMAGES = Float[Tensor, "batch channels height width"]
TILES = Float[Tensor, "batch tiles channels rows columns"]
ORDERS = Int[Tensor, "batch tiles"]
_MOST_TILES = 9  # 9! = 362,880 orders fit in memory, 16! do not


def cut_tiles(images: IMAGES, grid: int) -> TILES:
    """Cut pictures into grid × grid tiles, row by row.

    Args:
        images: (batch, channels, height, width), both divisible by `grid`.
        grid: tiles along a side, ≥ 1.

    Returns:
        (batch, grid², channels, height / grid, width / grid).

    Raises:
        ValueError: no pictures, or sides that the grid does not divide.
    """
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"images must be (batch ≥ 1, channels, height, width), got {tuple(images.shape)}"
        )
    if grid < 1 or images.shape[2] % grid or images.shape[3] % grid:
        sides = f"{images.shape[2]} × {images.shape[3]}"
        raise ValueError(f"grid must be ≥ 1 and divide both sides, got {grid} for {sides}")
    return rearrange(images, "b c (i h) (j w) -> b (i j) c h w", i=grid, j=grid)


def join_tiles(tiles: TILES) -> IMAGES:
    """Put tiles side by side again, row by row: the inverse of `cut_tiles`.

    Args:
        tiles: (batch, n, channels, rows, columns), n a square number.

    Raises:
        ValueError: another number of tiles.
    """
    grid = math.isqrt(tiles.shape[1]) if tiles.ndim == 5 else 0
    if grid < 1 or grid**2 != tiles.shape[1]:
        raise ValueError(
            "tiles must be (batch, n, channels, rows, columns) with n a square number, "
            f"got {tuple(tiles.shape)}"
        )
    return rearrange(tiles, "b (i j) c h w -> b c (i h) (j w)", i=grid)


def crop_tiles(
    tiles: TILES, margin: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "batch tiles channels less_rows less_columns"]:
    """Cut a window out of every tile, each at a random place of its own.

    Neighbouring tiles share an edge, and lines run on across it: a puzzle could be solved by
    its seams alone. A gap of a random width between the tiles takes that shortcut away.

    Args:
        tiles: (batch, n, channels, rows, columns).
        margin: pixels to lose along each side, 0 ≤ margin < rows, columns.

    Returns:
        (batch, n, channels, rows − margin, columns − margin).

    Raises:
        ValueError: a margin that leaves nothing.

    Source: Noroozi & Favaro 2016, arXiv:1603.09246 (there 64 of 75 pixels).
    """
    if tiles.ndim != 5 or not 0 <= margin < min(tiles.shape[3:]):
        raise ValueError(
            "margin must be from 0 to less than the sides of tiles (batch, n, channels, rows, "
            f"columns), got {margin} for {tuple(tiles.shape)}"
        )
    b, n, _, rows, columns = tiles.shape
    start = torch.randint(margin + 1, (2, b, n, 1), generator=generator).to(tiles.device)
    down = start[0] + torch.arange(rows - margin, device=tiles.device)  # (b, n, rows − margin)
    right = start[1] + torch.arange(columns - margin, device=tiles.device)
    less = torch.take_along_dim(tiles, down[:, :, None, :, None], dim=3)
    return torch.take_along_dim(less, right[:, :, None, None, :], dim=4)


def permutation_set(
    num_tiles: int, count: int, *, generator: torch.Generator | None = None
) -> Int[Tensor, "count num_tiles"]:
    """Orders of the tiles that differ from one another as much as possible.

    The first order is drawn at random. Then, again and again, the order is added whose Hamming
    distances to those already chosen have the largest sum: argmax_σ Σ_{p ∈ P} #{i : σᵢ ≠ pᵢ}.

    Args:
        num_tiles: n from 2 to 9.
        count: how many orders, from 1 to n!.

    Returns:
        (count, n), each row the numbers 0 … n − 1 in another order.

    Raises:
        ValueError: numbers out of range.

    Source: Noroozi & Favaro 2016, arXiv:1603.09246, algorithm 1. There the first of equally
    good orders is taken; here the one with the largest distance to its nearest chosen order.
    """
    if not 2 <= num_tiles <= _MOST_TILES:
        raise ValueError(f"num_tiles must be from 2 to {_MOST_TILES}, got {num_tiles}")
    if not 1 <= count <= math.factorial(num_tiles):
        raise ValueError(
            f"count must be from 1 to {num_tiles}! = {math.factorial(num_tiles)}, got {count}"
        )
    every = _all_orders(num_tiles)
    total = torch.zeros(len(every), dtype=torch.int32)
    nearest = torch.full_like(total, num_tiles)
    chosen = [int(torch.randint(len(every), (), generator=generator))]
    while len(chosen) < count:
        distance = (every != every[chosen[-1]]).sum(1, dtype=torch.int32)
        total += distance
        nearest = torch.minimum(nearest, distance)
        worth = total * (num_tiles + 1) + nearest
        worth[chosen] = -1
        chosen.append(int(worth.argmax()))
    return every[chosen].long()


def _all_orders(n: int) -> Tensor:
    """All n! orders of 0 … n − 1, sorted: (n!, n), one byte each."""
    orders = torch.zeros(1, 1, dtype=torch.uint8)
    for size in range(2, n + 1):
        first = torch.arange(size, dtype=torch.uint8).repeat_interleave(len(orders))[:, None]
        rest = orders.repeat(size, 1)
        orders = torch.cat([first, rest + (rest >= first)], dim=1)
    return orders


def shuffle_tiles(tiles: TILES, order: ORDERS) -> TILES:
    """Lay the tiles of every picture in a new order: place i shows tile order[i].

    Args:
        tiles: (batch, n, channels, rows, columns).
        order: (batch, n), each row the numbers 0 … n − 1 in some order.

    Raises:
        ValueError: rows that are not such orders, or not one per picture.
    """
    _check_order(tiles, order)
    return tiles[torch.arange(len(tiles), device=tiles.device)[:, None], order]


def restore_tiles(tiles: TILES, order: ORDERS) -> TILES:
    """Undo `shuffle_tiles`: the tile at place i goes back to place order[i].

    Args and Raises: as there.
    """
    _check_order(tiles, order)
    return shuffle_tiles(tiles, order.argsort(dim=1))


def check_permutations(permutations: Tensor) -> None:
    """Refuse what is not a list of orders (count, n)."""
    fits = permutations.ndim == 2 and permutations.numel() > 0
    if not fits or not _are_orders(permutations):
        raise ValueError(
            "permutations must be (count, n), each row the numbers 0 … n − 1 in some order, "
            f"got shape {tuple(permutations.shape)}"
        )


def _check_order(tiles: Tensor, order: Tensor) -> None:
    if tiles.ndim != 5 or order.shape != tiles.shape[:2] or not _are_orders(order):
        raise ValueError(
            "order must be (batch, n) for tiles (batch, n, …), each row the numbers 0 … n − 1 "
            f"in some order, got {tuple(order.shape)} for {tuple(tiles.shape)}"
        )


def _are_orders(rows: Tensor) -> bool:
    every = torch.arange(rows.shape[1], device=rows.device)
    return bool((rows.sort(dim=1).values == every).all())
