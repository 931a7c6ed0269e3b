"""The ledger: on tiny projects, and that the package has no gap in it."""

import dataclasses
import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
from tiny_book import OUTCOMES, QUIZ, build, html, plan

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

sources = importlib.import_module("mmcourse_sources")

CODE = '''"""Waves."""

from torch import Tensor


def wave(x: Tensor) -> Tensor:
    """Up and down; see `hill`.

    wave(x) = sin(x)

    Args:
        x: numbers = angles.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.5.
    """
    return x.sin()


def hill(x: Tensor) -> Tensor:
    """Up, and *only* up."""
    return wave(x)


def deep(x: Tensor) -> Tensor:
    """Wave of a wave.

    Source: as `wave`.
    """
    return hill(wave(x))
'''
TEST = '''"""Waves against nothing."""

import torch

from mmcourse.transformers import hill, wave


def some():
    return wave(torch.zeros(3))


def test_starts_at_zero():
    assert (some() == 0).all()


def test_hill():
    hill(torch.zeros(1))


def test_something_else():
    assert torch.zeros(1) == 0
'''
WITHOUT_HILL = TEST.replace("import hill, wave", "import deep, wave").replace("hill(t", "deep(t")
INIT = "from mmcourse.transformers.waves import deep, hill, wave\n"
LESSON = (
    """---
orphan: true
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
# 31 · Waves

```{code-cell} ipython3
:tags: [hide-input]

from mmcourse.transformers import wave
show_source(wave)
```
"""
    + OUTCOMES
    + QUIZ
)


def small_project(folder: Path, code: str = CODE, test: str = TEST) -> str:
    """A chapter of one module, its test and its lesson; the warnings of the ledger's build."""
    files = {
        "mmcourse/transformers/__init__.py": INIT,
        "mmcourse/transformers/waves.py": code,
        "tests/transformers/test_waves.py": test,
        "notebooks/31_waves.md": LESSON,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    pages = {"ledger": "# Ledger\n\n```{ledger}\n```\n", "book/lessons.yml": plan("31_waves")}
    return build(folder, **pages)


def test_the_ledger_names_source_code_lesson_and_tests(tmp_path: Path) -> None:
    test = (
        TEST + "\n\ndef test_deep():\n    from mmcourse.transformers import deep\n\n    deep(1)\n"
    )
    assert small_project(tmp_path, test=test) == ""
    page = html(tmp_path, "ledger")
    assert 'href="https://arxiv.org/abs/1706.03762"' in page
    assert "<p>wave(x) = sin(x)</p>" in page
    assert "numbers = angles" not in page
    assert "mmcourse/transformers/waves.py" in page
    assert 'href="notebooks/31_waves.html"' in page
    assert "test_starts_at_zero" in page  # through the helper in its file
    assert "test_something_else" not in page
    assert 'href="#ledger-transformers-hill"' in page
    assert "<em>only</em>" in page
    assert page.index("Chapter 3 · Transformers") < page.index("without an equation of their own")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.5.\n",
            "",
            "mmcourse.transformers.waves.wave: its docstring has an equation and no "
            "'Source: paper, equation'",
        ),
        (
            "return hill(wave(x))",
            "return x",
            "mmcourse.transformers.waves.hill: no test in tests/ imports it, nor anything that "
            "is built on it",
        ),
    ],
)
def test_gaps_of_the_ledger_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in CODE
    assert said in small_project(tmp_path, CODE.replace(old, new), WITHOUT_HILL)


def test_what_has_no_test_is_proved_by_what_is_built_on_it(tmp_path: Path) -> None:
    assert small_project(tmp_path, test=WITHOUT_HILL) == ""
    assert "1 test of deep, which is built on it" in html(tmp_path, "ledger")


@pytest.fixture(scope="module")
def entries() -> dict:
    return {(e.chapter, e.name): e for e in sources.Book(ROOT).entries()}


def test_the_package_has_no_gap(entries: dict) -> None:
    assert not [problem for e in entries.values() if (problem := e.problem())]
    assert len(entries) > 250


def test_an_entry_as_one_would_write_it(entries: dict) -> None:
    entry = entries["transformers", "scaled_dot_product_attention"]
    assert entry.source == "Vaswani et al. 2017, arXiv:1706.03762, eq. 1."
    assert entry.equation.startswith("softmax(q kᵀ / √d) v")
    assert "31_attention" in entry.shown
    assert "test_equals_a_plain_loop" in entry.tests["tests/transformers/test_attention.py"]
    assert list(entries["multimodal", "beam_search"].tests) == [
        "tests/multimodal/test_decoding.py"
    ]  # imported there from a chapter that only passes it on


@pytest.mark.parametrize("chapter", sources.CHAPTERS)
def test_whatever_a_chapter_exports_is_in_the_ledger(chapter: str, entries: dict) -> None:
    """Seen from the other side: the imported module, not the syntax tree."""
    module = importlib.import_module(f"mmcourse.{chapter}")
    for name in module.__all__:
        thing = getattr(module, name)
        home = getattr(thing, "__module__", "").split(".")[1:2]
        record = inspect.isclass(thing) and (
            issubclass(thing, tuple)
            or dataclasses.is_dataclass(thing)
            or getattr(thing, "_is_protocol", False)
        )
        if home == [chapter] and (inspect.isclass(thing) or inspect.isfunction(thing)):
            assert record or (chapter, name) in entries, name


def test_papers_are_written_so_that_they_become_links(entries: dict) -> None:
    for entry in entries.values():
        written = re.findall(r"arxiv:?\s*\d[\d.]*\d", entry.source, re.IGNORECASE)
        assert written == re.findall(r"arXiv:\d{4}\.\d{4,5}", entry.source), entry.source


def test_the_page_lists_every_entry(book: Path, entries: dict) -> None:
    page = (book / "book" / "ledger.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<dt id="ledger-(\w+-\w+)"', page)) == {
        f"{chapter}-{name}" for chapter, name in entries
    }
