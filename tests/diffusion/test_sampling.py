"""Single steps against diffusers' schedulers; samplers against closed forms."""

import itertools
import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from helpers import BadInput, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.diffusion import (
    NoiseSchedule,
    cosine_betas,
    ddim_step,
    ddim_steps,
    ddpm_step,
    linear_betas,
    predict_x0,
    q_sample,
    sample_ddim,
    sample_ddpm,
)

plain = unchecked("mmcourse.diffusion.sampling")
LINEAR = NoiseSchedule(linear_betas(1000))
COSINE = NoiseSchedule(cosine_betas(1000))
# The reference keeps its tables in float32.
CLOSE = {"rtol": 2e-4, "atol": 2e-4}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


X, EPS, Z = (normal(2, 3, 4, 4, seed=seed) for seed in (0, 1, 2))


def reference_noise(shape, generator=None, device=None, dtype=None) -> torch.Tensor:
    return Z


@pytest.mark.parametrize("step", [0, 1, 2, 250, 998, 999])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("betas", ["linear", "squaredcos_cap_v2"])
def test_ddpm_step_equals_the_reference(betas, variance, clip, step, monkeypatch) -> None:
    module = "diffusers.schedulers.scheduling_ddpm.randn_tensor"
    monkeypatch.setattr(module, reference_noise)
    reference = DDPMScheduler(
        beta_schedule=betas, variance_type=f"fixed_{variance}", clip_sample=clip
    )
    schedule = LINEAR if betas == "linear" else COSINE
    ours = ddpm_step(X, EPS, step, schedule, noise=Z, variance=variance, clip=clip)
    theirs = reference.step(EPS, step, X).prev_sample
    scale = max(1.0, theirs.abs().max().item())
    if betas == "squaredcos_cap_v2" and step >= 998 and not clip:
        # 1/√ᾱ is in the tens of thousands here: the reference's float32 table decides.
        assert (ours - theirs).abs().max() / scale < 5e-2
    else:
        torch.testing.assert_close(ours / scale, theirs / scale, **CLOSE)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [10, 50, 1000])
