"""Masked words of the reader's own: cut as Python cuts them, guessed as PyTorch guesses."""

import json
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page, violations
from helpers import rejects
from hypothesis import given, settings
from hypothesis import strategies as st
from live_models import LONGEST, guessing, masker, tokenizer
from live_page import live_page
from playwright.sync_api import Browser, Locator, expect
from widgets.conftest import node

from mmcourse.inpage import PageModel, Part
from mmcourse.transformers.wordpiece import SPECIALS, WordPiece, _clean, _is_punctuation
from mmcourse.widgets.base import HERE

SOURCE = (HERE / "wordpiece.js").read_text(encoding="utf-8")
PIECES = tokenizer()
MIXED = "my dog's 밤을 먹었다 되었다 Café e\u0301 İ ΣΑΣ ß \ufb01 中文 カナ 🦊 — « … £ ㄱ ᄇ\t\u3000"
MIXED += "\u200b\ufffd\uff21"


# ---- the tokenizer, under node ----


def js(expression: str, x: Any) -> Any:
    """Evaluate an expression of JavaScript for every x of a list."""
    code = f"{SOURCE}\nconst all = JSON.parse(require('fs').readFileSync(0));\n"
    code += f"process.stdout.write(JSON.stringify(all.map((x) => ({expression}))));"
    done = subprocess.run([node(), "-e", code], input=json.dumps(x), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def about(pieces: WordPiece, length: int = LONGEST) -> dict[str, Any]:
    names = ("tokens", "lower_case", "strip_accents", "max_chars")
    return {name: getattr(pieces, name) for name in names} | {"length": length}


def cut(pieces: WordPiece, texts: list[str]) -> list[list[str]]:
    return js(f"wordPiece({json.dumps(about(pieces))}).tokenize(x)", texts)


# Unicode 15 and 16, which browsers have, class this vowel of Ahom anew.
ANEW = {0x1171E}


def test_every_character_is_read_alike() -> None:
    code = "[cleaned(x), isMark(x), Array.from(x, (l) => l.toLowerCase()).join(''), "
    code += "x.normalize('NFD').replace(/\\p{Mn}/gu, '')]"
    every = (chr(p) for p in range(sys.maxunicode + 1) if not 0xD800 <= p < 0xE000)
    letters = [one for one in every if unicodedata.category(one) != "Cn"]
    different = set()
    for one, found in zip(letters, js(code, letters), strict=True):
        apart = unicodedata.normalize("NFD", one)
        bare = "".join(c for c in apart if unicodedata.category(c) != "Mn")
        if found != [_clean(one), _is_punctuation(one), one.lower(), bare]:
            different.add(ord(one))
    assert different <= ANEW, [hex(point) for point in different]


@pytest.mark.parametrize("strip", [False, True])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_texts_are_cut_alike(strip: bool, data: st.DataObject) -> None:
    words = f"{MIXED} {' '.join(SPECIALS)} playing sleepless penguins [mask] ##을".split(" ")
    anything = st.characters(exclude_categories=("Cs", "Cn"))
    part = st.one_of(st.sampled_from(words), st.text(st.sampled_from(MIXED)), st.text(anything))
    texts = [
        data.draw(st.sampled_from(["", " "])).join(data.draw(st.lists(part, max_size=6)))
        for _ in range(12)
    ]
    pieces = WordPiece(PIECES.tokens, strip_accents=strip)
    for text, found in zip(texts, cut(pieces, texts), strict=True):
        assert found == pieces.tokenize(text), repr(text)


def test_capitals_kept_and_words_too_long() -> None:
    cased = WordPiece([*SPECIALS, "a", "##a", "A", "é"], lower_case=False, max_chars=5)
    texts = ["aaaaa aaaaaa A AA é É", "a" * 10_000]
    assert cut(cased, texts) == [cased.tokenize(text) for text in texts]
    assert cut(cased, texts)[1] == ["[UNK]"]


@pytest.mark.parametrize(
    ("text", "pair"),
    [("my [MASK] is hairy", None), ("동생은 밤을", None), ("my dog", "밤이 되었다 .")],
)
def test_segments_are_the_tokenizer_s(text: str, pair: str | None) -> None:
    typed = text if pair is None else f"{text} [sep] {pair}"
    (found,) = js(f"readText(x, {json.dumps(about(PIECES))})", [typed])
    ids, segments = PIECES.encode_segments(text, pair)
    assert [PIECES.vocab[token] for token in found["tokens"]] == ids
    assert found["segments"] == segments
    assert found["unknown"] == []


def test_unknown_words_are_named_but_not_what_stands_for_them() -> None:
    (found,) = js(f"readText(x, {json.dumps(about(PIECES))})", ["my QQQ [mask] [UNK] dog qqq, 🦊"])
    assert found["unknown"] == ["qqq", ",", "🦊"]
    assert found["tokens"].count("[UNK]") == 5


# ---- in Python ----


def test_the_kernel_answers_what_the_model_says() -> None:
    live = masker(PIECES)
    batch = PIECES.batch(["동생은 [MASK] 먹었다"], length=LONGEST)
    rows = [batch.input_ids, batch.token_type_ids]
    buffers = [row.int().numpy().tobytes() for row in rows]
    inputs = [[name, [1, LONGEST], "int32"] for name in ("ids", "segments")]
    said, numbers = guessing(live).run({"part": "reader", "inputs": inputs}, buffers)
    (_, shape), (_, four) = said["outputs"]
    assert four == [1, 2, 4, LONGEST, LONGEST]
    found = torch.from_numpy(np.frombuffer(numbers[0], "f4").reshape(shape).copy())
    bert = live.parts["reader"].network.bert
    wanted = bert(*batch).mlm_logits
    real = batch.attention_mask
    torch.testing.assert_close(found[real], wanted[real], atol=1e-5, rtol=1e-5)
    weights = torch.from_numpy(np.frombuffer(numbers[1], "f4").reshape(four).copy())
    torch.testing.assert_close(weights.sum(-1), torch.ones(four[:-1]), atol=1e-5, rtol=0)
    assert not weights[..., int(real.sum()) :].any(), "nobody looks at the filling"


def test_a_model_that_does_not_fit_is_refused() -> None:
    part = masker(PIECES).parts["reader"]
    for wrong in (
        {"other": part},
        {"reader": Part(part.network, {"ids": part.inputs["ids"]}, part.outputs)},
        {"reader": Part(part.network, part.inputs, ("out", "weights"))},
    ):
        with rejects('live needs a part "reader"'):
            guessing(PageModel("wrong", wrong))
    fewer = WordPiece(PIECES.tokens[:-1])
    with rejects(f"must give logits .1, {LONGEST}, {len(fewer)} tokens"):
        guessing(tokenizer=fewer)


# ---- in a page without a kernel ----


@pytest.fixture(scope="module")
def live() -> PageModel:
    return masker(PIECES)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, live: PageModel) -> str:
    return live_page(tmp_path_factory.mktemp("live"), [guessing(live)])


