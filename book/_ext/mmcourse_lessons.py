"""What every lesson page gets without its author doing anything, and what it must have.

* a strip under the title: how long it takes to read and to run, what it needs and leads to, its
  slides, its sheets;
* "What you can do now", after the quiz: the outcomes of its beginning once more, to tick off
  (`mm-progress.js` keeps the ticks in the browser);
* a warning, which fails the build, where a lesson has no entry in `book/lessons.yml`, no
  outcomes, no quiz, or does not report its time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes
from mmcourse_errata import without_names
from mmcourse_kept import timing_of
from mmcourse_pages import cheat_page, page_link
from mmcourse_plan import LESSON, PLAN, Entry, Plan, read_plan
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

WORDS_A_MINUTE = 200  # of a technical text; code is counted apart
OUTCOMES, QUIZ, NOW = "What you will be able to do", "Check yourself", "What you can do now"


def is_lesson(docname: str) -> bool:
    """Is this page a lesson?"""
    return LESSON.fullmatch(docname) is not None


def is_cell(node: nodes.Node) -> bool:
    """Is it a code cell with its outputs?"""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def part(doctree: nodes.document, title: str) -> nodes.section | None:
    """Return the section of that title."""
    for section in doctree.findall(nodes.section):
        if section[0].astext() == title:
            return section
    return None


# ---- how long it takes ---------------------------------------------------------------------------


def count_words(node: nodes.Node) -> int:
    """Count the words of the text, without code, formulas and what code put out."""
    if isinstance(node, nodes.Text):
        return len(node.split())
    skipped = nodes.literal_block | nodes.math_block | nodes.math | nodes.raw | nodes.comment
    if is_cell(node) or isinstance(node, skipped):
        return 0
    return sum(count_words(child) for child in node.children)


def count_code(doctree: nodes.document) -> int:
    """Count the lines of code that a reader sees: cells not folded away, and shown sources."""
    lines = 0
    for cell in filter(is_cell, doctree.findall(nodes.container)):
        for block in cell.findall(nodes.literal_block):
            typed = block.parent.get("nb_element") == "cell_code_source"
            if (typed and not cell.get("hide_mode")) or (
                not typed and block.get("language") == "python"
            ):
                lines += sum(bool(line.strip()) for line in block.astext().split("\n"))
    return lines


def reading(doctree: nodes.document) -> str:
    """Say how long the words take, and how much code there is."""
    minutes = max(1, round(count_words(doctree) / WORDS_A_MINUTE))
    code = count_code(doctree)
    return f"about {minutes} min" + (f", besides {code} lines of code" if code else "")


def running(doctree: nodes.document) -> str | None:
    """Say what running the lesson took when this page was made, or None."""
    took = timing_of(doctree)
    if not took:
        return None
    return f"{took['wall']} s when this page was made, at most {took['memory']} GB of memory"


# ---- the strip -----------------------------------------------------------------------------------


def links(env: BuildEnvironment, entries: list[Entry], lead: str = "") -> list[nodes.Node]:
    """Return the titles of lessons as links, parted by commas."""
    found: list[nodes.Node] = []
    for entry in entries:
        if entry.docname in env.found_docs:
            found.append(nodes.Text(", " if found else lead))
            found.append(page_link(env, entry.docname))
    return found


def both(first: list[nodes.Node], second: list[nodes.Node], none: str) -> list[nodes.Node]:
    """Join what is needed and what helps."""
    empty = [nodes.Text(none)] if none else []
    between = [nodes.Text("; ")] if first or empty else []
    return [*(first or empty), *(second and [*between, *second])]


def sheets(env: BuildEnvironment, name: str) -> list[nodes.Node]:
    """Return links to the exercise sheet and to the chapter's cheat sheet, where there are."""
    found: list[nodes.Node] = []
    if (Path(env.srcdir) / "exercises" / f"{name}.ipynb").is_file():
        target = f"/exercises/{name}.ipynb"
        text = nodes.Text("Exercise sheet (a notebook)")
        where = {"reftarget": target, "refdoc": env.docname}
        found.append(addnodes.download_reference("", "", text, **where))
    cheat = cheat_page(int(name[0]))
    if cheat in env.found_docs:
        found += [nodes.Text(" · ")] if found else []
        found.append(page_link(env, cheat, "Cheat sheet of the chapter"))
    return found


