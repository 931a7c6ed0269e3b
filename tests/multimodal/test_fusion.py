"""Joint representations against loops and plain probabilities; missing modalities never count."""

import math

import pytest
import torch
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.multimodal import (
    EarlyFusion,
    GatedFusion,
    LateFusion,
    agreement,
    complementarity,
    drop_modalities,
    early_fusion,
    gated_fusion,
    late_fusion,
    mean_decision,
)

plain = unchecked("mmcourse.multimodal.fusion")
DIMS = (3, 5, 2)
NETWORKS = (EarlyFusion, LateFusion, GatedFusion)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def features(batch: int = 6, seed: int = 0) -> list[torch.Tensor]:
    return [normal(batch, d, seed=seed + d) for d in DIMS]


def masks(batch: int = 6, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    present = torch.rand(batch, 3, generator=source) < 0.6
    present[torch.arange(batch), torch.randint(3, (batch,), generator=source)] = True
    return present


def test_early_fusion_by_hand() -> None:
    x = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0], [torch.nan]])]
    joint = early_fusion(x, torch.tensor([[True, True], [True, False]]))
    assert joint.tolist() == [[1, 2, 5, 1, 1], [3, 4, 0, 1, 0]]


# ---- late fusion ----


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_the_product_is_bayes_rule_where_modalities_are_independent(seed: int) -> None:
    """A world of three dice whose faces depend on y alone: the posterior, by summing it all."""
    prior = normal(4, seed=seed).softmax(0)
    given_y = [normal(4, 3, seed=seed + m + 1).softmax(1) for m in range(3)]
    faces = torch.randint(3, (5, 3), generator=torch.Generator().manual_seed(seed))
    present, wanted, alone = masks(5, seed), torch.empty(5, 4), torch.empty(5, 3, 4)
    for i in range(5):
        for y in range(4):
            value = prior[y].item()
            for m in range(3):
                seen = given_y[m][y, faces[i, m]].item()
                alone[i, m, y] = math.log(prior[y].item() * seen)  # logits: not yet normalised
                value *= seen if present[i, m] else 1.0
            wanted[i, y] = value
    wanted = (wanted / wanted.sum(1, keepdim=True)).log()
    found = late_fusion(alone, present, prior.log())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    # the prior counted once a modality would be another answer
    assert not torch.allclose(late_fusion(alone, present), wanted, atol=1e-2)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_the_mean_of_decisions_against_a_loop(seed: int) -> None:
    logits, present = normal(4, 3, 5, seed=seed), masks(4, seed)
    for i, row in enumerate(mean_decision(logits, present)):
        shares = [logits[i, m].softmax(0) for m in range(3) if present[i, m]]
        torch.testing.assert_close(row.exp(), sum(shares) / len(shares))


def test_one_modality_is_its_own_decision() -> None:
    logits, present = normal(4, 3, 5), torch.zeros(4, 3, dtype=torch.bool)
    present[:, 1] = True
    for rule in (late_fusion, mean_decision):
        torch.testing.assert_close(rule(logits, present), logits[:, 1].log_softmax(1))


def test_a_sure_mistake_overrules_a_product_and_not_a_mean() -> None:
    logits = torch.tensor([[[2.0, 0.0], [2.0, 0.0], [-9.0, 0.0]]])
    present = torch.ones(1, 3, dtype=torch.bool)
    assert late_fusion(logits, present).argmax() == 1
    assert mean_decision(logits, present).argmax() == 0


# ---- gates ----


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_gates_against_a_loop(seed: int) -> None:
    hidden, gates, present = (
        normal(4, 3, 5, seed=seed),
        normal(4, 3, 5, seed=seed + 1),
        masks(4, seed),
    )
    joint, shares = gated_fusion(hidden, gates, present)
    for i in range(4):
        for d in range(5):
            weight = [math.exp(gates[i, m, d]) if present[i, m] else 0.0 for m in range(3)]
            wanted = sum(w * hidden[i, m, d].item() for m, w in enumerate(weight)) / sum(weight)
            assert joint[i, d].item() == pytest.approx(wanted, abs=1e-5)
    torch.testing.assert_close(shares.sum(1), torch.ones(4, 5))
    assert not shares[~present].any()


def test_two_modalities_are_the_gated_multimodal_unit() -> None:
    """z ⊙ h_v + (1 − z) ⊙ h_t with z = σ(score)."""
    hidden, score = normal(4, 2, 5), normal(4, 5, seed=1)
    gates = torch.stack([score, torch.zeros(4, 5)], dim=1)
    joint, _ = gated_fusion(hidden, gates, torch.ones(4, 2, dtype=torch.bool))
    z = score.sigmoid()
    torch.testing.assert_close(joint, z * hidden[:, 0] + (1 - z) * hidden[:, 1])


