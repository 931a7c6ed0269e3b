"""Gaussians against torch.distributions and diffusers."""

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from helpers import rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.generative import gaussian_kl, reparameterise

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


def test_bad_input() -> None:
    with rejects("share their shape"):
        plain.gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 4))
    with rejects("share their shape"):
        plain.reparameterise(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3))
