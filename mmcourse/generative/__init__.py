"""Deep generative learning: VAEs, GANs, flows, autoregressive and energy-based models."""

from mmcourse.generative.dcgan import DCGANDiscriminator, DCGANGenerator
from mmcourse.generative.gan import (
    critic_generator_loss,
    critic_loss,
    discriminator_loss,
    game_value,
    gradient_penalty,
    hinge_loss,
    jensen_shannon,
    non_saturating_loss,
    optimal_discriminator,
    r1_penalty,
    saturating_loss,
)
from mmcourse.generative.modes import Modes, count_modes
from mmcourse.generative.progressive import (
    EqualisedConv2d,
    EqualisedLinear,
    double,
    fade_in,
    halve,
    minibatch_stddev,
    pixel_norm,
)
from mmcourse.generative.progressive_networks import (
    ProgressiveDiscriminator,
    ProgressiveGenerator,
)
from mmcourse.generative.style_generator import StyleGenerator
from mmcourse.generative.stylegan import (
    MappingNetwork,
    adain,
    blur,
    mix_styles,
    style_band,
    truncate,
)
from mmcourse.generative.vae import (
    VAE,
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    reparameterise,
)

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "EqualisedConv2d",
    "EqualisedLinear",
    "MappingNetwork",
    "Modes",
    "ProgressiveDiscriminator",
    "ProgressiveGenerator",
    "StyleGenerator",
    "VAE",
    "adain",
    "bernoulli_log_likelihood",
    "blur",
    "count_modes",
    "critic_generator_loss",
    "critic_loss",
    "discriminator_loss",
    "double",
    "elbo",
    "fade_in",
    "game_value",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "halve",
    "hinge_loss",
    "jensen_shannon",
    "minibatch_stddev",
    "mix_styles",
    "non_saturating_loss",
    "optimal_discriminator",
    "pixel_norm",
    "r1_penalty",
    "reparameterise",
    "saturating_loss",
    "style_band",
    "truncate",
]
