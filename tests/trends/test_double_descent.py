"""Random-feature answers against numpy, scikit-learn and a walked descent; curves by hand."""

import numpy as np
import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from mmcourse.trends import (
    Examples,
    Peak,
    corrupt_labels,
    draw_directions,
    early_stopping,
    effective_complexity,
    epoch_wise,
    find_peak,
    gradient_descent,
    interpolation_threshold,
    largest_step,
    min_norm,
    model_wise,
    one_hot_targets,
    random_features,
    ridge,
    sample_wise,
)

plain = unchecked("mmcourse.trends.random_features")
plain_curves = unchecked("mmcourse.trends.error_curves")
plain_descent = unchecked("mmcourse.trends.double_descent")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source, dtype=torch.float64)


sizes = {"n": st.integers(1, 12), "p": st.integers(1, 12), "seed": st.integers(0, 999)}


@given(**sizes)
@settings(max_examples=40)
def test_min_norm_is_numpys(n: int, p: int, seed: int) -> None:
    features, targets = normal(n, p, seed=seed), normal(n, 2, seed=seed + 1)
    found = min_norm(features, targets)
    expected = np.linalg.lstsq(features.numpy(), targets.numpy(), rcond=None)[0]
    torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-7, rtol=1e-6)


@given(**sizes, penalty=st.floats(1e-3, 10))
@settings(max_examples=40)
def test_ridge_is_scikit_learns(n: int, p: int, seed: int, penalty: float) -> None:
    features, targets = normal(n, p, seed=seed), normal(n, 2, seed=seed + 1)
    model = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky")
    expected = torch.from_numpy(model.fit(features.numpy(), targets.numpy()).coef_.T)
    found = ridge(features, targets, penalty)
    torch.testing.assert_close(found, expected.reshape(found.shape), atol=1e-8, rtol=1e-6)


def test_penalty_stands_against_the_sum_of_squares() -> None:
    features, targets = normal(10, 3), normal(10, 1, seed=1)
    against_mean = torch.linalg.solve(
        features.T @ features / 10 + 0.5 * torch.eye(3, dtype=torch.float64),
        features.T @ targets / 10,
    )
    assert (ridge(features, targets, 0.5) - against_mean).abs().max() > 0.01
    torch.testing.assert_close(ridge(features, targets, 0.5 * 10), against_mean)


@given(**sizes)
@settings(max_examples=20)
def test_descent_is_the_walk(n: int, p: int, seed: int) -> None:
    features, targets = normal(n, p, seed=seed), normal(n, 2, seed=seed + 1)
    step = 0.7 * largest_step(features)
    path = gradient_descent(features, targets, step_size=step, steps=[0, 1, 2, 30])
    weights, walked = torch.zeros(p, 2, dtype=torch.float64), []
    for t in range(31):
        if t in (0, 1, 2, 30):
            walked.append(weights)
        weights = weights - step * features.T @ (features @ weights - targets)
    torch.testing.assert_close(path, torch.stack(walked))


def test_all_ways_end_at_the_shortest_answer() -> None:
    features, targets = normal(6, 15), normal(6, 2, seed=1)
    shortest = min_norm(features, targets)
    torch.testing.assert_close(features @ shortest, targets)
    torch.testing.assert_close(ridge(features, targets, 1e-10), shortest)
    step = largest_step(features)
    walked = gradient_descent(features, targets, step_size=step, steps=[100_000])[0]
    torch.testing.assert_close(walked, shortest)
    other = shortest + torch.linalg.svd(features).Vh[-1:].T  # fits as well, is longer
    torch.testing.assert_close(features @ other, targets)
    assert other.norm() > shortest.norm()


def test_features_by_hand_and_nested() -> None:
    directions = draw_directions(3, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(5, dtype=torch.float64))
    x = normal(4, 3)
    features = random_features(x, directions)
    for i in range(4):
        for j in range(5):
            expected = max(float(x[i] @ directions[j]), 0) / 5**0.5
            assert features[i, j].item() == pytest.approx(expected)
    torch.testing.assert_close(
        random_features(x, directions[:2]) * 2**0.5, features[:, :2] * 5**0.5
    )
    # φ(x)·φ(x) tends to E max(⟨w, x⟩, 0)² = |x|² / 2d
    many = draw_directions(3, 20_000, generator=torch.Generator().manual_seed(1))
    kernel = random_features(x, many).square().sum(dim=1)
    torch.testing.assert_close(kernel, x.square().sum(dim=1) / 6, rtol=0.05, atol=0.0)


