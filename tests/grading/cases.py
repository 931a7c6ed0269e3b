"""One hostile submission and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """A submission of the corpus.

    Args:
        name: what the result is called.
        content: a notebook, the bytes of a file, or what makes the file at a path.
        points: what questions 1 and 2 must get, of 3 each; None where nothing may be graded.
        status: the result's status.
        says: check → pattern that its message must hold; `note` and `cell` for notes and the
            errors of cells.
        file: the file's path without its ending, if it is not the name.
    """

    name: str
    content: dict[str, Any] | bytes | Callable[[Path], object]
    points: tuple[float, float] | None = (3, 3)
    status: str = "graded"
    says: dict[str, str] = field(default_factory=dict)
    file: str = ""
