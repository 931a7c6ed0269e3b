"""The sampling explorer with a GPT behind it: what the page says equals what Python computes."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page, violations
from helpers import rejects
from live_page import live_page
from playwright.sync_api import Browser, Locator, expect

from mmcourse.data import WordTokenizer, vocabulary
from mmcourse.inpage import PageModel, Part
from mmcourse.transformers import GPT, next_token_probabilities
from mmcourse.widgets import SamplingExplorer

WORDS = WordTokenizer([*vocabulary("both"), "en:", "ko:", "count:", "one", "two"])
LENGTH = 12
NAME = "gpt-test"
TEXTS = ["en: a large red", "ko: 큰 빨간 원", "EN:  A small\tgrey", "en: " + "a " * 9 + "red"]
ROWS = """(root) => Object.fromEntries([...root.querySelectorAll(".mm-next li[data-p]")].map(
  (row) => [row.querySelector(".mm-word").textContent, Number(row.dataset.p)]))"""
WRITTEN = """(root) => [...root.querySelectorAll(".mm-written li")].map(
  (item) => [item.firstChild.textContent, Number(item.dataset.p)])"""


@pytest.fixture(scope="module")
def gpt() -> GPT:
    torch.manual_seed(3)
    sizes = {"embed_dim": 16, "depth": 2, "num_heads": 2, "init_std": 0.4}
    return GPT(len(WORDS), max_positions=LENGTH, **sizes).eval()


def explorer(gpt: GPT, **options: Any) -> SamplingExplorer:
    """The lesson's explorer with two stored texts."""
    ids = torch.zeros(1, LENGTH, dtype=torch.long)
    prefixes = [WORDS.encode(text)[:-1] for text in ("en:", "en: a")]
    with torch.no_grad():
        logits = torch.stack([gpt(torch.tensor([one]))[0, -1] for one in prefixes])
    live = PageModel(NAME, {"next": Part(gpt, {"ids": ids})})
    options = {"live": live, "presets": [{"name": "Stored", "prefix": 1}], **options}
    return SamplingExplorer(logits, prefixes, WORDS.tokens, **options)


def long_text(gpt: GPT) -> tuple[str, list[str]]:
    """A beginning that the model goes on with for long, and the likeliest words."""
    found = []
    for word in WORDS.tokens[4:]:
        start = torch.tensor([WORDS.encode(f"ko: {word}")[:-1]])
        ids = gpt.generate(start, LENGTH - start.shape[1], temperature=0, stop=WORDS.eos)
        found.append((f"ko: {word}", [WORDS.tokens[i] for i in ids[0, start.shape[1] :]]))
    return max(found, key=lambda one: len(one[1]) - 9 * any("[U" in word for word in one[1]))


def chances(gpt: GPT, tokens: list[int], **dials: Any) -> torch.Tensor:
    with torch.no_grad():
        return next_token_probabilities(gpt(torch.tensor([tokens]))[0, -1].double(), **dials)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, gpt: GPT) -> str:
    return live_page(tmp_path_factory.mktemp("live"), [explorer(gpt)])


@pytest.fixture(scope="module")
def loaded(browser: Browser, address: str) -> Iterator[Locator]:
    with open_page(browser, address) as page:
        widget = page.locator(".mm-widget")
        for control in ("Your own beginning", "Seed"):
            expect(widget.get_by_label(control)).to_be_disabled()
        expect(widget.get_by_role("button", name="Write on")).to_be_disabled()
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.locator(".mm-hint")).to_contain_text("runs in this page", timeout=60_000)
        yield widget


@pytest.fixture
def found(loaded: Locator) -> Locator:
    """The explorer, its dials at rest."""
    for label, value in (("Temperature", "1"), ("Top-k", "0"), ("Top-p", "1")):
        loaded.get_by_label(label, exact=True).fill(value)
    return loaded


def ask(found: Locator, text: str) -> None:
    line = found.get_by_label("Your own beginning")
    line.fill(text)
    line.press("Enter")


def shown(found: Locator) -> str:
    return " ".join(found.locator(".mm-prefix > .mm-said").all_inner_texts())


def wait_for(found: Locator, text: str) -> None:
    words = " ".join(WORDS.tokens[i] for i in WORDS.encode(text)[:-1])
    pattern = re.compile(r"\s*".join(map(re.escape, words.split())) + r"\s*$")
    expect(found.locator(".mm-prefix")).to_have_text(pattern)


