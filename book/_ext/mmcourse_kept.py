"""What is kept of each lesson as it is read: its figures, and what its timer printed.

Pages that list these stand before or after the lessons in the book, so their directives leave a
place (`later`) that is filled once everything has been read. `mmcourse_figures` and
`mmcourse_timings` say what stands in such a place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape

from docutils import nodes
from mmcourse_plan import LESSON
from mmcourse_thumbnails import thumbnail
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

FIGURE = re.compile(r'<figure class="mm-figure"[^>]*>\s*<img [^>]*?alt="([^"]*)"')
TIMER = re.compile(
    r"This lesson took (?P<wall>\d+) s \((?P<cpu>\d+) CPU seconds at (?P<pace>[\d.]+) times the "
    r"usual pace\) and at\s+most (?P<memory>[\d.]+) GB of memory\s+with torch (?P<torch>\S+), "
    r"(?P<threads>\d+) threads?, device (?P<device>\w+)"
)
STAR = "The seminar's figure, computed"
SITS = "Where this sits"
FEW = 4  # slides
SLIDES = re.compile(r"S([1-7])\.(\d\d)(?: to S?(?:\1\.)?(\d\d))?")
IN_PAPER = re.compile(
    r"(?:\b[A-Z]\w+[’']s |\bthe paper[’']s )?\b[Ff](?:igure|ig\.) \d+[a-z]?\b(?: of the paper)?"
)


@dataclass
class Shown:
    """One figure of a lesson."""

    id: str
    alt: str
    section: str  # the heading above it
    star: bool = False  # whether it computes a figure of the seminar
    slides: list[str] = field(default_factory=list)  # "S3.06"
    paper: list[str] = field(default_factory=list)  # "figure 2 of the paper"
    drawn: bool = True  # no: the section has words or a table in its place
    small: str = ""  # the picture made small, a data URI


@dataclass
class Lesson:
    """What is kept of one lesson."""

    figures: list[Shown] = field(default_factory=list)
    timing: dict[str, str] = field(default_factory=dict)


@dataclass
class Kept:
    """What is kept of all lessons, and which pages list it."""

    lessons: dict[str, Lesson] = field(default_factory=dict)
    places: dict[str, set[str]] = field(default_factory=dict)  # page → {"figure-index 3", …}


class later(nodes.General, nodes.Element):
    """Stands where something will be listed once every lesson has been read."""


Maker = Callable[[SphinxPostTransform, Kept, str], list[nodes.Node]]
MAKERS: dict[str, Maker] = {}  # name of a directive → what stands in its place


def kept(env: BuildEnvironment) -> Kept:
    """What is stored with the environment."""
    if not hasattr(env, "mmcourse_kept"):
        env.mmcourse_kept = Kept()  # type: ignore[attr-defined]
    return env.mmcourse_kept  # type: ignore[attr-defined]


class Later(SphinxDirective):
    """Leaves a place for the list of the directive's own name; a chapter's number may follow."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        which = self.arguments[0] if self.arguments else ""
        kept(self.env).places.setdefault(self.env.docname, set()).add(f"{self.name} {which}")
        return [later("", kind=self.name, which=which)]


class FillLater(SphinxPostTransform):
    """Puts the lists into their places."""

    default_priority = 5  # before references are resolved

    def run(self, **kwargs) -> None:
        for place in list(self.document.findall(later)):
            place.replace_self(MAKERS[place["kind"]](self, kept(self.env), place["which"]))


def each_slide(text: str) -> list[str]:
    """The slides that a text names, ranges written out: "S7.19 to S7.21" are three."""
    found: list[str] = []
    for section, first, last in SLIDES.findall(text):
        for number in range(int(first), int(last or first) + 1):
            found.append(f"S{section}.{number:02d}")
    return list(dict.fromkeys(found))


def plain(text: str) -> str:
    """One line, with straight apostrophes: headings are compared by it."""
    return " ".join(text.split()).replace("’", "'")


def sections_above(node: nodes.Node) -> list[nodes.section]:
    """The sections that hold a node, the innermost first."""
    found, here = [], node.parent
    while here is not None:
        if isinstance(here, nodes.section):
            found.append(here)
        here = here.parent
    return found


