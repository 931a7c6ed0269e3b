"""Predicting captions: against slow loops, PyTorch's decoder and plain probabilities."""

import math

import pytest
import torch
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmcourse.visionlanguage import (
    CaptionDecoder,
    bag_of_words,
    bag_of_words_loss,
    bag_of_words_scores,
    caption_log_likelihood,
    caption_loss,
    caption_scores,
)

plain = unchecked("mmcourse.visionlanguage.caption_prediction")
IDS = torch.tensor([[1, 5, 6, 2, 0], [1, 7, 8, 9, 2], [1, 5, 2, 0, 0]])
SIZES = {"vocab_size": 10, "max_positions": 6, "feature_dim": 12, "width": 16, "num_heads": 2}


def decoder(**sizes: int) -> CaptionDecoder:
    return randomise(CaptionDecoder(**{**SIZES, "depth": 2, **sizes})).eval()


def features(count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, 12, generator=torch.Generator().manual_seed(seed))


# ---- words in order ----


def test_it_equals_pytorchs_decoder() -> None:
    ours = decoder()
    layer = nn.TransformerDecoderLayer(16, 2, 64, 0.0, "gelu", batch_first=True, norm_first=True)
    theirs = randomise(nn.TransformerDecoder(layer, 2, nn.LayerNorm(16)), seed=1).eval()
    for index, block in enumerate(theirs.layers):
        ours.blocks[index] = type(ours.blocks[index]).from_torch(block)
    ours.norm.load_state_dict(theirs.norm.state_dict())
    x = ours.tokens.weight[IDS] + ours.positions.weight[:5]
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    hidden = theirs(x, ours.memory(features()), tgt_mask=mask, tgt_is_causal=True)
    wanted = hidden @ ours.tokens.weight.T
    torch.testing.assert_close(ours(features(), IDS), wanted, rtol=1e-5, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 4), st.integers(0, 50))
def test_no_word_is_seen_before_its_turn(place: int, seed: int) -> None:
    model, changed = decoder(), IDS.clone()
    changed[:, place] = (changed[:, place] + 1 + seed % 8) % 10
    before, after = model(features(), IDS), model(features(), changed)
    torch.testing.assert_close(before[:, :place], after[:, :place])
    assert (before[:, place:] - after[:, place:]).abs().max() > 1e-4


def test_it_reads_the_picture() -> None:
    model, other = decoder(), features()
    other[0] = other[0] + 1
    gap = (model(features(), IDS) - model(other, IDS)).abs().amax((1, 2))
    assert gap[0] > 1e-3
    assert gap[1:].max() == 0


def test_likelihood_against_a_loop() -> None:
    logits = decoder()(features(), IDS)
    wanted, count = [], 0
    for row, caption in zip(logits, IDS.tolist(), strict=True):
        total = 0.0
        for place, word in enumerate(caption[1:]):
            if word != 0:
                shares = row[place].double().exp() / row[place].double().exp().sum()
                total, count = total + math.log(shares[word]), count + 1
        wanted.append(total)
    found = caption_log_likelihood(logits, IDS, pad_id=0)
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-4, atol=1e-4)
    loss = caption_loss(logits, IDS, pad_id=0)
    torch.testing.assert_close(loss, torch.tensor(-sum(wanted) / count), rtol=1e-4, atol=1e-4)
    flat = nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten(), ignore_index=0
    )
    torch.testing.assert_close(loss, flat)
    # a caption scored by its own words, not by the next, would be seen
    shifted = nn.functional.cross_entropy(logits.flatten(0, 1), IDS.flatten(), ignore_index=0)
    assert (shifted - loss).abs() > 1e-2


def test_all_sentences_share_the_probability() -> None:
    """Over all captions of two words the probabilities sum to one."""
    model = decoder(vocab_size=5)
    every = torch.cartesian_prod(torch.tensor([1]), torch.arange(5), torch.arange(5))
    rows = features(1).expand(25, -1, -1)
    log_probs = caption_log_likelihood(model(rows, every), every, pad_id=9)
    torch.testing.assert_close(log_probs.exp().sum(), torch.tensor(1.0))


def test_scores_are_likelihoods_of_all_pairs() -> None:
    model, captions = decoder(), IDS[:2]
    table = caption_scores(model, features(), captions, pad_id=0)
    assert table.shape == (3, 2)
    for j, caption in enumerate(captions):
        row = caption.expand(3, -1)
        wanted = caption_log_likelihood(model(features(), row), row, pad_id=0)
        torch.testing.assert_close(table[:, j], wanted)


