"""Gaussians and the bound against torch.distributions, diffusers and exact integrals."""

import math

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.generative import (
    VAE,
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    reparameterise,
)

plain = unchecked("mmcourse.generative.vae")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 1000), scale=st.floats(0, 3))
def test_kl_equals_the_libraries(seed: int, scale: float) -> None:
    mean, log_variance = normal(3, 2, 4, 4, seed=seed) * scale, normal(3, 2, 4, 4, seed=seed + 1)
    ours = gaussian_kl(mean, log_variance)
    theirs = DiagonalGaussianDistribution(torch.cat([mean, log_variance], 1)).kl()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    p = torch.distributions.Normal(mean.double(), (0.5 * log_variance).exp().double())
    each = torch.distributions.kl_divergence(p, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(ours.double(), each.sum(dim=(1, 2, 3)), rtol=1e-4, atol=1e-4)
    assert (ours >= -1e-4).all()


def test_kl_is_zero_for_the_standard_normal_only() -> None:
    zeros = torch.zeros(2, 5)
    torch.testing.assert_close(gaussian_kl(zeros, zeros), torch.zeros(2))
    assert (gaussian_kl(zeros + 0.1, zeros) > 0).all()
    assert (gaussian_kl(zeros, zeros + 0.1) > 0).all()


def test_draws_have_the_mean_and_the_deviation_and_pass_gradients() -> None:
    mean = torch.full((20_000, 1), 2.0, requires_grad=True)
    log_variance = torch.full((20_000, 1), 0.25).log().requires_grad_()
    z = reparameterise(mean, log_variance, normal(20_000, 1))
    assert abs(z.mean().item() - 2) < 0.02
    assert abs(z.std().item() - 0.5) < 0.01  # √¼: the *half* of log σ² goes into the exponent
    z.sum().backward()
    assert mean.grad is not None
    torch.testing.assert_close(mean.grad, torch.ones_like(mean))


# ---- likelihoods and the bound ----


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), scale=st.floats(0, 8))
def test_likelihoods_equal_the_libraries(seed: int, scale: float) -> None:
    logits, coins = normal(3, 2, 4, seed=seed) * scale, normal(3, 2, 4, seed=seed + 1) > 0
    ours = bernoulli_log_likelihood(coins.float(), logits)
    theirs = torch.distributions.Bernoulli(logits=logits).log_prob(coins.float())
    torch.testing.assert_close(ours, theirs.sum(dim=(1, 2)), rtol=1e-4, atol=1e-4)
    sigma = 0.1 + scale
    ours = gaussian_log_likelihood(logits, 0.5 * logits, sigma)
    theirs = torch.distributions.Normal(0.5 * logits, sigma).log_prob(logits)
    torch.testing.assert_close(ours, theirs.sum(dim=(1, 2)), rtol=1e-4, atol=1e-4)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_the_bound_is_for_each_item_in_nats(seed: int) -> None:
    x, logits = (normal(3, 1, 2, 2, seed=seed) > 0).float(), normal(3, 1, 2, 2, seed=seed + 1)
    mean, log_variance = normal(3, 5, seed=seed + 2), normal(3, 5, seed=seed + 3)
    together = elbo(x, logits, mean, log_variance)
    assert together.shape == (3,)
    for i in range(3):
        right = [
            math.log(torch.sigmoid(l if p else -l).item())
            for p, l in zip(x[i].flatten(), logits[i].flatten(), strict=True)
        ]
        kl = 0.5 * sum(
            m * m + math.exp(v) - 1 - v
            for m, v in zip(mean[i].tolist(), log_variance[i].tolist(), strict=True)
        )
        assert together[i].item() == pytest.approx(sum(right) - kl, rel=1e-4, abs=1e-4)
    # means over pixels or over latents would be another number
    averaged = -F.binary_cross_entropy_with_logits(logits, x) - gaussian_kl(mean, log_variance)
    assert not torch.allclose(together, averaged, rtol=1e-2)


