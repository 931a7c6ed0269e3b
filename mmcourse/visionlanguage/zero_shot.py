"""Zero-shot: a classifier made of words, and how well texts find their pictures."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Template = str | Callable[[str], str]
VECTORS = Float[Tensor, "rows d"]


def zero_shot_weights(
    encode_text: Callable[[list[str]], Tensor],
    class_names: Sequence[str],
    templates: Sequence[Template],
) -> Float[Tensor, "d classes"]:
    """One unit vector a class: the direction of the mean of its prompts' directions.

    w_c = norm( 1/T Σ_t norm(text(template_t(name_c))) ),   norm(v) = v / ‖v‖

    The score of a picture's unit vector x for class c is ⟨x, w_c⟩; however many templates there
    are, a picture costs one product with (d, classes).

    Args:
        encode_text: texts → (texts, d); of any length, they are made unit vectors here.
        class_names: one name a class, at least one. Two classes of one name get one vector.
        templates: text with a place {} for the name, or functions name → text; at least one.

    Returns:
        (d, classes), on the device of the texts' vectors.

    Raises:
        ValueError: no class or template, an empty class name, one string in place of several, a
            template without {}, or an encoder that does not give one vector a text.

    Source: Radford et al. 2021, arXiv:2103.00020, §3.1.4, and the notebook of its 80 templates.
    """
    _check(class_names, templates)
    texts = [_fill(template, name) for name in class_names for template in templates]
    vectors = encode_text(texts)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        got = tuple(vectors.shape)
        raise ValueError(f"encode_text must give {len(texts)} vectors, (texts, d), got {got}")
    each = F.normalize(vectors.unflatten(0, (len(class_names), len(templates))), dim=-1)
    return F.normalize(each.mean(dim=1), dim=-1).T


def _fill(template: Template, name: str) -> str:
    return template.format(name) if isinstance(template, str) else template(name)


def _check(class_names: Sequence[str], templates: Sequence[Template]) -> None:
    for what, given in (("class_names", class_names), ("templates", templates)):
        if isinstance(given, str):
            raise ValueError(f"{what} must be a list of strings, got the one string {given!r}")
        if not len(given):
            raise ValueError(f"need at least one of {what}, got none")
    for place, name in enumerate(class_names):
        if not name.strip():
            raise ValueError(f"a class needs a name, got {name!r} at place {place}")
    for template in templates:
        if isinstance(template, str) and not _has_place(template):
            raise ValueError(f"a template needs a place {{}} for the name, got {template!r}")


def _has_place(template: str) -> bool:
    try:
        return "\0" in template.format("\0")
    except (IndexError, KeyError, ValueError):  # two places, a named one, a lone brace
        return False


def retrieval_ranks(queries: VECTORS, items: VECTORS) -> Int[Tensor, " rows"]:
    """How many items lie before the right one: row i of the items belongs to query i.

    r_i = #{ j : ⟨q_i, x_j⟩ > ⟨q_i, x_i⟩ } + #{ j < i : ⟨q_i, x_j⟩ = ⟨q_i, x_i⟩ }

    The share of ranks below k is recall at k, R@k.

    Args:
        queries, items: unit vectors, (rows, d).

    Returns:
        ranks from 0 (found first) to rows − 1. Of equally near items the earlier comes first, so
        that a model which sees no difference does not score.

    Raises:
        ValueError: different shapes, or no row.

    Source: none; the definition of recall at k, with a rule for ties.
    """
    if queries.shape != items.shape or queries.ndim != 2 or not len(queries):
        shapes = f"{tuple(queries.shape)} and {tuple(items.shape)}"
        raise ValueError(f"queries and items must be pairs, both (rows ≥ 1, d), got {shapes}")
    scores = queries @ items.T
    own = scores.diagonal()[:, None]
    earlier = torch.ones_like(scores, dtype=torch.bool).tril(-1)
    return ((scores > own) | ((scores == own) & earlier)).sum(dim=1)
