"""A generator and a discriminator that grow: 4 × 4 pixels first, then twice the size, and so on."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.generative.progressive import (
    EqualisedConv2d,
    EqualisedLinear,
    double,
    fade_in,
    halve,
    minibatch_stddev,
    pixel_norm,
)

IMAGES = Float[Tensor, "batch channels height width"]
FEATURES = Float[Tensor, "batch features rows columns"]
SLOPE = 0.2  # of every leaky ReLU
Shrink = Callable[[Tensor], Tensor]


class ProgressiveGenerator(nn.Module):
    """From a latent vector to pictures of any of its sizes.

    z → 4 × 4 → double, two convolutions → 8 × 8 → …;  a 1 × 1 convolution to colours at each size

    Args:
        latent_dim: length of z.
        widths: channels of each level; level k has 4 · 2^k pixels a side.
        channels: of the picture.

    Raises:
        ValueError: no level, or a number below 1.

    Source: Karras et al. 2018, arXiv:1710.10196, §2 and table 2.
    """

    def __init__(
        self, *, latent_dim: int = 64, widths: Sequence[int] = (64, 64, 32, 16), channels: int = 3
    ) -> None:
        super().__init__()
        check_widths(widths, latent_dim, channels)
        self.latent_dim, self.levels = latent_dim, len(widths)
        self.project = EqualisedLinear(latent_dim, 16 * widths[0])
        before = [widths[0], *widths[:-1]]
        self.first = nn.ModuleList(
            EqualisedConv2d(a, b) for a, b in zip(before, widths, strict=True)
        )
        self.second = nn.ModuleList(EqualisedConv2d(width, width) for width in widths[1:])
        self.to_image = nn.ModuleList(EqualisedConv2d(w, channels, 1, gain=1) for w in widths)

    def forward(
        self, z: Float[Tensor, "batch latent"], level: int | None = None, alpha: float = 1.0
    ) -> IMAGES:
        """Pictures of a level.

        Args:
            z: standard normal (batch, latent_dim).
            level: 0 for 4 × 4 pixels … levels − 1; the last by default.
            alpha: how far the level is faded in, see `fade_in`; of no account at level 0.

        Returns:
            (batch, channels, 4 · 2^level, 4 · 2^level), any values: nothing limits the colours.

        Raises:
            ValueError: another width of z, an unknown level, or α outside [0, 1].
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (batch, {self.latent_dim}), got {tuple(z.shape)}")
        level = check_level(level, self.levels, alpha)
        x = rearrange(self.project(pixel_norm(z)), "b (c h w) -> b c h w", h=4, w=4)
        x = before = _calm(self.first[0](_calm(x)))
        for k in range(1, level + 1):
            before = x
            x = _calm(self.first[k](double(x)))
            x = _calm(self.second[k - 1](x))
        return faded(self.to_image, before, x, level, alpha)


class ProgressiveDiscriminator(nn.Module):
    """The generator's mirror image, from pictures of any of its sizes to a logit.

    colours → 1 × 1 convolution → … → two convolutions, halve → 4 × 4, s → convolution → logit

    s is the channel of `minibatch_stddev`.

    Args:
        widths: channels of each level, as the generator's.
        channels: of the picture.
        group: of `minibatch_stddev`.
        shrink: halves features; StyleGAN blurs them before that.

    Raises:
        ValueError: no level, or a number below 1.

    Source: Karras et al. 2018, arXiv:1710.10196, §2 and table 2.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64, 64, 32, 16),
        channels: int = 3,
        group: int = 4,
        shrink: Shrink = halve,
    ) -> None:
        super().__init__()
        check_widths(widths, channels, group)
        self.levels, self.group, self.shrink = len(widths), group, shrink
        after = [widths[0], *widths[:-1]]
        self.from_image = nn.ModuleList(EqualisedConv2d(channels, w, 1) for w in widths)
        self.first = nn.ModuleList(EqualisedConv2d(width, width) for width in widths[1:])
        self.second = nn.ModuleList(
            EqualisedConv2d(a, b) for a, b in zip(widths[1:], after[1:], strict=True)
        )
        self.last = EqualisedConv2d(widths[0] + 1, widths[0])
        self.hidden = EqualisedLinear(16 * widths[0], widths[0])
        self.judge = EqualisedLinear(widths[0], 1, gain=1)

    def forward(
        self, x: IMAGES, level: int | None = None, alpha: float = 1.0
    ) -> Float[Tensor, "batch"]:
        """Logits (batch,) of pictures of a level.

        Args:
            x: pictures (batch, channels, 4 · 2^level, 4 · 2^level).
            level: 0 for 4 × 4 pixels … levels − 1; the last by default.
            alpha: how far the level is faded in. The pictures are the caller's to fade.

        Raises:
            ValueError: pictures of another size, an unknown level, or α outside [0, 1].
        """
        level = check_level(level, self.levels, alpha)
        side = 4 * 2**level
        if x.ndim != 4 or x.shape[2:] != (side, side):
            raise ValueError(f"x must be {side} × {side} at level {level}, got {tuple(x.shape)}")
        features = self._enter(x, level)
        for k in range(level, 0, -1):
            features = self._down(features, k)
            if k == level and alpha < 1:
                features = torch.lerp(self._enter(halve(x), k - 1), features, alpha)
        features = _lrelu(self.last(minibatch_stddev(features, self.group)))
        hidden = _lrelu(self.hidden(rearrange(features, "b c h w -> b (c h w)")))
        return self.judge(hidden)[:, 0]

    def _enter(self, x: IMAGES, level: int) -> FEATURES:
        return _lrelu(self.from_image[level](x))

    def _down(self, x: FEATURES, level: int) -> Float[Tensor, "batch features2 rows2 columns2"]:
        x = _lrelu(self.first[level - 1](x))
        return _lrelu(self.shrink(self.second[level - 1](x)))


def faded(to_image: nn.ModuleList, before: Tensor, x: FEATURES, level: int, alpha: float) -> IMAGES:
    """The picture of features x, faded in over that of the features before the last level."""
    new = to_image[level](x)
    if not level or alpha == 1:
        return new
    return fade_in(to_image[level - 1](before), new, alpha)


def check_level(level: int | None, levels: int, alpha: float) -> int:
    """The level, None being the last; a ValueError for an unknown one or α outside [0, 1]."""
    level = levels - 1 if level is None else level
    if not 0 <= level < levels or not 0.0 <= alpha <= 1.0:
        raise ValueError(
            f"level must be in 0 … {levels - 1} and alpha in [0, 1], got {level} and {alpha}"
        )
    return level


def check_widths(widths: Sequence[int], *others: int) -> None:
    """Raise a ValueError unless there is a level and every number is at least 1."""
    if not widths or min(*widths, *others) < 1:
        raise ValueError(
            f"need at least one level and every number at least 1, got {tuple(widths)}, {others}"
        )


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def _calm(x: FEATURES) -> FEATURES:
    return pixel_norm(_lrelu(x))
