"""Directives for the prose pages: the road map, a chapter's lessons, Korean to English.

`{roadmap}` draws the seven sections as one picture (inline SVG in the theme's colours) whose links
lead to what exists, and says the same in words below. `{lessons}` takes rows
`31_attention | Attention | what it teaches` and links those whose page exists. `{korean-index}`
lists the Korean terms of the page's own glossary with their English.
"""

from __future__ import annotations

import re
from html import escape
from typing import NamedTuple

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective


class Section(NamedTuple):
    """One section of the seminar, one chapter of the book."""

    number: int
    title: str
    gist: tuple[str, str]  # two lines, at most 46 characters each
    page: str


SECTIONS = (
    Section(
        1,
        "Multimodal learning",
        ("What it means to learn from pictures,", "words, sound and sensors at once"),
        "book/chapters/01_multimodal",
    ),
    Section(
        2,
        "Trends",
        ("Why large models won: memorising,", "double descent, scale"),
        "book/chapters/02_trends",
    ),
    Section(
        3,
        "Transformers",
        ("How words look at one another:", "attention, BERT, GPT, ViT"),
        "book/chapters/03_transformers",
    ),
    Section(
        4,
        "Self-supervision",
        ("How vision learns without labels:", "SimCLR and MAE"),
        "book/chapters/04_self_supervision",
    ),
    Section(
        5,
        "Vision and language",
        ("How CLIP ties pictures to words,", "and prompts steer it"),
        "book/chapters/05_vision_language",
    ),
    Section(
        6,
        "Generative models",
        ("Families that make pictures: VAE, GAN,", "flow, autoregressive, energy"),
        "book/chapters/06_generative",
    ),
    Section(
        7,
        "Diffusion",
        ("From noise to a picture, then from", "a sentence to a picture"),
        "book/chapters/07_diffusion",
    ),
)

STEP, WIDTH, LEFT, RIGHT = 118, 560, 46, 82


def lessons_of(found: set[str], number: int) -> list[str]:
    """Return the lessons of a section that have a page, in order."""
    return sorted(d for d in found if re.fullmatch(rf"notebooks/{number}\d_\w+", d))


def lesson_title(env, docname: str) -> str:
    """Return a lesson's title without its number."""
    return re.sub(r"^\d+ · ", "", env.titles[docname].astext())


def cheat_page(chapter: int) -> str:
    """Return the page of a chapter's cheat sheet."""
    pages = {s.number: s.page for s in SECTIONS}
    return pages.get(chapter, "").replace("/chapters/", "/cheatsheets/")


def page_link(env, docname: str, text: str = "") -> nodes.Node:
    """Return a link from the page being read to another, by default with that one's title."""
    link = addnodes.pending_xref(
        "", nodes.inline("", text), refdomain="std", reftype="doc", refexplicit=bool(text),
        reftarget=f"/{docname}", refdoc=env.docname, refwarn=True,
    )  # fmt: skip
    return link


class roadmap(nodes.General, nodes.Element):
    """Stands where the road map will be drawn."""


class Roadmap(SphinxDirective):
    """`{roadmap}`: the seven sections in one picture."""

    def run(self) -> list[nodes.Node]:
        pages = getattr(self.env, "mmcourse_roadmaps", set())
        self.env.mmcourse_roadmaps = pages | {self.env.docname}  # type: ignore[attr-defined]
        return [roadmap("")]


def station_x(index: int) -> int:
    """The road swings gently from side to side."""
    return LEFT if index % 2 == 0 else RIGHT


def draw_road(count: int) -> str:
    """Draw the winding line that joins the stations."""
    path = f"M{station_x(0)} {STEP // 2}"
    for index in range(1, count):
        y0, y1 = STEP * (index - 1) + STEP // 2, STEP * index + STEP // 2
        middle = (y0 + y1) // 2
        path += f" C{station_x(index - 1)} {middle} {station_x(index)} {middle}"
        path += f" {station_x(index)} {y1}"
    return f'<path class="mm-road" d="{path}"/><path class="mm-road-line" d="{path}"/>'


def draw_station(section: Section, index: int, ready: int, uri: str | None) -> str:
    """Draw one station: a numbered circle, the title, two lines, and what is ready."""
    x, y = station_x(index), STEP * index + STEP // 2
    state = "mm-ready" if uri else "mm-later"
    text_x = RIGHT + 46
    note = f"{ready} lesson{'s' * (ready != 1)}" if ready else "in preparation"
    lines = "".join(
        f'<text class="mm-gist" x="{text_x}" y="{y + 12 + 22 * k}">{escape(line)}</text>'
        for k, line in enumerate(section.gist)
    )
    body = (
        f'<rect class="mm-card" x="{text_x - 16}" y="{y - 48}" width="{WIDTH - text_x + 12}" '
        f'height="96" rx="12"/><circle cx="{x}" cy="{y}" r="25"/>'
        f'<text class="mm-number" x="{x}" y="{y + 8}">{section.number}</text>'
        f'<text class="mm-title" x="{text_x}" y="{y - 15}">{escape(section.title)}'
        f'<tspan class="mm-note" dx="12">{note}</tspan></text>{lines}'
    )
    if uri:
        body = f'<a href="{escape(uri)}">{body}</a>'
    return f'<g class="mm-station {state}">{body}</g>'


