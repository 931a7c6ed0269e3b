"""Soft attention and its regulariser against loops, and against the mistakes people make."""

import math

import pytest
import torch
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.multimodal import (
    GridEncoder,
    SoftAttention,
    attention_centres,
    doubly_stochastic_penalty,
    soft_context,
)

plain = unchecked("mmcourse.multimodal.soft_attention")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_attention_against_a_loop(seed: int) -> None:
    model = randomise(SoftAttention(4, 3, 5), seed)
    a, h = normal(2, 6, 4, seed=seed), normal(2, 3, seed=seed + 1)
    w_a, bias = model.from_place.weight, model.from_place.bias
    context, weights = model(a, h)
    for n in range(2):
        scores = []
        for i in range(6):
            score = 0.0
            for k in range(5):
                inside = bias[k] + sum(w_a[k, j] * a[n, i, j] for j in range(4))
                inside = inside + sum(model.from_state.weight[k, j] * h[n, j] for j in range(3))
                score += model.score.weight[0, k].item() * math.tanh(inside.item())
            scores.append(score + 0.7)  # the authors' constant c changes nothing
        total = sum(math.exp(score) for score in scores)
        alpha = [math.exp(score) / total for score in scores]
        wanted = sum(share * a[n, i] for i, share in enumerate(alpha))
        torch.testing.assert_close(weights[n], torch.tensor(alpha), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(context[n], wanted, rtol=1e-4, atol=1e-5)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_places_may_be_listed_in_any_order(seed: int) -> None:
    model = randomise(SoftAttention(4, 3, 5), seed)
    a, h = normal(2, 6, 4, seed=seed), normal(2, 3, seed=seed + 1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    context, weights = model(a, h)
    moved, moved_weights = model(a[:, order], h, model.keys(a)[:, order])
    torch.testing.assert_close(moved, context)
    torch.testing.assert_close(moved_weights, weights[:, order])


def test_the_softmax_is_over_places() -> None:
    a, scores = normal(3, 5, 4), normal(3, 5, seed=1)
    context, weights = soft_context(a, scores)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    assert (weights.sum(0) - 1).abs().max() > 0.05  # over the batch they need not
    low, high = a.amin(1), a.amax(1)  # a mixture lies between what it mixes
    assert ((context >= low - 1e-6) & (context <= high + 1e-6)).all()


# ---- the doubly stochastic term ----


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_the_penalty_against_a_loop(seed: int) -> None:
    weights = normal(3, 4, 5, seed=seed).softmax(2)
    mask = torch.arange(4) < torch.tensor([4, 2, 3])[:, None]
    total = 0.0
    for n in range(3):
        for i in range(5):
            seen = sum(weights[n, t, i].item() for t in range(4) if mask[n, t])
            total += (1 - seen) ** 2
    assert doubly_stochastic_penalty(weights, mask).item() == pytest.approx(total / 3, abs=1e-5)


def test_mistakes_would_be_seen() -> None:
    weights, words = normal(3, 4, 5).softmax(2), torch.ones(3, 4, dtype=torch.bool)
    ours = doubly_stochastic_penalty(weights, words)
    over_places = (1 - weights.sum(2)).square().sum(1).mean()  # 0: α sums to 1 there anyhow
    assert over_places < 1e-6
    authors = (1 - weights.sum(1)).square().sum(0).mean()  # sum of captions, mean of places
    torch.testing.assert_close(authors, ours * 3 / 5)
    padded = words.clone()
    padded[0, 2:] = False
    assert abs(doubly_stochastic_penalty(weights, padded) - ours) > 0.01


def test_the_least_penalty() -> None:
    """Every place once is 0; T words over L places cannot do better than (L − T)² / L."""
    words = torch.ones(1, 4, dtype=torch.bool)
    assert doubly_stochastic_penalty(torch.eye(4)[None], words).item() == 0
    alike = torch.full((1, 4, 10), 0.1)
    assert doubly_stochastic_penalty(alike, words).item() == pytest.approx(36 / 10, rel=1e-5)
    assert doubly_stochastic_penalty(normal(1, 4, 10).softmax(2), words) > 3.6
    stuck = torch.zeros(1, 4, 10)
    stuck[..., 0] = 1
    assert doubly_stochastic_penalty(stuck, words).item() == 9 + 9


# ---- where ----


def test_centres_by_hand() -> None:
    weights = torch.zeros(1, 3, 8)
    weights[0, 0, 0] = 1  # upper left of 2 rows and 4 columns
    weights[0, 1, 7] = 1  # lower right
    weights[0, 2, [1, 5]] = 0.5
    centres = attention_centres(weights, (2, 4))[0]
    torch.testing.assert_close(centres, torch.tensor([[0.125, 0.25], [0.875, 0.75], [0.375, 0.5]]))


def test_the_encoder_keeps_places_apart() -> None:
    """A pixel reaches only the cells near it, and each cell knows its column and its row."""
    encoder = GridEncoder((4, 6, 5), halvings=2).eval()
    x = normal(2, 3, 16, 24)
    before = encoder(x)
    assert before.shape == (2, 4 * 6, 7)
    assert encoder.feature_dim == 7
    changed = x.clone()
    changed[:, :, 0, 0] += 3
    gap = (encoder(changed) - before).abs().amax((0, 2)).reshape(4, 6)
    assert gap[0, 0] > 0
    assert gap[2:].max() == 0
    assert gap[:, 2:].max() == 0
    where = before[0, :, 5:].reshape(4, 6, 2)
    torch.testing.assert_close(where[1, :, 0], torch.linspace(-1, 1, 6))
    torch.testing.assert_close(where[:, 4, 1], torch.linspace(-1, 1, 4))


def test_bad_input() -> None:
    with rejects("annotations"):
        plain.soft_context(normal(2, 3, 4), normal(2, 4))
    with rejects("sizes must be at least 1"):
        plain.SoftAttention(4, 0, 5)
    with rejects("a mask"):
        plain.doubly_stochastic_penalty(normal(2, 3, 4), torch.ones(2, 4).bool())
    with rejects("2 × 3 cells do not fit"):
        plain.attention_centres(normal(1, 2, 5), (2, 3))
    encoders = unchecked("mmcourse.multimodal.grid_encoder")
    for channels, halvings in (((), 0), ((4, 0), 1), ((4, 4), 2)):
        with rejects("fewer halvings than levels"):
            encoders.GridEncoder(channels, halvings=halvings)
    for shape in ((1, 3, 8, 6), (1, 1, 8, 8), (3, 8, 8)):
        with rejects("sides that 4 divides"):
            encoders.GridEncoder((4, 4, 4))(torch.zeros(shape))
