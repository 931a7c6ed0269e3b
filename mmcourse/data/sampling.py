"""Random scenes, and places in the picture for scenes that have none yet."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from mmcourse.data.scenes import (
    BACKGROUNDS,
    COLORS,
    HELD_OUT,
    HORIZONTAL,
    PLAIN_COLORS,
    PLAIN_SHAPES,
    RELATIONS,
    SHAPES,
    SIZES,
    Object_,
    Scene,
    one_of,
)

SUBSETS = ("full", "plain")
SPLITS = ("train", "held_out", "all")
NUM_DRAWS = 24
"""Random numbers that one scene may use; each scene of a data set owns a row of them."""

_MARGIN = 0.025  # from a shape to the border, so that the border shows the background alone
_TILT = 0.03  # how far neighbours may be out of line
_STEPS = {"left of": (1, 0), "right of": (-1, 0), "above": (0, 1), "below": (0, -1)}
_T = TypeVar("_T")


class _Draws:
    """Choices read off a row of uniform random numbers in [0, 1)."""

    def __init__(self, numbers: Iterable[float]):
        self.numbers = iter(numbers)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * next(self.numbers)

    def choice(self, options: Sequence[_T]) -> _T:
        return options[int(next(self.numbers) * len(options))]


def color_shape_pairs(subset: str = "full", split: str = "train") -> list[tuple[str, str]]:
    """The colour–shape pairs of a subset: those of training, the held-out ones, or all."""
    one_of("subset", subset, SUBSETS)
    one_of("split", split, SPLITS)
    colors, shapes = (tuple(COLORS), SHAPES) if subset == "full" else (PLAIN_COLORS, PLAIN_SHAPES)
    pairs = [(color, shape) for color in colors for shape in shapes]
    if split == "all":
        return pairs
    return [pair for pair in pairs if (pair in HELD_OUT) == (split == "held_out")]


def check_counts(objects: int | Sequence[int] | None, subset: str) -> tuple[int, ...]:
    """The numbers of objects as a tuple (None: all that the subset has), checked against it."""
    one_of("subset", subset, SUBSETS)
    most = 3 if subset == "full" else 2
    if objects is None:
        return tuple(range(1, most + 1))
    counts = (objects,) if isinstance(objects, int) else tuple(objects)
    if not counts or any(not 1 <= count <= most for count in counts):
        raise ValueError(f"objects must be from 1 to {most} in the {subset} subset, got {objects}")
    return counts


def _cells(scene: Scene) -> list[tuple[int, int]]:
    """Column and row of each object on a 2 x 2 grid that makes every relation true."""
    cells = [(0, 0)]
    for relation in scene.relations:
        column, row = cells[-1]
        cells.append((column + _STEPS[relation][0], row + _STEPS[relation][1]))
    left, top = (min(cell[axis] for cell in cells) for axis in (0, 1))
    cells = [(column - left, row - top) for column, row in cells]
    if len(set(cells)) < len(cells) or max(max(cell) for cell in cells) > 1:
        raise ValueError(
            "three objects need one relation of left of / right of and one of above / below, "
            f"got {' and '.join(map(repr, scene.relations))}"
        )
    return cells


def _along(axis: int, cells: list[tuple[int, int]], radii: list[float], draws: _Draws) -> list:
    """Coordinates along one axis: in two halves of the picture, or near one shared line."""
    if len({cell[axis] for cell in cells}) == 2:
        room = [0.25 - _MARGIN - radius for radius in radii]
        # three objects stay nearer to their cells' centres: the diagonal pair must not touch
        limit = 0.095 if len(cells) == 2 else 0.06
        return [
            0.25 + 0.5 * cell[axis] + draws.between(-min(r, limit), min(r, limit))
            for cell, r in zip(cells, room, strict=True)
        ]
    edge = max(radii) + _MARGIN + _TILT
    line = draws.between(edge, 1 - edge)
    return [line + draws.between(-_TILT, _TILT) for _ in cells]


def _place(scene: Scene, draws: _Draws) -> Scene:
    if not 1 <= len(scene.objects) <= 3:
        raise ValueError(f"a scene has 1 to 3 objects, got {len(scene.objects)}")
    cells = _cells(scene)
    radii = [SIZES[thing.size] for thing in scene.objects]
    xs, ys = (_along(axis, cells, radii, draws) for axis in (0, 1))
    placed = [
        replace(thing, position=(x, y)) for thing, x, y in zip(scene.objects, xs, ys, strict=True)
    ]
    return replace(scene, objects=tuple(placed))


def place(scene: Scene, *, generator: torch.Generator | None = None) -> Scene:
    """Give every object of a scene a random position that makes its relations plainly true.

    Neighbours are at least three times further apart along their relation than across it,
    shapes neither touch each other nor the border.

    Args:
        scene: attributes and relations, e.g. from `parse`; old positions are dropped.
        generator: source of randomness.

    Returns:
        the scene with positions, ready for `render`.

    Raises:
        ValueError: for no or more than three objects, or three in a row (they do not fit).
    """
    return _place(scene, _Draws(torch.rand(NUM_DRAWS, generator=generator).tolist()))


def _pairs(count: int, subset: str, split: str, draws: _Draws) -> list[tuple[str, str]]:
    """Different colour–shape pairs; on the held-out split at least one of them is held out."""
    special = draws.choice(range(count)) if split == "held_out" else None
    chosen: list[tuple[str, str]] = []
    for position in range(count):
        kind = "held_out" if position == special else "all" if split == "held_out" else split
        pairs = [pair for pair in color_shape_pairs(subset, kind) if pair not in chosen]
        chosen.append(draws.choice(pairs))
    return chosen


def _relations(count: int, draws: _Draws) -> tuple[str, ...]:
    if count < 2:
        return ()
    first = draws.choice(RELATIONS)
    other = [name for name in RELATIONS if (name in HORIZONTAL) != (first in HORIZONTAL)]
    return (first,) if count == 2 else (first, draws.choice(other))


def scene_from(numbers: Iterable[float], counts: tuple[int, ...], subset: str, split: str) -> Scene:
    """The scene that a row of at least `NUM_DRAWS` uniform numbers stands for."""
    draws = _Draws(numbers)
    count = draws.choice(counts)
    background = draws.choice(tuple(BACKGROUNDS)) if subset == "full" else "white"
    objects = tuple(
        Object_(shape, color, draws.choice(tuple(SIZES)))
        for color, shape in _pairs(count, subset, split, draws)
    )
    return _place(Scene(objects, _relations(count, draws), background), draws)


def sample_scene(
    generator: torch.Generator | None = None,
    *,
    objects: int | Sequence[int] | None = None,
    subset: str = "full",
    split: str = "train",
) -> Scene:
    """Draw a scene with positions.

    Args:
        generator: source of randomness.
        objects: how many objects; one number, several equally likely ones, or None for all
            that the subset has.
        subset: "full" (8 shapes, 8 colours, 4 backgrounds, 1–3 objects) or "plain" (the first
            6 shapes and 6 colours, white, 1–2 objects).
        split: "train" (no held-out colour–shape pair), "held_out" (at least one) or "all".

    Returns:
        a scene whose colour–shape pairs all differ.

    Raises:
        ValueError: for an unknown subset or split, or a number of objects it does not have.
    """
    counts = check_counts(objects, subset)
    one_of("split", split, SPLITS)
    numbers = torch.rand(NUM_DRAWS, generator=generator).tolist()
    return scene_from(numbers, counts, subset, split)
