"""PixelCNN: masked convolutions that give every pixel's distribution from the earlier pixels.

What a model of pixels is, and how to draw from one, is in `mmcourse.generative.pixels`.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcourse.generative.ordinal import logistic_levels
from mmcourse.generative.pixels import IMAGES, LOGITS

MAP = Float[Tensor, "batch features height width"]
OUT = Float[Tensor, "batch features_out height width"]
Kind = Literal["A", "B"]


def causal_mask(
    kind: Kind, in_channels: int, out_channels: int, kernel_size: tuple[int, int], colours: int = 1
) -> Bool[Tensor, "out in kernel_h kernel_w"]:
    """Which weights of a convolution may be used: those that look at earlier pixels.

    All rows above, and the columns to the left in the same row. In the pixel itself an output of
    colour k sees the inputs of colours < k (A) or ≤ k (B). The channels belong to the colours in
    equal blocks.

    Args:
        kind: "A" for the first layer, which sees the pixels; "B" for all others.
        in_channels: divisible by the number of colours.
        out_channels: divisible by the number of colours.
        kernel_size: height and width, both odd.
        colours: how many numbers a pixel has; they follow each other.

    Returns:
        (out, in, height, width), True = may be used.

    Raises:
        ValueError: another kind, an even kernel, or channels that cannot be shared out.

    Source: van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759, §3.4.
    """
    if kind not in ("A", "B"):
        raise ValueError(f'kind must be "A" or "B", got {kind!r}')
    if any(size < 1 or size % 2 == 0 for size in kernel_size):
        raise ValueError(f"kernel sizes must be odd, got {kernel_size}")
    if colours < 1 or min(in_channels, out_channels) < 1:
        raise ValueError(f"need colours and channels, got {colours}, {in_channels}, {out_channels}")
    if in_channels % colours or out_channels % colours:
        raise ValueError(f"{in_channels} and {out_channels} channels must divide by {colours}")
    row, column = kernel_size[0] // 2, kernel_size[1] // 2
    mask = torch.zeros(out_channels, in_channels, *kernel_size, dtype=torch.bool)
    mask[:, :, :row] = True
    mask[:, :, row, :column] = True
    seen = torch.arange(in_channels) * colours // in_channels
    own = torch.arange(out_channels)[:, None] * colours // out_channels
    mask[:, :, row, column] = seen < own if kind == "A" else seen <= own
    return mask


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees earlier pixels only, see `causal_mask`; it keeps the size.

    Args:
        kind: "A" does not see the pixel itself, "B" does.
        in_channels: divisible by the number of colours.
        out_channels: divisible by the number of colours.
        kernel_size: odd.
        colours: numbers in a pixel.
        bias: whether each output has a constant of its own.

    Raises:
        ValueError: as `causal_mask`.

    Source: van den Oord et al. 2016, arXiv:1601.06759, §3.4.
    """

    mask: Tensor

    def __init__(
        self,
        kind: Kind,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        colours: int = 1,
        bias: bool = True,
    ):
        size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        mask = causal_mask(kind, in_channels, out_channels, size, colours)
        padding = (size[0] // 2, size[1] // 2)
        super().__init__(in_channels, out_channels, size, padding=padding, bias=bias)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, input: MAP) -> OUT:
        """(b, in, h, w) → (b, out, h, w)"""
        return F.conv2d(input, self.weight * self.mask, self.bias, padding=self.padding)  # type: ignore[arg-type]


class GatedLayer(nn.Module):
    """Two stacks that together see every earlier pixel: no blind spot.

    v' = gate( W_v ∗ v ),  h' = h + W₁ gate( W_h ∗ h + W₂ W_v ∗ v ),  gate(a, b) = tanh(a) σ(b)

    The vertical stack v knows the rows above its pixel, over the whole width of the kernel; the
    horizontal stack h knows the row to the left, and asks v.

    Args:
        width: channels of each stack, divisible by the colours.
        kernel_size: odd.
        colours: numbers in a pixel.

    Source: van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders",
        arXiv:1606.05328, equation 2 and figure 2.
    """

    def __init__(self, width: int, kernel_size: int, colours: int):
        super().__init__()
        self.colours = colours
        self.vertical = Downward(width, 2 * width, kernel_size)
        self.horizontal = MaskedConv2d("B", width, 2 * width, (1, kernel_size), colours=colours)
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = MaskedConv2d("B", width, width, 1, colours=colours)

    def forward(self, v: MAP, h: MAP) -> tuple[MAP, MAP]:
        """Both stacks (b, width, height, width), one layer further."""
        above = self.vertical(v)
        (a, b) = _parts(self.horizontal(h) + self.link(above), 2, self.colours)
        (c, d) = _parts(above, 2, 1)
        return c.tanh() * d.sigmoid(), h + self.out(a.tanh() * b.sigmoid())


