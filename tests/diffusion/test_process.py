"""The forward process in closed form, its posterior by Bayes' rule, and the objective."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from helpers import BadInput, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.diffusion import (
    NoiseSchedule,
    cosine_betas,
    denoising_loss,
    linear_betas,
    noise_from_velocity,
    posterior_mean,
    predict_noise,
    predict_x0,
    q_sample,
    velocity,
)

plain = unchecked("mmcourse.diffusion.process")
SCHEDULE = NoiseSchedule(linear_betas(1000))


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_q_sample_equals_the_reference() -> None:
    reference = DDPMScheduler(num_train_timesteps=1000)
    x0, noise, step = images(4, 3, 8, 8), normal(4, 3, 8, 8), torch.tensor([0, 1, 500, 999])
    ours = q_sample(x0, step, noise, SCHEDULE.alpha_bar)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, reference.add_noise(x0, noise, step), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        velocity(x0, step, noise, SCHEDULE.alpha_bar),
        reference.get_velocity(x0, noise, step),
        rtol=1e-4,
        atol=1e-5,
    )


def test_one_jump_equals_many_steps_in_mean_and_variance() -> None:
    """Compose x ← √α x + √β ε step by step: its mean factor and variance are the jump's."""
    one, zero = torch.ones(1000, 1).double(), torch.zeros(1000, 1).double()
    for schedule in (SCHEDULE, NoiseSchedule(cosine_betas(1000))):
        factors, variances, mean, variance = [], [], 1.0, 0.0
        for alpha, beta in zip(schedule.alphas.tolist(), schedule.betas.tolist(), strict=True):
            mean, variance = math.sqrt(alpha) * mean, alpha * variance + beta
            factors.append(mean)
            variances.append(variance)
        jumps = [
            q_sample(*pair, schedule.alpha_bar)
            for pair in ((one, torch.arange(1000), zero), (zero, torch.arange(1000), one))
        ]
        expected = torch.tensor([factors, variances], dtype=torch.float64)
        torch.testing.assert_close(jumps[0][:, 0], expected[0], rtol=1e-9, atol=0.0)
        torch.testing.assert_close(jumps[1][:, 0].square(), expected[1], rtol=1e-9, atol=0.0)


def test_the_noises_of_successive_steps_are_different_ones() -> None:
    """With one shared ε, amplitudes would add instead of variances: the jump would be wrong."""
    first, second = SCHEDULE.alphas[:2].tolist()
    independent = second * (1 - first) + (1 - second)
    shared = (math.sqrt(second * (1 - first)) + math.sqrt(1 - second)) ** 2
    assert independent == pytest.approx(1 - SCHEDULE.alpha_bar[1].item(), rel=1e-9)
    assert shared / independent > 1.5


def test_posterior_by_bayes_rule() -> None:
    """q(x_{t−1} | x_t, x_0) ∝ q(x_t | x_{t−1}) q(x_{t−1} | x_0), both Gaussian in x_{t−1}."""
    x0, noise = images(1, 5).double(), normal(1, 5).double()
    for step in (1, 2, 10, 500, 999):
        x = q_sample(x0, step, noise, SCHEDULE.alpha_bar)
        alpha, beta = SCHEDULE.alphas[step], SCHEDULE.betas[step]
        before = SCHEDULE.alpha_bar[step - 1]
        precision = alpha / beta + 1 / (1 - before)
        mean = (alpha.sqrt() * x / beta + before.sqrt() * x0 / (1 - before)) / precision
        torch.testing.assert_close(posterior_mean(x0, x, step, SCHEDULE), mean, rtol=1e-8, atol=0.0)
        torch.testing.assert_close(
            SCHEDULE.posterior_variance[step], 1 / precision, rtol=1e-8, atol=0.0
        )


