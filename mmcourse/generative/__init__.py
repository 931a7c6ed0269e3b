"""Deep generative learning: the variational parts that latent diffusion stands on."""

from mmcourse.generative.vae import gaussian_kl, reparameterise

__all__ = ["gaussian_kl", "reparameterise"]
