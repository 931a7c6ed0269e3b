"""Langevin steps and both losses on Gaussians, where everything is known in closed form."""

import math

import pytest
import torch
from helpers import randomise, rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmcourse.generative import (
    ConvEnergy,
    ReplayBuffer,
    contrastive_divergence,
    denoising_score_loss,
    energy_gradient,
    langevin,
    langevin_step,
)

plain = unchecked("mmcourse.generative.energy")


class Gaussian(nn.Module):
    """E(x) = ½ Σ λ (x − μ)²: the energy of independent Gaussians of variance 1/λ."""

    def __init__(self, mean: list[float], precision: list[float]):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean, dtype=torch.float64))
        self.precision = nn.Parameter(torch.tensor(precision, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (self.precision * (x - self.mean).square()).sum(dim=1)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


@given(x=st.floats(-5, 5), mean=st.floats(-2, 2), precision=st.floats(0.1, 5))
def test_the_gradient_is_minus_the_score(x: float, mean: float, precision: float) -> None:
    at = torch.tensor([[x]], dtype=torch.float64, requires_grad=True)
    two = torch.tensor([mean, precision**-0.5], dtype=torch.float64)
    law = torch.distributions.Normal(*two)
    (score,) = torch.autograd.grad(law.log_prob(at).sum(), at)
    gradient = energy_gradient(Gaussian([mean], [precision]), at.detach())
    torch.testing.assert_close(gradient, -score)


def test_one_step_by_hand() -> None:
    energy, x, noise = Gaussian([1.0], [2.0]), torch.tensor([[4.0]]).double(), normal(1, 1)
    step = langevin_step(energy, x, noise, step_size=0.1)
    torch.testing.assert_close(step, 4 - 0.1 * 2 * 3 + math.sqrt(0.2) * noise)
    wrong = 4 - 0.1 * 2 * 3 + 0.1 * noise  # σ = η: neither hot nor right
    assert not torch.allclose(step, wrong)
    cold = langevin_step(energy, x, noise, step_size=0.1, noise_scale=0.0)
    assert cold.item() == pytest.approx(3.4)
    assert not step.requires_grad


@pytest.mark.parametrize("noise_scale", [None, 0.15])
def test_chains_have_the_exact_moments(noise_scale: float | None) -> None:
    """x' = (1 − ηλ) x + ηλμ + σε: mean and variance after n steps are geometric sums."""
    mean, precision, eta, steps, count = 1.5, 2.0, 0.1, 12, 40_000
    energy = Gaussian([mean], [precision])
    start = torch.full((count, 1), -1.0).double()
    source = torch.Generator().manual_seed(0)
    x = langevin(
        energy,
        start,
        steps=steps,
        step_size=eta,
        generator=source,
        noise_scale=noise_scale,
    )
    keep = 1 - eta * precision
    sigma2 = 2 * eta if noise_scale is None else noise_scale**2
    expected_mean = mean + keep**steps * (-1 - mean)
    expected_variance = sigma2 * (1 - keep ** (2 * steps)) / (1 - keep**2)
    error = math.sqrt(expected_variance / count)
    assert abs(x.mean().item() - expected_mean) < 5 * error
    assert abs(x.var().item() / expected_variance - 1) < 5 * math.sqrt(2 / count)
    # In the limit the variance is T/λ, up to a factor 1 / (1 − ηλ/2).
    limit = sigma2 / (1 - keep**2)
    assert limit == pytest.approx(sigma2 / (2 * eta) / precision / (1 - eta * precision / 2))


def test_bounds_hold_and_the_start_is_kept(generator: torch.Generator) -> None:
    start = normal(50, 2).clamp(-1, 1)
    before = start.clone()
    options = {"steps": 5, "step_size": 0.5, "generator": generator, "bounds": (-1.0, 1.0)}
    x = langevin(Gaussian([0.0, 5.0], [1.0, 1.0]), start, **options)
    assert torch.equal(start, before)
    assert x.abs().max() == 1
    assert torch.equal(langevin(Gaussian([0.0], [1.0]), start, **{**options, "steps": 0}), start)


def test_the_gradient_of_the_contrast_is_that_of_the_likelihood() -> None:
    """With exact samples: ∂L/∂μ = λ (mean of samples − mean of data), and so on."""
    energy = Gaussian([0.5, -1.0], [2.0, 0.5])
    data, samples = normal(7, 2), normal(9, 2, seed=1)
    contrastive_divergence(energy, data, samples).backward()
    lam, mu = energy.precision.detach(), energy.mean.detach()
    expected_mean = lam * (samples.mean(0) - data.mean(0))
    squares = 0.5 * ((data - mu).square().mean(0) - (samples - mu).square().mean(0))
    torch.testing.assert_close(energy.mean.grad, expected_mean)
    torch.testing.assert_close(energy.precision.grad, squares)
    # exact negative log-likelihood: samples' moments replaced by the model's own
    nll = Gaussian([0.5, -1.0], [2.0, 0.5])
    log_z = 0.5 * (2 * math.pi / nll.precision).log().sum()
    (nll(data).mean() + log_z).backward()
    many = mu + normal(200_000, 2, seed=2) / lam.sqrt()
    again = Gaussian([0.5, -1.0], [2.0, 0.5])
    contrastive_divergence(again, data, many).backward()
    torch.testing.assert_close(again.mean.grad, nll.mean.grad, rtol=0, atol=0.02)
    torch.testing.assert_close(again.precision.grad, nll.precision.grad, rtol=0, atol=0.02)


def test_contrast_by_hand_and_samples_get_no_gradient() -> None:
    energy = Gaussian([0.0], [2.0])  # E = x²
    data = torch.tensor([[1.0], [2.0]]).double()  # 1, 4
    samples = torch.tensor([[3.0]]).double().requires_grad_()  # 9
    loss = contrastive_divergence(energy, data, samples)
    assert loss.item() == pytest.approx(2.5 - 9)
    kept = contrastive_divergence(energy, data, samples, regularisation=0.1)
    assert kept.item() == pytest.approx(2.5 - 9 + 0.1 * (8.5 + 81))
    kept.backward()
    assert samples.grad is None


def test_the_best_denoising_energy_is_that_of_blurred_data() -> None:
    """Data N(μ, v) blurred by σ have precision 1 / (v + σ²): there the loss has no slope."""
    sigma, mean, variance = 0.5, 1.0, 2.0
    noise, z = normal(40_000, 1), normal(40_000, 1, seed=1)
    for precision, flat in ((1 / (variance + sigma**2), True), (1 / variance, False)):
        energy = Gaussian([mean], [precision])
        loss = denoising_score_loss(energy, mean + math.sqrt(variance) * z, noise, sigma=sigma)
        loss.backward()
        assert energy.mean.grad.abs().item() < 0.01
        assert (energy.precision.grad.abs().item() < 0.01) == flat


def test_denoising_loss_by_hand() -> None:
    energy = Gaussian([0.0], [2.0])  # slope 2x
    x, noise = torch.tensor([[1.0]]).double(), torch.tensor([[2.0]]).double()
    loss = denoising_score_loss(energy, x, noise, sigma=0.5)
    assert loss.item() == pytest.approx(0.5 * (0.5 * 2 * 2.0 - 2.0) ** 2)
    away = denoising_score_loss(energy, x, -noise, sigma=0.5)
    assert away.item() == pytest.approx(0.5 * (0.5 * 2 * 0.0 + 2.0) ** 2)


def test_learns_a_gaussian_from_its_own_chains() -> None:
    """Persistent contrastive divergence, by plain gradient steps, finds mean and precision."""
    source = torch.Generator().manual_seed(0)
    data = 1.0 + 0.5 * normal(512, 1)
    energy = Gaussian([0.0], [1.0])
    buffer = ReplayBuffer((1,), 512, generator=source, restart=0.05, bounds=(-3.0, 3.0))
    for _ in range(150):
        which, start = buffer.draw(256)
        samples = langevin(energy, start.double(), steps=8, step_size=0.08, generator=source)
        buffer.store(which, samples)
        loss = contrastive_divergence(energy, data, samples)
        gradients = torch.autograd.grad(loss, list(energy.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(energy.parameters(), gradients, strict=True):
                weight -= 0.3 * gradient
    assert energy.mean.item() == pytest.approx(1.0, abs=0.15)
    assert energy.precision.item() == pytest.approx(4.0, rel=0.35)


def test_replay_goes_on_and_starts_anew(generator: torch.Generator) -> None:
    buffer = ReplayBuffer((2,), 10, generator=generator, restart=0.0)
    assert buffer.chains.abs().max() <= 1
    which, start = buffer.draw(10)
    assert sorted(which.tolist()) == list(range(10))
    assert torch.equal(start, buffer.chains[which])
    buffer.store(which, torch.full((10, 2), 7.0, requires_grad=True))
    assert torch.equal(buffer.draw(4)[1], torch.full((4, 2), 7.0))
    anew = ReplayBuffer((2,), 10, generator=generator, restart=1.0, bounds=(2.0, 3.0))
    anew.store(torch.arange(10), torch.zeros(10, 2))
    drawn = anew.draw(10)[1]
    assert ((drawn >= 2) & (drawn <= 3)).all()
    assert torch.equal(anew.chains, torch.zeros(10, 2))  # drawing alone changes nothing
    many = ReplayBuffer((1,), 4000, generator=generator, restart=0.25)
    many.store(torch.arange(4000), torch.full((4000, 1), 9.0))
    assert (many.draw(4000)[1] != 9).double().mean().item() == pytest.approx(0.25, abs=0.03)


def test_conv_energy_overfits_one_batch(generator: torch.Generator) -> None:
    """Two pictures get less energy than noise, by the contrast alone."""
    torch.manual_seed(0)
    energy = ConvEnergy(width=4)
    data = torch.where(normal(2, 1, 4, 4) > 0, 1.0, -1.0)
    noise = torch.rand(16, 1, 4, 4, generator=generator) * 2 - 1
    assert energy(data).shape == (2,)
    for _ in range(60):
        loss = contrastive_divergence(energy, data, noise, regularisation=0.05)
        gradients = torch.autograd.grad(loss, list(energy.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(energy.parameters(), gradients, strict=True):
                weight -= 0.1 * gradient
    assert energy(data).max() < energy(noise).min()


def test_conv_energy_is_smooth_twice() -> None:
    energy = randomise(ConvEnergy(width=4)).double()
    x, noise = normal(2, 1, 4, 4), normal(2, 1, 4, 4, seed=1)
    denoising_score_loss(energy, x, noise, sigma=0.3).backward()
    moved = [name for name, weight in energy.named_parameters() if weight.grad is not None]
    assert {name.split(".")[0] for name in moved} == {"first", "second", "third", "out"}
    assert all(energy.get_parameter(n).grad.abs().sum() > 0 for n in moved if n != "out.bias")


def test_bad_input(generator: torch.Generator) -> None:
    energy, x = Gaussian([0.0], [1.0]), normal(3, 1)
    with rejects("one energy for each of 3"):
        plain.energy_gradient(lambda v: v, x)
    for options in ({"step_size": 0.0}, {"step_size": 0.1, "noise_scale": -1.0}):
        with rejects("step_size > 0"):
            plain.langevin_step(energy, x, x, **options)
        with rejects("step_size > 0"):
            plain.langevin(energy, x, steps=1, generator=generator, **options)
    with rejects("noise must be shaped"):
        plain.langevin_step(energy, x, x[:1], step_size=0.1)
    for options in ({"steps": -1}, {"steps": 1, "bounds": (1.0, 1.0)}):
        with rejects("steps ≥ 0"):
            plain.langevin(energy, x, step_size=0.1, generator=generator, **options)
    with pytest.raises(FloatingPointError, match="after step"):
        plain.langevin(energy, x, steps=500, step_size=1e3, generator=generator)
    with rejects("one shape"):
        plain.contrastive_divergence(energy, x, normal(3, 2))
    with rejects("one shape"):
        plain.contrastive_divergence(energy, x, x[:0])
    with rejects("regularisation"):
        plain.contrastive_divergence(energy, x, x, regularisation=-0.1)
    for noise, sigma in ((x[:1], 0.1), (x, 0.0)):
        with rejects("sigma > 0"):
            plain.denoising_score_loss(energy, x, noise, sigma=sigma)
    for options in ({"capacity": 0}, {"restart": 1.5}, {"bounds": (1.0, 0.0)}):
        with rejects("capacity ≥ 1"):
            plain.ReplayBuffer((1,), generator=generator, **options)
    with rejects("1 … 4"):
        plain.ReplayBuffer((1,), 4, generator=generator).draw(5)
