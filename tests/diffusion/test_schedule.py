"""Schedules against diffusers, against closed forms, and against their usual mistakes."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from helpers import BadInput, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.diffusion import (
    NoiseSchedule,
    cosine_alpha_bar,
    cosine_betas,
    ddim_steps,
    ddpm_step,
    linear_betas,
    respaced_betas,
    scaled_linear_betas,
)

OURS = {
    "linear": linear_betas,
    "scaled_linear": scaled_linear_betas,
    "squaredcos_cap_v2": cosine_betas,
}
ENDS = {
    "linear": {"beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_start": 0.00085, "beta_end": 0.012},
    "squaredcos_cap_v2": {},
}
plain = unchecked("mmcourse.diffusion.schedule")


@pytest.mark.parametrize("T", [1, 2, 50, 1000])
@pytest.mark.parametrize("name", OURS)
def test_betas_equal_the_reference(name: str, T: int) -> None:
    reference = DDPMScheduler(num_train_timesteps=T, beta_schedule=name, **ENDS[name])
    betas = OURS[name](T)
    assert betas.dtype == torch.float64
    torch.testing.assert_close(betas.float(), reference.betas, rtol=1e-6, atol=1e-8)
    # The reference multiplies in float32, which loses digits over a thousand factors.
    ours = NoiseSchedule(betas).alpha_bar.float()
    torch.testing.assert_close(ours, reference.alphas_cumprod, rtol=2e-4, atol=1e-8)


def test_published_constants() -> None:
    linear, cosine = (NoiseSchedule(make(1000)).alpha_bar for make in (linear_betas, cosine_betas))
    assert linear[499].item() == pytest.approx(0.079, abs=5e-4)
    assert linear[749].item() == pytest.approx(0.0034, abs=5e-5)
    assert cosine[499].item() == pytest.approx(0.494, abs=5e-4)
    assert cosine[749].item() == pytest.approx(0.144, abs=5e-4)
    assert cosine_betas(1000)[0].item() == pytest.approx(4.1e-5, abs=5e-7)
    latent = NoiseSchedule(scaled_linear_betas(1000)).alpha_bar[-1].item()
    assert latent == pytest.approx(0.00466, abs=5e-6)
    assert math.sqrt(latent) == pytest.approx(0.068, abs=5e-4)


def test_the_cosine_is_squared() -> None:
    """Without the square, 0.703 of the signal power would be left half-way."""
    right = NoiseSchedule(cosine_betas(1000)).alpha_bar
    amplitude = torch.tensor(
        [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) for t in range(1001)],
        dtype=torch.float64,
    )
    wrong = (amplitude / amplitude[0])[1:]
    assert wrong[499].item() == pytest.approx(0.703, abs=5e-4)
    assert wrong[899].item() == pytest.approx(0.155, abs=5e-4)
    assert right[899].item() == pytest.approx(0.024, abs=5e-4)
    assert (right - wrong).abs().max() > 0.2
    # It is the square root of the right one: the signal's amplitude, not its power.
    torch.testing.assert_close(right[:-1].sqrt(), wrong[:-1], rtol=1e-6, atol=1e-8)


def test_cosine_takes_alpha_bar_first_and_does_not_renormalise() -> None:
    betas = cosine_betas(1000)
    assert int((betas == 0.999).sum()) == 1
    assert betas[-1] == 0.999
    f = torch.tensor([cosine_alpha_bar(t / 1000) for t in range(1001)], dtype=torch.float64)
    torch.testing.assert_close(
        NoiseSchedule(betas).alpha_bar[:-1], f[1:-1] / f[0], rtol=1e-9, atol=0.0
    )


def test_scaled_linear_is_linear_in_the_root() -> None:
    """The paper's code calls this "linear"; the plainly linear one is another schedule."""
    roots = scaled_linear_betas(100).sqrt().diff()
    torch.testing.assert_close(roots, roots[:1].expand(99), rtol=1e-9, atol=0.0)
    assert (scaled_linear_betas(100) - linear_betas(100, 0.00085, 0.012)).abs().max() > 1e-3


