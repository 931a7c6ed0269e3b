"""Power laws with a floor, fitted by least squares, with the standard errors of what they say."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Runs = Float[Tensor, " runs"]
Sizes = Float[Tensor, "runs ..."]  # (runs,) or (runs, terms)

EXPONENTS = torch.logspace(-2, 0.5, 26, dtype=torch.float64)  # where a fit starts: 0.01 … 3.2


class PowerLaw(NamedTuple):
    """loss = floor + Σ_k scale_k · size_k^(−exponent_k), as `fit_power_law` found it.

    Attributes:
        floor: the loss that no size removes.
        scales, exponents: one of each per term.
        covariance: of (floor, scales …, exponents …), float64.
    """

    floor: float
    scales: list[float]
    exponents: list[float]
    covariance: Float[Tensor, "numbers numbers"]

    @property
    def standard_errors(self) -> list[float]:
        """Of floor, scales …, exponents …: the roots of the covariance's diagonal."""
        return self.covariance.diagonal().sqrt().tolist()

    def predict(self, sizes: Sizes) -> Runs:
        """The law's loss at these sizes (runs,), float64.

        Args:
            sizes: (runs,) for one term, else (runs, terms); above 0.

        Raises:
            ValueError: another number of terms, or sizes not above 0.
        """
        return _law(_matrix(sizes, len(self.scales)).log(), self._numbers())

    def prediction_error(self, sizes: Sizes) -> Runs:
        """Standard error of `predict` (runs,): the fit's uncertainty alone, not a new run's.

        √(g C gᵀ), with g the derivative of the law by its numbers and C their covariance

        Args:
            sizes: as in `predict`.

        Raises:
            ValueError: as `predict`.
        """
        slopes = _derivative(_matrix(sizes, len(self.scales)).log(), self._numbers())
        return (slopes @ self.covariance * slopes).sum(dim=1).clamp(min=0).sqrt()

    def _numbers(self) -> Tensor:
        return torch.tensor([self.floor, *self.scales, *self.exponents], dtype=torch.float64)


def fit_power_law(sizes: Sizes, losses: Runs) -> PowerLaw:
    """Least squares for loss = E + Σ_k A_k · x_k^(−α_k): one term or two.

    For fixed α the rest is linear, so a grid over α gives the start; Levenberg–Marquardt ends it.
    Covariance: s² (JᵀJ)⁻¹ with s² = squared residuals / (runs − numbers).

    Args:
        sizes: x, above 0: (runs,) for one term, (runs, 2) for parameters and data.
        losses: (runs,), more than the law has numbers (3 or 5).

    Returns:
        the law with its covariance.

    Raises:
        ValueError: too few runs, sizes not above 0, numbers that are not finite, or data that no
            falling power law with a floor fits (the best exponent leaves 0.005 … 32, or the loss
            rises).

    Source: Kaplan et al. 2020, arXiv:2001.08361; the floor and two terms: Hoffmann et al. 2022,
        arXiv:2203.15556, equation 2, who fit a Huber loss of logarithms instead.
    """
    x = _matrix(sizes, 1 if sizes.ndim == 1 else sizes.shape[1])
    terms, y = x.shape[1], losses.double()
    count = 1 + 2 * terms
    if terms not in (1, 2) or y.shape != x.shape[:1] or len(y) <= count:
        raise ValueError(
            f"need 1 or 2 terms and more than {count} runs, got sizes "
            f"{tuple(sizes.shape)} and losses {tuple(losses.shape)}"
        )
    if not bool(y.isfinite().all()):
        raise ValueError("losses must be finite numbers, got NaN or infinity")
    centre = x.log().mean(dim=0)
    logs = x.log() - centre  # sizes around 1: scales are then of the size of the loss
    numbers = _improve(logs, y, _start(logs, y))
    return _report(logs, y, numbers, centre)


def straight_line(sizes: Runs, losses: Runs) -> tuple[float, float]:
    """Scale and exponent of loss = A · x^(−α), without a floor: a line through the logarithms.

    log loss = log A − α log x. Where there is a floor, the line is not straight and α comes out
    too small: the mistake that `fit_power_law` avoids.

    Args:
        sizes: (runs,), above 0, not all the same.
        losses: (runs,), above 0.

    Raises:
        ValueError: fewer than two runs, or numbers that are not above 0.

    Source: ordinary least squares.
    """
    if sizes.shape != losses.shape or sizes.ndim != 1 or len(sizes) < 2:
        raise ValueError(f"need two or more runs, got {tuple(sizes.shape)}, {tuple(losses.shape)}")
    if not bool((sizes > 0).all() and (losses > 0).all()) or bool((sizes == sizes[0]).all()):
        raise ValueError("sizes and losses must be above 0, and sizes differ")
    x, y = sizes.double().log(), losses.double().log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).exp().item(), -slope.item()


