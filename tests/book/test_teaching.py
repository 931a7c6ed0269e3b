"""The instructor's pages: tables that count for themselves, and a note for every lesson."""

import importlib
import re
import sys

import pytest
from lessons import LESSONS, ROOT, SHEETS
from tiny_book import LESSON, PLAN, build, html
from typed_numbers import typed_numbers

from mmcourse.grading.sheet import read_sheet

sys.path.insert(0, str(ROOT / "book" / "_ext"))
sheets = importlib.import_module("mmcourse_sheets")

NOTES = sorted((ROOT / "book" / "teaching").glob("chapter_?.md"))
SHEET = """---
mmcourse: {assignment: 31_attention, version: '1'}
---

# Exercise 31 · Attention

```{code-cell}
---
mmcourse: {role: setup, key: setup}
---
import math
```

## Question 1 — Halve <it>

*Easy · 15 minutes.* Write `half(x)`.

```{code-cell}
---
mmcourse: {role: answer, key: ex1, defines: [half]}
---
# mmcourse: answer ex1
def half(x):
    \"\"\"Half of x.\"\"\"
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION
```

```{code-cell}
---
mmcourse: {role: check, key: ex1.value, title: A half, points: 1}
---
y = student.half(8)
expect.true(y != 16, f"{y} is twice `x`: the *learner's half* is "
            "less (lesson 31, The maths)")
expect.true(y != 1234, "the argument was changed: make a new number")
expect.true(y != 9, "one was added: this is no half, divide by two")
expect.true(y != 7, "one was taken away: this is no half, divide by two")
for name, times in (("a third", 3), ("a quarter", 4)):
    expect.true(y != 8 / times, f"{name}: this number, {y}, is too small")
expect.close(y, 4, what="half(8), nothing else, y")
```

```{code-cell}
---
mmcourse: {role: check, key: ex1.zero, title: Nothing, points: 1, hidden: true}
---
expect.close(student.half(0), 0, what="the secret half of nothing")
```

+++ {"mmcourse": {"role": "wrong"}}

## Wrong answers

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.more, fails: ex1.value, says: this is no half}
---
def half(x):
    return x + 1
```

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.less, fails: ex1.value, says: this is no half}
---
def half(x):
    return x - 1
```

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.quarter, fails: ex1.value, says: a quarter}
---
def half(x):
    return x / 4
```

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.itself, fails: ex1.value, says: half(8)}
---
def half(x):
    return x
```

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.twice-of-it, fails: ex1.value, says: half* is less}
---
def half(x):
    return x * 2
```

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.doubled, fails: ex1.value, says: is twice}
---
def half(x):
    return x + x
```

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.in-place, fails: ex1.value, says: argument was changed}
---
def half(x):
    return 1234
```

```{code-cell}
---
mmcourse: {role: wrong, key: ex1.one, fails: ex1.zero, says: secret half}
---
def half(x):
    return x / 2 or 1
```
"""
SECOND = "32_transformer: {slides: S3.17–S3.22, needs: [31], helps: []}\n"
TWO = {
    "notebooks/31_attention": LESSON,
    "notebooks/32_transformer": LESSON.replace("31 · Attention", "32 · The Transformer"),
    "book/lessons.yml": PLAN + SECOND,
    "solutions/31_attention.md": SHEET,
    "solutions/32_transformer.md": SHEET.replace("31_attention", "32_transformer"),
}


def plain(page: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]+>", "", page).split())


def test_misunderstandings_are_told_without_code(tmp_path) -> None:
    page = "# Notes\n\n```{misunderstandings} 31\n```\n"
    assert build(tmp_path, page=page, **TWO) == ""
    whole = html(tmp_path, "page")
    said = plain(whole).replace("’", "'")
    assert "Each line below a question is one planted mistake" in said
    counted = "6 mistakes, and 1 for the hidden checks"
    assert f"Question 1 — Halve &lt;it&gt; (easy, 15 min): {counted}" in said
    assert "twice of it, doubled: … is twice x: the learner's half is less" in said
    assert "Programming rather than ideas in place: the argument was changed: make" in said
    assert "secret" not in said, "what a hidden check asks stays hidden"
    assert not re.search(r"x \* 2|1234|return|lesson 31, The maths", said)
    assert re.search(r"<em>learner.s half</em>", whole)


def test_messages_are_told_whole_and_each_to_its_mistake(tmp_path) -> None:
    """Two messages may share their end, and a message may be put together."""
    path = tmp_path / "31_attention.md"
    path.write_text(SHEET, encoding="utf-8")
    said = {m.names: m.said for m in sheets.misunderstandings(sheets.read_sheet(path))}
    assert said["more",] == "one was added: this is no half, divide by two"
    assert said["less",] == "one was taken away: this is no half, divide by two"
    assert said["quarter",] == "a quarter: this number, …, is too small"
    assert said["itself",] == "this comes out wrong: half(8), nothing else"


