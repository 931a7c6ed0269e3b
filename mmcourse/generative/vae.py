"""Variational autoencoders: Gaussian latents, the bound on the likelihood, a small network."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

LATENTS = Float[Tensor, "batch *shape"]
DATA = Float[Tensor, "batch *values"]
IMAGES = Float[Tensor, "batch channels height width"]
CODES = Float[Tensor, "batch latent"]


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


def bernoulli_log_likelihood(x: DATA, x_logits: DATA) -> Float[Tensor, "batch"]:
    """How probable black-and-white data are, each value a coin of its own.

    log p(x | z) = Σ x log σ(l) + (1 − x) log(1 − σ(l))

    Args:
        x: the data in [0, 1], (batch, …). Values between are allowed (then it is minus the
            cross-entropy), though no coin shows them.
        x_logits: the decoder's l, shaped as x.

    Returns:
        One number for each item, in nats, summed over all its values: (batch,), ≤ 0.

    Raises:
        ValueError: the shapes differ, or data outside [0, 1].

    Source: Kingma & Welling 2014, arXiv:1312.6114, appendix C.1.
    """
    _check_same_shape(x, x_logits)
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError(f"x must be in [0, 1], got {_range(x)}")
    return -_total(F.binary_cross_entropy_with_logits(x_logits, x, reduction="none"))


def gaussian_log_likelihood(x: DATA, centre: DATA, sigma: float = 1.0) -> Float[Tensor, "batch"]:
    """How probable data are, each value a Gaussian around what the decoder says.

    log p(x | z) = −½ Σ ( ((x − x̂) / σ)² + log 2πσ² )

    Args:
        x: the data, any range, (batch, …).
        centre: the decoder's x̂, shaped as x.
        sigma: σ > 0, the same for all values. Half the squared error is σ = 1.

    Returns:
        One number for each item, in nats (of a density, so it may be above 0): (batch,).

    Raises:
        ValueError: the shapes differ, or σ ≤ 0.

    Source: Kingma & Welling 2014, arXiv:1312.6114, appendix C.2.
    """
    _check_same_shape(x, centre)
    if sigma <= 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")
    variance = x.new_tensor(sigma).square()
    return -0.5 * _total((x - centre).square() / variance + torch.log(2 * torch.pi * variance))


def elbo(x: DATA, x_logits: DATA, mean: LATENTS, log_variance: LATENTS) -> Float[Tensor, "batch"]:
    """A bound from below on log p(x), to be maximised.

    ELBO = log p(x | z) − KL( q(z | x) ‖ N(0, 1) ),  z one draw from q(z | x)

    Averaged over draws it misses log p(x) by KL( q(z | x) ‖ p(z | x) ).

    Args:
        x: the data in [0, 1], (batch, …).
        x_logits: the decoder's output for z, shaped as x; see `bernoulli_log_likelihood`.
        mean: the encoder's μ (batch, …).
        log_variance: the encoder's log σ², shaped as μ.

    Returns:
        One number for each item, in nats: (batch,).

    Raises:
        ValueError: shapes that do not fit, or data outside [0, 1].

    Source: Kingma & Welling 2014, arXiv:1312.6114, equation 10 with one draw.
    """
    if len(x) != len(mean):
        raise ValueError(f"need a mean for each item, got {len(x)} items and {len(mean)} means")
    return bernoulli_log_likelihood(x, x_logits) - gaussian_kl(mean, log_variance)


class VAE(nn.Module):
    """A small convolutional encoder and its mirror image.

    x → twice: convolution with stride 2 → linear → (μ, log σ²);  z = μ + σ ε → … → logits

    Without the noise and the KL term it is a plain autoencoder: `decode(encode(x)[0])`.

    Args:
        latent_dim: length of z.
        channels: of the picture.
        width: channels at half size; twice as many at quarter size.
        size: height and width of the picture, divisible by 4.

    Raises:
        ValueError: a number below 1, or a size that 4 does not divide.

    Source: Kingma & Welling 2014, arXiv:1312.6114, §3, with convolutions for its
        fully connected layers.
    """

    def __init__(
        self, *, latent_dim: int = 2, channels: int = 1, width: int = 32, size: int = 8
    ) -> None:
        super().__init__()
        check_sizes(size, latent_dim, channels, width)
        self.latent_dim, self.shape, self.side = latent_dim, (channels, size, size), size // 4
        inside = 2 * width * self.side**2
        self.shrink = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
        )
        self.to_gaussian = nn.Linear(inside, 2 * latent_dim)
        self.from_code = nn.Linear(latent_dim, inside)
        self.grow = nn.Sequential(
            nn.SiLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
        )

    def forward(self, x: IMAGES, noise: CODES) -> tuple[IMAGES, CODES, CODES]:
        """Logits of the reconstruction, μ and log σ²: what `elbo` needs beside x.

        Args:
            x: pictures in [0, 1], (batch, channels, size, size).
            noise: ε, standard normal (batch, latent_dim).
        """
        mean, log_variance = self.encode(x)
        return self.decode(reparameterise(mean, log_variance, noise)), mean, log_variance

    def encode(self, x: IMAGES) -> tuple[CODES, CODES]:
        """μ and log σ² (held in [-30, 20]), both (batch, latent_dim).

        Raises:
            ValueError: pictures of another shape.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(f"x must be (batch, *{self.shape}), got {tuple(x.shape)}")
        features = rearrange(self.shrink(x), "b c h w -> b (c h w)")
        mean, log_variance = self.to_gaussian(features).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, z: CODES) -> IMAGES:
        """Logits of each pixel (batch, channels, size, size); the sigmoid is the picture.

        Raises:
            ValueError: another width of z.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (batch, {self.latent_dim}), got {tuple(z.shape)}")
        grid = rearrange(self.from_code(z), "b (c h w) -> b c h w", h=self.side, w=self.side)
        return self.grow(grid)


def check_sizes(size: int, *others: int) -> None:
    """Refuse what two halvings of a picture cannot take: a side that 4 does not divide, or 0."""
    if size < 4 or size % 4 or min(others) < 1:
        raise ValueError(
            f"size must be divisible by 4 and every other number at least 1, got {size}, {others}"
        )


def _total(values: Tensor) -> Float[Tensor, "batch"]:
    return values.reshape(len(values), -1).sum(dim=1)


def _range(x: Tensor) -> str:
    return f"{x.min().item():.3g} … {x.max().item():.3g}"


def _check_same_shape(x: Tensor, other: Tensor) -> None:
    if x.shape != other.shape or x.ndim < 1:
        raise ValueError(
            "the data and what the decoder says must share their shape (batch, …), "
            f"got {tuple(x.shape)} and {tuple(other.shape)}"
        )
