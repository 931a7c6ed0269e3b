"""The forward process, its posterior, and the objective that trains the reverse process.

Shapes: x is (batch, …), usually images (batch, channels, height, width) in [-1, 1]; a step is one
code index for the whole batch or an int tensor (batch,), each in 0 … T−1 (0 = least noisy).
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mmcourse.diffusion.schedule import NoiseSchedule

Steps = int | Int[Tensor, "batch"]


def q_sample(
    x0: Float[Tensor, "batch *shape"],
    step: Steps,
    noise: Float[Tensor, "batch *shape"],
    alpha_bar: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """Jump from the clean image to its noisy version at a step, in one go.

    x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε,  ε ∼ N(0, I)

    Args:
        x0: clean images (batch, …).
        step: code index, one for all or one per image, in 0 … T−1.
        noise: ε, standard normal, shaped as x0.
        alpha_bar: cumulative signal power of every step (T,).

    Returns:
        x_t, shaped as x0.

    Raises:
        ValueError: x0 is no float tensor, the noise has another shape, or a step is out of range.

    Source: Ho et al. 2020, arXiv:2006.11239, equation 4.
    """
    _check_pair(x0, noise, "noise")
    signal, spread = _rates(alpha_bar, step, x0)
    return signal * x0 + spread * noise


def predict_x0(
    x: Float[Tensor, "batch *shape"],
    eps: Float[Tensor, "batch *shape"],
    step: Steps,
    alpha_bar: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """The clean image that a noisy image and its noise imply: q_sample solved for x_0.

    x̂_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t

    Args:
        x: noisy images x_t (batch, …).
        eps: the noise in them, known or predicted, shaped as x.
        step: code index, one for all or one per image, in 0 … T−1.
        alpha_bar: cumulative signal power of every step (T,).

    Returns:
        x̂_0, shaped as x; not clipped.

    Raises:
        ValueError: x is no float tensor, eps has another shape, or a step is out of range.

    Source: Ho et al. 2020, arXiv:2006.11239, §3.2, equation 15.
    """
    _check_pair(x, eps, "eps")
    signal, spread = _rates(alpha_bar, step, x)
    return (x - spread * eps) / signal


def predict_noise(
    x: Float[Tensor, "batch *shape"],
    x0: Float[Tensor, "batch *shape"],
    step: Steps,
    alpha_bar: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """The noise that a noisy image and its clean image imply: q_sample solved for ε.

    ε̂ = (x_t − √ᾱ_t x_0) / √(1 − ᾱ_t)

    Args:
        x: noisy images x_t (batch, …).
        x0: the clean images, shaped as x.
        step: code index, one for all or one per image, in 0 … T−1.
        alpha_bar: cumulative signal power of every step (T,).

    Returns:
        ε̂, shaped as x.

    Raises:
        ValueError: x is no float tensor, x0 has another shape, or a step is out of range.

    Source: equation 4 of Ho et al. 2020, arXiv:2006.11239, rearranged.
    """
    _check_pair(x, x0, "x0")
    signal, spread = _rates(alpha_bar, step, x)
    return (x - signal * x0) / spread


def velocity(
    x0: Float[Tensor, "batch *shape"],
    step: Steps,
    noise: Float[Tensor, "batch *shape"],
    alpha_bar: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """A third thing a network may predict: a mix of noise and image that is never all of one.

    v = √ᾱ_t ε − √(1 − ᾱ_t) x_0,  whence  ε = √ᾱ_t v + √(1 − ᾱ_t) x_t

    Args:
        x0: clean images (batch, …).
        step: code index, one for all or one per image, in 0 … T−1.
        noise: ε, shaped as x0.
        alpha_bar: cumulative signal power of every step (T,).

    Returns:
        v, shaped as x0.

    Raises:
        ValueError: x0 is no float tensor, the noise has another shape, or a step is out of range.

    Source: Salimans & Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models",
        arXiv:2202.00512, appendix D.
    """
    _check_pair(x0, noise, "noise")
    signal, spread = _rates(alpha_bar, step, x0)
    return signal * noise - spread * x0


def noise_from_velocity(
    x: Float[Tensor, "batch *shape"],
    v: Float[Tensor, "batch *shape"],
    step: Steps,
    alpha_bar: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """Turn a predicted velocity into the predicted noise that the samplers take.

    ε = √ᾱ_t v + √(1 − ᾱ_t) x_t

    Args:
        x: noisy images x_t (batch, …).
        v: their velocity, shaped as x.
        step: code index, one for all or one per image, in 0 … T−1.
        alpha_bar: cumulative signal power of every step (T,).

    Returns:
        ε, shaped as x.

    Raises:
        ValueError: x is no float tensor, v has another shape, or a step is out of range.

    Source: Salimans & Ho 2022, arXiv:2202.00512, appendix D.
    """
    _check_pair(x, v, "v")
    signal, spread = _rates(alpha_bar, step, x)
    return signal * v + spread * x


def posterior_mean(
    x0: Float[Tensor, "batch *shape"],
    x: Float[Tensor, "batch *shape"],
    step: Steps,
    schedule: NoiseSchedule,
) -> Float[Tensor, "batch *shape"]:
    """Where x_{t−1} lies on average once both ends, x_0 and x_t, are known.

    μ̃_t = √ᾱ_{t−1} β_t / (1 − ᾱ_t) · x_0 + √α_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t) · x_t

    The variance around it is `schedule.posterior_variance`.

    Args:
        x0: clean images (batch, …).
        x: noisy images x_t, shaped as x0.
        step: code index, one for all or one per image, in 0 … T−1.
        schedule: the constants of the process.

    Returns:
        The mean, shaped as x0; at step 0 it is x0 itself.

    Raises:
        ValueError: x0 is no float tensor, x has another shape, or a step is out of range.

    Source: Ho et al. 2020, arXiv:2006.11239, equation 7.
    """
    _check_pair(x0, x, "x")
    _check_step(step, schedule.T, len(x0))
    weight_x0 = _at(schedule.posterior_x0, step, x0)
    weight_xt = _at(schedule.posterior_xt, step, x0)
    return weight_x0 * x0 + weight_xt * x


def denoising_loss(
    model: Callable[..., Any],
    x0: Float[Tensor, "batch *shape"],
    step: Steps,
    noise: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
    context: Any = None,
    *,
    prediction: str = "noise",
) -> Float[Tensor, ""]:
    """How far the network's guess of the noise is from the noise that was added.

    L_simple = E ‖ ε − ε_θ(√ᾱ_t x_0 + √(1 − ᾱ_t) ε, t) ‖²

    Args:
        model: ε_θ, called as model(x_t, step) or model(x_t, step, context); step is (batch,).
        x0: clean images (batch, …).
        step: code index, one for all or one per image, drawn evenly from 0 … T−1.
        noise: ε, standard normal, shaped as x0.
        schedule: the constants of the process.
        context: what the model is conditioned on, handed through; None = not passed.
        prediction: what the model guesses: "noise", or "velocity", see `velocity`.

    Returns:
        The loss, a scalar: the mean over images and pixels (the paper writes the sum).

    Raises:
        ValueError: wrong shapes or dtypes, a step out of range, or a prediction of another shape.

    Source: Ho et al. 2020, arXiv:2006.11239, equation 14 and Algorithm 1.
    """
    noisy = q_sample(x0, step, noise, schedule.alpha_bar)
    predicted = call_model(model, noisy, step, context)
    if predicted.shape != noise.shape:
        expected, received = tuple(noise.shape), tuple(predicted.shape)
        raise ValueError(f"the model must return the noise's shape {expected}, got {received}")
    if prediction == "velocity":
        return F.mse_loss(predicted, velocity(x0, step, noise, schedule.alpha_bar))
    if prediction != "noise":
        raise ValueError(f'prediction must be "noise" or "velocity", got {prediction!r}')
    return F.mse_loss(predicted, noise)


def call_model(model: Callable[..., Any], x: Tensor, step: Steps, context: Any = None) -> Tensor:
    """Call a noise model with a step for every image, and with a context only if there is one.

    Args:
        model: called as model(x, step) or model(x, step, context).
        x: noisy images (batch, …).
        step: code index, one for all or one per image.
        context: what the model is conditioned on; None = not passed.

    Returns:
        What the model returns.
    """
    if not isinstance(step, Tensor):
        step = torch.full((len(x),), step, dtype=torch.long, device=x.device)
    step = step.to(x.device)
    return model(x, step) if context is None else model(x, step, context)


def _rates(alpha_bar: Tensor, step: Steps, like: Tensor) -> tuple[Tensor, Tensor]:
    """√ᾱ and √(1 − ᾱ) at the steps, in a shape that multiplies `like`."""
    if alpha_bar.ndim != 1 or not alpha_bar.is_floating_point():
        received = f"{alpha_bar.dtype} {tuple(alpha_bar.shape)}"
        raise ValueError(f"alpha_bar must be a float tensor (T,), got {received}")
    _check_step(step, len(alpha_bar), len(like))
    # The roots are taken in float64: 1 − ᾱ of the first steps loses three digits in float32.
    table = alpha_bar.to(torch.float64) if alpha_bar.device.type != "mps" else alpha_bar
    return _at(table.sqrt(), step, like), _at((1 - table).sqrt(), step, like)


def _at(table: Tensor, step: Steps, like: Tensor) -> Tensor:
    """A table's entries at the steps, with the dtype, device and rank of `like`."""
    if not isinstance(step, Tensor):
        return table[step].to(like.dtype).to(like.device)
    entries = table.to(like.dtype).to(like.device)[step.to(like.device)]
    return entries.reshape(-1, *[1] * (like.ndim - 1))  # (batch,) -> (batch, 1, …, 1)


