"""Directives for the pages that instructors read; all their numbers come from the sources.

`{lesson-needs}` is a table of what each lesson asks, of one chapter with `{lesson-needs} 3`.
`{week-plan}` takes rows `3 | 31 32 | 33 | 31 32`: the week, lessons in class, lessons at home,
sheets. `{day-plan} 9:30` takes lines `31`, `break 15` and `lunch 60`. Both count the minutes and
warn, which fails the build, where a lesson comes before one that it builds on.
`{misunderstandings} 31` lists what the sheet's wrong answers get wrong.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from mmcourse_pages import table
from mmcourse_sheets import (
    Mistake,
    Needs,
    Question,
    misunderstandings,
    needs_of,
    questions_of,
    sheet_of,
)
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

RAN = re.compile(r"This lesson took \d+ s \((\d+) CPU seconds")
ROUND = 5  # a slot of a day's plan is a multiple of this many minutes


class run_time(nodes.General, nodes.Inline, nodes.Element):
    """Stands where the seconds will be shown that a lesson took in this build."""


class Teaching(SphinxDirective):
    """What these directives share: the lessons, and links to them."""

    @property
    def root(self) -> Path:
        return Path(self.env.srcdir)

    def lesson(self, number: str) -> Needs | None:
        """A lesson by its number; a warning where there is none."""
        found = self.lessons().get(number)
        if found is None:
            logger.warning("no lesson %s with a sheet", number, location=self.get_location())
        return found

    def lessons(self) -> dict[str, Needs]:
        """Every lesson that has a page and a sheet."""
        found = {}
        for lesson in sorted((self.root / "notebooks").glob("[1-7][0-9]_*.md")):
            sheet = self.root / "solutions" / lesson.name
            if sheet.is_file() and f"notebooks/{lesson.stem}" in self.env.found_docs:
                self.env.note_dependency(str(lesson))
                self.env.note_dependency(str(sheet))
                found[lesson.stem[:2]] = needs_of(lesson, sheet)
        return found

    def docname(self, number: str) -> str:
        return next(d for d in self.env.found_docs if d.startswith(f"notebooks/{number}_"))

    def link(self, number: str, words: str) -> nodes.Node:
        """A link to a lesson."""
        return addnodes.pending_xref(
            "",
            nodes.inline("", words),
            refdomain="std",
            reftype="doc",
            refexplicit=True,
            reftarget=f"/{self.docname(number)}",
            refdoc=self.env.docname,
            refwarn=True,
        )

    def links(self, needs: list[Needs], *, title: bool = True) -> nodes.Node:
        """Several lessons, with commas between."""
        cell = nodes.inline()
        for place, one in enumerate(needs):
            if place:
                cell += nodes.Text(", ")
            cell += self.link(one.number, one.title if title else one.number)
        return cell if needs else nodes.Text("–")

    def keeps_order(self, needs: Needs, seen: set[str]) -> None:
        """Warn where a lesson builds on one that has not come yet."""
        late = [n for n in needs.before if n not in seen]
        if late:
            logger.warning(
                "lesson %s needs lesson %s, which comes later or not at all",
                needs.number, ", ".join(late), location=self.get_location(),
            )  # fmt: skip
        seen.add(needs.number)


def levels(questions: tuple[Question, ...]) -> str:
    """The questions of a sheet in one line: "easy 10, medium 20"."""
    return ", ".join(f"{q.difficulty.lower()} {q.minutes}" for q in questions)


class LessonNeeds(Teaching):
    """`{lesson-needs}`: minutes to read, seconds to run, the sheet, and what comes before."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        chapter = self.arguments[0] if self.arguments else ""
        pages = getattr(self.env, "mmcourse_needs", set())
        self.env.mmcourse_needs = pages | {self.env.docname}  # type: ignore[attr-defined]
        lessons, rows = self.lessons(), []
        for number, needs in lessons.items():
            if not number.startswith(chapter):
                continue
            before = [lessons[n] for n in needs.before if n in lessons]
            rows.append([
                self.link(number, needs.title),
                nodes.Text(f"{needs.read} min"),
                run_time("", lesson=self.docname(number)),
                nodes.Text(f"{needs.sheet} min: {levels(needs.questions)}"),
                self.links(before, title=False),
            ])  # fmt: skip
        header = [nodes.Text(t) for t in ("Lesson", "Read", "Run", "Sheet", "Needs lesson")]
        return [table(header, rows, ["mm-needs"])]


class WeekPlan(Teaching):
    """`{week-plan}`: a chapter a week, with the minutes in class and at home."""

    has_content = True
    option_spec = {"class-minutes": directives.nonnegative_int}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        rows, seen = [], set()
        for line in self.content:
            week, *parts = (part.strip() for part in line.split("|"))
            in_class, at_home, sheets = (
                [found for number in part.split() if (found := self.lesson(number))]
                for part in parts
            )
            for needs in sorted([*in_class, *at_home]):
                self.keeps_order(needs, seen)
            begun = sum(n.read for n in in_class)
            rows.append([
                nodes.Text(week),
                self.timed(in_class, begun),
                self.timed(at_home, sum(n.read for n in at_home)),
                self.timed(sheets, sum(n.sheet for n in sheets), title=False),
            ])  # fmt: skip
            if begun > self.options.get("class-minutes", begun):
                logger.warning(
                    "week %s: %d minutes in class are too many", week, begun,
                    location=self.get_location(),
                )  # fmt: skip
        for number in self.lessons().keys() - seen:
            logger.warning("the plan lacks lesson %s", number, location=self.get_location())
        header = [nodes.Text(t) for t in ("Week", "In class", "At home", "Sheets")]
        return [table(header, rows, ["mm-plan"])]

    def timed(self, needs: list[Needs], minutes: int, *, title: bool = True) -> nodes.Node:
        """Lessons and their minutes."""
        cell = nodes.inline("", "", self.links(needs, title=title))
        return cell + nodes.Text(f" ({minutes} min)") if needs else cell


