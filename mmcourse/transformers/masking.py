"""BERT's two exercises, made from plain text: hidden words, and pairs of sentences."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mmcourse.multimodal.ids import check_ids

IGNORED = -100  # the label of a token that is not to be predicted; cross-entropy leaves it out
IS_NEXT, NOT_NEXT = 0, 1


def mask_tokens(
    ids: Int[Tensor, "*batch tokens"],
    *,
    mask_id: int,
    vocab_size: int,
    special_ids: Iterable[int],
    probability: float = 0.15,
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "*batch tokens"], Int[Tensor, "*batch tokens"]]:
    """Select tokens to predict, and hide most of them.

    Each token is selected with `probability`. Of the selected, 80 % become [MASK], 10 % a
    random token, and 10 % stay as they are, *but are predicted all the same*.

    Args:
        ids: (…, tokens), numbers from 0 to `vocab_size` − 1.
        mask_id: number of [MASK].
        vocab_size: the random token is any of the vocabulary, special ones included.
        special_ids: numbers of tokens that are never selected: [CLS], [SEP], [PAD] …
        probability: in [0, 1].

    Returns:
        inputs, what the model reads; labels, the true number where selected, −100 elsewhere.

    Raises:
        ValueError: ids that are no integers or out of range, a bad mask_id or probability.

    Source: Devlin et al. 2019, arXiv:1810.04805, §3.1 and appendix A.1. Google's code selects
    exactly round(0.15 n) tokens of each sequence; here, as in transformers, each by itself.
    """
    form = "be whole numbers of shape (…, tokens)"
    check_ids(ids, vocab_size, form=form, fits=ids.numel() > 0)
    if not 0 <= mask_id < vocab_size:
        raise ValueError(f"mask_id must lie in 0 … {vocab_size - 1}, got {mask_id}")
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability must be in [0, 1], got {probability}")
    special = torch.isin(ids, torch.tensor(sorted(special_ids), device=ids.device))

    def chance() -> Tensor:
        return torch.rand(ids.shape, generator=generator).to(ids.device)

    selected = (chance() < probability) & ~special
    fate = chance()  # < 0.8: [MASK]; 0.8 … 0.9: random; above: unchanged
    other = torch.randint(vocab_size, ids.shape, generator=generator).to(ids)
    inputs = ids.masked_fill(selected & (fate < 0.8), mask_id)
    inputs = torch.where(selected & (fate >= 0.8) & (fate < 0.9), other, inputs)
    return inputs, ids.masked_fill(~selected, IGNORED)


class SentencePair(NamedTuple):
    """Two sentences, and whether the second follows the first: 0 = IsNext, 1 = NotNext."""

    first: str
    second: str
    label: int


def next_sentence_pairs(
    documents: Sequence[Sequence[str]], *, generator: torch.Generator | None = None
) -> list[SentencePair]:
    """Pairs for next-sentence prediction, one for each sentence that has a successor.

    A coin decides: the true next sentence (IsNext), or any sentence of *another* document
    (NotNext). Another one, since a sentence of the same document might well follow.

    Args:
        documents: each a list of sentences in order; one of a single sentence only lends
            it as a false successor.

    Returns:
        (first, second, label) in the order of the documents.

    Raises:
        ValueError: fewer than two documents with sentences, or none with two sentences.

    Source: Devlin et al. 2019, arXiv:1810.04805, §3.1. Google's code joins sentences up to the
    wanted length; here each part is one sentence.
    """
    filled = [list(document) for document in documents if len(document)]
    if len(filled) < 2:
        raise ValueError(
            f"a false successor comes from another document: need two, got {len(filled)}"
        )
    if max(map(len, filled)) < 2:
        raise ValueError("need a document of at least two sentences, got only single ones")

    def draw(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    pairs = []
    for index, document in enumerate(filled):
        for first, second in pairwise(document):
            if draw(2):
                pairs.append(SentencePair(first, second, IS_NEXT))
                continue
            other = draw(len(filled) - 1)
            strange = filled[other + (other >= index)]  # any document but this one
            pairs.append(SentencePair(first, strange[draw(len(strange))], NOT_NEXT))
    return pairs