def test_ddim_step_equals_the_reference(steps: int, clip: bool, eta: float) -> None:
    reference = DDIMScheduler(clip_sample=clip)
    reference.set_timesteps(steps)
    assert reference.timesteps.tolist() == ddim_steps(1000, steps, "leading")
    for step in [*reference.timesteps[:: max(1, steps // 5)].tolist(), 0]:
        previous = max(step - 1000 // steps, -1)
        ours = ddim_step(X, EPS, step, previous, LINEAR, eta=eta, noise=Z, clip=clip)
        theirs = reference.step(
            EPS, step, X, eta=eta, use_clipped_model_output=clip, variance_noise=Z
        ).prev_sample
        scale = max(1.0, theirs.abs().max().item())
        torch.testing.assert_close(ours / scale, theirs / scale, **CLOSE)


@pytest.mark.parametrize("steps", [1, 7, 10, 33, 1000])
def test_trailing_steps_equal_the_reference(steps: int) -> None:
    reference = DDIMScheduler(timestep_spacing="trailing")
    reference.set_timesteps(steps)
    assert reference.timesteps.tolist() == ddim_steps(1000, steps)


def test_a_power_crowds_the_steps_where_the_noise_is_strong() -> None:
    assert ddim_steps(1000, 4, power=2.0) == [999, 937, 749, 437]
    assert ddim_steps(8, 8, power=3.0) == list(range(7, -1, -1))
    even, crowded = ddim_steps(1000, 10), ddim_steps(1000, 10, power=1.5)
    assert even == ddim_steps(1000, 10, power=1.0)
    assert all(a < b for a, b in zip(even[1:], crowded[1:], strict=True))


def test_without_clipping_it_is_algorithm_2() -> None:
    """(x_t − β_t / √(1 − ᾱ_t) ε) / √α_t + σ_t z; with clipping the mean is another."""
    for step in (1, 100, 700):
        beta, alpha = LINEAR.betas[step].item(), LINEAR.alphas[step].item()
        rest = 1 - LINEAR.alpha_bar[step].item()
        mean = (X - beta / math.sqrt(rest) * EPS) / math.sqrt(alpha)
        ours = ddpm_step(X, EPS, step, LINEAR, noise=Z, variance="large", clip=False)
        torch.testing.assert_close(ours, mean + math.sqrt(beta) * Z, rtol=1e-4, atol=1e-5)
        clipped = ddpm_step(X, EPS, step, LINEAR, noise=Z, variance="large", clip=True)
        assert (clipped - ours).abs().max() > 1e-3


def test_no_noise_at_the_last_step() -> None:
    for variance in ("small", "large"):
        without = ddpm_step(X, EPS, 0, LINEAR, noise=None, variance=variance)
        given = ddpm_step(X, EPS, 0, LINEAR, noise=Z, variance=variance)
        torch.testing.assert_close(given, without, rtol=0.0, atol=0.0)
        clean = predict_x0(X, EPS, 0, LINEAR.alpha_bar).clamp(-1, 1)
        torch.testing.assert_close(without, clean, rtol=1e-4, atol=1e-5)
        # Adding σ z there, as the slide has it, would show with the large variance.
        assert (0.01 * Z).abs().max() > 1e-3


def test_the_two_variances_differ_most_at_the_first_steps() -> None:
    small, large = LINEAR.sigmas["small"], LINEAR.sigmas["large"]
    assert small[0] == 0
    assert large[1] / small[1] > 1.3
    assert large[999] / small[999] == pytest.approx(1, abs=1e-3)


def test_a_variance_between_the_two_is_their_weighted_geometric_mean() -> None:
    mean = ddpm_step(X, EPS, 5, LINEAR, noise=torch.zeros_like(Z))
    low, high = LINEAR.posterior_variance[5].item(), LINEAR.betas[5].item()
    for v in (0.0, 0.3, 1.0):
        sigma = math.exp(0.5 * (v * math.log(high) + (1 - v) * math.log(low)))
        ours = ddpm_step(X, EPS, 5, LINEAR, noise=Z, variance=v)
        torch.testing.assert_close(ours, mean + sigma * Z, rtol=1e-5, atol=1e-6)
    for v, name in ((0.0, "small"), (1.0, "large")):
        number, named = (ddpm_step(X, EPS, 9, LINEAR, noise=Z, variance=k) for k in (v, name))
        torch.testing.assert_close(number, named)


def test_ddim_with_eta_one_and_no_gap_is_ddpm() -> None:
    for step in (0, 1, 10, 999):
        ddim = ddim_step(X, EPS, step, step - 1, LINEAR, eta=1.0, noise=Z)
        ddpm = ddpm_step(X, EPS, step, LINEAR, noise=Z, variance="small", clip=False)
        scale = max(1.0, ddpm.abs().max().item())
        torch.testing.assert_close(ddim / scale, ddpm / scale, rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), step=st.integers(1, 999), seed=st.integers(0, 1000))
def test_ddim_with_the_true_noise_stays_on_the_forward_path(data, step: int, seed: int) -> None:
    """If ε̂ is the noise that was added, a jump to s lands on q_sample(x0, s, ε)."""
    previous = data.draw(st.integers(-1, step - 1))
    x0 = (normal(2, 3, seed=seed) / 3).clamp(-1, 1).double()
    noise = normal(2, 3, seed=seed + 1).double()
    x = q_sample(x0, step, noise, LINEAR.alpha_bar)
    landed = ddim_step(x, noise, step, previous, LINEAR)
    expected = x0 if previous < 0 else q_sample(x0, previous, noise, LINEAR.alpha_bar)
    torch.testing.assert_close(landed, expected, rtol=1e-6, atol=1e-6)
    clipped = ddim_step(x, noise, step, previous, LINEAR, clip=True)
    torch.testing.assert_close(clipped, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(T=st.integers(1, 2000), data=st.data(), spacing=st.sampled_from(["trailing", "leading"]))
def test_visited_steps_fall_and_stay_inside(T: int, data, spacing: str) -> None:
    power = data.draw(st.floats(1.0, 6.0)) if spacing == "trailing" else 1.0
    count = data.draw(st.integers(1, T))
    steps = ddim_steps(T, count, spacing, power=power)
    assert len(steps) == count
    assert all(a > b for a, b in itertools.pairwise(steps))
    assert 0 <= steps[-1] <= steps[0] < T
    assert steps[0] == T - 1 or spacing == "leading"
    assert steps[-1] == 0 or spacing == "trailing"


def optimal(schedule: NoiseSchedule, mean: float, std: float):
    """The best possible noise model for data N(mean, std²), in closed form."""

    def model(x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        power = schedule.alpha_bar[step].to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        variance = power * std**2 + 1 - power
        return (1 - power).sqrt() * (x - power.sqrt() * mean) / variance

    return model


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_samples_the_data_distribution(variance: str) -> None:
    schedule, generator = NoiseSchedule(cosine_betas(200)), torch.Generator().manual_seed(0)
    model = optimal(schedule, mean=0.3, std=0.2)
    x = sample_ddpm(
        model, (20_000, 1), schedule, generator=generator, variance=variance, clip=False
    )
    assert x.mean().item() == pytest.approx(0.3, abs=0.01)
    assert x.std().item() == pytest.approx(0.2, rel=0.05)


def test_noise_at_the_last_step_is_measurable() -> None:
    """With data on one point the right sampler ends on it; adding noise at the end misses it."""
    schedule, generator = NoiseSchedule(linear_betas(100)), torch.Generator().manual_seed(0)
    model = optimal(schedule, mean=0.3, std=0.0)
    x = sample_ddpm(model, (500, 1), schedule, generator=generator, variance="large")
    torch.testing.assert_close(x, torch.full_like(x, 0.3), rtol=0.0, atol=1e-4)
    wrong = x + schedule.sigmas["large"][0] * normal(500, 1)
    assert (wrong - 0.3).abs().mean() > 5e-3


@pytest.mark.parametrize("steps", [50, 200])
def test_ddim_samples_the_data_distribution(steps: int) -> None:
    schedule, generator = NoiseSchedule(cosine_betas(200)), torch.Generator().manual_seed(0)
    model = optimal(schedule, mean=-0.2, std=0.3)
    x = sample_ddim(model, (5_000, 1), schedule, steps=steps, generator=generator, clip=False)
    assert x.mean().item() == pytest.approx(-0.2, abs=0.02)
    assert x.std().item() == pytest.approx(0.3, rel=0.1)


def test_same_seed_same_images_and_ddim_needs_no_noise() -> None:
    schedule = NoiseSchedule(cosine_betas(20))
    model = optimal(schedule, 0.0, 0.5)

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    for sampler, extra in ((sample_ddpm, {}), (sample_ddim, {"steps": 5})):
        one = sampler(model, (2, 1, 4, 4), schedule, generator=seeded(), **extra)
        two = sampler(model, (2, 1, 4, 4), schedule, generator=seeded(), **extra)
        torch.testing.assert_close(one, two, rtol=0.0, atol=0.0)
    start = normal(2, 1, 4, 4)
    results = [
        sample_ddim(
            model,
            start.shape,
            schedule,
            steps=5,
            start=start,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (0, 1)
    ]
    torch.testing.assert_close(results[0], results[1], rtol=0.0, atol=0.0)


def test_frames_are_reported_after_every_step() -> None:
    schedule, frames = NoiseSchedule(cosine_betas(20)), []
    model = optimal(schedule, 0.0, 0.5)
    x = sample_ddpm(
        model,
        (2, 1, 4, 4),
        schedule,
        generator=torch.Generator().manual_seed(0),
        on_step=lambda *frame: frames.append(frame),
    )
    assert [step for step, _, _ in frames] == list(reversed(range(20)))
    torch.testing.assert_close(frames[-1][1], x)
    torch.testing.assert_close(frames[-1][2].clamp(-1, 1), x, rtol=1e-4, atol=1e-5)
    frames.clear()
    sample_ddim(
        model,
        (2, 1, 4, 4),
        schedule,
        steps=4,
        generator=None,
        eta=1.0,
        on_step=lambda *frame: frames.append(frame),
    )
    assert [step for step, _, _ in frames] == [19, 14, 9, 4]


def test_context_reaches_the_model() -> None:
    schedule, seen = NoiseSchedule(cosine_betas(3)), []

    def model(x, step, context):
        seen.append((step.tolist(), context))
        return x

    sample_ddim(model, (2, 1), schedule, steps=3, generator=None, context="a cat")
    assert seen == [([2, 2], "a cat"), ([1, 1], "a cat"), ([0, 0], "a cat")]


def test_bad_input_is_named() -> None:
    for step in (-1, 1000):
        with rejects(r"step must be in 0 … 999"):
            ddpm_step(X, EPS, step, LINEAR, noise=Z)
    for variance in ("learned", -0.1, 1.5, float("nan")):
        with rejects('variance must be "small", "large" or a number'):
            ddpm_step(X, EPS, 5, LINEAR, noise=Z, variance=variance)
    with rejects("noise must be given at step 5"):
        ddpm_step(X, EPS, 5, LINEAR, noise=None)
    with rejects("x must be a float tensor"):
        plain.ddpm_step(X.long(), EPS, 5, LINEAR, noise=Z)
    with rejects("must share their shape"):
        plain.ddpm_step(X, EPS[:1], 5, LINEAR, noise=Z)
    with pytest.raises(BadInput):
        ddpm_step(X, EPS, 5, LINEAR, noise=Z[:1])
    for previous in (5, 6, -2):
        with rejects(r"previous must be in -1 … 4"):
            ddim_step(X, EPS, 5, previous, LINEAR)
    for eta in (-0.1, 1.1):
        with rejects(r"eta must be in \[0, 1\]"):
            ddim_step(X, EPS, 5, 4, LINEAR, eta=eta, noise=Z)
    with rejects("noise must be given where eta > 0"):
        ddim_step(X, EPS, 5, 4, LINEAR, eta=0.5)
    for steps in (0, -1, 1001):
        with rejects("steps must be in 1"):
            ddim_steps(1000, steps)
    with rejects("spacing must be"):
        ddim_steps(1000, 10, "linspace")
    for power in (0.5, float("nan"), float("inf")):
        with rejects("power must be at least 1"):
            ddim_steps(1000, 10, power=power)
    with rejects("power must be .* 1 for leading"):
        ddim_steps(1000, 10, "leading", power=2.0)
    with rejects("start must have shape"):
        sample_ddpm(lambda x, s: x, (2, 1), LINEAR, generator=None, start=normal(3, 1))
