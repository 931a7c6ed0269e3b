"""Scenes to pictures, all at once, by signed distance fields.

Every shape is a function of a point (x, y) that is negative inside, zero on the outline and
grows by 1 per unit of length; the unit is half the shape's width and y points down.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmcourse.data.scenes import BACKGROUNDS, COLORS, SHAPES, SIZES, Object_, Scene

SMALLEST, LARGEST = 16, 1024
"""Pictures narrower than 16 pixels do not show the shapes."""

_Plane = Float[Tensor, "..."]


def _length(x: _Plane, y: _Plane) -> Tensor:
    # rows and columns are squared before they meet: several times faster than torch.hypot
    return (x * x + y * y).sqrt()


def _circle(x: _Plane, y: _Plane) -> Tensor:
    return _length(x, y) - 0.95


def _square(x: _Plane, y: _Plane) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.84


def _triangle(x: _Plane, y: _Plane) -> Tensor:
    # equilateral: the base y = 0.8, two sides at 60 degrees through the tip (0, -0.932)
    side = x.abs() * math.sqrt(0.75) - (y + 0.932) * 0.5
    return torch.maximum(side, y - 0.8)


def _cross(x: _Plane, y: _Plane) -> Tensor:
    long, short = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    return torch.maximum(long - 0.95, short - 0.32)


def _ring(x: _Plane, y: _Plane) -> Tensor:
    return (_length(x, y) - 0.71).abs() - 0.26


def _star(x: _Plane, y: _Plane, tip: float = 1.0, notch: float = 0.46) -> Tensor:
    """Five points: mirrors fold the plane onto one half of the upper point, then one edge."""
    x, y = x.abs(), 0.04 - y  # y up; the tips' bounding box is centred
    for angle in (3 * math.pi / 5, math.pi / 5):
        # the mirror through the origin at this angle from "up"; points beyond it come back
        across, along = math.cos(angle), -math.sin(angle)
        beyond = (x * across + y * along).clamp(min=0)
        x, y = (x - 2 * across * beyond).abs(), y - 2 * along * beyond
    corner_x, corner_y = notch * math.sin(math.pi / 5), notch * math.cos(math.pi / 5)
    length = math.hypot(corner_x, tip - corner_y)
    return (x * (tip - corner_y) + (y - tip) * corner_x) / length


def _heart(x: _Plane, y: _Plane, diagonal: float = 0.8) -> Tensor:
    """A square on its corner and a circle on each of its upper sides."""
    x, y = x.abs(), y - 0.104 * diagonal
    square = (x + y.abs() - diagonal) / math.sqrt(2)
    circle = _length(x - diagonal / 2, y + diagonal / 2) - diagonal / math.sqrt(2)
    return torch.minimum(square, circle)


def _crescent(x: _Plane, y: _Plane) -> Tensor:
    x = x + 0.06
    return torch.maximum(_length(x, y) - 0.97, 0.74 - _length(x - 0.46, y + 0.2))


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "star": _star,
    "heart": _heart,
    "crescent": _crescent,
}


def window_width(size: int) -> int:
    """Pixels along a side of the window that holds a large shape and its soft outline."""
    return 2 * math.ceil(SIZES["large"] * size + 1)


def coverage(
    kinds: Int[Tensor, " k"],
    centres: Float[Tensor, "k 2"],
    radii: Float[Tensor, " k"],
    corners: Int[Tensor, "k 2"],
    width: int,
) -> Float[Tensor, "k width width"]:
    """How much of each pixel of a window a shape covers.

    The signed distance d of the pixel's centre to the outline, in pixels, gives
    smoothstep(1/2 − d): 1 inside, 0 outside, a soft edge one pixel wide.

    Args:
        kinds: index into `SHAPES`; fast when equal kinds stand together.
        centres: (x, y) in pixels.
        radii: half the shape's width in pixels.
        corners: first column and row of the window.
        width: pixels along a side of the window.

    Returns:
        coverage in [0, 1], rows before columns.
    """
    pixels = torch.arange(width) + 0.5
    local = (corners[:, :, None] + pixels - centres[:, :, None]) / radii[:, None, None]
    x, y = local[:, 0, None, :], local[:, 1, :, None]  # (k, 1, width) and (k, width, 1)
    distance = torch.empty(len(kinds), width, width)
    start = 0
    runs, counts = kinds.unique_consecutive(return_counts=True)
    for kind, count in zip(runs.tolist(), counts.tolist(), strict=True):
        run = slice(start, start := start + count)
        distance[run] = DISTANCES[SHAPES[kind]](x[run], y[run])
    inside = distance.mul_(-radii[:, None, None]).add_(0.5).clamp_(0, 1)
    return inside * inside * (3 - 2 * inside)


def rgb(name: str) -> tuple[float, ...]:
    """The colour of a name, of `COLORS` or `BACKGROUNDS`, in [-1, 1]."""
    return tuple(value / 127.5 - 1 for value in (COLORS | BACKGROUNDS)[name])


_PALETTE = torch.tensor([rgb(name) for name in COLORS])
_GROUNDS = {name: rgb(name) for name in BACKGROUNDS}
_COLOR_INDEX = {name: index for index, name in enumerate(COLORS)}
_SHAPE_INDEX = {name: index for index, name in enumerate(SHAPES)}


def _centre(thing: Object_) -> tuple[float, float]:
    if thing.position is None:
        raise ValueError("every object needs a position; call place(scene) first")
    return thing.position


def _paint(canvas: Float[Tensor, "n 3 size size"], scenes: Sequence[Scene]) -> None:
    """Draw every object into its window of the canvas: all coverages first, then by layers."""
    size = canvas.shape[-1]
    width = window_width(size)
    drawn = [(i, layer, o) for i, s in enumerate(scenes) for layer, o in enumerate(s.objects)]
    drawn.sort(key=lambda entry: _SHAPE_INDEX[entry[2].shape])  # equal kinds stand together
    things = [thing for _, _, thing in drawn]
    kinds = torch.tensor([_SHAPE_INDEX[thing.shape] for thing in things])
    colors = _PALETTE[[_COLOR_INDEX[thing.color] for thing in things]][:, :, None, None]
    centres = torch.tensor([_centre(thing) for thing in things]) * size
    radii = torch.tensor([SIZES[thing.size] for thing in things]) * size
    # a window pushed back into the picture still holds all that shows of its shape
    corners = (centres - width / 2).round().clamp(0, size - width).long()
    covered = coverage(kinds, centres, radii, corners, width)[:, None]
    owners, layers = torch.tensor([entry[:2] for entry in drawn]).unbind(1)
    # every window of every picture, as a view: (n, 3, first row, first column, width, width)
    windows = canvas.unfold(2, width, 1).unfold(3, width, 1)
    for layer in range(int(layers.max()) + 1):
        at = (layers == layer).nonzero().squeeze(1)
        where = (owners[at], slice(None), corners[at, 1], corners[at, 0])
        # the first layer lies on the plain ground, which one pixel tells
        below = windows[where] if layer else canvas[owners[at], :, :1, :1]
        windows[where] = torch.lerp(below, colors[at], covered[at])


def render(scenes: Sequence[Scene], size: int = 32) -> Float[Tensor, "n 3 size size"]:
    """Draw scenes with soft edges, all of them together.

    Args:
        scenes: scenes whose objects have positions; later objects lie over earlier ones.
        size: pixels along a side, 16 to 1024.

    Returns:
        pictures in [-1, 1].

    Raises:
        ValueError: for a size out of range or an object without a position.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size must be from {SMALLEST} to {LARGEST} pixels, got {size}")
    grounds = torch.tensor([_GROUNDS[scene.background] for scene in scenes]).reshape(-1, 3, 1, 1)
    canvas = grounds.expand(-1, -1, size, size).contiguous()
    if any(scene.objects for scene in scenes):
        _paint(canvas, scenes)
    return canvas
