"""`{ledger}`: every equation of the package, its source, its code, the lesson, and its tests.

One section for each chapter, one below it for each module, and in it one entry for each function
and class that `mmcourse_sources` finds. An equation without a source, or a name without a test,
is a warning, which fails the build.
"""

from __future__ import annotations

import re
from itertools import chain, groupby
from pathlib import Path

from docutils import nodes
from mmcourse_pages import SECTIONS, page_link
from mmcourse_sources import CHAPTERS, Book, Entry
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

INLINE = re.compile(
    r"(``?[^`]+``?|\*[^\s*][^*\n]*\*|arXiv:\d{4}\.\d{4,5})"
)  # code, emphasis, a paper
ARXIV = "https://arxiv.org/abs/"
FEW = 3  # tests that are named at once; more are folded away


def anchor(chapter: str, name: str) -> str:
    """The id of an entry."""
    return f"ledger-{chapter}-{name}"


def words(text: str, known: dict[str, str]) -> list[nodes.Node]:
    """A docstring's words: code, emphasis, links to papers and to other entries."""
    found: list[nodes.Node] = []
    for part in INLINE.split(text):
        bare = part.strip("`*")
        if part.startswith("`"):
            code = nodes.literal("", bare)
            link = nodes.reference("", "", code, internal=True, refid=known.get(bare))
            found.append(link if bare in known else code)
        elif part.startswith("*"):
            found.append(nodes.emphasis("", bare))
        elif part.startswith("arXiv:"):
            found.append(nodes.reference("", part, refuri=ARXIV + part[6:]))
        elif part:
            found.append(nodes.Text(part))
    return found


def line(label: str, *content: nodes.Node) -> nodes.paragraph:
    """One line of an entry, such as "Source  …"."""
    return nodes.paragraph("", "", nodes.strong("", label), nodes.Text(" "), *content)


def tests_of(entry: Entry) -> list[nodes.Node]:
    """The tests by file; long lists are folded away."""
    count = sum(map(len, entry.tests.values()))
    label = f"{count} test{'s' * (count != 1)}"
    label += f" of {entry.through}, which is built on it" if entry.through else ""
    items = nodes.bullet_list(classes=["mm-tests"])
    for path, names in entry.tests.items():
        item = nodes.paragraph("", "", nodes.literal("", path), nodes.Text(": "))
        for number, name in enumerate(names):
            item += [nodes.Text(", " if number else ""), nodes.literal("", name)]
        items += nodes.list_item("", item)
    if count <= FEW:
        return [nodes.paragraph("", "", nodes.strong("", label)), items]
    named = label if entry.through else f"{label} of {entry.name}"
    opening = f"<details><summary>{named}</summary>"
    return [
        nodes.raw("", opening, format="html"),
        items,
        nodes.raw("", "</details>", format="html"),
    ]


def item_of(entry: Entry, known: dict[str, str], env: BuildEnvironment) -> nodes.Node:
    """One entry: name, gist, equation, source, lessons, tests."""
    name = nodes.term("", "", nodes.literal("", entry.name), ids=[known[entry.name]])
    body = nodes.definition("", nodes.paragraph("", "", *words(entry.gist, known)))
    if entry.equation:
        equation = nodes.container(classes=["mm-equation"])
        for text in entry.equation.split("\n"):
            equation += nodes.paragraph("", re.sub(r"[`*](\S[^`*]*\S)[`*]", r"\1", text))
        body += equation
    if entry.source:
        body += line("Source", *words(entry.source, known))
    if entry.shown:
        lessons = line("Shown in")
        for number, stem in enumerate(entry.shown):
            lessons += [
                nodes.Text(", " if number else ""),
                page_link(env, f"notebooks/{stem}"),
            ]
        body += lessons
    body += tests_of(entry)
    return nodes.definition_list_item("", name, body)


def summary(entries: list[Entry]) -> nodes.paragraph:
    """How much there is, counted."""
    tests = {(path, name) for e in entries for path, names in e.tests.items() for name in names}
    return nodes.paragraph(
        "",
        f"{len(entries)} functions and classes, {sum(bool(e.source) for e in entries)} of them "
        f"with a source and {sum(e.computes for e in entries)} with an equation in their "
        f"docstring; {len(tests)} tests use them, and {sum(bool(e.shown) for e in entries)} are "
        "printed in a lesson.",
    )


class Ledger(SphinxDirective):
    """`{ledger}`: the whole ledger, chapter by chapter."""

    def run(self) -> list[nodes.Node]:
        book = Book(Path(self.env.srcdir))
        self.watch(book)
        entries = book.entries()
        for entry in entries:
            if problem := entry.problem():
                logger.warning("%s", problem, location=(self.env.docname, self.lineno))
        found: list[nodes.Node] = [summary(entries)]
        for chapter, rows in groupby(entries, lambda entry: entry.chapter):
            found.append(self.chapter(chapter, list(rows)))
        return found

    def watch(self, book: Book) -> None:
        """Make the page anew when the package, its tests or a lesson changes."""
        for path in chain(*book.code.values(), book.test_files, book.lessons):
            self.env.note_dependency(str(path))

    def chapter(self, name: str, entries: list[Entry]) -> nodes.section:
        """One chapter: its modules, then what has neither source nor equation."""
        known = {e.name: anchor(name, e.name) for e in entries}
        where = SECTIONS[CHAPTERS.index(name)]
        section = nodes.section("", ids=[f"ledger-{name}"])
        section += nodes.title("", f"Chapter {where.number} · {where.title}")
        for path, rows in groupby(
            [e for e in entries if e.source or e.computes], lambda entry: entry.path
        ):
            section += self.module(Path(path).name, list(rows), known, path)
        if others := [e for e in entries if not e.source and not e.computes]:
            section += self.module("Parts without an equation of their own", others, known)
        return section

    def module(
        self, title: str, entries: list[Entry], known: dict[str, str], path: str = ""
    ) -> nodes.section:
        """The entries of one module, whose path stands below its name."""
        first = entries[0]
        section = nodes.section(
            "", ids=[f"ledger-{first.chapter}-in-{nodes.make_id(path or title)}"]
        )
        section += nodes.title("", title)
        section += nodes.paragraph("", "", nodes.literal("", path)) if path else []
        items = nodes.definition_list(classes=["mm-ledger"])
        items += [item_of(e, known, self.env) for e in entries]
        section += items
        return section


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_directive("ledger", Ledger)
