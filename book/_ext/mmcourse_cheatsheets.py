"""Cheat sheets: `{cheatsheet} 3` shows each equation of chapter 3 beside its functions.

They are read off the lessons. An equation belongs to the functions that `show_source` shows in
the next code cell of its section, or else in the cell just before it. Nothing has to be kept up to
date by hand: what a lesson shows, its sheet shows.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from docutils import nodes
from mmcourse_lessons import is_cell, is_lesson
from mmcourse_pages import lessons_of
from mmcourse_plan import PLAN, read_plan
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective


@dataclass
class Row:
    """Equations and the functions that compute them."""

    heading: str
    anchor: str
    equations: list[tuple[str, bool]] = field(default_factory=list)  # TeX, and whether it is bare
    functions: list[str] = field(default_factory=list)


@dataclass
class Sheet:
    """What one lesson gives to the sheet of its chapter."""

    rows: list[Row]
    modules: list[str]


class Kept:
    """What is stored with the environment: a sheet for each lesson, and the pages with sheets."""

    def __init__(self) -> None:
        self.sheets: dict[str, Sheet] = {}
        self.pages: set[str] = set()


def kept(env: BuildEnvironment) -> Kept:
    """Return what is stored with the environment."""
    if not hasattr(env, "mmcourse_cheatsheets"):
        env.mmcourse_cheatsheets = Kept()  # type: ignore[attr-defined]
    return env.mmcourse_cheatsheets  # type: ignore[attr-defined]


# ---- reading a lesson ----------------------------------------------------------------------------


def parse(cell: nodes.Element) -> ast.Module:
    """Return a cell's code; one that is no plain Python counts as empty."""
    typed = [n for n in cell.findall(nodes.literal_block)
             if n.parent.get("nb_element") == "cell_code_source"]  # fmt: skip
    try:
        return ast.parse(typed[0].astext() if typed else "")
    except SyntaxError:
        return ast.Module([], [])


def shown(code: ast.Module) -> list[str]:
    """Name what a cell's calls of `show_source` show; private helpers go without saying."""
    names = [
        ast.unparse(argument).removesuffix(".__init__")
        for node in ast.walk(code)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show_source"
        for argument in node.args
    ]
    return [n for n in names if not n.split(".")[-1].startswith("_")] or names


def origins(code: ast.Module) -> dict[str, str]:
    """Say from which part of the package a cell imports each name."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(code)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mmcourse.")
        for alias in node.names
    }


def in_prose(node: nodes.Node) -> bool:
    """Does it stand in the lesson's own text: in no output, correction or question?"""
    while node.parent is not None:
        node = node.parent
        if is_cell(node) or isinstance(node, nodes.Admonition):
            return False
    return True


class Reader:
    """Goes through a lesson from top to bottom and joins equations with functions."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.heading, self.anchor = "", ""
        self.waiting: list[nodes.math_block] = []
        self.last: Row | None = None  # the functions shown last, while nothing came between
        self.marked = 0

    def mark(self, row: Row) -> None:
        """Give the waiting equations to a row; the first becomes a target."""
        for equation in self.waiting:
            row.equations.append((equation.astext(), bool(equation.get("nowrap"))))
        if self.waiting and not row.anchor.startswith("eq-"):
            self.marked += 1
            row.anchor = f"eq-{self.marked}"
            self.waiting[0]["ids"] = [row.anchor, *self.waiting[0]["ids"]]
        self.waiting = []

    def end(self) -> None:
        """Something else follows: equations still waiting belong to what was shown before."""
        if self.last:
            self.mark(self.last)
        self.waiting, self.last = [], None

    def functions(self, names: list[str]) -> None:
        """Functions are shown: they compute the equations before them."""
        if self.waiting or self.last is None:
            self.last = Row(self.heading, self.anchor)
            self.rows.append(self.last)
            self.mark(self.last)
        self.last.functions += names

    def read(self, doctree: nodes.document) -> list[Row]:
        """Go through the whole lesson."""
        for node in doctree.findall(nodes.Element):
            if isinstance(node, nodes.section):
                self.end()
                self.heading, self.anchor = node[0].astext(), node["ids"][0]
            elif isinstance(node, nodes.math_block) and in_prose(node):
                self.waiting.append(node)
            elif is_cell(node):
                names = shown(parse(node))
                self.functions(names) if names else self.end()
        self.end()
        return self.rows


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note what the lesson just read gives to the sheet."""
    if not is_lesson(app.env.docname):
        return
    rows = Reader().read(doctree)
    known: dict[str, str] = {}
    for cell in filter(is_cell, doctree.findall(nodes.container)):
        known |= origins(parse(cell))
    roots = [name.split(".")[0] for row in rows for name in row.functions]
    modules = dict.fromkeys(known[root] for root in roots if root in known)
    kept(app.env).sheets[app.env.docname] = Sheet(rows, list(modules))


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page said before it is read again."""
    kept(env).sheets.pop(docname, None)
    kept(env).pages.discard(docname)


# ---- showing a chapter ---------------------------------------------------------------------------


class cheatsheet(nodes.General, nodes.Element):
    """Stands where the sheet of a chapter will be shown."""


class CheatSheet(SphinxDirective):
    """`{cheatsheet} N`: the equations and functions of chapter N."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        kept(self.env).pages.add(self.env.docname)
        return [cheatsheet("", chapter=self.arguments[0])]


