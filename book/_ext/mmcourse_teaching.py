"""Directives for the pages that instructors read; all their numbers come from the sources.

`{lesson-needs}` is a table of what each lesson asks, of one chapter with `{lesson-needs} 3`.
`{week-plan}` has a row for each class, such as `3, first | 31 | 32 33 | 31`: week and class,
lessons shown in it, lessons to read after it, sheets to hand in after it. `{day-plan} 9:30` takes
lines `31`, `break 15` and `lunch 60`. Both count the minutes and warn, which fails the build, where
a lesson comes before one that it builds on. `{misunderstandings} 31` lists what the sheet's wrong
answers get wrong, but for those that only a hidden check finds: these are counted.

How long a lesson takes to read and to run is what the strip under its title says, and what it
builds on stands in `book/lessons.yml`. So tables are made when all lessons have been read.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from mmcourse_pages import page_link, table
from mmcourse_plan import PLAN, read_plan
from mmcourse_sheets import (
    Mistake,
    Question,
    misunderstandings,
    points_of,
    questions_of,
    sheet_of,
)
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

READ, RAN = re.compile(r"about (\d+) min"), re.compile(r"(\d+) s when this page was made")
SHOW = 2  # to show a page in class takes so many times as long as to read it
ROUND = 5  # a slot of a day's plan is a multiple of this many minutes
KEY = (
    "Each line below a question is one planted mistake: its short name, then the message that a "
    "learner reads, with “…” for what differs from case to case. Where it says “this comes out "
    "wrong”, the message goes on with the right value and the learner's. A check may know more "
    "mistakes than these."
)


class Lesson(NamedTuple):
    """What one lesson asks of a reader and of a learner."""

    number: int
    docname: str
    title: str
    read: int
    ran: str
    needs: list[int]
    questions: tuple[Question, ...]
    points: float
    hidden: float  # so many of the points

    @property
    def sheet(self) -> int:
        """Minutes for the whole sheet."""
        return sum(question.minutes for question in self.questions)

    @property
    def show(self) -> int:
        """Minutes for showing it in class."""
        return SHOW * self.read

    @property
    def first(self) -> int:
        """Minutes for the sheet's first question."""
        return self.questions[0].minutes


def lessons_of(env: BuildEnvironment) -> dict[int, Lesson]:
    """Every lesson that has a page, an entry in the plan, and a sheet."""
    found = {}
    for entry in read_plan(Path(env.srcdir) / PLAN)[0].values():
        sheet = Path(env.srcdir) / "solutions" / f"{entry.name}.md"
        if entry.docname not in env.found_docs or not sheet.is_file():
            continue
        listed = env.get_doctree(entry.docname).findall(nodes.definition_list)
        strip = " ".join(one.astext() for one in listed if "mm-strip" in one["classes"])
        read, ran = READ.search(strip), RAN.search(strip)
        found[entry.number] = Lesson(
            entry.number,
            entry.docname,
            env.titles[entry.docname].astext(),
            int(read[1]) if read else 0,
            f"{ran[1]} s" if ran else "–",
            entry.needs,
            questions_of(sheet_of(sheet)),
            *points_of(sheet_of(sheet)),
        )
    return found


class teaching_table(nodes.General, nodes.Element):
    """Stands where a table will be, once all lessons have been read."""


class LaterTable(SphinxDirective):
    """Keeps what a directive says for the time when its table can be made."""

    optional_arguments = 1
    has_content = True
    option_spec = {"class-minutes": directives.nonnegative_int}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        pages = getattr(self.env, "mmcourse_teaching", set())
        self.env.mmcourse_teaching = pages | {self.env.docname}  # type: ignore[attr-defined]
        place = teaching_table(
            "",
            kind=self.name,
            argument=self.arguments[0] if self.arguments else "",
            lines=[line.strip() for line in self.content if line.strip()],
            most=self.options.get("class-minutes", 0),
        )
        self.set_source_info(place)
        return [place]