def test_tables_count_for_themselves(tmp_path) -> None:
    plan = "```{week-plan}\n:class-minutes: 17\n\n3, first | 31 | 32 | 31 32\n```\n"
    day = "```{day-plan} 9:55\n31\nbreak 10\n32\n```\n"
    page = f"# Plan\n\n{plan}\n{day}\n```{{lesson-needs}} 3\n```\n"
    assert build(tmp_path, page=page, **TWO) == ""
    said = plain(html(tmp_path, "page"))
    taught = "31 · Attention (2 + 15 min) 32 · The Transformer (1 min) 31, 32 (30 min)"
    assert f"3, first {taught}" in said
    assert "9:55 31 · Attention show 2 min, then question 1, 15 min 10:15 Break 10 min" in said
    assert "10:25 32 · The Transformer" in said
    assert "10:45 End" in said
    assert "32 · The Transformer 1 min – 15 min: easy 15 2 (1) 31" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```{week-plan}\n3 | 32 | | 32\n4 | 31 | | 31\n```", "lesson 32 needs lesson 31"),
        ("```{week-plan}\n3 | 32 | 31 | 32\n```", "lesson 32 needs lesson 31"),
        ("```{week-plan}\n3 | 31 | | 31\n```", "lesson 32 is missing"),
        ("```{week-plan}\n3 | 31 32 33 | | 31\n```", "no lesson 33 with a sheet"),
        ("```{week-plan}\n:class-minutes: 3\n\n3 | 31 32 | |\n```", "which is more than 3"),
        ("```{week-plan}\n:class-minutes: 9\n\n3 | 31 32 | | 31\n```", "more than 9"),
        ("```{day-plan} 9:00\n32\n31\n```", "lesson 32 needs lesson 31"),
        ("```{misunderstandings} 33\n```", "no sheet 33"),
    ],
)
def test_plans_that_cannot_be_followed_are_refused(tmp_path, text: str, said: str) -> None:
    assert said in build(tmp_path, page=f"# Plan\n\n{text}\n", **TWO)


def test_a_question_without_its_minutes_is_refused(tmp_path) -> None:
    path = tmp_path / "31_attention.md"
    path.write_text(SHEET.replace("*Easy · 15 minutes.* ", ""), encoding="utf-8")
    with pytest.raises(ValueError, match=r"31_attention.md, 'Question 1 — Halve <it>'"):
        sheets.questions_of(sheets.read_sheet(path))


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.stem)
def test_sheets_say_what_they_take(path) -> None:
    """The sum of the questions is what the sheet's first paragraph says."""
    sheet = read_sheet(path)
    questions = sheets.questions_of(sheet)
    numbers = ["one", "two", "three", "four"]
    said = " ".join(path.read_text(encoding="utf-8").split("## Question 1")[0].split())
    total = sum(question.minutes for question in questions)
    opening = rf"{numbers[len(questions) - 1]} questions?, about {total} minutes"
    assert re.search(opening, said, re.IGNORECASE), f"{path.name}: it takes {total} minutes"


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.stem)
def test_every_mistake_is_told(path) -> None:
    """Nothing of a bank is lost, and no line of a wrong answer or a solution gets out."""
    sheet = read_sheet(path)
    mistakes = sheets.misunderstandings(sheet)
    assert sum(len(m.names) for m in mistakes) == len(sheet.role("wrong"))
    told = "\n".join(m.said for m in mistakes)
    for cell in [*sheet.role("wrong"), *sheet.role("answer")]:
        for line in cell.source.split("\n"):
            if len(line.strip()) > 25:
                assert line.strip() not in told, f"{path.name}: {line.strip()}"
    hidden = {m.said for m in mistakes if m.hidden}
    assert hidden <= {f"“{w.meta['says']}”" for w in sheet.role("wrong")}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_has_its_teaching_note(lesson) -> None:
    number = lesson.stem[:2]
    page = (ROOT / "book" / "teaching" / f"chapter_{number[0]}.md").read_text(encoding="utf-8")
    title = re.search(r"^# (\d\d · .+)$", lesson.read_text(encoding="utf-8"), re.MULTILINE)
    assert title, lesson.name
    found = re.search(rf"^## {re.escape(title[1])}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    assert found, f"book/teaching: no section '## {title[1]}'"
    note = found[1]
    assert f"```{{misunderstandings}} {number}\n```" in note
    for part in ("- **Show first**", "- **Ask**", "- **Where learners stumble.**", "- **Time"):
        assert part in note, f"{title[1]}: {part}"


@pytest.mark.parametrize("page", NOTES, ids=lambda page: page.stem)
def test_no_result_is_typed_into_a_note(page) -> None:
    assert not typed_numbers(page)
