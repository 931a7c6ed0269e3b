"""Descent explorer: what it accepts and carries, what it says, and how it answers on a page."""

import math
from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, descent

from mmcourse.widgets import DescentExplorer
from mmcourse.widgets.descent_explorer import brief

GRID = np.linspace(-1, 1, 5)
FITS = np.linspace(-2, 2, 2 * 3 * 5).reshape(2, 3, 5)
ERRORS = [[0.4, 30.0, 0.2], [0.3, 0.3, 0.1]]
GOOD: dict[str, Any] = {
    "grid": GRID,
    "truth": GRID**2,
    "points": [[-0.5, 0.2], [0.5, 0.4]],
    "sizes": [1, 2, 9],
    "methods": ["plain", "ridge"],
    "train_error": np.zeros((2, 3)),
    "test_error": ERRORS,
}

# ---- data and state ----


def test_lines_are_carried_in_their_order(run) -> None:
    widget = DescentExplorer(FITS, **GOOD)
    assert widget.shape == [2, 3, 5]
    carried = np.frombuffer(widget.data, "<f2").reshape(widget.shape)
    np.testing.assert_allclose(carried, FITS, atol=2e-3)


def test_a_line_far_off_stays_a_number() -> None:
    widget = DescentExplorer(FITS * 1e9, **GOOD)
    assert np.isfinite(np.frombuffer(widget.data, "<f2")).all()
    assert widget.png()[:4] == b"\x89PNG"


def test_it_says_what_is_seen() -> None:
    assert DescentExplorer(FITS, **GOOD, size=1).alt == (
        "P = 2 for 2 points, plain: training error 0.000, test error 30. "
        "Sizes with a smaller test error: 2 of 3."
    )
    other = DescentExplorer(FITS, **GOOD, size=2, method=1)
    assert "P = 9 for 2 points, ridge" in other.alt
    assert other.alt.endswith("test error 0.100. Sizes with a smaller test error: 0 of 3.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["plain"]}, r"fits must be \(1, 3, 5\)"),
        ({"truth": GRID[:4]}, r"truth \(5,\), got"),
        ({"sizes": [1, 9, 2]}, "sizes must be two or more that increase"),
        ({"sizes": [0, 2, 9]}, "sizes must be two or more that increase from 1"),
        ({"grid": -GRID}, "grid must be two or more places that increase"),
        ({"points": [[0.0, 1.0, 2.0]]}, r"points must be \(points, 2\)"),
        ({"test_error": [[-0.1, 1, 1], [1, 1, 1]]}, r"test_error must be \(2, 3\), 0 or more"),
        ({"train_error": [[0.0, 1.0]]}, r"train_error must be \(2, 3\)"),
        ({"test_error": [[math.nan, 1, 1], [1, 1, 1]]}, "finite numbers"),
        ({"reach": 0.0}, "reach must be above 0"),
        ({"size": 3}, "size must be a whole number from 0 to 2"),
        ({"method": 2}, "method must be a whole number from 0 to 1"),
        ({"presets": [{"name": "x", "size": 9}]}, "size must be a whole number"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        DescentExplorer(FITS, **{**GOOD, **options})


def test_it_refuses_too_many_methods() -> None:
    many = {"methods": list("abcde"), "train_error": np.zeros((5, 3))}
    with rejects("methods must be 1 to 4 names, got 5"):
        DescentExplorer(np.zeros((5, 3, 5)), **{**GOOD, **many, "test_error": np.ones((5, 3))})


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"size": 1}, {"method": 1, "size": 2}):
        made = DescentExplorer(FITS, **GOOD, **state)
        given = [made.sizes[made.size], len(made.points), made.methods[made.method]]
        given += [made.train_error[made.method][made.size], made.test_error[made.method], made.size]
        assert run("m.sentence(...x)", given, widget="descent_explorer") == made._describe()


def test_numbers_are_written_alike(run) -> None:
    values = [0, 0.0004, 0.0005, 0.125, 9.9996, 10, 43.5, 9999999.4]
    written = run("x.map(m.brief)", values, widget="descent_explorer")
    assert written == [brief(value) for value in values]


def test_what_is_far_outside_stays_near_the_picture(run) -> None:
    code = "[m.frame(x, 2)(-1, 2), m.frame(x, 2)(1, -2), m.frame(x, 2)(0, 1000)]"
    top, foot, far = run(code, GRID.tolist(), widget="descent_explorer")
    assert (top, foot) == ([8, 0], [412, 300])
    assert far == [210, -300]


def test_an_error_of_zero_has_a_height(run) -> None:
    assert run("[m.height(0), m.height(100)]", widget="descent_explorer") == [-4, 2]


# ---- on a page ----


@pytest.mark.browser
def test_another_size_and_another_method(show) -> None:
    with show(descent) as widget:
        said = widget.locator(".mm-summary")
        slider = widget.get_by_label("Features P")
        changes(widget, lambda: slider.press("End"))
        assert slider.get_attribute("aria-valuetext") == "P = 40"
        expect(said).to_contain_text("P = 40 for 6 points, no ridge")
        changes(widget, lambda: widget.locator("select").select_option(index=1))
        expect(said).to_contain_text("ridge λ = 0.1")


@pytest.mark.browser
def test_the_curve_can_be_pointed_at(show) -> None:
    with show(descent) as widget:
        box = widget.locator(".mm-chart").bounding_box()
        assert box is not None
        place = {"x": 50, "y": box["height"] / 2}
        changes(widget, lambda: widget.locator(".mm-chart").click(position=place))
        expect(widget.locator(".mm-summary")).to_contain_text("P = 1 for 6 points")
