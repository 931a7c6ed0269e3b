"""Quality, coverage, seconds: the three things that a generative model should have, measured.

Quality and coverage compare two clouds of features, of real and of generated pictures, by the
distances to their nearest neighbours.
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

REAL = Float[Tensor, "reals features"]
FAKE = Float[Tensor, "fakes features"]


class PrecisionRecall(NamedTuple):
    """Both between 0 and 1; see `precision_recall`."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Density ≥ 0, coverage between 0 and 1; see `density_coverage`."""

    density: float
    coverage: float


def neighbour_radii(features: REAL, k: int) -> Float[Tensor, "reals"]:
    """How far each item's k-th nearest neighbour is; an item is not its own neighbour.

    Args:
        features: one row per item.
        k: 1 … count − 1.

    Returns:
        Euclidean distances (count,), float64.

    Raises:
        ValueError: not a float matrix, NaN in it, or k outside 1 … count − 1.

    Source: Kynkäänniemi et al. 2019, arXiv:1904.06991, equation 1.
    """
    _check(features, features)
    if not 1 <= k < len(features):
        raise ValueError(f"k must be 1 … {len(features) - 1}, got {k}")
    return _distances(features, features).fill_diagonal_(math.inf).kthvalue(k, dim=1).values


def precision_recall(real: REAL, fake: FAKE, *, k: int = 3) -> PrecisionRecall:
    """How many fakes could be real, and how much of the real could be made.

    precision = share of fakes within some real item's ball (out to its k-th real neighbour);
    recall = share of reals within some fake item's ball (out to its k-th fake neighbour)

    One real outlier has a large ball and lets many fakes pass; `density_coverage` mends that.

    Args:
        real: features of real pictures (count, width), more than k.
        fake: features of generated pictures (count', width), more than k; for comparisons
            always equally many.
        k: which neighbour, 3 in the paper.

    Raises:
        ValueError: not two float matrices of equal width, NaN in them, or k too large.

    Source: Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing
        Generative Models", arXiv:1904.06991, equations 1–3; balls include their surface.
    """
    _check(real, fake)
    across = _distances(real, fake)
    inside_real = across <= neighbour_radii(real, k)[:, None]
    inside_fake = across <= neighbour_radii(fake, k)
    return PrecisionRecall(_share(inside_real.any(dim=0)), _share(inside_fake.any(dim=1)))


def density_coverage(real: REAL, fake: FAKE, *, k: int = 5) -> DensityCoverage:
    """How densely fakes lie among the reals, and how many reals have one nearby.

    density = (number of pairs: fake within real item's ball) / (k · fakes);
    coverage = share of reals with at least one fake within their ball

    Only reals have balls, out to their k-th real neighbour. Two samples of one distribution
    have density 1 on average, and the coverage of `expected_coverage`.

    Args:
        real: features of real pictures (count, width), more than k.
        fake: features of generated pictures (count', width), at least one.
        k: which neighbour, 5 in the paper.

    Raises:
        ValueError: not two float matrices of equal width, NaN in them, or k too large.

    Source: Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models",
        arXiv:2002.09797, equations 4–5; balls include their surface.
    """
    _check(real, fake)
    inside = _distances(real, fake) <= neighbour_radii(real, k)[:, None]
    density = inside.sum().item() / (k * len(fake))
    return DensityCoverage(density, _share(inside.any(dim=1)))


def expected_coverage(reals: int, fakes: int, k: int = 5) -> float:
    """The coverage that fakes have, on average, if nothing tells them from the reals.

    1 − Π_{i=1…k} (N − i) / (N + M − i)

    A real is missed if its k nearest among all others are real: a draw without replacement.

    Args:
        reals: N > k.
        fakes: M ≥ 1.
        k: which neighbour.

    Raises:
        ValueError: k outside 1 … N − 1, or no fakes.

    Source: Naeem et al. 2020, arXiv:2002.09797, lemma 2.
    """
    if not 1 <= k < reals or fakes < 1:
        raise ValueError(f"need 1 ≤ k < reals and fakes ≥ 1, got {k}, {reals}, {fakes}")
    return 1 - math.prod((reals - i) / (reals + fakes - i) for i in range(1, k + 1))


