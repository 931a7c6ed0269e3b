"""Normalizing flows: data as a bijection of Gaussian noise, with the exact likelihood."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.generative.flow_layers import (
    PER_ITEM,
    ActNorm,
    AffineCoupling,
    Invertible,
    InvertibleConv1x1,
    Logit,
    Squeeze,
    X,
    checkerboard,
    half_channels,
)

Z = Float[Tensor, "batch *latent"]


class Flow(Invertible):
    """Bijections one after the other, from data x to noise z and back.

    log p(x) = log N(z; 0, I) + Σ_k log |det ∂(layer k)|,  z = layers(x)

    Written from the noise's side, x = f_K ∘ … ∘ f_1(z₀), each f is the inverse of a layer and
    the sum has a minus sign: log p(x) = log p(z₀) − Σ_k log |det ∂f_k / ∂z_{k−1}|.

    Args:
        layers: from the data's side to the noise's.
        shape: of a data item, without the batch.
        latent_shape: of the noise of an item; None if it is the same.

    Raises:
        ValueError: no layer, shapes of different sizes; calls with items of another shape, or
            with numbers that are not finite.
        FloatingPointError: a layer gives NaN or infinity; the message names it.

    Source: Rezende & Mohamed 2015, arXiv:1505.05770, §3.1; Dinh et al. 2017, arXiv:1605.08803,
        equations 2–3.
    """

    def __init__(
        self,
        layers: Sequence[Invertible],
        shape: Sequence[int],
        *,
        latent_shape: Sequence[int] | None = None,
    ):
        super().__init__()
        self.shape = tuple(shape)
        self.latent_shape = self.shape if latent_shape is None else tuple(latent_shape)
        if not layers or math.prod(self.shape) != math.prod(self.latent_shape):
            raise ValueError(
                "need at least one layer and as much noise as data, "
                f"got {len(layers)} layers, {self.shape} and {self.latent_shape}"
            )
        self.layers = nn.ModuleList(layers)

    def forward(self, x: X) -> tuple[Z, PER_ITEM]:
        """The noise z behind x, and log |det ∂z/∂x| of each item."""
        _check(x, self.shape)
        total = x.new_zeros(len(x))
        with torch.autocast(x.device.type, enabled=False):  # exact means full precision
            for place, layer in enumerate(self._chain()):
                x, log_det = layer(x)
                total = total + log_det
                _check_result(place, layer, x, total)
        return x, total

    def inverse(self, z: Z) -> X:
        """The x that noise z stands for: one pass, as cheap as `forward`."""
        return self.path(z)[-1]

    def path(self, z: Z) -> list[Tensor]:
        """z₀ = z, z₁, …, z_K = x: what each inverse layer makes of the noise."""
        _check(z, self.latent_shape)
        states: list[Tensor] = [z]
        with torch.autocast(z.device.type, enabled=False):
            for place, layer in reversed(list(enumerate(self._chain()))):
                states.append(layer.inverse(states[-1]))
                _check_result(place, layer, states[-1])
        return states

    def log_prob(self, x: X) -> PER_ITEM:
        """log p(x) of each item, in nats."""
        z, log_det = self(x)
        constant = math.prod(self.shape) * math.log(2 * math.pi)
        return log_det - 0.5 * (z.flatten(1).square().sum(dim=1) + constant)

    @torch.no_grad()
    def sample(
        self, count: int, *, generator: torch.Generator, temperature: float = 1.0
    ) -> Float[Tensor, "count *shape"]:
        """New items.

        Args:
            count: how many.
            generator: source of randomness.
            temperature: standard deviation of the noise; below 1 for tamer items.

        Raises:
            ValueError: count below 1, or a negative temperature.
        """
        if count < 1 or not temperature >= 0:
            raise ValueError(f"need count ≥ 1 and temperature ≥ 0, got {count}, {temperature}")
        weight = next(self.parameters(), torch.zeros(()))
        z = torch.randn(count, *self.latent_shape, generator=generator, device=generator.device)
        return self.inverse(temperature * z.to(weight))

    def _chain(self) -> list[Invertible]:
        return cast(list[Invertible], list(self.layers))


class RealNVP(Flow):
    """A flow of affine couplings, for vectors or for pictures.

    Vectors: actnorm, then a coupling in which every second number is kept; the kept ones change
    from layer to layer. Pictures: half of the couplings on a checkerboard, a squeeze, the others
    between halves of the channels that a 1 × 1 convolution has mixed.

    Every network ends in zeros: a new flow is volume-preserving but for actnorm.

    Args:
        shape: (features,) with at least 2, or (channels, height, width), the last two even.
        layers: how many couplings, at least 2.
        width: numbers, or channels, inside each network.
        limit: of log-scales, see `AffineCoupling`.
        alpha: data lie in [0, 1] and are first mapped to the whole line, see `Logit`; None for
            data that need no such map.

    Raises:
        ValueError: another shape, fewer than 2 layers, or a width below 1; and as in `Flow`.

    Source: Dinh et al. 2017, arXiv:1605.08803. Deviations: actnorm in place of batch norm and
        1 × 1 convolutions (both from Glow, arXiv:1807.03039); all numbers stay to the end,
        none is factored out half-way.
    """

    def __init__(
        self,
        shape: Sequence[int] = (2,),
        *,
        layers: int = 8,
        width: int = 64,
        limit: float | None = 2.0,
        alpha: float | None = None,
    ):
        if layers < 2 or width < 1:
            raise ValueError(f"need at least 2 layers and width 1, got {layers} and {width}")
        vectors = len(shape) == 1 and shape[0] >= 2
        pictures = len(shape) == 3 and min(shape) >= 1 and not (shape[1] % 2 or shape[2] % 2)
        if not vectors and not pictures:
            raise ValueError(f"shape must be (≥ 2,) or (c, even, even), got {tuple(shape)}")
        chain: list[Invertible] = [] if alpha is None else [Logit(alpha)]
        if vectors:
            chain += _vector_layers(shape[0], layers, width, limit)
            super().__init__(chain, shape)
        else:
            channels, height, columns = shape
            chain += _picture_layers(channels, height, columns, layers, width, limit)
            after = (4 * channels, height // 2, columns // 2)
            super().__init__(chain, shape, latent_shape=after)


@torch.no_grad()
def check_invertible(flow: Flow, x: X, *, tolerance: float = 1e-3) -> float:
    """Go through a flow and back again, layer by layer and as a whole.

    max | inverse(forward(x)) − x |

    A layer that can be undone on paper may lose its input to rounding: a stretch by e⁻²⁰, say.

    Args:
        flow: the flow to examine; put it into evaluation mode first.
        x: data items.
        tolerance: largest error allowed, relative to the largest number if that is above 1.

    Returns:
        The error of the whole flow.

    Raises:
        ValueError: an error above the tolerance; the message names the layer.

    Source: the definition of an inverse.
    """
    here: Tensor = x
    for place, layer in enumerate(flow._chain()):
        there, _ = layer(here)
        _compare(f"layer {place} ({type(layer).__name__})", layer.inverse(there), here, tolerance)
        here = there
    return _compare("the whole flow", flow.inverse(here), x, tolerance)


def _compare(name: str, back: Tensor, x: Tensor, tolerance: float) -> float:
    error = (back - x).abs().max().item()
    allowed = tolerance * max(1.0, x.abs().max().item())
    if not error <= allowed:  # NaN fails too
        raise ValueError(
            f"{name} cannot be undone: an error of {error:.3g}, allowed is {allowed:.3g}"
        )
    return error


def _vector_layers(features: int, layers: int, width: int, limit: float | None) -> list[Invertible]:
    chain: list[Invertible] = []
    for k in range(layers):
        net = nn.Sequential(
            nn.Linear(features, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            _zeroed(nn.Linear(width, 2 * features)),
        )
        kept = torch.arange(features) % 2 == k % 2
        chain += [ActNorm(features), AffineCoupling(kept, net, limit=limit)]
    return chain


def _picture_layers(
    channels: int, height: int, columns: int, layers: int, width: int, limit: float | None
) -> list[Invertible]:
    chain: list[Invertible] = []
    for k in range(layers // 2):
        kept = checkerboard(height, columns, first=k % 2 == 0)
        chain += [ActNorm(channels), AffineCoupling(kept, _conv_net(channels, width), limit=limit)]
    chain.append(Squeeze())
    channels = 4 * channels
    for _ in range(layers - layers // 2):
        coupling = AffineCoupling(half_channels(channels), _conv_net(channels, width), limit=limit)
        chain += [ActNorm(channels), InvertibleConv1x1(channels), coupling]
    return chain


def _conv_net(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        _zeroed(nn.Conv2d(width, 2 * channels, 3, padding=1)),
    )


def _zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _check(x: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(x.shape[1:]) != shape or len(x) == 0:
        raise ValueError(f"need items of shape {shape}, at least one, got {tuple(x.shape)}")
    if not x.is_floating_point() or not bool(x.isfinite().all()):
        raise ValueError("items must be finite floating-point numbers, got others or NaN")


def _check_result(place: int, layer: nn.Module, *results: Tensor) -> None:
    if not all(bool(result.isfinite().all()) for result in results):
        raise FloatingPointError(
            f"layer {place} ({type(layer).__name__}) gives NaN or infinity: "
            "lower the learning rate, or limit the log-scales"
        )
