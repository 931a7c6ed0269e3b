"""Joint representations: several modalities made into one vector, early, late, or by a gate.

All take one row of numbers for each observation and modality, and a mask `present` (batch,
modalities), True = present. What is missing never counts, whatever its numbers are; an
observation with every modality missing is refused.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

PRESENT = Bool[Tensor, "batch modalities"]
FEATURES = Sequence[Float[Tensor, "batch _"]]
STACK = Float[Tensor, "batch modalities width"]


def check_present(present: Tensor, batch: int, modalities: int) -> None:
    """Refuse a mask of another shape, and observations of which nothing is known.

    Raises:
        ValueError: see above; the message names the first such observation.
    """
    if present.shape != (batch, modalities) or present.dtype != torch.bool:
        raise ValueError(
            f"present must be bool ({batch}, {modalities}), got {present.dtype} of shape "
            f"{tuple(present.shape)}"
        )
    empty = ~present.any(dim=1)
    if bool(empty.any()):
        raise ValueError(f"observation {int(empty.int().argmax())} has every modality missing")


def early_fusion(features: FEATURES, present: PRESENT) -> Float[Tensor, "batch joint"]:
    """Join the modalities' vectors into one, before any model has seen them.

    x = [p_1 x_1; …; p_M x_M; p_1, …, p_M]

    The mask itself is part of x: a 0 that was measured differs from a 0 that was not.

    Args:
        features: one tensor (batch, d_m) for each modality.
        present: p, True = present.

    Returns:
        x (batch, Σ d_m + M).

    Raises:
        ValueError: a mask that does not fit, or an observation with every modality missing.

    Source: Baltrušaitis, Ahuja & Morency 2019, arXiv:1705.09406, §3.1, where
        concatenation is the simplest *joint* representation.
    """
    check_present(present, count_rows(features), len(features))
    parts = [hide(x, here) for x, here in zip(features, present.T, strict=True)]
    return torch.cat([*parts, present.to(parts[0].dtype)], dim=1)


def late_fusion(
    log_probs: Float[Tensor, "batch modalities classes"],
    present: PRESENT,
    log_prior: Float[Tensor, "classes"] | None = None,
) -> Float[Tensor, "batch classes"]:
    """Let one model a modality decide, then multiply the decisions.

    log p(y | x) = Σ_m p_m (log p(y | x_m) − log p(y)) + log p(y) + const

    Right where the modalities, given y, tell nothing about one another; where they repeat one
    another it is too sure of itself. The prior is counted once, not once a modality.

    Args:
        log_probs: log p(y | x_m), or logits: what is the same for all classes cancels.
        present: p, True = present.
        log_prior: log p(y); None where all classes are equally likely.

    Returns:
        log p(y | x) (batch, classes), whose exponentials sum to 1.

    Raises:
        ValueError: a mask that does not fit, or an observation with every modality missing.

    Source: the product of experts of Hinton 2002 and the naive Bayes rule; Kittler et al. 1998,
        "On combining classifiers" (the product rule).
    """
    check_present(present, *log_probs.shape[:2])
    prior = log_probs.new_zeros(log_probs.shape[2]) if log_prior is None else log_prior
    evidence = hide(log_probs.log_softmax(dim=2) - prior, present)
    return (evidence.sum(dim=1) + prior).log_softmax(dim=1)


def mean_decision(
    log_probs: Float[Tensor, "batch modalities classes"], present: PRESENT
) -> Float[Tensor, "batch classes"]:
    """The other late fusion: the mean of the decisions of those present.

    p(y | x) = Σ_m p_m p(y | x_m) / Σ_m p_m

    One sure but mistaken modality cannot overrule the others; two that half-know do not make one
    that knows.

    Args:
        log_probs, present: as in `late_fusion`, with the same errors.

    Returns:
        log p(y | x) (batch, classes).

    Source: Kittler et al. 1998, "On combining classifiers" (the sum rule).
    """
    check_present(present, *log_probs.shape[:2])
    known = log_probs.log_softmax(dim=2).masked_fill(~present[..., None], -torch.inf)
    return known.logsumexp(dim=1) - present.sum(dim=1, keepdim=True).log()


def gated_fusion(
    hidden: STACK, gates: STACK, present: PRESENT
) -> tuple[Float[Tensor, "batch width"], STACK]:
    """Mix the modalities' vectors, number by number, with shares that the data decide.

    z = Σ_m g_m ⊙ h_m,  g = softmax over the modalities present

    Args:
        hidden: h, one vector a modality.
        gates: scores of the shares, of the same shape.
        present: True = present; a missing modality has share 0.

    Returns:
        z, and g (batch, modalities, width), which sums to 1 over the modalities.

    Raises:
        ValueError: shapes that differ, a mask that does not fit, or an observation with every
            modality missing.

    Source: Arevalo et al. 2017, arXiv:1702.01992, §3 (gated multimodal unit): for two modalities
        their z ⊙ h_v + (1 − z) ⊙ h_t. For more they give each its own σ; shares that sum to 1 stay
        on one scale when a modality is missing.
    """
    if hidden.shape != gates.shape:
        raise ValueError(
            f"hidden and gates must share a shape, got {tuple(hidden.shape)}, {tuple(gates.shape)}"
        )
    check_present(present, *hidden.shape[:2])
    shares = gates.masked_fill(~present[..., None], -torch.inf).softmax(dim=1)
    return (shares * hide(hidden, present)).sum(dim=1), shares


def count_rows(features: FEATURES) -> int:
    """How many observations there are: as many in every modality, or a ValueError."""
    lengths = [len(x) for x in features]
    if len(set(lengths)) != 1:
        raise ValueError(f"need modalities of equally many observations, got {lengths}")
    return lengths[0]


def hide(x: Tensor, present: Tensor) -> Tensor:
    """x with 0 (even in place of infinities) wherever `present`, over x's first axes, is False."""
    missing = ~present.reshape(*present.shape, *[1] * (x.ndim - present.ndim))
    return x.masked_fill(missing, 0.0)


