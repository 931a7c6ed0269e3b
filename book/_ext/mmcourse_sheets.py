"""What a sheet asks of people, read from its source.

`questions_of` tells how difficult its questions are and how long they take. `misunderstandings`
turns its bank of wrong answers into sentences: each wrong answer names the check that must fail
and a phrase of what that check says, so the check's own message is the mistake in plain words. No
code of a wrong answer leaves this module.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmcourse.grading.sheet import Cell, Sheet, read_sheet

TASK = re.compile(r"^\*([A-Z][a-z]+) · (\d+) minutes\.\*", re.MULTILINE)
POINTER = re.compile(r"\s*\((?:see )?lessons? \d\d[^()]*\)")
TAIL = re.compile(r"[;,:]? (but )?(got|it gave|yours is|here) …$")
EXPECT = {"close", "shape", "tensor"}  # checks that are told a name, not a message
# Slips of programming that would be slips in any sheet: a type, a gradient, a shared argument.
CRAFT = re.compile(
    r"\bdtype\b|float(16|32|64)|no gradient|reaches no gradient|gradient (still )?(reaches|flows)"
    r"|detach|no_grad|\b(was|were) changed\b|(function|\w+) chang(es|ed) (its|the) "
    r"(argument|input|list|tensor)|in place|global seed|leave its seed|generator's seed"
    r"|`generator`|\bdevice\b|must be (a Python )?(float|int|bool|whole number)"
    r"|return(s)? (a|two|three) (Python|tensor|plain|values|things)|hold bools|a bool tensor",
)
SLIP_NAMES = {"detached", "in-place", "float32", "float64", "dtype", "global", "seeded", "device"}


class Question(NamedTuple):
    """One question of a sheet."""

    key: str
    title: str
    difficulty: str
    minutes: int


class Mistake(NamedTuple):
    """One thing that goes wrong, and the wrong answers that show it."""

    question: str
    check: str  # the check's title, which says what is asked
    said: str
    names: tuple[str, ...]
    hidden: bool
    craft: bool


def questions_of(sheet: Sheet) -> tuple[Question, ...]:
    """The questions of a sheet, each with its difficulty and its minutes.

    Raises:
        ValueError: a question does not begin with a line such as "*Easy · 10 minutes.*".
    """
    text = "\n\n".join(cell.source for cell in sheet.cells if cell.kind == "markdown")
    parts = re.split(r"^## (?=Question \d)", text, flags=re.MULTILINE)[1:]
    found = []
    for key, part in zip(sheet.answers, parts, strict=True):
        title, rest = part.split("\n", 1)
        task = TASK.search(rest)
        if not task:
            raise ValueError(
                f"{sheet.path.name}, {title!r}: a question begins with its difficulty and its "
                "minutes, such as '*Easy · 10 minutes.*'"
            )
        found.append(Question(key, title.strip(), task[1], int(task[2])))
    return tuple(found)


@functools.cache
def sheet_of(path: Path) -> Sheet:
    """A sheet, read once."""
    return read_sheet(path)


def strings(source: str) -> Iterator[str]:
    """Every text of a piece of code; what is put into an f-string stands as "…"."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = []
            for value in node.values:
                inside.add(id(value))
                parts.append(str(value.value) if isinstance(value, ast.Constant) else "…")
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield str(node.value) if isinstance(node.value, str) else ""


def labels(source: str) -> Iterator[str]:
    """What a check calls the things that it compares: no sentences, only names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in EXPECT:
            named = [k.value for k in node.keywords if k.arg == "what"]
            for value in [*named, *node.args[1:]]:
                yield from strings(ast.unparse(value))


def message_of(sheet: Sheet, check: Cell, phrase: str) -> str:
    """What a check says with this phrase in it; the phrase itself, if that is put together."""
    wanted = " ".join(phrase.split())
    for cells in ([check], sheet.role("setup")):
        texts = {" ".join(text.split()) for cell in cells for text in strings(cell.source)}
        # A whole program for the learner's side is a text, too, but no sentence.
        found = [t for t in texts if wanted in t and len(t) < 500 and "return " not in t[:12]]
        if found:
            said = TAIL.sub("", POINTER.sub("", min(found, key=len))).strip(" .;:")
            named = " ".join(said.split()) in {" ".join(t.split()) for t in labels(check.source)}
            return f"not as it should be: {said}" if named else said
    return "the result has another shape" if "should have shape" in wanted else wanted


def misunderstandings(sheet: Sheet) -> list[Mistake]:
    """The mistakes of a sheet's bank, one for each thing said, in the order of the questions."""
    groups: dict[tuple[str, str, str, bool], list[str]] = {}
    for wrong in sheet.role("wrong"):
        check = sheet.checks[str(wrong.meta["fails"])]
        phrase = str(wrong.meta["says"])
        # A hidden check keeps its message for the grader; here stands the phrase alone.
        said = f"“{phrase}”" if check.hidden else message_of(sheet, check, phrase)
        name = wrong.key.split(".", 1)[-1]
        groups.setdefault((wrong.exercise, check.title, said, check.hidden), []).append(name)
    order = list(sheet.answers)
    mistakes = [
        Mistake(question, check, said, tuple(names), hidden, is_craft(said, names))
        for (question, check, said, hidden), names in groups.items()
    ]
    return sorted(mistakes, key=lambda m: (order.index(m.question), m.craft))


def is_craft(said: str, names: list[str]) -> bool:
    """Is this a slip of programming rather than of the idea?"""
    return bool(CRAFT.search(said)) or set(names) <= SLIP_NAMES
