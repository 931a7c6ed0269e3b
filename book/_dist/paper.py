"""The book as one PDF: its built pages, each printed by Chromium, then put together.

Every page is printed alone, in the order of the table of contents. A widget becomes a picture of
itself, answers move to the lesson's end, what is folded away is opened, and what is too wide
becomes smaller (`paper.js`, `paper.css`). pypdf joins the parts, makes the links lead to places
of the one document, and adds bookmarks and page numbers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import front
import yaml
from binding import HERE, bind
from contents import Page, Trouble, read_pages

from mmcourse.doctor import browser, chromium

FOLDER = Path(__file__).parent
WIDTH = round((210 - front.MARGIN_MM["left"] - front.MARGIN_MM["right"]) / 25.4 * 96)
MARGIN = {side: f"{width}mm" for side, width in front.MARGIN_MM.items()}
NONE = dict.fromkeys(MARGIN, "0")
LINK = re.compile(r'href="([^"#]*)#([^"]+)"')


def write_pdf(root: Path, html: Path, target: Path, version: str) -> Path:
    """Print the built book.

    Args:
        root: the course's folder, with `_config.yml` and the table of contents.
        html: the built pages.
        target: the PDF, written whole or not at all.
        version: of the course.

    Raises:
        Trouble: a page or the browser is missing, or a widget is not shown.
    """
    pages = read_pages(root / "book" / "_toc.yml", html)
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    with printer() as context:
        parts = print_pages(context, pages)
        first = _print_text(context, front.title(config["title"], config["author"], version), NONE)
        made = bind(pages, parts, first, lambda text, whole: _print_text(
            context, text, NONE if whole else MARGIN,
        ))  # fmt: skip
    made.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        made.write(file)
    part.replace(target)
    return target


@contextmanager
def printer() -> Iterator[Any]:
    """A headless Chromium in light colours, without any network."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        # In a container there is neither a sandbox for root nor much shared memory.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        try:
            running = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        except Error as error:
            says = browser().mend or str(error).splitlines()[0]
            raise Trouble(f"no Chromium that prints: {says}") from None
        try:
            yield running.new_context(
                viewport={"width": WIDTH, "height": 1000}, device_scale_factor=2,
                color_scheme="light", reduced_motion="reduce", offline=True,
            )  # fmt: skip
        finally:
            running.close()


def wanted(pages: list[Page]) -> dict[str, list[str]]:
    """For every page the ids that other pages point to."""
    places = {page.path.resolve(): page.name for page in pages}
    found: dict[str, set[str]] = {page.name: set() for page in pages}
    for page in pages:
        for file, fragment in LINK.findall(page.path.read_text(encoding="utf-8")):
            name = places.get((page.path.parent / unquote(file)).resolve()) if file else None
            if name and name != page.name:
                found[name].add(unquote(unescape(fragment)))
    return {name: sorted(ids) for name, ids in found.items()}


def print_pages(context: Any, pages: list[Page]) -> list[bytes]:
    """The PDF of every page."""
    known = {page.path.resolve().as_uri(): page.name for page in pages}
    asked = wanted(pages)
    return [
        _print_page(
            context,
            page,
            {"name": page.name, "pages": known, "wanted": asked[page.name], "here": HERE},
        )
        for page in pages
    ]


def _print_page(context: Any, page: Page, about: dict[str, Any]) -> bytes:
    tab = context.new_page()
    try:
        tab.goto(page.path.resolve().as_uri())
        tab.add_style_tag(path=FOLDER / "paper.css")
        tab.add_script_tag(path=FOLDER / "paper.js")
        if missing := tab.evaluate("paper.ready()"):
            raise Trouble(f"{page.name}: {missing} of its widgets are not shown")
        _picture_widgets(tab)
        tab.evaluate("about => paper.prepare(about)", about)
        tab.emulate_media(media="print")
        tab.evaluate("paper.fit()")
        return tab.pdf(format="A4", margin=MARGIN, print_background=True, tagged=False)
    finally:
        tab.close()


def _picture_widgets(tab: Any) -> None:
    """Put a picture in the place of every widget, as it now stands; its sentence describes it."""
    import base64

    for index, host in enumerate(tab.locator(".mm-host").all()):
        live = host.locator("[aria-live]")
        alt = " ".join(live.first.inner_text().split()) if live.count() else "an interactive figure"
        data = base64.b64encode(host.screenshot(animations="disabled")).decode()
        tab.evaluate("([index, data, alt]) => paper.picture(index, data, alt)", [index, data, alt])


def _print_text(context: Any, text: str, margin: dict[str, str]) -> io.BytesIO:
    """The PDF of a page that is not in the book."""
    tab = context.new_page()
    try:
        tab.set_content(text)
        return io.BytesIO(tab.pdf(format="A4", margin=margin, print_background=True, tagged=False))
    finally:
        tab.close()
