"""The renderer against brute force: polygons and pixels counted at 16 points a side."""

import math

import pytest
import torch

from mmcourse.data import COLORS, SHAPES, SIZES, Object_, Scene, parse, render, sample_scene
from mmcourse.data.renderer import DISTANCES, coverage, rgb, window_width

FINE = 16


def one(shape: str, size: str = "large", position=(0.5, 0.5), color: str = "red") -> Scene:
    return Scene((Object_(shape, color, size, position),))


def opacity(scene: Scene, size: int) -> torch.Tensor:
    """How much of the red of a red-on-white picture each pixel has."""
    green = render([scene], size)[0, 1]
    return (1 - green) / (1 - rgb("red")[1])


def inside(shape: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Whether a point is in the shape, told by other means than a distance."""
    if shape == "circle":
        return x**2 + y**2 < 0.95**2
    if shape == "square":
        return (x > -0.84) & (x < 0.84) & (y > -0.84) & (y < 0.84)
    if shape == "triangle":
        return (y < 0.8) & (math.sqrt(3) * x.abs() < y + 0.932)
    if shape == "cross":
        tall = (x.abs() < 0.32) & (y.abs() < 0.95)
        return tall | (y.abs() < 0.32) & (x.abs() < 0.95)
    if shape == "ring":
        return (x**2 + y**2 < 0.97**2) & (x**2 + y**2 > 0.45**2)
    if shape == "star":
        corners = [
            (r * math.sin(k * math.pi / 5), 0.04 - r * math.cos(k * math.pi / 5))
            for k, r in enumerate([1, 0.46] * 5)
        ]
        return in_polygon(corners, x, y)
    if shape == "heart":
        lobes = (x.abs() - 0.4) ** 2 + (y - 0.0832 + 0.4) ** 2 < 0.32
        return (x.abs() + (y - 0.0832).abs() < 0.8) | lobes
    moon = (x + 0.06) ** 2 + y**2 < 0.97**2
    return moon & ((x - 0.4) ** 2 + (y + 0.2) ** 2 > 0.74**2)


def in_polygon(corners, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Even-odd rule: count the edges that a ray to the right crosses."""
    crossings = torch.zeros_like(x, dtype=torch.long)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 == y1:
            continue
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        crossings += ((y0 > y) != (y1 > y)) & (x < at)
    return crossings % 2 == 1


def brute_force(shape: str, size: str, position, pixels: int) -> torch.Tensor:
    """Share of 16 x 16 points of every pixel that lie in the shape."""
    points = (torch.arange(pixels * FINE, dtype=torch.float64) + 0.5) / FINE / pixels
    x = (points[None, :] - position[0]) / SIZES[size]
    y = (points[:, None] - position[1]) / SIZES[size]
    hit = inside(shape, *torch.broadcast_tensors(x, y)).double()
    return torch.nn.functional.avg_pool2d(hit[None, None], FINE)[0, 0].float()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", SIZES)
def test_coverage_equals_counted_points(shape, size):
    position = (0.4871, 0.5233)
    for pixels in (32, 64):
        drawn = opacity(one(shape, size, position), pixels)
        counted = brute_force(shape, size, position, pixels)
        # a soft edge is no exact area; sharp corners differ most, and never by a whole pixel
        assert (drawn - counted).abs().max() < 0.5
        edge = ((counted > 0) & (counted < 1)) | ((drawn > 0) & (drawn < 1))
        assert (drawn - counted)[edge].abs().mean() < 0.1
        assert ((drawn - counted)[~edge] == 0).all()
        torch.testing.assert_close(drawn.sum(), counted.sum(), rtol=0.04, atol=0)


def test_shapes_fill_their_size_and_stay_in_it():
    for shape in SHAPES:
        covered = brute_force(shape, "large", (0.5, 0.5), 64) > 0
        rows, columns = covered.any(dim=1).nonzero(), covered.any(dim=0).nonzero()
        extent = max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1
        assert 0.80 < extent / (2 * SIZES["large"] * 64) <= 1.05


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_grow_by_one_per_unit(shape):
    """Outside the corners the gradient of a distance field has length 1 on the outline."""
    axis = torch.linspace(-1.1, 1.1, 301)
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    x.requires_grad_(), y.requires_grad_()
    distance = DISTANCES[shape](x, y)
    dx, dy = torch.autograd.grad(distance.sum(), (x, y))
    slope = torch.hypot(dx, dy)[distance.abs() < 0.04]
    assert (slope - 1).abs().median() < 1e-4
    assert ((slope - 1).abs() < 1e-3).float().mean() > 0.97


def test_a_batch_equals_its_scenes_one_by_one(generator):
    scenes = [sample_scene(generator, split="all") for _ in range(40)]
    for size in (16, 32, 64):
        single = torch.cat([render([scene], size) for scene in scenes])
        torch.testing.assert_close(render(scenes, size), single, rtol=0, atol=0)


def test_pictures_are_in_range_with_pure_colours(generator):
    images = render([sample_scene(generator) for _ in range(64)], 32)
    assert images.shape == (64, 3, 32, 32)
    assert images.dtype == torch.float32
    assert images.amin() >= -1
    assert images.amax() <= 1
    for color in COLORS:
        image = render([one("square", color=color)], 32)[0]
        torch.testing.assert_close(image[:, 16, 16], torch.tensor(rgb(color)))
        torch.testing.assert_close(image[:, 0, 0], torch.ones(3))


def test_later_objects_lie_over_earlier_ones():
    under, over = (
        Object_("circle", "red", "large", (0.5, 0.5)),
        Object_("circle", "blue", "small", (0.5, 0.5)),
    )
    image = render([Scene((under, over), ("above",))], 64)[0]
    torch.testing.assert_close(image[:, 32, 32], torch.tensor(rgb("blue")))
    torch.testing.assert_close(image[:, 32, 22], torch.tensor(rgb("red")))


def test_shapes_are_cut_off_at_the_border():
    for corner in ((0.0, 0.0), (1.0, 1.0), (0.0, 0.97)):
        drawn = opacity(one("circle", "large", corner), 32)
        counted = brute_force("circle", "large", corner, 32)
        assert (drawn - counted).abs().max() < 0.3
        assert counted.sum() > 25


def test_moving_by_a_pixel_moves_the_picture(generator):
    for shape in SHAPES:
        here = render([one(shape, position=(0.4, 0.45))], 32)[0]
        there = render([one(shape, position=(0.4 + 2 / 32, 0.45 + 1 / 32))], 32)[0]
        torch.testing.assert_close(here.roll((1, 2), dims=(1, 2)), there, atol=1e-4, rtol=0)


def test_order_of_kinds_does_not_matter(generator):
    kinds = torch.tensor([3, 0, 3, 5, 0, 5])
    centres = torch.rand(6, 2, generator=generator) * 3 + 7
    radii = torch.rand(6, generator=generator) * 2 + 4
    corners = torch.zeros(6, 2).long()
    width = window_width(32)
    mixed = coverage(kinds, centres, radii, corners, width)
    order = kinds.argsort()
    grouped = coverage(kinds[order], centres[order], radii[order], corners[order], width)
    torch.testing.assert_close(mixed[order], grouped, rtol=0, atol=0)


def test_nothing_to_draw():
    assert render([], 32).shape == (0, 3, 32, 32)
    assert (render([Scene(())], 32) == 1).all()


def test_bad_input():
    for size in (0, 8, 2000):
        with pytest.raises(ValueError, match=f"size must be from 16 to 1024 pixels, got {size}"):
            render([one("star")], size)
    with pytest.raises(ValueError, match=r"needs a position; call place\(scene\) first"):
        render([parse("a red circle")], 32)