class Downward(nn.Conv2d):
    """A convolution over its own row and the rows above, left and right alike."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        self.reach = kernel_size // 2
        super().__init__(in_channels, out_channels, (self.reach + 1, kernel_size))

    def forward(self, input: MAP) -> OUT:
        """(b, in, h, w) → (b, out, h, w)"""
        side = self.reach
        return super().forward(F.pad(input, (side, side, side, 0)))


class PixelCNN(nn.Module):
    """Masked convolutions with gates; each logit sees all earlier pixels within reach.

    Args:
        levels: grey levels of each number.
        colours: numbers in a pixel: 1, or 3 for red, green, blue.
        width: channels of each stack, divisible by the colours.
        layers: gated layers behind the first.
        kernel_size: of these layers; the first one's is `first_kernel`. Both odd.
        first_kernel: see above.
        curves: 0 for a softmax over the levels; else so many curves, see `logistic_levels`.

    Raises:
        ValueError: fewer than 2 levels, or sizes that `causal_mask` does not allow.

    Source: van den Oord et al. 2016, arXiv:1606.05328, §2.
    """

    def __init__(
        self,
        *,
        levels: int = 256,
        colours: int = 1,
        width: int = 32,
        layers: int = 5,
        kernel_size: int = 3,
        first_kernel: int = 7,
        curves: int = 0,
    ):
        super().__init__()
        first, later = first_kernel, kernel_size
        self.across = MaskedConv2d("A", colours, width, (1, first), colours=colours)
        self.down = Downward(colours, width, first)
        self.link = nn.Conv2d(width, width, 1)
        self.layers = nn.ModuleList(GatedLayer(width, later, colours) for _ in range(layers))
        self.head = Head(width, levels, colours, curves)

    def forward(self, images: IMAGES) -> LOGITS:
        """Logits of every number's level, from the earlier ones alone."""
        # Moved down by a row, a pixel's own row is the one above.
        v = self.down(F.pad(images, (0, 0, 1, -1)))
        h = self.across(images) + self.link(v)
        for layer in self.layers:
            v, h = layer(v, h)
        return self.head(h)


class PlainPixelCNN(nn.Module):
    """The first PixelCNN: one stack of masked square kernels, which has a blind spot.

    A kernel sees left and above; a chain of them never turns right again. So some earlier
    pixels to the upper right are never seen. Arguments as for `PixelCNN`.

    Source: van den Oord et al. 2016, arXiv:1601.06759, table 1 and §3.3, figure 5.
    """

    def __init__(
        self,
        *,
        levels: int = 256,
        colours: int = 1,
        width: int = 32,
        layers: int = 5,
        kernel_size: int = 3,
        first_kernel: int = 7,
        curves: int = 0,
    ):
        super().__init__()
        self.first = MaskedConv2d("A", colours, width, first_kernel, colours=colours)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                MaskedConv2d("B", width, width, kernel_size, colours=colours),
                nn.ReLU(),
                MaskedConv2d("B", width, width, 1, colours=colours),
            )
            for _ in range(layers)
        )
        self.head = Head(width, levels, colours, curves)

    def forward(self, images: IMAGES) -> LOGITS:
        """Logits of every number's level, from (not all) earlier ones alone."""
        h = self.first(images)
        for layer in self.layers:
            h = h + layer(h)
        return self.head(h)


class Head(nn.Module):
    """relu, 1 × 1, relu, 1 × 1: from features to the logits of each colour's levels.

    With `curves` above 0 what comes out of the last layer are weights, means and log-scales, and
    the logits are `logistic_levels`.
    """

    def __init__(self, width: int, levels: int, colours: int, curves: int = 0):
        super().__init__()
        if levels < 2 or curves < 0:
            raise ValueError(f"need levels of at least 2 and curves ≥ 0, got {levels}, {curves}")
        self.levels, self.colours, self.curves = levels, colours, curves
        count = 3 * curves or levels
        self.inner = MaskedConv2d("B", width, width, 1, colours=colours)
        self.outer = MaskedConv2d("B", width, count * colours, 1, colours=colours)
        if curves and self.outer.bias is not None:  # spread over the grey scale at first
            start = torch.stack([torch.zeros(curves), torch.linspace(-1, 1, curves)])
            start = torch.cat([start, torch.full((1, curves), -1.5)])
            self.outer.bias.data = start.flatten().repeat(colours)

    def forward(self, features: MAP) -> LOGITS:
        """(b, width, h, w) → (b, levels, colours, h, w)"""
        found = self.outer(F.relu(self.inner(F.relu(features))))
        if not self.curves:
            return rearrange(found, "b (k l) h w -> b l k h w", k=self.colours)
        parts = rearrange(found, "b (k n m) h w -> n b m k h w", k=self.colours, n=3)
        return logistic_levels(parts[0], parts[1], parts[2], self.levels)


def _parts(x: Tensor, count: int, colours: int) -> Tensor:
    """Cut channels into `count` parts, each with the same share of every colour."""
    return rearrange(x, "b (k n c) ... -> n b (k c) ...", k=colours, n=count)
