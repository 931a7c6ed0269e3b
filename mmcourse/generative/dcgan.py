"""Convolutional generator and discriminator for small pictures."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.generative.vae import check_sizes

NOISE = Float[Tensor, "batch latent"]
IMAGES = Float[Tensor, "batch channels height width"]


class DCGANGenerator(nn.Module):
    """From a noise vector to a picture.

    z → linear → quarter-size grid → twice: transposed convolution, doubling → tanh

    Args:
        latent_dim: length of z.
        channels: of the picture.
        width: channels at half size; twice as many at quarter size.
        size: height and width of the picture, divisible by 4.

    Raises:
        ValueError: a number below 1, or a size that 4 does not divide.

    Source: Radford et al. 2016, arXiv:1511.06434, §3: batch normalisation everywhere but at the
        output, ReLU, and all weights drawn from N(0, 0.02²).
    """

    def __init__(
        self, *, latent_dim: int = 32, channels: int = 1, width: int = 32, size: int = 8
    ) -> None:
        super().__init__()
        check_sizes(size, latent_dim, channels, width)
        self.latent_dim, self.side = latent_dim, size // 4
        self.project = nn.Linear(latent_dim, 2 * width * self.side**2, bias=False)
        self.grow = nn.Sequential(
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        self.apply(_small_weights)

    def forward(self, z: NOISE) -> IMAGES:
        """Pictures in [-1, 1] from standard normal z (batch, latent_dim).

        Raises:
            ValueError: another width of z.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (batch, {self.latent_dim}), got {tuple(z.shape)}")
        grid = rearrange(self.project(z), "b (c h w) -> b c h w", h=self.side, w=self.side)
        return self.grow(grid)


class DCGANDiscriminator(nn.Module):
    """From a picture to one logit: above 0 for real.

    x → twice: convolution with stride 2, leaky ReLU → linear

    Args:
        channels: of the picture.
        width: channels at half size; twice as many at quarter size.
        size: height and width of the picture, divisible by 4.
        batch_norm: normalise the second layer over the batch, as published. The penalties
            (`r1_penalty`, `gradient_penalty`) need False: with it a logit depends on the
            whole batch.

    Raises:
        ValueError: a number below 1, or a size that 4 does not divide.

    Source: Radford et al. 2016, arXiv:1511.06434, §3.
    """

    def __init__(
        self, *, channels: int = 1, width: int = 32, size: int = 8, batch_norm: bool = False
    ) -> None:
        super().__init__()
        check_sizes(size, channels, width)
        self.shape = (channels, size, size)
        self.shrink = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=not batch_norm),
            nn.BatchNorm2d(2 * width) if batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
        )
        self.judge = nn.Linear(2 * width * (size // 4) ** 2, 1)
        self.apply(_small_weights)

    def forward(self, x: IMAGES) -> Float[Tensor, "batch"]:
        """Logits (batch,) of pictures x in [-1, 1].

        Raises:
            ValueError: pictures of another shape.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(f"x must be (batch, *{self.shape}), got {tuple(x.shape)}")
        features = rearrange(self.shrink(x), "b c h w -> b (c h w)")
        return self.judge(features)[:, 0]


def _small_weights(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