def test_before_the_first_step_nothing_is_lost() -> None:
    """There is no α before the first step: the previous ᾱ is exactly 1, and β̃ is 0."""
    schedule = NoiseSchedule(linear_betas(10))
    assert schedule.alpha_bar_previous[0] == 1
    assert schedule.posterior_variance[0] == 0
    assert schedule.posterior_x0[0].item() == pytest.approx(1, rel=1e-12)
    assert schedule.posterior_xt[0] == 0
    torch.testing.assert_close(schedule.alpha_bar_previous[1:], schedule.alpha_bar[:-1])
    assert schedule.alpha_bar[0] == schedule.alphas[0]
    assert schedule.T == 10
    assert "T=10" in repr(schedule)


@pytest.mark.parametrize("steps", [1, 10, 50, 1000])
def test_a_shorter_process_is_as_noisy_where_it_stops(steps: int) -> None:
    long = NoiseSchedule(linear_betas(1000))
    visited = ddim_steps(1000, steps)
    short = NoiseSchedule(respaced_betas(long.alpha_bar, visited))
    torch.testing.assert_close(short.alpha_bar, long.alpha_bar[sorted(visited)])
    assert steps == short.T


def test_a_step_of_the_shorter_process_equals_the_reference(monkeypatch) -> None:
    x, eps, z = torch.randn(3, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, **k: z)
    long = NoiseSchedule(linear_betas(1000))
    for variance in ("small", "large"):
        reference = DDPMScheduler(variance_type=f"fixed_{variance}")
        reference.set_timesteps(20)
        visited = ddim_steps(1000, 20, "leading")
        assert reference.timesteps.tolist() == visited
        short = NoiseSchedule(respaced_betas(long.alpha_bar, visited))
        for index, step in enumerate(sorted(visited)):
            theirs = reference.step(eps, step, x).prev_sample
            ours = ddpm_step(x, eps, index, short, noise=z, variance=variance)
            torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-4)


@settings(max_examples=30, deadline=None)
@given(
    T=st.integers(1, 300),
    start=st.floats(1e-5, 0.5),
    end=st.floats(1e-5, 0.9),
    make=st.sampled_from([linear_betas, scaled_linear_betas]),
)
def test_every_schedule_only_loses_signal(T: int, start: float, end: float, make) -> None:
    schedule = NoiseSchedule(make(T, start, end))
    assert (schedule.alpha_bar.diff() < 0).all()
    assert (schedule.posterior_variance <= schedule.betas).all()
    assert (schedule.posterior_variance >= 0).all()
    for table in (schedule.posterior_x0, schedule.posterior_xt):
        assert ((table >= 0) & (table <= 1 + 1e-9)).all()


@settings(max_examples=30, deadline=None)
@given(T=st.integers(1, 300), s=st.floats(0, 0.1))
def test_cosine_stays_a_schedule(T: int, s: float) -> None:
    betas = cosine_betas(T, s)
    assert ((betas > 0) & (betas <= 0.999)).all()
    assert NoiseSchedule(betas).alpha_bar[-1] < 0.01


@pytest.mark.parametrize("T", [0, -3, 2.5, "10", True])
@pytest.mark.parametrize("make", ["linear_betas", "scaled_linear_betas", "cosine_betas"])
def test_the_length_must_be_a_positive_whole_number(make: str, T: object) -> None:
    with rejects("T must be a whole number of at least 1"):
        getattr(plain, make)(T)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.02), (1e-4, 1.0), (-0.1, 0.5), (0.1, 2.0)])
def test_ends_must_be_variances(start: float, end: float) -> None:
    for make in (linear_betas, scaled_linear_betas):
        with rejects(r"must be in \(0, 1\)"):
            make(10, start, end)


def test_other_bad_input() -> None:
    with rejects("s must be at least 0"):
        cosine_betas(10, -0.1)
    with rejects(r"time must be in \[0, 1\]"):
        cosine_alpha_bar(1.5)
    for visited in ([], [1, 1], [-1, 2], [3, 10]):
        with rejects("visited must hold different steps in 0 … 9"):
            respaced_betas(linear_betas(10), visited)
    for betas in ([0.0, 0.1], [0.1, 1.0], [0.1, float("nan")], [-0.1]):
        with rejects(r"betas must be in \(0, 1\)"):
            NoiseSchedule(torch.tensor(betas))
    for wrong in (torch.tensor([1, 2]), torch.ones(2, 2) / 2, torch.empty(0)):
        with rejects("betas must be a non-empty float tensor"):
            plain.NoiseSchedule(wrong)
        with pytest.raises(BadInput):
            NoiseSchedule(wrong)
