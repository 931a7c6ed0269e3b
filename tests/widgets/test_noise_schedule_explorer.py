"""Noise schedule explorer: what it accepts, how it words numbers, how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import DESCRIPTIONS, changes, noise, scene

from mmcourse.diffusion.process import q_sample
from mmcourse.diffusion.schedule import NoiseSchedule, cosine_betas, linear_betas
from mmcourse.widgets import NoiseScheduleExplorer

ALPHA_BAR = np.linspace(0.99, 0.01, 20)
HERE = "noise_schedule_explorer"


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


# ---- the page's maths against Python ----


def close(actual: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_the_cosine_schedule(run, steps: int) -> None:
    cosine = run(f"Array.from(m.cosineAlphaBar({steps}))", widget=HERE)
    close(cosine, NoiseSchedule(cosine_betas(steps)).alpha_bar, 1e-10)


def test_the_forgotten_square_is_the_root_and_is_caught(run) -> None:
    code = "[m.cosineAlphaBar(1000), m.cosineAlphaBar(1000, 0.008, 1)].map((a) => Array.from(a))"
    right, slip = np.array(run(code, widget=HERE))
    close(slip[:-1], np.sqrt(right[:-1]), 1e-9)
    assert slip[499] - right[499] > 0.2


def test_q_sample(run, generator: torch.Generator) -> None:
    x0 = torch.rand(1, 1, 3, 5, generator=generator) * 2 - 1
    noise = torch.randn(x0.shape, generator=generator)
    schedule = NoiseSchedule(linear_betas(100))
    expected = q_sample(x0, torch.tensor([70]), noise, schedule.alpha_bar)
    given = [x0.flatten().tolist(), noise.flatten().tolist(), schedule.alpha_bar[70].item()]
    close(run("Array.from(m.qSample(...x))", given, widget=HERE), expected.flatten(), 1e-6)


def test_signal_to_noise_ratio(run) -> None:
    found = run("[0.5, 0.9, 0.01].map(m.snrDb)", widget=HERE)
    close(found, 10 * np.log10([1, 9, 1 / 99]), 1e-9)