@settings(max_examples=15)
@given(centre=st.floats(-2, 2), deviation=st.floats(0.2, 1.5), seed=st.integers(0, 100))
def test_the_bound_misses_the_likelihood_by_the_distance_to_the_posterior(
    centre: float, deviation: float, seed: int
) -> None:
    """log p(x) − E_q[ELBO] = KL(q ‖ p(z | x)), both sides integrated over a line of z."""
    z = torch.linspace(-12, 12, 1001, dtype=torch.double)
    step = z[1] - z[0]
    slope, offset = normal(2, 6, seed=seed).double()
    x = (normal(6, seed=seed + 1) > 0).double().expand(len(z), 6)
    logits = z[:, None] * slope + offset
    prior, q = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(centre, deviation)
    joint = bernoulli_log_likelihood(x, logits) + prior.log_prob(z)
    evidence = torch.logsumexp(joint, 0) + step.log()
    weight = q.log_prob(z).exp() * step
    mean = torch.full((len(z), 1), centre).double()
    bound = elbo(x, logits, mean, torch.full_like(mean, deviation).square().log())
    gap = evidence - (weight * bound).sum()
    distance = (weight * (q.log_prob(z) - (joint - evidence))).sum()
    torch.testing.assert_close(gap, distance, rtol=1e-5, atol=1e-6)
    assert gap >= -1e-6


def test_large_logits_stay_finite() -> None:
    x, logits = torch.tensor([[0.0, 1.0]]), torch.tensor([[200.0, 200.0]])
    assert bernoulli_log_likelihood(x, logits).item() == -200


# ---- the network ----


@pytest.mark.parametrize(("size", "channels", "latent"), [(4, 1, 2), (8, 1, 3), (12, 3, 1)])
def test_shapes_and_every_picture_by_itself(size: int, channels: int, latent: int) -> None:
    model = randomise(VAE(latent_dim=latent, channels=channels, width=3, size=size))
    x = torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(0))
    noise = normal(4, latent)
    logits, mean, log_variance = model(x, noise)
    assert logits.shape == x.shape
    assert mean.shape == log_variance.shape == (4, latent)
    alone = model(x[:1], noise[:1])
    for part, whole in zip(alone, (logits, mean, log_variance), strict=True):
        torch.testing.assert_close(part, whole[:1], rtol=1e-4, atol=1e-4)
    again = model.encode(x)
    assert torch.equal(again[0], mean)
    z = mean + torch.exp(0.5 * log_variance) * noise
    torch.testing.assert_close(model.decode(z), logits)
    assert not torch.allclose(model(x, torch.zeros_like(noise))[0], logits, atol=1e-3)


def test_log_variances_are_held() -> None:
    model = VAE(width=2)
    with torch.no_grad():
        model.to_gaussian.bias.copy_(torch.tensor([0.0, 0.0, -100.0, 100.0]))
    log_variance = model.encode(torch.zeros(1, 1, 8, 8))[1]
    assert log_variance.tolist() == [[-30.0, 20.0]]


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model, random = VAE(width=8), torch.Generator().manual_seed(0)
    x = (normal(4, 1, 8, 8) > 0).float()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(150):
        logits, mean, log_variance = model(x, torch.randn(4, 2, generator=random))
        loss = -elbo(x, logits, mean, log_variance).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-30:]) / 30 < 20  # 64 coins that one only guesses cost 44 nats
    assert bernoulli_log_likelihood(x, model.decode(mean)).min() > -10


def test_bad_input() -> None:
    x, latents = torch.ones(2, 3), torch.zeros(2, 5)
    with rejects(r"x must be in \[0, 1\], got -1 … -1"):
        plain.elbo(-x, x, latents, latents)
    with rejects("share their shape"):
        plain.elbo(x, torch.ones(2, 4), latents, latents)
    with rejects("share their shape"):
        plain.gaussian_log_likelihood(x, torch.ones(3))
    with rejects("2 items and 1 means"):
        plain.elbo(x, x, latents[:1], latents[:1])
    with rejects("sigma must be above 0"):
        plain.gaussian_log_likelihood(x, x, 0.0)
    with rejects("divisible by 4"):
        plain.VAE(size=6)
    with rejects("at least 1"):
        plain.VAE(latent_dim=0)
    with rejects(r"x must be \(batch, \*\(1, 8, 8\)\)"):
        plain.VAE().encode(torch.zeros(2, 1, 4, 8))
    with rejects(r"z must be \(batch, 2\)"):
        plain.VAE().decode(torch.zeros(2, 3))
    with rejects("share their shape"):
        plain.gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 4))
    with rejects("share their shape"):
        plain.reparameterise(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3))
