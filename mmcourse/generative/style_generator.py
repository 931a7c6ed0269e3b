"""StyleGAN's generator: it draws from a constant, and styles and noise do the rest."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.generative.progressive import EqualisedConv2d, EqualisedLinear, double
from mmcourse.generative.progressive_networks import check_level, check_widths, faded
from mmcourse.generative.stylegan import MappingNetwork, adain, blur, truncate

IMAGES = Float[Tensor, "batch channels height width"]
FEATURES = Float[Tensor, "batch features rows columns"]
STYLES = Float[Tensor, "batch layers style"]
MEAN_DECAY = 0.995  # of the average style, for each batch


class StyleGenerator(nn.Module):
    """From a latent vector to styles, and from styles and noise to pictures of any size it has.

    z → mapping → w → styles;  constant 4 × 4 → layer, layer → double, layer, layer → …

    Every layer: convolution (none in the very first) → + noise → + bias → leaky ReLU → `adain`.

    Args:
        latent_dim: length of z.
        style_dim: length of w.
        widths: channels of each level; level k has 4 · 2^k pixels a side and two layers.
        channels: of the picture.
        mapping_layers: of the mapping network.
        lr_multiplier: of the mapping network.

    Raises:
        ValueError: no level, or a number that is not above 0.

    Source: Karras et al. 2019, arXiv:1812.04948, §2 and figure 1b.
    """

    mean_style: Tensor

    def __init__(
        self,
        *,
        latent_dim: int = 64,
        style_dim: int = 64,
        widths: Sequence[int] = (64, 64, 32, 16),
        channels: int = 3,
        mapping_layers: int = 8,
        lr_multiplier: float = 0.01,
    ) -> None:
        super().__init__()
        check_widths(widths, latent_dim, style_dim, channels)
        self.levels, self.num_layers = len(widths), 2 * len(widths)
        options = {"layers": mapping_layers, "lr_multiplier": lr_multiplier}
        self.mapping = MappingNetwork(latent_dim, style_dim, **options)
        self.register_buffer("mean_style", torch.zeros(style_dim))
        self.constant = nn.Parameter(torch.ones(1, widths[0], 4, 4))
        before = [widths[0], *widths[:-1]]
        self.first = nn.ModuleList(
            EqualisedConv2d(a, b, bias=False) for a, b in zip(before[1:], widths[1:], strict=True)
        )
        self.second = nn.ModuleList(EqualisedConv2d(w, w, bias=False) for w in widths)
        self.finish = nn.ModuleList(Finish(w, style_dim) for w in widths for _ in range(2))
        self.to_image = nn.ModuleList(EqualisedConv2d(w, channels, 1, gain=1) for w in widths)

    def forward(
        self,
        z: Float[Tensor, "batch latent"],
        noise: Sequence[Tensor],
        *,
        level: int | None = None,
        alpha: float = 1.0,
        psi: float = 1.0,
        truncated: int = 8,
    ) -> IMAGES:
        """Pictures of latents.

        Args:
            z: standard normal (batch, latent_dim).
            noise: one for each layer, see `draw_noise`.
            level, alpha: see `synthesis`.
            psi: how far styles stand from their average, see `truncate`.
            truncated: how many of the first layers that concerns.

        Raises:
            ValueError: see `MappingNetwork`, `truncate` and `synthesis`.
        """
        styles = truncate(self.styles(z), self.mean_style, psi, layers=truncated)
        return self.synthesis(styles, noise, level=level, alpha=alpha)

    def styles(self, z: Float[Tensor, "batch latent"]) -> STYLES:
        """The style of z, the same for all layers: (batch, layers, style_dim).

        In training mode the average style moves towards that of the batch by 1 − 0.995.
        """
        w = self.mapping(z)
        if self.training:
            with torch.no_grad():
                self.mean_style.lerp_(w.mean(dim=0), 1 - MEAN_DECAY)
        return repeat(w, "b d -> b layers d", layers=self.num_layers)

    def draw_noise(
        self, count: int, *, level: int | None = None, generator: torch.Generator
    ) -> list[Tensor]:
        """Standard normal noise for the layers of a level: a list of (count, 1, side, side).

        Raises:
            ValueError: an unknown level.
        """
        level = check_level(level, self.levels, 1.0)
        sides = [4 * 2 ** (layer // 2) for layer in range(2 * level + 2)]
        place = self.constant
        return [torch.randn(count, 1, side, side, generator=generator).to(place) for side in sides]

    def synthesis(
        self,
        styles: STYLES,
        noise: Sequence[Tensor],
        *,
        level: int | None = None,
        alpha: float = 1.0,
    ) -> IMAGES:
        """Pictures of styles, which may differ from layer to layer (`mix_styles`).

        Args:
            styles: (batch, layers, style_dim).
            noise: one for each layer of the level (batch or 1, 1, side, side); more are ignored.
            level: 0 for 4 × 4 pixels … levels − 1; the last by default.
            alpha: how far the level is faded in, see `fade_in`; of no account at level 0.

        Returns:
            (batch, channels, 4 · 2^level, 4 · 2^level), any values: nothing limits the colours.

        Raises:
            ValueError: shapes that do not fit, too little noise, an unknown level or α.
        """
        level = check_level(level, self.levels, alpha)
        self._check(styles, noise, level)
        x = repeat(self.constant, "1 c h w -> b c h w", b=len(styles))
        before = x
        for k in range(level + 1):
            if k:
                before = x
                x = blur(self.first[k - 1](double(x)))
            x = self.finish[2 * k](x, noise[2 * k], styles[:, 2 * k])
            x = self.second[k](x)
            x = self.finish[2 * k + 1](x, noise[2 * k + 1], styles[:, 2 * k + 1])
        return faded(self.to_image, before, x, level, alpha)

    def _check(self, styles: Tensor, noise: Sequence[Tensor], level: int) -> None:
        wanted = (self.num_layers, len(self.mean_style))
        if styles.ndim != 3 or styles.shape[1:] != wanted:
            raise ValueError(f"styles must be (batch, *{wanted}), got {tuple(styles.shape)}")
        sides = [4 * 2 ** (layer // 2) for layer in range(2 * level + 2)]
        fits = len(noise) >= len(sides) and all(
            tuple(n.shape) in {(len(styles), 1, s, s), (1, 1, s, s)}
            for n, s in zip(noise, sides, strict=False)
        )
        if not fits:
            raise ValueError(
                f"need noise (batch or 1, 1, side, side) for the sides {sides}, "
                f"got {[tuple(n.shape) for n in noise]}"
            )


class Finish(nn.Module):
    """What follows every convolution: noise, bias, leaky ReLU, style.

    adain( lrelu( x + a · noise + b ), scale, bias ),  (scale, bias) = A w

    a, one number for each channel, and b start at 0: noise and bias have to be learned. So has
    the style: A's own bias starts at 0, and 1 + scale at about 1.

    Source: as `StyleGenerator`.
    """

    def __init__(self, width: int, style_dim: int) -> None:
        super().__init__()
        self.noise_strength = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.style = EqualisedLinear(style_dim, 2 * width, gain=1)

    def forward(
        self,
        x: FEATURES,
        noise: Float[Tensor, "some 1 rows columns"],
        w: Float[Tensor, "batch style"],
    ) -> FEATURES:
        """Keep the shape of x (batch, width, rows, columns)."""
        x = x + self.noise_strength[:, None, None] * noise + self.bias[:, None, None]
        scale, bias = self.style(w).chunk(2, dim=1)
        return adain(F.leaky_relu(x, 0.2), scale, bias)
