"""Likelihoods of pictures with few grey levels: levels, dequantisation, bits per dimension."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

LEVELS = Int[Tensor, "*shape"]
PIXELS = Float[Tensor, "*shape"]


def to_levels(images: PIXELS, levels: int) -> LEVELS:
    """The number of each grey level.

    k = round( (x + 1) / 2 · (levels − 1) )

    Args:
        images: x in [-1, 1], any shape.
        levels: how many grey levels there are, at least 2; 256 for bytes, 17 for `data.digits`.

    Returns:
        Whole numbers 0 … levels − 1, shaped as the images.

    Raises:
        ValueError: fewer than 2 levels, or pixels outside [-1, 1] or NaN.

    Source: the inverse of `from_levels`.
    """
    _check_levels(levels)
    if not bool((images.abs() <= 1 + 1e-5).all()):  # NaN fails too
        raise ValueError(f"pixels must lie in [-1, 1], got {_range(images)}")
    return ((images + 1) / 2 * (levels - 1)).round().long()


def from_levels(indices: LEVELS, levels: int) -> PIXELS:
    """The pixel of each grey level.

    x = 2 k / (levels − 1) − 1

    Args:
        indices: k in 0 … levels − 1, any shape.
        levels: how many grey levels there are, at least 2.

    Returns:
        Pixels in [-1, 1].

    Raises:
        ValueError: fewer than 2 levels, or a level outside 0 … levels − 1.

    Source: images are float32 in [-1, 1] throughout.
    """
    _check_indices(indices, levels)
    return indices.float() * 2 / (levels - 1) - 1


def dequantise(indices: LEVELS, noise: PIXELS, levels: int) -> PIXELS:
    """Spread each grey level evenly over a cell of its own.

    y = (k + u) / levels,  u uniform in [0, 1)

    A density on the levels themselves could grow without limit at single values. With the noise
    log p(y) − D log levels is, on average, at most the log-probability of the picture k.

    Args:
        indices: k in 0 … levels − 1, any shape.
        noise: u in [0, 1), shaped as the indices.
        levels: how many grey levels there are, at least 2.

    Returns:
        y in [0, 1).

    Raises:
        ValueError: other shapes, a level outside 0 … levels − 1, or noise outside [0, 1).

    Source: Theis et al. 2016, "A note on the evaluation of generative models",
        arXiv:1511.01844, §3.1.
    """
    _check_indices(indices, levels)
    if noise.shape != indices.shape or not bool(((noise >= 0) & (noise < 1)).all()):
        raise ValueError(
            f"noise must lie in [0, 1) and be of shape {tuple(indices.shape)}, "
            f"got {_range(noise)} of shape {tuple(noise.shape)}"
        )
    largest = 1 - torch.finfo(noise.dtype).eps / 2  # (k + u) rounds up to the next level at times
    return ((indices + noise) / levels).clamp(max=largest)


def quantise(y: PIXELS, levels: int) -> LEVELS:
    """The cell that each value lies in; what lies outside [0, 1) goes to the nearest.

    k = ⌊ y · levels ⌋, kept in 0 … levels − 1

    Args:
        y: finite numbers, any shape, for example a flow's samples.
        levels: how many grey levels there are, at least 2.

    Raises:
        ValueError: fewer than 2 levels, or NaN or infinity.

    Source: the inverse of `dequantise`.
    """
    _check_levels(levels)
    if not bool(y.isfinite().all()):
        raise ValueError("y must be finite numbers, got NaN or infinity")
    return (y * levels).floor().long().clamp(0, levels - 1)


def bits_per_dim(
    log_prob: Float[Tensor, "*batch"], dimensions: int, *, cells: int = 1
) -> Float[Tensor, "*batch"]:
    """A log-likelihood in bits for each number of the picture.

    bits = −( log p − D log cells ) / ( D log 2 )

    Args:
        log_prob: log p in nats: of the levels, or the log-density of `dequantise`'s values.
        dimensions: D, how many numbers a picture has: channels · height · width.
        cells: 1 for a probability of levels; for a density over [0, 1) the number of levels: a
            cell is 1 / cells wide.

    Returns:
        Bits per dimension, lower is better; a uniform guess has log₂ levels.

    Raises:
        ValueError: dimensions or cells below 1.

    Source: Theis et al. 2016, arXiv:1511.01844, §3.1; Dinh et al. 2017, arXiv:1605.08803, §4.1.
    """
    if dimensions < 1 or cells < 1:
        raise ValueError(f"dimensions and cells must be at least 1, got {dimensions}, {cells}")
    return math.log2(cells) - log_prob / (dimensions * math.log(2))


def _range(x: Tensor) -> str:
    return f"[{x.min().item():.4g}, {x.max().item():.4g}]" if x.numel() else "nothing"


def _check_levels(levels: int) -> None:
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")


def _check_indices(indices: Tensor, levels: int) -> None:
    _check_levels(levels)
    whole = not indices.is_floating_point() and indices.dtype != torch.bool
    if not whole or not bool(((indices >= 0) & (indices < levels)).all()):
        raise ValueError(
            f"levels must be whole numbers 0 … {levels - 1}, got {indices.dtype} {_range(indices)}"
        )
