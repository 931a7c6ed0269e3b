"""Every lesson has the shape of the house, and one step of its gpu preset runs here."""

import ast
import re
from pathlib import Path

import pytest
import torch
from lessons import HEADINGS, LESSONS, SHEETS, admonitions, code_cells, prose

pytestmark = pytest.mark.parametrize("lesson", LESSONS, ids=lambda p: p.stem)


def test_there_is_a_sheet_for_it(lesson: Path) -> None:
    assert lesson.stem in {sheet.stem for sheet in SHEETS}


def test_sections_come_in_order(lesson: Path) -> None:
    text = prose(lesson)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert re.search(rf"^# {lesson.stem[:2]} · ", text, re.MULTILINE)


def test_code_fits_a_printed_page(lesson: Path) -> None:
    for source, _ in code_cells(lesson):
        wide = [line for line in source.split("\n") if len(line) > 79]
        assert not wide, wide


def test_every_figure_has_alternative_text(lesson: Path) -> None:
    """Figures go through plots.show, which demands alt text; nothing is drawn beside it."""
    for source, _ in code_cells(lesson):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "show":
                names = [keyword.arg for keyword in node.keywords]
                assert len(node.args) == 2 or "alt" in names, ast.unparse(node)
            assert getattr(node, "attr", None) not in {"savefig", "imshow_figure"}
        assert "plt.show" not in source


def test_it_times_itself_and_shows_real_source(lesson: Path) -> None:
    cells = [source for source, _ in code_cells(lesson)]
    assert "lesson_timer()" in cells[0]
    assert cells[-1].strip().endswith("timer.report()")
    assert any("show_source(" in source for source in cells)
    assert any(word in "\n".join(cells) for word in ("train(", "fit("))


def test_quiz_has_exactly_one_right_answer_each(lesson: Path) -> None:
    questions = admonitions(prose(lesson), "quiz")
    assert len(questions) == 3
    for question in questions:
        right, wrong = question.count("**Right.**"), question.count("**Not this.**")
        assert right == 1, question[:80]
        assert wrong >= 2, question[:80]
        assert right + wrong == question.count("{dropdown}")


def test_errata_say_what_is_right_and_where_from(lesson: Path) -> None:
    notes = admonitions(prose(lesson), "erratum")
    assert notes
    names = [re.search(r"^:name: (e\d-\d\d)$", note, re.MULTILINE) for note in notes]
    assert all(names)
    assert len({name.group(1) for name in names if name}) == len(notes)
    for note in notes:
        for part in ("**The slide says**", "**What is right**", "**Source**"):
            assert part in note, note[:80]


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
            exec(compile(source, f"{lesson.stem}, cell {index}", "exec"), names)
        if "preset" in tags:
            large, small = names["preset"]("gpu"), names["preset"]("cpu")
            assert large.keys() == small.keys()
            assert large != small
            names["settings"] = {**large, "steps": 1}
