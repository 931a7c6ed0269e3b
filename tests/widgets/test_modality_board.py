"""Modality board: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import board, changes

from mmcourse.widgets import ModalityBoard
from mmcourse.widgets.modality_board import percent, place

ACCURACY = np.full((1, 2, 2, 2, 2), 0.5)
GOOD: dict[str, Any] = {
    "models": ["a"],
    "levels": ["clean"],
    "notes": [["x y"]],
    "pictures": np.zeros((1, 1, 1, 4, 4)),
    "sounds": np.zeros((1, 1, 6)),
    "gauges": np.zeros((1, 1, 2, 5)),
    "truths": ["hot"],
}

# ---- data and state ----


def test_pictures_and_curves_follow_one_another() -> None:
    pictures = torch.arange(3 * 4, dtype=torch.uint8).reshape(1, 1, 3, 2, 2)
    sounds, gauges = [[[-9.0, 0.0, 4.0]]], [[[[-2.0, 2.0], [0.0, 9.0]]]]
    given = {**GOOD, "pictures": pictures, "sounds": sounds, "gauges": gauges}
    widget = ModalityBoard(ACCURACY, **given)
    assert list(widget.data) == [*range(12), 0, 128, 255, 0, 255, 128, 255]
    assert (widget.shape, widget.wide) == ([1, 1, 3, 2, 2], [3, 2, 2])


def test_every_combination_has_its_place() -> None:
    shares = np.arange(2 * 3**4).reshape(2, 3, 3, 3, 3) / 1000
    given = {**GOOD, "models": ["a", "b"], "levels": ["clean", "noisy"]}
    given |= {"notes": [["x", "y"]], "pictures": np.zeros((1, 2, 1, 4, 4))}
    given |= {"sounds": np.zeros((1, 2, 6)), "gauges": np.zeros((1, 2, 2, 5))}
    for states in ((0, 0, 0, 1), (2, 1, 0, 2), (2, 2, 2, 2)):
        switches = dict(zip(("text", "image", "audio", "sensor"), states, strict=True))
        widget = ModalityBoard(shares, **given, **switches)
        assert widget._shares() == pytest.approx(shares[(slice(None), *states)].tolist())
        assert place(states, 3) == np.ravel_multi_index(states, (3, 3, 3, 3))


def test_it_says_what_is_seen() -> None:
    assert ModalityBoard(ACCURACY, **GOOD, audio=0).alt == (
        "Example 1: text clean, image clean, audio off, sensor clean. "
        "Right: a 50.0 % (a guess 50.0 %)."
    )
    nothing = ModalityBoard(ACCURACY, **GOOD, text=0, image=0, audio=0, sensor=0)
    assert nothing.alt == (
        "Example 1: text off, image off, audio off, sensor off. "
        "Nothing is known; a guess is right 50.0 %."
    )


def test_a_still_picture_shows_every_state() -> None:
    for state in ({}, {"text": 0, "audio": 0}, dict.fromkeys(("text", "image"), 2)):
        assert board(**state).png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"models": ["a", "b"]},
            r"accuracy must lie in \[0, 1\] and be \(2, 2, 2, 2, 2\)",
        ),
        ({"chance": 1.5}, r"chance must lie in \[0, 1\], got 1.5"),
        ({"truths": ["a", "b"]}, "pictures must be of 2 examples at 1 levels"),
        ({"sounds": np.zeros((1, 2, 6))}, "sounds must be of 1 examples at 1 levels"),
        (
            {"gauges": np.zeros((2, 1, 2, 6))},
            "gauges must be of 1 examples at 1 levels",
        ),
        (
            {"notes": [["x", "y"]]},
            r"notes must be of 1 examples at 1 levels, got \[2\]",
        ),
        (
            {"pictures": np.zeros((1, 1, 4, 4))},
            "examples, levels, channels, height, width",
        ),
        ({"text": 2}, "text must be a whole number from 0 to 1"),
        ({"example": 1}, "example must be a whole number from 0 to 0"),
        (
            {"presets": [{"name": "x", "audio": 2}]},
            "audio must be a whole number from 0 to 1",
        ),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        ModalityBoard(ACCURACY, **{**GOOD, **options})


def test_it_refuses_shares() -> None:
    with rejects(r"accuracy must lie in \[0, 1\]"):
        ModalityBoard(ACCURACY + 1, **GOOD)
    with rejects("finite numbers"):
        ModalityBoard(ACCURACY * np.nan, **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    off = dict.fromkeys(("text", "image", "audio", "sensor"), 0)
    for state in ({}, {"text": 0, "sensor": 2, "example": 1}, off):
        made = board(**state)
        given = [
            made.example,
            made._states(),
            made.levels,
            made.models,
            made._shares(),
            made.chance,
        ]
        assert run("m.sentence(...x)", given, widget="modality_board") == made._describe()


def test_places_and_numbers_are_the_same(run) -> None:
    states, shares = [3, 0, 2, 1], [0, 0.9745, 0.125, 1]
    found = run(
        "[m.place(x[0], 4), x[1].map(m.percent)]",
        [states, shares],
        widget="modality_board",
    )
    assert found == [place(states, 4), [percent(share) for share in shares]]


def test_a_curve_fills_its_box(run) -> None:
    drawn = run("m.points(x)", [0, 255, 0], widget="modality_board")
    assert drawn == "0.0,84.0 100.0,0.0 200.0,84.0"


# ---- on a page ----


@pytest.mark.browser
def test_a_switch_takes_its_modality_away(show) -> None:
    with show(board) as widget:
        expect(widget.locator(".mm-gone:visible")).to_have_count(0)
        changes(widget, lambda: widget.get_by_label("Image").select_option("off"))
        expect(widget.locator(".mm-gone:visible")).to_have_count(1)
        expect(widget.locator("canvas")).to_be_hidden()
        expect(widget.locator(".mm-summary")).to_contain_text("image off")


@pytest.mark.browser
def test_without_any_there_is_no_bar(show) -> None:
    with show(board) as widget:
        for name in ("Text", "Image", "Audio", "Sensor"):
            widget.get_by_label(name).select_option("off")
        expect(widget.locator(".mm-summary")).to_contain_text("Nothing is known")
        assert set(widget.locator(".mm-shares .mm-value").all_text_contents()) == {"–"}
        widths = [bar.get_attribute("style") for bar in widget.locator(".mm-fill").all()]
        assert widths == ["width: 0px;"] * len(widths)


@pytest.mark.browser
def test_another_example_has_another_note_and_truth(show) -> None:
    with show(board) as widget:
        changes(widget, lambda: widget.get_by_label("Example", exact=True).select_option("2"))
        expect(widget.locator(".mm-told")).to_have_text("“note 1 at level 0”")
        expect(widget.locator(".mm-board + .mm-controls .mm-hint")).to_contain_text("truth 1")