def drop_modalities(present: PRESENT, chance: float, *, generator: torch.Generator) -> PRESENT:
    """Hide each modality by chance while training, so that none is relied upon.

    Args:
        present: True = present.
        chance: in [0, 1], of each that is present.
        generator: source of randomness, on the mask's device.

    Returns:
        A mask with at least one True a row: who would lose all keeps one, any as likely.

    Raises:
        ValueError: a chance outside [0, 1], or an observation with every modality missing.

    Source: Neverova et al. 2016, arXiv:1501.00102, (ModDrop).
    """
    if not 0 <= chance <= 1:
        raise ValueError(f"chance must be in [0, 1], got {chance}")
    check_present(present, *present.shape)
    draws = torch.rand((2, *present.shape), generator=generator, device=present.device)
    kept = present & (draws[0] >= chance)
    last = draws[1].masked_fill(~present, -1.0).argmax(dim=1)
    saved = nn.functional.one_hot(last, present.shape[1]).bool()
    return kept | (saved & ~kept.any(dim=1, keepdim=True))


class EarlyFusion(nn.Module):
    """One network over all modalities at once: `early_fusion`, then two layers.

    Args:
        dims: numbers of each modality.
        classes: of the label.
        width: of the hidden layer.

    Raises:
        ValueError: no modality, or a size below 1.

    Source: as `early_fusion`.
    """

    def __init__(self, dims: Sequence[int], classes: int, *, width: int = 64) -> None:
        super().__init__()
        check_dims(dims, classes, width)
        self.layers = perceptron(sum(dims) + len(dims), width, classes)

    def forward(self, features: FEATURES, present: PRESENT) -> Float[Tensor, "batch classes"]:
        """Logits of the classes; arguments and errors as in `early_fusion`."""
        return self.layers(early_fusion(features, present))


class LateFusion(nn.Module):
    """One network a modality, each with a decision of its own, then `late_fusion`.

    Args:
        dims, classes, width: as in `EarlyFusion`, with the same errors.

    Source: as `late_fusion`.
    """

    def __init__(self, dims: Sequence[int], classes: int, *, width: int = 64) -> None:
        super().__init__()
        check_dims(dims, classes, width)
        self.experts = nn.ModuleList(perceptron(d, width, classes) for d in dims)

    def decisions(
        self, features: FEATURES, present: PRESENT
    ) -> Float[Tensor, "batch modalities classes"]:
        """Logits of each modality's own network; those of a missing one mean nothing."""
        return each(self.experts, features, present)

    def forward(self, features: FEATURES, present: PRESENT) -> Float[Tensor, "batch classes"]:
        """log p(y | x) with equally likely classes; errors as in `late_fusion`."""
        return late_fusion(self.decisions(features, present), present)


class GatedFusion(nn.Module):
    """Vectors of one space, mixed by gates that all modalities together decide.

    h_m = tanh(W_m f_m(x_m));  gates = V [f_1; …; f_M; p]
    z = gated_fusion(h, gates);  logits = U z

    Args:
        dims, classes, width: as in `EarlyFusion`, with the same errors; `width` is also that of z.

    Source: as `gated_fusion`.
    """

    def __init__(self, dims: Sequence[int], classes: int, *, width: int = 64) -> None:
        super().__init__()
        check_dims(dims, classes, width)
        self.encoders = nn.ModuleList(perceptron(d, width, width) for d in dims)
        self.gates = nn.Linear(len(dims) * (width + 1), len(dims) * width)
        self.output = nn.Linear(width, classes)

    def mix(
        self, features: FEATURES, present: PRESENT
    ) -> tuple[Float[Tensor, "batch width"], STACK]:
        """The joint vector z and the shares, as `gated_fusion` gives them."""
        hidden = hide(each(self.encoders, features, present), present)
        everything = early_fusion(hidden.unbind(dim=1), present)
        gates = rearrange(self.gates(everything), "b (m d) -> b m d", m=len(features))
        return gated_fusion(hidden.tanh(), gates, present)

    def forward(self, features: FEATURES, present: PRESENT) -> Float[Tensor, "batch classes"]:
        """Logits of the classes; errors as in `gated_fusion`."""
        return self.output(self.mix(features, present)[0])


def each(networks: nn.ModuleList, features: FEATURES, present: PRESENT) -> STACK:
    """Every modality through its own network, (batch, modalities, …).

    Raises:
        ValueError: another number of modalities, or a mask that does not fit.
    """
    if len(features) != len(networks):
        raise ValueError(f"need {len(networks)} modalities, got {len(features)}")
    check_present(present, count_rows(features), len(features))
    known = [hide(x, here) for x, here in zip(features, present.T, strict=True)]
    return torch.stack([net(x) for net, x in zip(networks, known, strict=True)], dim=1)


def perceptron(before: int, width: int, after: int) -> nn.Sequential:
    """Two linear layers with a ReLU between."""
    return nn.Sequential(nn.Linear(before, width), nn.ReLU(), nn.Linear(width, after))


def check_dims(dims: Sequence[int], *sizes: int) -> None:
    """Refuse no modality at all, and sizes below 1."""
    if not dims or min(*dims, *sizes) < 1:
        raise ValueError(f"need modalities and sizes of 1 or more, got {list(dims)}, {sizes}")
