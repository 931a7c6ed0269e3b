"""Inputs that a right answer cannot pass are never used: the reference is asked first.

A check that tells a mistake from the right answer by its value can be unlucky: for some inputs
the two are equal. So before a check, the judge runs the sheet's own solution with the inputs
that it has drawn, and draws others while the solution fails.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mmcourse.grading import bank, checks
from mmcourse.grading.sheet import Cell, Sheet

TURNS = 8


class Reference:
    """A sheet's own solution, in the judge's process.

    Args:
        cells: the sheet's cells as plain dictionaries.
    """

    def __init__(self, cells: list[dict[str, Any]]) -> None:
        self.sheet = Sheet(Path(), "", "", tuple(Cell(**cell) for cell in cells))
        self.names = bank.learner(self.sheet, {})

    def seed(self, key: str, seed: int) -> int | None:
        """The first seed from this one on that the solution passes a check with.

        Args:
            key: the check.
            seed: what is tried first; those after it follow from it alone.

        Returns:
            The seed, or None if none of TURNS is good: the check itself is broken.
        """
        for _ in range(TURNS):
            shift = seed - checks.LocalBackend().seed(key)
            error, _ = bank.attempt(self.sheet, self.names, self.sheet.checks[key], shift)
            if error is None:
                return seed
            seed = following(seed)
        return None


def following(seed: int) -> int:
    """Another 56-bit seed, the same whenever the same one was unlucky."""
    return int.from_bytes(hashlib.sha256(seed.to_bytes(8, "big")).digest()[:7], "big")