# ---- the page's answer is Python's ----


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("dials", [{}, {"temperature": 0.5, "top_k": 5}, {"top_p": 0.8}])
def test_next_words_of_a_typed_text(found: Locator, gpt: GPT, text: str, dials: Any) -> None:
    ask(found, text)
    wait_for(found, text)
    labels = {"temperature": "Temperature", "top_k": "Top-k", "top_p": "Top-p"}
    for name, value in dials.items():
        found.get_by_label(labels[name], exact=True).fill(str(value))
    expected = chances(gpt, WORDS.encode(text)[:-1], **dials)
    expect(found.locator(".mm-summary")).to_contain_text(f"{(expected > 0).sum()} of ")
    rows = found.evaluate(ROWS)
    assert len(rows) == 12
    kept = {WORDS.tokens[i]: p.item() for i, p in enumerate(expected) if p > 0}
    for word, p in rows.items():
        if word in kept:
            assert p == pytest.approx(kept[word], abs=1e-4)


def test_words_are_appended_and_taken_back(found: Locator, gpt: GPT) -> None:
    text, (best, *_) = long_text(gpt)
    ask(found, text)
    wait_for(found, text)
    found.get_by_role("button", name="Append the likeliest").click()
    wait_for(found, f"{text} {best}")
    expect(found.get_by_label("Your own beginning")).to_have_value(f"{text} {best}")
    found.get_by_role("button", name="Draw", exact=True).click()
    expect(found.locator(".mm-summary")).to_contain_text("Drawn: 1")
    found.get_by_role("button", name="Back to “ko:”").click()
    wait_for(found, "ko:")
    rows, expected = found.evaluate(ROWS), chances(gpt, WORDS.encode("ko:")[:-1])
    for word, p in rows.items():
        assert p == pytest.approx(expected[WORDS.tokens.index(word)].item(), abs=1e-4)
    found.get_by_role("button", name="Stored").click()
    wait_for(found, "en: a")
    expect(found.get_by_label("Start")).to_have_value("[BOS] en:")


def write(found: Locator, text: str, seed: int) -> list[tuple[str, float]]:
    found.get_by_label("Your own beginning").fill(text)
    found.get_by_label("Seed").fill(str(seed))
    found.get_by_role("button", name="Write on").click()
    expect(found.get_by_role("button", name="Write on")).to_be_enabled(timeout=20_000)
    return [tuple(one) for one in found.evaluate(WRITTEN)]


@pytest.mark.parametrize("dials", [{}, {"temperature": 2.0, "top_k": 3}])
def test_writing_on(found: Locator, gpt: GPT, dials: dict[str, Any]) -> None:
    """Every word with the probability that Python gives it, up to [EOS] or the last place."""
    for name, value in dials.items():
        label = {"temperature": "Temperature", "top_k": "Top-k"}[name]
        found.get_by_label(label, exact=True).fill(str(value))
    written = write(found, "en: one", 5)
    tokens = WORDS.encode("en: one")[:-1]
    for word, p in written:
        expected = chances(gpt, tokens, **dials)[WORDS.tokens.index(word)].item()
        assert expected > 0
        assert p == pytest.approx(expected, abs=1e-4)
        tokens.append(WORDS.tokens.index(word))
    spoken = sum(not word.startswith("[") for word, _ in written)
    assert len(tokens) == LENGTH or written[-1][0].startswith("[")
    expect(found.locator(".mm-summary")).to_contain_text(f"Wrote {spoken} word")
    assert write(found, "en: one", 5) == written, "the same seed, the same text"
    assert any(write(found, "en: one", seed) != written for seed in (6, 7))
    assert violations(found.page, "main") == []


def test_greedy_writing_is_generate(found: Locator, gpt: GPT) -> None:
    found.get_by_label("Temperature", exact=True).fill("0")
    text, expected = long_text(gpt)
    assert len(expected) > 4
    written = write(found, text, 0)
    assert [word for word, _ in written] == expected
    assert {p for _, p in written} == {1.0}


def test_writing_stops_and_bears_a_storm_of_clicks(found: Locator) -> None:
    found.get_by_label("Your own beginning").fill("en:")
    go = found.get_by_role("button", name="Write on")
    go.evaluate("(node) => { for (let i = 0; i < 30; i++) node.click(); }")
    found.get_by_role("button", name="Stop").click()
    expect(found.locator(".mm-summary")).to_contain_text("(stopped)")
    assert 1 <= found.locator(".mm-written li").count() < LENGTH - 2


# ---- what it cannot read ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Type a beginning first"),
        ("   ", "Type a beginning first"),
        ("en: a rde", "unknown word 'rde'; the nearest known: red"),
        ("en: dragon zzzz", "unknown words 'dragon'"),
        ("a " * 12, "at most 11 words fit"),
        ("<b>a</b>", "unknown word '<b>a</b>'"),
        ("[EOS]", "unknown word '[eos]'"),
    ],
)
def test_what_cannot_be_read_is_said(found: Locator, text: str, said: str) -> None:
    before = found.locator(".mm-prefix").inner_text()
    ask(found, text)
    expect(found.locator(".mm-problem")).to_contain_text(said)
    assert found.locator(".mm-prefix").inner_text() == before
    ask(found, "en: a")
    expect(found.locator(".mm-problem")).to_have_count(0)


