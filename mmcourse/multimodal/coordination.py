"""Coordinated representations: each modality keeps a space of its own, and the spaces are tied."""

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.multimodal.fusion import (
    FEATURES,
    PRESENT,
    STACK,
    check_dims,
    check_present,
    each,
    hide,
    perceptron,
)

VECTORS = Float[Tensor, "pairs embed"]


def ranking_loss(a: VECTORS, b: VECTORS, *, margin: float = 0.2) -> Float[Tensor, ""]:
    """Pairs must be nearer than strangers by a margin, seen from either side.

    L = 1/(n (n − 1)) Σ_{i≠j} ½ [ max(0, m − a_i·b_i + a_i·b_j) + max(0, m − a_i·b_i + a_j·b_i) ]

    The vectors never meet in one sum or one list: a and b are functions of one modality each,
    and only the loss ties them.

    Args:
        a, b: unit vectors; row i of both belongs to the same observation.
        margin: m ≥ 0.

    Returns:
        The mean over pairs of strangers; 0 where there are none.

    Raises:
        ValueError: shapes that differ, or a margin below 0.

    Source: Kiros, Salakhutdinov & Zemel 2014, arXiv:1411.2539, §2 (pairwise ranking),
        as a mean; after Frome et al. 2013 (DeViSE). CLIP's cross-entropy took its place.
    """
    if a.shape != b.shape:
        raise ValueError(f"a and b must share a shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0, got {margin}")
    similarity = a @ b.T
    right = similarity.diagonal()
    from_a = (margin - right[:, None] + similarity).clamp(min=0)
    from_b = (margin - right[None, :] + similarity).clamp(min=0)
    strangers = ~torch.eye(len(a), dtype=torch.bool, device=a.device)
    return ((from_a + from_b) / 2)[strangers].sum() / max(1, len(a) * (len(a) - 1))


def coordination_loss(
    embeddings: STACK, present: PRESENT, *, margin: float = 0.2
) -> Float[Tensor, ""]:
    """`ranking_loss` of every two modalities, over the observations that have both.

    Args:
        embeddings: unit vectors, (batch, modalities, embed).
        present: True = present.
        margin: as in `ranking_loss`.

    Returns:
        The mean over the pairs of modalities.

    Raises:
        ValueError: fewer than two modalities, a mask that does not fit, or an observation with
            every modality missing.

    Source: as `ranking_loss`.
    """
    check_present(present, *embeddings.shape[:2])
    if embeddings.shape[1] < 2:
        raise ValueError(f"need two modalities or more to tie, got {embeddings.shape[1]}")
    losses = []
    for i, j in combinations(range(embeddings.shape[1]), 2):
        both = present[:, i] & present[:, j]
        losses.append(ranking_loss(embeddings[both, i], embeddings[both, j], margin=margin))
    return torch.stack(losses).mean()


def mean_direction(embeddings: STACK, present: PRESENT) -> Float[Tensor, "batch embed"]:
    """One unit vector for an observation: the mean of those of the modalities it has.

    Tied spaces make this possible for any of them: one is enough, more average the noise away.

    Args:
        embeddings: unit vectors, (batch, modalities, embed).
        present: True = present.

    Raises:
        ValueError: a mask that does not fit, or an observation with every modality missing.
    """
    check_present(present, *embeddings.shape[:2])
    return F.normalize(hide(embeddings, present).sum(dim=1), dim=1)


def precision_at_one(
    queries: VECTORS,
    answers: Float[Tensor, "answers embed"],
    query_kinds: Int[Tensor, "pairs"],
    answer_kinds: Int[Tensor, "answers"],
) -> Float[Tensor, ""]:
    """How often the nearest answer is of the query's kind.

    Args:
        queries, answers: unit vectors of two modalities; not of the same observations.
        query_kinds, answer_kinds: what they are of.

    Returns:
        a share in [0, 1].

    Raises:
        ValueError: vectors of different lengths, or no answers.
    """
    if not len(answers) or queries.shape[1] != answers.shape[1]:
        raise ValueError(
            f"need answers as long as queries, got {tuple(queries.shape)}, {tuple(answers.shape)}"
        )
    nearest = (queries @ answers.T).argmax(dim=1)
    return (answer_kinds[nearest] == query_kinds).float().mean()


class CoordinatedEncoders(nn.Module):
    """One encoder a modality, each on its own, into spaces of the same size.

    z_m = f_m(x_m) / ‖f_m(x_m)‖

    Args:
        dims: numbers of each modality.
        embed_dim: length of z.
        width: of the hidden layers.

    Raises:
        ValueError: no modality, or a size below 1.

    Source: Baltrušaitis, Ahuja & Morency 2019, arXiv:1705.09406, §3.2.
    """

    def __init__(self, dims: Sequence[int], *, embed_dim: int = 16, width: int = 64) -> None:
        super().__init__()
        check_dims(dims, embed_dim, width)
        self.encoders = nn.ModuleList(perceptron(d, width, embed_dim) for d in dims)

    def forward(self, features: FEATURES, present: PRESENT) -> STACK:
        """Unit vectors (batch, modalities, embed_dim); those of a missing modality mean nothing.

        Raises:
            ValueError: another number of modalities, a mask that does not fit, or an observation
                with every modality missing.
        """
        return F.normalize(each(self.encoders, features, present), dim=2)