def _law(logs: Tensor, numbers: Tensor) -> Tensor:
    terms = logs.shape[1]
    scales, exponents = numbers[1 : 1 + terms], numbers[1 + terms :]
    return numbers[0] + (scales * (-exponents * logs).exp()).sum(dim=1)


def _derivative(logs: Tensor, numbers: Tensor) -> Tensor:
    """By floor, scales, exponents: (runs, numbers)."""
    terms = logs.shape[1]
    powers = (-numbers[1 + terms :] * logs).exp()
    by_exponents = -numbers[1 : 1 + terms] * powers * logs
    return torch.cat([torch.ones_like(logs[:, :1]), powers, by_exponents], dim=1)


def _start(logs: Tensor, y: Tensor) -> Tensor:
    """The best exponents of a grid; floor and scales by linear least squares."""
    grids = torch.meshgrid(*[EXPONENTS] * logs.shape[1], indexing="ij")
    exponents = torch.stack([grid.flatten() for grid in grids], dim=1)
    powers = (-exponents[:, None] * logs).exp()  # (guesses, runs, terms)
    design = torch.cat([torch.ones_like(powers[..., :1]), powers], dim=2)
    linear = torch.linalg.pinv(design) @ y[:, None]
    misfit = (design @ linear - y[:, None]).square().sum(dim=(1, 2))
    best = int(misfit.argmin())
    return torch.cat([linear[best, :, 0], exponents[best]])


def _improve(logs: Tensor, y: Tensor, numbers: Tensor, rounds: int = 500) -> Tensor:
    """Levenberg–Marquardt: Gauss–Newton steps, damped when they do not help."""
    damping = 1e-3
    misfit = (_law(logs, numbers) - y).square().sum()
    for _ in range(rounds):
        slopes, residual = _derivative(logs, numbers), y - _law(logs, numbers)
        square = slopes.T @ slopes
        damped = square + damping * square.diagonal().diag()
        step = torch.linalg.lstsq(damped, slopes.T @ residual).solution
        tried = (_law(logs, numbers + step) - y).square().sum()
        if tried < misfit:
            numbers, misfit, damping = numbers + step, tried, max(damping / 10, 1e-14)
        else:
            damping *= 10
        if damping > 1e12:
            break
    return numbers


def _report(logs: Tensor, y: Tensor, numbers: Tensor, centre: Tensor) -> PowerLaw:
    """Back from sizes around 1 to the sizes as they are, the covariance with them."""
    terms = logs.shape[1]
    scales, exponents = numbers[1 : 1 + terms], numbers[1 + terms :]
    runaway = bool((exponents < EXPONENTS[0] / 2).any() or (exponents > 10 * EXPONENTS[-1]).any())
    if not bool(numbers.isfinite().all()) or runaway or bool((scales <= 0).any()):
        raise ValueError(
            "no falling power law with a floor fits these losses: scales "
            f"{scales.tolist()}, exponents {exponents.tolist()}"
        )
    raw = numbers.clone()
    raw[1 : 1 + terms] = scales * (exponents * centre).exp()
    slopes = _derivative(logs + centre, raw)
    unit = slopes.norm(dim=0)
    inverse = torch.linalg.pinv(slopes / unit, rtol=1e-14) / unit[:, None]
    spread = (_law(logs, numbers) - y).square().sum() / (len(y) - len(raw))
    found = raw.tolist()
    return PowerLaw(
        found[0], found[1 : 1 + terms], found[1 + terms :], spread * inverse @ inverse.T
    )


def _matrix(sizes: Tensor, terms: int) -> Tensor:
    x = sizes.double()[:, None] if sizes.ndim == 1 else sizes.double()
    if x.ndim != 2 or x.shape[1] != terms:
        raise ValueError(f"sizes must be (runs, {terms}), got {tuple(sizes.shape)}")
    if not bool((x > 0).all() and x.isfinite().all()):
        raise ValueError("sizes must be finite and above 0")
    return x
