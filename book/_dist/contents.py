"""Which pages the built book has, in which order and under which chapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import yaml

HEADING = re.compile(r"<h1>(.*?)</h1>", re.DOTALL)
EXTRA = re.compile(r'<a class="headerlink".*?</a>|<[^>]+>', re.DOTALL)


class Trouble(Exception):
    """Why there can be no zip or PDF, in one line."""


@dataclass(frozen=True)
class Page:
    """One page of the built book; `chapter` is the caption above it in the table of contents."""

    name: str
    title: str
    chapter: str
    path: Path


def read_pages(toc: Path, html: Path) -> list[Page]:
    """All pages in the order of the table of contents.

    Args:
        toc: `book/_toc.yml`.
        html: the folder of the built pages.

    Raises:
        Trouble: a page has not been built.
    """
    listed = yaml.safe_load(toc.read_text(encoding="utf-8"))
    found = []
    for chapter, name in _names(listed):
        path = html / f"{name}.html"
        if not path.is_file():
            raise Trouble(f"{path} is missing: build the book first (make book)")
        found.append(Page(name, _title(path), chapter, path))
    return found


def _names(listed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "", listed["root"]
    for part in listed.get("parts", [listed]):
        yield from ((part.get("caption", ""), name) for name in _files(part))


def _files(entry: dict[str, Any]) -> Iterator[str]:
    for child in [*entry.get("chapters", []), *entry.get("sections", [])]:
        if "file" in child:
            yield child["file"]
        yield from _files(child)


def _title(path: Path) -> str:
    found = HEADING.search(path.read_text(encoding="utf-8"))
    if not found:
        raise Trouble(f"{path} has no heading")
    return " ".join(unescape(EXTRA.sub("", found[1])).split())
