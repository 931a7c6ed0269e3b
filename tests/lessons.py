"""Reading lessons and sheets as what they are: text notebooks."""

import re
from pathlib import Path

import jupytext

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.md"))
SHEETS = sorted((ROOT / "solutions").glob("*.md"))

HEADINGS = [
    "What you will be able to do",
    "Where this sits",
    "The idea",
    "The maths",
    "Train it",
    "The seminar's figure, computed",
    "Explore",
    "What the slides get wrong",
    "What came after",
    "Check yourself",
    "Exercise",
    "References",
]


def code_cells(path: Path) -> list[tuple[str, set[str]]]:
    """(source, tags) of every code cell."""
    cells = jupytext.read(path).cells
    return [
        (cell.source, set(cell.metadata.get("tags", [])))
        for cell in cells
        if cell.cell_type == "code"
    ]


def prose(path: Path) -> str:
    """Everything in a lesson that is not code."""
    cells = jupytext.read(path).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def admonitions(text: str, kind: str) -> list[str]:
    """The bodies of all admonitions of one class, options included."""
    pattern = rf"^(:{{3,}})\{{admonition\}}[^\n]*\n:class: {kind}\b.*?^\1[ ]*$"
    return [match.group(0) for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)]
