"""Masked words: what the widget accepts and carries, and how it answers on a page."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page, violations
from helpers import rejects
from playwright.sync_api import Browser, Locator, expect
from widgets_page import masked, page

from mmcourse.widgets import MaskedWords

VOCABULARY = list("abcdefgh")
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
        ({"presets": [{"name": "x", "word": 1}]}, "a preset has a name and some of"),
    ]:
        with rejects(message):
            MaskedWords([one()], VOCABULARY, **options)
    with rejects("at least one sentence"):
        MaskedWords([], VOCABULARY)
    with rejects("missing {'tokens'}"):
        MaskedWords([{"name": "x", "probabilities": SHARES}], VOCABULARY)
    with rejects("at most 100,000 bytes of data"):
        MaskedWords([one()] * 400, VOCABULARY)


# ---- on a page ----


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The address of a page with the widget, in a theme."""
    folder = tmp_path_factory.mktemp("masked")
    widget = masked(caption="A caption.")
    return lambda theme: page(folder / f"{theme}.html", [widget], theme=theme)


def shown(opened: Any) -> Locator:
    host = opened.locator(".mm-host").first
    expect(host.locator(".mm-summary")).not_to_be_empty()
    return host


def changes(widget: Locator, act: Callable[[], None]) -> None:
    bars, sentence = widget.locator(".mm-guesses"), widget.locator(".mm-summary").inner_text()
    before = bars.inner_html()
    act()
    expect(widget.locator(".mm-summary")).not_to_have_text(sentence)
    assert bars.inner_html() != before, "the bars stayed the same"


@pytest.mark.browser
def test_words_by_pointer_and_keyboard(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = shown(opened)
        words = widget.get_by_role("toolbar", name="Word to hide").get_by_role("button")
        expect(words).to_have_count(4)  # not [CLS] and [SEP]
        expect(words.first).to_contain_text("[MASK]")
        changes(widget, words.nth(1).hover)
        expect(words.nth(1)).to_contain_text("[MASK]")
        expect(words.first).to_have_text("my")
        changes(widget, lambda: opened.mouse.move(0, 0))
        changes(widget, words.nth(2).click)
        opened.mouse.move(0, 0)
        expect(words.nth(2)).to_have_attribute("aria-pressed", "true")
        words.nth(2).focus()
        changes(widget, lambda: opened.keyboard.press("ArrowRight"))
        expect(words.nth(3)).to_be_focused()
        opened.keyboard.press("Enter")
        expect(words.nth(3)).to_have_attribute("aria-pressed", "true")
        expect(widget.locator(".mm-summary")).to_contain_text("“hairy” is hidden.")
        stops = [words.nth(i).get_attribute("tabindex") for i in range(words.count())]
        assert stops.count("0") == 1
        expect(widget.locator(".mm-right")).to_have_count(1)  # the true word is marked once


@pytest.mark.browser
def test_sentences_and_presets(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = shown(opened)
        select = widget.get_by_label("Sentence", exact=True)
        changes(widget, lambda: select.select_option(index=1))
        expect(widget.locator(".mm-summary")).to_contain_text("“밤” is hidden.")
        select.focus()
        changes(widget, lambda: opened.keyboard.press("ArrowUp"))
        buttons = widget.get_by_role("group", name="Try this").get_by_role("button")
        changes(widget, buttons.first.click)
        expect(widget.get_by_text("What may a dog be?")).to_be_visible()
        expect(buttons.first).to_have_attribute("aria-pressed", "true")
        changes(widget, buttons.last.click)
        # From a long sentence to a short one: the place moves to the nearest word.
        select.select_option(index=0)
        widget.get_by_role("toolbar").get_by_role("button").last.click()
        opened.mouse.move(0, 0)
        changes(widget, lambda: select.select_option(index=1))
        expect(widget.locator(".mm-summary")).to_contain_text("“먹었다” is hidden.")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_accessible_and_within_the_window(browser: Browser, address, theme, width) -> None:
    with open_page(browser, address(theme), width=width, scheme=theme) as opened:
        widget = shown(opened)
        assert violations(opened, "main") == []
        widget.get_by_role("button", name="밤").first.click()
        widget.get_by_role("toolbar").get_by_role("button").nth(1).focus()
        assert violations(opened, "main") == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        outside = """[...document.querySelectorAll(".mm-widget *")].filter((node) =>
            !node.closest("[hidden]") && node.tagName !== "OPTION"
            && node.getBoundingClientRect().right > innerWidth).map((node) => node.outerHTML)"""
        assert opened.evaluate(outside) == []
