"""The widgets in a page without a kernel: controls, keyboard, accessibility, small windows."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import open_page, violations
from playwright.sync_api import Browser, Locator, Page, expect
from widgets_page import attention, noise, page, scrubber, weights

from mmcourse.widgets import AttentionExplorer

pytestmark = pytest.mark.browser

PICTURES = """host => JSON.stringify([
  Array.from(host.querySelectorAll("canvas"), (c) => c.toDataURL()),
  Array.from(host.querySelectorAll(".mm-arcs, .mm-chart"), (s) => s.innerHTML)])"""


@pytest.fixture(scope="module", params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The address of a page with all three widgets, in a theme."""
    folder = tmp_path_factory.mktemp("page")
    widgets = [attention(caption="A caption."), noise(), scrubber(frame=3)]
    return lambda theme: page(folder / f"{theme}.html", widgets, theme=theme)


def host(opened: Page, index: int) -> Locator:
    found = opened.locator(".mm-host").nth(index)
    expect(found.locator(".mm-widget")).to_be_visible()
    expect(found.locator(".mm-summary")).not_to_be_empty()
    return found


def changes(widget: Locator, act: Callable[[], None]) -> None:
    """The pictures and the sentence differ after the act."""
    pictures, sentence = widget.evaluate(PICTURES), widget.locator(".mm-summary").inner_text()
    act()
    expect(widget.locator(".mm-summary")).not_to_have_text(sentence)
    assert widget.evaluate(PICTURES) != pictures, "the picture stayed the same"


RANGES = [(0, "Layer"), (1, "Step t"), (2, "Frame")]


@pytest.mark.parametrize(("index", "label"), RANGES)
def test_ranges_by_mouse_and_keyboard(browser: Browser, address, index: int, label: str) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, index)
        control = widget.get_by_label(label, exact=True)
        box = control.bounding_box()
        assert box is not None
        end = {"x": box["width"] - 8, "y": box["height"] / 2}
        changes(widget, lambda: control.click(position=end))
        changes(widget, lambda: control.press("ArrowLeft"))
        changes(widget, lambda: control.press("End"))


SELECTS = [(0, "Sentence"), (0, "Head")]


@pytest.mark.parametrize(("index", "label"), SELECTS)
def test_selects(browser: Browser, address, index: int, label: str) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, index)
        control = widget.get_by_label(label, exact=True)
        changes(widget, lambda: control.select_option(index=2))
        control.focus()
        changes(widget, lambda: opened.keyboard.press("ArrowUp"))


def test_selects_of_the_noise_explorer(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, 1)
        for label in ("Strip shows", "Graph shows"):
            before = widget.evaluate(PICTURES)
            widget.get_by_label(label).focus()
            opened.keyboard.press("ArrowDown")
            assert widget.evaluate(PICTURES) != before, label
        switch = widget.get_by_label("Forget the square of the cosine")
        changes(widget, switch.check)
        expect(widget.get_by_role("row")).to_have_count(4)
        switch.focus()
        changes(widget, lambda: opened.keyboard.press("Space"))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_presets(browser: Browser, address, index: int) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, index)
        buttons = widget.get_by_role("group", name="Try this").get_by_role("button")
        changes(widget, buttons.last.click)
        expect(buttons.last).to_have_attribute("aria-pressed", "true")


def test_words_by_pointer_and_keyboard(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, 0)
        words = widget.get_by_role("toolbar").get_by_role("button")
        changes(widget, words.nth(3).hover)
        changes(widget, lambda: opened.mouse.move(0, 0))
        changes(widget, words.nth(4).click)
        opened.mouse.move(0, 0)
        expect(words.nth(4)).to_have_attribute("aria-pressed", "true")
        words.nth(4).focus()
        opened.keyboard.press("ArrowRight")
        expect(words.nth(5)).to_be_focused()
        expect(widget.locator(".mm-summary")).to_contain_text("“street”")
        opened.keyboard.press("Enter")
        expect(words.nth(5)).to_have_attribute("aria-pressed", "true")
        # Only one word is a stop of the Tab key.
        stops = [words.nth(i).get_attribute("tabindex") for i in range(words.count())]
        assert stops.count("0") == 1


def test_the_pinned_word_stays_pinned_in_another_sentence(browser: Browser, tmp_path: Path) -> None:
    lines = [["rain", "fell", "as", "it", "does"], ["it", "fell"], ["no", "rain"]]
    sentences = [
        {"name": " ".join(words), "tokens": words, "weights": weights(len(words), len(words))}
        for words in lines
    ]
    explorer = AttentionExplorer.from_sentences(sentences, pinned=3)
    with open_page(browser, page(tmp_path / "it.html", [explorer], theme="light")) as opened:
        widget = host(opened, 0)
        pinned = widget.locator('.mm-token[aria-pressed="true"]')
        expect(pinned).to_contain_text("it")
        choose = widget.get_by_label("Sentence", exact=True)
        choose.select_option(index=1)
        expect(widget.locator(".mm-summary")).to_contain_text("“it” attends")
        choose.select_option(index=2)  # without the word: the pin is kept within the sentence
        expect(pinned).to_have_count(1)


