"""The oracle: reads a scene back from the pixels of a picture, without any learning.

Background by a vote of the border; objects are connected regions; colour by the nearest of the
palette; shape and size by the template that explains the region best, drawn with the very
renderer at the region's own sub-pixel position.
"""

import functools
import itertools

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mmcourse.data.renderer import LARGEST, SMALLEST, coverage, rgb, window_width
from mmcourse.data.scenes import (
    BACKGROUNDS,
    COLORS,
    HORIZONTAL,
    SHAPES,
    SIZES,
    Object_,
    Scene,
    relation_between,
)

_LEAST_AREA = 0.006
"""Regions below this share of the picture are specks (the smallest shape covers 0.018)."""

_MOST_OBJECTS = 8
_Found = tuple[Float[Tensor, " k"], Int[Tensor, " k"], Int[Tensor, " k"], Float[Tensor, "k 2"]]


def _palette(names: dict) -> Float[Tensor, "names 3"]:
    return torch.tensor([rgb(name) for name in names])


def _backgrounds(images: Float[Tensor, "n 3 h w"]) -> Int[Tensor, " n"]:
    """Each border pixel votes for the nearest background."""
    sides = (images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1])
    border = rearrange(torch.cat(sides, dim=2), "n channel pixel -> n pixel channel")
    votes = torch.cdist(border, _palette(BACKGROUNDS)).argmin(dim=2)
    return F.one_hot(votes, len(BACKGROUNDS)).sum(dim=1).argmax(dim=1)


def _foreground(
    images: Float[Tensor, "n 3 h w"], grounds: Float[Tensor, "n 3"]
) -> Bool[Tensor, "n h w"]:
    """Pixels that are nearer to some colour than to their picture's background."""
    pixels = rearrange(images, "n channel h w -> n (h w) channel")
    to_ground = torch.cdist(pixels, grounds[:, None]).squeeze(2)
    to_color = torch.cdist(pixels, _palette(COLORS)).amin(dim=2)
    return (to_color < to_ground).reshape(images[:, 0].shape)