def test_the_last_posterior_is_the_clean_image_itself() -> None:
    x0, x = images(2, 3), normal(2, 3)
    torch.testing.assert_close(posterior_mean(x0, x, 0, SCHEDULE), x0, rtol=0.0, atol=0.0)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 4),
    shape=st.lists(st.integers(1, 5), min_size=0, max_size=3),
    data=st.data(),
)
def test_the_ways_to_write_a_prediction_are_the_same(seed, batch, shape, data) -> None:
    """Noise, clean image and velocity each give the other two back."""
    step = torch.tensor(data.draw(st.lists(st.integers(0, 999), min_size=batch, max_size=batch)))
    x0, noise = images(batch, *shape, seed=seed).double(), normal(batch, *shape, seed=seed).double()
    table = SCHEDULE.alpha_bar
    x = q_sample(x0, step, noise, table)
    torch.testing.assert_close(predict_x0(x, noise, step, table), x0, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(predict_noise(x, x0, step, table), noise, rtol=1e-8, atol=1e-8)
    v = velocity(x0, step, noise, table)
    torch.testing.assert_close(noise_from_velocity(x, v, step, table), noise, rtol=1e-8, atol=1e-8)


def test_one_step_for_all_equals_one_per_image() -> None:
    x0, noise = images(3, 1, 4, 4), normal(3, 1, 4, 4)
    together = q_sample(x0, 7, noise, SCHEDULE.alpha_bar)
    each = q_sample(x0, torch.full((3,), 7), noise, SCHEDULE.alpha_bar)
    torch.testing.assert_close(together, each, rtol=0.0, atol=0.0)


def test_first_steps_keep_their_digits_in_float32() -> None:
    x0, noise = torch.zeros(1, 1), torch.ones(1, 1)
    spread = q_sample(x0, 0, noise, SCHEDULE.alpha_bar).item()
    assert spread == pytest.approx(0.01, rel=1e-6)


def test_loss_is_the_mean_square_of_the_missed_noise() -> None:
    x0, noise, step = images(4, 1, 2, 2), normal(4, 1, 2, 2), torch.tensor([0, 3, 500, 999])
    seen = {}

    def model(x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        seen.update(x=x, step=step)
        return 0.5 * x

    loss = denoising_loss(model, x0, step, noise, SCHEDULE)
    noisy = q_sample(x0, step, noise, SCHEDULE.alpha_bar)
    torch.testing.assert_close(seen["x"], noisy)
    torch.testing.assert_close(seen["step"], step)
    torch.testing.assert_close(loss, (0.5 * noisy - noise).square().mean())
    # The paper writes a sum over pixels; ours is the mean, so that sizes compare.
    assert not torch.allclose(loss, (0.5 * noisy - noise).square().sum() / 4)
    assert denoising_loss(lambda x, step: noise, x0, step, noise, SCHEDULE) == 0


def test_context_is_handed_through_only_if_there_is_one() -> None:
    x0, noise = images(2, 3), normal(2, 3)
    got = []
    denoising_loss(lambda *a: got.append(a) or noise, x0, 5, noise, SCHEDULE)
    denoising_loss(lambda *a: got.append(a) or noise, x0, 5, noise, SCHEDULE, context="caption")
    assert len(got[0]) == 2
    assert got[1][2] == "caption"
    assert got[0][1].tolist() == [5, 5]


def test_bad_input_is_named() -> None:
    x0, noise, table = images(2, 3), normal(2, 3), SCHEDULE.alpha_bar
    for step in (-1, 1000, torch.tensor([0, 1000]), torch.tensor([-1, 5])):
        with rejects(r"step must be in 0 … 999"):
            q_sample(x0, step, noise, table)
    for step in (1.5, True, torch.tensor([1.0, 2.0]), torch.tensor([1, 2, 3]), torch.tensor(3)):
        with rejects("step must be an int or an int tensor"):
            plain.q_sample(x0, step, noise, table)
    with rejects("images must be floats"):
        plain.q_sample(torch.zeros(2, 3, dtype=torch.long), 0, noise, table)
    with rejects("noise must have the images' shape"):
        plain.q_sample(x0, 0, noise[:1], table)
    with rejects("noise must be a float tensor"):
        plain.q_sample(x0, 0, noise.long(), table)
    with rejects("batch axis"):
        plain.q_sample(torch.tensor(1.0), 0, torch.tensor(1.0), table)
    with rejects("alpha_bar must be a float tensor"):
        plain.q_sample(x0, 0, noise, torch.ones(2, 2))
    with rejects("the model must return the noise's shape"):
        denoising_loss(lambda x, step: x[:, :1], x0, 0, noise, SCHEDULE)
    with pytest.raises(BadInput):
        q_sample(x0, 0, noise[:1], table)


def test_gradients_reach_the_clean_image() -> None:
    x0, noise = images(2, 3).requires_grad_(), normal(2, 3)
    q_sample(x0, 100, noise, SCHEDULE.alpha_bar).sum().backward()
    rate = SCHEDULE.alpha_bar[100].sqrt().float()
    torch.testing.assert_close(x0.grad, rate.expand(2, 3))
