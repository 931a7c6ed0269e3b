"""What lessons get by themselves: strip, tick list, cheat sheet; and what the build refuses."""

import importlib
import re
from pathlib import Path

import pytest
from lessons import LESSONS, ROOT, prose
from tiny_book import LESSON, PLAN, build, html

lessons = importlib.import_module("mmcourse_lessons")
plans = importlib.import_module("mmcourse_plan")

NEXT = "32_transformer: {slides: S3.17–S3.22, needs: [31], helps: []}\n"
LATER = "33_bert: {slides: S3.23–S3.28, needs: [31], helps: [32]}\n"
TIME = (
    "This lesson took 12 s (10 CPU seconds at 1.00 times the usual pace) and at most 0.5 GB of "
    "memory\nwith torch 2.14.1+cpu, 1 thread, device cpu."
)
CODE = """## The maths

### One formula

$$a = b$$

Some words.

```{code-cell} ipython3
from mmcourse.transformers import attention, causal_mask, split
```

$$c = d$$

$$e = f$$

```{code-cell} ipython3
show_source(attention, Heads.forward, _private)
```

```{code-cell} ipython3
show_source(split)
```

$$g = h$$

```{code-cell} ipython3
1 + 1
```

$$k = l,$$

```{code-cell} ipython3
show_source(join)
```

### Masks

```{code-cell} ipython3
show_source(causal_mask)
```

:::{note}
$$i = j$$
:::

```{code-cell} ipython3
%matplotlib is no plain Python
```
"""


def three(**changes: str) -> dict[str, str]:
    """A book of three lessons."""
    return {
        "book/lessons.yml": PLAN + NEXT + LATER,
        "notebooks/31_attention": LESSON,
        "notebooks/32_transformer": LESSON.replace("31 · Attention", "32 · The Transformer"),
        "notebooks/33_bert": LESSON.replace("31 · Attention", "33 · BERT"),
        **changes,
    }


def strip_of(folder: Path, name: str) -> dict[str, str]:
    """The strip under a lesson's title: term → HTML."""
    page = html(folder, f"notebooks/{name}")
    found = re.search(r'</h1>\s*<dl class="[^"]*mm-strip.*?</dl>', page, re.DOTALL)
    assert found, "no strip right under the title"
    rows = re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", found[0], re.DOTALL)
    return {term: re.sub(r"</?p>|\s*\n\s*", "", value) for term, value in rows}


def test_a_strip_tells_time_and_neighbours(tmp_path: Path) -> None:
    first = LESSON.replace("None.\n", f"None.\n\n```text\n{TIME}\n```\n")
    sheet = '{"cells": [], "metadata": {}, "nbformat": 4}'
    extra = {"exercises/31_attention.ipynb": sheet, "notebooks/31_attention": first}
    extra["book/cheatsheets/03_transformers"] = "# Sheet\n\n```{cheatsheet} 3\n```\n"
    assert not build(tmp_path, **three(**extra))

    strip = strip_of(tmp_path, "31_attention")
    assert list(strip) == ["Reading", "Running", "Needs", "Leads to", "Slides", "To do"]
    assert strip["Reading"] == "about 1 min"
    assert strip["Running"] == "12 s when this page was made, at most 0.5 GB of memory"
    assert strip["Needs"] == "no other lesson"
    assert 'href="32_transformer.html"' in strip["Leads to"]
    assert "32 · The Transformer" in strip["Leads to"]
    assert 'href="33_bert.html"' in strip["Leads to"]
    assert strip["Slides"] == "S3.02–S3.16"
    assert "31_attention.ipynb" in strip["To do"]
    assert 'href="../book/cheatsheets/03_transformers.html"' in strip["To do"]

    strip = strip_of(tmp_path, "32_transformer")
    assert list(strip) == ["Reading", "Needs", "Leads to", "Slides", "To do"]
    assert 'href="31_attention.html"' in strip["Needs"]
    assert strip["Leads to"].startswith("It comes back in <a")
    assert "it helps to know <a" in strip_of(tmp_path, "33_bert")["Needs"]


def test_outcomes_become_boxes_to_tick(tmp_path: Path) -> None:
    assert not build(tmp_path, **{"notebooks/31_attention": LESSON, "book/lessons.yml": PLAN})
    page = html(tmp_path, "notebooks/31_attention")
    order = [page.index(f"<h2>{title}") for title in ("Check yourself", "What you can do now")]
    assert order == sorted(order)
    assert order[1] < page.index("<h2>Exercise")
    part = page[order[1] : page.index("<h2>Exercise")]
    assert 'data-mm-lesson="31_attention"' in part
    boxes = re.findall(
        r'<label class="mm-tick"><input type="checkbox" data-mm-tick="(\w{8})">', part
    )
    assert len(set(boxes)) == 2
    assert "<em>attention</em>" in part
    assert 'class="math' in part
    assert '<p class="mm-tick-count" role="status" hidden>' in part
    assert page.count('href="#what-you-can-do-now"') >= 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class: quiz", "class: note", "has no quiz: under 'Check yourself' stand admonitions"),
        ("**Right.**", "**Not this.**", "has 0 right answers, not one, to 'Question 1'"),
        ("**Not this.**", "**Right.**", "has 2 right answers, not one, to 'Question 1'"),
        ("- ", "", "has no list under 'What you will be able to do'"),
        ("## What you will be able to do", "## Aims", "has no list under 'What you will be able"),
    ],
)
def test_a_lesson_that_lacks_something_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = LESSON.replace(old, new)
    warnings = build(tmp_path, **{"notebooks/31_attention": text, "book/lessons.yml": PLAN})
    assert f"31_attention.md: WARNING: the lesson {said}" in warnings
    assert warnings.count("WARNING") == 1


