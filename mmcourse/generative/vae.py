"""Gaussians of an autoencoder: drawing from them, and their distance to the standard one."""

import torch
from jaxtyping import Float
from torch import Tensor

LATENTS = Float[Tensor, "batch *shape"]


def reparameterise(mean: LATENTS, log_variance: LATENTS, noise: LATENTS) -> LATENTS:
    """A draw from N(mean, variance) through which gradients flow.

    z = μ + σ ε,  σ = exp(½ log σ²)

    Args:
        mean: μ (batch, …).
        log_variance: log σ², shaped as the mean.
        noise: ε, standard normal, shaped as the mean.

    Returns:
        z, shaped as the mean.

    Raises:
        ValueError: the shapes differ.

    Source: Kingma & Welling 2014, arXiv:1312.6114, §2.4.
    """
    if not mean.shape == log_variance.shape == noise.shape:
        raise ValueError(
            "mean, log_variance and noise must share their shape, got "
            f"{tuple(mean.shape)}, {tuple(log_variance.shape)}, {tuple(noise.shape)}"
        )
    return mean + torch.exp(0.5 * log_variance) * noise


def gaussian_kl(mean: LATENTS, log_variance: LATENTS) -> Float[Tensor, "batch"]:
    """How far N(μ, σ²) is from the standard normal.

    KL = ½ Σ ( μ² + σ² − 1 − log σ² )

    Args:
        mean: μ (batch, …).
        log_variance: log σ², shaped as the mean.

    Returns:
        One number for each item, in nats, summed over all its dimensions: (batch,), ≥ 0.

    Raises:
        ValueError: the shapes differ.

    Source: Kingma & Welling 2014, arXiv:1312.6114, appendix B.
    """
    if mean.shape != log_variance.shape or mean.ndim < 1:
        raise ValueError(
            "mean and log_variance must share their shape (batch, …), "
            f"got {tuple(mean.shape)} and {tuple(log_variance.shape)}"
        )
    terms = mean.square() + log_variance.exp() - 1 - log_variance
    return 0.5 * terms.reshape(len(mean), -1).sum(dim=1)