# ---- networks ----


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_missing_never_counts(network: type, seed: int) -> None:
    model, present = randomise(network(DIMS, 4, width=8), seed), masks(6, seed)
    before, changed = model(features(), present), features()
    for x, here in zip(changed, present.T, strict=True):
        x[~here] = torch.inf if seed % 2 else 7.0
    torch.testing.assert_close(model(changed, present), before)
    less = torch.ones_like(present)
    less[:, seed % 3] = False
    everything = model(features(), torch.ones_like(present))
    assert not torch.allclose(model(features(), less), everything, atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_observation_by_itself(network: type) -> None:
    model, present = randomise(network(DIMS, 4, width=8)), masks()
    together = model(features(), present)
    for i in range(6):
        alone = model([x[i : i + 1] for x in features()], present[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)


def test_the_networks_are_made_of_the_functions() -> None:
    x, present = features(), masks()
    early = randomise(EarlyFusion(DIMS, 4))
    torch.testing.assert_close(early(x, present), early.layers(early_fusion(x, present)))
    late = randomise(LateFusion(DIMS, 4))
    decisions = torch.stack([net(v) for net, v in zip(late.experts, x, strict=True)], 1)
    torch.testing.assert_close(late(x, present), late_fusion(decisions, present))
    gated = randomise(GatedFusion(DIMS, 4))
    joint, shares = gated.mix(x, present)
    assert joint.abs().max() <= 1  # a mixture of tanh's
    assert not shares[~present].any()
    torch.testing.assert_close(gated(x, present), gated.output(joint))


@pytest.mark.parametrize("network", NETWORKS)
def test_overfits_one_batch(network: type) -> None:
    torch.manual_seed(0)
    model, present = network(DIMS, 3, width=16), masks(12)
    x, labels = features(12), torch.arange(12) % 3
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(120):
        loss = torch.nn.functional.cross_entropy(model(x, present), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_gradients_of_missing_modalities_are_zero_and_finite() -> None:
    present = torch.tensor([[True, False, True]] * 6)
    for network in NETWORKS:
        model, x = randomise(network(DIMS, 4, width=8)), features()
        for tensor in x:
            tensor.requires_grad_()
        model(x, present).square().sum().backward()
        assert not x[1].grad.any()
        assert x[0].grad.abs().sum() > 0
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


# ---- dropping, agreeing, completing ----


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), chance=st.floats(0, 1))
def test_dropping_leaves_one(seed: int, chance: float) -> None:
    before = masks(30, seed)
    after = drop_modalities(before, chance, generator=torch.Generator().manual_seed(seed))
    assert after.any(dim=1).all()
    assert not (after & ~before).any()
    if chance == 0:
        assert torch.equal(after, before)
    if chance == 1:
        assert (after.sum(1) == 1).all()


def test_dropping_by_chance(generator: torch.Generator) -> None:
    kept = drop_modalities(torch.ones(5000, 8).bool(), 0.3, generator=generator)
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.01)


def test_agreement_and_complementarity_against_loops() -> None:
    source = torch.Generator().manual_seed(0)
    said, labels = (torch.randint(3, s, generator=source) for s in ((40, 3), (40,)))
    present = masks(40)
    alike, rescued = agreement(said, present), complementarity(said, labels, present)
    for m in range(3):
        for k in range(3):
            both = [i for i in range(40) if present[i, m] and present[i, k]]
            share = sum(bool(said[i, m] == said[i, k]) for i in both) / len(both)
            assert alike[m, k].item() == pytest.approx(share)
            wrong = [i for i in both if said[i, m] != labels[i]]
            share = sum(bool(said[i, k] == labels[i]) for i in wrong) / len(wrong)
            assert rescued[m, k].item() == pytest.approx(share)
    assert rescued.diagonal().tolist() == [0, 0, 0]
    assert alike.diagonal().tolist() == [1, 1, 1]


def test_bad_input() -> None:
    x, present = features(), masks()
    present[4] = False
    hidden = normal(6, 3, 5)
    empty = "observation 4 has every modality missing"
    for call in (
        lambda: plain.early_fusion(x, present),
        lambda: plain.late_fusion(hidden, present),
        lambda: plain.mean_decision(hidden, present),
        lambda: plain.gated_fusion(hidden, hidden, present),
        lambda: plain.drop_modalities(present, 0.5, generator=torch.Generator()),
        *(lambda net=net: getattr(plain, net.__name__)(DIMS, 4)(x, present) for net in NETWORKS),
    ):
        with rejects(empty):
            call()
    with rejects(r"present must be bool \(6, 3\), got torch.int64"):
        plain.early_fusion(x, masks().long())
    with rejects(r"present must be bool \(6, 3\)"):
        plain.late_fusion(hidden, masks()[:, :2])
    with rejects("equally many observations"):
        plain.early_fusion([x[0], x[1][:2]], masks())
    with rejects("need 3 modalities, got 2"):
        plain.LateFusion(DIMS, 4)(x[:2], masks()[:, :2])
    with rejects("share a shape"):
        plain.gated_fusion(hidden, hidden[:, :, :4], masks())
    with rejects(r"chance must be in \[0, 1\], got 2"):
        plain.drop_modalities(masks(), 2.0, generator=torch.Generator())
    with rejects("sizes of 1 or more"):
        plain.EarlyFusion((), 4)
    with rejects("sizes of 1 or more"):
        plain.GatedFusion((3, 0), 4)
    with rejects("need 6 labels"):
        unchecked("mmcourse.multimodal.principles").complementarity(
            masks().long(), torch.zeros(5).long(), masks()
        )
