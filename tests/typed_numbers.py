"""Finding numbers in a lesson's text that look like results of a measurement.

A number that a page measured must come out of its code: typed by hand it stays when the code
changes. No program can know where a number comes from, so this is a rule of thumb, in four steps.

1. Code, formulas, questions, hints and the corrections of slides are left out: the first is
   computed, the second is maths, a question may assume what it likes, and a correction names its
   source (another test sees to that).
2. In what remains, a number counts if it has a unit of results (per cent, points, times,
   seconds, nats, bits …), if it is a decimal, or if it is a share in words ("about half of").
3. It is forgiven if its own paragraph or list item cites a work or names a slide.
4. What is left must stand in `typed_numbers.toml`, with the reason why it is no result.

It does not see claims without a number ("nearly all"), nor bare counts ("12 pictures").
"""

import re
from pathlib import Path
from typing import NamedTuple

from lessons import prose

ADMONITION = re.compile(
    r"^(:{3,})\{(?:admonition|dropdown)\}[^\n]*\n.*?^\1[ ]*$", re.MULTILINE | re.DOTALL
)
MATHS = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
FENCE = re.compile(r"^(`{3,}).*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
ITEM = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)|\n(?=\|)")
LICENCE = re.compile(r"CC BY(?:-SA)? 4\.0")
SOURCE = re.compile(r"\{cite:|\bS\d\.\d\d|\{ref\}`e\d")

COUNT = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty)"
UNITS = (
    r"%|per cent\b|points?\b|times\b|×(?! ?\d)|(?:CPU-?)?(?:milli)?seconds?\b|minutes?\b|hours?\b"
    r"|ms\b|s\b|nats?\b|bits?\b|dB\b|[GM]B\b"
)
RESULT = re.compile(
    rf"(?<![\w.,§])[−+-]?\d[\d,]*(?:\.\d+)?\s?(?:{UNITS})"  # 93 %, 3.3 times, 45 s
    r"|(?<![\w.,§])\d+\.\d+(?![\w.]*\d)"  # 0.91
    r"|\b(?:about|nearly|almost|more than|less than|over|fewer than)\s"
    r"(?:an?\s|one\s)?(?:half|third|quarter|fifth|tenth)\b"
    r"|\b(?:two|three|four)\s(?:thirds|quarters|fifths|tenths)\b"
    rf"|\b{COUNT}\s(?:\w+\s)?(?:in|of)\s(?:every\s)?(?:five|six|ten|twenty|a hundred)\b(?!\s\w+s\b)"
    rf"|\b(?:twice|{COUNT}\stimes)\sas\s(?:many|much|fast|good|often|large|well)\b",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """A number that looks like a result, and the paragraph or list item where it stands."""

    number: str
    text: str
    start: int


def passages(path: Path) -> list[str]:
    """The paragraphs and list items of a lesson that have to do without a source."""
    text = LICENCE.sub("", FENCE.sub("\n", prose(path)))
    text = text.split("\n## References")[0]
    for _ in range(2):  # dropdowns stand in admonitions
        text = ADMONITION.sub("\n", text)
    parts = (" ".join(part.split()) for part in ITEM.split(MATHS.sub(" … ", text)))
    return [part for part in parts if part and not SOURCE.search(part)]


def typed_numbers(path: Path) -> list[Found]:
    """Every number of a lesson that looks like a result and has no source beside it."""
    return [
        Found(match.group(), text, match.start())
        for text in passages(path)
        for match in RESULT.finditer(text)
    ]
