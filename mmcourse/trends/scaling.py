"""How loss falls with parameters and data, and what to buy with a budget of compute."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmcourse.trends.power_law import PowerLaw

Runs = Float[Tensor, " runs"]


class ScalingLaw(NamedTuple):
    """L(N, D) = E + A / N^α + B / D^β, with N parameters and D tokens of training data.

    Attributes:
        floor: E, the entropy of the text itself.
        scale_n, exponent_n: A and α, what a finite model costs.
        scale_d, exponent_d: B and β, what finite data cost.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, equation 2.
    """

    floor: float
    scale_n: float
    scale_d: float
    exponent_n: float
    exponent_d: float


class Allocation(NamedTuple):
    """What a budget buys, see `compute_optimal`; numbers of tokens and parameters are not whole."""

    parameters: float
    tokens: float
    loss: float

    @property
    def tokens_per_parameter(self) -> float:
        """D / N."""
        return self.tokens / self.parameters


# Hoffmann et al. 2022, arXiv:2203.15556, equation 10 (approach 3).
HOFFMANN = ScalingLaw(1.69, 406.4, 410.7, 0.34, 0.28)
# Besiroglu et al. 2024, arXiv:2404.10102: the same runs, read off the figure and fitted anew.
BESIROGLU = ScalingLaw(1.8172, 482.01, 2085.43, 0.3478, 0.3658)


def as_scaling_law(fit: PowerLaw) -> ScalingLaw:
    """A fit over sizes (runs, 2), parameters first, as L(N, D).

    Raises:
        ValueError: a fit of one term.
    """
    if len(fit.scales) != 2:
        raise ValueError(f"need a fit of two terms, got {len(fit.scales)}")
    return ScalingLaw(fit.floor, *fit.scales, *fit.exponents)


def expected_loss(law: ScalingLaw, parameters: Runs, tokens: Runs) -> Runs:
    """L(N, D), elementwise, in the unit of the law (nats per token).

    Args:
        law: its five numbers.
        parameters: N > 0.
        tokens: D > 0; one pass, no token twice.

    Raises:
        ValueError: numbers not above 0.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, equation 2.
    """
    n, d = parameters.double(), tokens.double()
    if not bool((n > 0).all() and (d > 0).all()):
        raise ValueError("parameters and tokens must be above 0")
    return law.floor + law.scale_n * n**-law.exponent_n + law.scale_d * d**-law.exponent_d


def training_flops(parameters: float, tokens: float) -> float:
    """C ≈ 6 N D: two operations per weight and token forward, twice that backward.

    Args:
        parameters: N, those that multiply: embeddings that are only looked up do not count.
        tokens: D, all that are seen, repeats included.

    Raises:
        ValueError: numbers not above 0.

    Source: Kaplan et al. 2020, arXiv:2001.08361, §2.1.
    """
    if not (parameters > 0 and tokens > 0):
        raise ValueError(f"parameters and tokens must be above 0, got {parameters} and {tokens}")
    return 6.0 * parameters * tokens


def forward_flops(*, layers: int, width: int, tokens: int, vocab: int = 0) -> int:
    """Operations of one sequence's way through a Transformer whose feed-forward is 4 × as wide.

    2 · T · (12 L d² + V d) + 4 · L · T² · d

    A multiplication and an addition count as two. The last term, every query with every key and
    the mix of the values, is what 6 N D leaves out; T tokens attend to all T, as a program that
    masks afterwards computes it.

    Args:
        layers, width: L and d.
        tokens: T.
        vocab: V of the output layer, 0 to leave it out.

    Raises:
        ValueError: sizes below 1 (vocab: below 0).

    Source: Kaplan et al. 2020, arXiv:2001.08361, table 1, which counts half of the last term.
    """
    if min(layers, width, tokens) < 1 or vocab < 0:
        raise ValueError(
            "layers, width and tokens must be at least 1 and vocab at least 0, "
            f"got {layers}, {width}, {tokens}, {vocab}"
        )
    weights = 12 * layers * width**2 + vocab * width
    return 2 * tokens * weights + 4 * layers * tokens**2 * width


def compute_optimal(law: ScalingLaw, flops: float) -> Allocation:
    """The size and the data that give the lowest loss for C = 6 N D operations.

    N = G (C/6)^(β/(α+β)),  D = (C/6)^(α/(α+β)) / G,  G = (α A / β B)^(1/(α+β))

    Args:
        law: scales and exponents above 0.
        flops: C > 0.

    Returns:
        parameters, tokens and the loss there.

    Raises:
        ValueError: C, a scale or an exponent not above 0.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, equation 4.
    """
    _, a, b, alpha, beta = law
    if not flops > 0 or not min(a, b, alpha, beta) > 0:
        raise ValueError(f"flops, scales and exponents must be above 0, got {flops} and {law}")
    ratio = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    product = flops / 6
    parameters = ratio * product ** (beta / (alpha + beta))
    tokens = product / parameters
    loss = law.floor + a * parameters**-alpha + b * tokens**-beta
    return Allocation(parameters, tokens, loss)


def isoflop_optimum(parameters: Runs, losses: Runs) -> float:
    """The best size at one budget: the lowest point of a parabola through loss over log N.

    Args:
        parameters: N > 0 of three or more runs of equal C (runs,).
        losses: (runs,).

    Raises:
        ValueError: fewer than three sizes, or a parabola that opens downwards.

    Source: Hoffmann et al. 2022, arXiv:2203.15556, approach 2.
    """
    sizes = parameters.double()
    if len(sizes.unique()) < 3 or losses.shape != sizes.shape or not bool((sizes > 0).all()):
        raise ValueError(
            "need a loss for each of three or more sizes above 0, "
            f"got {sizes.tolist()} and {tuple(losses.shape)}"
        )
    middle = sizes.log().mean()
    x = sizes.log() - middle
    design = torch.stack([torch.ones_like(x), x, x**2], dim=1)
    _, slope, bend = torch.linalg.lstsq(design, losses.double()).solution.tolist()
    if not bend > 0:
        raise ValueError("the parabola has no lowest point: it opens downwards")
    return math.exp(middle.item() - slope / (2 * bend))
