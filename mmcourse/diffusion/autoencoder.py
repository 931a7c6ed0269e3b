"""The autoencoder of latent diffusion: pictures to small latents and back.

Parameter names follow the published checkpoints, so that a file loads as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.diffusion.unet_blocks import (
    Downsample,
    ResBlock,
    SelfAttention2d,
    Upsample,
    group_norm,
    silu_,
)
from mmcourse.diffusion.unet_checkpoint import current_names
from mmcourse.generative.vae import reparameterise
from mmcourse.weights import load_strict, read_checkpoint

LATENT = Float[Tensor, "batch latent rows columns"]
IMAGES = Float[Tensor, "batch channels height width"]
EPS = 1e-6  # of every GroupNorm here


class KLAutoencoder(nn.Module):
    """Encoder to a Gaussian over latents, and decoder.

    x → q(z | x) = N(μ, σ²), smaller by 2^(levels − 1);  z → x̂

    Args:
        in_channels: of the picture.
        channels: width of each level, the first at full size.
        latent_channels: of z.
        blocks_per_level: ResNet blocks a level in the encoder; one more in the decoder.
        groups: of every GroupNorm; must divide every width.
        middle_attention: self-attention in the middle of both halves.
        stem: at first fold squares of stem × stem pixels into channels, which costs no
            detail and saves the work at full size; 1 as published.
        scaling_factor: what latents are multiplied by before diffusion, so that their standard
            deviation is about 1; nothing here applies it.

    Raises:
        ValueError: no level, or a width that does not fit the groups.

    Source: Rombach et al. 2022, arXiv:2112.10752, §3.1 and appendix G. The default is the
        autoencoder of Stable Diffusion 1.x, 83,653,863 parameters.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        channels: Sequence[int] = (128, 256, 512, 512),
        latent_channels: int = 4,
        blocks_per_level: int = 2,
        groups: int = 32,
        middle_attention: bool = True,
        stem: int = 1,
        scaling_factor: float = 0.18215,
    ) -> None:
        super().__init__()
        if not channels or min(blocks_per_level, latent_channels, in_channels, stem) < 1:
            raise ValueError(
                "need at least one level, block and channel, and stem ≥ 1, got "
                f"{tuple(channels)}, {blocks_per_level}, {in_channels}, {latent_channels}, {stem}"
            )
        self.in_channels, self.latent_channels, self.stem = in_channels, latent_channels, stem
        self.scaling_factor, self.factor = scaling_factor, stem * 2 ** (len(channels) - 1)
        options = {"groups": groups, "attention": middle_attention}
        inside = in_channels * stem**2
        self.encoder = Encoder(inside, channels, 2 * latent_channels, blocks_per_level, **options)
        self.decoder = Decoder(latent_channels, channels, inside, blocks_per_level + 1, **options)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    def forward(
        self, x: IMAGES, noise: LATENT, change: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[IMAGES, LATENT, LATENT]:
        """Through the bottleneck and back, as in training: x̂, μ and log σ².

        z = μ + σ · noise,  noise standard normal in the shape of the latents

        Args:
            x: pictures.
            noise: see above.
            change: what is done to z before it is decoded; nothing by default.
        """
        mean, log_variance = self.encode(x)
        z = reparameterise(mean, log_variance, noise)
        return self.decode(z if change is None else change(z)), mean, log_variance

    def encode(self, x: IMAGES) -> tuple[LATENT, LATENT]:
        """Mean and log-variance of the latents of pictures x in [-1, 1].

        Returns:
            μ and log σ² (held in [-30, 20]), both (batch, latent_channels, rows, columns).

        Raises:
            ValueError: another number of channels, or a size that does not divide.
        """
        wanted = f"float (batch, {self.in_channels}, height, width), divisible by {self.factor}"
        sides = x.shape[2:] if x.ndim == 4 else [1]
        fits = x.ndim == 4 and x.shape[1] == self.in_channels and x.is_floating_point()
        if not fits or any(side % self.factor for side in sides):
            raise ValueError(f"x must be {wanted}, got {x.dtype} {tuple(x.shape)}")
        folded = F.pixel_unshuffle(x, self.stem)
        mean, log_variance = self.quant_conv(self.encoder(folded)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, z: LATENT) -> IMAGES:
        """The picture of latents z (batch, latent_channels, rows, columns).

        Raises:
            ValueError: another number of latent channels.
        """
        if z.ndim != 4 or z.shape[1] != self.latent_channels or not z.is_floating_point():
            raise ValueError(
                f"z must be float (batch, {self.latent_channels}, rows, columns), "
                f"got {z.dtype} {tuple(z.shape)}"
            )
        return F.pixel_shuffle(self.decoder(self.post_quant_conv(z)), self.stem)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "KLAutoencoder":
        """Load a published `AutoencoderKL` checkpoint (config.json and safetensors).

        Returns:
            The autoencoder in evaluation mode.

        Raises:
            ValueError: no such checkpoint, another architecture, or weights that do not fit.
        """
        config, tensors = read_checkpoint(path_or_hub_id)
        model = cls(**arguments(config))
        load_strict(model, current_names(tensors))
        return model.eval()


class Encoder(nn.Module):
    """ResNet blocks, halving the size between levels."""

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        out_channels: int,
        blocks: int,
        *,
        groups: int,
        attention: bool,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        width = channels[0]
        for level, out in enumerate(channels):
            # Padding right and bottom only, as in the first DDPM code.
            change = [] if level == len(channels) - 1 else [Downsample(out, padding=0)]
            self.down_blocks.append(Level(width, out, blocks, groups, downsamplers=change))
            width = out
        self.mid_block = Middle(width, groups, attention)
        self.conv_norm_out = group_norm(groups, width, EPS)
        self.conv_out = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x: IMAGES) -> Float[Tensor, "batch out rows columns"]:
        """Features (batch, out_channels, rows, columns) of x."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(silu_(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """The encoder's mirror image: ResNet blocks, doubling the size between levels."""

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        out_channels: int,
        blocks: int,
        *,
        groups: int,
        attention: bool,
    ) -> None:
        super().__init__()
        width = channels[-1]
        self.conv_in = nn.Conv2d(in_channels, width, 3, padding=1)
        self.mid_block = Middle(width, groups, attention)
        self.up_blocks = nn.ModuleList()
        for level in reversed(range(len(channels))):
            out = channels[level]
            change = [] if level == 0 else [Upsample(out)]
            self.up_blocks.append(Level(width, out, blocks, groups, upsamplers=change))
            width = out
        self.conv_norm_out = group_norm(groups, width, EPS)
        self.conv_out = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, z: LATENT) -> Float[Tensor, "batch out height width"]:
        """Pictures (batch, out_channels, height, width) of z."""
        x = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(silu_(self.conv_norm_out(x)))


