"""Calls that an answer may not use: read from the source, so best effort, and said so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from mmcourse.grading.rules import MARKER, MAX_PARSED, python

MAX_MAGICS = 20
MAGIC = re.compile(r"^\s*[%!?,;/]|[%!]|\?\s*$")


def forbidden_calls(source: str | Iterable[str], names: list[str]) -> list[str]:
    """The forbidden names that an answer uses or imports, in the order they are listed.

    A name that the answer itself defines is the learner's own. A learner who hides a call
    (through getattr, say) is not found: this is a reminder of the rules of a question, not a lock.

    Args:
        source: the answer's cell, or its cells; one that is no Python hides nothing of the others.
        names: what may not be used.
    """
    cells = [source] if isinstance(source, str) else list(source)
    whole, used = ast.Module([], []), set[str]()
    for cell in cells if names else []:
        text = re.sub(r"\A\s*%%[^\n]*", "", cell)
        try:
            whole.body += _tree(text).body
        except SyntaxError:
            continue  # such a cell does not run either
        except (ValueError, RecursionError, MemoryError):
            used |= set(re.findall(r"\w+", text))
    try:
        used |= set(_used(whole))
    except RecursionError:
        used |= {word for cell in cells for word in re.findall(r"\w+", cell)}
    return [name for name in names if name in used]


def _tree(text: str) -> ast.Module:
    """The syntax tree of a cell, with its magics translated if it has any.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it is too long to look through, or IPython cannot translate it.
    """
    if len(text) > MAX_PARSED:
        raise ValueError("too long to be parsed")
    try:
        return ast.parse(text)
    except SyntaxError:
        # IPython reads the cell anew for every magic, so a thousand of them would take minutes.
        if sum(bool(MAGIC.search(line)) for line in text.splitlines()) > MAX_MAGICS:
            raise ValueError("too many magics") from None
    return ast.parse(_translated(text))


def _translated(text: str) -> str:
    try:
        return python(text)
    except SyntaxError:
        raise
    except Exception as error:
        raise ValueError(f"IPython does not understand it ({type(error).__name__})") from None


def refusal(names: Iterable[str]) -> str:
    """The sentence for an answer that uses what its question forbids."""
    return f"this answer may not use {', '.join(names)}"


def last_answer(history: object, exercise: str) -> str:
    """The newest source in a notebook's `In` that answers an exercise, or an empty string."""
    if not isinstance(history, list):
        return ""
    cells = (source for source in reversed(history) if isinstance(source, str))
    return next((source for source in cells if exercise in MARKER.findall(source)), "")


def _used(tree: ast.AST) -> Iterator[str]:
    """Names that are read (called, passed on, given another name), attributes and imports."""
    defined, assigned = _own(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in defined | assigned:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr not in defined:
            yield node.attr
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.name.split(".")[-1] for alias in node.names)


def _own(tree: ast.AST) -> tuple[set[str], set[str]]:
    """What a cell defines, and the variables it makes (an alias of the same name is none)."""
    nodes = list(ast.walk(tree))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {node.name for node in nodes if isinstance(node, kinds)}
    assigned = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    assigned |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    itself = {
        target.id
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == node.value.id
    }
    return defined, assigned - itself
