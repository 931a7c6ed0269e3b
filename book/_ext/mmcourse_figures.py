"""`{figure-index} N` lists every figure of chapter N, `{slide-index}` the figures by slide.

A figure is named by the first sentence of its alternative text. A star marks one that computes a
figure of the seminar or of a paper; `mmcourse_kept` finds out which.
"""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape

from docutils import nodes
from mmcourse_kept import MAKERS, Kept, Later, Shown, kept
from mmcourse_pages import lessons_of, table
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)


STOP = re.compile(r"(?<=\w\w\w[.!?])\s+")  # not after "vs." or "S."
LONG, SHORT = 120, 20  # letters


def first_sentence(text: str) -> str:
    """The first sentence of a description, or as much of it as tells what is shown.

    Very short ones take the next along; a long one ends at its first pause, else after a word.
    """
    parts = STOP.split(text)
    said = parts[0]
    if len(said) < SHORT and len(parts) > 1:
        said = f"{said} {parts[1]}"
    if len(said) <= LONG:
        return said
    if pause := re.search(r"[:;.] ", said[SHORT:LONG]):
        return said[: SHORT + pause.start()]
    return said[:LONG].rsplit(" ", 1)[0].rstrip(",") + " …"


def ranges(slides: list[str]) -> list[str]:
    """Neighbours joined: S7.19, S7.20 and S7.21 are "S7.19–S7.21"."""
    found: list[list[str]] = []
    for slide in sorted(slides):
        if (
            found
            and slide[:3] == found[-1][-1][:3]
            and int(slide[3:]) == int(found[-1][-1][3:]) + 1
        ):
            found[-1].append(slide)
        else:
            found.append([slide])
    return [run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in found]


def address(page: SphinxPostTransform, docname: str, figure: Shown) -> str:
    """Where a figure is."""
    return f"{page.app.builder.get_relative_uri(page.env.docname, docname)}#{figure.id}"


def link(page: SphinxPostTransform, docname: str, figure: Shown, text: str) -> nodes.reference:
    """A link to a figure in its lesson."""
    return nodes.reference("", text, internal=True, refuri=address(page, docname, figure))


def small(uri: str, figure: Shown) -> nodes.raw:
    """The figure made small; for the pointer alone, as the link beside it says what it shows."""
    if not figure.small:
        return nodes.raw("", "<span></span>", format="html")
    said = escape(first_sentence(figure.alt))
    image = f'<img src="{figure.small}" alt="{said}" decoding="async">'
    html = f'<a class="mm-small" href="{uri}" tabindex="-1" aria-hidden="true">{image}</a>'
    return nodes.raw("", html, format="html")


def models(figure: Shown) -> str:
    """What it computes, such as "★ S3.26, figure 2 of the paper"."""
    return "★ " + ", ".join([*ranges(figure.slides), *figure.paper])


def item(page: SphinxPostTransform, docname: str, figure: Shown) -> nodes.list_item:
    """The figure, what it shows, and what it computes."""
    text = nodes.paragraph("", "", link(page, docname, figure, first_sentence(figure.alt)))
    if figure.star:
        text += [nodes.Text(" "), nodes.strong("", models(figure), classes=["mm-star"])]
    return nodes.list_item("", small(address(page, docname, figure), figure), text)


def figure_count(page: SphinxPostTransform, kept: Kept, which: str) -> list[nodes.Node]:
    """How many there are."""
    shown = [figure for lesson in kept.lessons.values() for figure in lesson.figures]
    figures = [figure for figure in shown if figure.drawn]
    slides = {slide for figure in shown for slide in figure.slides}
    text = (
        f"{len(figures)} figures in {len(kept.lessons)} lessons; "
        f"{sum(figure.star for figure in figures)} carry a star, for {len(slides)} slides."
    )
    return [nodes.paragraph("", text)]


def figure_index(page: SphinxPostTransform, kept: Kept, which: str) -> list[nodes.Node]:
    """The lessons of a chapter, in them their figures."""
    found: list[nodes.Node] = []
    for name in lessons_of(set(kept.lessons), int(which)):
        part = nodes.section("", ids=[f"figures-of-{name.split('/')[-1][:2]}"])
        part += nodes.title("", page.env.titles[name].astext())
        items = nodes.bullet_list(classes=["mm-gallery"])
        items += [item(page, name, figure) for figure in kept.lessons[name].figures]
        part += items if len(items) else nodes.paragraph("", "No figure.")
        found.append(part)
    return found


def slide_index(page: SphinxPostTransform, kept: Kept, which: str) -> list[nodes.Node]:
    """A table: slide, figures."""
    where: dict[str, list[nodes.Node]] = defaultdict(list)
    for docname in sorted(kept.lessons):
        number = docname.split("/")[-1][:2]
        for place, figure in enumerate(kept.lessons[docname].figures, 1):
            for slide in figure.slides:
                which = f"figure {place}" if figure.drawn else "in words"
                where[slide].append(link(page, docname, figure, f"lesson {number}, {which}"))
    rows: list[list[nodes.Node]] = []
    for slide in sorted(where):
        cell = nodes.inline()
        for n, one in enumerate(where[slide]):
            cell += [nodes.Text(" · "), one] if n else [one]
        rows.append([nodes.Text(slide), cell])
    if not rows:
        return [nodes.paragraph("", "No lesson has been run.")]
    return [table([nodes.Text("Slide"), nodes.Text("Computed in")], rows, ["mm-slides"])]


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Every chapter with a lesson must have its list, where there is such a page at all."""
    listed = {place for places in kept(env).places.values() for place in places}
    if not any(place.startswith("figure-index") for place in listed):
        return
    for name in sorted(kept(env).lessons):
        if f"figure-index {name.split('/')[-1][0]}" not in listed:
            logger.warning("%s: no page says {figure-index} %s", name, name.split("/")[-1][0])


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    made = {
        "figure-count": figure_count,
        "figure-index": figure_index,
        "slide-index": slide_index,
    }
    MAKERS.update(made)
    for name in made:
        app.add_directive(name, Later)
    app.connect("env-check-consistency", check)
