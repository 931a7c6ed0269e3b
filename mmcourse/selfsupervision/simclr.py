"""SimCLR: two views of a picture should find each other among the views of all pictures."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

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
    if not temperature > 0 or math.isinf(temperature):
        raise ValueError(f"temperature must be positive, got {temperature}")
    views = F.normalize(torch.stack([z1, z2]), dim=2, eps=1e-6)
    everyone, start = gather(views.transpose(0, 1))  # (N, 2, d), N of all ranks
    count = len(everyone)
    place = torch.arange(start, start + len(z1), device=z1.device)
    rows = torch.cat([place, place + count])
    return info_nce(
        views.flatten(0, 1),
        everyone.transpose(0, 1).flatten(0, 1),
        (rows + count) % (2 * count),
        scale=1 / temperature,
        exclude=rows,
    )
