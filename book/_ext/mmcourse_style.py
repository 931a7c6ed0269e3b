"""How citations look, and the check that every picture says what it shows.

Citations read "Ho et al. (2020)" and "(Ho et al., 2020)". A list of references has no labels,
since author and year lead to the entry; it is sorted by author.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from docutils import nodes
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as UnsrtStyle
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinxcontrib.bibtex.plugin import register_plugin as register_reference_style
from sphinxcontrib.bibtex.style.referencing import BracketStyle, PersonStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

logger = logging.getLogger(__name__)

FILE_NAME = re.compile(
    r"[\w./\\-]+\.(png|jpe?g|svg|gif|webp)$|^_?(images?|figure|output)[_/ \d]*$", re.IGNORECASE
)


def round_brackets() -> BracketStyle:
    """Round brackets, entries parted by semicolons."""
    return BracketStyle(left="(", right=")", sep="; ")


def short_people() -> PersonStyle:
    """'Ho et al.' for three people or more, upright."""
    return PersonStyle(other=" et al.")


@dataclass
class ReferenceStyle(AuthorYearReferenceStyle):
    """Author and year in round brackets."""

    bracket_textual: BracketStyle = field(default_factory=round_brackets)
    bracket_parenthetical: BracketStyle = field(default_factory=round_brackets)
    person: PersonStyle = field(default_factory=short_people)


class BibliographyStyle(UnsrtStyle):
    """pybtex's plain look, sorted by author and year."""

    default_sorting_style = "author_year_title"


def visit_citation(self, node: nodes.citation) -> None:
    """Open one entry; its label is not shown."""
    for label in list(node.findall(nodes.label)):
        label.parent.remove(label)
    self.body.append(self.starttag(node, "div", CLASS="mm-reference"))


def depart_citation(self, node: nodes.citation) -> None:
    """Close one entry."""
    self.body.append("</div>\n")


def alt_problem(alt: str | None) -> str | None:
    """Say what is wrong with an alternative text, or None."""
    if alt is None or not alt.strip():
        return "has no alternative text"
    if FILE_NAME.search(alt.strip()):
        return f"has a file name for its alternative text: {alt.strip()!r}"
    return None


class ImageFinder(HTMLParser):
    """Finds the `alt` of every `<img>` in a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.alts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img" and given.get("role") != "presentation":
            self.alts.append(given.get("alt"))


def check_alts(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Warn, and so fail the build, when a picture does not say what it shows."""
    for image in doctree.findall(nodes.image):
        if problem := alt_problem(image.get("alt")):
            logger.warning("a picture %s", problem, location=image)
    for raw in doctree.findall(nodes.raw):
        if "html" not in raw.get("format", "") or "<img" not in raw.rawsource + raw.astext():
            continue
        finder = ImageFinder()
        finder.feed(raw.astext())
        for alt in finder.alts:
            if problem := alt_problem(alt):
                logger.warning("a picture %s", problem, location=raw)


def setup(app: Sphinx) -> None:
    """Register the styles and the check."""
    register_plugin("pybtex.style.formatting", "mmcourse", BibliographyStyle)
    register_reference_style(
        "sphinxcontrib.bibtex.style.referencing", "mmcourse", ReferenceStyle, force=True
    )
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    app.connect("doctree-resolved", check_alts)
