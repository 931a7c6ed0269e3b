"""Prompt grid: what it accepts and carries, what it says, and how it answers on a page."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from PIL import Image
from playwright.sync_api import expect
from widgets_page import changes, prompts

from mmcourse.widgets import PromptGrid
from mmcourse.widgets.prompt_grid import sheet

PICTURES = np.zeros((2, 3, 4, 3, 8, 8))
GOOD: dict[str, Any] = {"prompts": ["a", "b"], "labels": list("1234")}
JUDGED = [["right", "wrong", "right"], ["right", "right", "right"]]

# ---- data and state ----


def test_a_sheet_holds_every_picture_in_its_place() -> None:
    """Flat colours survive: row, then noise and step from left to right."""
    levels = np.random.default_rng(0).integers(0, 256, size=(2, 3, 4, 3, 1, 1))
    pictures = np.broadcast_to(levels, (2, 3, 4, 3, 16, 16)).astype(np.uint8)
    seen = np.asarray(Image.open(io.BytesIO(sheet(pictures))).convert("RGB")).astype(int)
    assert seen.shape == (32, 12 * 16, 3)
    for row, noise, step in np.ndindex(2, 3, 4):
        place = 4 * noise + step
        tile = seen[16 * row : 16 * row + 16, 16 * place : 16 * place + 16]
        assert np.abs(tile - levels[row, noise, step, :, 0, 0]).mean() < 8


def test_scenes_fit_into_the_budget() -> None:
    """Eight prompts, three noises, nine steps at 64 pixels."""
    from mmcourse.data import Shapes

    scenes = Shapes(64, 8 * 3, 5).images().reshape(8, 3, 1, 3, 64, 64)
    fade = torch.linspace(0, 1, 9).reshape(9, 1, 1, 1)
    made = PromptGrid(scenes * fade, prompts=list("abcdefgh"), labels=list("123456789"))
    assert len(made.data) <= 100_000


def test_it_says_what_is_shown_and_how_it_was_judged() -> None:
    made = PromptGrid(PICTURES, **GOOD, verdicts=JUDGED)
    assert made.step == 3
    assert made.alt == "“a” at 4, 3 noises; noise 1: right, noise 2: wrong, noise 3: right."
    assert PromptGrid(PICTURES, **GOOD, verdicts=JUDGED, step=2).alt == "“a” at 3, 3 noises."
    assert PromptGrid(PICTURES, **GOOD, prompt=1).alt == "“b” at 4, 3 noises."
    assert made.png()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("pictures", "options", "message"),
    [
        (PICTURES[0], {}, "prompts, noises, steps, channels, height, width"),
        (PICTURES[:, :, :, :1], {}, "3 channels and at most 6 noises"),
        (PICTURES.repeat(3, axis=1), {}, "3 channels and at most 6 noises"),
        (PICTURES + 3, {}, r"\[-1, 1\]"),
        (PICTURES, {"prompts": ["a"]}, "need 2 prompts and 4 labels, got 1 and 4"),
        (PICTURES, {"labels": ["1"]}, "need 2 prompts and 4 labels, got 2 and 1"),
        (PICTURES, {"verdicts": JUDGED[:1]}, "verdicts must be 2 rows of 3"),
        (PICTURES, {"verdicts": [["right"], ["right"]]}, "verdicts must be 2 rows of 3"),
        (PICTURES, {"step": 4}, "step must be a whole number from 0 to 3"),
        (PICTURES, {"prompt": -1}, "prompt must be a whole number from 0 to 1"),
        (PICTURES, {"presets": [{"name": "x", "noise": 1}]}, "a preset has a name"),
    ],
)
def test_what_does_not_fit_is_refused(pictures: Any, options: Any, message: str) -> None:
    with rejects(message):
        PromptGrid(pictures, **{**GOOD, **options})


# ---- on a page ----


@pytest.mark.browser
def test_the_sentence_is_python_s(show) -> None:
    with show(prompts) as widget:
        said = widget.locator(".mm-summary")
        expect(said).to_have_text(prompts().alt)
        widget.get_by_role("slider").press("End")
        expect(said).to_have_text(prompts(step=5).alt)
        widget.get_by_role("combobox").select_option(index=1)
        expect(said).to_have_text(prompts(step=5, prompt=1).alt)


@pytest.mark.browser
def test_verdicts_come_with_the_last_step(show) -> None:
    with show(prompts) as widget:
        caption = widget.locator("figcaption").nth(2)
        expect(caption).to_have_text("noise 3")
        widget.get_by_role("slider").press("End")
        expect(caption).to_have_text("noise 3wrong")


@pytest.mark.browser
def test_a_frame_of_a_strip_is_chosen_and_outlined(show) -> None:
    with show(prompts) as widget:
        frame = widget.locator(".mm-film").nth(1).locator("canvas").nth(1)
        changes(widget, frame.click)
        expect(widget.get_by_role("slider")).to_have_value("1")
        assert "mm-on" in (frame.get_attribute("class") or "")
        large, small = (
            node.evaluate("node => node.toDataURL()")
            for node in (widget.locator("figure canvas").nth(1), frame)
        )
        assert large == small


@pytest.mark.browser
def test_it_plays_to_the_end(show) -> None:
    with show(prompts) as widget:
        widget.get_by_role("button", name="Play").click()
        expect(widget.get_by_role("slider")).to_have_value("5")
        expect(widget.get_by_role("button", name="Play")).to_be_visible()