def test_matrix_by_pointer_and_keyboard(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, 0)
        matrix = widget.get_by_role("group", name="Attention matrix")
        changes(widget, lambda: matrix.locator("canvas").hover(position={"x": 150, "y": 150}))
        opened.mouse.move(0, 0)
        widget.get_by_role("toolbar").get_by_role("button").first.click()
        opened.mouse.move(0, 0)
        opened.keyboard.press("Tab")
        expect(matrix).to_be_focused()
        expect(widget.locator(".mm-summary")).to_contain_text("“The” gives “The” the weight")
        changes(widget, lambda: opened.keyboard.press("ArrowDown"))
        expect(widget.locator(".mm-summary")).to_contain_text("“animal” gives “The” the weight")
        opened.keyboard.press("ArrowRight")
        opened.keyboard.press("Enter")
        pinned = widget.locator('.mm-token[aria-pressed="true"]')
        expect(pinned).to_contain_text("animal")


def test_masked_words_are_hatched(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, 0)
        expect(widget.locator(".mm-masked")).to_have_count(0)
        widget.get_by_role("button", name="No peeking").click()
        expect(widget.locator(".mm-masked")).to_have_count(7)  # the words after the fifth of 12
        expect(widget.get_by_text("Later words are hidden.")).to_be_visible()


def test_curves_and_films_take_the_pointer(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        for index in (1, 2):
            widget = host(opened, index)
            curve = widget.locator(".mm-chart")
            changes(widget, lambda curve=curve: curve.click(position={"x": 120, "y": 60}))
            frame = widget.locator(".mm-film canvas").nth(7)
            changes(widget, frame.click)


def test_play_and_pause(browser: Browser, address) -> None:
    with open_page(browser, address("light"), motion="no-preference") as opened:
        widget = host(opened, 2)
        expect(widget.locator(".mm-summary")).to_contain_text("Frame 4 of 11")
        opened.wait_for_timeout(600)
        expect(widget.locator(".mm-summary")).to_contain_text("Frame 4 of 11")  # no autoplay
        play = widget.get_by_role("button", name="Play")
        play.click()
        expect(widget.get_by_role("button", name="Pause")).to_be_visible()
        expect(widget.locator(".mm-summary")).to_have_attribute("aria-live", "off")
        expect(widget.locator(".mm-summary")).to_contain_text("Frame 11 of 11", timeout=15_000)
        expect(play).to_be_visible()
        expect(widget.locator(".mm-summary")).to_have_attribute("aria-live", "polite")
        play.press("Enter")  # from the end it starts again
        expect(widget.locator(".mm-summary")).not_to_contain_text("Frame 11")
        widget.get_by_role("button", name="Pause").click()
        expect(play).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_accessible(browser: Browser, address, theme: str, width: int) -> None:
    with open_page(browser, address(theme), width=width, scheme=theme) as opened:
        for index in range(3):
            host(opened, index)
        assert violations(opened, "main") == []
        opened.get_by_role("button", name="No peeking").click()
        opened.get_by_role("button", name="The slip").click()
        opened.get_by_role("toolbar").get_by_role("button").nth(2).focus()
        assert violations(opened, "main") == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_never_scrolls_sideways(browser: Browser, address, width: int) -> None:
    with open_page(browser, address("light"), width=width) as opened:
        for index in range(3):
            host(opened, index)
        opened.get_by_role("button", name="The slip").click()
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        outside = """[...document.querySelectorAll(".mm-widget *")].filter((node) =>
            !node.closest(".mm-scroll") && !node.closest("[hidden]") && node.tagName !== "OPTION"
            && node.getBoundingClientRect().right > innerWidth).map((node) => node.outerHTML)"""
        assert opened.evaluate(outside) == []


def test_pictures_carry_descriptions_of_the_state(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        for index in range(3):
            host(opened, index)
        named = """[...document.querySelectorAll(".mm-widget [role=img]")].map((node) =>
            node.getAttribute("aria-label"))"""
        before = opened.evaluate(named)
        assert all(text and len(text) > 12 for text in before)
        opened.get_by_label("Step t").press("Home")
        opened.get_by_label("Frame", exact=True).press("Home")
        opened.get_by_label("Layer", exact=True).press("End")
        after = opened.evaluate(named)
        assert sum(a != b for a, b in zip(before, after, strict=True)) >= 6


def test_light_and_dark_differ_and_follow_the_page(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = host(opened, 0)
        before = widget.evaluate(PICTURES)
        opened.evaluate("document.documentElement.dataset.theme = 'dark'")
        opened.wait_for_timeout(100)
        assert widget.evaluate(PICTURES) != before, "the matrix is painted anew"


def test_order_of_controls_is_natural(browser: Browser, address) -> None:
    """Tab goes through every widget from top to bottom and never gets caught."""
    with open_page(browser, address("light")) as opened:
        host(opened, 2)
        tops = []
        for _ in itertools.repeat(None, 30):
            opened.keyboard.press("Tab")
            top = opened.evaluate(
                "document.activeElement.closest('.mm-host') ? "
                "[...document.querySelectorAll('.mm-host')].indexOf("
                "document.activeElement.closest('.mm-host')) : -1"
            )
            if top < 0:
                break
            tops.append(top)
        assert tops == sorted(tops)
        assert set(tops) == {0, 1, 2}


def test_the_page_is_light(tmp_path: Path) -> None:
    address = tmp_path / "page.html"
    page(address, [attention(), noise(), scrubber()])
    assert address.stat().st_size <= 300_000
