"""What pages say in words: numbers come from code or a source, and works are cited rightly."""

import re
import tomllib
from collections import Counter

import pytest
from lessons import LESSONS, ROOT, code_cells
from typed_numbers import Found, passages, typed_numbers

ALLOWED = tomllib.loads((ROOT / "tests" / "typed_numbers.toml").read_text(encoding="utf-8"))
WAYS = {"eprint", "doi", "url", "journal", "booktitle", "publisher", "howpublished"}
KINDS = {"setting", "target", "chance", "arithmetic", "example", "source"}
BIB = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def allowed(lesson: str) -> list[str]:
    """The pieces of a lesson's sentences that may hold a number typed by hand."""
    return [text for texts in ALLOWED.get(lesson, {}).values() for text in texts]


def covers(piece: str, found: Found) -> bool:
    """Does this piece of the sentence hold the number that was found?"""
    start = found.text.find(piece)
    return start >= 0 and start <= found.start < start + len(piece)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_results_are_computed_or_cited(lesson) -> None:
    """A number that looks like a result is printed by the page, cited, or accounted for."""
    pieces = allowed(lesson.stem[:2])
    for found in typed_numbers(lesson):
        near = found.text[max(0, found.start - 60) : found.start + 60]
        assert any(covers(piece, found) for piece in pieces), (
            f"{lesson.name}: {found.number!r} in '… {near} …' looks like a result typed by hand: "
            "let the page print it, cite its source in the same paragraph, or say in "
            "tests/typed_numbers.toml what it is"
        )


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_nothing_is_allowed_in_vain(lesson) -> None:
    """An exception whose sentence has gone goes, too; a setting really is one."""
    found = typed_numbers(lesson)
    for kind, texts in ALLOWED.get(lesson.stem[:2], {}).items():
        assert kind in KINDS, f"{lesson.name}: {kind!r} is none of {sorted(KINDS)}"
        for piece in texts:
            assert any(covers(piece, one) for one in found), f"{lesson.name}: nothing at {piece!r}"


def test_decimals_called_settings_stand_in_the_code() -> None:
    """Whoever changes the setting is told that a sentence names it."""
    for lesson in LESSONS:
        code = "\n".join(source for source, _ in code_cells(lesson))
        literals = {float(n) for n in re.findall(r"(?<![\w.])\d*\.?\d+(?:e-?\d+)?", code)}
        for piece in ALLOWED.get(lesson.stem[:2], {}).get("setting", []):
            for number in re.findall(r"(?<![\w.])\d+\.\d+", piece):
                assert float(number) in literals, f"{lesson.name}: no {number} in the code"


def test_typed_results_are_found(tmp_path) -> None:
    """The rule of thumb sees what it should, and forgives what has a source."""
    lesson = tmp_path / "lesson.md"
    seen = ["reaches 93.5 % here", "in 45 seconds", "an accuracy of 0.91", "3.3 times faster"]
    seen += ["about half of the digits", "one picture in ten", "twice as fast", "two thirds go"]
    blind = ["$0.91$", "the paper's 93.5 % {cite:p}`a2020b`", "93 % on slide S5.22", "12 pictures"]
    blind += ["`code`", "```\n0.91\n```", "$$\n93 %\n$$", "lesson 31", "CC BY-SA 4.0"]
    quiz = "::::{admonition} Q\n:class: quiz\nIt is 93 %.\n\n:::{dropdown} A\n0.91\n:::\n::::"
    myst = "---\njupytext: {text_representation: {extension: .md, format_name: myst}}\n---\n"
    lesson.write_text(myst + "\n\n".join(["# T", *seen, *blind, quiz]), encoding="utf-8")
    assert [one.text for one in typed_numbers(lesson)] == seen
    assert len(passages(lesson)) > len(seen)


def entries() -> dict[str, dict[str, str]]:
    """The bibliography: key → fields, the type among them."""
    found = {}
    for kind, key, body in ENTRY.findall(BIB):
        fields = dict(re.findall(r"^\s+(\w+) = \{+(.*?)\}+,?$", body, re.MULTILINE))
        found[key] = {"type": kind, **fields}
    return found


def cited() -> set[str]:
    """Every key that a page cites."""
    pages = [*LESSONS, *(ROOT / "book").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    keys = re.findall(r"\{cite:\w+\}`([^`]+)`", text)
    return {key.strip() for some in keys for key in some.split(",")}


def test_every_work_is_cited_and_known() -> None:
    """No entry stands in the list for nothing, and none is missing."""
    assert len(entries()) == BIB.count("\n@") + BIB.startswith("@"), "an entry cannot be read"
    keys = entries().keys()
    assert not cited() - keys, f"not in book/references.bib: {sorted(cited() - keys)}"
    assert not keys - cited(), f"cited nowhere: {sorted(keys - cited())}"


def test_works_are_listed_once() -> None:
    """Two keys for one work would put it twice into the list."""
    works = entries()
    for field in ("eprint", "doi", "url"):
        seen = Counter(fields[field].lower() for fields in works.values() if field in fields)
        assert max(seen.values()) == 1, [name for name, times in seen.items() if times > 1]
    plain = Counter(re.sub(r"\W", "", fields["title"]).lower() for fields in works.values())
    assert max(plain.values()) == 1, [name for name, times in plain.items() if times > 1]


def test_works_can_be_found() -> None:
    """Each has author, title and year, and a way to it; arXiv's numbers are well formed."""
    for key, fields in entries().items():
        assert {"author", "title", "year"} <= fields.keys(), key
        assert re.fullmatch(r"(1[5-9]|20)\d\d", fields["year"]), key
        assert fields["year"] in key, f"{key}: the key has another year than {fields['year']}"
        assert WAYS & fields.keys(), f"{key}: where can it be found? One of {sorted(WAYS)}"
        if "eprint" in fields:
            modern = re.fullmatch(r"\d{2}(0[1-9]|1[0-2])\.\d{4,5}", fields["eprint"])
            old = re.fullmatch(r"[a-z-]+(\.[A-Z]{2})?/\d{7}", fields["eprint"])
            assert modern or old, f"{key}: {fields['eprint']} is no number of arXiv's"
            assert fields.get("archiveprefix") == "arXiv", f"{key}: archiveprefix = {{arXiv}}"
