"""Attention explorer: what it accepts and carries, and how it answers on a page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page
from helpers import rejects
from playwright.sync_api import Browser, expect
from widgets_page import WORDS, attention, changes, page, shown, weights

from mmcourse.widgets import AttentionExplorer

# ---- data and state ----


def test_the_still_picture_shows_the_present_state() -> None:
    widget = attention()
    before = widget.png()
    widget.head = 2
    assert widget.png() != before
    assert "head 3" in widget._repr_mimebundle_()[0]["text/plain"]


def test_attention_data_survive() -> None:
    given = weights(12, 12, causal=True)
    widget = AttentionExplorer(given, WORDS)
    stored = np.frombuffer(widget.data, "<f2").reshape(given.shape)
    torch.testing.assert_close(
        torch.as_tensor(stored.copy()).double(), torch.as_tensor(given), atol=5e-4, rtol=1e-3
    )
    assert np.array_equal(stored == 0, given == 0)


def test_attention_accepts_tensors_and_a_row_with_nothing_to_attend() -> None:
    given = torch.as_tensor(weights(3, 3)).float()
    given[0, 0, 1] = 0
    widget = AttentionExplorer(given, ["a", "b", "c"], pinned=1)
    assert "“b” attends most to nothing" in widget.alt


def test_attention_starts_with_the_most_telling_query() -> None:
    given = np.full((1, 1, 4, 4), 0.25)
    given[0, 0, 2] = [0.0, 0.9, 0.05, 0.05]
    assert AttentionExplorer(given, list("abcd")).pinned == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[0], r"layers, heads, queries, keys.*\(4, 12, 12\)"),
        (lambda w: -w, "at least 0, got -"),
        (lambda w: w * 2, "sum to 1 .* got a sum of 2"),
        (lambda w: w[..., :5], "12 queries and 5 keys, got 12 and 12 tokens"),
        (lambda w: w * np.nan, "finite"),
        (lambda w: w[:0], "shape"),
    ],
)
def test_attention_refuses(change: Any, message: str) -> None:
    with rejects(message):
        AttentionExplorer(change(weights(12, 12)), WORDS)


def test_attention_normalised_over_the_wrong_axis_is_caught() -> None:
    wrong = weights(12, 12).swapaxes(-1, -2)
    with rejects("sum to 1 over the keys"):
        AttentionExplorer(wrong, WORDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "layer must be a whole number from 0 to 1, got 2"),
        ({"head": -2}, "head must be a whole number from -1 to 3, got -2"),
        ({"pinned": 12}, "pinned must be a whole number from 0 to 11, got 12"),
    ],
)
def test_attention_refuses_states(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        AttentionExplorer(weights(12, 12), WORDS, **options)


def test_sentences_must_be_whole() -> None:
    with rejects("at least one sentence"):
        AttentionExplorer.from_sentences([])
    with rejects("missing {'tokens'}"):
        AttentionExplorer.from_sentences([{"name": "a", "weights": weights(2, 2)}])


def test_a_shorter_sentence_moves_the_pinned_word() -> None:
    widget = attention()
    widget.pinned = 11
    widget.sentence = 2
    assert widget.pinned == 2
    assert "동그라미" in widget._describe()


def test_too_much_data_is_refused() -> None:
    with rejects("at most 100,000"):
        AttentionExplorer(np.full((12, 12, 20, 20), 0.05), ["x"] * 20)


# ---- on a page ----


@pytest.mark.browser
def test_words_by_pointer_and_keyboard(show) -> None:
    with show(attention) as widget:
        words = widget.get_by_role("toolbar").get_by_role("button")
        changes(widget, words.nth(3).hover)
        changes(widget, lambda: widget.page.mouse.move(0, 0))
        changes(widget, words.nth(4).click)
        widget.page.mouse.move(0, 0)
        expect(words.nth(4)).to_have_attribute("aria-pressed", "true")
        words.nth(4).focus()
        widget.page.keyboard.press("ArrowRight")
        expect(words.nth(5)).to_be_focused()
        expect(widget.locator(".mm-summary")).to_contain_text("“street”")
        widget.page.keyboard.press("Enter")
        expect(words.nth(5)).to_have_attribute("aria-pressed", "true")
        # Only one word is a stop of the Tab key.
        stops = [words.nth(i).get_attribute("tabindex") for i in range(words.count())]
        assert stops.count("0") == 1


@pytest.mark.browser
def test_the_pinned_word_stays_pinned_in_another_sentence(browser: Browser, tmp_path: Path) -> None:
    lines = [["rain", "fell", "as", "it", "does"], ["it", "fell"], ["no", "rain"]]
    sentences = [
        {"name": " ".join(words), "tokens": words, "weights": weights(len(words), len(words))}
        for words in lines
    ]
    explorer = AttentionExplorer.from_sentences(sentences, pinned=3)
    with open_page(browser, page(tmp_path / "it.html", [explorer], theme="light")) as opened:
        widget = shown(opened)
        pinned = widget.locator('.mm-token[aria-pressed="true"]')
        expect(pinned).to_contain_text("it")
        choose = widget.get_by_label("Sentence", exact=True)
        choose.select_option(index=1)
        expect(widget.locator(".mm-summary")).to_contain_text("“it” attends")
        choose.select_option(index=2)  # without the word: the pin is kept within the sentence
        expect(pinned).to_have_count(1)


@pytest.mark.browser
def test_matrix_by_pointer_and_keyboard(show) -> None:
    with show(attention) as widget:
        matrix = widget.get_by_role("group", name="Attention matrix")
        changes(widget, lambda: matrix.locator("canvas").hover(position={"x": 150, "y": 150}))
        widget.page.mouse.move(0, 0)
        widget.get_by_role("toolbar").get_by_role("button").first.click()
        widget.page.mouse.move(0, 0)
        widget.page.keyboard.press("Tab")
        expect(matrix).to_be_focused()
        expect(widget.locator(".mm-summary")).to_contain_text("“The” gives “The” the weight")
        changes(widget, lambda: widget.page.keyboard.press("ArrowDown"))
        expect(widget.locator(".mm-summary")).to_contain_text("“animal” gives “The” the weight")
        widget.page.keyboard.press("ArrowRight")
        widget.page.keyboard.press("Enter")
        pinned = widget.locator('.mm-token[aria-pressed="true"]')
        expect(pinned).to_contain_text("animal")


@pytest.mark.browser
def test_masked_words_are_hatched(show) -> None:
    with show(attention) as widget:
        expect(widget.locator(".mm-masked")).to_have_count(0)
        widget.get_by_role("button", name="No peeking").click()
        expect(widget.locator(".mm-masked")).to_have_count(7)  # the words after the fifth of 12
        expect(widget.get_by_text("Later words are hidden.")).to_be_visible()
