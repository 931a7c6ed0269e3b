"""Pages of the PDF that the book does not have: its title, its contents, and the page numbers."""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path

from contents import Page

MARGIN_MM = {"top": 18, "bottom": 20, "left": 18, "right": 18}
STYLE = Path(__file__).with_name("front.css")


def html(body: str) -> str:
    """A whole page around a body."""
    style = STYLE.read_text(encoding="utf-8")
    head = f'<meta charset="utf-8"><style>{style}</style>'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def title(name: str, author: str, version: str) -> str:
    """The title page."""
    notes = (
        f"Version {escape(version)} · {escape(author)}",
        "Printed from the book’s pages. Widgets are shown as they start; in the pages they answer "
        "to mouse, finger and keyboard. The answers to a lesson’s questions stand at its end. Code "
        "that only draws a figure is left out; the notebooks have it.",
        "Text and figures: CC BY 4.0. Code: MIT. Emoji pictures: OpenMoji, CC BY-SA 4.0.",
    )
    text = "".join(f"<p>{note}</p>" for note in notes)
    return html(f'<div class="sheet title"><h1>{escape(name)}</h1>{text}</div>')


def contents(pages: list[Page], numbers: list[int], link: str) -> str:
    """The table of contents.

    Args:
        pages: of the book.
        numbers: where each begins, counted from 1.
        link: what the address of a page begins with.
    """
    lines = ["<main><h1>Contents</h1>"]
    for chapter, members in groupby(zip(pages, numbers, strict=True), lambda pair: pair[0].chapter):
        if chapter:
            lines.append(f"<h2>{escape(chapter)}</h2>")
        lines += [
            f'<a href="{link}?{page.name}" data-page="{number}">{escape(page.title)}<i></i></a>'
            for page, number in members
        ]
    return html("".join(lines) + "</main>")


def numbers(titles: list[str]) -> str:
    """One empty sheet for every page of the PDF, with its number, and the title of what it is of.

    Args:
        titles: one for each page, an empty one where the sheet stays empty.
    """
    sheets = []
    for number, name in enumerate(titles, start=1):
        foot = f"<span>{escape(name)}</span><span>{number}</span>" if name else ""
        sheets.append(f'<div class="sheet"><div class="foot">{foot}</div></div>')
    return html("".join(sheets))