def codes(names: list[str]) -> list[nodes.Node]:
    """Return names as code, parted by commas."""
    found: list[nodes.Node] = []
    for name in names:
        found += [nodes.Text(", ")] if found else []
        found.append(nodes.literal("", name))
    return found


class ShowSheet(SphinxPostTransform):
    """Build the sheet when all lessons have been read."""

    default_priority = 5

    def run(self, **kwargs) -> None:
        for place in list(self.document.findall(cheatsheet)):
            self.plan, _ = read_plan(Path(self.app.srcdir) / PLAN)
            lessons = lessons_of(self.env.found_docs, int(place["chapter"]))
            place.replace_self([self.lesson(d) for d in lessons if d in kept(self.env).sheets])
            # the page itself was read without formulas: say that it needs MathJax after all
            self.env.get_domain("math").data["has_equations"][self.env.docname] = True

    def link(self, docname: str, text: str, anchor: str = "") -> nodes.reference:
        uri = self.app.builder.get_relative_uri(self.env.docname, docname)
        uri += f"#{anchor}" if anchor else ""
        return nodes.reference("", text, internal=True, refuri=uri)

    def lesson(self, docname: str) -> nodes.section:
        """Build the part of one lesson."""
        sheet, title = kept(self.env).sheets[docname], self.env.titles[docname].astext()
        number = int(title[:2]) if title[:2].isdigit() else 0
        section = nodes.section(ids=[f"lesson-{number}"], classes=["mm-cheatsheet"])
        section += nodes.title("", "", self.link(docname, title))
        about = nodes.paragraph(classes=["mm-cheat-about"])
        if number in self.plan and self.plan[number].slides != "none":
            about += nodes.Text(f"Slides {self.plan[number].slides}. ")
        if sheet.modules:
            about += [nodes.Text("Import from "), *codes(sheet.modules), nodes.Text(".")]
        section += about
        for above, row in zip([None, *sheet.rows], sheet.rows, strict=False):
            if row.equations:
                again = above is not None and above.equations and above.heading == row.heading
                section += self.row(docname, row, "" if again else row.heading)
        others = [row for row in sheet.rows if not row.equations]
        if others:
            section += self.others(docname, others)
        return section

    def row(self, docname: str, row: Row, heading: str) -> nodes.container:
        """Build one row: what it is (unless the row above says so), equations, functions."""
        built = nodes.container(classes=["mm-cheat"])
        what = nodes.paragraph()
        what += [self.link(docname, heading, row.anchor)] if heading else []
        built += nodes.container("", what, nodes.paragraph("", "", *codes(row.functions)))
        formulas = nodes.container()
        for tex, bare in row.equations:
            tex = tex.rstrip().rstrip(",")  # the sentence that went on stays in the lesson
            formulas += nodes.math_block(tex, tex, nowrap=bare, number=None, label=None)
        built += formulas
        return built

    def others(self, docname: str, rows: list[Row]) -> nodes.paragraph:
        """Name the functions that the lesson shows without an equation."""
        text = nodes.paragraph("", "Also shown: ", classes=["mm-cheat-others"])
        for index, row in enumerate(rows):
            text += [nodes.Text("; ")] if index else []
            text += codes(row.functions)
            text += [nodes.Text(" ("), self.link(docname, row.heading, row.anchor)]
            text += nodes.Text(")")
        text += nodes.Text(".")
        return text


def refresh(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the sheets anew whenever anything was built."""
    return sorted(kept(env).pages & env.found_docs)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_node(cheatsheet)
    app.add_directive("cheatsheet", CheatSheet)
    app.add_post_transform(ShowSheet)
    app.connect("env-purge-doc", purge)
    app.connect("doctree-read", collect)
    app.connect("env-updated", refresh)
