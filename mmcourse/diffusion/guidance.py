"""Guidance: make a diffusion model follow its class or its caption more closely.

A guided model is again a model, called as model(x, step, context) and returning a predicted noise,
so that every sampler takes it as it is.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmcourse.diffusion.process import Steps, call_model
from mmcourse.diffusion.schedule import NoiseSchedule

Model = Callable[..., Tensor]
Images = Float[Tensor, "batch *shape"]


def guided(model: Model, scale: float, *, null: Any = None) -> Model:
    """Classifier-free guidance: go from the model's free guess past its conditional one.

    ε̂ = ε_∅ + scale · (ε_c − ε_∅)

    Scale 1 is the conditional model and 0 the unconditional one; all others need both guesses, in
    one call of twice the batch where the contexts are alike in shape. Above 1 the result follows
    the context more closely and varies less.

    Args:
        model: a noise model that was trained with and without its context.
        scale: any finite number; the paper's w is scale − 1.
        null: the context of ε_∅. None calls the model without one; another context, such as a
            caption of what should *not* be seen, is a "negative prompt".

    Returns:
        A noise model(x, step, context).

    Raises:
        ValueError: the scale is not finite, or the guided model is called without a context.

    Source: Ho & Salimans 2022, "Classifier-Free Diffusion Guidance", arXiv:2207.12598, equation 6.
    """
    if not math.isfinite(scale):
        raise ValueError(f"scale must be a finite number (1 = no guidance), got {scale}")

    def both(x: Images, step: Steps, context: Any = None) -> Images:
        if context is None:
            raise ValueError("a guided model needs a context: what should it be guided to?")
        if scale == 1:
            return call_model(model, x, step, context)
        if scale == 0:
            return call_model(model, x, step, null)
        return torch.lerp(*_two_guesses(model, x, step, null, context), scale)

    return both


def _two_guesses(
    model: Model, x: Images, step: Steps, null: Any, context: Any
) -> tuple[Images, Images]:
    alike = isinstance(null, Tensor) and isinstance(context, Tensor)
    if not (alike and null.shape == context.shape and len(context) == len(x)):
        return call_model(model, x, step, null), call_model(model, x, step, context)
    steps = step.repeat(2) if isinstance(step, Tensor) and step.ndim else step
    both = call_model(model, torch.cat([x, x]), steps, torch.cat([null, context]))
    return both[: len(x)], both[len(x) :]


def classifier_guided(
    model: Model,
    log_probability: Callable[[Tensor, Tensor, Any], Tensor],
    scale: float,
    schedule: NoiseSchedule,
) -> Model:
    """Classifier guidance: push the image to where a classifier sees the class more clearly.

    ε̂ = ε_θ(x_t, t) − √(1 − ᾱ_t) · scale · ∇_{x_t} log p(y | x_t, t)

    The classifier must know noisy images: it is trained on x_t, and told the step.

    Args:
        model: a noise model; it gets no context.
        log_probability: called with x (batch, …), the steps (batch,) and the context; returns
            log p(y | x_t, t) of each image (batch,), and must be differentiable in x.
        scale: strength; 0 leaves the model alone.
        schedule: the constants of the process.

    Returns:
        A noise model(x, step, context).

    Raises:
        ValueError: the scale is not finite, the context is missing, or `log_probability` returns
            another shape than (batch,).

    Source: Dhariwal & Nichol 2021, arXiv:2105.05233, Algorithm 2.
    """
    if not math.isfinite(scale):
        raise ValueError(f"scale must be a finite number (0 = no guidance), got {scale}")
    rates = (1 - schedule.alpha_bar).sqrt()

    def pushed(x: Images, step: Steps, context: Any = None) -> Images:
        if context is None:
            raise ValueError("a guided model needs a context: what should it be guided to?")
        if not isinstance(step, Tensor):
            step = torch.full((len(x),), step, dtype=torch.long, device=x.device)
        with torch.no_grad():
            eps = call_model(model, x, step)
        with torch.enable_grad():
            image = x.detach().requires_grad_()
            scores = log_probability(image, step, context)
            if scores.shape != x.shape[:1]:
                raise ValueError(
                    f"log_probability must return one number an image, shape {(len(x),)}, "
                    f"got {tuple(scores.shape)}"
                )
            (gradient,) = torch.autograd.grad(scores.sum(), image)
        rate = rates.to(x.device, x.dtype)[step.to(x.device)]
        rate = rate.reshape(-1, *[1] * (x.ndim - 1))  # (batch,) -> (batch, 1, …)
        return eps - scale * rate * gradient

    return pushed


def drop_labels(
    labels: Int[Tensor, "batch"],
    probability: float,
    *,
    generator: torch.Generator,
    null: int = -1,
) -> Int[Tensor, "batch"]:
    """Forget some classes at random, so that one network learns ε_c and ε_∅ together.

    Args:
        labels: class of each image (batch,).
        probability: share to forget, in [0, 1]; 0.1 to 0.2 is usual.
        generator: source of randomness.
        null: the number that stands for "no class".

    Returns:
        A new tensor in which each label is `null` with this probability.

    Raises:
        ValueError: the probability is outside [0, 1].

    Source: Ho & Salimans 2022, arXiv:2207.12598, Algorithm 1.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability must be in [0, 1], got {probability}")
    forget = torch.rand(labels.shape, generator=generator) < probability
    return labels.masked_fill(forget.to(labels.device), null)


def on_image(model: Model, image: Float[Tensor, "batch channels height width"]) -> Model:
    """A noise model told another image: the small picture that a cascade enlarges.

    ε_θ([x_t, image], t): the two are stacked along the channels.

    Args:
        model: a noise model whose input has the channels of both.
        image: (batch, channels, height, width), of the size of x.

    Returns:
        A noise model(x, step, context) for x alone.

    Raises:
        ValueError: on call, if x and the image differ in batch or size.

    Source: Ho et al. 2022, "Cascaded Diffusion Models", arXiv:2106.15282, §3 (after SR3,
        Saharia et al., arXiv:2104.07636).
    """

    def told(x: Images, step: Steps, context: Any = None) -> Images:
        if x.ndim != 4 or (len(x), *x.shape[2:]) != (len(image), *image.shape[2:]):
            raise ValueError(
                "x and the image must agree in batch, height and width, "
                f"got {tuple(x.shape)} and {tuple(image.shape)}"
            )
        return call_model(model, torch.cat([x, image.to(x)], dim=1), step, context)

    return told
