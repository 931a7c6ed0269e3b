"""Which modes of a distribution a generator reaches: mode collapse as a number."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Modes(NamedTuple):
    """What `count_modes` finds.

    Attributes:
        counts: good samples of each mode (modes,).
        found: how many modes have enough of them.
        good: share of all samples that are near a mode, in [0, 1].
    """

    counts: Int[Tensor, " modes"]
    found: int
    good: float


def count_modes(
    samples: Float[Tensor, "count d"],
    centres: Float[Tensor, "modes d"],
    *,
    radius: float,
    at_least: int = 1,
) -> Modes:
    """Count the modes that samples reach, and the samples that reach one.

    A sample is good if ‖x − c‖ ≤ radius for its nearest centre c; a mode is found if at least
    `at_least` good samples have it as their nearest.

    Args:
        samples: points (count, d).
        centres: the middle of each mode (modes, d).
        radius: > 0; three standard deviations of a mode is usual.
        at_least: good samples that a mode needs, ≥ 1.

    Returns:
        counts, found, good.

    Raises:
        ValueError: no sample or no centre, widths that differ, radius ≤ 0, or at_least < 1.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, §4.1.
    """
    if samples.ndim != 2 or centres.ndim != 2 or samples.shape[1] != centres.shape[1]:
        raise ValueError(
            "samples and centres must be matrices of equal width, "
            f"got {tuple(samples.shape)} and {tuple(centres.shape)}"
        )
    if not len(samples) or not len(centres) or radius <= 0 or at_least < 1:
        raise ValueError(
            "need samples, centres, a radius above 0 and at_least ≥ 1, got "
            f"{len(samples)}, {len(centres)}, {radius} and {at_least}"
        )
    distance, nearest = torch.cdist(samples, centres).min(dim=1)
    good = distance <= radius
    counts = torch.bincount(nearest[good], minlength=len(centres))
    return Modes(counts, int((counts >= at_least).sum()), good.double().mean().item())
