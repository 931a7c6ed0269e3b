"""Prompt comparison: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, comparison

from mmcourse.widgets import PromptComparison

PICTURES = np.zeros((2, 3, 3, 8, 8))
SHARES = np.full((2, 2, 3, 4), 0.25)
GOOD: dict[str, Any] = {
    "prompts": ["by hand", "learned"],
    "levels": [0, 0.5, 1],
    "names": [list("abcd"), list("efgh")],
    "targets": [0, 3],
}

# ---- data and state ----


def test_it_says_what_is_seen() -> None:
    shares = SHARES.copy()
    shares[1, 1, 2] = [0.5, 0.125, 0.125, 0.25]
    made = PromptComparison(PICTURES, shares, **GOOD, dial="Lamp", picture=1, prompt=1, level=2)
    assert made.alt == (
        "Lamp 1, picture 2: learned takes it for e, not h, with 50.0 %. "
        "The right class gets 25.0 % from by hand, 25.0 % from learned."
    )
    made.level, made.picture = 1, 0
    assert made._describe().startswith("Lamp 0.5, picture 1: learned takes it for a, the right one")
    assert made.png()[:4] == b"\x89PNG"
    assert made.titles == ["a", "h"]


def test_it_carries_shares_as_halves_and_one_file_of_pictures() -> None:
    made = comparison()
    size = int(np.prod(made.shape[:4]))
    assert made.data[2 * size :][:4] == b"RIFF"
    kept = np.frombuffer(made.data[: 2 * size], "<f2").reshape(made.shape[:4])
    np.testing.assert_allclose(kept.astype(float).sum(-1), 1, atol=2e-3)
    np.testing.assert_array_equal(kept.astype(float), made._shares)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pictures": PICTURES[:, :, :1]}, "need two to four prompts and 3 channels, got 2 and 1"),
        ({"prompts": ["one"]}, "two to four prompts"),
        ({"prompts": list("abcde")}, "two to four prompts"),
        ({"shares": SHARES[:, :1]}, r"shares must be \(2, 2, 3\) by classes, got \(2, 1, 3, 4\)"),
        ({"shares": 2 * SHARES}, "positive and sum to 1"),
        ({"shares": SHARES + np.array([-0.5, 0.5, 0, 0])}, "positive and sum to 1"),
        ({"shares": np.nan * SHARES}, "NaN or infinity"),
        ({"levels": [0, 1]}, "levels must be 3 rising numbers"),
        ({"levels": [0, 1, 1]}, "levels must be 3 rising numbers"),
        ({"names": [list("abcd")]}, "need 4 names and a target for each of 2 pictures"),
        ({"names": [list("abc"), list("efgh")]}, "need 4 names"),
        ({"targets": [0]}, "a target for each of 2"),
        ({"targets": [0, 4]}, "targets must be places from 0 to 3"),
        ({"titles": ["x"]}, "titles must name 2 pictures, got 1"),
        ({"picture": 2}, "picture must be a whole number from 0 to 1"),
        ({"prompt": 2}, "prompt must be a whole number from 0 to 1"),
        ({"level": 3}, "level must be a whole number from 0 to 2"),
        ({"presets": [{"name": "x", "shot": 1}]}, "a preset has a name"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    given = {"pictures": PICTURES, "shares": SHARES, **GOOD, **change}
    with rejects(message):
        PromptComparison(given.pop("pictures"), given.pop("shares"), **given)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"picture": 3, "prompt": 2, "level": 4}, {"picture": 1, "level": 0}):
        made = comparison(**state)
        place = made.picture
        given = [
            made.dial,
            made.levels[made.level],
            place,
            made.prompts,
            made.prompt,
            made._shares[made.prompt, place, made.level].tolist(),
            made.names[place],
            made.targets[place],
            made._right(made.level),
        ]
        assert run("m.sentence(...x)", given, widget="prompt_comparison") == made._describe()


# ---- on a page ----


@pytest.mark.browser
def test_another_prompt_says_something_else(show) -> None:
    with show(comparison) as widget:
        said = widget.locator(".mm-summary")
        expect(said).to_have_text(comparison().alt)
        choose = widget.get_by_label("Prompt", exact=True)
        changes(widget, lambda: choose.select_option(index=2))
        expect(said).to_have_text(comparison(prompt=2).alt)
        expect(widget.locator(".mm-title")).to_have_text("What by picture says")
        expect(widget.locator(".mm-prompts .mm-now")).to_have_text("by picture")
        expect(widget.locator(".mm-choices li")).to_have_count(4)


@pytest.mark.browser
def test_the_curve_picks_a_level_and_the_right_class_is_marked(show) -> None:
    with show(comparison) as widget:
        curve = widget.locator(".mm-chart")
        box = curve.bounding_box()
        assert box is not None
        changes(widget, lambda: curve.click(position={"x": box["width"] - 14, "y": 60}))
        expect(widget.locator(".mm-summary")).to_have_text(comparison(level=4).alt)
        expect(widget.locator(".mm-named")).to_contain_text("lamp 1")
        widget.get_by_role("button", name="Learned").click()
        expect(widget.locator(".mm-choices .mm-right span").first).to_have_text("✓ class 0")
