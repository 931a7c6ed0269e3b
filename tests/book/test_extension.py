"""The book's extension on tiny books: what it collects, and that it refuses what is wrong."""

import importlib
import sys
from pathlib import Path

import pytest
from tiny_book import LESSON, PLAN, build, html

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

mmcourse_book = importlib.import_module("mmcourse_book")
mmcourse_pages = importlib.import_module("mmcourse_pages")
mmcourse_style = importlib.import_module("mmcourse_style")

GOOD = """:::{{admonition}} S7.10 · The cosine is missing its square
:class: erratum
:name: {name}
**The slide says** one thing.

**What is right** another.

**Source** a paper.
:::
"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63"
    "64f8cf50070003860180b4f1c3a20000000049454e44ae426082"
)


def test_corrections_reach_their_page(tmp_path: Path) -> None:
    lesson = "# 71 · Forward\n\n" + GOOD.format(name="e7-01") + "\nSee {ref}`e7-01`.\n"
    said = build(tmp_path, lesson=lesson, errata="# Errata\n\n```{errata-list} 7\n```\n")
    assert not said
    page = html(tmp_path, "errata")
    assert 'id="list-e7-01"' in page
    assert 'href="lesson.html#e7-01"' in page
    assert page.count("The cosine is missing its square") == 1
    assert 'id="e7-01"' in html(tmp_path, "lesson")
    assert "The cosine is missing its square</span></a>" in html(tmp_path, "lesson")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (":name: e7-01\n", "", "must have a name such as e7-01"),
        (":name: e7-01\n", ":name: wrong\n", "must have a name such as e7-01, got 'wrong'"),
        ("S7.10 · The", "The", "must have a title such as"),
        ("**Source** a paper.", "", "lacks **Source**"),
        ("**What is right** another.", "Another.", "lacks **What is right**"),
    ],
)
def test_incomplete_corrections_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = GOOD.format(name="e7-01").replace(old, new)
    page = "# Errata\n\n```{errata-list} 7\n```\n"
    assert said in build(tmp_path, lesson=f"# Lesson\n\n{text}", errata=page)


def test_two_corrections_cannot_share_a_name(tmp_path: Path) -> None:
    text = GOOD.format(name="e7-01")
    page = "# Errata\n\n```{errata-list} 7\n```\n"
    said = build(tmp_path, a=f"# A\n\n{text}", b=f"# B\n\n{text}", errata=page)
    assert "has the name of a correction in a" in said


def test_a_correction_needs_its_list(tmp_path: Path) -> None:
    said = build(tmp_path, lesson="# Lesson\n\n" + GOOD.format(name="e7-01"))
    assert "no page says {errata-list} 7" in said


@pytest.mark.parametrize("alt", ["", "picture.png", "_images/x.png"])
def test_pictures_without_words_are_refused(tmp_path: Path, alt: str) -> None:
    (tmp_path / "picture.png").write_bytes(PNG)
    said = build(tmp_path, lesson=f"# Lesson\n\n![{alt}](picture.png)\n")
    assert "a picture has" in said


def test_pictures_with_words_are_welcome(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(PNG)
    assert not build(tmp_path, lesson="# Lesson\n\n![One grey pixel](picture.png)\n")


def test_pictures_in_raw_html_are_read_too(tmp_path: Path) -> None:
    said = build(tmp_path, lesson='# Lesson\n\n<p><img src="data:image/png;base64,AA=="></p>\n')
    assert "a picture has no alternative text" in said


def test_exercise_sheets_are_downloads(tmp_path: Path) -> None:
    (tmp_path / "sheet.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4}')
    assert not build(tmp_path, lesson="# Lesson\n\n[Exercise sheet](sheet.ipynb)\n")
    assert "download" in html(tmp_path, "lesson")
    assert list((tmp_path / "_build" / "html" / "_downloads").rglob("sheet.ipynb"))


def test_lessons_link_only_what_exists(tmp_path: Path) -> None:
    rows = "31_attention | Attention | words\n32_later | Later | more words\n"
    pages = {"chapter": f"# Chapter\n\n```{{lessons}}\n{rows}```\n"}
    pages |= {"notebooks/31_attention": LESSON, "book/lessons.yml": PLAN}
    assert not build(tmp_path, **pages)
    page = html(tmp_path, "chapter")
    assert 'href="notebooks/31_attention.html"' in page
    assert "32_later" not in page
    assert "in preparation" in page


def test_road_map_links_only_what_exists(tmp_path: Path) -> None:
    assert not build(tmp_path, start="# Start\n\n```{roadmap}\n```\n")
    page = html(tmp_path, "start")
    assert page.count("mm-later") == 7
    assert "<svg" in page
    assert "The road map in words" in page
    for section in mmcourse_pages.SECTIONS:
        assert page.count(section.title) == 2  # in the picture and in words
        assert all(len(line) <= 46 for line in section.gist)


def test_a_changed_source_changes_the_cache(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = mmcourse_book.source_hash(tmp_path)
    (tmp_path / "notes.txt").write_text("not code")
    assert mmcourse_book.source_hash(tmp_path) == first
    for name, text in (("a.py", "x = 2\n"), ("b.js", "1"), ("c.css", "p {}")):
        (tmp_path / name).write_text(text)
        second = mmcourse_book.source_hash(tmp_path)
        assert second != first
        first = second


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("<p>attention (어텐션)</p>", '<p>attention (<span lang="ko">어텐션</span>)</p>'),
        ("<p>교차 어텐션.</p>", '<p><span lang="ko">교차 어텐션</span>.</p>'),
        (
            "<script>'어'</script><p>어</p>",
            "<script>'어'</script><p><span lang=\"ko\">어</span></p>",
        ),
        ('<a title="어">x</a>', '<a title="어">x</a>'),
        ('<span class="math">\\text{어}</span>', '<span class="math">\\text{어}</span>'),
    ],
)
def test_korean_words_carry_their_language(given: str, expected: str) -> None:
    assert mmcourse_book.mark_korean(given) == expected


def test_file_names_are_told_from_descriptions() -> None:
    for alt in (None, "", "  ", "figure 3", "output_12.png", "../_images/ab12.png", "image"):
        assert mmcourse_style.alt_problem(alt), alt
    for alt in ("Two falling curves", "A figure of two curves, drawn from image 3"):
        assert mmcourse_style.alt_problem(alt) is None


NOTEBOOK = """---
jupytext: {{text_representation: {{extension: .md, format_name: myst}}}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
---

# {name}

```{{code-cell}} ipython3
import pathlib, time
pathlib.Path("{name}.here").touch()
while not pathlib.Path("{other}.here").exists():
    time.sleep(0.05)
with open("runs.txt", "a") as file:
    print("{name}", file=file)
print("both are here")
```
"""


@pytest.mark.notebook
def test_lessons_run_at_once_and_only_once(tmp_path: Path, monkeypatch) -> None:
    """Each of two lessons waits for the other: one after the other they would wait for ever."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    first = NOTEBOOK.format(name="first", other="second")
    second = NOTEBOOK.format(name="second", other="first")
    assert build(tmp_path, execution="cache", first=first, second=second) == ""
    assert sorted((tmp_path / "runs.txt").read_text().split()) == ["first", "second"]
    for name in ("first", "second"):
        assert "both are here" in (tmp_path / "_build" / "html" / f"{name}.html").read_text()


@pytest.mark.notebook
def test_a_lesson_that_fails_is_told(tmp_path: Path, monkeypatch) -> None:
    from myst_nb.core.execute import ExecutionError

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    bad = NOTEBOOK.format(name="bad", other="bad").replace("print(", "prind(")
    with pytest.raises(ExecutionError, match="bad"):
        build(tmp_path, execution="cache", bad=bad)
