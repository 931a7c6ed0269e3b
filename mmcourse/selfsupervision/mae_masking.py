"""The parts of masked autoencoding: removing patches, putting them back, target and loss.

The mask is bool, and **True = removed** (not the convention of attention masks).
"""

import torch
from einops import repeat
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mmcourse.transformers.patches import patchify


def random_masking(
    x: Shaped[Tensor, "batch patches width"],
    ratio: float,
    *,
    generator: torch.Generator | None = None,
    noise: Float[Tensor, "batch patches"] | None = None,
) -> tuple[
    Shaped[Tensor, "batch kept width"],
    Bool[Tensor, "batch patches"],
    Int[Tensor, "batch patches"],
]:
    """Remove a share of the patches, chosen for each picture by itself.

    Every patch draws a number; those with the smallest stay, ⌊patches · (1 − ratio)⌋ of them
    (in floating point, as published: of 10 patches, 0.8 keeps 1, since 1 − 0.8 < 0.2).

    Args:
        x: (batch, patches, width), any dtype.
        ratio: share to remove, in [0, 1]; 0 only shuffles, 1 keeps an empty sequence.
        generator: where the numbers come from.
        noise: the numbers themselves, (batch, patches), instead of new ones.

    Returns:
        kept (batch, kept, width), in the order of their numbers; mask (batch, patches),
        True = removed, in the order of the picture; and ids_restore (batch, patches), the
        place of each patch in [kept, removed]: gathering with it puts the picture in order.

    Raises:
        ValueError: for a ratio outside [0, 1], or noise that does not fit.

    Source: He et al. 2022, arXiv:2111.06377, §3 ("Simple implementation").
    """
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"ratio must be in [0, 1], got {ratio}")
    count, patches = x.shape[:2]
    if noise is None:
        home = x.device if generator is None else generator.device
        noise = torch.rand(count, patches, generator=generator, device=home)
    if tuple(noise.shape) != (count, patches):
        raise ValueError(f"noise must have shape ({count}, {patches}), got {tuple(noise.shape)}")
    keep = int(patches * (1 - ratio))
    shuffled = noise.to(x.device).argsort(dim=1, stable=True)
    ids_restore = shuffled.argsort(dim=1)
    return take(x, shuffled[:, :keep]), ids_restore >= keep, ids_restore


def take(
    x: Shaped[Tensor, "batch patches width"], places: Int[Tensor, "batch chosen"]
) -> Shaped[Tensor, "batch chosen width"]:
    """The tokens at `places`, which differ from picture to picture."""
    return x.gather(1, repeat(places, "batch chosen -> batch chosen width", width=x.shape[2]))


def unshuffle(
    kept: Float[Tensor, "batch kept width"],
    mask_token: Float[Tensor, "width"],
    ids_restore: Int[Tensor, "batch patches"],
) -> Float[Tensor, "batch patches width"]:
    """The kept tokens at their places in the picture, and the mask token at all others.

    Source: He et al. 2022, arXiv:2111.06377, §3 ("Simple implementation").
    """
    count, patches = ids_restore.shape
    missing = mask_token.to(kept.dtype).expand(count, patches - kept.shape[1], -1)
    return take(torch.cat([kept, missing], dim=1), ids_restore)  # (batch, patches, width)


def patch_targets(
    images: Float[Tensor, "batch channels height width"], patch_size: int, normalise: bool
) -> Float[Tensor, "batch patches numbers"]:
    """What the decoder must say of each patch: its pixels, or its pixels normalised.

    (x − mean(x)) / √(var(x) + 10⁻⁶), mean and variance over the numbers x of one patch; the
    variance is the unbiased one (it divides by n − 1).

    Source: He et al. 2022, arXiv:2111.06377, §3 ("Reconstruction target"), Table 1d; the
    constant and the unbiased variance are those of the published models.
    """
    x = patchify(images, patch_size)
    if not normalise:
        return x
    variance = x.var(dim=-1, keepdim=True)
    return (x - x.mean(dim=-1, keepdim=True)) / (variance + 1e-6).sqrt()


def masked_loss(
    prediction: Float[Tensor, "batch patches numbers"],
    target: Float[Tensor, "batch patches numbers"],
    mask: Bool[Tensor, "batch patches"],
) -> Float[Tensor, ""]:
    """Mean squared error over the removed patches, and over no others.

    L = Σ mᵢ · mean((ŷᵢ − yᵢ)²) / Σ mᵢ, the sums over all patches i of the batch.

    Args:
        prediction, target: (batch, patches, numbers).
        mask: (batch, patches), True = removed.

    Raises:
        ValueError: if no patch was removed: a mean over nothing.

    Source: He et al. 2022, arXiv:2111.06377, §3 ("Reconstruction target").
    """
    if not mask.any():
        raise ValueError(f"mask must remove at least one patch, got none of {mask.numel()}")
    error = (prediction - target).square().mean(dim=-1)  # (batch, patches)
    return (error * mask).sum() / mask.sum()
