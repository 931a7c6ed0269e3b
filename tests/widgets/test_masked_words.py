"""Masked words: what the widget accepts and carries, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, masked

from mmcourse.widgets import MaskedWords

VOCABULARY = list("abcdefgh")
OWN = ("wordpiece", "own_words")
SHARES = torch.softmax(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=-1)


def one(**changes: Any) -> dict[str, Any]:
    return {"name": "one", "tokens": list("abc"), "probabilities": SHARES, **changes}


# ---- data and state ----


def test_it_keeps_the_five_likeliest_and_the_place_of_the_true_word() -> None:
    widget = MaskedWords([one()], VOCABULARY)
    for place in range(3):
        values, order = SHARES[place].sort(descending=True)
        kept = widget.sentences[0]["guesses"][place]
        assert [word for word, _ in kept] == [VOCABULARY[i] for i in order[:5]]
        np.testing.assert_allclose([p for _, p in kept], values[:5], rtol=5e-3)
        share, rank = widget.sentences[0]["truth"][place]
        assert VOCABULARY[order[rank - 1]] == "abc"[place]
        assert share == pytest.approx(SHARES[place, place].item(), rel=5e-3)


def test_a_row_of_zeros_cannot_be_hidden() -> None:
    shares = SHARES.clone()
    shares[0] = 0
    widget = MaskedWords([one(probabilities=shares), one(name="two")], VOCABULARY)
    assert widget.position == 1
    with rejects("position must be a word that can be hidden, got 0 .'a'"):
        widget.position = 0
    assert widget.position == 1
    widget.sentence = 1
    widget.position = 0
    widget.sentence = 0
    assert widget.position == 1, "the nearest that can be hidden"


def test_the_sentence_says_guess_and_truth() -> None:
    text = masked(sentence=1, position=1).alt
    assert "“[CLS] [MASK] 을 먹었다 [SEP]”" in text
    assert "“밤”, has 0." in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": SHARES[0]}, r"tokens, vocabulary.*\(8,\)"),
        ({"probabilities": SHARES[:2]}, r"\(3 tokens, 8 words\), got \(2, 8\)"),
        ({"probabilities": SHARES * 2}, "sum to 1 .* got 2"),
        ({"probabilities": -SHARES}, "≥ 0 .* got -0"),
        ({"probabilities": SHARES.log()}, "≥ 0"),
        ({"probabilities": SHARES.T[:3, :3].repeat(1, 3)[:, :8]}, "sum to 1"),
        ({"probabilities": SHARES * 0}, "no word of 'a b c' can be hidden"),
        ({"probabilities": SHARES / 0}, "finite"),
        ({"tokens": list("abx")}, "the word 'x' is not in the vocabulary"),
    ],
)
def test_it_refuses_sentences(change: dict[str, Any], message: str) -> None:
    with rejects(message):
        MaskedWords([one(**change)], VOCABULARY)


def test_it_refuses_states_and_too_much() -> None:
    for options, message in [
        ({"position": 3}, r"word that can be hidden \[0, 1, 2\], got 3"),
        ({"sentence": 1}, "sentence must be a whole number from 0 to 0, got 1"),
        (
            {"presets": [{"name": "x", "position": 3}]},
            "position must be a whole number from 0 to 2",
        ),
    ]:
        with rejects(message):
            MaskedWords([one()], VOCABULARY, **options)
    with rejects("at least one sentence"):
        MaskedWords([], VOCABULARY)
    with rejects("missing {'tokens'}"):
        MaskedWords([{"name": "x", "probabilities": SHARES}], VOCABULARY)
    with rejects("at most 100,000 bytes of data"):
        MaskedWords([one()] * 400, VOCABULARY)


def test_words_for_shares_and_the_nearest_word_to_hide(run) -> None:
    code = "[0.5, 0.0994, 0.0996, 0.02, 0.0004, 0].map(m.percent)"
    said = ["50 %", "9.9 %", "10 %", "2.0 %", "< 0.1 %", "0.0 %"]
    assert run(code, widget="masked_words", also=OWN) == said
    lists = [[], [1], [], [1], []]
    code = "[0, 1, 2, 3, 4, 9].map((i) => m.nearest(x, i))"
    assert run(code, lists, widget="masked_words", also=OWN) == [1, 1, 1, 3, 3, 3]


# ---- on a page ----


@pytest.mark.browser
def test_words_by_pointer_and_keyboard(show) -> None:
    with show(masked) as widget:
        words = widget.get_by_role("toolbar", name="Word to hide").get_by_role("button")
        expect(words).to_have_count(4)  # not [CLS] and [SEP]
        expect(words.first).to_contain_text("[MASK]")
        changes(widget, words.nth(1).hover)
        expect(words.nth(1)).to_contain_text("[MASK]")
        expect(words.first).to_have_text("my")
        changes(widget, lambda: widget.page.mouse.move(0, 0))
        changes(widget, words.nth(2).click)
        widget.page.mouse.move(0, 0)
        expect(words.nth(2)).to_have_attribute("aria-pressed", "true")
        words.nth(2).focus()
        changes(widget, lambda: widget.page.keyboard.press("ArrowRight"))
        expect(words.nth(3)).to_be_focused()
        widget.page.keyboard.press("Enter")
        expect(words.nth(3)).to_have_attribute("aria-pressed", "true")
        expect(widget.locator(".mm-summary")).to_contain_text("“hairy” is hidden.")
        stops = [words.nth(i).get_attribute("tabindex") for i in range(words.count())]
        assert stops.count("0") == 1
        expect(widget.locator(".mm-right")).to_have_count(1)  # the true word is marked once


@pytest.mark.browser
def test_another_sentence_hides_the_nearest_word(show) -> None:
    with show(masked) as widget:
        select = widget.get_by_label("Sentence", exact=True)
        select.select_option(index=1)
        expect(widget.locator(".mm-summary")).to_contain_text("“밤” is hidden.")
        # From a long sentence to a short one: the place moves to the nearest word.
        select.select_option(index=0)
        widget.get_by_role("toolbar").get_by_role("button").last.click()
        widget.page.mouse.move(0, 0)
        changes(widget, lambda: select.select_option(index=1))
        expect(widget.locator(".mm-summary")).to_contain_text("“먹었다” is hidden.")
