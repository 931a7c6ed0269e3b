"""CLIP's loss: loops, libraries, several processes, bad input."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import BadInput, rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st
from open_clip import ClipLoss
from ranks import check_like_one
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

from mmcourse.visionlanguage import clip_loss

SCRIPT = Path(__file__).parent / "clip_across_ranks.py"
plain = unchecked("mmcourse.visionlanguage.clip")


def pairs(count: int, width: int = 6, seed: int = 0) -> list[torch.Tensor]:
    """Unit vectors of pictures and captions, and the log of a scale."""
    source = torch.Generator().manual_seed(seed)
    vectors = F.normalize(torch.randn(2, count, width, generator=source), dim=-1)
    log = torch.tensor(math.log(1 / 0.07))
    return [*(v.clone().requires_grad_() for v in vectors), log.requires_grad_()]


def by_loops(images: torch.Tensor, texts: torch.Tensor, log: torch.Tensor) -> torch.Tensor:
    """The mean surprise of both questions, one at a time."""
    total, n = torch.zeros(()), len(images)
    for i in range(n):
        captions = torch.stack([(log.exp() * images[i] @ texts[j]).exp() for j in range(n)])
        pictures = torch.stack([(log.exp() * images[j] @ texts[i]).exp() for j in range(n)])
        total = total - (captions[i] / captions.sum()).log() - (pictures[i] / pictures.sum()).log()
    return total / (2 * n)


def transformers_loss(images, texts, log) -> torch.Tensor:
    return image_text_contrastive_loss(texts @ images.T * log.exp())


def open_clip_loss(images, texts, log) -> torch.Tensor:
    return ClipLoss()(images, texts, log.exp())


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("reference", [by_loops, transformers_loss, open_clip_loss])
def test_value_and_gradient_agree(reference, count: int) -> None:
    inputs = pairs(count)
    ours, theirs = clip_loss(*inputs), reference(*inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    wanted = torch.autograd.grad(theirs, inputs)
    for mine, other in zip(torch.autograd.grad(ours, inputs), wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_the_common_mistakes_would_be_seen() -> None:
    """One way alone, a sum of both, the scale not a log, the reciprocal, no scale at all."""
    images, texts, log = pairs(7)
    right, own = clip_loss(images, texts, log), torch.arange(7)
    logits = log.exp() * images @ texts.T
    wrong = [
        F.cross_entropy(logits, own),
        F.cross_entropy(logits.T, own),
        F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own),
        clip_loss(images, texts, log.log()),
        clip_loss(images, texts, -log),
        clip_loss(images, texts, 0.0),
    ]
    for value in wrong:
        assert (value - right).abs() > 1e-3


@given(st.integers(1, 9), st.integers(0, 99), st.floats(-2, 4.6))
def test_what_is_true_of_every_batch(count: int, seed: int, log: float) -> None:
    images, texts, _ = pairs(count, seed=seed)
    loss = clip_loss(images, texts, log)
    assert -1e-5 <= loss <= math.log(count) + 2 * math.exp(log) + 1e-3
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(clip_loss(images[order], texts[order], log), loss, **close)
    torch.testing.assert_close(clip_loss(texts, images, log), loss, **close)  # it is symmetric


def test_who_knows_nothing_pays_log_n() -> None:
    same = torch.ones(32, 4) / 2
    torch.testing.assert_close(clip_loss(same, same, 3.0), torch.tensor(math.log(32)))
    images, texts, _ = pairs(32, 4096)
    assert clip_loss(images, texts, 0.0).item() == pytest.approx(math.log(32), abs=0.02)


def test_one_batch_can_be_learnt_and_the_temperature_with_it() -> None:
    images, texts, _ = pairs(16, 8)
    log = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([images, texts, log], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = clip_loss(F.normalize(images, dim=1), F.normalize(texts, dim=1), log)
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert log > 1  # the surer the answers, the sharper the softmax


# ---- bad input ----


def test_a_single_pair_costs_nothing_and_teaches_nothing() -> None:
    inputs = pairs(1)
    loss = clip_loss(*inputs)
    assert loss.item() == 0
    assert all(not grad.any() for grad in torch.autograd.grad(loss, inputs))


def test_a_caption_that_stands_twice_costs_log_2() -> None:
    texts = torch.eye(4)[[0, 0, 1, 2]]
    right = [(log, clip_loss(texts, texts, log).item()) for log in (4.0, 6.0)]
    for _, value in right:  # two of four pairs are undecided between twins, both ways
        assert value == pytest.approx(math.log(2) / 2, abs=1e-6)


def test_vectors_of_zeros_leave_all_finite() -> None:
    images, texts, log = pairs(5)
    zeroed = [torch.zeros(5, 6), images.detach() * torch.tensor([[0.0], [1], [1], [1], [1]])]
    for vectors in zeroed:
        inputs = [vectors.clone().requires_grad_(), texts, log]
        loss = clip_loss(*inputs)
        assert loss.isfinite()
        assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(loss, inputs))
    assert clip_loss(torch.zeros(5, 6), texts, log).item() == pytest.approx(math.log(5))


@pytest.mark.parametrize("log", [float("nan"), float("inf"), 100.0])
def test_a_scale_must_be_finite(log: float) -> None:
    images, texts, _ = pairs(3)
    for given_as in (log, torch.tensor(log)):
        with rejects(r"exp\(logit_scale\) must be finite"):
            plain.clip_loss(images, texts, given_as)


def test_an_extreme_scale_stays_finite() -> None:
    images, texts, _ = pairs(3)
    for log in (-50.0, math.log(100), 20.0):
        loss = clip_loss(images, texts, torch.tensor(log))
        assert loss.isfinite()
        assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(loss, [images, texts]))


def test_shapes_are_refused_by_name() -> None:
    three = torch.randn(3, 4)
    bare = unchecked("mmcourse.selfsupervision.contrastive").symmetric_info_nce
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "symmetric_info_nce", bare)
        with rejects("got 3 and 2 rows"):
            plain.clip_loss(three, three[:2], 1.0)
        with rejects("of the same d"):
            plain.clip_loss(three, torch.randn(3, 5), 1.0)
        with rejects("at least one"):
            plain.clip_loss(three[:0], three[:0], 1.0)
        with rejects("must be float"):
            plain.clip_loss(three.long(), three.long(), 1.0)
    with pytest.raises(BadInput):
        clip_loss(three, three[:2], 1.0)


def test_the_loss_is_float32_also_under_autocast() -> None:
    images, texts, log = pairs(6)
    wanted = clip_loss(images, texts, log)
    with torch.autocast("cpu", torch.bfloat16):
        loss = clip_loss(images, texts, log)
    torch.testing.assert_close(loss, wanted)


# ---- several processes ----


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_several_processes_have_the_loss_and_gradient_of_one(ranks: int, tmp_path: Path) -> None:
    tolerances = {"rel": 1e-10, "grad_rel": 1e-8, "grad_abs": 1e-11}
    check_like_one(SCRIPT, tmp_path, processes=ranks, **tolerances)
