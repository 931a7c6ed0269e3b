"""A Chromium for the tests, without any network, whose console is watched."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from debian import installed
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from mmcourse.doctor import chromium

MEND = (
    "No Chromium for the browser tests. Install it with `.venv/bin/playwright install chromium` "
    "or with your system's package manager (Debian: `sudo apt-get install chromium`)."
)


def find_chromium(playwright: Playwright) -> str:
    """The path of a Chromium: the system's, Playwright's own, or Debian's package just installed.

    Raises:
        RuntimeError: there is none, and it cannot be installed; the message says what to do.
    """
    if path := chromium():
        return path
    own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    if path := installed("chromium", "chromium"):
        return path
    raise RuntimeError(MEND)


_running: list[Browser] = []


@contextmanager
def launch(**options: Any) -> Iterator[Browser]:
    """A headless Chromium, closed at the end; within another `launch` it is the same one."""
    if _running:
        yield _running[0]
        return
    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        # In a container there is neither a sandbox for root nor much shared memory.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments, **options)
        _running.append(browser)
        try:
            yield browser
        finally:
            _running.clear()
            browser.close()


def block_network(context: BrowserContext, allow: tuple[str, ...] = ()) -> list[str]:
    """Stop every request that leaves the machine; the list returned names those that tried.

    Args:
        context: of the browser.
        allow: beginnings of addresses that may be asked for, such as "http://localhost:8888".
    """
    tried: list[str] = []

    def stop(route: Any) -> None:
        address = route.request.url
        if address.startswith(allow):
            route.continue_()
        else:
            tried.append(address)
            route.abort()

    # Local addresses are not routed at all, so that files load as they do for a reader.
    context.route(re.compile(r"^(?!(file|data|blob|about):)"), stop)
    return tried


def watch_console(page: Page) -> list[str]:
    """The errors and warnings of a page, collected from now on."""
    messages: list[str] = []

    def note(message: Any) -> None:
        if message.type in {"error", "warning"}:
            messages.append(f"{message.type}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: messages.append(f"uncaught: {error}"))
    return messages


@contextmanager
def open_page(
    browser: Browser,
    address: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    motion: str = "reduce",
    allow: tuple[str, ...] = (),
    clean: bool = True,
) -> Iterator[Page]:
    """A page that must neither ask for anything outside nor say anything in the console.

    Args:
        browser: from `launch`.
        address: file:// or, if allowed, http://.
        width, height: of the window.
        scheme: "light" or "dark". motion: "reduce" or "no-preference".
        allow: see `block_network`. clean: whether the console must stay empty.

    Raises:
        AssertionError: at the end, naming what was asked for or said.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion=motion,  # type: ignore[arg-type]
    )
    tried = block_network(context, allow)
    page = context.new_page()
    messages = watch_console(page)
    try:
        page.goto(address)
        yield page
        assert not tried, f"requests that leave the page: {tried}"
        assert not (clean and messages), f"the console says: {messages}"
    finally:
        context.close()


def violations(page: Page, context: Any = None, *, contrast: bool | None = None) -> list[str]:
    """What axe-core finds wrong with a page: one line each, empty where all is well.

    Args:
        page: opened.
        context: a selector of the part that is looked at; None: all.
        contrast: True asks for the contrast of colours alone, False for all but that.
    """
    from axe_playwright_python.sync_playwright import Axe

    # Without "preload": axe would ask for the style sheets again, which file:// forbids.
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if contrast:
        options["runOnly"] = ["color-contrast"]
    elif contrast is not None:
        options["rules"] = {"color-contrast": {"enabled": False}}
    found = Axe().run(page, context=context, options=options).response["violations"]
    return [
        f"{one['id']}: {one['help']} — {[node['html'][:120] for node in one['nodes']][:3]}"
        for one in found
    ]
