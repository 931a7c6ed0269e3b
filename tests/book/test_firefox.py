"""Every page from its file in Firefox, on a phone's width, with the network cut off."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from firefox import Firefox, firefox
from pages import LESSONS, NAMES, PICTURE, READY

pytestmark = pytest.mark.browser

LEFT, RIGHT, SPACE = "\ue012", "\ue014", " "
# The first control of the page's widgets, if any, gets the focus: which key moves it?
FOCUS = """((keys) => {
  const control = document.querySelector(
    ".mm-widget input[type=range]:enabled, .mm-widget input[type=checkbox]:enabled");
  control?.focus();
  if (control?.type !== "range") return control ? keys.space : null;
  return control.value === control.max ? keys.left : keys.right;
})"""
SEEN = f"({PICTURE})(document.activeElement.closest('.mm-widget'))"


@pytest.fixture(scope="module")
def window() -> Iterator[Firefox]:
    with firefox() as one:
        yield one


@pytest.mark.parametrize("name", NAMES)
def test_page_opens_in_firefox(window: Firefox, book: Path, name: str) -> None:
    """It says nothing in the console, asks for nothing, fits, sets its maths, shows its widgets."""
    window.open((book / f"{name}.html").as_uri(), width=390, height=844)
    window.run(f"({READY})()")
    wide, room = window.run("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room, f"the page is {wide} px wide in a window of {room} px"
    unset = ".bd-article .math:not(:has(svg)), [data-mml-node=merror]"
    assert window.run(f"document.querySelectorAll('{unset}').length") == 0
    hosts, shown = window.run(
        "['.mm-host', '.mm-host .mm-widget'].map(s => document.querySelectorAll(s).length)"
    )
    assert hosts == shown
    assert hosts or name not in LESSONS
    if key := window.run(f'{FOCUS}({{left: "{LEFT}", right: "{RIGHT}", space: "{SPACE}"}})'):
        before = window.run(SEEN)
        window.press(key)
        window.run("new Promise((done) => setTimeout(done, 60))")
        assert window.run(SEEN) != before, "nothing moves when a key is pressed"
    assert window.console == []
    assert window.requests == []


def test_what_is_asked_for_and_said_is_noticed(window: Firefox, book: Path) -> None:
    window.open((book / "book" / "about.html").as_uri())
    window.run("console.error('a complaint')")
    window.run("fetch('https://example.org/it').catch(String)")
    assert window.console == ["error: a complaint"]
    assert window.requests == ["https://example.org/it"]
    with pytest.raises(RuntimeError, match="no such"):
        window.run("Promise.reject(Error('no such'))")
