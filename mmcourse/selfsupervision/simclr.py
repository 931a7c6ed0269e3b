"""SimCLR: two views of a picture should find each other among the views of all pictures."""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcourse.selfsupervision.contrastive import gather, info_nce

Z = Float[Tensor, "batch d"]


def nt_xent(z1: Z, z2: Z, temperature: float = 0.5) -> Float[Tensor, ""]:
    """The normalised, temperature-scaled cross-entropy of SimCLR.

    ℓ(i, j) = −log [ exp(cos(z_i, z_j)/τ) / Σ_{k ≠ i} exp(cos(z_i, z_k)/τ) ]

    With the 2N views in the order [z1; z2] the partner of row i is row (i + N) mod 2N, and the
    row itself is left out: 1 positive, 2N − 2 negatives. The loss is the mean of ℓ over all 2N.

    Args:
        z1, z2: the two views of N pictures after the projection head, (N, d); not normalised.
            A vector of length 0 has cosine 0 with everything.
        temperature: τ > 0.

    Returns:
        The mean in nats; 0 for a single picture, log(2N − 1) if all vectors are equal. With
        several processes that of the whole batch: see `contrastive`.

    Raises:
        ValueError: different shapes, no picture, or a temperature that is not positive.

    Source: Chen et al. 2020, arXiv:2002.05709, eq. 1 and algorithm 1. Google's code adds the
        losses of both orders and so has twice this value.
    """
    if z1.shape != z2.shape or z1.ndim != 2 or not len(z1):
        shapes = f"{tuple(z1.shape)} and {tuple(z2.shape)}"
        raise ValueError(f"z1 and z2 must be (N ≥ 1, d) of the same shape, got {shapes}")
    _positive(temperature)
    views = F.normalize(torch.stack([z1, z2]), dim=2, eps=1e-6)
    everyone, start = gather(views.transpose(0, 1))  # (N, 2, d), N of all ranks
    count = len(everyone)
    place = torch.arange(start, start + len(z1), device=z1.device)
    return info_nce(
        views.flatten(0, 1),
        everyone.transpose(0, 1).flatten(0, 1),
        torch.cat([place + count, place]),  # the partner: N columns further, modulo 2N
        scale=1 / temperature,
        exclude=torch.cat([place, place + count]),
    )


class ConvEncoder(nn.Module):
    """A small network f from pictures to features h: what is kept after the training.

    Convolutions with batch normalisation and ReLU. Each halves the picture but the last; then
    the largest value of every channel is taken.

    Args:
        widths: channels of the convolutions, 4 × 4 the first, 3 × 3 the others; the last is the
            length of h.
        channels: of the picture.

    Raises:
        ValueError: no convolution, or a width that is not positive.

    Source: the paper's f is a ResNet-50 with the mean over places; the largest value suits
        small objects on a plain ground.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 128), *, channels: int = 3) -> None:
        super().__init__()
        if not widths or min(widths) < 1 or channels < 1:
            raise ValueError(f"widths and channels must be positive, got {widths}, {channels}")
        layers: list[nn.Module] = []
        for place, (old, new) in enumerate(zip([channels, *widths], widths, strict=False)):
            stride = 1 if place == len(widths) - 1 else 2
            size = 4 if stride == 2 and place == 0 else 3
            layers += [nn.Conv2d(old, new, size, stride, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(new), nn.ReLU()]
        self.layers, self.width = nn.Sequential(*layers), widths[-1]

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch h"]:
        """Features h, (batch, width)."""
        maps = self.layers(images.contiguous(memory_format=torch.channels_last))
        return maps.amax((2, 3))


class ProjectionHead(nn.Module):
    """The head g from features h to the vectors z that the loss compares.

    v1: z = BN(W₂ ReLU(BN(W₁ h)));  v2 has one layer more, and is deep enough that its first
    layer is worth keeping.

    Args:
        width: of h.
        out: of z.
        depth: number of layers: 2 in SimCLR v1, 3 in v2.
        hidden: width of the inner layers; by default that of h.

    Raises:
        ValueError: a size that is not positive.

    Source: Chen et al. 2020, arXiv:2002.05709, §4.2; Chen et al. 2020, arXiv:2006.10029, §2.
    """

    def __init__(
        self, width: int, out: int = 128, *, depth: int = 2, hidden: int | None = None
    ) -> None:
        super().__init__()
        hidden = width if hidden is None else hidden
        if min(width, out, depth, hidden) < 1:
            raise ValueError(f"sizes must be positive, got {width}, {out}, {depth}, {hidden}")
        sizes = [width, *[hidden] * (depth - 1), out]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Linear(old, new, bias=False),
                nn.BatchNorm1d(new),
                nn.ReLU() if place < depth - 1 else nn.Identity(),
            )
            for place, (old, new) in enumerate(itertools.pairwise(sizes))
        )

    def forward(
        self, h: Float[Tensor, "batch width"], upto: int | None = None
    ) -> Float[Tensor, "batch out"]:
        """The vectors z; or with `upto` what comes out of that many layers.

        Args:
            h: features.
            upto: 0 gives h itself, 1 the first layer, from which v2 fine-tunes; None all.

        Raises:
            ValueError: more layers than there are.
        """
        count = len(self.layers) if upto is None else upto
        if not 0 <= count <= len(self.layers):
            raise ValueError(f"upto must be from 0 to {len(self.layers)}, got {upto}")
        for layer in self.layers[:count]:
            h = layer(h)
        return h


def distillation_loss(
    student: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """The student's cross-entropy against the teacher's opinion: the third step of SimCLR v2.

    L = −(1/B) Σ_x Σ_y P_T(y|x) log P_S(y|x),   P(y|x) = softmax_y(logits / τ)

    Args:
        student, teacher: logits; no gradient flows into the teacher's.
        temperature: τ > 0, the same for both.

    Returns:
        The mean in nats. Its minimum is the entropy of the teacher's opinion, not 0.

    Raises:
        ValueError: different shapes, or a temperature that is not positive.

    Source: Chen et al. 2020, arXiv:2006.10029, eq. 2; no labels are needed.
    """
    if student.shape != teacher.shape or student.ndim != 2 or not len(student):
        shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        raise ValueError(f"logits must be (batch ≥ 1, classes) of the same shape, got {shapes}")
    _positive(temperature)
    opinion = F.softmax(teacher.detach() / temperature, dim=1)
    return F.cross_entropy(student / temperature, opinion)


def _positive(temperature: float) -> None:
    if not temperature > 0 or math.isinf(temperature):
        raise ValueError(f"temperature must be positive, got {temperature}")
