"""Hierarchical label sets: ask for the kinds of a thing, answer with the thing (CHiLS)."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def chils_predict(
    p_sub: Float[Tensor, "batch subs"],
    p_super: Float[Tensor, "batch classes"],
    parent: Int[Tensor, " subs"],
    *,
    reweight: bool = True,
) -> Int[Tensor, " batch"]:
    """The class of the sub-label that fits best.

    ŝ = argmax_s p_sub(s | x) · p_super(parent(s) | x),   answer parent(ŝ)

    One best sub-label decides; the sub-labels of a class are not summed, so a class does not win
    by having many.

    Args:
        p_sub: softmax over ALL sub-labels, (batch, subs), each row sums to 1.
        p_super: softmax over the classes, (batch, classes), each row sums to 1.
        parent: the class of each sub-label, (subs,), 0 … classes − 1; each class has one.
        reweight: False takes argmax_s p_sub(s | x) alone.

    Returns:
        class indices (batch,). Of equally good sub-labels the first decides.

    Raises:
        ValueError: shapes that do not fit, rows that are no distributions, an unknown class in
            `parent`, or a class without a sub-label.

    Source: Novack et al. 2023, "CHiLS: Zero-Shot Image Classification with Hierarchical Label
        Sets", arXiv:2302.02551, §3 (algorithm 1).
    """
    _check(p_sub, p_super, parent)
    score = p_sub * p_super[:, parent] if reweight else p_sub
    return parent[score.argmax(dim=1)]


def label_sets(
    kinds: Mapping[str, Sequence[str]], *, keep_class: bool = True
) -> tuple[list[str], Int[Tensor, " subs"]]:
    """Sub-labels of all classes in one list, cleaned, and the class of each.

    A kind that does not name its class gets the class name behind it ("poodle" → "poodle dog");
    doubles within a class are dropped.

    Args:
        kinds: names of the kinds of each class, in the order of the classes.
        keep_class: the class name itself is one of its sub-labels; without it, a class that has
            no kinds still has itself.

    Returns:
        names of the sub-labels, and their classes (subs,).

    Raises:
        ValueError: no class, or an empty name.

    Source: as `chils_predict`, §3; its published label sets hold doubles.
    """
    if not kinds:
        raise ValueError("need at least one class, got none")
    names: list[str] = []
    parents: list[int] = []
    for place, (name, below) in enumerate(kinds.items()):
        if not name.strip() or any(not kind.strip() for kind in below):
            raise ValueError(f"a class and its kinds need names, got {name!r}: {list(below)!r}")
        full = [kind if _names(kind, name) else f"{kind} {name}" for kind in below]
        found = list(dict.fromkeys([*full, name] if keep_class or not full else full))
        names += found
        parents += [place] * len(found)
    return names, torch.tensor(parents)


def _names(kind: str, name: str) -> bool:
    """Whether the words of a class stand, in a row, in the name of a kind."""
    return f" {name.lower()} " in f" {kind.lower()} "


def _check(p_sub: Tensor, p_super: Tensor, parent: Tensor) -> None:
    fits = p_sub.ndim == p_super.ndim == 2 and len(p_sub) == len(p_super)
    if not fits or parent.shape != p_sub.shape[1:] or not p_super.shape[1]:
        raise ValueError(
            "need (batch, subs), (batch, classes) and (subs,), got "
            f"{tuple(p_sub.shape)}, {tuple(p_super.shape)} and {tuple(parent.shape)}"
        )
    for name, p in (("p_sub", p_sub), ("p_super", p_super)):
        whole = torch.isclose(p.sum(dim=1), p.new_ones(()), atol=1e-3)
        if not bool((p >= 0).all() and whole.all()):
            raise ValueError(f"each row of {name} must be a distribution (≥ 0, sum 1)")
    classes = p_super.shape[1]
    known = set(parent.tolist())
    if not known <= set(range(classes)):
        raise ValueError(f"parent must name classes 0 … {classes - 1}, got {sorted(known)}")
    if missing := set(range(classes)) - known:
        raise ValueError(f"every class needs a sub-label, none has class {min(missing)}")
