"""What a sheet asks of people, read from its source.

`questions_of` tells how difficult its questions are and how long they take. `misunderstandings`
turns its bank of wrong answers into sentences: each wrong answer names the check that must fail
and a phrase of what that check says, so the check's own message is the mistake in plain words. No
code of a wrong answer leaves this module. `points_of` adds up what a sheet is worth.
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
OWN_NAME = re.compile(r"(, \w+|,)$")  # some names repeat the thing, so that the verdict fits them
EXPECT = {"close", "shape", "tensor"}  # checks that are told a name, not a message
VERDICT = r"(should (be|have|hold)\b|is wrong at|holds NaN)"  # what stands behind such a name
SHORT = 6  # a text with fewer words may be a part of a message
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
        difficulty = "Hard" if task[1] == "Harder" else task[1]  # one word for one thing
        found.append(Question(key, title.strip(), difficulty, int(task[2])))
    return tuple(found)


def points_of(sheet: Sheet) -> tuple[float, float]:
    """The points of a sheet, and how many of them belong to hidden checks."""
    checks = sheet.role("check")
    return (
        sum(check.meta["points"] for check in checks),
        sum(check.meta["points"] for check in checks if check.hidden),
    )


@functools.cache
def sheet_of(path: Path) -> Sheet:
    """A sheet, read once."""
    return read_sheet(path)


def strings(source: str) -> Iterator[str]:
    """Every text of a piece of code; what is put into it stands as "…".

    Programs for the learner's side, `student.run("…")`, are texts, too, but no sentences.
    """
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        program = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "run"
        if program or isinstance(node, ast.JoinedStr | ast.BinOp):
            inside |= {id(part) for part in ast.walk(node) if part is not node}
        if id(node) not in inside and not program and (text := text_of(node)) not in ("", "…"):
            yield " ".join(text.split())


def text_of(node: ast.AST) -> str:
    """A text as far as it stands in the code; "…" for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        joined = text_of(node.left) + text_of(node.right)
        return joined if joined.strip("…") else ""
    return "…"


def labels(source: str) -> set[str]:
    """What a check calls the things that it compares: no sentences, only names."""
    found = {"the result"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in EXPECT:
            named = [k.value for k in node.keywords if k.arg == "what"]
            for value in [*named, *node.args[1:]]:
                found |= set(strings(ast.unparse(value)))
    return found


def message_of(sheet: Sheet, wrong: Cell) -> str:
    """What the check says of a wrong answer, whole.

    Mostly one text of the check holds the phrase that the wrong answer names. Where several do,
    or none, or where that text may be a part of a message, since it is short or begins with
    something put in, the wrong answer is run, and what the check then says is told, without the
    numbers.
    """
    check, phrase = (
        sheet.checks[str(wrong.meta["fails"])],
        " ".join(str(wrong.meta["says"]).split()),
    )
    if check.hidden:
        return phrase
    for cells in ([check], sheet.role("setup")):
        found = {t for cell in cells for t in strings(cell.source) if phrase in t}
        if found:
            break
    known = labels(check.source)
    text = found.pop() if len(found) == 1 else ""
    name = text in known
    if not name and (len(text.split()) < SHORT or text.startswith("…")):
        texts = {t for cell in [check, *sheet.role("setup")] for t in strings(cell.source)}
        text, name = from_template(outcome(sheet, wrong, check) or phrase, texts, known)
    if name:
        return f"this comes out wrong: {OWN_NAME.sub('', text)}"
    return TAIL.sub("", POINTER.sub("", text)).strip(" .;:")


def outcome(sheet: Sheet, wrong: Cell, check: Cell) -> str:
    """Run a wrong answer, and return what the check says of it."""
    from mmcourse.grading import bank

    names = bank.learner(sheet, {wrong.exercise: wrong.source})
    return " ".join(str(bank.attempt(sheet, names, check, 0)[0] or "").split())


def from_template(message: str, texts: set[str], known: set[str]) -> tuple[str, bool]:
    """A message with the numbers of this one run left out, and whether it is only a name.

    It was made from one of the texts. What this text leaves open is told where it is a word.
    """
    named = re.match(rf"(.+?),? {VERDICT}", message)
    best, most = (named[1], True) if named else (message, False), 0
    for text in texts:
        words = "(.*?)".join(re.escape(part) for part in text.split("…"))
        end = rf",?\s+{VERDICT}" if text in known else r"(?: \(got .*\))?$"
        literal, match = len(text.replace("…", "")), re.match(words + end, message)
        enough = literal > len(message) / 2 or (text in known and literal > most)
        if match and enough and literal > most:
            opened = iter(match.groups())
            filled = re.sub("…", lambda _, it=opened: open_word(next(it)), text)
            best, most = (filled, text in known), literal
    return best


def open_word(word: str) -> str:
    """What a message puts into its text: a word as it is, a number as "…"."""
    return "…" if re.search(r"\d", word) else word


def misunderstandings(sheet: Sheet) -> list[Mistake]:
    """The mistakes of a sheet's bank, one for each thing said, in the order of the questions."""
    groups: dict[tuple[str, str, str, bool], list[str]] = {}
    for wrong in sheet.role("wrong"):
        check = sheet.checks[str(wrong.meta["fails"])]
        # A hidden check keeps its message for the grader; here stands the phrase alone.
        said = f"“{wrong.meta['says']}”" if check.hidden else message_of(sheet, wrong)
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
