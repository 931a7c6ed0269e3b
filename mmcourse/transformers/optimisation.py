"""How the Transformer was trained: a smoothed loss, and a learning rate with a warm-up."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def label_smoothing_loss(
    logits: Float[Tensor, "*batch vocabulary"],
    target: Int[Tensor, "*batch"],
    smoothing: float = 0.1,
    *,
    ignore_id: int | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy against a target that leaves a little probability to every token.

    q(k) = (1 − ε) [k = target] + ε / V;   loss = −Σ_k q(k) log p(k), averaged over the tokens.

    Args:
        logits: (…, vocabulary).
        target: (…), the right tokens.
        smoothing: ε in [0, 1]; 0 is the ordinary cross-entropy.
        ignore_id: target positions that hold this number (the padding) do not count.

    Raises:
        ValueError: for ε outside [0, 1], shapes that do not fit, tokens outside the vocabulary,
            or if no position counts.

    Source: Szegedy et al. 2016, arXiv:1512.00567, §7; ε = 0.1 in Vaswani et al. 2017, §5.4.
    """
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"smoothing must be in [0, 1], got {smoothing}")
    if logits.shape[:-1] != target.shape:
        raise ValueError(
            f"logits must be (…, vocabulary) and target (…), got {tuple(logits.shape)} "
            f"and {tuple(target.shape)}"
        )
    if ignore_id is not None:
        counts = target != ignore_id
        logits, target = logits[counts], target[counts]
    if not target.numel():
        raise ValueError("no position counts: target holds nothing but ignore_id")
    vocabulary = logits.shape[-1]
    if int(target.min()) < 0 or int(target.max()) >= vocabulary:
        raise ValueError(
            f"target must hold tokens from 0 to {vocabulary - 1}, "
            f"got {int(target.min())} to {int(target.max())}"
        )
    log_p = F.log_softmax(logits, dim=-1)
    right = log_p.gather(-1, target[..., None]).squeeze(-1)
    return -((1 - smoothing) * right + smoothing * log_p.mean(dim=-1)).mean()


def noam_rate(step: int, embed_dim: int, warmup: int = 4000, factor: float = 1.0) -> float:
    """The paper's learning rate: it rises in a straight line, then falls like 1/√step.

    rate = factor · d^(−1/2) · min(step^(−1/2), step · warmup^(−3/2))

    The two parts meet at step = warmup, where the rate is largest: factor / √(d · warmup).

    Args:
        step: number of the update, from 1.
        embed_dim: the model's width d.
        warmup: updates until the peak.
        factor: scales all of it; 1 in the paper.

    Raises:
        ValueError: if a number is not positive.

    Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 3.
    """
    if min(step, embed_dim, warmup) < 1 or factor <= 0:
        raise ValueError(
            "step, embed_dim, warmup must be at least 1 and factor positive, "
            f"got {step}, {embed_dim}, {warmup}, {factor}"
        )
    return factor * embed_dim**-0.5 * min(step**-0.5, step * warmup**-1.5)
