"""Maps that can be undone and whose log-determinant is cheap: the layers of a flow."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

X = Float[Tensor, "batch *shape"]
PER_ITEM = Float[Tensor, "batch"]


class Invertible(nn.Module):
    """A bijection y = f(x), batch by batch: what every layer of a flow offers.

    `forward` maps data towards noise and also says how much it stretches space;
    `inverse` maps noise towards data.

    Source: as `Flow`.
    """

    def forward(self, x: X) -> tuple[Tensor, PER_ITEM]:
        """y (batch, …), and log |det ∂y/∂x| of each item (batch,)."""
        raise NotImplementedError

    def inverse(self, y: X) -> Tensor:
        """The x with forward(x) = y."""
        raise NotImplementedError


def checkerboard(height: int, width: int, *, first: bool = True) -> Bool[Tensor, "1 h w"]:
    """Every second pixel, as on a chess board; the top left one is `first`.

    Raises:
        ValueError: fewer than two pixels.

    Source: Dinh et al. 2017, arXiv:1605.08803, figure 3 (left).
    """
    if min(height, width) < 1 or height * width < 2:
        raise ValueError(f"need at least 2 pixels, got {height} x {width}")
    squares = torch.arange(height)[:, None] + torch.arange(width)
    return (squares % 2 == (0 if first else 1))[None]


def half_channels(channels: int, *, first: bool = True) -> Bool[Tensor, "c 1 1"]:
    """The first half of the channels, or the others.

    Raises:
        ValueError: fewer than two channels.

    Source: Dinh et al. 2017, arXiv:1605.08803, figure 3 (right).
    """
    if channels < 2:
        raise ValueError(f"need at least 2 channels, got {channels}")
    return ((torch.arange(channels) < channels // 2) == first)[:, None, None]


class AffineCoupling(Invertible):
    """Some of the numbers decide how the others are stretched and shifted.

    y_a = x_a,  y_b = x_b ⊙ exp( s(x_a) ) + t(x_a),  log |det| = Σ s(x_a)

    Neither s nor t is ever inverted, so they may be any network; the inverse costs as much as
    the forward pass.

    Args:
        mask: which numbers are x_a, of the shape of an item or one that broadcasts to it: True =
            kept as it is and may be used by the network. Some, but not all, must be True.
        net: maps x with zeros in place of x_b, (batch, channels, …), to s and t behind each
            other, (batch, 2 · channels, …).
        limit: s is bent smoothly into (−limit, limit) by limit · tanh(s / limit); None leaves it.

    Raises:
        ValueError: a mask that keeps all or nothing, limit ≤ 0, or a net with another output.

    Source: Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, equations
        7–9. Its networks end in a tanh with a learned scale; here the limit is fixed.
    """

    mask: Tensor

    def __init__(self, mask: Bool[Tensor, "*shape"], net: nn.Module, *, limit: float | None = None):
        super().__init__()
        if bool(mask.all()) or not bool(mask.any()):
            raise ValueError("mask must be True for some numbers, but not for all")
        if limit is not None and not limit > 0:
            raise ValueError(f"limit must be above 0 or None, got {limit}")
        self.net, self.limit = net, limit
        self.register_buffer("mask", mask)

    def forward(self, x: X) -> tuple[X, PER_ITEM]:
        """y shaped as x, and Σ s of each item."""
        s, t = self._scale_and_shift(x)
        y = torch.where(self.mask, x, x * s.exp() + t)
        return y, s.flatten(1).sum(dim=1)

    def inverse(self, y: X) -> X:
        """x_b = (y_b − t(y_a)) ⊙ exp( −s(y_a) )"""
        s, t = self._scale_and_shift(y)
        return torch.where(self.mask, y, (y - t) * (-s).exp())

    def _scale_and_shift(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s (zero where nothing moves) and t."""
        both = self.net(x * self.mask)
        expected = (len(x), 2 * x.shape[1], *x.shape[2:])
        if both.shape != expected:
            raise ValueError(f"net must give s and t, {expected}, got {tuple(both.shape)}")
        s, t = both.chunk(2, dim=1)
        if self.limit is not None:
            s = self.limit * torch.tanh(s / self.limit)
        return s * ~self.mask, t