class ShowTables(SphinxPostTransform):
    """Makes the tables of a page, in order; what has been taught is known from plan to plan."""

    default_priority = 5  # before references are resolved, so that those in the tables are too

    def run(self, **kwargs) -> None:
        places = list(self.document.findall(teaching_table))
        if not places:
            return
        self.lessons = lessons_of(self.env)
        makers = {"lesson-needs": self.needs, "week-plan": self.weeks, "day-plan": self.day}
        self.taught: dict[str, set[int]] = {kind: set() for kind in makers}
        for place in places:
            place.replace_self(makers[place["kind"]](place))

    def lesson(self, number: str, place: nodes.Element) -> list[Lesson]:
        """A lesson by its number, in a list; a warning and nothing where there is none."""
        if number.isdigit() and int(number) in self.lessons:
            return [self.lessons[int(number)]]
        logger.warning("%s: no lesson %s with a sheet", place["kind"], number, location=place)
        return []

    def teach(self, lesson: Lesson, place: nodes.Element) -> None:
        """Warn where a lesson builds on one that has not come yet."""
        taught = self.taught[place["kind"]]
        late = [str(n) for n in lesson.needs if n not in taught]
        if late:
            logger.warning(
                "%s: lesson %d needs lesson %s, which comes later or not at all",
                place["kind"], lesson.number, ", ".join(late), location=place,
            )  # fmt: skip
        taught.add(lesson.number)

    def links(self, lessons: list[Lesson], *, short: bool = False, end: str = "") -> nodes.Node:
        """Several lessons as links, with commas between; a dash if there are none."""
        cell = nodes.inline()
        for place, one in enumerate(lessons):
            cell += nodes.Text(", " if place else "")
            cell += page_link(self.env, one.docname, str(one.number) if short else one.title)
        cell += nodes.Text(end if lessons else "–")
        return cell

    def needs(self, place: nodes.Element) -> nodes.table:
        """`{lesson-needs}`: minutes to read, seconds to run, the sheet, what comes before."""
        rows = []
        for lesson in self.lessons.values():
            if str(lesson.number).startswith(place["argument"]):
                before = [self.lessons[n] for n in lesson.needs if n in self.lessons]
                rows.append([
                    page_link(self.env, lesson.docname, lesson.title),
                    nodes.Text(f"{lesson.read} min"),
                    nodes.Text(lesson.ran),
                    nodes.Text(f"{lesson.sheet} min: {levels(lesson.questions)}"),
                    nodes.Text(worth(lesson)),
                    self.links(before, short=True),
                ])  # fmt: skip
        header = [nodes.Text(t) for t in ("Lesson", "Read", "Run", "Sheet", "Points", "Needs")]
        return table(header, rows, ["mm-needs"])

    def weeks(self, place: nodes.Element) -> nodes.table:
        """`{week-plan}`: class by class, with the minutes there and at home."""
        rows = []
        for line in place["lines"]:
            when, *parts = (part.strip() for part in line.split("|"))
            in_class, at_home, sheets = (
                [one for number in part.split() for one in self.lesson(number, place)]
                for part in parts
            )
            for lesson in [*in_class, *at_home]:
                self.teach(lesson, place)
            shown = sum(one.show for one in in_class)
            tried = sum(one.first for one in in_class if one in sheets)
            minutes = f"{shown} + {tried}" if tried else f"{shown}"
            rows.append([
                nodes.Text(when),
                self.links(in_class, end=f" ({minutes} min)"),
                self.links(at_home, end=f" ({sum(one.read for one in at_home)} min)"),
                self.links(sheets, short=True, end=f" ({sum(s.sheet for s in sheets)} min)"),
            ])  # fmt: skip
            if place["most"] and shown + tried > place["most"]:
                text = "week-plan: %s: the class is full for %d minutes, which is more than %d"
                logger.warning(text, when, shown + tried, place["most"], location=place)
        for number in sorted(self.lessons.keys() - self.taught["week-plan"]):
            logger.warning("week-plan: lesson %d is missing", number, location=place)
        header = [nodes.Text(t) for t in ("Class", "Shown", "To read afterwards", "Sheet")]
        return table(header, rows, ["mm-plan"])

    def day(self, place: nodes.Element) -> nodes.table:
        """`{day-plan} 9:30`: one day of lessons and breaks, with the times of day."""
        hours, minutes = map(int, place["argument"].split(":"))
        now, rows = 60 * hours + minutes, []
        for line in place["lines"]:
            word, _, rest = line.partition(" ")
            begin = nodes.Text(clock(now))
            if not word.isdigit():
                now += int(rest)
                rows.append([begin, nodes.Text(word.capitalize()), nodes.Text(f"{rest} min")])
            for lesson in self.lesson(word, place) if word.isdigit() else []:
                self.teach(lesson, place)
                work = f"show {lesson.show} min, then question 1, {lesson.first} min"
                rows.append([begin, self.links([lesson]), nodes.Text(work)])
                now += -(-(lesson.show + lesson.first) // ROUND) * ROUND
        rows.append([nodes.Text(clock(now)), nodes.Text("End"), nodes.Text("")])
        header = [nodes.Text(t) for t in ("Time", "What", "How long")]
        return table(header, rows, ["mm-plan"])


def clock(minutes: int) -> str:
    """A time of day."""
    return f"{minutes // 60}:{minutes % 60:02}"


def levels(questions: tuple[Question, ...]) -> str:
    """The questions of a sheet in one line: "easy 10, medium 20"."""
    return ", ".join(f"{q.difficulty.lower()} {q.minutes}" for q in questions)


def worth(lesson: Lesson) -> str:
    """The points of a sheet, those of hidden checks in brackets: "15 (2)"."""
    return f"{lesson.points:g}" + (f" ({lesson.hidden:g})" if lesson.hidden else "")


class Misunderstandings(SphinxDirective):
    """`{misunderstandings} 31`: what the wrong answers of a sheet get wrong, by question."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        found = sorted((Path(self.env.srcdir) / "solutions").glob(f"{self.arguments[0]}_*.md"))
        if not found:
            logger.warning("no sheet %s", self.arguments[0], location=self.get_location())
            return []
        self.env.note_dependency(str(found[0]))
        sheet, shown = sheet_of(found[0]), []
        if not self.env.temp_data.get("mmcourse_key_told"):  # once on a page
            self.env.temp_data["mmcourse_key_told"] = True
            shown.append(nodes.paragraph("", KEY))
        mistakes = misunderstandings(sheet)
        for question in questions_of(sheet):
            shown += folded(question, [m for m in mistakes if m.question == question.key])
        return shown


def folded(question: Question, mistakes: list[Mistake]) -> list[nodes.Node]:
    """One question, folded, its mistakes by what the check asks."""
    told = [m for m in mistakes if not m.hidden]
    kept = len(mistakes) - len(told)
    open_tag = (
        f'<details class="mm-words mm-mistakes"><summary>{escape(question.title)} '
        f"({question.difficulty.lower()}, {question.minutes} min): "
        f"{amount(len(told))}{f', and {kept} for the hidden checks' if kept else ''}</summary>"
    )
    listed = nodes.definition_list()
    for title in dict.fromkeys(heading(m) for m in told):
        bullets = nodes.bullet_list()
        for mistake in (m for m in told if heading(m) == title):
            bullets += nodes.list_item("", sentence(mistake))
        definition = nodes.definition("", bullets)
        listed += nodes.definition_list_item("", nodes.term("", title), definition)
    closing = nodes.raw("", "</details>", format="html")
    return [nodes.raw("", open_tag, format="html"), *([listed] if told else []), closing]


def amount(mistakes: int) -> str:
    """So many mistakes."""
    return f"{mistakes} mistake{'' if mistakes == 1 else 's'}"


def heading(mistake: Mistake) -> str:
    """Under which words a mistake stands: what its check asks, or that it is no idea at all."""
    return "Programming rather than ideas" if mistake.craft else mistake.check


def sentence(mistake: Mistake) -> nodes.paragraph:
    """A mistake: its name, and what the check says."""
    names = ", ".join(name.replace("-", " ") for name in mistake.names)
    whole = nodes.paragraph("", "", nodes.strong("", names), nodes.Text(": "))
    kinds = (nodes.Text, lambda s: nodes.literal("", s), lambda s: nodes.emphasis("", s))
    for place, part in enumerate(re.split(r"`([^`]+)`|\*(\w[\w '’-]*)\*", mistake.said)):
        if part:
            whole += kinds[place % 3](part)
    return whole


def refresh(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the pages with tables anew whenever anything was built."""
    return sorted(getattr(env, "mmcourse_teaching", set()) & env.found_docs)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_node(teaching_table)
    for name in ("lesson-needs", "week-plan", "day-plan"):
        app.add_directive(name, LaterTable)
    app.add_directive("misunderstandings", Misunderstandings)
    app.add_post_transform(ShowTables)
    app.connect("env-updated", refresh)
