"""Regression on random features: minimum norm, ridge and gradient descent by one decomposition.

Φ = U diag(s) Vᵀ. All three answers are V diag(f(s)) Uᵀ Y and differ in the filter f alone.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Features = Float[Tensor, "count features"]
Targets = Float[Tensor, "count outputs"]
Weights = Float[Tensor, "features outputs"]


def draw_directions(
    inputs: int, count: int, *, generator: torch.Generator | None
) -> Float[Tensor, "count inputs"]:
    """Random unit vectors, one per feature; the first ones are the smaller model's.

    Args:
        inputs: numbers per example, ≥ 1.
        count: how many features, ≥ 1.
        generator: source of randomness.

    Returns:
        (count, inputs), float64.

    Raises:
        ValueError: a size below 1.

    Source: Rahimi and Recht 2007, "Random Features for Large-Scale Kernel Machines".
    """
    if inputs < 1 or count < 1:
        raise ValueError(f"inputs and count must be at least 1, got {inputs} and {count}")
    drawn = torch.randn(count, inputs, generator=generator, dtype=torch.float64)
    return drawn / drawn.norm(dim=1, keepdim=True)


def random_features(
    inputs: Float[Tensor, "count inputs"], directions: Float[Tensor, "features inputs"]
) -> Features:
    """A first layer that is drawn and never trained: φ(x) = max(W x, 0) / √P.

    Divided by √P, so that φ(x)·φ(x′) tends to a kernel as P grows, and one ridge penalty means
    the same at every P.

    Args:
        inputs: (count, inputs).
        directions: W (P, inputs), see `draw_directions`.

    Returns:
        (count, P), float64.

    Raises:
        ValueError: widths that differ.

    Source: Rahimi and Recht 2007; ReLU features as in Belkin et al. 2019, arXiv:1812.11118.
    """
    if inputs.ndim != 2 or directions.ndim != 2 or inputs.shape[1] != directions.shape[1]:
        raise ValueError(
            "inputs and directions must be equally wide, "
            f"got {tuple(inputs.shape)} and {tuple(directions.shape)}"
        )
    return (inputs.double() @ directions.double().T).relu() / len(directions) ** 0.5


def min_norm(features: Features, targets: Targets) -> Weights:
    """Of all weights with the least squared error the shortest: Φ⁺ Y, f(s) = 1/s.

    With more features than examples it passes through every target.

    Args:
        features: Φ (count, features).
        targets: Y (count, outputs).

    Returns:
        weights (features, outputs); singular values at rounding's level count as 0.

    Raises:
        ValueError: shapes that do not fit, or numbers that are not finite.

    Source: Moore–Penrose inverse; gradient descent from zero ends here.
    """
    return _solve(features, targets, lambda s: 1 / s)


def ridge(features: Features, targets: Targets, penalty: float) -> Weights:
    """argmin ‖ΦW − Y‖² + λ‖W‖², f(s) = s / (s² + λ).

    Args:
        features: Φ (count, features).
        targets: Y (count, outputs).
        penalty: λ > 0, against the *sum* of squares; against the mean it would be λ/count.

    Raises:
        ValueError: λ not above 0, shapes that do not fit, or numbers that are not finite.

    Source: Hoerl and Kennard 1970; λ → 0 gives `min_norm`.
    """
    if not penalty > 0:
        raise ValueError(f"penalty must be above 0 (without one: min_norm), got {penalty}")
    return _solve(features, targets, lambda s: s / (s**2 + penalty))


def gradient_descent(
    features: Features, targets: Targets, *, step_size: float, steps: Sequence[int]
) -> Float[Tensor, "times features outputs"]:
    """Where gradient descent from zero stands after so many steps, without walking there.

    W ← W − η Φᵀ(ΦW − Y);  after t steps f(s) = (1 − (1 − η s²)ᵗ) / s

    Args:
        features: Φ (count, features).
        targets: Y (count, outputs).
        step_size: η, in (0, 2/s₁²) for the largest singular value s₁; see `largest_step`.
        steps: the times t ≥ 0 to look at.

    Returns:
        weights at each time (times, features, outputs).

    Raises:
        ValueError: η outside its range, a time below 0, shapes that do not fit, or numbers that
            are not finite.

    Source: the geometric series; early stopping is a filter like ridge (Ali et al. 2019,
        arXiv:1810.10082).
    """
    if not steps or min(steps) < 0:
        raise ValueError(f"steps must be times of 0 or more, got {list(steps)}")
    limit = 2 * largest_step(features)
    if not 0 < step_size < limit:
        raise ValueError(f"step_size must be in (0, {limit:.6g}), got {step_size}")
    filters = [lambda s, t=t: (1 - (1 - step_size * s**2) ** t) / s for t in steps]
    return torch.stack(_solve_all(features, targets, filters))


def largest_step(features: Features) -> float:
    """1/s₁²: the step that reaches the steepest direction's target in one stride.

    Raises:
        ValueError: if all features are 0.

    Source: the quadratic's curvature is s².
    """
    steepest = torch.linalg.matrix_norm(features, ord=2).item()
    if not steepest > 0:
        raise ValueError("features must not all be 0")
    return 1 / steepest**2


def _solve(features: Tensor, targets: Tensor, keep: Callable[[Tensor], Tensor]) -> Tensor:
    return _solve_all(features, targets, [keep])[0]


def _solve_all(
    features: Tensor, targets: Tensor, filters: Sequence[Callable[[Tensor], Tensor]]
) -> list[Tensor]:
    if features.ndim != 2 or targets.ndim != 2 or len(features) != len(targets):
        raise ValueError(
            "features and targets must be matrices of equally many rows, "
            f"got {tuple(features.shape)} and {tuple(targets.shape)}"
        )
    if not bool(features.isfinite().all() and targets.isfinite().all()):
        raise ValueError("features and targets must be finite numbers, got NaN or infinity")
    u, s, vt = torch.linalg.svd(features, full_matrices=False)
    real = s > s.max() * max(features.shape) * torch.finfo(s.dtype).eps
    u, s, vt = u[:, real], s[real], vt[real]
    seen = u.T @ targets.to(features.dtype)
    return [vt.T @ (keep(s)[:, None] * seen) for keep in filters]
