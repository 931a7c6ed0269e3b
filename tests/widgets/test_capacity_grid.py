"""Capacity grid: what it accepts and carries, what it says, and how it answers on a page."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import capacity, changes

from mmcourse.widgets import CapacityGrid
from mmcourse.widgets.capacity_grid import NONE, best, percent

GOOD: dict[str, Any] = {
    "kinds": ["noisy labels"],
    "noises": ["0%", "40%"],
    "widths": ["4", "16", "64"],
    "moments": ["pass 1", "pass 8"],
    "tracks": ["new digits", "noise as told"],
}
SHARES = np.linspace(0, 1, 24).reshape(1, 2, 3, 2, 2)
SHARES[0, 0, :, :, 1] = np.nan  # without noise there is none to be stored

# ---- data and state ----


def test_shares_are_kept_in_their_order() -> None:
    widget = CapacityGrid(torch.from_numpy(SHARES), **GOOD)
    assert widget.shape == [1, 2, 3, 2, 2]
    stored = np.frombuffer(widget.data, "<f2").reshape(widget.shape).astype(float)
    np.testing.assert_allclose(stored, np.where(np.isnan(SHARES), NONE, SHARES), atol=1e-3)


def test_it_says_what_is_seen() -> None:
    first = CapacityGrid(SHARES, **GOOD)
    assert first.alt == (
        "noisy labels 0%, width 4, pass 1: new digits 0%. "
        "Best width here for “new digits”: 64 (35%)."
    )
    other = CapacityGrid(SHARES, **GOOD, noise=1, width=1, moment=1, track=1)
    assert other.alt == (
        "noisy labels 40%, width 16, pass 8: new digits 78%, noise as told 83%. "
        "Best width here for “noise as told”: 64 (100%)."
    )
    none = CapacityGrid(SHARES, **GOOD, track=1)
    assert none.alt.endswith("There is nothing to count for “noise as told” here.")


def test_the_first_of_equal_widths_is_the_best() -> None:
    assert best([0.5, 0.75, 0.75]) == 1
    assert best([NONE, NONE]) == -1
    assert best([NONE, 0.0]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ["4", "16"]}, r"\(1, 2, 2, 2, 2\), got \(1, 2, 3, 2, 2\)"),
        ({"noise": 2}, "noise must be a whole number from 0 to 1"),
        ({"moment": -1}, "moment must be a whole number from 0 to 1"),
        ({"presets": [{"name": "x", "track": 2}]}, "track must be a whole number from 0 to 1"),
        ({"presets": [{"name": "x", "frame": 0}]}, "a preset has a name and some of"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        CapacityGrid(SHARES, **{**GOOD, **options})


def test_it_refuses_shares() -> None:
    with rejects(r"shares must lie in \[0, 1\], got 0.5 to 1.5"):
        CapacityGrid(SHARES + 0.5, **GOOD)
    with rejects("kinds, noises, widths, moments, tracks"):
        CapacityGrid(SHARES[0], **GOOD)
    with rejects("at most 4 tracks can be told apart, got 5"):
        five = {**GOOD, "tracks": list("abcde")}
        CapacityGrid(np.zeros((1, 2, 3, 2, 5)), **five)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"kind": 1, "noise": 0, "track": 2}, {"kind": 0, "track": 3, "moment": 2}):
        made = capacity(**state)
        where = made.alt.split(": ")[0]
        own = [where, made.tracks, made._cell(), made.tracks[made.track], made.widths]
        own.append(made._column())
        assert run("m.sentence(...x)", own, widget="capacity_grid") == made._describe()


def test_places_are_those_of_an_array(run) -> None:
    shape = [2, 3, 4, 5, 3]
    found = run(
        "[[0,0,0,0,0],[1,2,3,4,2],[1,0,2,0,1]].map((w) => m.place(x, w))",
        shape,
        widget="capacity_grid",
    )
    places = [(0, 0, 0, 0, 0), (1, 2, 3, 4, 2), (1, 0, 2, 0, 1)]
    assert found == [int(np.ravel_multi_index(place, shape)) for place in places]


def test_numbers_are_written_alike(run) -> None:
    values = [0, 0.005, 0.125, 1, 0.5749]
    written = run("x.map(m.percent)", values, widget="capacity_grid")
    assert written == [percent(value) for value in values]


def test_a_column_of_nothing_has_no_best(run) -> None:
    columns = [[0.5, 0.75, 0.75], [NONE, NONE], [NONE, 0]]
    assert run("x.map(m.best)", columns, widget="capacity_grid") == [best(c) for c in columns]


# ---- on a page ----


@pytest.mark.browser
def test_a_cell_is_chosen_by_a_click(show) -> None:
    with show(capacity) as widget:
        target = widget.locator(".mm-capacity tbody tr").nth(2).locator("td").nth(0)
        changes(widget, target.click)
        expect(target).to_have_class(re.compile(r"\bmm-chosen\b"))
        expect(widget.locator(".mm-chosen")).to_have_count(1)
        expect(widget.locator(".mm-summary")).to_contain_text("0%, width 64")


@pytest.mark.browser
def test_what_there_is_none_of_has_no_curve(show) -> None:
    with show(capacity) as widget:
        curves = widget.locator(".mm-chart .mm-line")
        before = curves.count()
        changes(widget, lambda: widget.get_by_label("Noise", exact=True).press("Home"))
        expect(curves).to_have_count(before - 2)
        expect(widget.locator(".mm-legend li")).to_have_count(before - 2)


@pytest.mark.browser
def test_the_table_follows_the_moment(show) -> None:
    with show(capacity) as widget:
        cells = widget.locator(".mm-capacity td")
        before = cells.all_text_contents()
        changes(widget, lambda: widget.get_by_label("Moment").press("End"))
        assert cells.all_text_contents() != before
        assert all(math.isfinite(float(t.strip("%"))) for t in cells.all_text_contents())
