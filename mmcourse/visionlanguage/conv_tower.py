"""A small convolutional image tower, CLIP's other kind: for pictures by the thousand."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.visionlanguage.attention_pool import AttentionPool

FEATURES = Float[Tensor, "batch channels height width"]


class ResidualBlock(nn.Module):
    """GELU(x + norm(conv(GELU(norm(conv(x)))))), as in a ResNet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_unit(channels, channels, 3, 1), nn.GELU(), *_unit(channels, channels, 3, 1)
        )

    def forward(self, x: FEATURES) -> FEATURES:
        """The same shape."""
        return F.gelu(x + self.layers(x))


class ConvTower(nn.Module):
    """Strided convolutions down to a grid of places, then attention pooling.

    x ← GELU(norm(conv(x))), halving the sides, then `blocks` residual blocks, a level at a time;
    output = LN(attention_pool(x) + max(x))

    The attention tells where things are; the largest value of each channel says that they are
    somewhere, and is learned much faster. A convolution looks for the same thing everywhere,
    which a Vision Transformer must learn from more than a few thousand pictures.

    Args:
        image_size: of the picture; divisible by 2 a level.
        channels: of each level; the last is the width of the output.
        blocks: residual blocks of each level but the first.
        num_heads: of the pooling; must divide the last of `channels`.

    Raises:
        ValueError: sizes that do not fit.

    Source: after the ResNets of Radford et al. 2021, arXiv:2103.00020, §2.4, with their batch norms
        and attention pooling; the maximum is ours.
    """

    def __init__(
        self,
        *,
        image_size: int = 32,
        channels: tuple[int, ...] | list[int] = (32, 64, 128),
        blocks: int = 1,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels must be at least one number of 1 or more, got {channels}")
        factor = 2 ** len(channels)
        if image_size < factor or image_size % factor:
            raise ValueError(f"image_size must be a multiple of {factor}, got {image_size}")
        self.image_size, self.width = image_size, channels[-1]
        layers: list[nn.Module] = []
        for level, (before, count) in enumerate(zip((3, *channels), channels, strict=False)):
            layers += [*_unit(before, count, 4, 2), nn.GELU()]
            layers += [ResidualBlock(count) for _ in range(blocks if level else 0)]
        self.layers = nn.Sequential(*layers)
        self.pool = AttentionPool(image_size // factor, self.width, num_heads)
        self.norm = nn.LayerNorm(self.width)

    def forward(self, images: FEATURES) -> Float[Tensor, "batch d"]:
        """One vector a picture, (batch, width).

        Raises:
            ValueError: pictures of another size.
        """
        wanted = (3, self.image_size, self.image_size)
        if tuple(images.shape[1:]) != wanted:
            raise ValueError(f"images must be (batch, 3, …) of {wanted}, got {images.shape}")
        x = images.contiguous(memory_format=torch.channels_last)
        x = self.layers(x).contiguous()
        pooled = self.pool(x)
        pooled = pooled[0] if isinstance(pooled, tuple) else pooled
        return self.norm(pooled + x.amax(dim=(2, 3)))


def _unit(before: int, after: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(after)]
