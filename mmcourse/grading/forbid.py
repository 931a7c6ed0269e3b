"""Calls that an answer may not use: read from the source, so best effort, and said so."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from mmcourse.grading.sheet import MARKER


def forbidden_calls(source: str, names: list[str]) -> list[str]:
    """The forbidden names that a cell uses or imports, in the order they are listed.

    A name that the cell itself defines is the learner's own. A learner who hides a call (through
    getattr, say) is not found: this is a reminder of the rules of a question, not a lock.
    """
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    used = set(_used(tree))
    return [name for name in names if name in used]


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
