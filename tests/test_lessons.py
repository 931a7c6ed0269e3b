"""Every lesson has the shape of the house, and one step of its gpu preset runs here."""

import ast
import re
from pathlib import Path

import pytest
import torch
from lessons import HEADINGS, LESSONS, ROOT, SHEETS, admonitions, code_cells, prose

# The pattern that CONTRIBUTING tells people to copy must itself be right.
PATTERN = ROOT / "tests" / "pattern_lesson.md"
every_lesson = pytest.mark.parametrize("lesson", [*LESSONS, PATTERN], ids=lambda p: p.stem)


def test_every_lesson_has_a_sheet() -> None:
    missing = {lesson.stem for lesson in LESSONS} - {sheet.stem for sheet in SHEETS}
    assert not missing, f"write solutions/<name>.md for {missing}"


def test_there_are_lessons() -> None:
    assert LESSONS


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda p: p.stem)
def test_it_is_listed_and_links_its_sheet(lesson: Path) -> None:
    """In its chapter's table and in the README, which also counts the lessons."""
    [chapter] = (ROOT / "book" / "chapters").glob(f"0{lesson.stem[0]}_*.md")
    assert f"\n{lesson.stem} |" in chapter.read_text(encoding="utf-8"), f"no row in {chapter.name}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"(notebooks/{lesson.name})" in readme
    assert f"all {len(LESSONS)} lessons" in readme
    exercise = prose(lesson).split("\n## Exercise")[1].split("\n## ")[0]
    assert f"{lesson.stem}.ipynb" in exercise, "the link under Exercise leads to its own sheet"


@every_lesson
def test_sections_come_in_order(lesson: Path) -> None:
    text = prose(lesson)
    number = "00" if lesson == PATTERN else lesson.stem[:2]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert f"\n# {number} · " in f"\n{text}", f"the title must begin '# {number} · '"


@every_lesson
def test_code_fits_a_printed_page(lesson: Path) -> None:
    for source, _ in code_cells(lesson):
        wide = [line for line in source.split("\n") if len(line) > 79]
        assert not wide, f"code lines of more than 79 columns: {wide}"


@every_lesson
def test_every_figure_has_alternative_text(lesson: Path) -> None:
    """Figures go through plots.show, which demands alt text; nothing is drawn beside it."""
    for source, _ in code_cells(lesson):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "show":
                names = [keyword.arg for keyword in node.keywords]
                assert len(node.args) == 2 or "alt" in names, ast.unparse(node)
            assert getattr(node, "attr", None) not in {"savefig", "imshow_figure"}
        assert "plt.show" not in source


@every_lesson
def test_it_times_itself_and_shows_real_source(lesson: Path) -> None:
    cells = [source for source, _ in code_cells(lesson)]
    assert "lesson_timer()" in cells[0]
    assert cells[-1].strip().endswith("timer.report()"), "the last cell says timer.report()"
    assert any("show_source(" in source for source in cells)
    assert any(word in "\n".join(cells) for word in ("train(", "fit("))


@every_lesson
def test_it_keeps_to_one_core(lesson: Path) -> None:
    """Lessons are run side by side: with two threads each they would wait for one another."""
    code = "\n".join(source for source, _ in code_cells(lesson))
    assert "torch.set_num_threads(1)" in code, "the first cell says torch.set_num_threads(1)"


@every_lesson
def test_quiz_has_exactly_one_right_answer_each(lesson: Path) -> None:
    questions = admonitions(prose(lesson), "quiz")
    assert len(questions) == 3
    for question in questions:
        right, wrong = question.count("**Right.**"), question.count("**Not this.**")
        assert right == 1, f"{right} answers begin **Right.**, one must: {question[:80]}"
        assert wrong >= 2, f"{wrong} answers begin **Not this.**, two must: {question[:80]}"
        assert right + wrong == question.count("{dropdown}")


@every_lesson
def test_errata_say_what_is_right_and_where_from(lesson: Path) -> None:
    notes = admonitions(prose(lesson), "erratum")
    assert notes or "The slides do not treat" in prose(lesson).replace("\n", " "), (
        "a lesson corrects at least one slide, or says 'The slides do not treat …'"
    )
    names = [re.search(r"^:name: (e\d-\d\d)$", note, re.MULTILINE) for note in notes]
    assert all(names)
    assert len({name.group(1) for name in names if name}) == len(notes)
    for note in notes:
        for part in ("**The slide says**", "**What is right**", "**Source**"):
            assert part in note, note[:80]


def test_no_erratum_is_named_twice() -> None:
    names = [
        name
        for lesson in LESSONS
        for name in re.findall(r"^:name: (e\d-\d\d)$", prose(lesson), re.MULTILINE)
    ]
    assert len(set(names)) == len(names), sorted(n for n in set(names) if names.count(n) > 1)


@every_lesson
def test_terms_and_citations_are_known(lesson: Path) -> None:
    glossary = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8").lower()
    sources = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    text = prose(lesson)
    for term in re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", text):
        assert f"\n{term.lower()}\n" in glossary, f"{term!r} is not in book/glossary.md"
    for keys in re.findall(r"\{cite:[tp]\}`([^`]+)`", text):
        for key in keys.split(","):
            assert f"{{{key.strip()}," in sources, f"{key!r} is not in book/references.bib"


@every_lesson
def test_there_is_something_to_explore(lesson: Path) -> None:
    found = any("from mmcourse.widgets import" in source for source, _ in code_cells(lesson))
    assert found, "no cell imports from mmcourse.widgets: 'Explore' shows a widget"


class _Tiny(torch.utils.data.Dataset):
    """Stands for any torchvision data set: 64 random pictures of the real size and form."""

    def __init__(self, channels: int, size: int) -> None:
        shape = (64, size, size) if channels == 1 else (64, size, size, channels)
        source = torch.Generator().manual_seed(0)
        self.data = torch.randint(0, 256, shape, dtype=torch.uint8, generator=source)
        self.targets = torch.arange(64) % 10
        if channels == 3:  # torchvision keeps CIFAR as a NumPy array and a list
            self.data, self.targets = self.data.numpy(), self.targets.tolist()

    def __len__(self) -> int:
        return 64


@every_lesson
def test_one_step_of_the_gpu_preset(lesson: Path, monkeypatch) -> None:
    """Runs the cells tagged setup, preset, model and train with the large numbers, one step."""
    monkeypatch.setattr("torchvision.datasets.MNIST", lambda *a, **k: _Tiny(1, 28))
    monkeypatch.setattr("torchvision.datasets.CIFAR10", lambda *a, **k: _Tiny(3, 32))
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: None)
    names: dict = {"__name__": "lesson"}
    cells = code_cells(lesson)
    assert {"preset", "model", "train"} <= set().union(*(tags for _, tags in cells))
    for index, (source, tags) in enumerate(cells):
        if index == 0 or tags & {"setup", "preset", "model", "train"}:
            try:
                exec(compile(source, f"{lesson.stem}, cell {index}", "exec"), names)
            except NameError as error:
                raise AssertionError(f"tag `setup` the cell that makes it: {error}") from error
        if "preset" in tags:
            large, small = names["preset"]("gpu"), names["preset"]("cpu")
            assert large.keys() == small.keys()
            assert large != small
            assert "steps" in large, "the preset's number of updates must be called 'steps'"
            names["settings"] = {**large, "steps": 1}
