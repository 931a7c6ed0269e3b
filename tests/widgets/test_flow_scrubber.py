"""Flow scrubber: what it accepts and carries, what it says, and how it answers on a page."""

import math
from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, flow

from mmcourse.widgets import FlowScrubber
from mmcourse.widgets.flow_scrubber import hundredth

PATH = np.linspace(-1, 1, 4 * 5 * 2).reshape(4, 5, 2)
LOGS = np.linspace(-3, -1, 4 * 5).reshape(4, 5)
GOOD: dict[str, Any] = {"groups": [0, 1, 0, 1, 1], "names": ["a", "b"]}

# ---- data and state ----


def test_numbers_are_carried_in_their_order(run) -> None:
    net = np.linspace(-2, 2, 4 * 3 * 2 * 2).reshape(4, 3, 2, 2)
    widget = FlowScrubber(PATH, LOGS, net=net, **GOOD)
    assert widget.shape == [4, 5, 3, 2]
    code = "(() => { const f = m.unpack(new DataView(Uint8Array.from(x[0]).buffer), x[1]);"
    code += "return [f.path, f.logs, f.net, f.groups].map((a) => Array.from(a)); })()"
    parts = run(code, [list(widget.data), widget.shape], widget="flow_scrubber")
    for part, whole in zip(parts, (PATH, LOGS, net, np.array(GOOD["groups"])), strict=True):
        np.testing.assert_allclose(part, whole.ravel(), rtol=2e-3, atol=1e-4)


def test_it_says_what_is_seen() -> None:
    assert flow(step=0).alt.startswith("z₀, pure noise: point 5 (")
    made = flow(step=2)
    assert "After map 2 of 3: point 5" in made.alt
    assert "made the area around it 0.50 times as large" in made.alt
    assert flow(step=3).alt.endswith(f"now {hundredth(made._logs[3, 4])}.")


def test_the_reach_is_that_of_the_ends() -> None:
    path = PATH.copy()
    path[1] *= 50
    assert FlowScrubber(path, LOGS, **GOOD).reach == pytest.approx(1.05)
    assert FlowScrubber(path, LOGS, reach=3, **GOOD).reach == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": [0, 1]}, "groups must be 0 or 1 for each of 5 points"),
        ({"groups": [0, 1, 2, 0, 0]}, "groups must be 0 or 1"),
        ({"names": ["a"]}, "names must name 2 groups, got 1"),
        ({"net": np.zeros((3, 2, 2, 2))}, r"net must be \(4 states"),
        ({"reach": 0.0}, "reach must be above 0"),
        ({"reach": math.nan}, "reach must be above 0"),
        ({"step": 4}, "step must be a whole number from 0 to 3"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        FlowScrubber(PATH, LOGS, **{**GOOD, **options})


def test_it_refuses_what_is_no_path() -> None:
    with rejects("at least 2 states"):
        FlowScrubber(PATH[:1], LOGS[:1], **GOOD)
    with rejects("path must be"):
        FlowScrubber(np.zeros((4, 5, 3)), LOGS, **GOOD)
    with rejects(r"log_density must be \(4, 5\)"):
        FlowScrubber(PATH, LOGS[:3], **GOOD)
    with rejects("NaN or infinity"):
        FlowScrubber(PATH * np.nan, LOGS, **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    code = "m.sentence(x[0], x[1], x[2], x[3], x[4], {path: x[5], logs: x[6], groups: x[7]})"
    for state in ({}, {"step": 0}, {"step": 2, "point": 0}, {"step": 3, "point": 39}):
        made = flow(**state)
        flat = [made._path.ravel().tolist(), made._logs.ravel().tolist(), made._groups.tolist()]
        given = [made.step, made.point, *made.shape[:2], made.names, *flat]
        assert run(code, given, widget="flow_scrubber") == made._describe()


def test_numbers_are_written_alike(run) -> None:
    values = [0, -0.001, 0.125, -0.125, 2.375, -1.5, 12.344]
    written = run("x.map(m.hundredth)", values, widget="flow_scrubber")
    assert written == [hundredth(value) for value in values]
    assert written[:4] == ["0.00", "0.00", "0.13", "−0.12"]


def test_the_nearest_point_and_the_spread(run) -> None:
    path = [9, 9, 9, 9, 0, 0, 3, 4]  # two states of two points
    code = "[m.nearest(x, 1, 2, 2, 3), m.nearest(x, 1, 2, 0, 1), m.spread(x, 1, 2)]"
    assert run(code, path, widget="flow_scrubber") == [1, 0, [0, 0]]


# ---- on a page ----


@pytest.mark.browser
def test_a_click_follows_the_nearest_point(show) -> None:
    with show(flow) as widget:
        plane = widget.locator(".mm-plane")
        box = plane.bounding_box()
        made = flow()
        x, y = made._path[made.step, 11]
        place = {
            "x": (x + made.reach) / (2 * made.reach) * box["width"],
            "y": (made.reach - y) / (2 * made.reach) * box["height"],
        }
        changes(widget, lambda: plane.click(position=place))
        expect(widget.locator(".mm-summary")).to_contain_text("point 12 (")


@pytest.mark.browser
def test_it_plays_to_the_end(show) -> None:
    with show(flow, motion="no-preference") as widget:
        widget.get_by_role("button", name="Play").click()
        expect(widget.locator(".mm-summary")).to_contain_text("After map 3 of 3", timeout=15_000)
        expect(widget.get_by_role("button", name="Play")).to_be_visible()
