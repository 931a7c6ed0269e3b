"""The built book in a real browser whose network is cut off."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import launch, open_page, violations
from pages import LESSONS, NAMES, PICTURE, READY
from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch() as one:
        yield one


# Of the coloured words of code one of each class stays; the others become bare text, as axe
# spends nine tenths of its time on the contrast of ten thousand words of eight colours.
ONE_OF_EACH = """() => {
  const seen = new Set();
  for (const word of document.querySelectorAll(".highlight pre span")) {
    if (word.childElementCount) continue;
    const look = [];
    for (let at = word; at; at = at.parentElement)
      look.push(at.className, at.getAttribute("style"));
    const key = look.join("|");
    if (seen.has(key)) word.replaceWith(word.textContent);
    seen.add(key);
  }
}"""


# Formulas of which a part cannot be scrolled into their box.
LOST = """() => [...document.querySelectorAll(".bd-article div.math")].filter((box) => {
  const drawn = box.querySelector("svg").getBoundingClientRect().width;
  return drawn > box.clientWidth + 2 && box.scrollWidth < drawn - 2;
}).length"""


def check_access(page: Page) -> None:
    """Nothing is wrong but perhaps the colours, and nothing sticks out sideways."""
    lines = violations(page, contrast=False)
    assert not lines, "\n".join(lines)
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room, f"the page is {wide} px wide in a window of {room} px"


def check_maths(page: Page) -> None:
    """Every formula is set, without an error, and can be read to its end."""
    assert page.locator(".bd-article .math:not(:has(svg))").count() == 0
    assert page.locator("mjx-merror, [data-mml-node=merror]").count() == 0
    assert page.evaluate(LOST) == 0


@pytest.mark.parametrize("name", NAMES)
def test_page_from_a_file(browser: Browser, book: Path, name: str) -> None:
    """Light and wide, then dark, then as narrow as a phone."""
    with open_page(browser, (book / f"{name}.html").as_uri(), width=1400) as page:
        page.wait_for_load_state("load")
        page.evaluate(READY)
        check_access(page)
        page.evaluate(ONE_OF_EACH)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.evaluate(READY)
            lines = violations(page, contrast=True)
            assert not lines, f"{scheme}: " + "\n".join(lines)
        page.set_viewport_size({"width": 390, "height": 844})
        page.evaluate(READY)
        check_access(page)
        check_maths(page)
        assert name not in LESSONS or page.locator(".bd-article .math").count() > 0


@pytest.mark.parametrize("width", [1400, 390])
def test_words_without_contrast_are_found(browser: Browser, book: Path, width: int) -> None:
    """Though only one of many alike is asked: a pale word among the code is another."""
    address = (book / "notebooks/31_attention.html").as_uri()
    with open_page(browser, address, width=width) as page:
        page.evaluate(READY)
        page.locator(".highlight pre span").nth(40).evaluate("e => { e.style.color = '#ddd'; }")
        page.evaluate(ONE_OF_EACH)
        found = violations(page, contrast=True)
        assert len(found) == 1
        assert "color-contrast" in found[0]


@pytest.mark.parametrize("name", NAMES)
def test_page_from_a_server(browser: Browser, server: str, name: str) -> None:
    with open_page(browser, f"{server}/{name}.html", allow=(server,)) as page:
        page.wait_for_load_state("load")
        page.evaluate(READY)


def test_the_front_door_opens_the_book(browser: Browser, book: Path) -> None:
    with open_page(browser, (book / "index.html").as_uri()) as page:
        page.wait_for_url("**/book/preface.html")
        assert page.locator("h1:visible").count() == 1


def test_colours_follow_the_system(browser: Browser, book: Path) -> None:
    address = (book / "book" / "preface.html").as_uri()
    for scheme in ("light", "dark"):
        with open_page(browser, address, scheme=scheme) as page:
            assert page.get_attribute("html", "data-theme") == scheme


@pytest.mark.parametrize("width", [1400, 390])
def test_the_sidebar_opens_and_closes(browser: Browser, book: Path, width: int) -> None:
    address = (book / "book" / "how_to_use.html").as_uri()
    # A link of the chapter list; in a narrow window the list is shown in a dialog.
    link = "a:visible:text-is('Glossary')"
    with open_page(browser, address, width=width) as page:
        shown = page.locator(link).count()
        assert shown == (width > 1000)
        page.locator("button.primary-toggle:visible").first.click()
        page.wait_for_timeout(700)
        assert in_window(page, link) != bool(shown)
        if shown:
            page.locator("button.primary-toggle:visible").first.click()
        else:
            page.keyboard.press("Escape")
        page.wait_for_timeout(700)
        assert in_window(page, link) == bool(shown)


def in_window(page: Page, selector: str) -> bool:
    """Is one of them visible, and within the window?"""
    boxes = [one.bounding_box() for one in page.locator(selector).all()]
    return any(box and box["x"] >= 0 and box["width"] > 0 for box in boxes)


def test_search_answers_without_a_server(browser: Browser, book: Path) -> None:
    address = (book / "search.html").as_uri() + "?q=attention"
    with open_page(browser, address) as page:
        page.wait_for_selector("#search-results li a")
        assert "Attention" in page.inner_text("#search-results")


def test_the_errata_page_sets_its_maths(browser: Browser, book: Path) -> None:
    with open_page(browser, (book / "book/errata.html").as_uri()) as page:
        page.evaluate(READY)
        assert page.locator("mjx-container svg").count() > 3


def test_a_link_into_a_lesson_lands_there(browser: Browser, book: Path) -> None:
    """Also when maths and widgets push the target down after the jump."""
    for place in ("notebooks/31_attention.html#e3-12", "notebooks/31_attention.html#explore"):
        address = f"{book.as_uri()}/{place}"
        with open_page(browser, address, width=390, height=844) as page:
            page.evaluate(READY)
            page.wait_for_timeout(1500)
            script = "(id) => document.getElementById(id).getBoundingClientRect().top"
            assert -5 <= page.evaluate(script, place.split("#")[1]) <= 200, place


def picture(root: Locator) -> str:
    """What a widget shows now."""
    root.page.wait_for_timeout(60)
    return root.evaluate(PICTURE)


def move_by_keyboard(control: Locator) -> None:
    """Move a native control with keys only."""
    control.focus()
    kind = control.evaluate("e => e.tagName === 'SELECT' ? 'select' : e.type")
    page = control.page
    if kind == "checkbox":
        page.keyboard.press("Space")
        return
    before = control.input_value()
    page.keyboard.press("ArrowRight" if kind == "range" else "ArrowDown")
    page.wait_for_timeout(30)
    if control.input_value() == before:
        page.keyboard.press("ArrowLeft" if kind == "range" else "ArrowUp")


def drag(control: Locator) -> None:
    """Press the mouse on a slider, away from where its thumb is."""
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    assert box
    where = control.evaluate("e => (e.value - e.min) / ((e.max - e.min) || 1)")
    x = box["x"] + box["width"] * (0.15 if where > 0.5 else 0.85)
    control.page.mouse.click(x, box["y"] + box["height"] / 2)


@pytest.mark.parametrize("name", LESSONS)
def test_widgets_answer_without_a_kernel(browser: Browser, book: Path, name: str) -> None:
    with open_page(browser, (book / f"{name}.html").as_uri()) as page:
        page.wait_for_selector(".mm-widget")
        page.evaluate(READY)
        roots = page.locator(".mm-widget").all()
        assert roots
        for root in roots:
            check_widget(root)


def check_widget(root: Locator) -> None:
    """Every control changes the picture, by keyboard and (sliders, buttons) by mouse."""
    assert root.get_attribute("aria-label")
    assert picture(root), "nothing is drawn"
    moved = 0
    for control in root.locator("input:visible:enabled, select:visible:enabled").all():
        kind = control.get_attribute("type") or "select"
        before, said = picture(root), root.locator(".mm-summary").inner_text()
        move_by_keyboard(control)
        assert picture(root) != before, f"the {kind} does nothing when keys are pressed"
        assert root.locator(".mm-summary").inner_text() or said
        moved += 1
        if kind == "range":
            before = picture(root)
            drag(control)
            assert picture(root) != before, "the slider does nothing under the mouse"
    seen = {picture(root)}
    presets = root.locator(".mm-presets button:visible:enabled").all()
    for button in presets:
        button.click()
        seen.add(picture(root))
    assert not presets or len(seen) > 1, "no preset changes the picture"
    if not moved:  # what is typed needs a model, and the widget offers to load it
        offer = root.get_by_role("button", name="Load the model into this page")
        assert offer.is_visible(), "no control"
        assert root.get_by_text("can run in this page").count()


def test_what_you_can_do_is_ticked_kept_and_shown(browser: Browser, book: Path) -> None:
    lesson = (book / "notebooks/31_attention.html").as_uri()
    with open_page(browser, lesson) as page:
        boxes = page.locator(".mm-ticks").get_by_role("checkbox")
        total = boxes.count()
        boxes.first.focus()
        page.keyboard.press("Space")
        page.locator("label.mm-tick").nth(1).click(position={"x": 60, "y": 10})
        page.reload()
        assert [box.is_checked() for box in boxes.all()] == [True, True] + [False] * (total - 2)
        assert page.inner_text(".mm-tick-count").startswith(f"2 of {total} ticked")
        page.goto((book / "book/chapters/03_transformers.html").as_uri())
        states = page.locator("table.mm-lessons tbody tr td:last-child").all_inner_texts()
        assert states[:2] == [f"2 of {total}", "–"]
        page.goto((book / "book/preface.html").as_uri())
        assert "1 of 5 lessons begun" in page.locator(".mm-station").nth(2).inner_html()
        assert f"(2 of {total} ticked)" in page.inner_html("details.mm-words")


def test_boxes_work_without_storage_and_without_scripts(browser: Browser, book: Path) -> None:
    lesson = (book / "notebooks/31_attention.html").as_uri()
    with open_page(browser, lesson, clean=False) as page:  # the theme complains
        broken = "Object.defineProperty(window, 'localStorage', {get() { throw Error('no'); }})"
        page.add_init_script(broken)
        page.reload()
        page.locator("label.mm-tick input").first.check()
        assert "1 of" in page.inner_text(".mm-tick-count")
        assert "does not keep it" in page.inner_text(".mm-tick-count")
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(lesson)
        page.locator("label.mm-tick input").first.check()
        assert page.locator(".mm-tick-count").is_hidden()
