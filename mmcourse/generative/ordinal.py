"""Levels in their order: curves over the grey scale, cut at the borders between the levels.

A softmax over levels does not know that level 8 lies beside level 9; this does.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

CURVES = Float[Tensor, "batch curves *shape"]


def logistic_levels(
    weights: CURVES, means: CURVES, log_scales: CURVES, levels: int
) -> Float[Tensor, "batch levels *shape"]:
    """Log-probabilities of the levels from a mixture of logistic curves.

    p(k) = Σ_m softmax(weights)_m [ σ((b_{k+1} − μ_m) / s_m) − σ((b_k − μ_m) / s_m) ]

    The borders b lie halfway between the levels of [-1, 1]; the first is −∞, the last ∞, so that
    the probabilities sum to 1. As σ(a) − σ(b) = σ(a) σ(−b) (1 − exp(b − a)), no difference of
    nearly equal numbers is taken.

    Args:
        weights: before their softmax, (batch, curves, …).
        means: μ, shaped as the weights; levels lie in [-1, 1].
        log_scales: log s, likewise; below −7 they count as −7.
        levels: how many there are, at least 2.

    Returns:
        log p(k), (batch, levels, …): usable as logits, as their softmax is p.

    Raises:
        ValueError: fewer than 2 levels, or shapes that differ.

    Source: Salimans et al. 2017, "PixelCNN++", arXiv:1701.05517, equation 2; colours are not
        coupled here, as the masks let each see the ones before it.
    """
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    if not weights.shape == means.shape == log_scales.shape or weights.ndim < 2:
        shapes = [tuple(x.shape) for x in (weights, means, log_scales)]
        raise ValueError(f"need three tensors (batch, curves, …), got {shapes}")
    step = 2 / (levels - 1)
    dtype = torch.promote_types(means.dtype, torch.float32)  # bfloat16 cannot hold the borders
    borders = (torch.arange(levels - 1, dtype=dtype, device=means.device) + 0.5) * step - 1
    narrow = torch.exp(-log_scales.clamp(min=-7))
    z = (borders.reshape(-1, *[1] * means.ndim) - means) * narrow  # (levels − 1, batch, curves, …)
    below, above = F.logsigmoid(z), F.logsigmoid(-z)
    inner = below[1:] + above[:-1] + torch.log(-torch.expm1(-step * narrow))
    each = torch.cat([below[:1], inner, above[-1:]]) + weights.log_softmax(dim=1)
    return rearrange(each.logsumexp(dim=2), "levels batch ... -> batch levels ...")
