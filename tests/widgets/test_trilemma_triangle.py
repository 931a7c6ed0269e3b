"""Trilemma triangle: what it accepts and carries, what it says, and how it answers on a page."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, triangle

from mmcourse.generative import triangle_points
from mmcourse.widgets import TrilemmaTriangle
from mmcourse.widgets.trilemma_triangle import hundredth, mean, place

PICTURES = np.zeros((2, 3, 1, 4, 4))
SCORES = np.array([[[0.5, 0.25, 1.0], [1.0, 0.0, 0.0]]])
SAID = [[["F 40", "25 %", "1 ms"], ["F 20", "0 %", "9 s"]]]
GOOD: dict[str, Any] = {"names": ["a", "b"], "measures": ["features"], "said": SAID}

# ---- data and state ----


def test_pictures_are_kept_in_their_order() -> None:
    pictures = torch.arange(2 * 3 * 16, dtype=torch.uint8).reshape(2, 3, 1, 4, 4)
    widget = TrilemmaTriangle(pictures, SCORES, **GOOD)
    stored = np.frombuffer(widget.data, np.uint8).reshape(widget.shape)
    np.testing.assert_array_equal(stored, pictures.numpy())


def test_it_says_what_is_seen() -> None:
    assert TrilemmaTriangle(PICTURES, SCORES, **GOOD).alt == (
        "a, by features: quality 0.50 (F 40), coverage 0.25 (25 %), speed 1.00 (1 ms). "
        "With the weights 1 : 1 : 1 its mean score is 0.58, number 1 of 2."
    )
    only_quality: dict[str, Any] = {"model": 0, "first": 3, "second": 0, "third": 0}
    other = TrilemmaTriangle(PICTURES, SCORES, **GOOD, **only_quality)
    assert other.alt.endswith("weights 3 : 0 : 0 its mean score is 0.50, number 2 of 2.")


def test_places_are_those_of_the_module() -> None:
    rows = torch.tensor(triangle().scores[0], dtype=torch.float64)
    points = [place(row, [1, 1, 1]) for row in rows.tolist()]
    np.testing.assert_allclose(points, triangle_points(rows).numpy(), atol=1e-12)
    weighted = triangle_points(rows * torch.tensor([2.0, 0.0, 3.0])).numpy()
    np.testing.assert_allclose([place(row, [2, 0, 3]) for row in rows.tolist()], weighted)


def test_no_weight_at_all_is_the_middle() -> None:
    middle = pytest.approx((0.5, math.sqrt(3) / 6))
    assert place([0.2, 0.4, 0.6], [0, 0, 0]) == middle
    assert place([0.0, 0.0, 0.6], [1, 1, 0]) == middle
    assert mean([0.2, 0.4, 0.6], [0, 0, 0]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "names must name 2 models, got 1"),
        ({"corners": ["a", "b"]}, "corners must name 3 wishes, got 2"),
        ({"measures": ["a", "b"]}, r"scores must lie in \[0, 1\] and be \(2, 2, 3\)"),
        ({"said": [[["x"] * 3]]}, r"said must have words for each score, \(1, 2, 3\)"),
        ({"first": 5}, "first must be a whole number from 0 to 4"),
        ({"model": 2}, "model must be a whole number from 0 to 1"),
        ({"presets": [{"name": "x", "measure": 1}]}, "measure must be a whole number from 0 to 0"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        TrilemmaTriangle(PICTURES, SCORES, **{**GOOD, **options})


def test_it_refuses_pictures_and_scores() -> None:
    with rejects("models, count, channels, height, width"):
        TrilemmaTriangle(PICTURES[0], SCORES, **GOOD)
    with rejects(r"scores must lie in \[0, 1\]"):
        TrilemmaTriangle(PICTURES, SCORES + 0.1, **GOOD)
    with rejects("finite numbers"):
        TrilemmaTriangle(PICTURES, SCORES * np.nan, **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    weights = {"first": 3, "second": 0, "third": 2}
    for state in ({}, {"model": 0, "measure": 1}, weights, {**dict.fromkeys(weights, 0)}):
        made = triangle(**state)
        rows, words = made.scores[made.measure], made.said[made.measure]
        own = [made.names[made.model], made.measures[made.measure], made.corners]
        own += [rows[made.model], words[made.model], made._weights(), made._totals(), made.model]
        assert run("m.sentence(...x)", own, widget="trilemma_triangle") == made._describe()


def test_places_and_means_are_the_same(run) -> None:
    row = [0.3, 0.9, 0.05]
    for weights in ([1, 1, 1], [4, 0, 1], [0, 0, 0]):
        given = [row, weights]
        found = run("[m.place(...x), m.mean(...x)]", given, widget="trilemma_triangle")
        assert found[0] == pytest.approx(place(*given))
        assert found[1] == pytest.approx(mean(*given))


def test_numbers_stand_apart_and_near_their_points(run) -> None:
    points = [[100, 100], [101, 100], [100, 101], [250, 80]]
    spots = np.array(run("m.apart(x)", points, widget="trilemma_triangle"))
    gaps = np.linalg.norm(spots[:, None] - spots, axis=-1) + 99 * np.eye(4)
    assert gaps.min() > 18
    assert np.linalg.norm(spots - points, axis=-1).max() < 25


def test_numbers_are_written_alike(run) -> None:
    values = [0, 0.005, 0.125, 1, 0.5749]
    written = run("x.map(m.hundredth)", values, widget="trilemma_triangle")
    assert written == [hundredth(value) for value in values]


# ---- on a page ----


@pytest.mark.browser
def test_a_number_is_chosen_by_the_pointer(show) -> None:
    with show(triangle) as widget:
        plane = widget.locator(".mm-triangle")
        frame, badge = plane.bounding_box(), widget.locator(".mm-digit").first.bounding_box()
        assert frame is not None
        assert badge is not None
        middle = {
            "x": badge["x"] + badge["width"] / 2 - frame["x"],
            "y": badge["y"] + badge["height"] / 2 - frame["y"],
        }
        changes(widget, lambda: plane.hover(position=middle))
        expect(widget.locator(".mm-summary")).to_contain_text("fast, by features")
        expect(widget.locator(".mm-ranks .mm-chosen")).to_contain_text("1 · fast")


@pytest.mark.browser
def test_a_wish_without_weight_empties_its_corner(show) -> None:
    with show(triangle) as widget:
        changes(widget, lambda: widget.get_by_label("Weight of speed").press("Home"))
        expect(widget.locator(".mm-off")).to_have_text("(speed)")
        heights = [dot.get_attribute("cy") for dot in widget.locator(".mm-true").all()]
        assert len(set(heights)) == 1  # all on the edge below