class DayPlan(Teaching):
    """`{day-plan} 9:30`: one day of lessons and breaks, with the times of day."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        hours, minutes = map(int, self.arguments[0].split(":"))
        now, rows = 60 * hours + minutes, []
        seen = self.env.temp_data.setdefault("mmcourse_day_plan", set())
        for line in self.content:
            word, _, rest = line.strip().partition(" ")
            begin = nodes.Text(f"{now // 60}:{now % 60:02}")
            if not word.isdigit():
                now += int(rest)
                rows.append([begin, nodes.Text(word.capitalize()), nodes.Text(f"{rest} min")])
            elif needs := self.lesson(word):
                self.keeps_order(needs, seen)
                first = needs.questions[0]
                work = f"read and show {needs.read} min, then question 1, {first.minutes} min"
                rows.append([begin, self.links([needs]), nodes.Text(work)])
                now += -(-(needs.read + first.minutes) // ROUND) * ROUND
        rows.append([nodes.Text(f"{now // 60}:{now % 60:02}"), nodes.Text("End"), nodes.Text("")])
        header = [nodes.Text(t) for t in ("Time", "What", "How long")]
        return [table(header, rows, ["mm-plan"])]


class Misunderstandings(Teaching):
    """`{misunderstandings} 31`: what the wrong answers of a sheet get wrong, by question."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        found = sorted((self.root / "solutions").glob(f"{self.arguments[0]}_*.md"))
        if not found:
            logger.warning("no sheet %s", self.arguments[0], location=self.get_location())
            return []
        self.env.note_dependency(str(found[0]))
        sheet, shown = sheet_of(found[0]), []
        mistakes = misunderstandings(sheet)
        for question in questions_of(sheet):
            mine = [m for m in mistakes if m.question == question.key]
            shown += self.show(question, mine)
        return shown

    def show(self, question: Question, mistakes: list[Mistake]) -> list[nodes.Node]:
        """One question, folded, its mistakes by what the check asks."""
        open_tag = (
            f'<details class="mm-words mm-mistakes"><summary>{question.title} '
            f"({question.difficulty.lower()}, {question.minutes} min): "
            f"{len(mistakes)} mistakes</summary>"
        )
        listed = nodes.definition_list()
        for title in dict.fromkeys(heading(m) for m in mistakes):
            item = nodes.definition_list_item("", nodes.term("", title))
            bullets = nodes.bullet_list()
            for mistake in (m for m in mistakes if heading(m) == title):
                bullets += nodes.list_item("", sentence(mistake))
            listed += item + nodes.definition("", bullets)
        closing = nodes.raw("", "</details>", format="html")
        return [nodes.raw("", open_tag, format="html"), listed, closing]


def heading(mistake: Mistake) -> str:
    """Under which words a mistake stands: what its check asks, or that it is no idea at all."""
    return "Programming rather than ideas" if mistake.craft else mistake.check


def sentence(mistake: Mistake) -> nodes.paragraph:
    """A mistake: its name, what the check says, and whether learners get to read that."""
    names = ", ".join(name.replace("-", " ") for name in mistake.names)
    whole = nodes.paragraph("", "", nodes.strong("", names), nodes.Text(": "))
    for place, part in enumerate(re.split(r"`([^`]+)`|\*(\w[\w ]*)\*", mistake.said)):
        if part:
            kinds = (nodes.Text, lambda words: nodes.literal("", words), emphasis)
            whole += kinds[place % 3](part)
    if mistake.hidden:
        whole += nodes.Text(" (found by a hidden check)")
    return whole


def emphasis(words: str) -> nodes.emphasis:
    """Words that carry stress."""
    return nodes.emphasis("", words)


class ShowRunTimes(SphinxPostTransform):
    """Put in the seconds that the lessons took, once all of them have been read."""

    default_priority = 5

    def run(self, **kwargs) -> None:
        for place in list(self.document.findall(run_time)):
            ran = RAN.search(" ".join(self.env.get_doctree(place["lesson"]).astext().split()))
            place.replace_self(nodes.Text(f"{ran[1]} s" if ran else "–"))


def refresh(app: Sphinx, env) -> list[str]:
    """Write the pages with run times anew whenever anything was built."""
    return sorted(getattr(env, "mmcourse_needs", set()) & env.found_docs)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_node(run_time)
    app.add_directive("lesson-needs", LessonNeeds)
    app.add_directive("week-plan", WeekPlan)
    app.add_directive("day-plan", DayPlan)
    app.add_directive("misunderstandings", Misunderstandings)
    app.add_post_transform(ShowRunTimes)
    app.connect("env-updated", refresh)
