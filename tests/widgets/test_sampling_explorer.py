"""Sampling explorer: its maths against the package's sampler, what it refuses, how it answers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, sampling

from mmcourse.transformers import next_token_probabilities
from mmcourse.widgets import SamplingExplorer

SETTINGS = [
    {"temperature": t, "top_k": k, "top_p": p}
    for t in (0.0, 0.3, 1.0, 2.0)
    for k in (0, 1, 4, 20)
    for p in (0.05, 0.5, 0.9, 1.0)
]


def chapter(logits: Any, temperature: float, top_k: int, top_p: float) -> torch.Tensor:
    """The probabilities as the package's own sampler has them."""
    options = {"top_k": top_k or None, "top_p": None if top_p == 1 else top_p}
    given = torch.as_tensor(np.asarray(logits), dtype=torch.float64)
    return next_token_probabilities(given, temperature=temperature, **options)


@pytest.fixture
def js(run: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate an expression of this widget's JavaScript."""
    return partial(run, widget="sampling_explorer")


# ---- maths ----


def test_the_page_samples_as_the_package_does(js) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 20)) * 3
    logits[1, 4:8] = logits[1].max()  # ties
    code = (
        "x[1].map((s) => x[0].map((l) => m.nextProbabilities(l, s.temperature, s.top_k, s.top_p)))"
    )
    found = js(code, [logits.tolist(), SETTINGS])
    for setting, row in zip(SETTINGS, found, strict=True):
        after = torch.tensor([one["after"] for one in row], dtype=torch.float64)
        # Equal logits are cut in an order of the library's own: compare what is left, sorted.
        expected = chapter(logits, **setting)
        torch.testing.assert_close(after.sort().values, expected.sort().values)
        torch.testing.assert_close(after[[0, 2]], expected[[0, 2]])
        before = torch.tensor([one["before"] for one in row], dtype=torch.float64)
        free = {**setting, "top_k": 0, "top_p": 1.0}
        torch.testing.assert_close(before, chapter(logits, **free))


def test_python_says_what_the_page_shows() -> None:
    for setting in SETTINGS:
        widget = sampling(**setting)
        expected = chapter(widget._logits[1], **setting)
        torch.testing.assert_close(torch.as_tensor(widget.probabilities()[1]), expected)
        assert f"{(expected > 0).sum()} of 20 tokens may be drawn" in widget._describe()


def test_the_order_of_the_cuts_matters(js) -> None:
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    after = js("m.nextProbabilities(x, 1, 2, 0.55).after", logits.tolist())
    # Of the two that top-k leaves, 4/7 alone reaches 0.55; top-p first would have kept both.
    assert after == [1, 0, 0, 0]


def test_draws_are_seeded_and_follow_the_probabilities(js) -> None:
    p = [0.5, 0.0, 0.3, 0.2, 0.0]
    drawn = np.array(js("m.drawTokens(x, 20000, 3)", p))
    shares = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(shares, p, atol=0.012)
    assert set(drawn) == {0, 2, 3}
    assert js("m.drawTokens(x, 50, 3)", p) == drawn[:50].tolist()
    assert js("m.drawTokens(x, 50, 4)", p) != drawn[:50].tolist()
    numbers = np.array(
        js("(() => { const f = m.randomNumbers(1); return Array.from({ length: 4000 }, f); })()")
    )
    assert 0 <= numbers.min() < 0.01
    assert 0.99 < numbers.max() < 1
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.05


# ---- what it refuses ----

