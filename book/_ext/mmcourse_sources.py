"""What the ledger is made of: docstrings, the tests that use a name, the lessons that show it.

Everything is read from syntax trees: nothing of the package is imported, so that a page can be
made, and a gap found, in a second.

A function or class of a chapter is public if its name has no underscore before it. It stands in
the ledger if its docstring names a `Source:` or the chapter exports it. Plain records (named
tuples, data classes, protocols) are left out: they compute nothing.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

CHAPTERS = (
    "multimodal",
    "trends",
    "transformers",
    "selfsupervision",
    "visionlanguage",
    "generative",
    "diffusion",
)
RECORDS = ("NamedTuple", "TypedDict", "Protocol", "dataclass")
SECTION = re.compile(r"(Args|Returns|Yields|Raises|Source):")
# What makes a line of a docstring an equation: a relation between blanks, or a sign of its own.
EQUATION = re.compile(r"\s(=|∝|←|↦|≈|∼)\s|[ΣΠ∏√∂∇‖⟨∗⊙]")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
Definition = ast.FunctionDef | ast.ClassDef


@dataclass
class Entry:
    """One line of the ledger."""

    chapter: str
    module: str  # "attention", without the ending
    name: str
    exported: bool
    record: bool
    gist: str  # the docstring's first paragraph
    equation: str  # its first paragraph with an equation, "" if the gist holds it all
    computes: bool  # whether there is an equation anywhere
    source: str
    shown: list[str] = field(default_factory=list)  # lessons, without the ending
    tests: dict[str, list[str]] = field(default_factory=dict)  # file → functions
    through: str = ""  # the name whose tests these are, if it has none of its own

    @property
    def path(self) -> str:
        """Its file, from the root of the project."""
        return f"mmcourse/{self.chapter}/{self.module}.py"

    def problem(self) -> str | None:
        """What is missing, in one line, or None."""
        name = f"mmcourse.{self.chapter}.{self.module}.{self.name}"
        if self.computes and not self.source:
            return f"{name}: its docstring has an equation and no 'Source: paper, equation'"
        if not self.tests:
            return f"{name}: no test in tests/ imports it, nor anything that is built on it"
        return None


def read(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def public(tree: ast.Module) -> list[Definition]:
    """The functions and classes of a module that begin with no underscore."""
    found = [node for node in tree.body if isinstance(node, Definition)]
    return [node for node in found if not node.name.startswith("_")]


def is_record(node: Definition) -> bool:
    """Whether it only holds fields."""
    marks = [*(node.bases if isinstance(node, ast.ClassDef) else []), *node.decorator_list]
    return any(ast.unparse(mark).split("(")[0].split("[")[0] in RECORDS for mark in marks)


def entry_of(chapter: str, module: str, node: Definition, exported: bool) -> Entry:
    """Read a docstring: first paragraph, equation, source."""
    paragraphs = (ast.get_docstring(node) or "").split("\n\n")
    said = [p for p in paragraphs if not SECTION.match(p)]
    sources = [p.split(":", 1)[1] for p in paragraphs if p.startswith("Source:")]
    plain = [re.sub(r"`[^`]*`", "", paragraph) for paragraph in said]
    with_equation = [p for p, bare in zip(said, plain, strict=True) if EQUATION.search(bare)]
    equations = [p for p in with_equation if p is not said[0]]
    return Entry(
        chapter,
        module,
        node.name,
        exported,
        is_record(node),
        " ".join(said[0].split()) if said else "",
        equations[0] if equations else "",
        bool(with_equation),
        " ".join(" ".join(sources).split()),
    )


def names_in(node: ast.AST) -> set[str]:
    """Every name that is read in a piece of code; of `a.b` also the pair."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            found.add(f"{part.value.id}.{part.attr}")
        elif isinstance(part, ast.arg):  # a fixture is asked for by its name
            found.add(part.arg)
    return found