class Level(nn.Module):
    """ResNet blocks of one size, then the change to the next."""

    def __init__(
        self, width: int, out: int, blocks: int, groups: int, **change: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        widths = [width, *[out] * (blocks - 1)]
        options = {"time_width": None, "groups": groups, "eps": EPS}
        self.resnets = nn.ModuleList(ResBlock(wide, out, **options) for wide in widths)
        for name, layers in change.items():  # the published name: downsamplers or upsamplers
            setattr(self, name, nn.ModuleList(layers))
        self.change = next(iter(change))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b out h2 w2"]:
        """Map x (b, c, h, w) to the next size."""
        for layer in [*self.resnets, *getattr(self, self.change)]:
            x = layer(x)
        return x


class Middle(nn.Module):
    """ResNet block, self-attention, ResNet block."""

    def __init__(self, width: int, groups: int, attention: bool) -> None:
        super().__init__()
        options = {"time_width": None, "groups": groups, "eps": EPS}
        self.resnets = nn.ModuleList(ResBlock(width, width, **options) for _ in range(2))
        made = [SelfAttention2d(width, groups=groups, eps=EPS)] if attention else []
        self.attentions = nn.ModuleList(made)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Keep the shape (b, c, h, w)."""
        for layer in [self.resnets[0], *self.attentions, self.resnets[1]]:
            x = layer(x)
        return x


def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `KLAutoencoder` for a published configuration.

    Raises:
        ValueError: another architecture, or a setting that `KLAutoencoder` does not have.
    """
    name = config.get("_class_name")
    if name != "AutoencoderKL":
        raise ValueError(f"config.json must describe an AutoencoderKL, got {name!r}")
    levels = len(config["block_out_channels"])
    expected: dict[str, Any] = {
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "act_fn": "silu",
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "shift_factor": None,
        "latents_mean": None,
        "latents_std": None,
        "out_channels": config.get("in_channels", 3),
    }
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise ValueError(f"{key} must be {value!r}, got {config[key]!r}")
    return {
        "in_channels": config.get("in_channels", 3),
        "channels": tuple(config["block_out_channels"]),
        "latent_channels": config.get("latent_channels", 4),
        "blocks_per_level": config.get("layers_per_block", 1),
        "groups": config.get("norm_num_groups", 32),
        "middle_attention": config.get("mid_block_add_attention", True),
        "scaling_factor": config.get("scaling_factor", 0.18215),
    }
