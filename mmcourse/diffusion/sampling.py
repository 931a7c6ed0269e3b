"""The reverse process: from pure noise to an image, one step at a time.

The single steps are pure functions that take their noise; the samplers draw it and loop. A model
is any callable model(x, step) or model(x, step, context) that returns the predicted noise.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmcourse.diffusion.process import call_model, predict_x0
from mmcourse.diffusion.schedule import NoiseSchedule
from mmcourse.diffusion.spacing import ddim_steps

# Called after each step as on_step(step, x, x0): the code index just denoised, the image after it,
# and the clean image that the network pointed at.
OnStep = Callable[[int, Tensor, Tensor], None]


def ddpm_step(
    x: Float[Tensor, "batch *shape"],
    eps: Float[Tensor, "batch *shape"],
    step: int,
    schedule: NoiseSchedule,
    *,
    noise: Float[Tensor, "batch *shape"] | None,
    variance: str | float = "small",
    clip: bool = True,
) -> Float[Tensor, "batch *shape"]:
    """One step of the reverse process: from x_t to a draw of x_{t−1}.

    x̂_0 = (x_t − √(1 − ᾱ_t) ε̂) / √ᾱ_t,   x_{t−1} = μ̃_t(x_t, x̂_0) + σ_t z

    Without clipping the mean is Algorithm 2's (x_t − β_t / √(1 − ᾱ_t) ε̂) / √α_t. At step 0 there
    is no noise: z = 0.

    Args:
        x: noisy images x_t (batch, …).
        eps: the predicted noise ε̂, shaped as x.
        step: code index t in 0 … T−1.
        schedule: the constants of the process.
        noise: z, standard normal, shaped as x; not used at step 0, where it may be None.
        variance: σ_t² is β̃_t, the posterior's variance ("small"), β_t ("large"), or with a number
            v in [0, 1] between the two: β_t^v β̃_t^(1−v).
        clip: hold x̂_0 in [-1, 1], where images live, before it enters the mean.

    Returns:
        x_{t−1}, shaped as x.

    Raises:
        ValueError: shapes differ, the step is out of range, the variance is unknown, or the noise
            is missing.

    Source: Ho et al. 2020, arXiv:2006.11239, Algorithm 2, equations 7, 11 and 15; clipping as in
        the authors' code; v is the learned v of Nichol & Dhariwal 2021, equation 15.
    """
    _check_arguments(x, eps, step, schedule, noise)
    sigma = _sigma(schedule, step, variance)
    faint = _faint_x0(x, eps, step, schedule, clip)
    weight_x0, weight_xt = schedule.posterior_weights[step]
    mean = faint.mul_(weight_x0 / schedule.signal_rates[step]).add_(x, alpha=weight_xt)
    if step == 0:
        return mean
    if noise is None:
        raise ValueError(f"noise must be given at step {step}: only step 0 goes without")
    return mean.add_(noise, alpha=sigma)


def ddim_step(
    x: Float[Tensor, "batch *shape"],
    eps: Float[Tensor, "batch *shape"],
    step: int,
    previous: int,
    schedule: NoiseSchedule,
    *,
    eta: float = 0.0,
    noise: Float[Tensor, "batch *shape"] | None = None,
    clip: bool = False,
) -> Float[Tensor, "batch *shape"]:
    """One jump of DDIM, from x_t to x_s for any earlier s; without noise where eta is 0.

    x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − σ²) ε̂ + σ z,
    σ = η √((1 − ᾱ_s) / (1 − ᾱ_t)) √(1 − ᾱ_t / ᾱ_s)

    Args:
        x: noisy images x_t (batch, …).
        eps: the predicted noise ε̂, shaped as x.
        step: code index t in 0 … T−1.
        previous: code index s of the result, less than step; −1 is the clean image (ᾱ = 1).
        schedule: the constants of the process.
        eta: share of the random part in [0, 1]; 0 is deterministic, 1 has DDPM's variance.
        noise: z, standard normal, shaped as x; needed where σ > 0.
        clip: hold x̂_0 in [-1, 1] and take ε̂ anew from it, so that both describe one x_t.

    Returns:
        x_s, shaped as x.

    Raises:
        ValueError: shapes differ, a step or eta is out of range, or the noise is missing.

    Source: Song et al. 2021, "Denoising Diffusion Implicit Models", arXiv:2010.02502, equations
        12 and 16.
    """
    _check_arguments(x, eps, step, schedule, noise)
    if not -1 <= previous < step:
        raise ValueError(f"previous must be in -1 … {step - 1}, got {previous}")
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta must be in [0, 1], got {eta}")
    signal, spread = schedule.signal_rates[step], schedule.noise_rates[step]
    signal_s = schedule.signal_rates[previous] if previous >= 0 else 1.0
    spread_s = schedule.noise_rates[previous] if previous >= 0 else 0.0
    ratio = signal / signal_s
    sigma = eta * spread_s / spread * max(1 - ratio * ratio, 0.0) ** 0.5
    faint = _faint_x0(x, eps, step, schedule, clip)
    # ε̂ = (x_t − √ᾱ_t x̂_0) / √(1 − ᾱ_t) put in: one factor for x̂_0 and one for x_t are left.
    share = max(spread_s**2 - sigma**2, 0.0) ** 0.5 / spread
    result = faint.mul_(signal_s / signal - share).add_(x, alpha=share)
    if sigma == 0:
        return result
    if noise is None:
        raise ValueError(f"noise must be given where eta > 0, got eta = {eta} without noise")
    return result.add_(noise, alpha=sigma)


@torch.no_grad()
def sample_ddpm(
    model: Callable[..., Any],
    shape: Sequence[int],
    schedule: NoiseSchedule,
    *,
    generator: torch.Generator | None,
    context: Any = None,
    variance: str | float = "small",
    clip: bool = True,
    start: Tensor | None = None,
    device: torch.device | str = "cpu",
    on_step: OnStep | None = None,
) -> Tensor:
    """Draw images with Algorithm 2: all T steps, from pure noise.

    x_{T−1} ∼ N(0, I);  for t = T−1 … 0:  x ← ddpm_step(x, ε_θ(x, t), t, z ∼ N(0, I))

    Args:
        model: ε_θ, called as model(x, step) or model(x, step, context); step is (batch,).
        shape: of the images, batch first.
        schedule: the constants of the process.
        generator: draws x_T and every z; None takes torch's global one.
        context: what the model is conditioned on; None = not passed.
        variance: "small", "large" or a number between, as in ddpm_step.
        clip: hold x̂_0 in [-1, 1].
        start: x_T to begin with, instead of drawing it.
        device: where to compute; the noise is drawn on the generator's device.
        on_step: called after each step as on_step(step, x, x0).

    Returns:
        The images, float32.

    Source: Ho et al. 2020, arXiv:2006.11239, Algorithm 2.
    """
    x = _first(shape, generator, device, start)
    for step in reversed(range(schedule.T)):
        eps = call_model(model, x, step, context)
        noise = _normal(shape, generator, device) if step > 0 else None
        before = x
        x = ddpm_step(x, eps, step, schedule, noise=noise, variance=variance, clip=clip)
        if on_step is not None:
            on_step(step, x, predict_x0(before, eps, step, schedule.alpha_bar))
    return x


@torch.no_grad()
def sample_ddim(
    model: Callable[..., Any],
    shape: Sequence[int],
    schedule: NoiseSchedule,
    *,
    steps: int,
    generator: torch.Generator | None,
    context: Any = None,
    eta: float = 0.0,
    clip: bool = True,
    spacing: str = "trailing",
    walk: Sequence[int] | None = None,
    start: Tensor | None = None,
    device: torch.device | str = "cpu",
    on_step: OnStep | None = None,
) -> Tensor:
    """Draw images with DDIM: the same model, only some of the steps.

    for t, s in pairs of neighbours of ddim_steps(T, steps):  x ← ddim_step(x, ε_θ(x, t), t, s)

    Args:
        model: ε_θ, called as model(x, step) or model(x, step, context); step is (batch,).
        shape: of the images, batch first.
        schedule: the constants of the process.
        steps: how many steps to take, in 1 … T.
        generator: draws x_T, and every z if eta > 0; None takes torch's global one.
        context: what the model is conditioned on; None = not passed.
        eta: share of the random part in [0, 1].
        clip: hold x̂_0 in [-1, 1]; switch it off for latents, which have no bounds.
        spacing: "trailing" or "leading", as in ddim_steps.
        walk: in place of steps and spacing: the falling code indices to stop at, the last of
            which is where the last jump goes (−1 for the clean image).
        start: x_T to begin with, instead of drawing it.
        device: where to compute; the noise is drawn on the generator's device.
        on_step: called after each step as on_step(step, x, x0).

    Returns:
        The images, float32.

    Source: Song et al. 2021, arXiv:2010.02502.
    """
    x = _first(shape, generator, device, start)
    walk = [*ddim_steps(schedule.T, steps, spacing), -1] if walk is None else walk
    for step, previous in itertools.pairwise(walk):
        eps = call_model(model, x, step, context)
        noise = _normal(shape, generator, device) if eta > 0 and previous >= 0 else None
        before = x
        x = ddim_step(x, eps, step, previous, schedule, eta=eta, noise=noise, clip=clip)
        if on_step is not None:
            on_step(step, x, predict_x0(before, eps, step, schedule.alpha_bar))
    return x


def _faint_x0(x: Tensor, eps: Tensor, step: int, schedule: NoiseSchedule, clip: bool) -> Tensor:
    """√ᾱ_t x̂_0, as faint as it is in x_t: a new tensor that the caller may write into."""
    faint = torch.sub(x, eps, alpha=schedule.noise_rates[step])
    signal = schedule.signal_rates[step]
    return faint.clamp_(-signal, signal) if clip else faint  # x̂_0 in [-1, 1]


def _sigma(schedule: NoiseSchedule, step: int, variance: str | float) -> float:
    """The standard deviation of a step's noise."""
    if isinstance(variance, str) and variance in schedule.sigmas:
        return schedule.sigmas[variance][step]
    if isinstance(variance, str) or not 0.0 <= variance <= 1.0:
        allowed = '"small", "large" or a number in [0, 1]'
        raise ValueError(f"variance must be {allowed}, got {variance!r}")
    small, large = schedule.sigmas["small"][step], schedule.sigmas["large"][step]
    return large**variance * small ** (1 - variance)


def _normal(
    shape: Sequence[int], generator: torch.Generator | None, device: torch.device | str
) -> Tensor:
    where = device if generator is None else generator.device
    return torch.randn(tuple(shape), generator=generator, device=where).to(device)


def _first(
    shape: Sequence[int],
    generator: torch.Generator | None,
    device: torch.device | str,
    start: Tensor | None,
) -> Tensor:
    if start is None:
        return _normal(shape, generator, device)
    if tuple(start.shape) != tuple(shape):
        raise ValueError(f"start must have shape {tuple(shape)}, got {tuple(start.shape)}")
    return start.to(device)


def _check_arguments(
    x: Tensor, eps: Tensor, step: int, schedule: NoiseSchedule, noise: Tensor | None
) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x must be a float tensor, got {x.dtype}")
    if eps.shape != x.shape or (noise is not None and noise.shape != x.shape):
        shapes = [None if t is None else tuple(t.shape) for t in (x, eps, noise)]
        raise ValueError(f"x, eps and noise must share their shape, got {shapes}")
    if not 0 <= step < len(schedule.signal_rates):
        raise ValueError(f"step must be in 0 … {schedule.T - 1}, got {step}")
