"""InfoNCE and NT-Xent: loops, libraries, several processes, bad input."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import BadInput, rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st
from lightly.loss import NTXentLoss
from open_clip import ClipLoss
from ranks import check_like_one

from mmcourse.selfsupervision import gather, info_nce, nt_xent, symmetric_info_nce

SCRIPT = Path(__file__).parent / "across_ranks.py"
plain = unchecked("mmcourse.selfsupervision.contrastive")
simclr = unchecked("mmcourse.selfsupervision.simclr")


def views(count: int, width: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(2, count, width, generator=torch.Generator().manual_seed(seed))
    return z[0].requires_grad_(), z[1].requires_grad_()


def by_loops(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    """The formula of the slide, one term at a time."""
    z, n = [*z1, *z2], len(z1)
    total = torch.zeros(())
    for i in range(2 * n):
        terms = [
            torch.exp(F.cosine_similarity(z[i], z[k], dim=0) / temperature)
            for k in range(2 * n)
            if k != i
        ]
        partner = torch.exp(F.cosine_similarity(z[i], z[(i + n) % (2 * n)], dim=0) / temperature)
        total = total - torch.log(partner / torch.stack(terms).sum())
    return total / (2 * n)


def both(loss, z1: torch.Tensor, z2: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Value and gradients."""
    value = loss(z1, z2)
    return value.detach(), *torch.autograd.grad(value, [z1, z2])


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_nt_xent_is_the_formula(count: int, temperature: float) -> None:
    z = views(count)
    ours = both(lambda a, b: nt_xent(a, b, temperature), *z)
    theirs = both(lambda a, b: by_loops(a, b, temperature), *z)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_nt_xent_agrees_with_lightly(temperature: float) -> None:
    z = views(33, 16)
    ours = both(lambda a, b: nt_xent(a, b, temperature), *z)
    theirs = both(NTXentLoss(temperature=temperature), *z)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_common_mistakes_would_be_seen() -> None:
    """Self not masked, partners i ± 1, negatives of the other view alone, dot products, a sum."""
    z1, z2 = views(5)
    right = nt_xent(z1, z2, 0.5).item()
    u = F.normalize(torch.cat([z1, z2]), dim=1)
    partner = (torch.arange(10) + 5) % 10
    unmasked = F.cross_entropy(u @ u.T / 0.5, partner)
    masked = (u @ u.T / 0.5).fill_diagonal_(-torch.inf)
    neighbours = F.cross_entropy(masked, torch.arange(10) ^ 1)
    one_way = F.cross_entropy(u[:5] @ u[5:].T / 0.5, torch.arange(5))
    z = torch.cat([z1, z2])
    dots = F.cross_entropy((z @ z.T / 0.5).fill_diagonal_(-torch.inf), partner)
    for wrong in (unmasked, neighbours, one_way, dots, 2 * torch.tensor(right)):
        assert abs(wrong.item() - right) > 0.02
    torch.testing.assert_close(F.cross_entropy(masked, partner).item(), right)


def test_symmetric_agrees_with_open_clip() -> None:
    a, b = (F.normalize(z.detach(), dim=1).requires_grad_() for z in views(9))
    scale = torch.tensor(11.0, requires_grad=True)
    inputs = [a, b, scale]
    ours = symmetric_info_nce(a, b, scale)
    theirs = ClipLoss()(a, b, scale)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    own = torch.arange(9)
    halves = info_nce(a, b, own, scale=scale), info_nce(b, a, own, scale=scale)
    torch.testing.assert_close(ours, sum(halves) / 2)


def test_more_keys_than_queries() -> None:
    q, k = torch.randn(3, 4), torch.randn(7, 4)
    positive, exclude = torch.tensor([6, 0, 2]), torch.tensor([1, 5, 0])
    total = 0.0
    for i in range(3):
        left = [j for j in range(7) if j != exclude[i]]
        terms = {j: math.exp(1.5 * float(q[i] @ k[j])) for j in left}
        total -= math.log(terms[int(positive[i])] / sum(terms.values()))
    ours = info_nce(q, k, positive, scale=1.5, exclude=exclude)
    assert ours.item() == pytest.approx(total / 3, rel=1e-4)


