"""Diffusion models: noise schedules, the forward and reverse process, the U-Net, samplers."""

from mmcourse.diffusion.autoencoder import KLAutoencoder
from mmcourse.diffusion.dalle import (
    DalleDVAE,
    DallePrior,
    gumbel_noise,
    gumbel_softmax,
    kl_to_uniform,
)
from mmcourse.diffusion.evaluate import frechet_distance, nearest_distances
from mmcourse.diffusion.guidance import classifier_guided, drop_labels, guided, on_image
from mmcourse.diffusion.latent import LatentDiffusion
from mmcourse.diffusion.process import (
    denoising_loss,
    noise_from_velocity,
    posterior_mean,
    predict_noise,
    predict_x0,
    q_sample,
    velocity,
)
from mmcourse.diffusion.sampling import (
    ddim_step,
    ddpm_step,
    sample_ddim,
    sample_ddpm,
)
from mmcourse.diffusion.schedule import (
    NoiseSchedule,
    cosine_alpha_bar,
    cosine_betas,
    linear_betas,
    respaced_betas,
    scaled_linear_betas,
)
from mmcourse.diffusion.spacing import ddim_steps
from mmcourse.diffusion.text_to_image import TextToImage
from mmcourse.diffusion.unet import UNet
from mmcourse.diffusion.unet_attention import CrossAttention, SpatialTransformer, attention_maps
from mmcourse.diffusion.unet_blocks import time_embedding
from mmcourse.diffusion.vqvae import VQVAE, VectorQuantizer, nearest_codes, perplexity

__all__ = [
    "DalleDVAE",
    "DallePrior",
    "gumbel_noise",
    "gumbel_softmax",
    "kl_to_uniform",
    "CrossAttention",
    "KLAutoencoder",
    "LatentDiffusion",
    "SpatialTransformer",
    "TextToImage",
    "attention_maps",
    "VQVAE",
    "NoiseSchedule",
    "UNet",
    "VectorQuantizer",
    "classifier_guided",
    "cosine_alpha_bar",
    "cosine_betas",
    "ddim_step",
    "ddim_steps",
    "ddpm_step",
    "denoising_loss",
    "drop_labels",
    "frechet_distance",
    "guided",
    "linear_betas",
    "nearest_codes",
    "nearest_distances",
    "noise_from_velocity",
    "on_image",
    "perplexity",
    "posterior_mean",
    "predict_noise",
    "predict_x0",
    "q_sample",
    "respaced_betas",
    "sample_ddim",
    "sample_ddpm",
    "scaled_linear_betas",
    "time_embedding",
    "velocity",
]