def title_of(section: nodes.section) -> str:
    """Its heading."""
    return plain(section[0].astext())


def said_before(section: nodes.section, node: nodes.Node | None) -> Iterator[str]:
    """Headings and paragraphs of a section up to a node (None: all), the nearest first."""
    texts = []
    for one in section.findall():
        if one is node:
            break
        if isinstance(one, nodes.paragraph | nodes.title):
            texts.append(plain(one.astext()))
    return reversed(texts)


def models_of(section: nodes.section, node: nodes.Node | None) -> tuple[list[str], list[str]]:
    """The slides and the papers' figures that the nearest words before a node name."""
    texts = list(said_before(section, node))
    slides = next((found for text in texts if (found := each_slide(text))), [])
    paper = next((found for text in texts if (found := IN_PAPER.findall(text))), [])
    return slides, list(dict.fromkeys(paper))


def whole_lesson(doctree: nodes.document) -> list[str]:
    """The slides that the lesson is about, if they are few enough to tell which is meant."""
    for section in doctree.findall(nodes.section):
        if title_of(section) == SITS:
            slides = each_slide(plain(section.astext()))
            return slides if len(slides) <= FEW else []
    return []


def figures_of(doctree: nodes.document, number: str) -> list[Shown]:
    """The figures of a lesson in order; each gets an id to link to."""
    found: list[Shown] = []
    for raw in list(doctree.findall(nodes.raw)):
        match = FIGURE.search(raw.astext())
        if "html" not in raw.get("format", "") or not match:
            continue
        sections = sections_above(raw)
        name = f"figure-{number}-{len(found) + 1}"
        figure = Shown(name, plain(unescape(match[1])), title_of(sections[0]))
        figure.small = thumbnail(match[0])
        if any(title_of(section) == STAR for section in sections):
            figure.star = True
            figure.slides, figure.paper = models_of(sections[0], raw)
        text = raw.astext().replace("<figure ", f'<figure id="{name}" ', 1)
        raw.clear()
        raw += nodes.Text(text)
        found.append(figure)
    return found


def complete(doctree: nodes.document, figures: list[Shown]) -> None:
    """See to it that the section of the seminar's figure is in the list, and says which it is.

    Where it shows no picture, it stands there itself. Where the first one's words name no slide
    ("the slide shows …"), the slides of the whole lesson are meant.
    """
    for section in doctree.findall(nodes.section):
        if title_of(section) == STAR and not any(figure.star for figure in figures):
            words = Shown(section["ids"][0], f"{STAR}: in words", STAR, True, drawn=False)
            words.slides, words.paper = models_of(section, None)
            figures.append(words)
    first = next((figure for figure in figures if figure.star), None)
    if first and not first.slides:
        first.slides = whole_lesson(doctree)
    for figure in figures:
        figure.star = bool(figure.slides or figure.paper)


def timing_of(doctree: nodes.document) -> dict[str, str]:
    """What the lesson's timer printed; empty if it printed nothing."""
    for block in doctree.findall(nodes.literal_block):
        if match := TIMER.search(block.astext()):
            return match.groupdict()
    return {}


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what the page just read shows, if it is a lesson."""
    docname = app.env.docname
    if not (match := LESSON.fullmatch(docname)):
        return
    lesson = Lesson(figures_of(doctree, match[1]), timing_of(doctree))
    complete(doctree, lesson.figures)
    kept(app.env).lessons[docname] = lesson
    executed = app.config.nb_execution_mode != "off"
    if executed and not any(figure.star for figure in lesson.figures):
        logger.warning(
            "nothing under '%s' stands after words that name a slide or a paper's figure",
            STAR,
            location=docname,
        )


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page before it is read again."""
    kept(env).lessons.pop(docname, None)
    kept(env).places.pop(docname, None)


def refresh(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Write the lists anew whenever anything was built."""
    return sorted(kept(env).places)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_node(later)
    app.add_post_transform(FillLater)
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", purge)
    app.connect("env-updated", refresh)
