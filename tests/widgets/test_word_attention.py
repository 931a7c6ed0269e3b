"""Word attention: what it accepts and carries, what it says, and how it answers on a page."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, word_maps, words

from mmcourse.diffusion import UNet, attention_maps
from mmcourse.widgets import WordAttention

PICTURES = np.zeros((2, 5, 3, 8, 8))
GOOD: dict[str, Any] = {
    "captions": [["a", "b", "c", "d"], ["a", "b", "d", "c"]],
    "labels": list("vwxyz"),
}

# ---- data and state ----


def test_the_weights_survive_as_bytes() -> None:
    given = word_maps()
    widget = WordAttention(PICTURES, given, **GOOD)
    assert np.abs(widget._weights - given).max() < 1 / 500
    stored = np.frombuffer(widget.data[PICTURES.size :], np.uint8).reshape(given.shape)
    np.testing.assert_allclose(stored / 255, widget._weights)


def test_it_takes_what_a_unet_gives() -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"channels": (8,), "attention": (True,), "groups": 4}
    model = UNet(in_channels=3, context_dim=6, num_heads=2, blocks_per_level=1, **options)
    maps = attention_maps(model, torch.randn(2, 3, 8, 8), 3, torch.randn(2, 4, 6))
    mean = torch.stack([one.mean(1) for one in maps.values()]).mean(0)  # over layers and heads
    widget = WordAttention(PICTURES[:, :1], mean[:, None], **{**GOOD, "labels": ["now"]})
    assert (widget.scene, widget.step, widget.word) == (0, 0, 3)
    assert widget.shape == [2, 1, 8, 8]


def test_it_says_where_a_word_is_read() -> None:
    weights = np.full((2, 5, 4, 4, 4), 0.25)
    weights[1, 2, 3, 1] = [0.1, 0.2, 0.6, 0.1]
    made = WordAttention(PICTURES, weights, scene=1, step=2, word=2, **GOOD)
    assert made.alt == "“d” at x: read most in row 4, column 2 (weight 0.60), least with 0.25."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[0], "captions, steps, rows, columns, words"),
        (lambda w: w * 2, "sum to 1 over the words, got a sum of 2"),
        (lambda w: w.swapaxes(-1, -2), "sum to 1 over the words"),
        (lambda w: w - 1, "at least 0, got -"),
        (lambda w: w[:, :3], r"of 2 captions at 3 steps, got \(2, 5\)"),
        (lambda w: w * np.nan, "finite"),
    ],
)
def test_it_refuses_weights(change: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    with rejects(message):
        WordAttention(PICTURES, change(word_maps()), **GOOD)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"captions": [["a"] * 4]}, "captions must be 2 of 4 words each"),
        ({"captions": [["a"] * 4, ["a"] * 3]}, "captions must be 2 of 4 words each"),
        ({"labels": ["x"]}, "labels must name 5 steps, got 1"),
        ({"word": 4}, "word must be a whole number from 0 to 3, got 4"),
        ({"step": 5}, "step must be a whole number from 0 to 4, got 5"),
        ({"scene": 2}, "scene must be a whole number from 0 to 1, got 2"),
        ({"presets": [{"name": "x", "word": 9}]}, "word must be a whole number from 0 to 3"),
    ],
)
def test_it_refuses_states(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        WordAttention(PICTURES, word_maps(), **{**GOOD, **options})


def test_it_refuses_pictures() -> None:
    with rejects(r"\[-1, 1\]"):
        WordAttention(PICTURES + 9, word_maps(), **GOOD)
    with rejects("at most 100,000 bytes"):
        WordAttention(np.zeros((2, 5, 3, 60, 60)), word_maps(), **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"scene": 1, "step": 0, "word": 1}, {"step": 3, "word": 0}):
        made = words(**state)
        name = made.captions[made.scene][made.word]
        given = [name, made.labels[made.step], made._map().flatten().tolist(), 4]
        assert run("m.sentence(...x)", given, widget="word_attention") == made._describe()


def test_maps_are_stretched(run) -> None:
    code = "[[0.2, 0.4, 0.3], [0.5, 0.5]].map((v) => m.stretched(v))"
    found = run(code, widget="word_attention")
    np.testing.assert_allclose(found[0], [0, 1, 0.5])
    assert found[1] == [1, 1]


# ---- on a page ----


@pytest.mark.browser
def test_pointer_and_keyboard_do_the_same(show) -> None:
    with show(words) as widget:
        said = widget.locator(".mm-summary")
        expect(said).to_contain_text("“disc” at step 5 of 5")
        line = widget.get_by_role("group", name="Words of the caption").get_by_role("button")
        changes(widget, line.nth(2).hover)
        expect(said).to_contain_text("“red” at step 5 of 5")
        by_pointer = said.inner_text()
        widget.page.mouse.move(0, 0)
        expect(said).to_contain_text("“disc”")
        line.nth(1).focus()
        widget.page.keyboard.press("Tab")
        expect(said).to_have_text(by_pointer)
        widget.page.keyboard.press("Enter")
        widget.page.keyboard.press("Tab")
        widget.page.keyboard.press("Tab")
        expect(said).to_have_text(by_pointer)  # kept
        expect(line.nth(2)).to_have_attribute("aria-pressed", "true")


@pytest.mark.browser
def test_a_small_map_chooses_its_word_and_step(show) -> None:
    with show(words) as widget:
        expect(widget.locator(".mm-word-maps canvas")).to_have_count(20)
        changes(widget, widget.locator(".mm-word-maps canvas").nth(6).click)
        expect(widget.locator(".mm-summary")).to_contain_text("“large” at step 2 of 5")
        expect(widget.locator(".mm-word-maps .mm-on")).to_have_count(1)