class Squeeze(Invertible):
    """Fold every 2 × 2 pixels into channels: (c, h, w) → (4c, h/2, w/2), volume unchanged.

    Raises:
        ValueError: items that are no pictures of even height and width.

    Source: Dinh et al. 2017, arXiv:1605.08803, §3.6; channels in the order of `pixel_unshuffle`.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c4 h2 w2"], PER_ITEM]:
        """(b, c, h, w) → (b, 4c, h/2, w/2), and zeros."""
        if x.ndim != 4 or x.shape[2] % 2 or x.shape[3] % 2:
            raise ValueError(f"need (batch, c, even h, even w), got {tuple(x.shape)}")
        y = rearrange(x, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)
        return y, x.new_zeros(len(x))

    def inverse(self, y: Float[Tensor, "b c4 h2 w2"]) -> Float[Tensor, "b c h w"]:
        """(b, 4c, h/2, w/2) → (b, c, h, w)"""
        return rearrange(y, "b (c p q) h w -> b c (h p) (w q)", p=2, q=2)


class ActNorm(Invertible):
    """Shift and stretch each channel; the first batch in training mode chooses how.

    y = x · exp(log_scale) + shift,  log |det| = (numbers per channel) · Σ log_scale

    After the choice each channel of that batch has mean 0 and standard deviation 1 (the unbiased
    one, which divides by n − 1). From then on both are weights like any others.

    Args:
        channels: of the second dimension.

    Raises:
        ValueError: a first batch in which a channel is constant or has a single number.

    Source: Kingma & Dhariwal 2018, "Glow", arXiv:1807.03039, §3.1.
    """

    ready: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, x: X) -> tuple[X, PER_ITEM]:
        """y shaped as x, and the same log-determinant for each item."""
        if self.training and not bool(self.ready):
            self._choose(x)
        one = (slice(None), *[None] * (x.ndim - 2))  # c -> c 1 1
        each = x[0, 0].numel() * self.log_scale.sum()
        return x * self.log_scale.exp()[one] + self.shift[one], each.expand(len(x))

    def inverse(self, y: X) -> X:
        """x = (y − shift) · exp(−log_scale)"""
        one = (slice(None), *[None] * (y.ndim - 2))  # c -> c 1 1
        return (y - self.shift[one]) * (-self.log_scale).exp()[one]

    @torch.no_grad()
    def _choose(self, x: Tensor) -> None:
        rows = x.transpose(0, 1).flatten(1)  # c, all its numbers
        std = rows.std(dim=1) if rows.shape[1] > 1 else rows.new_zeros(len(rows))
        if not bool((std > 0).all()):  # NaN fails too
            flat = (~(std > 0)).nonzero()[:, 0].tolist()
            raise ValueError(f"the first batch must vary in every channel, not so in {flat}")
        self.log_scale.copy_(-std.log())
        self.shift.copy_(-rows.mean(dim=1) / std)
        self.ready.fill_(True)


class InvertibleConv1x1(Invertible):
    """Mix the channels by a square matrix, the same at every pixel.

    y[:, i, j] = W x[:, i, j],  log |det| = height · width · log |det W|

    Vectors (batch, channels) count as one pixel. W starts as a random rotation.

    Args:
        channels: of the second dimension.

    Raises:
        ValueError: W has determinant 0 or is not finite.

    Source: Kingma & Dhariwal 2018, arXiv:1807.03039, §3.2 and table 1. normflows names the other
        direction "forward", so that its forward pass multiplies by W⁻¹.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(channels, channels)))

    def forward(self, x: X) -> tuple[X, PER_ITEM]:
        """y shaped as x, and the same log-determinant for each item."""
        log_det = x[0, 0].numel() * self._log_determinant()
        return torch.einsum("d c, b c ... -> b d ...", self.weight, x), log_det.expand(len(x))

    def inverse(self, y: X) -> X:
        """x = W⁻¹ y"""
        self._log_determinant()
        flat = torch.linalg.solve(self.weight, y.flatten(2) if y.ndim > 2 else y[..., None])
        return flat.reshape(y.shape)

    def _log_determinant(self) -> Tensor:
        log_det = torch.linalg.slogdet(self.weight).logabsdet
        if not bool(log_det.isfinite()):
            size = "{} x {}".format(*self.weight.shape)
            raise ValueError(f"W ({size}) cannot be inverted: log |det W| is {log_det.item()}")
        return log_det


class Logit(Invertible):
    """From the unit interval to the whole line.

    y = log( p / (1 − p) ),  p = α + (1 − 2α) x

    Args:
        alpha: α in (0, ½), which keeps x = 0 and x = 1 finite.

    Raises:
        ValueError: α outside (0, ½), or x outside [0, 1].

    Source: Dinh et al. 2017, arXiv:1605.08803, §4.1, with the symmetric α of Papamakarios et al.
        2017, arXiv:1705.07057, §4.3.
    """

    def __init__(self, alpha: float = 0.05):
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha must be in (0, 0.5), got {alpha}")
        self.alpha = alpha

    def forward(self, x: X) -> tuple[X, PER_ITEM]:
        """y shaped as x, and Σ [ log(1 − 2α) − log p − log(1 − p) ] of each item."""
        if not bool(((x >= 0) & (x <= 1)).all()):  # NaN fails too
            low, high = x.min().item(), x.max().item()
            raise ValueError(f"x must lie in [0, 1], got [{low:.4g}, {high:.4g}]")
        y = torch.logit(self.alpha + (1 - 2 * self.alpha) * x)
        # −log p − log(1 − p) = softplus(−y) + softplus(y)
        stretch = math.log(1 - 2 * self.alpha) + F.softplus(y) + F.softplus(-y)
        return y, stretch.flatten(1).sum(dim=1)

    def inverse(self, y: X) -> X:
        """x = (sigmoid(y) − α) / (1 − 2α), a little outside [0, 1] for extreme y."""
        return (torch.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha)