@pytest.fixture(scope="module")
def found(browser: Browser, address: str) -> Iterator[Locator]:
    """The widget after its model has been loaded, once for all."""
    with open_page(browser, address) as page:
        widget = page.locator(".mm-widget")
        expect(line(widget)).to_be_disabled()
        expect(widget.locator(".mm-guesses").first).to_be_visible()  # of the stored sentence
        widget.get_by_role("button", name="Load the model").click()
        expect(hint(widget)).to_contain_text("runs in this page", timeout=60_000)
        yield widget


def line(widget: Locator) -> Locator:
    return widget.get_by_label("Your own sentence")


def hint(widget: Locator) -> Locator:
    return widget.locator(".mm-own .mm-hint")


def chips(widget: Locator) -> Locator:
    return widget.get_by_role("toolbar", name="Piece to hide or show").locator(":scope > *")


def shares(widget: Locator) -> list[tuple[str, float]]:
    """All that is guessed: (piece, share)."""
    rows = widget.locator(".mm-own .mm-guesses li").all()
    return [
        (
            row.locator(".mm-guessed").inner_text(),
            float(row.locator("b").get_attribute("data-share")),
        )
        for row in rows
    ]


def asked(live: PageModel, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch's shares (places, vocabulary) and weights (layers, heads, places, places)."""
    pair = text.split(" [SEP] ")
    item: Any = tuple(pair) if len(pair) > 1 else text
    batch = PIECES.batch([item], length=LONGEST)
    ids = {"ids": batch.input_ids, "segments": batch.token_type_ids}
    made = live.run("reader", ids)
    n = int(batch.attention_mask.sum())
    return made["logits"][0, :n].softmax(-1), made["weights"][0, :, :, :n, :n]


@pytest.mark.browser
@pytest.mark.parametrize(
    "text",
    [
        "my [MASK] is hairy",
        "동생은 [MASK] 먹었다 .",
        "[MASK] 밤이 [MASK] qqq",
        "my dog [SEP] he [MASK]",
    ],
)
def test_the_page_guesses_what_python_guesses(found: Locator, live: PageModel, text: str) -> None:
    line(found).fill(text)
    line(found).press("Enter")
    expect(chips(found)).to_have_count(len(PIECES.tokenize(text)) + 2)
    places = [i + 1 for i, piece in enumerate(PIECES.tokenize(text)) if piece == "[MASK]"]
    expect(found.locator(".mm-own .mm-title").last).to_contain_text(f"place {places[-1] + 1}?")
    wanted, weights = asked(live, text)
    seen = shares(found)
    assert len(seen) == 5 * len(places)
    for number, place in enumerate(places):
        best = wanted[place].topk(5)
        for (piece, share), value in zip(seen[5 * number :], best.values, strict=False):
            assert abs(share - float(value)) < 1e-4
            assert abs(float(wanted[place, PIECES.vocab[piece]]) - share) < 1e-4
    for layer, head in ((0, 0), (1, 3), (1, -1)):
        found.get_by_label("Layer", exact=True).select_option(index=layer)
        found.get_by_label("Head", exact=True).select_option(index=head + 1)
        found.get_by_label("Attention of", exact=True).select_option(index=2)
        row = weights[layer, :, 2].mean(dim=0) if head < 0 else weights[layer, head, 2]
        told = [
            float(one.evaluate("n => n.style.getPropertyValue('--w')"))
            for one in chips(found).all()
        ]
        assert (torch.tensor(told) - row).abs().max() < 1e-4
    assert violations(found.page, "main") == []


@pytest.mark.browser
def test_a_click_hides_and_shows_a_piece(found: Locator, live: PageModel) -> None:
    line(found).fill("my dog is hairy")
    found.get_by_role("button", name="Read", exact=True).click()
    told = found.locator(".mm-told")
    expect(told).to_contain_text("Nothing is hidden yet")
    dog = chips(found).nth(2)
    dog.click()
    expect(told).to_contain_text("First guess:")
    expect(dog).to_have_attribute("aria-pressed", "true")
    wanted, _ = asked(live, "my [MASK] is hairy")
    rows = dict(shares(found))
    assert abs(rows["✓ dog" if "✓ dog" in rows else "dog"] - wanted[2, PIECES.vocab["dog"]]) < 1e-4
    dog.press("ArrowRight")
    found.page.keyboard.press("Enter")  # "is", too, by the keyboard alone
    expect(found.locator(".mm-own .mm-title")).to_have_count(2)
    dog.evaluate("(node) => { for (let i = 0; i < 31; i++) node.click(); }")
    expect(dog).to_have_attribute("aria-pressed", "false")
    expect(found.locator(".mm-own .mm-title")).to_have_count(1)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there are no words yet"),
        ("\u200b  ", "there are no words yet"),
        ("밤 " * 15, f"at most {LONGEST - 2} pieces; this text has 15"),
        ("my [PAD] dog", "[PAD] cannot be typed"),
        ("a [SEP] b [SEP] c", "not 3"),
    ],
)
def test_what_cannot_be_read_is_said(found: Locator, text: str, said: str) -> None:
    line(found).fill(text)
    line(found).press("Enter")
    expect(hint(found)).to_contain_text(said)
    line(found).fill("my dog")
    line(found).press("Enter")
    expect(hint(found)).to_contain_text("runs in this page")