def draw(stations: list[tuple[Section, int, str | None]]) -> str:
    """Draw the whole map."""
    height = STEP * len(stations)
    body = "".join(draw_station(s, i, n, uri) for i, (s, n, uri) in enumerate(stations))
    return (
        '<figure class="mm-roadmap">'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="group" aria-labelledby="mm-roadmap-title">'
        '<title id="mm-roadmap-title">The seven sections, in the order of the road</title>'
        f"{draw_road(len(stations))}{body}</svg></figure>"
    )


class ShowRoadmap(SphinxPostTransform):
    """Draw the map when all titles are known, and say it in words."""

    default_priority = 5

    def run(self, **kwargs) -> None:
        for place in list(self.document.findall(roadmap)):
            place.replace_self(self.build())

    def build(self) -> list[nodes.Node]:
        stations, words = [], nodes.enumerated_list(enumtype="arabic")
        for section in SECTIONS:
            lessons = lessons_of(self.env.found_docs, section.number)
            exists = section.page in self.env.found_docs
            stations.append((section, len(lessons), self.uri(section.page) if exists else None))
            words += self.words(section, lessons)
        summary = nodes.raw(
            "", '<details class="mm-words"><summary>The road map in words</summary>', format="html"
        )
        picture = nodes.raw("", draw(stations), format="html")
        return [picture, summary, words, nodes.raw("", "</details>", format="html")]

    def uri(self, docname: str) -> str:
        return self.app.builder.get_relative_uri(self.env.docname, docname)

    def words(self, section: Section, lessons: list[str]) -> nodes.list_item:
        text = nodes.paragraph("", "", nodes.strong("", section.title))
        text += nodes.Text(f". {' '.join(section.gist)}. ")
        if not lessons:
            text += nodes.Text("In preparation.")
        for k, lesson in enumerate(lessons):
            text += nodes.Text(", " if k else "Lessons: ")
            text += nodes.reference(
                "", lesson_title(self.env, lesson), internal=True, refuri=self.uri(lesson)
            )
        if lessons:
            text += nodes.Text(".")
        return nodes.list_item("", text)


def table(
    header: list[nodes.Node], rows: list[list[nodes.Node]], classes: list[str]
) -> nodes.table:
    """Build a table from nodes."""
    group = nodes.tgroup("", cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    head, body = nodes.thead(), nodes.tbody()
    for part, lines in ((head, [header]), (body, rows)):
        for line in lines:
            row = nodes.row()
            row += [nodes.entry("", nodes.paragraph("", "", cell)) for cell in line]
            part += row
    group += [head, body]
    return nodes.table("", group, classes=classes)


class Lessons(SphinxDirective):
    """`{lessons}`: the lessons of a chapter; those whose page exists are links."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        rows = []
        for line in self.content:
            name, title, text = (part.strip() for part in line.split("|"))
            docname = f"notebooks/{name}"
            number, ready = name[:2], docname in self.env.found_docs
            title = f"{number} · {title}"
            link = page_link(self.env, docname, title) if ready else nodes.Text(title)
            # mm-progress.js puts in how many of the lesson's outcomes are ticked
            state = nodes.Text("–" if ready else "in preparation")
            rows.append([link, nodes.Text(text), state])
        header = [nodes.Text(t) for t in ("Lesson", "What it teaches", "Ticked")]
        shown: list[nodes.Node] = [table(header, rows, ["mm-lessons"])]
        sheet = cheat_page(int(number[0]))
        if sheet in self.env.found_docs:
            shown.append(nodes.paragraph("", "Its equations beside their functions: "))
            shown[-1] += [page_link(self.env, sheet), nodes.Text(".")]
        return shown


class korean_index(nodes.General, nodes.Element):
    """Stands where the Korean terms will be listed."""


class KoreanIndex(SphinxDirective):
    """`{korean-index}`: the page's glossary from Korean to English."""

    def run(self) -> list[nodes.Node]:
        return [korean_index("")]


def list_korean(app: Sphinx, doctree: nodes.document) -> None:
    """Fill the Korean index from the glossary of the same page."""
    for place in list(doctree.findall(korean_index)):
        pairs = []
        for item in doctree.findall(nodes.definition_list_item):
            terms = [n for n in item.findall(nodes.term) if n["ids"]]
            english = terms[0]
            for term in terms[1:]:
                pairs.append((term.astext(), english.astext(), english["ids"][0]))
        rows = [
            [nodes.Text(korean), nodes.reference("", english, internal=True, refid=target)]
            for korean, english, target in sorted(pairs)
        ]
        header = [nodes.Text("한국어 (Korean)"), nodes.Text("English")]
        place.replace_self(table(header, rows, ["mm-korean"]))


def refresh(app: Sphinx, env) -> list[str]:
    """Draw the map anew whenever anything was built."""
    return sorted(getattr(env, "mmcourse_roadmaps", set()) & env.found_docs)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_node(roadmap)
    app.add_node(korean_index)
    app.add_directive("roadmap", Roadmap)
    app.add_directive("lessons", Lessons)
    app.add_directive("korean-index", KoreanIndex)
    app.add_post_transform(ShowRoadmap)
    app.connect("doctree-read", list_korean)
    app.connect("env-updated", refresh)
