"""The plan of the lessons, `book/lessons.yml`: what each treats, needs and unlocks.

An entry reads `33_bert: {slides: S3.23–S3.28, needs: [31], helps: [32]}`. Lessons are named by
their numbers. They stand in order, and each builds on earlier ones only, so that nobody can be
sent round in a circle.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

LESSON = re.compile(r"notebooks/((\d)\d)_\w+")
PLAN = "book/lessons.yml"
FIELDS = {"slides", "needs", "helps"}


class Entry(NamedTuple):
    """One lesson of the plan."""

    name: str  # such as 33_bert
    slides: str
    needs: list[int]
    helps: list[int]

    @property
    def number(self) -> int:
        return int(self.name[:2])

    @property
    def docname(self) -> str:
        return f"notebooks/{self.name}"


class Plan(dict[int, Entry]):
    """All entries by number, in order."""

    def unlocked_by(self, number: int) -> list[Entry]:
        """The lessons that need this one."""
        return [entry for entry in self.values() if number in entry.needs]

    def needed_for(self, number: int) -> set[int]:
        """All lessons that one needs, also through others."""
        direct = set(self[number].needs)
        return direct.union(*map(self.needed_for, direct))

    def helpers(self, number: int) -> list[Entry]:
        """The lessons that help with one and are not needed for it anyway."""
        needed = self.needed_for(number)
        return [self[n] for n in self[number].helps if n not in needed]

    def helped_by(self, number: int) -> list[Entry]:
        """The lessons that this one helps with."""
        return [entry for n, entry in self.items() if self[number] in self.helpers(n)]


def problem_of(name: Any, fields: Any, before: Plan) -> str | None:
    """Say what is wrong with an entry that stands after those before it, or None."""
    if not LESSON.fullmatch(f"notebooks/{name}"):
        return "is not the name of a lesson, such as 33_bert"
    if not isinstance(fields, dict) or set(fields) != FIELDS:
        return "must have slides, needs and helps, and nothing else"
    if fields["slides"] != "none" and not re.search(r"S\d\.\d\d", str(fields["slides"])):
        return "must name its slides, such as S3.23–S3.28, or none"
    number = int(name[:2])
    if before and number <= max(before):
        return f"must not stand after {before[max(before)].name}"
    asked = [(key, n) for key in ("needs", "helps") for n in fields[key] or []]
    for key, other in asked:
        if other not in before:
            return f"{key} {other}, which is no earlier lesson"
    if len({n for _, n in asked}) < len(asked):
        return "names a lesson twice"
    return None


def read_plan(path: Path) -> tuple[Plan, list[str]]:
    """Read the plan; return it with what is wrong with it, one line each."""
    plan, problems = Plan(), []
    if not path.is_file():
        return plan, []  # then every lesson lacks its entry, and says so
    for name, fields in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items():
        if problem := problem_of(name, fields, plan):
            problems.append(f"{PLAN}: {name} {problem}")
            continue
        entry = Entry(name, str(fields["slides"]), fields["needs"] or [], fields["helps"] or [])
        plan[entry.number] = entry
    return plan, problems