def blobs(count: int, noise: float, seed: int) -> Examples:
    """Three classes around three centres in 10 dimensions."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=source)
    inputs = normal(count, 10, seed=seed + 1) + 1.5 * normal(3, 10, seed=99)[labels]
    given_labels = corrupt_labels(labels, noise, num_classes=3, generator=source, wrong=True)
    return Examples(inputs, given_labels)


def test_double_descent_and_what_removes_it() -> None:
    train, test = blobs(60, 0.2, 0), blobs(400, 0.0, 5)
    directions = draw_directions(10, 1200, generator=torch.Generator().manual_seed(3))
    options = {"directions": directions, "num_classes": 3}
    widths = [5, 15, 30, 50, 60, 70, 120, 300, 1200]
    curve = model_wise(train, test, widths, **options)
    peak = find_peak(curve.sizes, curve.test_loss)
    assert peak is not None
    assert peak.size in (50, 60, 70)
    assert peak.ratio > 4
    assert interpolation_threshold(widths, curve.train_loss, tolerance=1e-9) == 60
    calmed = model_wise(train, test, widths, penalty=0.1, **options)
    assert max(calmed.test_loss[3:6]) < 2 * calmed.test_loss[-1]
    counts = [20, 40, 60, 200]
    more = sample_wise(blobs(200, 0.2, 0), test, counts, directions=directions[:60], num_classes=3)
    assert more.test_loss[2] > 4 * more.test_loss[1]  # more data hurt
    assert more.test_loss[2] > 4 * more.test_loss[3]
    assert effective_complexity(counts, more.train_loss, tolerance=1e-9) == 60
    seen = random_features(train.inputs, directions[:60])
    walk = epoch_wise(
        train,
        test,
        [1, 10, 100, 10**4, 10**6],
        directions=directions[:60],
        num_classes=3,
        step_size=largest_step(seen),
    )
    assert min(walk.test_loss) < walk.test_loss[-1]  # stopping early would have helped
    assert sorted(walk.train_loss, reverse=True) == walk.train_loss


def test_curves_are_what_the_parts_give() -> None:
    train, test = blobs(20, 0.0, 0), blobs(30, 0.0, 5)
    directions = draw_directions(10, 8, generator=torch.Generator().manual_seed(0))
    curve = model_wise(train, test, [4, 8], directions=directions, num_classes=3, penalty=0.5)
    seen, unseen = (random_features(part.inputs, directions[:4]) for part in (train, test))
    weights = ridge(seen, one_hot_targets(train.labels, 3), 0.5)
    wrong = sum(
        int(row.argmax()) != int(label)
        for row, label in zip(unseen @ weights, test.labels, strict=True)
    )
    assert curve.test_error[0] == pytest.approx(wrong / 30)
    distance = (seen @ weights - one_hot_targets(train.labels, 3)).norm(dim=1) ** 2
    assert curve.train_loss[0] == pytest.approx(distance.mean().item())
    together = sample_wise(train, test, [20], directions=directions, num_classes=3, penalty=0.5)
    assert together.test_loss[0] == pytest.approx(curve.test_loss[1])


def test_reading_curves_by_hand() -> None:
    widths = [1, 2, 4, 8, 16]
    peak = find_peak(widths, [0.9, 0.3, 0.8, 0.4, 0.2])
    assert peak == Peak(4, 0.8, 0.3, 0.2, pytest.approx(4.0))  # not the 0.9 of the smallest
    assert find_peak(widths, [5, 4, 3, 3, 1]) is None
    perfect = find_peak([1, 2, 3], [0, 1, 0])
    assert perfect is not None
    assert perfect.ratio == float("inf")
    assert interpolation_threshold(widths, [0.5, 0.0, 0.1, 0.0, 0.0]) == 8  # 2 was luck
    assert interpolation_threshold(widths, [0.5, 0.0, 0.1, 0.0, 0.01]) is None
    assert effective_complexity(widths, [0.0, 0.0, 0.2, 0.1, 0.3]) == 2
    assert effective_complexity(widths, [0.0, 0.0, 0.2, 0.1, 0.3], tolerance=0.1) == 8
    assert effective_complexity(widths, [0.1] * 5) == 0
    epochs = [0.9, 0.5, 0.4, 0.6, 0.7, 0.3]
    assert early_stopping(epochs, patience=2) == 2
    assert early_stopping(epochs, patience=3) == 5  # lives to see the second descent


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 12))
def test_early_stopping_keeps_the_best_it_saw(errors: list[float], patience: int) -> None:
    kept = early_stopping(errors, patience=patience)
    seen = errors[: kept + patience + 1]
    assert errors[kept] == min(seen)
    assert kept == seen.index(min(seen))
    if patience >= len(errors):
        assert errors[kept] == min(errors)


def test_bad_input() -> None:
    good, targets = normal(4, 3), normal(4, 2)
    for bad in (good[0], good[:2]):
        with rejects("equally many rows"):
            plain.min_norm(bad, targets)
    with rejects("finite"):
        plain.min_norm(good * float("nan"), targets)
    with rejects("penalty must be above 0"):
        plain.ridge(good, targets, 0.0)
    limit = 2 * largest_step(good)
    for step in (0.0, limit, float("nan")):
        with rejects("step_size must be"):
            plain.gradient_descent(good, targets, step_size=step, steps=[1])
    for steps in ([], [-1]):
        with rejects("times of 0 or more"):
            plain.gradient_descent(good, targets, step_size=limit / 2, steps=steps)
    with rejects("not all be 0"):
        plain.largest_step(good * 0)
    with rejects("at least 1"):
        plain.draw_directions(0, 1, generator=None)
    with rejects("equally wide"):
        plain.random_features(good, normal(2, 4))
    data, options = blobs(5, 0.0, 0), {"directions": normal(6, 10), "num_classes": 3}
    for widths in ([], [2, 1], [0, 1]):
        with rejects("that increase"):
            plain_descent.model_wise(data, data, widths, **options)
    with rejects("exceeds the 6 directions"):
        plain_descent.model_wise(data, data, [7], **options)
    with rejects("exceeds the 5 examples"):
        plain_descent.sample_wise(data, data, [6], **options)
    with rejects("need labels in"):
        plain_descent.one_hot_targets(torch.tensor([3]), 3)
    for call in (plain_curves.find_peak, plain_curves.interpolation_threshold):
        for widths, errors in (([], []), ([1, 2], [0.1]), ([2, 1], [0.1, 0.2])):
            with rejects("that increase"):
                call(widths, errors)
    for call in (plain_curves.effective_complexity, plain_curves.interpolation_threshold):
        with rejects("tolerance"):
            call([1], [0.0], tolerance=-1)
    for errors, patience in (([], 1), ([0.1], 0)):
        with rejects("patience ≥ 1"):
            plain_curves.early_stopping(errors, patience=patience)
