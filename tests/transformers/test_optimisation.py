"""Label smoothing against PyTorch's, the learning rate against its closed form."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from mmcourse.transformers import label_smoothing_loss, noam_rate


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("ignore", [None, 2])
def test_equals_torch(smoothing, ignore) -> None:
    logits, target = draw(3, 5, 7).requires_grad_(), torch.arange(15).reshape(3, 5) % 7
    ours = label_smoothing_loss(logits, target, smoothing, ignore_id=ignore)
    expected = F.cross_entropy(
        logits.flatten(0, 1),
        target.flatten(),
        label_smoothing=smoothing,
        ignore_index=-100 if ignore is None else ignore,
    )
    assert_close(ours, expected)
    slopes = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (ours, expected)]
    assert_close(*slopes)
    if ignore is not None:  # the padding does count if nobody says otherwise
        assert (label_smoothing_loss(logits, target, smoothing) - expected).abs() > 1e-3


def test_the_best_answer_is_the_smoothed_target_not_certainty() -> None:
    """The minimum is at p = q, where the loss is the entropy of q; certainty costs more."""
    smoothing, size = 0.1, 8
    q = torch.full((1, size), smoothing / size)
    q[0, 3] += 1 - smoothing
    target = torch.tensor([3])
    best = label_smoothing_loss(q.log(), target, smoothing)
    assert_close(best, -(q * q.log()).sum())
    certain = 50 * F.one_hot(target, size).float()
    assert label_smoothing_loss(certain, target, smoothing) > best + 1
    for nudge in draw(20, 1, size):
        assert label_smoothing_loss(q.log() + 0.1 * nudge, target, smoothing) > best


def test_bad_loss_input() -> None:
    loss = unchecked("mmcourse.transformers.optimisation").label_smoothing_loss  # type: ignore
    logits, target = draw(2, 4, 5), torch.zeros(2, 4, dtype=torch.long)
    for smoothing in (-0.1, 1.1, math.nan):
        with rejects(r"smoothing must be in \[0, 1\]"):
            loss(logits, target, smoothing)
    with rejects(r"got \(2, 4, 5\) and \(2, 3\)"):
        loss(logits, target[:, 1:])
    for wrong in (-1, 5):
        with rejects("target must hold tokens from 0 to 4"):
            loss(logits, target + wrong)
    with rejects("nothing but ignore_id"):
        loss(logits, target, ignore_id=0)


@given(st.integers(1, 50_000), st.integers(1, 2048), st.integers(1, 8000))
def test_the_rate_rises_straight_and_falls_like_a_root(step, width, warmup) -> None:
    peak = noam_rate(warmup, width, warmup)
    assert peak == pytest.approx(1 / math.sqrt(width * warmup))
    expected = peak * (step / warmup if step <= warmup else math.sqrt(warmup / step))
    assert noam_rate(step, width, warmup) == pytest.approx(expected)
    assert noam_rate(step, width, warmup, 3.0) == pytest.approx(3 * expected)


def test_the_papers_own_rate() -> None:
    assert noam_rate(4000, 512) == pytest.approx(6.9877e-4, rel=1e-4)
    assert noam_rate(1, 512) == pytest.approx(1.7469e-7, rel=1e-4)


@pytest.mark.parametrize("numbers", [(0, 8, 4), (1, 0, 4), (1, 8, 0)])
def test_bad_rates(numbers) -> None:
    with rejects("must be at least 1 and factor positive, got {}, {}, {}".format(*numbers)):
        noam_rate(*numbers)
    with rejects("factor positive"):
        noam_rate(1, 8, 4, factor=0.0)
