"""Autoregressive pixels: a picture's probability as a product, one pixel after the other.

p(x) = Π_i p(x_i | x_1, …, x_{i−1})

Pixels follow each other row by row, and in each pixel the colours one after the other. Models
map pictures (batch, colours, height, width) to the logits of every level, (batch, levels,
colours, height, width): all pixels at once in training, one after the other when sampling.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mmcourse.generative.likelihood import from_levels

IMAGES = Float[Tensor, "batch colours height width"]
LOGITS = Float[Tensor, "batch levels colours height width"]


def pixel_log_prob(logits: LOGITS, indices: Int[Tensor, "batch colours h w"]) -> Float[Tensor, "b"]:
    """The log-probability of whole pictures.

    log p(x) = Σ_i log softmax(logits_i)[x_i]

    Args:
        logits: of a model, (batch, levels, colours, height, width).
        indices: the level of each number, 0 … levels − 1, (batch, colours, height, width).

    Returns:
        log p in nats, (batch,), ≤ 0.

    Raises:
        ValueError: shapes that do not fit, or a level outside 0 … levels − 1.

    Source: van den Oord et al. 2016, arXiv:1601.06759, equations 1–2.
    """
    if logits.ndim != 5 or logits[:, 0].shape != indices.shape:
        raise ValueError(
            "need (batch, levels, colours, h, w) and (batch, colours, h, w), "
            f"got {tuple(logits.shape)} and {tuple(indices.shape)}"
        )
    levels = logits.shape[1]
    if not bool(((indices >= 0) & (indices < levels)).all()):
        raise ValueError(f"levels must be 0 … {levels - 1}, got some outside")
    return -F.cross_entropy(logits, indices, reduction="none").flatten(1).sum(dim=1)


@torch.no_grad()
def sample_pixels(
    model: Callable[[Tensor], Tensor],
    images: IMAGES,
    *,
    generator: torch.Generator,
    known: int = 0,
    temperature: float = 1.0,
) -> IMAGES:
    """Draw pixel by pixel, each from what the model says after the pixels before it.

    Args:
        model: pictures to logits, see the top of this module. It is given the rows down to the
            pixel in question only, which for a model of earlier pixels is the same.
        images: where to start, (batch, colours, height, width) in [-1, 1]; not changed.
        generator: source of randomness, on the device of the images.
        known: how many pixels, row by row, are kept; the others are drawn.
        temperature: above 0; below 1 for likelier pixels.

    Returns:
        Pictures in [-1, 1] of the model's levels. They cost one pass for each number drawn.

    Raises:
        ValueError: `known` outside 0 … pixels, or temperature ≤ 0.

    Source: van den Oord et al. 2016, arXiv:1601.06759, §2.1.
    """
    _, colours, height, width = images.shape
    if not 0 <= known <= height * width or not temperature > 0:
        raise ValueError(
            f"need known in 0 … {height * width} and temperature > 0, got {known}, {temperature}"
        )
    images = images.clone()
    for place in range(known, height * width):
        row, column = divmod(place, width)
        for colour in range(colours):
            logits = model(images[:, :, : row + 1])[:, :, colour, row, column]
            chances = torch.softmax(logits / temperature, dim=1)
            drawn = torch.multinomial(chances, 1, generator=generator)[:, 0]
            images[:, colour, row, column] = from_levels(drawn, logits.shape[1]).to(images)
    return images


def receptive_field(
    model: Callable[[Tensor], Tensor], images: IMAGES, row: int, column: int
) -> Float[Tensor, "height width"]:
    """How strongly each pixel of the input moves the logits of one pixel.

    Σ | ∂ ½‖logits[row, column]‖² / ∂ x |, over the batch and the colours

    Args:
        model: pictures to logits, see the top of this module.
        images: pictures to measure with; several, so that no connection is off by chance.
        row: of the pixel asked for.
        column: of the pixel asked for.

    Returns:
        (height, width) ≥ 0; exactly 0 where there is no connection.

    Raises:
        ValueError: a pixel outside the picture.

    Source: arXiv:1606.05328, figure 1 (right), measured by gradients.
    """
    height, width = images.shape[2:]
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"pixel must lie in {height} x {width}, got ({row}, {column})")
    x = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        energy = 0.5 * model(x)[:, :, :, row, column].square().sum()
    return torch.autograd.grad(energy, x)[0].abs().sum(dim=(0, 1))
