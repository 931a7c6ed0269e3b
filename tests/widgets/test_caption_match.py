"""Caption match: what it says and refuses, and what a page computes, against Python."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import open_page, violations
from helpers import rejects
from live_page import live_page
from playwright.sync_api import Browser, Locator, expect
from widgets_page import changes, discs, matching, shown, text_model, text_readers

from mmcourse.widgets import CaptionMatch
from mmcourse.widgets.caption_match import without_each
from mmcourse.widgets.reader import softmax

ITEMS = (
    "nodes => nodes.map((n) => [n.dataset.picture, n.dataset.cosine, n.dataset.share].map(Number))"
)
DROPS = "nodes => nodes.map((n) => [n.querySelector('b').textContent, Number(n.dataset.drop)])"

# ---- data and state ----


def test_it_says_what_fits_best_and_by_which_word() -> None:
    made = matching()
    reader, pictures = text_readers()[0], discs()
    cosines = reader.see(pictures) @ reader.read(["a small red disc"])[0]
    assert made.alt.startswith(f"“a small red disc” fits “disc {cosines.argmax()}” best: cosine")
    said = {"It falls most, by": "without “", "It does not fall, ": "left out."}
    assert any(start in made.alt and end in made.alt for start, end in said.items())
    made.asked = 1
    assert made._describe().startswith("“빨간 원판” fits “disc ")
    assert made.png()[:4] == b"\x89PNG"
    assert matching(asked=-1).alt == matching().alt
    assert "It " not in CaptionMatch(discs(), text_readers(), [(0, "red")], names=["x"] * 6).alt


def test_stored_captions_are_cleaned() -> None:
    made = CaptionMatch(discs(), text_readers(), [(0, " A  red, DISC!")], names=["x"] * 6)
    assert made.stored[0]["caption"] == "a red disc"
    assert made.stored[0]["texts"] == 4


def test_a_caption_without_each_of_its_words() -> None:
    assert without_each(["a", "red", "disc"]) == ["a red disc", "red disc", "a disc", "a red"]
    assert without_each(["red"]) == ["red"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"marks": ["x"]}, "need a mark for each of 6 pictures, got 1"),
        ({"names": ["x"] * 5, "marks": None}, r"a name for each.*, 5, 2 and 2"),
        ({"asked": 2}, "asked must be a whole number from -1 to 1, got 2"),
        ({"presets": [{"name": "x", "asked": 2}]}, "asked must be a whole number"),
        ({"presets": [{"name": "x", "caption": "y"}]}, "a preset has a name and some of"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        matching(**options)


def test_captions_that_cannot_be_read_are_refused() -> None:
    with rejects("unknown word 'dragon' in 'a red dragon'"):
        CaptionMatch(discs(), text_readers(), [(0, "a red dragon")], names=["x"] * 6)
    with rejects("at most 7 tokens, got 8"):
        CaptionMatch(discs(), text_readers(), [(0, "a a a a a a")], names=["x"] * 6)


# ---- the page against Python ----


def test_the_page_says_the_same(run) -> None:
    for asked in (0, 1):
        made = matching(asked=asked)
        one, read, seen, scale = made._shown()
        model = made.readers[one["reader"]]["name"]
        given = [read.tolist(), seen.tolist(), scale, one["caption"], made.names, model]
        code = "m.sentence(x[3], m.matched(x[0], x[1], x[2]), x[4], x[5])"
        assert run(code, given, widget="caption_match") == made._describe()


TYPED = ["a red disc", "A RED disc!", "  small   hole ", "(a) disc?", "빨간 disc", "원판", ""]
TYPED += ["a red dis", "dragon hart", "a " * 30, "x" * 10_000, "red," * 4, "_red_", "a-red"]


@pytest.mark.parametrize("place", [0, 1])
def test_texts_become_numbers_as_in_python(run, place: int) -> None:
    reader = text_readers()[place]
    code = "x[1].map((text) => m.textReader(x[0]).encode(text, 'A text'))"
    found = run(code, [reader.state(8), TYPED], widget="caption_match")
    for text, one in zip(TYPED, found, strict=True):
        try:
            ids, words = reader.encode([text])[0].tolist(), reader.split(text)
        except ValueError:
            words = []
        if words:
            assert one == {"ids": ids, "words": words}, text
        else:
            assert one["problem"].startswith("A text "), text


def test_words_are_left_out_as_in_python(run) -> None:
    for words in (["a"], ["a", "red"], ["a", "red", "a"]):
        found = run("m.withoutEach(x)", words, widget="caption_match")
        assert [" ".join(some) for some in found] == without_each(words)


# ---- by a kernel ----


def test_a_kernel_answers() -> None:
    reader = text_readers()[0]
    made = matching(live=text_model("match-kernel"))
    ids = reader.encode(["a red disc"] * reader.rows)
    inputs = [["ids", list(ids.shape), "int32"]]
    said, numbers = made.run({"part": "text0", "inputs": inputs}, [ids.int().numpy().tobytes()])
    assert said == {"outputs": [["out", [12, 8]]]}
    found = np.frombuffer(numbers[0], dtype=np.float32).reshape(12, 8)
    np.testing.assert_allclose(found, reader.read(["a red disc"] * 12), atol=1e-6)
    wrong = [["ids", [1, 7], "int32"]]
    said, _ = made.run({"part": "text0", "inputs": wrong}, [ids[:1].int().numpy().tobytes()])
    assert "ids must be (12, 7)" in said["problem"]


# ---- by the page itself ----


@pytest.fixture(scope="module")
def found(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locator]:
    """The widget after its model has been loaded, once for all."""
    made = matching(live=text_model("match"))
    with open_page(browser, live_page(tmp_path_factory.mktemp("match"), [made])) as page:
        widget = shown(page)
        expect(widget.get_by_label("Caption", exact=True)).to_be_disabled()
        widget.get_by_role("button", name="Load the model").click()
        expect(widget.locator(".mm-desk .mm-hint")).to_contain_text("runs in this", timeout=60_000)
        yield widget


def ask(found: Locator, place: int, caption: str) -> None:
    found.get_by_label("Model", exact=True).select_option(index=place)
    found.get_by_label("Caption", exact=True).fill(caption)
    found.get_by_label("Caption", exact=True).press("Enter")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("place", "caption"),
    [(0, "a small blue hole"), (0, "red red red"), (0, "disc"), (1, "작은 빨간 원판"), (1, "a")],
)
def test_the_page_computes_what_python_computes(found: Locator, place: int, caption: str) -> None:
    ask(found, place, caption)
    expect(found.locator(".mm-summary")).to_contain_text(f"“{caption}” fits")
    reader = text_readers()[place]
    seen = reader.see(discs()).astype(np.float16).astype(float)
    read = reader.read(without_each(caption.split()))
    cosines = seen @ read[0]
    shares = softmax(reader.scale * cosines)
    rows = found.locator(".mm-matches li").evaluate_all(ITEMS)
    assert [row[0] for row in rows] == np.argsort(-cosines, kind="stable").tolist()
    for picture, cosine, share in rows:
        assert abs(cosine - cosines[int(picture)]) < 1e-4
        assert abs(share - shares[int(picture)]) < 1e-3  # the scale makes 14 of 1
    drops = cosines.max() - read[1:] @ seen[cosines.argmax()]
    told = found.locator(".mm-drops li").evaluate_all(DROPS)
    assert [word for word, _ in told] == (caption.split() if len(drops) else [])
    np.testing.assert_allclose([drop for _, drop in told], drops, atol=1e-4)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("", "A caption needs at least one word"),
        (" ?! ", "A caption needs at least one word"),
        ("a red dics", "unknown word 'dics'; the nearest known: disc"),
        ("a rde hol", "unknown words 'rde' (near: red), 'hol' (near: hole)"),
        ("빨간 disc", "unknown word '빨간'; among the 6 known words are"),
        ("a a a a a a", "at most 5 words here, got 6"),
    ],
)
def test_what_cannot_be_read_is_said(found: Locator, caption: str, said: str) -> None:
    ask(found, 0, "a disc")
    ask(found, 0, caption)
    expect(found.locator(".mm-problem")).to_contain_text(said)
    expect(found.locator(".mm-summary")).to_contain_text("“a disc” fits")
    expect(found.get_by_role("button", name="Compare")).to_be_enabled()
    assert violations(found.page, "main") == []


BOTH = """([line, select, button], { first, second, model }) => {
  const ask = (text) => {
    line.value = text;
    button.form.requestSubmit(button);
  };
  ask(first);
  if (second !== null) ask(second);
  if (model !== null) {
    select.selectedIndex = model;
    select.dispatchEvent(new Event("change"));
  }
}"""


def at_once(found: Locator, first: str, second: str | None = None, model: int | None = None):
    """Ask, and ask again before the answer can be there."""
    labels = ("Caption", "Model")
    parts = [found.get_by_label(label, exact=True).element_handle() for label in labels]
    parts.append(found.get_by_role("button", name="Compare").element_handle())
    asked = {"first": first, "second": second, "model": model}
    found.page.evaluate(f"([parts, asked]) => ({BOTH})(parts, asked)", [parts, asked])


@pytest.mark.browser
def test_who_asks_before_the_answer_is_there_is_answered_next(found: Locator) -> None:
    ask(found, 0, "a red hole")
    expect(found.locator(".mm-summary")).to_contain_text("“a red hole” fits")
    at_once(found, "a blue disc", "a small hole")
    expect(found.locator(".mm-summary")).to_contain_text("“a small hole” fits")
    at_once(found, "a red disc", "a rde disc")
    problem = found.locator(".mm-problem")
    expect(problem).to_contain_text("nearest known: red. Nothing below has changed.")
    expect(found.locator(".mm-summary")).to_contain_text("“a red disc” fits")
    at_once(found, "a", model=1)
    expect(found.locator(".mm-summary")).to_contain_text("“a” fits")
    expect(found.locator(".mm-summary")).to_contain_text("Asked: 말.")


@pytest.mark.browser
def test_a_preset_pressed_meanwhile_stays(found: Locator) -> None:
    ask(found, 0, "a hole")
    expect(found.locator(".mm-summary")).to_contain_text("“a hole” fits")
    preset = found.get_by_role("group", name="Try this").get_by_role("button").first
    found.page.evaluate(
        """([line, button, preset]) => {
             line.value = "a blue disc";
             button.form.requestSubmit(button);
             preset.click();
           }""",
        [
            found.get_by_label("Caption", exact=True).element_handle(),
            found.get_by_role("button", name="Compare").element_handle(),
            preset.element_handle(),
        ],
    )
    expect(found.get_by_role("button", name="Compare")).to_be_enabled()
    found.page.wait_for_timeout(300)
    expect(found.locator(".mm-summary")).to_have_text(matching().alt)


@pytest.mark.browser
def test_a_very_long_caption_and_a_storm_of_clicks(found: Locator) -> None:
    ask(found, 0, "a blue disc")
    line, button = (
        found.get_by_label("Caption", exact=True),
        found.get_by_role("button", name="Com"),
    )
    line.evaluate("(node) => { node.value = 'a '.repeat(5000); }")
    button.click()
    expect(found.locator(".mm-problem")).to_contain_text("got 1000 or more")
    line.fill("a hole")
    button.evaluate("(node) => { for (let i = 0; i < 50; i++) node.click(); }")
    expect(found.locator(".mm-summary")).to_contain_text("“a hole” fits")
    expect(found.locator(".mm-problem")).to_have_count(0)


@pytest.mark.browser
def test_another_model_reads_the_same_caption_and_presets_come_back(found: Locator) -> None:
    ask(found, 0, "a")
    before = found.locator(".mm-summary").inner_text()
    found.get_by_label("Model", exact=True).select_option(index=1)
    expect(found.locator(".mm-summary")).not_to_have_text(before)
    expect(found.get_by_text("It knows 말.")).to_be_visible()
    for index in (1, 0):
        found.get_by_role("group", name="Try this").get_by_role("button").nth(index).click()
        expect(found.locator(".mm-summary")).to_have_text(matching(asked=index).alt)
        caption = matching().stored[index]["caption"]
        expect(found.get_by_label("Caption", exact=True)).to_have_value(caption)


@pytest.mark.browser
def test_syllables_being_composed_are_left_alone(found: Locator) -> None:
    ask(found, 1, "원판")
    expect(found.locator(".mm-summary")).to_contain_text("“원판” fits")
    line = found.get_by_label("Caption", exact=True)
    line.fill("빨간")
    event = "(node, composing) => node.dispatchEvent(new KeyboardEvent('keydown', " \
            "{ key: 'Enter', isComposing: composing }))"  # fmt: skip
    line.evaluate(event, True)
    found.page.wait_for_timeout(200)
    expect(found.locator(".mm-summary")).to_contain_text("“원판” fits")
    line.evaluate(event, False)
    expect(found.locator(".mm-summary")).to_contain_text("“빨간” fits")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_without_a_model_the_stored_answers_stay(show, theme: str) -> None:
    with show(matching, theme, width=390) as widget:
        expect(widget.locator(".mm-desk .mm-hint")).to_contain_text("no running notebook")
        for control in ("Caption", "Model"):
            expect(widget.get_by_label(control, exact=True)).to_be_disabled()
        expect(widget.locator(".mm-summary")).to_have_text(matching().alt)
        changes(widget, widget.get_by_role("button", name="In Korean").click)
        expect(widget.locator(".mm-summary")).to_have_text(matching(asked=1).alt)
        assert widget.evaluate("document.documentElement.scrollWidth") <= 390
        assert violations(widget.page, "main") == []
