"""Calls that an answer may not use: read from the source, so best effort, and said so."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def forbidden_calls(source: str, names: list[str]) -> list[str]:
    """The forbidden names that a cell calls or imports, in the order they are listed.

    A learner who hides a call (through getattr, say) is not found: this is a reminder of the
    rules of a question, not a lock.
    """
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    used = set(_used(tree))
    return [name for name in names if name in used]


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.name for alias in node.names)
