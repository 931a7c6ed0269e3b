"""StyleGAN: a vector sets the style of every layer, from the pose down to the colours."""

import itertools
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.generative.progressive import EqualisedLinear, pixel_norm

IMAGES = Float[Tensor, "batch channels height width"]
LATENTS = Float[Tensor, "batch latent"]
STYLE = Float[Tensor, "batch style"]
STYLES = Float[Tensor, "batch layers style"]
EACH = Float[Tensor, "batch channels"]


# ---- what is done to features ----


def adain(x: IMAGES, scale: EACH, bias: EACH, eps: float = 1e-8) -> IMAGES:
    """Take a picture's own mean and size from every channel, and give it others.

    (x − μ) / √( σ² + ε ) · (1 + scale) + bias,  μ and σ² over the pixels of each channel

    Args:
        x: features (batch, channels, height, width).
        scale: 0 leaves the deviation at 1.
        bias: the new mean.
        eps: ε > 0.

    Returns:
        Shaped as x.

    Raises:
        ValueError: not one scale and bias for each channel of each picture, or ε ≤ 0.

    Source: Karras et al. 2019, arXiv:1812.04948, equation 1; the 1 + is of its published code,
        so that a style that has learned nothing yet changes nothing.
    """
    if x.ndim != 4 or scale.shape != x.shape[:2] or bias.shape != x.shape[:2] or eps <= 0:
        raise ValueError(
            "need x (batch, channels, height, width), scale and bias (batch, channels) and "
            f"eps > 0, got {tuple(x.shape)}, {tuple(scale.shape)}, {tuple(bias.shape)}, {eps}"
        )
    x = x - x.mean(dim=(2, 3), keepdim=True)
    x = x * torch.rsqrt(x.square().mean(dim=(2, 3), keepdim=True) + eps)
    return x * (1 + scale[:, :, None, None]) + bias[:, :, None, None]


def blur(x: IMAGES) -> IMAGES:
    """Soften features by a triangle of three pixels each way.

    every channel ∗ [1 2 1]ᵀ [1 2 1] / 16,  zeros beyond the border

    Raises:
        ValueError: no batch of pictures.

    Source: Karras et al. 2019, arXiv:1812.04948, §2 and appendix C: after doubling in the
        generator and before halving in the discriminator.
    """
    if x.ndim != 4:
        raise ValueError(f"x must be (batch, channels, height, width), got {tuple(x.shape)}")
    line = x.new_tensor([0.25, 0.5, 0.25])
    kernel = repeat(torch.outer(line, line), "h w -> c 1 h w", c=x.shape[1])
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


# ---- what is done to styles ----


def style_band(smallest: int, largest: int) -> range:
    """The layers that draw from `smallest` to `largest` pixels a side: two for each size.

    2 log₂(smallest) − 4  …  2 log₂(largest) − 3

    At 1024 pixels: coarse (4, 8) is 0 … 3, middle (16, 32) is 4 … 7, fine (64, 1024) 8 … 17.

    Raises:
        ValueError: no powers of two from 4 on, or the smallest above the largest.

    Source: Karras et al. 2019, arXiv:1812.04948, §3.1 and figure 3.
    """
    powers = [side.bit_length() - 1 for side in (smallest, largest)]
    if [2**p for p in powers] != [smallest, largest] or not 4 <= smallest <= largest:
        raise ValueError(
            f"need powers of two, 4 ≤ smallest ≤ largest, got {smallest} and {largest}"
        )
    return range(2 * powers[0] - 4, 2 * powers[1] - 2)


def mix_styles(styles: STYLES, others: STYLES, layers: Iterable[int]) -> STYLES:
    """Take the styles of some layers from other pictures.

    Args:
        styles: one style for each layer (batch, layers, style).
        others: those to take from, of the same shape.
        layers: which layers to take, such as `style_band(4, 8)`.

    Returns:
        New styles, shaped as the old.

    Raises:
        ValueError: the shapes differ, or an unknown layer.

    Source: Karras et al. 2019, arXiv:1812.04948, §3.1. In training the layers from a random one
        on are taken from a second latent, for 90 % of the pictures.
    """
    if styles.ndim != 3 or styles.shape != others.shape:
        raise ValueError(
            "styles and others must share their shape (batch, layers, style), "
            f"got {tuple(styles.shape)} and {tuple(others.shape)}"
        )
    wanted = set(layers)
    if not wanted <= set(range(styles.shape[1])):
        raise ValueError(f"layers must be in 0 … {styles.shape[1] - 1}, got {sorted(wanted)}")
    taken = torch.tensor([k in wanted for k in range(styles.shape[1])], device=styles.device)
    return torch.where(taken[:, None], others, styles)


def truncate(
    styles: STYLES, mean: Float[Tensor, "style"], psi: float = 0.7, *, layers: int = 8
) -> STYLES:
    """Pull the styles of the early layers towards the average: more typical, less varied.

    w' = w̄ + ψ (w − w̄) in layers 0 … layers − 1;  later layers stay as they are

    Args:
        styles: w (batch, layers, style).
        mean: w̄, the average over many latents.
        psi: ψ; 1 changes nothing, 0 gives the average, below 0 its opposite.
        layers: how many layers are changed, ≥ 0.

    Returns:
        New styles, shaped as the old.

    Raises:
        ValueError: widths that do not fit, or layers < 0.

    Source: Karras et al. 2019, arXiv:1812.04948, appendix B; ψ = 0.7 for the layers up to
        32 × 32 pixels, which are the first 8.
    """
    if styles.ndim != 3 or mean.shape != styles.shape[2:] or layers < 0:
        raise ValueError(
            "need styles (batch, layers, style), mean (style,) and layers ≥ 0, "
            f"got {tuple(styles.shape)}, {tuple(mean.shape)} and {layers}"
        )
    early, late = styles[:, :layers], styles[:, layers:]
    return torch.cat([torch.lerp(mean.expand_as(early), early, psi), late], dim=1)


# ---- the networks ----


class MappingNetwork(nn.Module):
    """From a latent vector to a style.

    z → z / √mean(z²) → 8 × (linear, leaky ReLU) → w

    Args:
        latent_dim: length of z.
        style_dim: length of w, and of every layer between.
        layers: how many, ≥ 1.
        lr_multiplier: of their learning rate, see `EqualisedLinear`.

    Raises:
        ValueError: a number that is not above 0.

    Source: Karras et al. 2019, arXiv:1812.04948, §2 and appendix C.
    """

    def __init__(
        self,
        latent_dim: int = 512,
        style_dim: int = 512,
        *,
        layers: int = 8,
        lr_multiplier: float = 0.01,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        widths = [latent_dim, *[style_dim] * layers]
        self.latent_dim = latent_dim
        self.layers = nn.ModuleList(
            EqualisedLinear(a, b, lr_multiplier=lr_multiplier)
            for a, b in itertools.pairwise(widths)
        )

    def forward(self, z: LATENTS) -> STYLE:
        """w (batch, style_dim) of z (batch, latent_dim).

        Raises:
            ValueError: another width of z.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (batch, {self.latent_dim}), got {tuple(z.shape)}")
        w = pixel_norm(z)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w
