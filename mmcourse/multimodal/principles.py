"""The two reasons to use several modalities, measured: they agree, and they complete each other."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmcourse.multimodal.fusion import check_present

DECISIONS = Int[Tensor, "batch modalities"]
PRESENT = Bool[Tensor, "batch modalities"]


def agreement(predictions: DECISIONS, present: PRESENT) -> Float[Tensor, "modalities modalities"]:
    """Consensus: how often two modalities decide alike, where both are present.

    Args:
        predictions: the class that each modality alone decides for.
        present: True = present.

    Returns:
        shares in [0, 1], symmetric; NaN for two that are never present together.

    Raises:
        ValueError: a mask that does not fit, or an observation with every modality missing.

    Source: Xu, Tao & Xu 2013, arXiv:1304.5634, §2 (the consensus principle).
    """
    check_present(present, *predictions.shape)
    both = present[:, :, None] & present[:, None, :]
    alike = predictions[:, :, None] == predictions[:, None, :]
    return (alike & both).sum(dim=0) / both.sum(dim=0)


def complementarity(
    predictions: DECISIONS, labels: Int[Tensor, "batch"], present: PRESENT
) -> Float[Tensor, "modalities modalities"]:
    """How often one modality is right where another is wrong: C_mk = p(k right | m wrong).

    Args:
        predictions, present: as in `agreement`.
        labels: the right classes.

    Returns:
        shares in [0, 1], row m, column k, of the observations that have both; 0 on the diagonal,
        NaN where m is never wrong. Modalities that err together have 0 everywhere.

    Raises:
        ValueError: another number of labels, a mask that does not fit, or an observation with
            every modality missing.

    Source: Xu, Tao & Xu 2013, arXiv:1304.5634, §2 (the complementary principle).
    """
    check_present(present, *predictions.shape)
    if labels.shape != predictions.shape[:1]:
        raise ValueError(f"need {len(predictions)} labels, got {tuple(labels.shape)}")
    right = (predictions == labels[:, None]) & present
    wrong = ~right & present
    both = wrong[:, :, None] & present[:, None, :]
    rescued = wrong[:, :, None] & right[:, None, :]
    return rescued.sum(dim=0) / both.sum(dim=0)