def test_nothing_to_predict_costs_nothing() -> None:
    ids = torch.tensor([[1, 0, 0]])
    loss = caption_loss(decoder()(features(1), ids), ids, pad_id=0)
    assert loss.item() == 0
    only = torch.tensor([[1]])
    assert caption_loss(decoder()(features(1), only), only, pad_id=0).item() == 0


def test_it_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = CaptionDecoder(**SIZES)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(80):
        loss = caption_loss(model(features(), IDS), IDS, pad_id=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert caption_scores(model, features(), IDS, pad_id=0).argmax(1).tolist() == [0, 1, 2]


# ---- words in a bag ----


def test_a_bag_forgets_order_and_number() -> None:
    bags = bag_of_words(torch.tensor([[1, 5, 6, 6, 2], [1, 6, 5, 2, 0]]), 8, ignore=(0, 1, 2))
    torch.testing.assert_close(bags[0], bags[1])
    assert bags[0].tolist() == [0, 0, 0, 0, 0, 0.5, 0.5, 0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(3, 9), min_size=4, max_size=4), min_size=1, max_size=5))
def test_bags_against_sets(rows: list[list[int]]) -> None:
    bags = bag_of_words(torch.tensor(rows), 10, ignore=(0, 1, 2))
    for bag, row in zip(bags, rows, strict=True):
        assert {i for i, share in enumerate(bag.tolist()) if share} == set(row)
        torch.testing.assert_close(bag.sum(), torch.tensor(1.0))


def test_bag_loss_and_scores_against_probabilities() -> None:
    logits = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    bags = bag_of_words(IDS, 10, ignore=(0, 1, 2))
    shares = logits.double().exp() / logits.double().exp().sum(1, keepdim=True)
    words = [[5, 6], [7, 8, 9], [5]]
    wanted = [[sum(shares[i, w].log() for w in ws) / len(ws) for ws in words] for i in range(3)]
    scores = bag_of_words_scores(logits, bags)
    torch.testing.assert_close(scores.double(), torch.tensor(wanted).double(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(bag_of_words_loss(logits, bags), -scores.diagonal().mean())


def test_a_bag_is_learnt() -> None:
    bags = bag_of_words(IDS, 10, ignore=(0, 1, 2))
    logits = nn.Parameter(torch.zeros(3, 10))
    optimizer = torch.optim.Adam([logits], 0.2)
    for _ in range(150):
        loss = bag_of_words_loss(logits, bags)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    floor = -(bags * bags.clamp(min=1e-9).log()).sum(1).mean()  # the bag's own entropy
    assert floor <= loss < floor + 0.02


# ---- what is refused ----


def test_bad_input() -> None:
    model = plain.CaptionDecoder(**SIZES)
    for ids in (IDS.float(), IDS[:2], IDS[0], IDS[:, :0], torch.zeros(3, 7, dtype=torch.long)):
        with rejects("one caption a picture, 1 … 6 tokens"):
            model(features(), ids)
    with rejects("lie in 0 … 9"):
        model(features(), IDS + 1)
    for sizes in ({"vocab_size": 0}, {"depth": 0}, {"feature_dim": 0}):
        with rejects("at least 1"):
            plain.CaptionDecoder(**{**SIZES, **sizes})
    with rejects("multiple of num_heads"):
        plain.CaptionDecoder(**{**SIZES, "num_heads": 3})
    logits = torch.zeros(3, 5, 10)
    with rejects("logits must be"):
        plain.caption_log_likelihood(logits, IDS[:2], pad_id=0)
    with rejects("needs a word"):
        plain.bag_of_words(torch.tensor([[1, 2, 0]]), 10, ignore=(0, 1, 2))
    with rejects("lie in 0 … 9"):
        plain.bag_of_words(IDS + 1, 10)
    with rejects("share a shape"):
        plain.bag_of_words_loss(torch.zeros(3, 9), torch.zeros(3, 10))
    with rejects("vocabularies differ"):
        plain.bag_of_words_scores(torch.zeros(3, 9), torch.zeros(2, 10))


@pytest.mark.parametrize("count", [1, 2])
def test_extreme_scores_stay_finite(count: int) -> None:
    logits = torch.full((count, 5, 10), 1e4)
    logits[..., 0] = -1e4
    assert torch.isfinite(caption_loss(logits, IDS[:count], pad_id=0))
    bags = bag_of_words(IDS[:count], 10, ignore=(0, 1, 2))
    assert torch.isfinite(bag_of_words_loss(logits[:, 0], bags))
