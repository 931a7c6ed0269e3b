"""BERT's two exercises: shares, against transformers' collator, and what is never done."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer, DataCollatorForLanguageModeling

from mmcourse.transformers import mask_tokens, next_sentence_pairs
from mmcourse.transformers.masking import IS_NEXT, NOT_NEXT

plain = unchecked("mmcourse.transformers.masking")
SPECIAL, MASK, SIZE = [0, 1, 2, 3, 4], 4, 40
OPTIONS = {"mask_id": MASK, "vocab_size": SIZE, "special_ids": SPECIAL}


def sentences(rows: int = 2000, tokens: int = 64) -> torch.Tensor:
    """[CLS] words … [SEP] words … [SEP] [PAD] …"""
    source = torch.Generator().manual_seed(1)
    ids = torch.randint(5, SIZE, (rows, tokens), generator=source)
    ids[:, 0], ids[:, 20], ids[:, 50], ids[:, 51:] = 2, 3, 3, 0
    return ids


def shares(ids: torch.Tensor, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Of the ordinary tokens: selected; of these: [MASK], another token, unchanged."""
    ordinary, selected = ids > 4, labels != -100
    masked, same = inputs == MASK, inputs == ids
    return {
        "selected": (selected.sum() / ordinary.sum()).item(),
        "masked": (masked & selected).sum().item() / selected.sum().item(),
        "random": (~masked & ~same & selected).sum().item() / selected.sum().item(),
        "same": (same & selected).sum().item() / selected.sum().item(),
    }


def theirs(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(5, SIZE))]
    tokenizer = BertTokenizer({name: number for number, name in enumerate(names)})
    collate = DataCollatorForLanguageModeling(tokenizer, seed=3)
    batch = collate([{"input_ids": row} for row in ids.tolist()])
    return batch["input_ids"], batch["labels"]


def test_shares_are_those_of_the_paper_and_of_transformers(generator):
    ids = sentences()
    ours = shares(ids, *mask_tokens(ids, **OPTIONS, generator=generator))
    reference = shares(ids, *theirs(ids))
    # A random token is one of 40: now and then it is [MASK] or the old one itself.
    expected = {"selected": 0.15, "masked": 0.8 + 0.1 / 40, "random": 0.0, "same": 0.1 + 0.1 / 40}
    expected["random"] = 0.1 * 38 / 40
    count = 0.15 * (ids > 4).sum().item()
    for name, share in expected.items():
        total = (ids > 4).sum().item() if name == "selected" else count
        tolerance = 4 * (share * (1 - share) / total) ** 0.5  # four standard errors
        assert abs(ours[name] - share) < tolerance, name
        assert abs(reference[name] - share) < tolerance, name
        assert abs(ours[name] - ours["selected"]) > tolerance or name == "selected"


def test_of_all_tokens_twelve_and_twice_one_and_a_half_per_cent(generator):
    ids = torch.randint(5, 30_000, (300, 512), generator=generator)
    options = {**OPTIONS, "vocab_size": 30_000}
    inputs, labels = mask_tokens(ids, **options, generator=generator)
    selected = labels != -100
    of_all = [(inputs == MASK) & selected, (inputs != MASK) & (inputs != ids), selected]
    for found, wanted in zip(of_all, (0.12, 0.015, 0.15), strict=True):
        assert abs(found.float().mean().item() - wanted) < 0.002


def test_labels_are_the_true_tokens_where_selected_and_nowhere_else(generator):
    ids = sentences(200)
    inputs, labels = mask_tokens(ids, **OPTIONS, generator=generator)
    selected = labels != -100
    assert torch.equal(labels[selected], ids[selected])
    assert torch.equal(inputs[~selected], ids[~selected])
    assert not selected[ids <= 4].any(), "special tokens are never selected"
    kept = selected & (inputs == ids)
    assert kept.any(), "a tenth stays as it is and is predicted all the same"


