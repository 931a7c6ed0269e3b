"""Caption gaze: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, gaze

from mmcourse.multimodal import GridEncoder, ShowAttendTell
from mmcourse.widgets import CaptionGaze
from mmcourse.widgets.caption_gaze import percent

PICTURES = np.zeros((2, 3, 8, 8))
WEIGHTS = np.full((2, 3, 4), 0.25)
GOOD: dict[str, Any] = {
    "grid": (2, 2),
    "words": [["red", "disc", "[EOS]"], ["disc", "[EOS]"]],
    "gates": np.full((2, 3), 0.5),
    "guesses": [[["red", "disc"]] * 3] * 2,
    "chances": np.tile([0.7, 0.2], (2, 3, 1)),
    "titles": ["one", "two"],
}

# ---- data and state ----


def test_the_looks_survive_as_bytes() -> None:
    given = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3))
    widget = CaptionGaze(PICTURES, given, **GOOD)
    assert np.abs(widget._lights * given.max(2, keepdims=True) - given).max() < 1 / 400
    stored = np.frombuffer(widget.data[PICTURES.size : PICTURES.size + given.size], np.uint8)
    np.testing.assert_allclose(stored.reshape(given.shape) / 255, widget._lights)
    tops = np.frombuffer(widget.data[PICTURES.size + given.size :], "<u2").reshape(2, 3)
    assert np.abs(tops / 1000 - given.max(2)).max() < 1e-3


def test_it_takes_what_a_captioner_gives() -> None:
    torch.manual_seed(0)
    model = ShowAttendTell(9, encoder=GridEncoder((4, 4), halvings=1), width=5).eval()
    images = torch.zeros(2, 3, 8, 8)
    with torch.no_grad():
        told = model(images, torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]]))
    best = told.logits.softmax(2).topk(2, dim=2)
    options = {**GOOD, "gates": told.gates, "chances": best.values, "grid": (4, 4)}
    widget = CaptionGaze(images, told.weights, **options)
    assert widget._light().shape == (4, 4)
    assert widget._light().max() == 1


def test_it_says_where_it_looked() -> None:
    weights = WEIGHTS.copy()
    weights[0, 1] = [0.1, 0.2, 0.1, 0.6]
    made = CaptionGaze(PICTURES, weights, word=1, **GOOD)
    assert made.alt == (
        "Word 2 of 3, “disc”: looked most at row 2, column 2 (share 0.600), gate 0.50. "
        "Likeliest: “red” 70.0 %, “disc” 20.0 %."
    )


def test_a_shorter_caption_shows_its_last_word() -> None:
    made = CaptionGaze(PICTURES, WEIGHTS, scene=1, word=2, **GOOD)
    assert made.alt.startswith("Word 2 of 2, “[EOS]”")
    assert made.png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (WEIGHTS[0], "scenes, words, places"),
        (WEIGHTS * 2, "sum to 1 over the places, got a sum of 2"),
        (WEIGHTS - [[[1, -1, 0, 0]]], "at least 0, got -"),
        (WEIGHTS * np.nan, "finite"),
        (WEIGHTS[:, :2], "captions of 1 to 2 words"),
    ],
)
def test_it_refuses_weights(weights: np.ndarray, message: str) -> None:
    with rejects(message):
        CaptionGaze(PICTURES, weights, **GOOD)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": (2, 3)}, "grid must have 4 places"),
        ({"words": [["a"]]}, "words must be 2 captions"),
        ({"words": [["a"], []]}, "words must be 2 captions"),
        ({"titles": ["one"]}, "pictures and titles must be 2, got 2 and 1"),
        ({"gates": np.full((2, 2), 0.5)}, "gates and chances must be of 2 scenes and 3 words"),
        ({"gates": np.full((2, 3), 1.5)}, r"gates must lie in \[0, 1\]"),
        ({"chances": np.full((2, 3, 2), -0.5)}, r"chances must lie in \[0, 1\]"),
        ({"guesses": [[["a"]] * 3] * 2}, "guesses must be 2 for each of 3 words"),
        ({"word": 3}, "word must be a whole number from 0 to 2, got 3"),
        ({"scene": 2}, "scene must be a whole number from 0 to 1, got 2"),
        ({"presets": [{"name": "x", "word": 9}]}, "word must be a whole number from 0 to 2"),
    ],
)
def test_it_refuses_the_rest(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        CaptionGaze(PICTURES, WEIGHTS, **{**GOOD, **options})


def test_it_refuses_pictures() -> None:
    with rejects(r"\[-1, 1\]"):
        CaptionGaze(PICTURES + 9, WEIGHTS, **GOOD)
    with rejects("at most 100,000 bytes"):
        CaptionGaze(np.zeros((2, 3, 150, 150)), WEIGHTS, **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"scene": 1, "word": 1}, {"word": 0}):
        made = gaze(**state)
        scene, word = made.scene, made._at()
        given = {
            "words": made.words[scene],
            "word": word,
            "light": made._light().flatten().tolist(),
            "columns": made.grid[1],
            "top": float(made._tops[scene, word]),
            "gate": made.gates[scene][word],
            "guesses": made.guesses[scene][word],
            "chances": made.chances[scene][word],
        }
        assert run("m.sentence(x)", given, widget="caption_gaze") == made._describe()


def test_chances_are_written_alike(run) -> None:
    found = run("x.map(m.percent)", [0, 5, 974, 1000], widget="caption_gaze")
    assert found == [percent(chance) for chance in (0, 5, 974, 1000)]


# ---- on a page ----


@pytest.mark.browser
def test_pointer_and_keyboard_do_the_same(show) -> None:
    with show(gaze) as widget:
        said = widget.locator(".mm-summary")
        line = widget.get_by_role("group", name="Words of the caption").get_by_role("button")
        changes(widget, line.nth(2).hover)
        expect(said).to_contain_text("Word 3 of 4")
        by_pointer = said.inner_text()
        widget.page.mouse.move(0, 0)
        expect(said).to_contain_text("Word 2 of 4")
        line.nth(1).focus()
        widget.page.keyboard.press("Tab")
        expect(said).to_have_text(by_pointer)
        widget.page.keyboard.press("Enter")
        expect(line.nth(2)).to_have_attribute("aria-pressed", "true")


@pytest.mark.browser
def test_a_shorter_caption_has_fewer_words(show) -> None:
    with show(gaze) as widget:
        words = widget.locator(".mm-gaze-words button:visible")
        expect(words).to_have_count(4)
        widget.get_by_label("Scene").select_option("a disc")
        expect(words).to_have_count(3)
        expect(widget.locator(".mm-summary")).to_contain_text("of 3")