def strip(env: BuildEnvironment, doctree: nodes.document, entry: Entry, plan: Plan) -> nodes.Node:
    """Build the strip as a list of terms."""
    needed = [plan[n] for n in entry.needs]
    helping = links(env, plan.helpers(entry.number), "it helps to know ")
    unlocked = links(env, plan.unlocked_by(entry.number))
    again = "it comes back in " if unlocked else "It comes back in "
    later = links(env, plan.helped_by(entry.number), again)
    time = running(doctree)
    rows = [
        ("Reading", [nodes.Text(reading(doctree))]),
        ("Running", [nodes.Text(time)] if time else []),
        ("Needs", both(links(env, needed), helping, "no other lesson")),
        ("Leads to", both(unlocked, later, "") if unlocked or later else []),
        ("Slides", [nodes.Text(entry.slides)]),
        ("To do", sheets(env, entry.name)),
    ]
    listed = nodes.definition_list(classes=["mm-strip"])
    for term, content in rows:
        if content:
            definition = nodes.definition("", nodes.paragraph("", "", *content))
            listed += nodes.definition_list_item("", nodes.term("", term), definition)
    return listed


# ---- what you can do now -------------------------------------------------------------------------


def outcomes(doctree: nodes.document) -> list[nodes.paragraph]:
    """Return what the lesson promises at its beginning."""
    section = part(doctree, OUTCOMES)
    first = section.next_node(nodes.bullet_list) if section else None
    return [next(iter(item.findall(nodes.paragraph))) for item in first or []]


def tick(promise: nodes.paragraph) -> nodes.list_item:
    """Turn one outcome into a box to tick, which is known by its words."""
    key = hashlib.sha256(promise.astext().encode()).hexdigest()[:8]
    copy = without_names(promise)
    start = f'<label class="mm-tick"><input type="checkbox" data-mm-tick="{key}"><span>'
    opening = nodes.raw("", start, format="html")
    closing = nodes.raw("", "</span></label>", format="html")
    return nodes.list_item("", nodes.paragraph("", "", opening, *copy.children, closing))


def tick_list(name: str, promises: list[nodes.paragraph]) -> nodes.section:
    """Build the section with the boxes; the count is filled in by the script, if it runs."""
    head = f'<div class="mm-ticks" data-mm-lesson="{escape(name)}">'
    foot = '<p class="mm-tick-count" role="status" hidden></p></div>'
    return nodes.section(
        "",
        nodes.title("", NOW),
        nodes.paragraph("", "Tick what you could show somebody now, without looking."),
        nodes.raw("", head, format="html"),
        nodes.bullet_list("", *[tick(promise) for promise in promises]),
        nodes.raw("", foot, format="html"),
        ids=["what-you-can-do-now"],
        names=[],
    )


# ---- what a lesson must have ---------------------------------------------------------------------


def lacks(app: Sphinx, doctree: nodes.document) -> Iterator[str]:
    """Say what the lesson lacks."""
    if not outcomes(doctree):
        yield f"has no list under '{OUTCOMES}'"
    questions = [q for q in doctree.findall(nodes.admonition) if "quiz" in q["classes"]]
    if not questions:
        yield f"has no quiz: under '{QUIZ}' stand admonitions of the class quiz"
    for question in questions:
        right = [s for s in question.findall(nodes.strong) if s.astext() == "Right."]
        if len(right) != 1:
            yield f"has {len(right)} right answers, not one, to '{question[0].astext()}'"
    if app.config.nb_execution_mode != "off" and not running(doctree):
        yield "does not report its time: its last cell must say timer.report()"


def dress(app: Sphinx, doctree: nodes.document) -> None:
    """Give the lesson just read its strip and its tick list, and say what it lacks."""
    env, docname = app.env, app.env.docname
    if not is_lesson(docname):
        return
    for problem in lacks(app, doctree):
        logger.warning("the lesson %s", problem, location=docname)
    env.note_dependency(str(Path(app.srcdir) / PLAN))
    plan, _ = read_plan(Path(app.srcdir) / PLAN)
    name = docname.removeprefix("notebooks/")
    quiz, promises = part(doctree, QUIZ), outcomes(doctree)
    entry = plan.get(int(name[:2]))
    if entry and entry.name == name:
        top = next(iter(doctree.findall(nodes.section)))
        top.insert(1, strip(env, doctree, entry, plan))  # right under the title
    if quiz and promises:
        quiz.parent.insert(quiz.parent.index(quiz) + 1, tick_list(name, promises))


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """The plan must be sound, and know just the lessons that there are."""
    plan, problems = read_plan(Path(app.srcdir) / PLAN)
    for problem in problems:
        logger.warning("%s", problem)
    planned = {entry.docname for entry in plan.values()}
    found = {name for name in env.found_docs if is_lesson(name)}
    for name in sorted(found - planned):
        logger.warning("the lesson has no entry in %s", PLAN, location=name)
    for name in sorted(planned - found):
        logger.warning("%s: there is no lesson %s", PLAN, name.removeprefix("notebooks/"))


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    # before the list of headings is made and downloads are collected, at 500
    app.connect("doctree-read", dress, priority=390)
    app.connect("env-check-consistency", check)
