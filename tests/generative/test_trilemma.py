"""Neighbour counts by loops, closed forms on a line, and what a collapsed model gets."""

import itertools
import math

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.generative import (
    density_coverage,
    expected_coverage,
    neighbour_radii,
    precision_recall,
    seconds_per_item,
    triangle_points,
    unit_scores,
)

plain = unchecked("mmcourse.generative.trilemma")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def line(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None]


def brute(real: torch.Tensor, fake: torch.Tensor, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density, coverage: loops and sorted lists."""
    reals, fakes = real.double().tolist(), fake.double().tolist()

    def radius(i: int, items: list[list[float]]) -> float:
        others = [math.dist(items[i], item) for j, item in enumerate(items) if j != i]
        return sorted(others)[k - 1]

    of_real = [radius(i, reals) for i in range(len(reals))]
    of_fake = [radius(i, fakes) for i in range(len(fakes))] if len(fakes) > k else None
    pairs = [
        [math.dist(r, f) <= size for f in fakes] for r, size in zip(reals, of_real, strict=True)
    ]
    precision = sum(any(row[j] for row in pairs) for j in range(len(fakes))) / len(fakes)
    recall = float("nan")
    if of_fake is not None:
        near = [
            any(math.dist(r, f) <= s for f, s in zip(fakes, of_fake, strict=True)) for r in reals
        ]
        recall = sum(near) / len(reals)
    density = sum(map(sum, pairs)) / (k * len(fakes))
    return precision, recall, density, sum(map(any, pairs)) / len(reals)


@given(
    reals=st.integers(5, 12),
    fakes=st.integers(5, 12),
    width=st.integers(1, 4),
    k=st.integers(1, 4),
    seed=st.integers(0, 1000),
    shift=st.floats(0, 3),
)
@settings(max_examples=40)
def test_all_four_by_brute_force(
    reals: int, fakes: int, width: int, k: int, seed: int, shift: float
) -> None:
    real, fake = normal(reals, width, seed=seed), normal(fakes, width, seed=seed + 1) + shift
    found = (*precision_recall(real, fake, k=k), *density_coverage(real, fake, k=k))
    assert found == pytest.approx(brute(real, fake, k))
    assert all(0 <= number <= 1 for number in (*found[:2], found[3]))


def test_on_a_line_by_hand() -> None:
    """Reals 0, 1, 3, 7: nearest neighbours 1, 1, 2, 4 away. An item is not its own neighbour."""
    real, fake = line(0, 1, 3, 7), line(-0.5, 4, 12)
    assert neighbour_radii(real, 1).tolist() == [1, 1, 2, 4]
    assert neighbour_radii(real, 2).tolist() == [3, 2, 3, 6]
    density, coverage = density_coverage(real, fake, k=1)
    # −0.5 lies in the ball of 0; 4 in those of 3 and 7; 12 in none.
    assert density == pytest.approx(3 / 3)
    assert coverage == pytest.approx(3 / 4)
    precision, recall = precision_recall(real, fake, k=1)
    assert precision == pytest.approx(2 / 3)
    # fakes' balls: 4.5 around −0.5, 4.5 around 4, 8 around 12: 0, 1, 3; 0 … 8; 4 … 20
    assert recall == 1
    with_itself = real[:, None].sub(real).abs().sort(dim=1).values[..., 0][:, 0]
    assert with_itself.tolist() == [0, 0, 0, 0]  # counting itself, nothing would be near


def test_copies_collapse_and_nonsense() -> None:
    real = normal(200, 3)
    copied = (*precision_recall(real, real), *density_coverage(real, real))
    assert copied[0] == copied[1] == copied[3] == 1
    collapsed = real[:1] + 0.001 * normal(200, 3, seed=1)
    precision, recall = precision_recall(real, collapsed)
    assert precision == 1
    assert recall < 0.02
    assert density_coverage(real, collapsed).coverage < 0.1
    far = normal(200, 3, seed=2) + 100
    assert (*precision_recall(real, far), *density_coverage(real, far)) == (0, 0, 0, 0)
    noisy = 10 * normal(200, 3, seed=3)  # covers everything, hits little
    precision, recall = precision_recall(real, noisy)
    assert recall > 0.9
    assert precision < 0.3


def test_one_outlier_fools_precision_but_not_density() -> None:
    real = torch.cat([normal(100, 2), torch.tensor([[50.0, 0.0]])])
    fake = normal(100, 2, seed=1) + torch.tensor([25.0, 0.0])
    assert precision_recall(real, fake, k=3).precision > 0.9
    assert density_coverage(real, fake, k=3).density < 0.5
    assert density_coverage(real, fake, k=3).coverage < 0.05


def test_half_the_modes_are_half_the_coverage() -> None:
    modes = torch.arange(8)[:, None] * torch.tensor([[100.0, 0.0]])
    real = (modes[:, None] + normal(8, 40, 2)).flatten(0, 1)
    fake = (modes[:4, None] + normal(4, 80, 2, seed=1)).flatten(0, 1)
    whole = (modes[:, None] + normal(8, 40, 2, seed=2)).flatten(0, 1)
    assert density_coverage(real, fake).coverage == pytest.approx(0.5, abs=0.02)
    assert precision_recall(real, fake).recall == pytest.approx(0.5, abs=0.05)
    assert density_coverage(real, whole).coverage > 0.9


@given(reals=st.integers(2, 60), fakes=st.integers(1, 60), k=st.integers(1, 10))
def test_expected_coverage_counts_draws(reals: int, fakes: int, k: int) -> None:
    k = min(k, reals - 1)
    missed = math.comb(reals - 1, k) / math.comb(reals + fakes - 1, k)
    assert expected_coverage(reals, fakes, k) == pytest.approx(1 - missed)


def test_expected_coverage_by_all_orders_and_by_drawing() -> None:
    """Three reals, two fakes on a line: all 10 ways to label five fixed points."""
    points = [0.0, 1.0, 2.5, 2.9, 7.0]
    found = [
        density_coverage(
            line(*(points[i] for i in chosen)),
            line(*(points[i] for i in range(5) if i not in chosen)),
            k=1,
        ).coverage
        for chosen in itertools.combinations(range(5), 3)
    ]
    assert sum(found) / len(found) == pytest.approx(expected_coverage(3, 2, 1))
    pairs = [density_coverage(normal(50, 4, seed=s), normal(50, 4, seed=s + 99)) for s in range(30)]
    coverage = sum(p.coverage for p in pairs) / 30
    assert coverage == pytest.approx(expected_coverage(50, 50), abs=0.02)
    assert sum(p.density for p in pairs) / 30 == pytest.approx(1, abs=0.1)


def test_duplicates_have_distance_zero() -> None:
    real = torch.cat([normal(3, 2)] * 2) + 1e4  # products would lose these digits
    assert neighbour_radii(real, 1).tolist() == [0] * 6
    assert density_coverage(real, real[:1], k=1).coverage == pytest.approx(2 / 6)


def test_seconds_are_the_median_after_a_first_run() -> None:
    ticks, calls = iter([0.0, 8.0, 10.0, 12.0, 20.0, 24.0]), []
    seconds = seconds_per_item(calls.append, 4, repeats=3, clock=lambda: next(ticks))
    assert seconds == 1.0  # runs of 8, 2, 4 seconds
    assert calls == [4, 4, 4, 4]


def test_unit_scores() -> None:
    values = torch.tensor([1.0, 10.0, 100.0, 1e4, 0.1])
    scores = unit_scores(values, best=1.0, worst=100.0, log=True)
    torch.testing.assert_close(scores, torch.tensor([1.0, 0.5, 0.0, 0.0, 1.0]))
    straight = unit_scores(torch.tensor([0.2, 0.6]), best=1.0, worst=0.2)
    torch.testing.assert_close(straight, torch.tensor([0.0, 0.5]))


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.floats(0.1, 10))
def test_triangle_points(scores: list[float], factor: float) -> None:
    row = torch.tensor([scores])
    (point,) = triangle_points(row).tolist()
    torch.testing.assert_close(triangle_points(row * factor), torch.tensor([point]))
    height = math.sqrt(3) / 2
    assert 0 <= point[1] <= height + 1e-6
    # a point's height over the base is the third score's share
    assert point[1] / height == pytest.approx(scores[2] / sum(scores), abs=1e-5)
    corners = triangle_points(torch.eye(3))
    torch.testing.assert_close(corners, torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, height]]))
    centre = triangle_points(torch.ones(1, 3))
    torch.testing.assert_close(centre, torch.tensor([[0.5, height / 3]]))


def test_bad_input() -> None:
    good = normal(6, 2)
    for call in (plain.precision_recall, plain.density_coverage):
        for bad in (normal(6, 3), good[:0], good.long(), good[0]):
            with rejects("features must be"):
                call(good, bad)
        with rejects("NaN"):
            call(good, good * float("nan"))
        with rejects("k must be 1 … 5, got 6"):
            call(good, good, k=6)
    with rejects("k must be"):
        plain.neighbour_radii(good, 0)
    for numbers in ((5, 5, 5), (5, 0, 1), (5, 5, 0)):
        with rejects("1 ≤ k < reals"):
            plain.expected_coverage(*numbers)
    with rejects("at least 1"):
        plain.seconds_per_item(print, 0)
    with rejects("must differ"):
        plain.unit_scores(good[:, 0], best=1.0, worst=1.0)
    with rejects("finite numbers above 0"):
        plain.unit_scores(torch.tensor([0.0]), best=1.0, worst=2.0, log=True)
    with rejects("finite numbers"):
        plain.unit_scores(torch.tensor([float("inf")]), best=1.0, worst=2.0)
    with rejects(r"\(models, 3\)"):
        plain.triangle_points(good)
    for row in ([0.0, 0.0, 0.0], [1.0, -1.0, 1.0], [1.0, float("inf"), 0.0]):
        with rejects("≥ 0"):
            plain.triangle_points(torch.tensor([row]))