def _spread(labels: Int[Tensor, "n h w"]) -> Int[Tensor, "n h w"]:
    """The largest label of the 3 x 3 pixels around each pixel, one axis after the other."""
    wide = F.pad(labels, (1, 1, 1, 1))
    rows = torch.maximum(torch.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    return torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def _regions(mask: Bool[Tensor, "n h w"]) -> Int[Tensor, "n h w"]:
    """Label connected regions (8 neighbours): 0 outside, one positive number per region."""
    height, width = mask.shape[1:]
    numbers = torch.arange(1, height * width + 1, dtype=torch.int32).reshape(height, width)
    labels = numbers * mask
    while True:
        grown = _spread(labels) * mask
        if torch.equal(grown, labels):
            return labels
        labels = grown


def _separate(labels: Int[Tensor, "n h w"]) -> tuple[Int[Tensor, " k"], Bool[Tensor, "k h w"]]:
    """The largest regions of every picture: which picture each is from, and its pixels."""
    owners, masks = [], []
    for owner, picture in enumerate(labels):
        names, areas = picture[picture > 0].unique(return_counts=True)
        keep = areas.argsort(descending=True)[:_MOST_OBJECTS]
        for name, area in zip(names[keep].tolist(), areas[keep].tolist(), strict=True):
            if area >= _LEAST_AREA * picture.numel():
                owners.append(owner)
                masks.append(picture == name)
    if not masks:
        return torch.empty(0, dtype=torch.long), torch.empty(0, *labels.shape[1:]).bool()
    return torch.tensor(owners), torch.stack(masks)


def _colors(
    images: Float[Tensor, "k 3 h w"], masks: Bool[Tensor, "k h w"], grounds: Float[Tensor, "k 3"]
) -> Int[Tensor, " k"]:
    """The colour nearest to the mean of the pixels that differ most from the background."""
    contrast = (images - grounds[:, :, None, None]).square().sum(dim=1) * masks
    best = contrast.flatten(1).amax(dim=1)
    core = (contrast > 0.7 * best[:, None, None]) & masks
    total = torch.einsum("kchw,khw->kc", images, core.float())
    mean = total / core.sum(dim=(1, 2))[:, None]
    return torch.cdist(mean, _palette(COLORS)).argmin(dim=1)


def _opacity(
    images: Float[Tensor, "k 3 h w"],
    masks: Bool[Tensor, "k h w"],
    grounds: Float[Tensor, "k 3"],
    colors: Float[Tensor, "k 3"],
) -> Float[Tensor, "k h w"]:
    """How much of each pixel of a region (and of its soft rim) is colour, not background."""
    rim = F.max_pool2d(masks.float()[:, None], 3, stride=1, padding=1)[:, 0]
    line = colors - grounds
    along = torch.einsum("kchw,kc->khw", images - grounds[:, :, None, None], line)
    return (along / line.square().sum(dim=1)[:, None, None]).clamp(0, 1) * rim


def _centroids(opacity: Float[Tensor, "k h w"]) -> Float[Tensor, "k 2"]:
    """Centre of mass (x, y) in pixels."""
    height, width = opacity.shape[1:]
    mass = opacity.sum(dim=(1, 2))
    x = (opacity.sum(dim=1) * (torch.arange(width) + 0.5)).sum(dim=1) / mass
    y = (opacity.sum(dim=2) * (torch.arange(height) + 0.5)).sum(dim=1) / mass
    return torch.stack([x, y], dim=1)


def _hypotheses(size: int) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
    """Every shape in every size: index into SHAPES, radius in pixels."""
    kinds = torch.arange(len(SHAPES)).repeat_interleave(len(SIZES))
    return kinds, torch.tensor(list(SIZES.values())).repeat(len(SHAPES)) * size


@functools.cache
def _offsets(size: int) -> Float[Tensor, "m 2"]:
    """From a shape's centre to its centre of mass, for every hypothesis, in pixels."""
    kinds, radii = _hypotheses(size)
    width = window_width(size)
    centres = torch.full((len(kinds), 2), width / 2)
    drawn = coverage(kinds, centres, radii, torch.zeros(len(kinds), 2).long(), width)
    return _centroids(drawn) - centres


def _fit(opacity: Float[Tensor, "k h w"]) -> tuple[Tensor, Tensor, Tensor]:
    """The best hypothesis for each region: index, and its centre in pixels.

    Every hypothesis is drawn where its centre of mass would meet the region's; the one with the
    least squared difference over the window, plus what lies outside the window, wins.
    """
    size = opacity.shape[-1]
    kinds, radii = _hypotheses(size)
    count, choices, width = len(opacity), len(kinds), window_width(size) + 2
    centres = _centroids(opacity)[:, None] - _offsets(size)  # (k, m, 2)
    corners = (_centroids(opacity) - width / 2).round().long()
    drawn = coverage(
        kinds.repeat_interleave(count),
        rearrange(centres, "k m xy -> (m k) xy"),
        radii.repeat_interleave(count),
        corners.repeat(choices, 1),
        width,
    )
    padded = F.pad(opacity, (width,) * 4)  # windows of regions at the border reach outside
    windows = padded.unfold(1, width, 1).unfold(2, width, 1)
    window = windows[torch.arange(count), corners[:, 1] + width, corners[:, 0] + width]
    error = (rearrange(drawn, "(m k) h w -> m k h w", m=choices) - window).square()
    least = reduce(error, "m k h w -> k m", "sum")
    best = least.argmin(dim=1)
    return best, centres[torch.arange(count), best], least.amin(dim=1)


def _objects(images: Tensor, grounds: Tensor) -> tuple[Tensor, list[Object_]]:
    """Every object of every picture, and the picture it is in."""
    size = images.shape[-1]
    owners, masks = _separate(_regions(_foreground(images, grounds)))
    if not len(owners):
        return owners, []
    pictures, grounds = images[owners], grounds[owners]
    colors = _colors(pictures, masks, grounds)
    opacity = _opacity(pictures, masks, grounds, _palette(COLORS)[colors])
    best, centres, _ = _fit(opacity)
    shapes, sizes = best // len(SIZES), best % len(SIZES)
    things = [
        Object_(SHAPES[shape], tuple(COLORS)[color], tuple(SIZES)[size_], (x, y))
        for shape, color, size_, (x, y) in zip(
            shapes.tolist(),
            colors.tolist(),
            sizes.tolist(),
            (centres / size).clamp(0, 1).tolist(),
            strict=True,
        )
    ]
    return owners, things


def _misfit(chain: tuple[Object_, ...]) -> float:
    """How badly neighbours of a chain are in line, plus a step for two equal directions."""
    gaps = [
        min(abs(a - b) for a, b in zip(first.position or (), second.position or (), strict=True))
        for first, second in itertools.pairwise(chain)
    ]
    sideways = [relation_between(a, b) in HORIZONTAL for a, b in itertools.pairwise(chain)]
    return sum(gaps) + 10 * (len(chain) == 3 and sum(sideways) != 1)


def _scene(things: list[Object_], background: str) -> Scene:
    """Tell objects as a chain of relations: a corner object stands between its neighbours."""
    things = sorted(things, key=lambda thing: thing.position or (0, 0))
    chain = tuple(things)
    if len(things) == 3:
        chain = min(itertools.permutations(things), key=_misfit)
    relations = tuple(relation_between(a, b) for a, b in itertools.pairwise(chain))
    scene = Scene(chain, relations, background)
    return scene.canonical()


def describe_all(images: Float[Tensor, "n 3 size size"]) -> list[Scene]:
    """Read the scene of every picture of a batch back from its pixels; see `describe`."""
    size = images.shape[-1]
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != size:
        raise ValueError(f"images must have shape (n, 3, size, size), got {tuple(images.shape)}")
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"pictures must be {SMALLEST} to {LARGEST} pixels wide, got {size}")
    images = images.detach().float().cpu().nan_to_num(0.0).clamp(-1, 1)
    found: list[list[Object_]] = [[] for _ in images]
    names = tuple(BACKGROUNDS)
    if not len(images):
        return []
    votes = _backgrounds(images)
    owners, things = _objects(images, _palette(BACKGROUNDS)[votes])
    for owner, thing in zip(owners.tolist(), things, strict=True):
        found[owner].append(thing)
    return [_scene(f, names[v]) for f, v in zip(found, votes.tolist(), strict=True)]


def describe(image: Float[Tensor, "3 size size"]) -> Scene:
    """Read the scene in a picture back from its pixels: the oracle of every evaluation.

    `matches(describe(image), wanted)` and `score(describe(image), wanted)` judge it.

    Args:
        image: a picture in [-1, 1], 16 to 1024 pixels wide (values outside are clamped).

    Returns:
        the scene with positions: shapes, colours, sizes, relations and background. A generated
        picture may show no object at all, or more than three.

    Raises:
        ValueError: for a tensor of another shape.
    """
    if image.ndim != 3:
        raise ValueError(f"image must have shape (3, size, size), got {tuple(image.shape)}")
    return describe_all(image[None])[0]