def _check_pair(x: Tensor, other: Tensor, name: str) -> None:
    if not x.is_floating_point():
        raise ValueError(f"images must be floats in [-1, 1], got {x.dtype}")
    if x.ndim == 0:
        raise ValueError("images must have a batch axis, got a scalar")
    if not other.is_floating_point():
        raise ValueError(f"{name} must be a float tensor, got {other.dtype}")
    if x.shape != other.shape:
        expected, received = tuple(x.shape), tuple(other.shape)
        raise ValueError(f"{name} must have the images' shape {expected}, got {received}")


def _check_step(step: Steps, T: int, batch: int) -> None:
    if isinstance(step, Tensor):
        if step.is_floating_point() or step.dtype == torch.bool or step.shape != (batch,):
            received = f"{step.dtype} {tuple(step.shape)}"
            raise ValueError(f"step must be an int or an int tensor ({batch},), got {received}")
        if step.numel() == 0 or torch.compiler.is_compiling():
            return
        low, high = int(step.min()), int(step.max())
    elif isinstance(step, int) and not isinstance(step, bool):
        low = high = step
    else:
        raise ValueError(f"step must be an int or an int tensor ({batch},), got {step!r}")
    if low < 0 or high >= T:
        raise ValueError(f"step must be in 0 … {T - 1}, got {low if low < 0 else high}")
