"""The linear probe against scikit-learn's logistic regression, and what it refuses."""

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mmcourse.selfsupervision import linear_probe, probe_accuracy

plain = unchecked("mmcourse.selfsupervision.probe")


def data(count: int = 60, width: int = 7, classes: int = 3, seed: int = 0):
    """Three clouds that overlap, with features of very different size."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    centres = torch.randn(classes, width, generator=source)
    x = centres[labels] + torch.randn(count, width, generator=source)
    return x * torch.logspace(-1, 1, width) + 3 * torch.randn(width, generator=source), labels


@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_it_is_scikit_learns_optimum(strength: float, classes: int) -> None:
    x, y = data(classes=classes)
    probe = linear_probe(x, y, strength=strength, standardise=False, max_iter=3000)
    theirs = LogisticRegression(C=strength, tol=1e-9, max_iter=20_000).fit(x.double(), y)
    expected = torch.from_numpy(theirs.predict_proba(x.double()))
    if classes == 2:  # theirs has one row of weights, w = w₁ − w₀, so half of our penalty
        half = LogisticRegression(C=strength * 2, tol=1e-9, max_iter=20_000).fit(x.double(), y)
        expected = torch.from_numpy(half.predict_proba(x.double()))
    torch.testing.assert_close(probe(x).softmax(1).double(), expected, rtol=0, atol=2e-4)


def test_standardised_it_is_their_pipeline() -> None:
    x, y = data()
    scaler = StandardScaler().fit(x.double())
    theirs = LogisticRegression(C=0.5, tol=1e-9, max_iter=20_000).fit(
        scaler.transform(x.double()), y
    )
    fresh, _ = data(seed=1)
    expected = torch.from_numpy(theirs.predict_proba(scaler.transform(fresh.double())))
    ours = linear_probe(x, y, strength=0.5)(fresh).softmax(1).double()
    torch.testing.assert_close(ours, expected, rtol=0, atol=2e-4)
    other = linear_probe(x, y, strength=0.5, standardise=False)(fresh).softmax(1)
    assert (other - expected).abs().max() > 1e-2  # the two penalties are not the same


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), classes=st.integers(2, 4))
def test_the_gradient_vanishes_at_the_optimum(seed: int, classes: int) -> None:
    x, y = data(count=24, width=3, classes=classes, seed=seed)
    x = x.double()
    probe = linear_probe(x, y, standardise=False, max_iter=2000)
    residual = probe(x).softmax(1) - torch.nn.functional.one_hot(y, classes)
    torch.testing.assert_close(residual.T @ x, -probe.weight.data, rtol=0, atol=1e-3)
    torch.testing.assert_close(residual.sum(0), torch.zeros(classes).double(), rtol=0, atol=1e-4)


def test_scale_and_shift_of_a_feature_do_not_matter() -> None:
    x, y = data()
    moved = linear_probe(100 * x - 7, y)(100 * x - 7)
    torch.testing.assert_close(moved, linear_probe(x, y)(x), rtol=1e-3, atol=1e-3)


def test_a_constant_feature_gets_no_weight() -> None:
    x, y = data()
    x[:, 2] = 0.1
    probe = linear_probe(x, y)
    assert (probe.weight[:, 2] == 0).all()
    assert probe.weight.isfinite().all()


def test_it_overfits_one_batch_and_leaves_the_features_alone() -> None:
    x = torch.randn(10, 40, generator=torch.Generator().manual_seed(0), requires_grad=True)
    kept, y = x.detach().clone(), torch.arange(10) % 3
    with torch.no_grad():
        probe = linear_probe(x, y, strength=1e3)
    assert probe_accuracy(probe, x, y) == 1.0
    assert x.grad is None
    assert torch.equal(x, kept)
    assert not any(weight.requires_grad for weight in probe.parameters())


def test_a_class_without_examples_may_be_named() -> None:
    x, y = data()
    assert linear_probe(x, y, num_classes=5).out_features == 5
    assert linear_probe(x, torch.zeros_like(y)).out_features == 2


def test_accuracy_is_a_share() -> None:
    probe = torch.nn.Linear(2, 2, bias=False)
    probe.weight.data = torch.eye(2)
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0], [0.0, 2.0]])
    assert probe_accuracy(probe, x, torch.tensor([0, 1, 1, 1])) == 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.zeros(6)}, r"features must be \(batch, width\)"),
        ({"labels": torch.zeros(5, dtype=torch.long)}, r"\(6, 2\) and \(5,\)"),
        ({"features": torch.zeros(1, 2), "labels": torch.tensor([0])}, "at least two examples"),
        ({"features": torch.full((6, 2), torch.nan)}, "finite"),
        ({"features": torch.zeros(6, 2, dtype=torch.long)}, "floating-point"),
        ({"labels": torch.tensor([0, 1, 2, 0, 1, -1])}, "whole numbers from 0"),
        ({"num_classes": 2}, "num_classes − 1 = 1, got torch.int64 from 0 to 2"),
        ({"labels": torch.zeros(6)}, "whole numbers"),
        ({"strength": 0.0}, "must be positive"),
        ({"max_iter": 0}, "must be positive"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    good = {"features": torch.randn(6, 2), "labels": torch.arange(6) % 3}
    with rejects(message):
        plain.linear_probe(**{**good, **change})


def test_bad_accuracy() -> None:
    probe = torch.nn.Linear(2, 2)
    with rejects("batch ≥ 1"):
        plain.probe_accuracy(probe, torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    with rejects("reads 2 features, got 3"):
        plain.probe_accuracy(probe, torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))
