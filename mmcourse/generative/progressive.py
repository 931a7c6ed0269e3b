"""Growing a GAN from small pictures to large: the fade-in, and what keeps the networks calm."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn

IMAGES = Float[Tensor, "batch channels height width"]
VALUES = Float[Tensor, "batch features *grid"]


# ---- from one size to the next ----


def double(x: IMAGES) -> Float[Tensor, "batch channels height2 width2"]:
    """Twice the size: every pixel becomes a square of four."""
    _check_images(x)
    return repeat(x, "b c h w -> b c (h 2) (w 2)")


def halve(x: IMAGES) -> Float[Tensor, "batch channels height2 width2"]:
    """Half the size: every square of four pixels becomes its mean.

    Raises:
        ValueError: an odd height or width.
    """
    _check_images(x)
    if x.shape[2] % 2 or x.shape[3] % 2:
        raise ValueError(f"height and width must be even, got {tuple(x.shape[2:])}")
    return reduce(x, "b c (h 2) (w 2) -> b c h w", "mean")


def fade_in(
    old: IMAGES, new: Float[Tensor, "batch channels height2 width2"], alpha: float
) -> Float[Tensor, "batch channels height2 width2"]:
    """Let a new size take over from the old one, little by little.

    (1 − α) · double(old) + α · new

    Real pictures are faded likewise while the discriminator grows: `fade_in(halve(x), x, α)`.

    Args:
        old: pictures of the finished, smaller part (batch, channels, height, width).
        new: pictures of the new part, twice as high and wide.
        alpha: α in [0, 1]; 0 shows the old alone, 1 the new.

    Returns:
        Pictures of the new size.

    Raises:
        ValueError: sizes that do not fit, or α outside [0, 1].

    Source: Karras et al. 2018, arXiv:1710.10196, §2 and figure 2.
    """
    _check_alpha(alpha)
    large = double(old)
    if large.shape != new.shape:
        raise ValueError(
            f"new must be twice as high and wide as old, got {tuple(new.shape)} "
            f"for {tuple(old.shape)}"
        )
    return torch.lerp(large, new, alpha)


# ---- what keeps the networks calm ----


def pixel_norm(x: VALUES, eps: float = 1e-8) -> VALUES:
    """Scale the features of every pixel to a mean square of 1.

    x / √( mean_c x_c² + ε )

    Args:
        x: features (batch, width, …): the second axis is normalised.
        eps: ε > 0.

    Returns:
        Shaped as x.

    Raises:
        ValueError: no second axis, or ε ≤ 0.

    Source: Karras et al. 2018, arXiv:1710.10196, §4.2.
    """
    if x.ndim < 2 or eps <= 0:
        raise ValueError(f"need x (batch, width, …) and eps > 0, got {tuple(x.shape)} and {eps}")
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + eps)


def minibatch_stddev(x: IMAGES, group: int = 4) -> Float[Tensor, "batch more height width"]:
    """Tell the discriminator how different the pictures of a batch are.

    s = mean over features and pixels of √( Var over the group + 1e-8 )

    The variance divides by the size of the group (not by one less). Pictures i, i + m,
    i + 2m … form a group, where m is the number of groups. A batch smaller than `group` is one
    group.

    Args:
        x: features (batch, channels, height, width).
        group: pictures in a group, ≥ 1; must divide the batch.

    Returns:
        x with one more channel, which holds s of the picture's group everywhere.

    Raises:
        ValueError: no batch of pictures, or a group that does not divide it.

    Source: Karras et al. 2018, arXiv:1710.10196, §3; groups as in its published code.
    """
    _check_images(x)
    size = min(group, len(x))
    if group < 1 or not size or len(x) % size:
        raise ValueError(f"group must be at least 1 and divide the batch {len(x)}, got {group}")
    groups = rearrange(x, "(g m) c h w -> g m c h w", g=size)
    deviation = torch.sqrt(groups.var(dim=0, correction=0) + 1e-8)
    spread = reduce(deviation, "m c h w -> m", "mean")
    channel = repeat(spread, "m -> (g m) 1 h w", g=size, h=x.shape[2], w=x.shape[3])
    return torch.cat([x, channel], dim=1)


class EqualisedLinear(nn.Linear):
    """A linear layer whose weights all learn at the same speed.

    y = (c · μ · W) x + μ · b,  c = gain / √fan_in,  W ~ N(0, 1) / μ,  b = 0

    Adam moves every number by about the learning rate, whatever its size. With all W around 1
    and the size c outside, wide and narrow layers change by the same share of themselves.

    Args:
        in_features, out_features: as in `torch.nn.Linear`.
        gain: √2 before a rectifier, 1 at an output.
        lr_multiplier: μ > 0; below 1 the layer learns more slowly, but starts the same.

    Raises:
        ValueError: a number that is not above 0.

    Source: Karras et al. 2018, arXiv:1710.10196, §4.1; μ from Karras et al. 2019,
        arXiv:1812.04948, appendix C.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        gain: float = math.sqrt(2),
        lr_multiplier: float = 1.0,
    ) -> None:
        _check_positive(in_features, out_features, gain, lr_multiplier)
        super().__init__(in_features, out_features)
        self.lr_multiplier = lr_multiplier
        self.scale = _draw(self.weight, self.bias, gain, lr_multiplier)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
        """Map (…, in_features) to (…, out_features)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)


class EqualisedConv2d(nn.Conv2d):
    """A convolution that keeps the size, with weights as in `EqualisedLinear`.

    fan_in = in_channels · kernel_size²

    Args:
        in_channels, out_channels: as in `torch.nn.Conv2d`.
        kernel_size: odd.
        gain: √2 before a rectifier, 1 at an output.
        bias: whether there is one.

    Raises:
        ValueError: a number that is not above 0, or an even kernel.

    Source: as `EqualisedLinear`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        gain: float = math.sqrt(2),
        bias: bool = True,
    ) -> None:
        _check_positive(in_channels, out_channels, kernel_size, gain)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        half = kernel_size // 2
        super().__init__(in_channels, out_channels, kernel_size, padding=half, bias=bias)
        self.scale = _draw(self.weight, self.bias, gain, 1.0)

    def forward(self, input: IMAGES) -> Float[Tensor, "batch out height width"]:
        """Map (batch, in_channels, height, width) to as many pixels of out_channels."""
        return self._conv_forward(input, self.weight * self.scale, self.bias)


@torch.no_grad()
def _draw(weight: Tensor, bias: Tensor | None, gain: float, lr_multiplier: float) -> float:
    """Start a layer's weights; return what they are multiplied by when they are used."""
    weight.normal_(0.0, 1.0 / lr_multiplier)
    if bias is not None:
        bias.zero_()
    return gain / math.sqrt(weight[0].numel()) * lr_multiplier


def _check_positive(*numbers: float) -> None:
    if min(numbers) <= 0:
        raise ValueError(f"every number must be above 0, got {numbers}")


def _check_alpha(alpha: float) -> None:
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")


def _check_images(x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must be (batch, channels, height, width), got {tuple(x.shape)}")