@pytest.mark.parametrize("text", ["'a '.repeat(5000)", "'a'.repeat(10000)"])
def test_ten_thousand_characters(found: Locator, text: str) -> None:
    line = found.get_by_label("Your own beginning")
    line.evaluate(f"(node) => {{ node.value = {text}; }}")
    line.press("Enter")
    expect(found.locator(".mm-problem")).to_be_visible()
    assert len(found.locator(".mm-problem").inner_text()) < 400


@pytest.mark.parametrize("seed", ["", "-1", "4294967296", "1.5"])
def test_seeds_out_of_range(found: Locator, seed: str) -> None:
    found.get_by_label("Seed").fill(seed)
    found.get_by_role("button", name="Write on").click()
    expect(found.locator(".mm-problem")).to_contain_text("Seed must be a whole number from 0")
    found.get_by_label("Seed").fill("0")


def test_suggestions(found: Locator) -> None:
    found.get_by_label("Your own beginning").fill("en: a gre")
    options = found.locator("datalist option").evaluate_all("all => all.map((one) => one.value)")
    assert options == ["en: a green", "en: a grey"]


# ---- small windows, no model, the kernel ----


def test_a_small_dark_window(browser: Browser, address: str) -> None:
    with open_page(browser, address, width=390, scheme="dark") as page:
        widget = page.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.get_by_role("button", name="Write on")).to_be_enabled(timeout=60_000)
        write(widget, "en: a large", 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert violations(page, "main") == []


def test_without_the_model_nothing_is_asked(browser: Browser, tmp_path: Any, gpt: GPT) -> None:
    with open_page(browser, live_page(tmp_path, [explorer(gpt, live=None)])) as page:
        widget = page.locator(".mm-widget")
        widget.get_by_label("Start").press("ArrowDown")
        expect(widget.locator(".mm-next li")).to_have_count(13)
        expect(widget.get_by_label("Your own beginning")).to_have_count(0)


def test_the_kernel_answers(gpt: GPT) -> None:
    widget = explorer(gpt)
    ids = np.zeros((1, LENGTH), dtype=np.int32)
    tokens = WORDS.encode("en: a large")[:-1]
    ids[0, : len(tokens)] = tokens
    message = {"part": "next", "inputs": [["ids", [1, LENGTH], "int32"]]}
    said, buffers = widget.run(message, [ids.tobytes()])
    assert said["outputs"] == [["out", [1, LENGTH, len(WORDS)]]]
    out = np.frombuffer(buffers[0], dtype=np.float32).reshape(LENGTH, -1)
    with torch.no_grad():
        np.testing.assert_allclose(out[3], gpt(torch.tensor([tokens]))[0, -1], atol=1e-5)
    assert "problem" in widget.run(message, [ids[:, :3].tobytes()])[0]


def test_python_knows_the_reader_s_own_text(gpt: GPT) -> None:
    widget = explorer(gpt)
    with rejects("prefix must be a whole number from 0 to 1, got -1"):
        widget.prefix = -1
    tokens = WORDS.encode("en: a large")[:-1]
    with torch.no_grad():
        answer = gpt(torch.tensor([tokens]))[0, -1].tolist()
    widget.set_state({"own": tokens, "answer": answer, "prefix": -1})
    found = torch.from_numpy(widget.probabilities()[1])
    torch.testing.assert_close(found, chances(gpt, tokens), atol=1e-6, rtol=0)
    assert "After “[BOS] en: a large”" in widget._describe()


def test_it_refuses_another_model(gpt: GPT) -> None:
    ids = torch.zeros(1, LENGTH, dtype=torch.long)
    with rejects('live needs a part "next"'):
        explorer(gpt, live=PageModel(NAME, {"gpt": Part(gpt, {"ids": ids})}))
    with rejects('live needs a part "next"'):
        explorer(gpt, live=PageModel(NAME, {"next": Part(gpt, {"ids": ids.repeat(2, 1)})}))


# ---- reading, under node ----


def test_texts_are_read_as_python_reads_them(run: Callable[..., Any]) -> None:
    js = partial(run, widget="sampling_explorer")
    texts = [*TEXTS, "파란 별", "a", "rde", "EN: KO:", "빨간원", " en:\n a "]
    found = js("x[0].map((text) => m.readText(text, x[1], x[2]))", [texts, WORDS.tokens, 32])
    for text, one in zip(texts, found, strict=True):
        known = {word for word in text.lower().split() if word in WORDS.tokens}
        if unknown := set(text.lower().split()) - known:
            assert all(f"'{word}'" in one["problem"] for word in unknown)
        else:
            assert one == {"tokens": WORDS.encode(text)[:-1]}
