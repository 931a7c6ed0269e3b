"""Hard negatives: captions that differ from the right one only in what belongs to what."""

import torch
from jaxtyping import Float
from torch import Tensor

from mmcourse.selfsupervision.contrastive import info_nce

VECTORS = Float[Tensor, "pairs embed"]


def hard_negative_loss(
    image_embeddings: VECTORS,
    text_embeddings: VECTORS,
    hard_embeddings: Float[Tensor, "hard embed"],
    logit_scale: float | Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """CLIP's loss with wrong captions added that are almost right.

    S = exp(logit_scale) · I [T; H]ᵀ
    L = ½ mean_i[−log softmax(S_i·)_i] + ½ mean_j[−log softmax(S_·j)_j],  j over right captions

    A picture chooses among all captions, right ones and hard ones; a right caption chooses among
    the pictures; a hard caption has no picture, and is asked nothing.

    Args:
        image_embeddings, text_embeddings: pairs, unit vectors (pairs, embed).
        hard_embeddings: unit vectors of wrong captions, any number of them, none included.
        logit_scale: the *log* of the inverse temperature.

    Returns:
        The mean over the pairs, in nats; without hard captions it is `clip_loss`.

    Raises:
        ValueError: no pairs, different shapes, or vectors of different lengths.

    Source: Yuksekgonul et al. 2023, arXiv:2210.01936, §4.1 (NegCLIP). One process only.
    """
    if image_embeddings.shape != text_embeddings.shape:
        shapes = f"{tuple(image_embeddings.shape)} and {tuple(text_embeddings.shape)}"
        raise ValueError(f"every picture needs its caption, got {shapes}")
    scale = torch.as_tensor(logit_scale).exp()
    own = torch.arange(len(image_embeddings), device=image_embeddings.device)
    captions = torch.cat([text_embeddings, hard_embeddings])
    forth = info_nce(image_embeddings, captions, own, scale=scale)
    return (forth + info_nce(text_embeddings, image_embeddings, own, scale=scale)) / 2


def swap_accuracy(
    image_embeddings: VECTORS, text_embeddings: VECTORS, swapped_embeddings: VECTORS
) -> Float[Tensor, ""]:
    """Share of pictures that are nearer to their caption than to its swapped twin; chance is ½.

    Args:
        image_embeddings, text_embeddings, swapped_embeddings: unit vectors, (pairs, embed).

    Returns:
        in [0, 1]; a tie counts half.

    Raises:
        ValueError: shapes that differ.
    """
    shapes = {tuple(x.shape) for x in (image_embeddings, text_embeddings, swapped_embeddings)}
    if len(shapes) > 1:
        raise ValueError(f"need three times (pairs, embed), got {sorted(shapes)}")
    lead = (image_embeddings * (text_embeddings - swapped_embeddings)).sum(dim=1)
    return (lead > 0).float().add(0.5 * (lead == 0)).mean()