LOGITS = np.zeros((2, 3))
GOOD: dict[str, Any] = {"logits": LOGITS, "prefixes": [[0], [0, 1]], "vocabulary": list("abc")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logits": LOGITS[0]}, r"\(prefixes, tokens\), got shape \(3,\)"),
        ({"logits": LOGITS - np.inf}, "finite"),
        ({"vocabulary": list("ab")}, "as many prefixes and tokens, got 2 and 2"),
        ({"prefixes": [[0]]}, "as many prefixes and tokens, got 1 and 3"),
        ({"prefixes": [[0], [0]]}, "got one twice"),
        ({"prefixes": [[0], []]}, r"token numbers from 0 to 2, got \[\]"),
        ({"prefixes": [[0], [0, 3]]}, r"token numbers from 0 to 2, got \[0, 3\]"),
        ({"prefix": 2}, "prefix must be a whole number from 0 to 1, got 2"),
        ({"temperature": -0.1}, "temperature must be from 0.0 to 3.0, got -0.1"),
        ({"temperature": 3.1}, "temperature must be from"),
        ({"top_k": 4}, "top_k must be a whole number from 0 to 3, got 4"),
        ({"top_p": 0.0}, "top_p must be from 0.05 to 1.0, got 0.0"),
        ({"draws": 1001}, "draws must be a whole number from 0 to 1000"),
        ({"presets": [{"name": "x", "top_p": 2}]}, "top_p must be from"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        SamplingExplorer(**{**GOOD, **options})


def test_a_wrong_change_is_undone() -> None:
    widget = SamplingExplorer(**GOOD)
    with rejects("temperature must be"):
        widget.temperature = 5.0
    assert widget.temperature == 1.0


def test_logits_survive_as_bytes() -> None:
    widget = sampling()
    stored = np.frombuffer(widget.data, "<f2").reshape(widget._logits.shape)
    np.testing.assert_allclose(stored.astype(float), widget._logits, rtol=1e-3)


# ---- on a page ----


@pytest.mark.browser
def test_what_is_cut_is_hatched(show) -> None:
    with show(sampling) as widget:
        expect(widget.locator(".mm-next .mm-off")).to_have_count(0)
        for label in ("Temperature", "Top-k", "Top-p"):
            key = "ArrowLeft" if label == "Top-p" else "ArrowRight"
            for _ in range(4):
                widget.get_by_label(label, exact=True).press(key)
        assert widget.locator(".mm-next .mm-off").count() > 3
        widget.get_by_role("button", name="Greedy").click()
        expect(widget.locator(".mm-summary")).to_contain_text("1 of 20 tokens may be drawn")
        expect(widget.get_by_text("0 (greedy)")).to_be_visible()


@pytest.mark.browser
def test_draw_count_and_clear(show) -> None:
    with show(sampling) as widget:
        one, hundred, clear, append = (
            widget.get_by_role("button", name=name, exact=True)
            for name in ("Draw", "Draw 100", "Clear", "Append the last draw")
        )
        expect(clear).to_be_disabled()
        expect(append).to_be_disabled()
        changes(widget, one.click)
        expect(widget.locator(".mm-summary")).to_contain_text("Drawn: 1, the last one")
        changes(widget, hundred.click)
        counts = [int(text[:-1]) for text in widget.locator(".mm-next small").all_inner_texts()]
        assert sum(counts) == 101
        changes(widget, clear.click)
        expect(widget.locator(".mm-tally")).to_have_count(1)  # the legend's alone


@pytest.mark.browser
def test_words_are_appended_and_taken_back(show) -> None:
    with show(sampling) as widget:
        line = widget.get_by_role("group", name="The text so far")
        expect(line).to_have_text("[BOS]a")
        widget.get_by_role("button", name="Append “old”").focus()
        changes(widget, lambda: widget.page.keyboard.press("Enter"))
        expect(line).to_have_text("[BOS]aold")
        focused = "document.activeElement.closest('.mm-next') !== null"
        assert widget.page.evaluate(focused), "the keyboard stays in the list"
        widget.get_by_role("button", name="Append “cat”").click()
        expect(widget.locator(".mm-summary")).to_contain_text("No longer text is stored.")
        changes(widget, widget.get_by_role("button", name="Back to “a”").click)
        expect(line).to_have_text("[BOS]a")
        widget.get_by_label("Start", exact=True).select_option(index=1)
        expect(line).to_have_text("the")


@pytest.mark.browser
def test_the_last_draw_can_be_appended(show) -> None:
    with show(sampling) as widget:
        widget.get_by_role("button", name="Greedy").click()
        widget.get_by_role("button", name="Draw", exact=True).click()
        word = widget.locator(".mm-next .mm-word").first.inner_text()
        widget.get_by_role("button", name="Append the last draw").click()
        line = widget.get_by_role("group", name="The text so far")
        expect(line).to_have_text(f"[BOS]a{word}")
        expect(widget.get_by_role("button", name="Clear")).to_be_disabled()
