"""Collect the `erratum` admonitions of all lessons into one page.

A lesson writes

    :::{admonition} S7.10 · The cosine is missing its square
    :class: erratum
    :name: e7-01
    **The slide says** …

    **What is right** …

    **Source** {cite:t}`nichol2021improved`, §3.2.
    :::

and the errata page shows it, once more, wherever it says `{errata-list} 7`. A correction that lacks
its name, its slide or one of its three parts is a warning, which fails the build.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

NAME = re.compile(r"e([1-7])-(\d\d)")
TITLE = re.compile(r"S(\d)(\.\d+)?.* · \S")
PARTS = ("The slide says", "What is right", "Source")


class errata_list(nodes.General, nodes.Element):
    """Stands where the corrections of one chapter will be shown."""


class ErrataList(SphinxDirective):
    """`{errata-list} N`: the corrections to section N of the slides."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        book(self.env).lists[self.arguments[0]] = self.env.docname
        return [errata_list("", chapter=self.arguments[0])]


def without_names(node: nodes.Element) -> nodes.Element:
    """Return a copy that can stand beside the original: nothing in it is a target."""
    copy = node.deepcopy()
    for one in copy.findall(nodes.Element):
        for key in ("ids", "names", "backrefs"):
            if key in one:
                one[key] = []
    return copy


class Book:
    """What has been collected: corrections by name, and pages that show them by chapter."""

    def __init__(self) -> None:
        self.errata: dict[str, dict[str, str]] = {}
        self.lists: dict[str, str] = {}


def book(env: BuildEnvironment) -> Book:
    """Return the collection that is stored with the environment."""
    if not hasattr(env, "mmcourse_errata"):
        env.mmcourse_errata = Book()  # type: ignore[attr-defined]
    return env.mmcourse_errata  # type: ignore[attr-defined]


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page said before it is read again."""
    kept = book(env)
    kept.errata = {k: v for k, v in kept.errata.items() if v["docname"] != docname}
    kept.lists = {k: v for k, v in kept.lists.items() if v != docname}


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note every correction of the page just read, and make it a target for `{ref}`."""
    kept, docname = book(app.env), app.env.docname
    for node in doctree.findall(nodes.admonition):
        if "erratum" not in node["classes"]:
            continue
        name = (node["names"] or [""])[0]
        title = node[0].astext()
        said = [s.astext().strip(" .:") for s in node.findall(nodes.strong)]
        problem = None
        if not NAME.fullmatch(name):
            problem = f"must have a name such as e7-01, got {name!r}"
        elif name in kept.errata:
            problem = f"has the name of a correction in {kept.errata[name]['docname']}"
        elif not TITLE.match(title):
            problem = "must have a title such as 'S7.10 · The cosine is missing its square'"
        elif missing := [part for part in PARTS if part not in said]:
            problem = f"lacks **{missing[0]}**"
        if problem:
            logger.warning("erratum %r %s", title, problem, location=node)
            continue
        kept.errata[name] = {"docname": docname, "id": node["ids"][0], "title": title}
        labels = app.env.get_domain("std")
        labels.labels[name] = (docname, node["ids"][0], title)  # type: ignore[attr-defined]


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Every chapter with a correction must have its list."""
    kept = book(env)
    for name, entry in kept.errata.items():
        chapter = name[1]
        if chapter not in kept.lists:
            logger.warning("%s: no page says {errata-list} %s", entry["docname"], chapter)


def refresh(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the page anew whenever anything was built."""
    return sorted(set(book(env).lists.values()))


class ShowErrata(SphinxPostTransform):
    """Put copies of the corrections where the list stands, each with the way to its lesson."""

    default_priority = 5  # before references are resolved, so that those inside copies are too

    def run(self, **kwargs) -> None:
        for place in list(self.document.findall(errata_list)):
            kept = book(self.env).errata
            shown: list[nodes.Node] = []
            names = [name for name in kept if name[1] == place["chapter"]]
            for name in sorted(names, key=lambda name: (kept[name]["title"], name)):  # by slide
                shown.append(self.entry(name, kept[name]))
            place.replace_self(shown or [nodes.paragraph("", "None has been found yet.")])
            if any(
                entry.next_node(nodes.math) or entry.next_node(nodes.math_block) for entry in shown
            ):
                # The page itself was read without formulas: say that it needs MathJax after all.
                self.env.get_domain("math").data["has_equations"][self.env.docname] = True

    def entry(self, name: str, entry: dict[str, str]) -> nodes.Node:
        """Copy one correction and add the link to its lesson."""
        doctree = self.env.get_doctree(entry["docname"])
        original = next(n for n in doctree.findall(nodes.admonition) if name in n["names"])
        copy = without_names(original)
        for node in copy.findall(nodes.Element):
            if "refdoc" in node:
                node["refdoc"] = self.env.docname
        copy["ids"] = [f"list-{name}"]
        uri = self.app.builder.get_relative_uri(self.env.docname, entry["docname"])
        lesson = self.env.titles[entry["docname"]].astext()
        link = nodes.reference(
            "", f"Where it stands: {lesson}", internal=True, refuri=f"{uri}#{entry['id']}"
        )
        copy += nodes.paragraph("", "", link, classes=["mm-erratum-lesson"])
        return copy


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.add_node(errata_list)
    app.add_directive("errata-list", ErrataList)
    app.add_post_transform(ShowErrata)
    app.connect("env-purge-doc", purge)
    app.connect("doctree-read", collect)
    app.connect("env-check-consistency", check)
    app.connect("env-updated", refresh)