@pytest.mark.browser
def test_a_very_long_text_and_unknown_words(found: Locator) -> None:
    line(found).evaluate("(node) => { node.value = '밤이 '.repeat(5000); }")
    found.get_by_role("button", name="Read", exact=True).click()
    expect(hint(found)).to_contain_text("at most 14 pieces")
    line(found).fill("🦊 qqq [mask]")
    line(found).press("Enter")
    expect(found.locator(".mm-told")).to_contain_text("does not know it: “🦊”, “qqq”.")


@pytest.mark.browser
def test_it_fits_a_narrow_dark_window(browser: Browser, address: str) -> None:
    with open_page(browser, address, width=390, scheme="dark") as page:
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        widget = page.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(hint(widget)).to_contain_text("runs in this page", timeout=60_000)
        line(widget).fill("동생은 밤을 먹었다 .")
        line(widget).press("Enter")
        chips(widget).nth(2).click()
        expect(widget.locator(".mm-told")).to_contain_text("First guess")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page, "main") == []


@pytest.mark.browser
def test_without_its_files_the_stored_sentence_stays(browser: Browser, address: str) -> None:
    with open_page(browser, address) as page:
        page.add_init_script("delete globalThis.WebAssembly")
        page.reload()
        widget = page.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(hint(widget)).to_contain_text("does not run WebAssembly")
        expect(line(widget)).to_be_disabled()
        widget.get_by_role("toolbar", name="Word to hide").get_by_role("button").nth(2).click()
        expect(widget.locator(".mm-summary")).to_contain_text("“dog” is hidden")
