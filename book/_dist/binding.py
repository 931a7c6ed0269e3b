"""Puts the printed parts together: order, links within the book, bookmarks, page numbers."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import groupby
from typing import Any

import front
from contents import Page
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NullObject,
    TextStringObject,
)

HERE = "https://book.invalid/"  # stands for the book in links: HERE + place + "?" + page
Print = Callable[[str, bool], io.BytesIO]


def bind(pages: list[Page], parts: list[bytes], first: io.BytesIO, printed: Print) -> PdfWriter:
    """The whole book.

    Args:
        pages: of the book, in order.
        parts: the PDF of each.
        first: the PDF of the title page.
        printed: prints HTML: a text, and whether it takes the whole sheet, without margins.
    """
    readers = [PdfReader(io.BytesIO(part)) for part in parts]
    lengths = [len(reader.pages) for reader in readers]
    # How long the contents are does not depend on the numbers in them.
    length = len(PdfReader(printed(front.contents(pages, [999] * len(pages), HERE), False)).pages)
    starts = [1 + length + sum(lengths[:index]) for index in range(len(pages))]
    listed = printed(front.contents(pages, [start + 1 for start in starts], HERE), False)
    whole, places = PdfWriter(), {}
    for reader in [PdfReader(first), PdfReader(listed), *readers]:
        places |= _places(reader, len(whole.pages))
        for page in reader.pages:
            whole.add_page(page)
    places |= {f"?{page.name}": (start, None) for page, start in zip(pages, starts, strict=True)}
    _link(whole, places)
    _number(whole, pages, starts, lengths, printed)
    _bookmark(whole, pages, starts)
    whole.compress_identical_objects()
    return whole


def _places(reader: PdfReader, before: int) -> dict[str, tuple[int, Any]]:
    """Name → (page of the book, distance from its lower edge)."""
    found = {}
    for name, place in reader.named_destinations.items():
        number = reader.get_destination_page_number(place)
        if number is not None and number >= 0:
            found[str(name).lstrip("/")] = (before + number, place.get("/Top"))
    return found


def _link(whole: PdfWriter, places: dict[str, tuple[int, Any]]) -> None:
    """Make links within the book lead to their place in this document; drop those to nowhere."""
    for page in whole.pages:
        kept = ArrayObject()
        for reference in page.get("/Annots", []):
            link = reference.get_object()
            place = _target(link, places)
            if place is None:
                kept.append(reference)
            elif place:
                number, top = place
                link.pop("/A", None)
                target = [whole.pages[number].indirect_reference, NameObject("/XYZ"), NullObject()]
                target += [NullObject() if top is None else FloatObject(top), NullObject()]
                link[NameObject("/Dest")] = ArrayObject(target)
                kept.append(reference)
        page[NameObject("/Annots")] = kept


def _target(link: DictionaryObject, places: dict[str, tuple[int, Any]]) -> Any:
    """Where a link leads within the book: None if out of it, () if it leads nowhere."""
    action = link.get("/A", DictionaryObject()).get_object()
    address = str(action.get("/URI", ""))
    if address.startswith(HERE):
        name, _, page = address[len(HERE) :].partition("?")
        return places.get(name) or places.get(f"?{page}", ())
    if address:
        return None if address.startswith(("http:", "https:", "mailto:")) else ()
    return places.get(str(link.get("/Dest", action.get("/D", ""))).lstrip("/"), ())


def _number(
    whole: PdfWriter, pages: list[Page], starts: list[int], lengths: list[int], printed: Print
) -> None:
    """Print the number of every page but the first below it."""
    titles = ["", *["Contents"] * (starts[0] - 1)]
    for page, length in zip(pages, lengths, strict=True):
        titles += [page.title] * length
    sheets = PdfReader(printed(front.numbers(titles), True)).pages
    for index, page in enumerate(whole.pages):
        if titles[index]:
            page.merge_page(sheets[index])
            page.compress_content_streams()


def _bookmark(whole: PdfWriter, pages: list[Page], starts: list[int]) -> None:
    """A bookmark for every chapter, and within it for every page."""
    whole.add_outline_item("Contents", 1)
    for chapter, members in groupby(zip(pages, starts, strict=True), lambda pair: pair[0].chapter):
        above = None
        for page, start in members:
            if chapter and above is None:
                above = whole.add_outline_item(chapter, start, bold=True, is_open=False)
            whole.add_outline_item(page.title, start, parent=above)
    whole.page_mode = "/UseOutlines"
    whole.root_object[NameObject("/Lang")] = TextStringObject("en")
    whole.create_viewer_preferences().display_doctitle = True