@given(
    st.integers(1, 8), st.integers(1, 5), st.floats(0.05, 5), st.integers(0, 99), st.floats(0.1, 9)
)
def test_what_is_true_of_every_batch(n: int, d: int, t: float, seed: int, length: float) -> None:
    z1, z2 = (z.detach() for z in views(n, d, seed))
    loss = nt_xent(z1, z2, t)
    assert 0 <= loss + 1e-6 <= math.log(max(2 * n - 1, 1)) + 2 / t + 1e-5
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    close = {"rtol": 1e-3, "atol": 1e-5}
    torch.testing.assert_close(nt_xent(z2[order], z1[order], t), loss, **close)
    torch.testing.assert_close(nt_xent(z1 * length, z2, t), loss, **close)


def test_one_batch_can_be_learnt() -> None:
    z1, z2 = views(16, 8)
    optimizer = torch.optim.Adam([z1, z2], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss = nt_xent(z1, z2, 0.1)
        loss.backward()
        optimizer.step()
    assert loss < 0.01


# ---- bad input ----


def test_a_single_picture_all_alike_and_nothing_at_all() -> None:
    for z, wanted in (
        (torch.randn(1, 4), 0.0),
        (torch.ones(8, 4), math.log(15)),
        (torch.zeros(8, 4), math.log(15)),
    ):
        z1, z2 = z.clone().requires_grad_(), z.clone().requires_grad_()
        value, *grads = both(lambda a, b: nt_xent(a, b, 0.1), z1, z2)
        assert value.item() == pytest.approx(wanted, abs=1e-5)
        assert all(bool(g.isfinite().all()) for g in grads)


def test_a_vector_of_zeros_among_others_leaves_all_finite() -> None:
    z1, z2 = (z.detach().clone() for z in views(6))
    z1[2] = 0
    value, *grads = both(nt_xent, z1.requires_grad_(), z2.requires_grad_())
    assert value.isfinite()
    assert all(bool(g.isfinite().all()) for g in grads)


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan"), float("inf")])
def test_a_temperature_must_be_positive(temperature: float) -> None:
    with rejects("temperature must be positive"):
        simclr.nt_xent(torch.randn(3, 4), torch.randn(3, 4), temperature)


def test_a_tiny_temperature_stays_finite() -> None:
    value, *grads = both(lambda a, b: nt_xent(a, b, 1e-4), *views(6))
    assert value.isfinite()
    assert all(bool(g.isfinite().all()) for g in grads)


def test_shapes_are_refused_by_name() -> None:
    three = torch.randn(3, 4)
    for bad in (torch.randn(2, 4), torch.randn(3, 5), torch.randn(3, 4, 1)):
        with rejects("of the same shape, got"):
            simclr.nt_xent(three, bad)
        with pytest.raises(BadInput):
            nt_xent(three, bad)
    with rejects("N ≥ 1"):
        simclr.nt_xent(torch.zeros(0, 4), torch.zeros(0, 4))
    with rejects(r"of the same d, got \(3, 4\) and \(3, 5\)"):
        plain.info_nce(three, torch.randn(3, 5), torch.arange(3))
    with rejects("at least one query"):
        plain.info_nce(three, torch.zeros(0, 4), torch.arange(3))
    with rejects("a partner for each of 3 queries, got 2"):
        plain.info_nce(three, three, torch.arange(2))
    with rejects("must be float"):
        plain.info_nce(three.long(), three, torch.arange(3))
    with rejects("got 3 and 2 rows"):
        plain.symmetric_info_nce(three, three[:2])


def test_the_loss_is_float32_also_under_autocast() -> None:
    z1, z2 = views(6)
    wanted = nt_xent(z1, z2)
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(z1, z2)
    torch.testing.assert_close(loss, wanted)
    half = nt_xent(z1.bfloat16(), z2.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, wanted, rtol=1e-2, atol=1e-2)
    assert nt_xent(z1.double(), z2.double()).dtype == torch.float64


# ---- several processes ----


def test_one_process_gathers_nothing() -> None:
    x = torch.randn(3, 2)
    everything, start = gather(x)
    assert everything is x
    assert start == 0


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_several_processes_have_the_loss_and_gradient_of_one(ranks: int, tmp_path: Path) -> None:
    tolerances = {"rel": 1e-12, "grad_rel": 1e-9, "grad_abs": 1e-12}
    check_like_one(SCRIPT, tmp_path, processes=ranks, **tolerances)
