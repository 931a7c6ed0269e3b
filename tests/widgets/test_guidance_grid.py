"""Guidance grid: what it accepts and carries, what it says, and how it answers on a page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page
from helpers import rejects
from playwright.sync_api import Browser, expect
from widgets_page import changes, guidance, page, shown

from mmcourse.widgets import GuidanceGrid

PICTURES = np.zeros((2, 3, 4, 1, 5, 5))
GOOD: dict[str, Any] = {"scales": [0, 1, 2.5, 4], "labels": ["a", "b"]}

# ---- data and state ----


def test_pictures_are_kept_in_their_order() -> None:
    values = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 1, 2, 2)
    widget = GuidanceGrid(values, **GOOD)
    stored = np.frombuffer(widget.data, np.uint8).reshape(widget.shape)
    np.testing.assert_array_equal(stored, values.numpy())


def test_it_says_what_is_seen() -> None:
    made = guidance(label=1, seed=2, scale=5)
    assert made.alt.startswith("hole from noise 3 at scale 3 (the paper's w = 2).")
    assert "judge agrees 41.0 %, coverage 52.5 % (real pictures 93.0 %)" in made.alt
    assert "w = −1" in guidance(scale=0).alt
    bare = GuidanceGrid(PICTURES, **GOOD)
    assert bare.alt == "a from noise 1 at scale 0 (the paper's w = −1)."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": [0, 1, 2]}, r"scales must be 4 rising numbers, got \[0.0, 1.0, 2.0\]"),
        ({"scales": [0, 2, 1, 3]}, "4 rising numbers"),
        ({"scales": [0, 1, 1, 3]}, "4 rising numbers"),
        ({"scales": [0, 1, 2, np.nan]}, "4 rising numbers"),
        ({"labels": ["a"]}, "labels must name 2 classes, got 1"),
        ({"curves": {"x": [0, 1, 1]}}, "curve 'x' needs 4 values, got 3"),
        ({"curves": {"x": [0, 1, 1, 1.2]}}, r"shares in \[0, 1\]"),
        ({"curves": {"x": [0, 1, 1, 1]}, "real": {"x": 99.7}}, r"shares in \[0, 1\]"),
        ({"real": {"x": 0.5}}, r"real must be about the curves \[\], got \['x'\]"),
        ({"curves": {str(i): [0] * 4 for i in range(5)}}, "at most 4 curves, got 5"),
        ({"presets": [{"name": "x", "scale": 4}]}, "scale must be a whole number from 0 to 3"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        GuidanceGrid(PICTURES, **{**GOOD, **options})


def test_it_refuses_pictures() -> None:
    with rejects("classes, seeds, scales, channels, height, width"):
        GuidanceGrid(PICTURES[0], **GOOD)
    with rejects(r"\[-1, 1\]"):
        GuidanceGrid(PICTURES + 9, **GOOD)
    with rejects("at most 100,000 bytes"):
        GuidanceGrid(np.zeros((2, 30, 4, 1, 28, 28)), **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"label": 1, "seed": 3, "scale": 8}, {"scale": 1}, {"scale": 4}):
        made = guidance(**state)
        given = [
            made.labels[made.label],
            made.seed,
            made.scales[made.scale],
            made.curves,
            made.scale,
        ]
        assert run("m.sentence(...x)", given, widget="guidance_grid") == made._describe()


def test_numbers_are_written_alike(run) -> None:
    code = "[[0, -1, 0.5, 2.1 - 1, 7.5].map(m.plain), [0, 1, 0.99945, 0.125].map(m.percent)]"
    assert run(code, widget="guidance_grid") == [
        ["0", "−1", "0.5", "1.1", "7.5"],
        ["0.0 %", "100.0 %", "99.9 %", "12.5 %"],
    ]


# ---- on a page ----


@pytest.mark.browser
def test_a_picture_of_the_grid_is_chosen(show) -> None:
    with show(guidance) as widget:
        said = widget.locator(".mm-summary")
        expect(widget.locator(".mm-film")).to_have_count(4)
        changes(widget, widget.locator(".mm-film").nth(2).locator("canvas").nth(7).click)
        expect(said).to_contain_text("disc from noise 3 at scale 6 (the paper's w = 5)")
        # One frame of every row is outlined, below the marked scale.
        expect(widget.locator(".mm-film .mm-on")).to_have_count(4)
        expect(widget.locator(".mm-scales .mm-now")).to_have_text("6")
        expect(widget.locator("figcaption")).to_have_text("disc, noise 3, scale 6")


@pytest.mark.browser
def test_the_slider_says_the_scale_and_the_chart_names_all(show) -> None:
    with show(guidance) as widget:
        slider = widget.get_by_label("Scale", exact=True)
        slider.focus()
        for _ in range(3):
            widget.page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == "1.5"
        marks = widget.locator(".mm-chart text").all_text_contents()
        assert {"0", "0.5", "1.5", "10"} <= set(marks)
        described = widget.locator(".mm-chart").get_attribute("aria-label")
        assert described is not None
        assert described.endswith("marked: scale 1.5")


@pytest.mark.browser
def test_without_curves_there_is_no_chart(browser: Browser, tmp_path: Path) -> None:
    rows = np.linspace(-1, 1, 24).reshape(2, 3, 4, 1, 1, 1) * np.ones((5, 5))
    address = page(tmp_path / "bare.html", [GuidanceGrid(rows, **GOOD)])
    with open_page(browser, address) as opened:
        widget = shown(opened)
        expect(widget.locator(".mm-chart")).to_be_hidden()
        expect(widget.locator(".mm-summary")).to_have_text(
            "a from noise 1 at scale 0 (the paper's w = −1)."
        )