def imported(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """What a file calls what: its own name → (chapter, name there)."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mmcourse."):
            chapter = (node.module or "").split(".")[1]
            for alias in node.names:
                found[alias.asname or alias.name] = (chapter, alias.name)
    return found


def modules(tree: ast.Module) -> dict[str, str]:
    """Names that stand for a whole module of a chapter: `plain = unchecked("mmcourse.x.y")`."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            given = [a.value for a in node.value.args if isinstance(a, ast.Constant)]
            if given and str(given[0]).startswith("mmcourse."):
                for target in node.targets:
                    found[ast.unparse(target)] = str(given[0]).split(".")[1]
    return found


def reach(start: str, uses: dict[str, set[str]]) -> set[str]:
    """All names that a definition uses, those of its helpers in the same file included."""
    found, waiting = set(), [start]
    while waiting:
        for name in uses.get(waiting.pop(), set()) - found:
            found.add(name)
            waiting.append(name)
    return found


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Name and code of whatever a file defines at its top."""
    for node in tree.body:
        if isinstance(node, Definition):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield ast.unparse(target), node


class Book:
    """The project as the ledger sees it; `root` holds mmcourse/, tests/ and notebooks/."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def code(self) -> dict[str, list[Path]]:
        """The modules of each chapter."""
        return {c: sorted((self.root / "mmcourse" / c).glob("*.py")) for c in CHAPTERS}

    @cached_property
    def test_files(self) -> list[Path]:
        """The test files of the chapters."""
        return [p for c in CHAPTERS for p in sorted((self.root / "tests" / c).glob("test_*.py"))]

    @cached_property
    def lessons(self) -> list[Path]:
        """The lessons."""
        return sorted((self.root / "notebooks").glob("*.md"))

    @cached_property
    def lent(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Names that a chapter passes on from an earlier one: where they are at home."""
        found = {}
        for chapter in CHAPTERS:
            for name, home in self.exports(chapter).items():
                if home[0] != chapter:
                    found[chapter, name] = home
        return found

    @cached_property
    def tests(self) -> dict[tuple[str, str], dict[str, list[str]]]:
        """(chapter, name) → file → the test functions that use it."""
        found: dict = defaultdict(lambda: defaultdict(list))
        for path in self.test_files:
            tree = read(path)
            known, whole = imported(tree), modules(tree)
            uses = {name: names_in(node) for name, node in definitions(tree)}
            where = path.relative_to(self.root).as_posix()
            for test in [name for name in uses if name.startswith("test_")]:
                reached = reach(test, uses)
                keys = {known[name] for name in reached if name in known}
                pairs = [name.split(".") for name in reached if "." in name]
                keys |= {(whole[a], b) for a, b in pairs if a in whole}
                for key in sorted({self.lent.get(key, key) for key in keys}):
                    found[key][where].append(test)
        return found

    @cached_property
    def users(self) -> dict[tuple[str, str], set[tuple[str, str]]]:
        """(chapter, name) → the definitions of the package that are built on it."""
        found: dict = defaultdict(set)
        for chapter, files in self.code.items():
            for tree in map(read, files):
                known, own = imported(tree), dict(definitions(tree))
                for name, node in own.items():
                    for used in names_in(node) - {name}:
                        if used in own or used in known:
                            found[known.get(used, (chapter, used))].add((chapter, name))
        return found

    @cached_property
    def shown(self) -> dict[tuple[str, str], list[str]]:
        """(chapter, name) → the lessons that print its source with `show_source`."""
        found: dict = defaultdict(list)
        for path in self.lessons:
            cells = CELL.findall(path.read_text(encoding="utf-8"))
            code = "\n".join(re.sub(r"\A(:[^\n]*\n|\s*\n)*", "", cell) for cell in cells)
            tree = ast.parse(re.sub(r"^\s*[%!].*$", "", code, flags=re.MULTILINE))
            known = imported(tree)
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "show_source":
                    for name in {ast.unparse(a).split(".")[0] for a in call.args}:
                        if name in known and path.stem not in found[known[name]]:
                            found[known[name]].append(path.stem)
        return found

    def proof(self, key: tuple[str, str]) -> tuple[dict[str, list[str]], str]:
        """The tests of a name, else those of the nearest thing built on it, and its name."""
        seen, nearest = {key}, [key]
        while nearest:
            for one in nearest:
                if one in self.tests:
                    return dict(self.tests[one]), "" if one == key else one[1]
            above = {user for one in nearest for user in self.users[one]} - seen
            nearest = sorted(above, key=lambda one: (one[0] != key[0], one))
            seen |= above
        return {}, ""

    def entries(self) -> list[Entry]:
        """The ledger, chapter by chapter in the order of the files."""
        found = []
        for chapter, files in self.code.items():
            exported = self.exports(chapter)
            for path in files:
                for node in public(read(path)):
                    entry = entry_of(chapter, path.stem, node, node.name in exported)
                    if entry.record or not (entry.source or entry.exported or entry.computes):
                        continue
                    entry.tests, entry.through = self.proof((chapter, node.name))
                    entry.shown = self.shown[chapter, node.name]
                    found.append(entry)
        return found

    def exports(self, chapter: str) -> dict[str, tuple[str, str]]:
        """What a chapter's `__init__.py` imports: name → (chapter, name there)."""
        init = self.root / "mmcourse" / chapter / "__init__.py"
        return imported(read(init)) if init.is_file() else {}