def test_the_random_token_is_any_of_the_vocabulary(generator):
    ids = torch.full((400, 100), 7)
    inputs, labels = mask_tokens(ids, **OPTIONS, probability=1.0, generator=generator)
    drawn = Counter(inputs[(inputs != MASK) & (inputs != 7)].tolist())
    assert set(drawn) == set(range(SIZE)) - {MASK, 7}, "special tokens among them"
    counts = torch.tensor([float(n) for n in drawn.values()])
    expected = 4000 / SIZE
    chi = ((counts - expected) ** 2 / expected).sum().item()
    assert chi < 38 + 5 * (2 * 38) ** 0.5
    assert (labels == 7).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=30),
    st.floats(0, 1),
    st.integers(0, 10**6),
)
def test_what_holds_always(tokens, probability, seed):
    ids = torch.tensor(tokens)
    before = ids.clone()
    source = torch.Generator().manual_seed(seed)
    inputs, labels = mask_tokens(ids, **OPTIONS, probability=probability, generator=source)
    assert torch.equal(ids, before), "the input is left alone"
    changed = inputs != ids
    assert (labels[changed] == ids[changed]).all()
    assert torch.isin(labels, torch.cat([ids, torch.tensor([-100])])).all()
    again = torch.Generator().manual_seed(seed)
    same = mask_tokens(ids, **OPTIONS, probability=probability, generator=again)
    assert torch.equal(same[0], inputs)
    assert torch.equal(same[1], labels)


def test_probability_zero_and_one(generator):
    ids = sentences(5)
    inputs, labels = mask_tokens(ids, **OPTIONS, probability=0.0, generator=generator)
    assert torch.equal(inputs, ids)
    assert (labels == -100).all()
    _, labels = mask_tokens(ids, **OPTIONS, probability=1.0, generator=generator)
    assert torch.equal(labels != -100, ids > 4)


# ---- next-sentence pairs ----

DOCUMENTS = [[f"{name}{i}" for i in range(n)] for name, n in (("a", 5), ("b", 3), ("c", 1))]


def test_pairs_are_true_successors_or_from_another_document(generator):
    pairs = [p for _ in range(400) for p in next_sentence_pairs(DOCUMENTS, generator=generator)]
    following = {first: second for document in DOCUMENTS for first, second in pairwise(document)}
    for first, second, label in pairs:
        assert (second == following[first]) == (label == IS_NEXT)
        assert label == IS_NEXT or second[0] != first[0], "B is of another document"
    share = sum(label == IS_NEXT for *_, label in pairs) / len(pairs)
    assert abs(share - 0.5) < 0.04
    assert len(pairs) == 400 * 6
    wrong = Counter(
        second for first, second, label in pairs if label == NOT_NEXT and first[0] == "a"
    )
    assert set(wrong) == {"b0", "b1", "b2", "c0"}, "any sentence of any other document"


def test_the_label_says_is_next_by_zero():
    assert (IS_NEXT, NOT_NEXT) == (0, 1)


def test_pairs_repeat_with_the_seed():
    first, second, other = (
        next_sentence_pairs(DOCUMENTS * 5, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert first == second != other


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([["a", "b"]], "from another document: need two, got 1"),
        ([], "need two, got 0"),
        ([["a", "b"], []], "need two, got 1"),
        ([["a"], ["b"]], "at least two sentences, got only single ones"),
    ],
)
def test_pairs_need_two_documents(documents, message):
    with rejects(message):
        plain.next_sentence_pairs(documents)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": torch.tensor([1.0, 2.0])}, "whole numbers .* got torch.float32"),
        ({"ids": torch.empty(0, dtype=torch.long)}, r"got torch.int64 of shape \(0,\)"),
        ({"ids": torch.tensor([3, 40])}, r"ids must lie in 0 … 39, got 3 … 40"),
        ({"ids": torch.tensor([-1])}, "got -1 … -1"),
        ({"mask_id": 40}, "mask_id must lie in 0 … 39, got 40"),
        ({"probability": 15.0}, r"probability must be in \[0, 1\], got 15"),
    ],
)
def test_bad_input(change, message):
    good = {"ids": torch.tensor([5, 6]), **OPTIONS}
    given = {**good, **change}
    with rejects(message):
        plain.mask_tokens(given.pop("ids"), **given)