def seconds_per_item(
    draw: Callable[[int], object],
    count: int,
    *,
    repeats: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How long one item takes: the median of some runs, after one that does not count.

    Args:
        draw: makes so many items, and returns when they are done (on a GPU: synchronised).
        count: how many at a time.
        repeats: how many runs count.
        clock: seconds.

    Raises:
        ValueError: count or repeats below 1.

    Source: none; the first run pays for allocations and is left out.
    """
    if count < 1 or repeats < 1:
        raise ValueError(f"count and repeats must be at least 1, got {count}, {repeats}")
    draw(count)
    seconds: list[float] = []
    for _ in range(repeats):
        start = clock()
        draw(count)
        seconds.append(clock() - start)
    return statistics.median(seconds) / count


def unit_scores(
    values: Float[Tensor, "models"], *, best: float, worst: float, log: bool = False
) -> Float[Tensor, "models"]:
    """Measurements as scores: 1 at `best`, 0 at `worst`, straight between, cut off beyond.

    Args:
        values: one measurement of each model; `best` may be the smaller end (seconds).
        best: what scores 1.
        worst: what scores 0.
        log: straight in the logarithm, for seconds or distances over several powers of ten.

    Raises:
        ValueError: best = worst, values that are not finite, or with `log` not above 0.

    Source: none; where the anchors lie is a choice, to be printed beside the figure.
    """
    ends = torch.tensor([best, worst], dtype=torch.float64)
    numbers = torch.cat([values.double(), ends.to(values.device)])
    if not bool(numbers.isfinite().all()) or (log and not bool((numbers > 0).all())):
        kind = "finite numbers above 0" if log else "finite numbers"
        raise ValueError(f"need {kind}, got {numbers.tolist()} (the last two: best and worst)")
    if best == worst:
        raise ValueError(f"best and worst must differ, got {best} twice")
    numbers = numbers.log() if log else numbers
    top, bottom = numbers[-2], numbers[-1]
    return ((numbers[:-2] - bottom) / (top - bottom)).clamp(0, 1).to(values.dtype)


def triangle_points(scores: Float[Tensor, "models 3"]) -> Float[Tensor, "models 2"]:
    """Where a model lies in the triangle: pulled to each corner by its score.

    point = Σ score_j corner_j / Σ score_j

    The corners are (0, 0), (1, 0) and (½, √3/2). Only the scores' proportions show: a model that
    is half as good at everything lies in the same place.

    Args:
        scores: one row per model, for the three corners; ≥ 0, not all 0 in a row.

    Raises:
        ValueError: another shape, negative scores, or a row of zeros.

    Source: barycentric coordinates; the trilemma is that of Xiao et al. 2022, arXiv:2112.07804.
    """
    if scores.ndim != 2 or scores.shape[1] != 3:
        raise ValueError(f"scores must be (models, 3), got {tuple(scores.shape)}")
    total = scores.sum(dim=1, keepdim=True)
    if not bool((scores >= 0).all()) or not bool(((total > 0) & total.isfinite()).all()):
        raise ValueError("scores must be finite and ≥ 0, and above 0 somewhere in each row")
    corners = scores.new_tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])
    return scores / total @ corners


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """By differences, not through products: exact for duplicates."""
    return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")


def _share(hits: Tensor) -> float:
    return hits.double().mean().item()


def _check(a: Tensor, b: Tensor) -> None:
    for features in (a, b):
        if features.ndim != 2 or len(features) == 0 or not features.is_floating_point():
            raise ValueError(
                "features must be a float matrix with at least 1 row, "
                f"got {features.dtype} {tuple(features.shape)}"
            )
        if not bool(features.isfinite().all()):
            raise ValueError("features must be finite numbers, got NaN or infinity")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features must be equally wide, got {a.shape[1]} and {b.shape[1]}")
