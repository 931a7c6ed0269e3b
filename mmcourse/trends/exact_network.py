"""A network of 2n + d weights that fits any n points exactly, without any training."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ExactNetwork(nn.Module):
    """One hidden layer of ReLUs that all look along the same direction.

    c(x) = Σ_j w_j · max(⟨a, x⟩ − b_j, 0)

    Along a it is a chain of straight pieces, with a kink at each b_j.

    Args:
        direction: a (d,).
        thresholds: b (n,).
        weights: w (n,).

    Raises:
        ValueError: shapes that do not fit.

    Source: Zhang et al. 2017, arXiv:1611.03530, theorem 1 and its proof in appendix C.
    """

    def __init__(
        self,
        direction: Float[Tensor, " d"],
        thresholds: Float[Tensor, " n"],
        weights: Float[Tensor, " n"],
    ) -> None:
        super().__init__()
        if direction.ndim != 1 or thresholds.ndim != 1 or thresholds.shape != weights.shape:
            raise ValueError(
                "need vectors, as many thresholds as weights, got "
                f"{tuple(direction.shape)}, {tuple(thresholds.shape)}, {tuple(weights.shape)}"
            )
        self.direction = nn.Parameter(direction.double())
        self.thresholds = nn.Parameter(thresholds.double())
        self.weights = nn.Parameter(weights.double())

    def forward(self, points: Float[Tensor, "count d"]) -> Float[Tensor, " count"]:
        """Outputs (count,), float64.

        Raises:
            ValueError: points of another width.
        """
        if points.ndim != 2 or points.shape[1] != len(self.direction):
            raise ValueError(
                f"points must be (count, {len(self.direction)}), got {tuple(points.shape)}"
            )
        along = points.double() @ self.direction
        return torch.relu(along[:, None] - self.thresholds) @ self.weights


def fit_exactly(
    points: Float[Tensor, "n d"],
    targets: Float[Tensor, " n"],
    *,
    generator: torch.Generator | None = None,
    direction: Float[Tensor, " d"] | None = None,
) -> ExactNetwork:
    """Weights in closed form, so that the network gives each point its target.

    Sort the points by x_i = ⟨a, z_i⟩ and put the thresholds b_1 < x_1 ≤ b_2 < x_2 ≤ … ≤ b_n < x_n.
    Then A_ij = max(x_i − b_j, 0) is lower triangular with a positive diagonal, so A w = y has
    one solution. With b_j = x_{j−1} it is read off: w_j = slope of piece j − slope before it.

    Args:
        points: z, any n distinct ones (n, d), d ≥ 1.
        targets: y (n,); class numbers, random numbers, anything.
        generator: draws the direction.
        direction: a, if it is not to be drawn.

    Returns:
        the network, 2n + d weights, float64.

    Raises:
        ValueError: no point, numbers that are not finite, or two points that are the same along
            the direction (the same point twice, or an unlucky direction).

    Source: Zhang et al. 2017, arXiv:1611.03530, theorem 1 and lemma 1; there the thresholds lie
        anywhere between the points, here on them, where rounding does least harm.
    """
    _check(points, targets)
    z, y = points.double(), targets.double()
    if direction is None:
        direction = torch.randn(z.shape[1], generator=generator, dtype=torch.float64)
    along, order = (z @ direction.double().to(z.device)).sort()
    gaps = along.diff()
    if bool((gaps <= 0).any()):
        i = int(gaps.argmin())
        raise ValueError(
            f"points {order[i].item()} and {order[i + 1].item()} are the same along the direction"
        )
    first = gaps.mean() if len(gaps) else along.new_tensor(1.0)
    thresholds = torch.cat([along[:1] - first, along[:-1]])
    rises = torch.cat([y[order][:1], y[order].diff()])
    slopes = rises / (along - thresholds)
    weights = slopes.diff(prepend=slopes.new_zeros(1))
    return ExactNetwork(direction.to(z.device), thresholds, weights)


def _check(points: Tensor, targets: Tensor) -> None:
    if points.ndim != 2 or not points.numel() or targets.shape != points.shape[:1]:
        raise ValueError(
            "need a matrix of points and a target for each, got "
            f"{tuple(points.shape)} and {tuple(targets.shape)}"
        )
    if not bool(points.isfinite().all() and targets.isfinite().all()):
        raise ValueError("points and targets must be finite numbers, got NaN or infinity")