def test_a_lesson_without_an_entry_is_refused(tmp_path: Path) -> None:
    warnings = build(tmp_path, **{"notebooks/31_attention": LESSON})
    assert "31_attention.md: WARNING: the lesson has no entry in book/lessons.yml" in warnings
    assert warnings.count("WARNING") == 1


@pytest.mark.notebook
def test_a_lesson_that_does_not_report_its_time_is_refused(tmp_path: Path) -> None:
    pages = {"notebooks/31_attention": LESSON, "book/lessons.yml": PLAN}
    warnings = build(tmp_path, execution="cache", **pages)
    assert "does not report its time: its last cell must say timer.report()" in warnings


def test_an_entry_without_a_lesson_is_refused(tmp_path: Path) -> None:
    pages = {"notebooks/31_attention": LESSON, "book/lessons.yml": PLAN + NEXT}
    assert "book/lessons.yml: there is no lesson 32_transformer" in build(tmp_path, **pages)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NEXT, "32_transformer needs 31, which is no earlier lesson"),
        (PLAN.replace("needs: []", "needs: [31]"), "31_attention needs 31, which is no earlier"),
        (PLAN.replace("helps: []", "helps: [99]"), "31_attention helps 99, which is no earlier"),
        (PLAN + LATER.replace("[32]", "[31]"), "33_bert names a lesson twice"),
        (PLAN + NEXT + PLAN.replace("n:", ":"), "31_attentio must not stand after 32_transformer"),
        (PLAN.replace(", helps: []", ""), "31_attention must have slides, needs and helps"),
        (PLAN.replace("S3.02–S3.16", "some"), "31_attention must name its slides"),
        (PLAN.replace("31_a", "a"), "attention is not the name of a lesson"),
    ],
)
def test_a_wrong_plan_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "lessons.yml").write_text(text, encoding="utf-8")
    _, problems = plans.read_plan(tmp_path / "lessons.yml")
    assert any(said in problem for problem in problems), problems


def test_the_plan_of_this_book_is_sound_and_complete() -> None:
    plan, problems = plans.read_plan(ROOT / plans.PLAN)
    assert not problems
    assert [entry.name for entry in plan.values()] == [lesson.stem for lesson in LESSONS]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda p: p.stem)
def test_the_plan_says_what_the_lesson_says(lesson: Path) -> None:
    """Its slides stand in "Where this sits", and lessons linked there are its neighbours."""
    plan, _ = plans.read_plan(ROOT / plans.PLAN)
    entry = plan[int(lesson.stem[:2])]
    said = prose(lesson).split("## Where this sits")[1].split("\n## ")[0]
    for slide in re.findall(r"S\d\.\d\d", entry.slides):
        assert slide in said, f"{slide} is not in 'Where this sits'"
    for other in {int(n) for n in re.findall(r"\]\((\d\d)_\w+\.md\)", said)}:
        early, late = sorted((entry.number, other))
        known = plan[late].needs + plan[late].helps
        assert early in known, f"{plan[late].name} must name {early} in book/lessons.yml"


def test_a_cheat_sheet_joins_equations_and_functions(tmp_path: Path) -> None:
    lesson = LESSON.replace("## The maths\n\nSome words about it.\n", CODE)
    sheet = "# Sheet\n\n```{cheatsheet} 3\n```\n"
    pages = {"notebooks/31_attention": lesson, "book/lessons.yml": PLAN, "sheet": sheet}
    assert not build(tmp_path, **pages)
    page = html(tmp_path, "sheet")
    page = page[page.index("<h1") :]
    assert 'href="notebooks/31_attention.html">31 · Attention</a>' in page
    assert "Slides S3.02–S3.16." in page
    rows = re.split(r'<div class="[^"]*mm-cheat(?: [^"]*)?">', page)[1:]
    assert len(rows) == 2, "three equations belong to two cells in a row"
    assert re.findall(r"\\\[(.*?)\\\]", rows[1]) == ["k = l"]
    assert "join" in rows[1]
    assert page.count(">One formula</a>") == 1, "the second row stands under the same heading"
    assert re.findall(r"\\\[(.*?)\\\]", rows[0]) == ["c = d", "e = f", "g = h"]
    for name in ("attention", "Heads.forward", "split"):
        assert f">{name}</span>" in rows[0]
    assert "_private" not in page
    assert "a = b" not in page, "code came between it and the functions"
    assert "i = j" not in page, "it stands in a note"
    assert "mmcourse.transformers" in page
    others = page[page.index("Also shown") :]
    assert "causal_mask" in others
    assert 'href="notebooks/31_attention.html#masks"' in others
    target = re.search(r'href="notebooks/31_attention.html#(eq-1)">One formula</a>', page)
    assert target
    assert f'id="{target[1]}"' in html(tmp_path, "notebooks/31_attention")
    assert "tex-svg.js" in page or "mathjax" in html(tmp_path, "sheet").lower()


def test_words_are_counted_without_code_and_formulas() -> None:
    from docutils import nodes

    text = nodes.paragraph("", "Four words and one ", nodes.math("", "x + y"))
    code = nodes.container("", nodes.paragraph("", "not these"), nb_element="cell_code")
    both = nodes.section("", text, nodes.literal_block("", "nor this"), code)
    assert lessons.count_words(both) == 4
