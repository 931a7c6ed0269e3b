"""Pictures as annotations: a vector for each place, for attention to choose from."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

IMAGES = Float[Tensor, "batch channels height width"]
PLACES = Float[Tensor, "batch places features"]


class GridEncoder(nn.Module):
    """A convolutional network that keeps the places apart: one vector for each cell of a grid.

    x ← ReLU(norm(conv(x))) at each level, with stride 2 at levels 2 to `halvings` + 1
    a_i = [x at cell i; its column and row in [-1, 1]]

    A convolution does not know where it looks. A deep network learns it from its zero padding;
    here two numbers say it plainly, which a word such as "above" needs.

    Args:
        channels: of each level; an annotation is two longer than the last.
        halvings: how often the sides are halved, at most one fewer than levels.

    Raises:
        ValueError: no level, a level without a channel, or more halvings than levels allow.

    Source: Xu et al. 2015, arXiv:1502.03044, §3.1.1, with a small network trained from scratch
        in place of a VGG trained on ImageNet (14 × 14 cells of 512). The coordinates are after
        Liu et al. 2018, arXiv:1807.03247.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 96, 96), *, halvings: int = 2) -> None:
        super().__init__()
        if not channels or min(channels) < 1 or not 0 <= halvings < len(channels):
            raise ValueError(
                "need channels of 1 or more and fewer halvings than levels, "
                f"got {channels} and {halvings}"
            )
        self.factor, self.feature_dim = 2**halvings, channels[-1] + 2
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(zip((3, *channels), channels, strict=False)):
            stride = 2 if 1 <= level <= halvings else 1
            layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: IMAGES) -> PLACES:
        """The annotations a_1 … a_L, row by row from the upper left.

        Args:
            images: in [-1, 1], (batch, 3, height, width), sides that the halvings divide.

        Raises:
            ValueError: pictures of another shape.
        """
        if (
            images.ndim != 4
            or images.shape[1] != 3
            or any(n % self.factor for n in images.shape[2:])
        ):
            raise ValueError(
                f"images must be (batch, 3, height, width) with sides that {self.factor} divides, "
                f"got {tuple(images.shape)}"
            )
        x = self.layers(images.contiguous(memory_format=torch.channels_last))
        height, width = x.shape[2:]
        down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
        across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)
        where = torch.stack(torch.meshgrid(across, down, indexing="xy")).expand(len(x), -1, -1, -1)
        return rearrange(torch.cat([x, where], dim=1), "b c h w -> b (h w) c")
