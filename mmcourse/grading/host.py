"""The side that runs the learner's code: names, calls, attributes, statements.

The same class answers in the learner's own kernel and in the grader's worker process, so that
what passes in one passes in the other.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable
from typing import Any

from mmcourse.grading.values import dumps, loads

CHECK_FILE = "<check>"
UNDEFINED = "is not defined yet: answer the question and run its cell"


class Host:
    """Performs requests on a namespace.

    Args:
        namespace: the learner's names.
        transform: turns notebook syntax into Python (identity by default).
    """

    def __init__(
        self, namespace: dict[str, Any], transform: Callable[[str], str] | None = None
    ) -> None:
        self.namespace = namespace
        self.transform = transform or (lambda source: source)
        self.objects: list[Any] = []

    def answer(self, request: bytes) -> bytes:
        """Performs an encoded request and encodes its result; errors pass through."""
        operation, arguments = loads(request, lambda number, _: self.objects[number])
        result = getattr(self, f"do_{operation}")(*arguments)
        return dumps(result, self.export)

    def export(self, value: Any) -> tuple[int, str]:
        """Keeps an object here and returns the handle that stands for it over there."""
        self.objects.append(value)
        return len(self.objects) - 1, type(value).__name__

    def do_get(self, name: str) -> Any:
        """The value of a name of the learner's."""
        if name not in self.namespace:
            raise NotImplementedError(f"`{name}` {UNDEFINED}")
        return self.namespace[name]

    def do_call(self, target: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Calls an object kept here."""
        return target(*arguments, **keywords)

    def do_attr(self, target: Any, name: str) -> Any:
        """An attribute of an object kept here."""
        return getattr(target, name)

    def do_item(self, target: Any, key: Any) -> Any:
        """One item of an object kept here."""
        return target[key]

    def do_len(self, target: Any) -> int:
        """The length of an object kept here."""
        return len(target)

    def do_seed(self, seed: int) -> None:
        """Seeds torch's, numpy's and Python's generators: a check is a function of its seed."""
        import random

        import numpy as np
        import torch

        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - learners' code may use the old interface
        random.seed(seed)

    def do_run(self, source: str, variables: dict[str, Any]) -> Any:
        """Runs statements that see the learner's names; `return` gives the result."""
        text = self.transform(textwrap.dedent(source))
        wrapped = textwrap.indent(text, "    ", lambda line: True)
        # Inside a function, because `return` is allowed nowhere else.
        tree = ast.parse(f"def run({', '.join(variables)}):\n    pass\n{wrapped}")
        scope: dict[str, Any] = {}
        exec(compile(tree, CHECK_FILE, "exec"), self.namespace, scope)
        return scope["run"](**variables)
