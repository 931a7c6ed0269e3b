"""A sentence of the reader's own in the attention explorer: answered as PyTorch answers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import open_page, violations
from helpers import rejects
from live_models import LENGTH, NOUNS, TYPED, WORDS, numbered, pronouns, reading
from live_page import live_page
from playwright.sync_api import Browser, Locator, expect
from widgets_page import attention, masked, page

from mmcourse.inpage import PageModel, Part

# ---- in Python ----


def test_the_kernel_answers_what_the_model_says() -> None:
    live = pronouns()
    ids = numbered(TYPED)
    message = {"part": "reader", "inputs": [["ids", [1, LENGTH], "int32"]]}
    said, buffers = reading(live).run(message, [ids.int().numpy().tobytes()])
    wanted = live.parts["reader"].network(ids)
    assert [name for name, _ in said["outputs"]] == ["logits", "weights"]
    for (_, shape), data, one in zip(said["outputs"], buffers, wanted, strict=True):
        found = torch.from_numpy(np.frombuffer(data, "f4").reshape(shape).copy())
        torch.testing.assert_close(found, one)
    said, _ = reading(live).run({**message, "inputs": [["ids", [1, 3], "int32"]]}, [bytes(12)])
    assert "ids must be" in said["problem"]


def test_a_model_that_does_not_fit_is_refused() -> None:
    part = pronouns().parts["reader"]
    for wrong in ({"other": part}, {"reader": Part(part.network, part.inputs, ("a", "b"))}):
        with rejects('live needs a part "reader"'):
            reading(PageModel("wrong", wrong))
    for options, message in (
        ({"answers": NOUNS[1:]}, f"got {len(NOUNS) - 1} answers"),
        ({"words": WORDS[:-6]}, f"and {len(WORDS) - 6} words"),
        ({"pronoun": "they"}, "have 'they'"),
        ({"words": [*WORDS, "it"]}, "words must differ"),
    ):
        with rejects(message):
            reading(**options)


def test_words_are_read_from_a_typed_line(run) -> None:
    about = {"words": WORDS, "pronoun": "it", "length": LENGTH}
    typed = [TYPED, "  The DOG,  did not cross: “it”!  "]
    also = ("known_words", "own_sentence")
    found = run("x[0].map((one) => m.readSentence(one, x[1]))", [typed, about], also=also)
    for one, text in zip(found, (TYPED, "the dog did not cross it"), strict=True):
        assert one["words"] == text.split()
        assert one["ids"] == numbered(text)[0].tolist()


def test_weights_are_cut_to_the_words(run) -> None:
    weights = torch.randn(1, 2, 3, 5, 5)
    data = {"data": weights.flatten().tolist(), "dims": list(weights.shape)}
    also = ("own_sentence",)
    code = "((w) => [[...w.weights], w.shape])(m.within(x, 4))"
    numbers, shape = run(code, data, also=also)
    expected = weights[0, :, :, :4, :4]
    assert shape == list(expected.shape)
    torch.testing.assert_close(torch.tensor(numbers).reshape(shape), expected)


# ---- in a page without a kernel ----


@pytest.fixture(scope="module")
def live() -> PageModel:
    return pronouns()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, live: PageModel) -> str:
    return live_page(tmp_path_factory.mktemp("live"), [reading(live)])


@pytest.fixture(scope="module")
def found(browser: Browser, address: str) -> Iterator[Locator]:
    """The widget after its model has been loaded, once for all."""
    with open_page(browser, address) as opened:
        widget = opened.locator(".mm-widget")
        expect(line(widget)).to_be_disabled()
        expect(widget.locator(".mm-summary")).to_contain_text("“it” attends most to")
        widget.get_by_role("button", name="Load the model").click()
        expect(hint(widget)).to_contain_text("runs in this page", timeout=60_000)
        yield widget


def line(widget: Locator) -> Locator:
    return widget.get_by_label("Your own sentence")


def hint(widget: Locator) -> Locator:
    return widget.locator(".mm-desk .mm-hint")


def ask(widget: Locator, text: str) -> None:
    line(widget).fill(text)
    line(widget).press("Enter")


def row(widget: Locator) -> torch.Tensor:
    """The weights over the words, as they are drawn."""
    read = "(all) => all.map((one) => Number(one.style.getPropertyValue('--w')))"
    tokens = widget.get_by_role("toolbar", name="Query").get_by_role("button")
    return torch.tensor(tokens.evaluate_all(read))


@pytest.mark.browser
@pytest.mark.parametrize(
    "text", [TYPED.replace("tired", "wide"), "the dog was tired in it", "it did not cross"]
)
def test_the_page_answers_what_python_answers(found: Locator, live: PageModel, text: str) -> None:
    ask(found, text)
    words = text.split()
    tokens = found.get_by_role("toolbar", name="Query").get_by_role("button")
    expect(found.locator(".mm-answers li")).to_have_count(4)
    expect(tokens).to_have_count(len(words))
    made = live.run("reader", {"ids": numbered(text)})
    shares = made["logits"][0].softmax(-1)
    read = "(all) => all.map((one) => [one.firstChild.textContent, Number(one.dataset.share)])"
    bars = found.locator(".mm-answers li").evaluate_all(read)
    assert [noun for noun, _ in bars] == [NOUNS[i] for i in shares.topk(4).indices]
    for noun, share in bars:
        assert abs(share - float(shares[NOUNS.index(noun)])) < 1e-4
    best = f"“it” stands for “{bars[0][0]}”, {bars[0][1]:.2f}"
    expect(found.locator(".mm-summary")).to_contain_text(best)
    count = len(words)
    for layer, head, query in ((0, 0, words.index("it")), (1, 2, 0), (1, -1, count - 1)):
        found.get_by_label("Layer", exact=True).fill(str(layer))
        found.get_by_label("Head", exact=True).select_option(index=head if head >= 0 else 4)
        tokens.nth(query).click()
        found.page.mouse.move(0, 0)
        expect(tokens.nth(query)).to_have_attribute("aria-pressed", "true")
        weights = made["weights"][0, layer, :, query, :count]
        wanted = weights.mean(dim=0) if head < 0 else weights[head]
        assert (row(found) - wanted).abs().max() < 1e-4
    assert violations(found.page, "main") == []


@pytest.mark.browser
def test_stored_sentences_and_the_own_one_by_turns(found: Locator) -> None:
    ask(found, TYPED.replace("animal", "dog"))
    summary = found.locator(".mm-summary")
    expect(summary).to_contain_text("The model says")
    ask(found, TYPED.replace("animal", "cat"))
    expect(found.locator(".mm-answer .mm-hint")).to_contain_text("Before, in “the dog did not")
    choose = found.get_by_label("Sentence", exact=True)
    choose.select_option(index=1)
    expect(summary).not_to_contain_text("The model says")
    expect(found.locator(".mm-answer")).to_be_hidden()
    choose.select_option(label="Yours: … it was too tired")
    expect(summary).to_contain_text("The model says")
    found.get_by_role("button", name="wide", exact=True).click()
    expect(summary).not_to_contain_text("The model says")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there are no words yet"),
        (" … !! ", "there are no words yet"),
        ("the animal was tird as it", "unknown words 'tird' (near: tired), 'as'"),
        ("it was tird", "an unknown word 'tird'; the nearest known: tired"),
        ("밤 it", "an unknown word '밤'"),
        ("[PAD] it", "an unknown word 'pad'"),
        ("the animal was tired", "needs the word “it” once, and has it not at all"),
        ("it was it", "has it 2 times"),
        ("it " + "the " * 14, f"at most {LENGTH} words"),
    ],
)
def test_what_cannot_be_read_is_said(found: Locator, text: str, said: str) -> None:
    ask(found, text)
    expect(hint(found)).to_contain_text(said)
    assert violations(found.page, ".mm-desk") == []
    ask(found, TYPED)
    expect(hint(found)).to_contain_text("runs in this page")


@pytest.mark.browser
def test_a_very_long_line_suggestions_and_a_storm(found: Locator) -> None:
    line(found).evaluate("(node) => { node.value = 'it '.repeat(5000); }")
    button = found.get_by_role("button", name="Read it", exact=True)
    button.evaluate("(node) => { for (let i = 0; i < 30; i++) node.click(); }")
    expect(hint(found)).to_contain_text("at most 14 words")
    line(found).fill("the str")
    offered = found.locator("datalist option").evaluate_all("(all) => all.map((o) => o.value)")
    assert offered == ["the street"]
    # Who asks before the answer is there is answered next.
    line(found).evaluate(
        """(node) => ["the street was wide it", "it was tired"].forEach((text) => {
             node.value = text;
             node.form.requestSubmit();
           })"""
    )
    expect(found.get_by_role("toolbar", name="Query").get_by_role("button")).to_have_count(3)
    line(found).fill("it was wide")
    button.evaluate("(node) => { for (let i = 0; i < 30; i++) node.click(); }")
    expect(found.get_by_role("toolbar", name="Query").get_by_role("button")).to_have_count(3)


@pytest.mark.browser
def test_enter_that_ends_a_syllable_asks_nothing(found: Locator) -> None:
    ask(found, TYPED)
    expect(hint(found)).to_contain_text("runs in this page")
    line(found).fill("밤")
    press = "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true})"
    line(found).evaluate(f"(node) => node.dispatchEvent({press})")
    found.page.wait_for_timeout(200)
    expect(hint(found)).to_contain_text("runs in this page")


@pytest.mark.browser
def test_it_fits_a_narrow_dark_window(browser: Browser, address: str) -> None:
    with open_page(browser, address, width=390, scheme="dark") as opened:
        opened.evaluate("document.documentElement.dataset.theme = 'dark'")
        widget = opened.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(hint(widget)).to_contain_text("runs in this page", timeout=60_000)
        ask(widget, TYPED)
        expect(widget.locator(".mm-answers li")).to_have_count(4)
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(opened, "main") == []


@pytest.mark.browser
def test_without_its_files_the_stored_sentences_stay(browser: Browser, address: str) -> None:
    with open_page(browser, address) as opened:
        opened.add_init_script("delete globalThis.WebAssembly")
        opened.reload()
        widget = opened.locator(".mm-widget")
        widget.get_by_role("button", name="Load the model").click()
        expect(hint(widget)).to_contain_text("does not run WebAssembly")
        expect(line(widget)).to_be_disabled()
        widget.get_by_label("Sentence", exact=True).select_option(index=1)
        expect(widget.get_by_role("toolbar").get_by_role("button").last).to_contain_text("wide")


@pytest.mark.browser
def test_without_a_model_nothing_is_asked(browser: Browser, tmp_path: Path) -> None:
    with open_page(browser, page(tmp_path / "page.html", [attention(), masked()])) as opened:
        expect(opened.locator(".mm-widget")).to_have_count(2)
        expect(opened.locator(".mm-summary").last).not_to_be_empty()
        expect(opened.locator("input[type=text], .mm-own, .mm-desk")).to_have_count(0)
