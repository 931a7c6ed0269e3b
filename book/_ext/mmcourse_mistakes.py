"""`{misunderstandings} 31` lists what the wrong answers of a sheet get wrong, by question.

Those that only a hidden check finds are counted and not told.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from docutils import nodes
from mmcourse_sheets import Mistake, Question, misunderstandings, questions_of, sheet_of
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

KEY = (
    "Each line below a question is one planted mistake: its short name, then the message that a "
    "learner reads, with “…” for what differs from case to case. Where it says “this comes out "
    "wrong”, the message goes on with the right value and the learner's. A check may know more "
    "mistakes than these."
)


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


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_directive("misunderstandings", Misunderstandings)
