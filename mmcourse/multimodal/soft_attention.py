"""Soft attention over the places of a picture, and what keeps it from looking at one alone."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

PLACES = Float[Tensor, "batch places features"]
WEIGHTS = Float[Tensor, "batch steps places"]


def soft_context(
    annotations: PLACES, scores: Float[Tensor, "batch places"]
) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch places"]]:
    """What is seen when one looks everywhere at once, more at some places than at others.

    α = softmax(e),  ẑ = Σ_i α_i a_i

    Args:
        annotations: a, one vector a place.
        scores: e, any numbers.

    Returns:
        ẑ (batch, features), and α (batch, places), whose rows sum to 1 over the *places*.

    Raises:
        ValueError: a score for something else than each place.

    Source: Xu et al. 2015, arXiv:1502.03044, equations 5 and 13.
    """
    if annotations.ndim != 3 or annotations.shape[:2] != scores.shape:
        raise ValueError(
            "need annotations (batch, places, features) and scores (batch, places), got "
            f"{tuple(annotations.shape)} and {tuple(scores.shape)}"
        )
    weights = scores.softmax(dim=1)
    return torch.einsum("bp,bpf->bf", weights, annotations), weights


class SoftAttention(nn.Module):
    """Additive attention: a small network scores every place for the state at hand.

    e_i = u · tanh(W_a a_i + W_h h + b);  then `soft_context`

    The authors' code adds a number c to every e; softmax cancels it, so it is left out.

    Args:
        feature_dim: length of an annotation a.
        state_dim: length of the state h.
        attention_dim: length of the hidden layer.

    Raises:
        ValueError: a size below 1.

    Source: Xu et al. 2015, arXiv:1502.03044, equations 4 and 5; Bahdanau et al. 2015,
        arXiv:1409.0473, appendix A.1.2.
    """

    def __init__(self, feature_dim: int, state_dim: int, attention_dim: int) -> None:
        super().__init__()
        if min(feature_dim, state_dim, attention_dim) < 1:
            raise ValueError(
                f"sizes must be at least 1, got {(feature_dim, state_dim, attention_dim)}"
            )
        self.from_place = nn.Linear(feature_dim, attention_dim)  # W_a and b
        self.from_state = nn.Linear(state_dim, attention_dim, bias=False)  # W_h
        self.score = nn.Linear(attention_dim, 1, bias=False)  # u

    def keys(self, annotations: PLACES) -> Float[Tensor, "batch places attention"]:
        """W_a a_i + b, which stay the same for all words of a caption."""
        return self.from_place(annotations)

    def forward(
        self,
        annotations: PLACES,
        state: Float[Tensor, "batch state"],
        keys: Float[Tensor, "batch places attention"] | None = None,
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch places"]]:
        """ẑ and α for one state.

        Args:
            annotations: a, (batch, places, feature_dim).
            state: h, (batch, state_dim).
            keys: what `keys` made of the annotations; None to make them here.
        """
        keys = self.keys(annotations) if keys is None else keys
        hidden = (keys + self.from_state(state)[:, None]).tanh()
        return soft_context(annotations, self.score(hidden)[..., 0])


def doubly_stochastic_penalty(
    weights: WEIGHTS, mask: Bool[Tensor, "batch steps"]
) -> Float[Tensor, ""]:
    """How far every place is from being looked at once in all, over the words of a caption.

    mean over captions of Σ_i (1 − Σ_t α_ti)²

    The α of a word sum to 1 over places by construction; this asks that those of a place sum to
    about 1 over words. A caption of T words can make it 0 only if T equals the number L of
    places; the least it can be is (L − T)² / L, where all places share the words alike.

    Args:
        weights: α (batch, steps, places), rows that sum to 1.
        mask: (batch, steps); True = a word, False = padding, which looks at nothing.

    Returns:
        The mean over the captions. The authors' code sums over captions and takes the mean over
        places instead, so that its λ is on another scale.

    Raises:
        ValueError: shapes that do not fit.

    Source: Xu et al. 2015, arXiv:1502.03044, equation 14.
    """
    _check_mask(weights, mask)
    seen = (weights * mask[..., None]).sum(dim=1)
    return (1 - seen).square().sum(dim=1).mean()


def attention_centres(weights: WEIGHTS, grid: tuple[int, int]) -> Float[Tensor, "batch steps 2"]:
    """The point on which each word's attention balances.

    (x, y) = Σ_i α_i (x_i, y_i), with (x_i, y_i) the middle of cell i

    Args:
        weights: α (batch, steps, places), cells row by row from the upper left.
        grid: rows and columns.

    Returns:
        (x, y) in [0, 1], x to the right and y down.

    Raises:
        ValueError: a grid with another number of cells.

    Source: none; the centre of mass of α.
    """
    rows, columns = grid
    if weights.ndim != 3 or rows * columns != weights.shape[2]:
        raise ValueError(f"{rows} × {columns} cells do not fit weights {tuple(weights.shape)}")
    y, x = torch.meshgrid(
        (torch.arange(rows, device=weights.device) + 0.5) / rows,
        (torch.arange(columns, device=weights.device) + 0.5) / columns,
        indexing="ij",
    )
    return weights @ torch.stack([x.flatten(), y.flatten()], dim=1).to(weights.dtype)


def _check_mask(weights: Tensor, mask: Tensor) -> None:
    if weights.ndim != 3 or mask.shape != weights.shape[:2]:
        raise ValueError(
            "need weights (batch, steps, places) and a mask (batch, steps), got "
            f"{tuple(weights.shape)} and {tuple(mask.shape)}"
        )
