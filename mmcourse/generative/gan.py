"""Generative adversarial networks: the game, its losses, and the penalties that calm it.

Losses take logits l, not probabilities: D(x) = σ(l). All of them are to be minimised.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

REAL = Float[Tensor, "*real"]
FAKE = Float[Tensor, "*fake"]
BATCH = Float[Tensor, "batch *shape"]
DENSITY = Float[Tensor, "*states"]
LOSS = Float[Tensor, ""]


# ---- the game, where the densities are known ----


def optimal_discriminator(p_real: DENSITY, p_fake: DENSITY) -> DENSITY:
    """The best discriminator against a generator that stands still.

    D*(x) = p(x) / ( p(x) + q(x) )

    Args:
        p_real: p, the density of the data at some points, ≥ 0.
        p_fake: q, the density of the generator's samples at the same points, ≥ 0.

    Returns:
        Probabilities in [0, 1], shaped as p; ½ where neither has any mass.

    Raises:
        ValueError: the shapes differ, or a density is negative.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, proposition 1.
    """
    _check_densities(p_real, p_fake)
    both = p_real + p_fake
    return torch.where(both > 0, p_real / torch.where(both > 0, both, 1), 0.5)


def game_value(d: DENSITY, p_real: DENSITY, p_fake: DENSITY) -> LOSS:
    """What the discriminator maximises and the generator minimises.

    V(D, G) = Σ p log D + Σ q log(1 − D)

    At D* this is −log 4 + 2 JS(p, q).

    Args:
        d: D, probabilities in [0, 1], one for each state.
        p_real: p, the data's distribution over the states.
        p_fake: q, the generator's.

    Returns:
        V ≤ 0 in nats; −∞ for a D that is sure and wrong.

    Raises:
        ValueError: shapes that differ, no distributions, or a D outside [0, 1].

    Source: Goodfellow et al. 2014, arXiv:1406.2661, equation 1.
    """
    _check_distributions(p_real, p_fake)
    if d.shape != p_real.shape or not bool(((d >= 0) & (d <= 1)).all()):
        raise ValueError(f"d must be in [0, 1], shaped {tuple(p_real.shape)}, got {tuple(d.shape)}")
    return (torch.xlogy(p_real, d) + torch.xlogy(p_fake, 1 - d)).sum()


def jensen_shannon(p: DENSITY, q: DENSITY) -> LOSS:
    """How far two distributions are from their average.

    JS = ½ KL(p ‖ m) + ½ KL(q ‖ m),  m = ½ (p + q)

    Args:
        p: a distribution over states, sum 1.
        q: another over the same states.

    Returns:
        Nats: 0 for equal distributions, log 2 for such as share no state.

    Raises:
        ValueError: the shapes differ, or no distributions.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, equation 6.
    """
    _check_distributions(p, q)
    middle = torch.special.entr((p + q) / 2)
    return (middle - (torch.special.entr(p) + torch.special.entr(q)) / 2).sum()


# ---- losses on logits ----


def discriminator_loss(real: REAL, fake: FAKE) -> LOSS:
    """Binary cross-entropy of telling real from fake: −V(D, G).

    −E log σ(l_real) − E log(1 − σ(l_fake))

    Args:
        real: logits of real data, any shape.
        fake: logits of generated data, any shape.

    Returns:
        A number ≥ 0; 2 log 2 where the discriminator only guesses.

    Raises:
        ValueError: no logit, or whole numbers.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, equation 1.
    """
    _check_logits(real, fake)
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def saturating_loss(fake: FAKE) -> LOSS:
    """The generator's part of the game as it is written (minimax).

    E log(1 − σ(l));  the slope is −σ(l): none where the discriminator is sure of a fake.

    Args:
        fake: logits of generated data.

    Raises:
        ValueError: no logit, or whole numbers.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, equation 1.
    """
    _check_logits(fake)
    return -F.softplus(fake).mean()


def non_saturating_loss(fake: FAKE) -> LOSS:
    """The generator's loss that is used in practice.

    −E log σ(l);  the slope is −(1 − σ(l)): steepest where the discriminator is sure of a fake.

    Args:
        fake: logits of generated data.

    Raises:
        ValueError: no logit, or whole numbers.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, §3.
    """
    _check_logits(fake)
    return F.softplus(-fake).mean()


def hinge_loss(real: REAL, fake: FAKE) -> LOSS:
    """The discriminator's hinge loss; beyond ±1 it has nothing more to win.

    E max(0, 1 − l_real) + E max(0, 1 + l_fake);  the generator uses `critic_generator_loss`.

    Args:
        real: logits of real data.
        fake: logits of generated data.

    Raises:
        ValueError: no logit, or whole numbers.

    Source: Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, equation 16.
    """
    _check_logits(real, fake)
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def critic_loss(real: REAL, fake: FAKE) -> LOSS:
    """A Wasserstein critic's loss: minus the distance it sees; needs `gradient_penalty`.

    E l_fake − E l_real

    Args:
        real: scores of real data, any number.
        fake: scores of generated data.

    Raises:
        ValueError: no score, or whole numbers.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, equation 2.
    """
    _check_logits(real, fake)
    return fake.mean() - real.mean()


def critic_generator_loss(fake: FAKE) -> LOSS:
    """The generator's loss against a critic or a hinge: −E l_fake.

    Args:
        fake: scores of generated data.

    Raises:
        ValueError: no score, or whole numbers.

    Source: Arjovsky et al. 2017, arXiv:1701.07875; Miyato et al. 2018, equation 17.
    """
    _check_logits(fake)
    return -fake.mean()


# ---- penalties on the discriminator's slope ----


def r1_penalty(
    discriminator: Callable[[Tensor], Tensor], real: BATCH, *, gamma: float = 10.0
) -> LOSS:
    """Hold the discriminator flat on real data.

    γ/2 · E ‖∇ₓ l(x)‖²,  x real

    Args:
        discriminator: maps a batch to logits, each item by itself (no batch normalisation).
        real: real data (batch, …).
        gamma: γ ≥ 0.

    Returns:
        A number ≥ 0, differentiable in the discriminator's weights.

    Raises:
        ValueError: γ < 0, or an empty batch.

    Source: Mescheder et al. 2018, arXiv:1801.04406, equation 9; γ = 10 as in StyleGAN.
    """
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0, got {gamma}")
    return gamma / 2 * _slopes(discriminator, real).square().sum(dim=1).mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: BATCH,
    fake: BATCH,
    mix: Float[Tensor, "batch"],
    *,
    weight: float = 10.0,
) -> LOSS:
    """Hold the critic's slope at 1 between real and generated data (WGAN-GP).

    λ · E ( ‖∇ₓ̂ l(x̂)‖ − 1 )²,  x̂ = ε x + (1 − ε) x_fake

    Args:
        critic: maps a batch to scores, each item by itself (no batch normalisation).
        real: x, real data (batch, …).
        fake: generated data, shaped as the real; no gradient flows back into it.
        mix: ε uniform in [0, 1], one for each item.
        weight: λ ≥ 0.

    Returns:
        A number ≥ 0, differentiable in the critic's weights.

    Raises:
        ValueError: shapes that differ, an ε outside [0, 1], λ < 0, or an empty batch.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3 and algorithm 1.
    """
    if real.shape != fake.shape or mix.shape != real.shape[:1]:
        raise ValueError(
            "real and fake must share their shape, with one mix for each item, "
            f"got {tuple(real.shape)}, {tuple(fake.shape)} and {tuple(mix.shape)}"
        )
    if weight < 0 or not bool(((mix >= 0) & (mix <= 1)).all()):
        raise ValueError(f"weight must be at least 0 and mix in [0, 1], got {weight} and {mix}")
    each = mix.reshape(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(fake.detach(), real.detach(), each)
    return weight * (_slopes(critic, between).norm(dim=1) - 1).square().mean()


def _slopes(function: Callable[[Tensor], Tensor], x: Tensor) -> Float[Tensor, "batch values"]:
    """∇ₓ of the sum of all outputs, a row for each item, itself differentiable."""
    if not len(x):
        raise ValueError("need a batch of at least one item, got an empty one")
    x = x.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    return slopes.reshape(len(x), -1)


def _check_logits(*logits: Tensor) -> None:
    for each in logits:
        if not each.numel() or not each.is_floating_point():
            raise ValueError(
                f"logits must be floating point and at least one, got {each.dtype} "
                f"of shape {tuple(each.shape)}"
            )


def _check_densities(p: Tensor, q: Tensor) -> None:
    if p.shape != q.shape:
        raise ValueError(
            f"densities must share their shape, got {tuple(p.shape)}, {tuple(q.shape)}"
        )
    if not bool((p >= 0).all() and (q >= 0).all()):
        raise ValueError("densities must be at least 0, got a negative one or NaN")


def _check_distributions(p: Tensor, q: Tensor) -> None:
    _check_densities(p, q)
    for each in (p, q):
        if abs(each.sum().item() - 1) > 1e-3:
            raise ValueError(f"a distribution must sum to 1, got {each.sum().item():.4f}")
