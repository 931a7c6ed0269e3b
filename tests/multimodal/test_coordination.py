"""Tied spaces: the ranking loss against a loop, and vectors that never read another modality."""

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.multimodal import (
    CoordinatedEncoders,
    coordination_loss,
    mean_direction,
    precision_at_one,
    ranking_loss,
)

plain = unchecked("mmcourse.multimodal.coordination")
DIMS = (4, 6, 3)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), margin=st.floats(0, 1), count=st.integers(2, 6))
def test_the_ranking_loss_against_a_loop(seed: int, margin: float, count: int) -> None:
    a, b = unit(count, 4, seed=seed), unit(count, 4, seed=seed + 1)
    total = 0.0
    for i in range(count):
        for j in range(count):
            if i != j:
                right = float(a[i] @ b[i])
                total += 0.5 * max(0.0, margin - right + float(a[i] @ b[j]))
                total += 0.5 * max(0.0, margin - right + float(a[j] @ b[i]))
    wanted = total / (count * (count - 1))
    assert ranking_loss(a, b, margin=margin).item() == pytest.approx(wanted, abs=1e-5)
    assert ranking_loss(b, a, margin=margin).item() == pytest.approx(wanted, abs=1e-5)


def test_it_is_zero_when_strangers_are_far_and_above_when_pairs_are_crossed() -> None:
    a = torch.eye(3)
    assert ranking_loss(a, a).item() == 0
    assert ranking_loss(a, a[[1, 2, 0]]).item() > 0.5
    assert ranking_loss(a[:1], a[:1]).item() == 0  # nobody is a stranger
    assert ranking_loss(a[:0], a[:0]).item() == 0


def test_all_pairs_of_modalities_that_are_present() -> None:
    z = unit(5, 3, 4)
    present = torch.ones(5, 3, dtype=torch.bool)
    present[0, 1] = present[3, 2] = False
    pairs = []
    for m, k in ((0, 1), (0, 2), (1, 2)):
        rows = [i for i in range(5) if present[i, m] and present[i, k]]
        pairs.append(ranking_loss(z[rows, m], z[rows, k]))
    torch.testing.assert_close(coordination_loss(z, present), sum(pairs) / 3)


def test_a_space_of_its_own() -> None:
    """A coordinated vector depends on one modality; a joint one would depend on all."""
    model = randomise(CoordinatedEncoders(DIMS, embed_dim=5, width=8))
    x = [torch.randn(4, d, generator=torch.Generator().manual_seed(d)) for d in DIMS]
    present = torch.ones(4, 3, dtype=torch.bool)
    before = model(x, present)
    torch.testing.assert_close(before.norm(dim=2), torch.ones(4, 3))
    x[1] = x[1] + 1
    after = model(x, present)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-3)
    present[:, 2] = False
    assert torch.equal(model(x, present)[:, :2], after[:, :2])


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_the_mean_direction(seed: int) -> None:
    z = unit(6, 3, 4, seed=seed)
    present = torch.rand(6, 3, generator=torch.Generator().manual_seed(seed)) < 0.5
    present[:, seed % 3] = True
    for row, here, found in zip(z, present, mean_direction(z, present), strict=True):
        torch.testing.assert_close(found, F.normalize(row[here].mean(0), dim=0))


def test_precision_by_hand() -> None:
    queries, answers = torch.eye(3), torch.eye(3)[[2, 0]]
    kinds = torch.tensor([7, 8, 9])
    # query 0 finds answer 1, query 1 finds a draw (the first), query 2 finds answer 0
    found = precision_at_one(queries, answers, kinds, torch.tensor([9, 7]))
    assert found.item() == pytest.approx(2 / 3)


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = CoordinatedEncoders(DIMS, embed_dim=8, width=32)
    x = [torch.randn(8, d, generator=torch.Generator().manual_seed(d)) for d in DIMS]
    present = torch.ones(8, 3, dtype=torch.bool)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(100):
        loss = coordination_loss(model(x, present), present)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    z = model(x, present)
    assert loss.item() < 0.01
    kinds = torch.arange(8)
    assert precision_at_one(z[:, 0], z[:, 2], kinds, kinds).item() == 1


def test_bad_input() -> None:
    z, present = unit(4, 3, 5), torch.ones(4, 3, dtype=torch.bool)
    with rejects("share a shape"):
        plain.ranking_loss(z[:, 0], z[:3, 1])
    with rejects("margin must be at least 0, got -1"):
        plain.ranking_loss(z[:, 0], z[:, 1], margin=-1.0)
    with rejects("two modalities or more"):
        plain.coordination_loss(z[:, :1], present[:, :1])
    with rejects("need answers"):
        plain.precision_at_one(z[:, 0], z[:0, 1], torch.arange(4), torch.arange(0))
    with rejects("sizes of 1 or more"):
        plain.CoordinatedEncoders(DIMS, embed_dim=0)
    present[2] = False
    for call in (plain.coordination_loss, plain.mean_direction):
        with rejects("observation 2 has every modality missing"):
            call(z, present)
