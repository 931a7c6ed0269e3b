"""Every widget in a page without a kernel: controls, keyboard, accessibility, small windows."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import open_page, violations
from playwright.sync_api import Browser, Locator, expect
from widgets_page import (
    DESCRIPTIONS,
    MAKERS,
    PICTURES,
    attention,
    changes,
    gaze,
    latents,
    page,
    patches,
    ring,
    shown,
    similarity,
    words,
)

pytestmark = pytest.mark.browser

every = pytest.mark.parametrize("make", MAKERS)
# These choose how something is drawn: the picture's description says so, the sentence stays.
SILENT = {"Strip shows", "Graph shows"}
# Canvases painted in the theme's colours; elsewhere the style sheet follows the theme.
PAINTED = [attention, gaze, latents, patches, ring, similarity, words]
OUTSIDE = """[...document.querySelectorAll(".mm-widget *")].filter((node) =>
    !node.closest(".mm-scroll") && !node.closest("[hidden]") && node.tagName !== "OPTION"
    && node.getBoundingClientRect().right > innerWidth).map((node) => node.outerHTML)"""


def buttons(widget: Locator) -> Locator:
    return widget.get_by_role("group", name="Try this").get_by_role("button")


@every
def test_a_page_shows_it_and_is_light(show, address, make: Any) -> None:
    with show(make) as widget:
        assert all(widget.evaluate(PICTURES)), "something is drawn"
        assert widget.evaluate(PICTURES)
        expect(widget.locator(".mm-caption")).to_have_text("A caption.")
        assert all(text and len(text) > 12 for text in widget.evaluate(DESCRIPTIONS))
    path = Path(address(make).removeprefix("file://"))
    assert path.stat().st_size <= 100_000, "a page may hold three widgets and 300 kB"


# ---- controls ----


def slide(widget: Locator, control: Locator, act: Callable[..., None]) -> None:
    """By mouse to the third quarter and to the end, by keyboard from both."""
    box = control.bounding_box()
    assert box is not None
    places = [{"x": x, "y": box["height"] / 2} for x in (0.75 * box["width"], box["width"] - 8)]
    for place, key in zip(places, ("ArrowLeft", "PageDown"), strict=True):
        act(lambda place=place: control.click(position=place))
        act(lambda key=key: control.press(key))
    act(lambda: control.press("End"))


def choose(widget: Locator, control: Locator, act: Callable[..., None]) -> None:
    """Every option in turn, then by keyboard from the last."""
    for index in range(control.locator("option").count()):
        if control.evaluate("select => select.selectedIndex") != index:
            act(lambda index=index: control.select_option(index=index))
    control.focus()
    for key in ("ArrowUp", "ArrowDown", "ArrowUp"):
        act(lambda key=key: widget.page.keyboard.press(key))


def tick(widget: Locator, control: Locator, act: Callable[..., None]) -> None:
    act(control.check)
    control.focus()
    act(lambda: widget.page.keyboard.press("Space"))


def reveal(widget: Locator, control: Locator) -> None:
    """Choose what brings a control back that the widget puts away for another choice."""
    for select in widget.locator("select").all():
        for index in range(select.locator("option").count()):
            select.select_option(index=index)
            if control.is_visible():
                return


KINDS = {"range": slide, "select-one": choose, "checkbox": tick}


@every
def test_every_control_moves_picture_and_sentence(show, make: Any) -> None:
    with show(make) as widget:
        controls = widget.locator("input, select").all()
        assert controls
        for control in controls:
            if control.evaluate("control => !!control.closest('[hidden]')"):
                reveal(widget, control)
            expect(control).to_be_visible()
            label = control.evaluate("control => control.labels[0].textContent")
            silent = label in SILENT

            def act(move: Callable[[], None], silent: bool = silent) -> None:
                changes(widget, move, silent=silent)

            KINDS[control.evaluate("control => control.type")](widget, control, act)
        # So do the pictures that stand for the positions of a slider.
        for curve in widget.locator(".mm-chart").all():
            changes(widget, lambda curve=curve: curve.click(position={"x": 120, "y": 60}))
        if widget.locator(".mm-film").count():
            changes(widget, widget.locator(".mm-film canvas").nth(7).click)


@every
def test_presets(show, make: Any) -> None:
    presets = make().presets
    with show(make) as widget:
        described = [widget.evaluate(DESCRIPTIONS)]
        expect(buttons(widget)).to_have_count(len(presets))
        for button, preset in zip(buttons(widget).all(), presets, strict=True):
            changes(widget, button.click)
            expect(button).to_have_attribute("aria-pressed", "true")
            expect(widget.locator(".mm-note")).to_have_text(preset.get("note", ""))
            described.append(widget.evaluate(DESCRIPTIONS))
        assert not described[0] or any(one != described[0] for one in described)


# ---- accessibility, themes, small windows ----


def dress(widget: Locator, theme: str) -> None:
    """Change the theme of the page under way."""
    widget.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    widget.evaluate(
        "(node, theme) => { for (const name of ['theme', 'mode'])"
        " document.documentElement.dataset[name] = theme; }",
        theme,
    )
    widget.page.wait_for_timeout(100)


def fits(widget: Locator, width: int) -> None:
    """Nothing leaves the window."""
    assert widget.evaluate("document.documentElement.scrollWidth") <= width
    assert widget.evaluate(OUTSIDE) == []


def check(widget: Locator, width: int) -> None:
    """Axe finds nothing, and nothing leaves the window."""
    assert violations(widget.page, "main") == []
    fits(widget, width)


@every
def test_accessible_and_within_the_window(show, make: Any) -> None:
    """As it starts and after its last preset: light and dark, and in every width."""
    with show(make) as widget:
        for pressed in (False, True):
            if pressed:
                buttons(widget).last.click()
                expect(buttons(widget).last).to_have_attribute("aria-pressed", "true")
                # The focus on something that shows it: a word of a line of words, else a button.
                words = widget.get_by_role("toolbar").get_by_role("button")
                (words.nth(1) if words.count() else buttons(widget).last).focus()
            for theme in ("light", "dark"):
                dress(widget, theme)
                assert violations(widget.page, "main", contrast=True) == []
            for width in (1280, 390, 320):
                widget.page.set_viewport_size({"width": width, "height": 900})
                widget.page.wait_for_timeout(100)
                fits(widget, width)
                if width != 390:
                    assert violations(widget.page, "main", contrast=False) == []
            widget.page.set_viewport_size({"width": 1280, "height": 900})


@every
def test_it_follows_the_theme_of_the_page(show, make: Any) -> None:
    """Changed under way, the theme gives what it gives from the start."""
    with show(make, "dark", scheme="light") as widget:
        dark = widget.evaluate(PICTURES), widget.screenshot()
    with show(make) as widget:
        light = widget.evaluate(PICTURES), widget.screenshot()
        dress(widget, "dark")
        assert widget.evaluate(PICTURES) == dark[0]
    assert light[1] != dark[1]
    assert (light[0] != dark[0]) == (make in PAINTED)


# ---- by keyboard alone ----

# Whatever the Tab key should reach: at its own place in the order, visible, not switched off.
REACHED = """(root) => [...root.querySelectorAll(
    "button, input, select, summary, a[href], [tabindex]")]
  .filter((node) => node.tabIndex >= 0 && !node.disabled && node.checkVisibility())"""
# What has the focus: its place among those, or null outside of the widget.
HERE = f"""(root) => {{
  const node = document.activeElement;
  if (!root.contains(node)) return null;
  const look = getComputedStyle(node);
  return {{
    place: ({REACHED})(root).indexOf(node),
    seen: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2,
    kind: node.type ?? node.tagName.toLowerCase(),
  }};
}}"""
KEYS = {"range": ("ArrowRight", "ArrowLeft"), "select-one": ("ArrowDown", "ArrowUp")}
VALUE = "() => { const e = document.activeElement; return [e.value, e.checked].join(); }"


@every
def test_a_tour_by_keyboard_alone(show, make: Any) -> None:
    """Tab reaches whatever can be used, in order and out again; the focus is seen, keys act."""
    with show(make) as widget:
        page, toured = widget.page, []
        for _ in range(60):
            page.keyboard.press("Tab")
            here = widget.evaluate(HERE)
            if here is None and toured:
                break
            if here is None:
                continue
            assert here["seen"], f"no ring around the {here['kind']} that has the focus"
            toured.append(here["place"])
            if here["kind"] in {*KEYS, "checkbox"}:
                before = page.evaluate(VALUE)
                for key in KEYS.get(here["kind"], ("Space",)):
                    page.keyboard.press(key)  # at one end only the other direction is left
                    if page.evaluate(VALUE) != before:
                        break
                assert page.evaluate(VALUE) != before, f"keys do not move the {here['kind']}"
        else:
            raise AssertionError("Tab does not lead out of the widget")
        assert toured == sorted(set(toured))
        assert len(toured) == widget.evaluate(f"(root) => ({REACHED})(root).length")
        for button, key in zip(buttons(widget).all(), itertools.cycle(("Enter", "Space"))):
            button.focus()
            page.keyboard.press(key)
            expect(button).to_have_attribute("aria-pressed", "true")


# ---- all of them in one page ----


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The address of a page with every widget, in a theme."""
    folder = tmp_path_factory.mktemp("together")
    widgets = [make() for make in MAKERS]
    return lambda theme: page(folder / f"{theme}.html", widgets, theme=theme)


@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 1280)])
def test_accessible_together(browser: Browser, together, theme: str, width: int) -> None:
    with open_page(browser, together(theme), width=width, scheme=theme) as opened:
        for index in range(len(MAKERS)):
            buttons(shown(opened, index)).last.click()
        check(shown(opened), width)


def test_order_of_controls_is_natural(browser: Browser, together) -> None:
    """Tab goes through every widget from top to bottom and never gets caught."""
    with open_page(browser, together("light")) as opened:
        shown(opened, len(MAKERS) - 1)
        passed = []
        for _ in itertools.repeat(None, 30 * len(MAKERS)):
            opened.keyboard.press("Tab")
            host = opened.evaluate(
                "[...document.querySelectorAll('.mm-host')].indexOf("
                "document.activeElement.closest('.mm-host'))"
            )
            if host < 0:
                break
            passed.append(host)
        assert host < 0, "the way out"
        assert passed == sorted(passed)
        assert set(passed) == set(range(len(MAKERS)))
