"""Drawing 256 scenes at 32 x 32: batched distance fields against a Pillow loop.

Pillow draws hard-edged shapes, so the loop draws at four times the size and averages 4 x 4
pixels down, which gives edges as soft as ours.
"""

import math

import numpy as np
import torch
from harness import compare, main
from PIL import Image, ImageDraw

from mmcourse.data import render, sample_scene
from mmcourse.data.scenes import BACKGROUNDS, COLORS, SIZES, Object_, Scene

SHARPER = 4


def outline(shape: str) -> list[tuple[float, float]]:
    """Corners of the shapes that are polygons, in units of half the shape's width, y down."""
    if shape == "triangle":
        return [(0, -0.932), (1, 0.8), (-1, 0.8)]
    if shape == "star":
        turns = [(1.0 if i % 2 == 0 else 0.46, i * math.pi / 5) for i in range(10)]
        return [(r * math.sin(angle), 0.04 - r * math.cos(angle)) for r, angle in turns]
    across = 0.8  # the square of the heart stands on its corner
    return [(0, 0.083 - across), (across, 0.083), (0, 0.083 + across), (-across, 0.083)]


def draw_object(draw: ImageDraw.ImageDraw, thing: Object_, ground: tuple, size: int) -> None:
    """Draw one shape with Pillow's ellipses, rectangles and polygons."""
    radius, color = SIZES[thing.size] * size, COLORS[thing.color]
    cx, cy = thing.position[0] * size, thing.position[1] * size

    def box(x: float, y: float, half_x: float, half_y: float) -> list[float]:
        x, y, half_x, half_y = (value * radius for value in (x, y, half_x, half_y))
        return [cx + x - half_x, cy + y - half_y, cx + x + half_x, cy + y + half_y]

    if thing.shape == "circle":
        draw.ellipse(box(0, 0, 0.95, 0.95), fill=color)
    elif thing.shape == "square":
        draw.rectangle(box(0, 0, 0.84, 0.84), fill=color)
    elif thing.shape == "cross":
        draw.rectangle(box(0, 0, 0.95, 0.32), fill=color)
        draw.rectangle(box(0, 0, 0.32, 0.95), fill=color)
    elif thing.shape == "ring":
        draw.ellipse(box(0, 0, 0.97, 0.97), fill=color)
        draw.ellipse(box(0, 0, 0.45, 0.45), fill=ground)
    elif thing.shape == "crescent":
        draw.ellipse(box(-0.06, 0, 0.97, 0.97), fill=color)
        draw.ellipse(box(0.4, -0.2, 0.74, 0.74), fill=ground)
    else:
        corners = [(cx + x * radius, cy + y * radius) for x, y in outline(thing.shape)]
        draw.polygon(corners, fill=color)
    if thing.shape == "heart":
        lobe = 0.8 / math.sqrt(2)
        for side in (-0.4, 0.4):
            draw.ellipse(box(side, 0.083 - 0.4, lobe, lobe), fill=color)


def pillow_loop(scenes: list[Scene], size: int) -> torch.Tensor:
    """The pictures of `render`, one after the other, by Pillow."""
    pictures = []
    for scene in scenes:
        ground = BACKGROUNDS[scene.background]
        picture = Image.new("RGB", (size * SHARPER, size * SHARPER), ground)
        draw = ImageDraw.Draw(picture)
        for thing in scene.objects:
            draw_object(draw, thing, ground, size * SHARPER)
        pictures.append(np.asarray(picture.reduce(SHARPER)))
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return pixels.float() / 127.5 - 1


def run() -> list[dict]:
    """Measure at 32 and at 64 pixels; both ways must draw the same pictures."""
    generator = torch.Generator().manual_seed(0)
    scenes = [sample_scene(generator) for _ in range(256)]
    results = []
    for size, target in ((32, 2.0), (64, None)):
        difference = (render(scenes, size) - pillow_loop(scenes, size)).abs().mean().item()
        result = compare(
            f"render 256 scenes at {size} x {size}",
            lambda size=size: render(scenes, size),
            lambda size=size: pillow_loop(scenes, size),
            target=target,
            peer_name="Pillow",
        )
        results.append(result | {"mean_difference": difference})
    return results


if __name__ == "__main__":
    main(run)
