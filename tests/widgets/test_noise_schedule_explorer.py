"""Noise schedule explorer: what it accepts, how it words numbers, how it answers on a page."""

from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import DESCRIPTIONS, changes, noise, scene

from mmcourse.widgets import NoiseScheduleExplorer

ALPHA_BAR = np.linspace(0.99, 0.01, 20)


@pytest.mark.parametrize(
    ("image", "schedules", "message"),
    [
        (scene()[None], {"a": ALPHA_BAR}, "channels, height, width"),
        (np.zeros((2, 4, 4)), {"a": ALPHA_BAR}, "1 or 3 channels"),
        (scene() * 127, {"a": ALPHA_BAR}, r"\[-1, 1\]"),
        (scene(), {}, "at least one"),
        (scene(), {"a": ALPHA_BAR, "b": ALPHA_BAR[:5]}, "same number of steps, got .*20.*5"),
        (scene(), {"a": ALPHA_BAR * 2}, r"\[0, 1\], got .* for 'a'"),
        (scene(), {"a": ALPHA_BAR[::-1]}, "must fall"),
    ],
)
def test_noise_refuses(image: Any, schedules: Any, message: str) -> None:
    with rejects(message):
        NoiseScheduleExplorer(image, schedules=schedules)


def test_betas_given_for_alpha_bar_are_caught() -> None:
    with rejects("must fall"):
        NoiseScheduleExplorer(scene(), schedules={"linear": np.linspace(1e-4, 0.02, 1000)})


def test_noise_state() -> None:
    with rejects("step must be a whole number from 0 to 19, got 20"):
        NoiseScheduleExplorer(scene(), schedules={"a": ALPHA_BAR}, step=20)
    with rejects("graph must be one of"):
        NoiseScheduleExplorer(scene(), schedules={"a": ALPHA_BAR}, graph="beta")
    same = [NoiseScheduleExplorer(scene(), schedules={"a": ALPHA_BAR}).data for _ in range(2)]
    assert same[0] == same[1], "the noise is seeded"


def test_words_for_numbers(run) -> None:
    widget = "noise_schedule_explorer"
    assert run("[0.5, 0.078, 0.0003].map(m.percent)", widget=widget) == ["50 %", "7.8 %", "0.03 %"]
    assert run("[0.5, 0.01].map(m.decibels)", widget=widget) == ["0.0 dB", "−20.0 dB"]


# ---- on a page ----


@pytest.mark.browser
def test_the_slip_is_a_schedule_more(show) -> None:
    with show(noise) as widget:
        expect(widget.get_by_role("row")).to_have_count(3)
        changes(widget, widget.get_by_label("Forget the square of the cosine").check)
        expect(widget.get_by_role("row")).to_have_count(4)


@pytest.mark.browser
def test_the_step_is_described_in_every_picture_of_it(show) -> None:
    with show(noise) as widget:
        before = widget.evaluate(DESCRIPTIONS)
        widget.get_by_label("Step t").press("Home")
        after = widget.evaluate(DESCRIPTIONS)
        # Two schedules and the curve; the picture without noise and the strip stay.
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 3
