"""Denoising scrubber: what it accepts and carries, and how it plays on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import DESCRIPTIONS, scrubber

from mmcourse.widgets import DenoisingScrubber


def test_scrubber_takes_bytes_as_they_are_and_one_track_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 2, 1, 5, 5), dtype=np.uint8)
    widget = DenoisingScrubber(frames, labels=list("abcd"))
    assert widget.shape == [1, 4, 2, 1, 5, 5]
    assert widget.data == frames.tobytes()


def test_scrubber_labels_per_track() -> None:
    frames = torch.zeros(2, 3, 1, 1, 4, 4)
    labels = [["t = 999", "t = 499", "t = 0"], ["t = 950", "t = 475", "t = 0"]]
    widget = DenoisingScrubber(frames, labels=labels, tracks=["DDPM", "DDIM"])
    assert widget.labels == labels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a"]}, r"labels must be 3 per track for 2 tracks, got lists of \[1, 1\]"),
        ({"tracks": ["a"]}, "tracks must name 2 tracks, got 1"),
        ({"frame": 3}, "frame must be a whole number from 0 to 2, got 3"),
        ({"curve": {"loss": [1, 2]}}, "curve 'loss' needs 3 values, got 2"),
        ({"curve": {name: [1, 2, 3] for name in "abcde"}}, "at most 4"),
    ],
)
def test_scrubber_refuses(options: dict[str, Any], message: str) -> None:
    good = {"labels": list("abc"), "tracks": ["x", "y"]}
    with rejects(message):
        DenoisingScrubber(np.zeros((2, 3, 1, 1, 4, 4)), **{**good, **options})


def test_scrubber_refuses_frames_out_of_range() -> None:
    with rejects(r"\[-1, 1\], got values from 0 to 255"):
        DenoisingScrubber(np.linspace(0, 255, 48).reshape(3, 1, 1, 4, 4), labels=list("abc"))


def test_too_much_data_is_refused() -> None:
    with rejects(r"at most 100,000 bytes of data, got 138,240"):
        DenoisingScrubber(np.zeros((10, 18, 3, 16, 16)), labels=["x"] * 10, tracks=["a"])


def test_axis_of_a_curve(run) -> None:
    widget = "denoising_scrubber"
    assert run("[m.span(1, 10), m.span(9, 10), m.span(2, 2)]", widget=widget) == [
        [0, 10],
        [9, 10],
        [1.5, 2.5],
    ]


# ---- on a page ----


@pytest.mark.browser
def test_play_and_pause(show) -> None:
    with show(scrubber, motion="no-preference") as widget:
        expect(widget.locator(".mm-summary")).to_contain_text("Frame 1 of 11")
        widget.page.wait_for_timeout(600)
        expect(widget.locator(".mm-summary")).to_contain_text("Frame 1 of 11")  # no autoplay
        widget.get_by_label("Frame", exact=True).fill("6")
        play = widget.get_by_role("button", name="Play")
        play.click()
        expect(widget.get_by_role("button", name="Pause")).to_be_visible()
        expect(widget.locator(".mm-summary")).to_have_attribute("aria-live", "off")
        expect(widget.locator(".mm-summary")).to_contain_text("Frame 11 of 11", timeout=15_000)
        expect(play).to_be_visible()
        expect(widget.locator(".mm-summary")).to_have_attribute("aria-live", "polite")
        play.press("Enter")  # from the end it starts again
        expect(widget.locator(".mm-summary")).not_to_contain_text("Frame 11")
        widget.get_by_role("button", name="Pause").click()
        expect(play).to_be_visible()


@pytest.mark.browser
def test_the_frame_is_described_in_every_picture_of_it(show) -> None:
    with show(scrubber) as widget:
        before = widget.evaluate(DESCRIPTIONS)
        widget.get_by_label("Frame", exact=True).press("End")
        after = widget.evaluate(DESCRIPTIONS)
        # Two tracks and the curve; the two films stay.
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 3
