"""Figures carry their alternative text; listings are the real source."""

import base64
import io

import numpy as np
import pytest
import torch
from helpers import rejects
from PIL import Image

from mmcourse import plots, weights


@pytest.fixture
def displayed(monkeypatch) -> list:
    """What a cell would have displayed."""
    seen: list = []
    monkeypatch.setattr("IPython.display.display", lambda thing: seen.append(thing))
    return seen


def test_show_puts_the_alternative_text_on_the_picture(displayed) -> None:
    figure, axes = plots.new_figure(4, 2)
    plots.line(axes, [0, 1], torch.tensor([0.0, 1.0]), "a <line>")
    plots.show(figure, 'A line that rises from "0" to 1')
    data, metadata = displayed[0]._repr_mimebundle_()
    assert 'alt="A line that rises from &quot;0&quot; to 1"' in data["text/html"]
    assert metadata["image/png"]["alt"].startswith("A line")
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.size == (640, 320)


def test_a_figure_without_a_description_is_refused() -> None:
    figure, _ = plots.new_figure()
    with rejects("alt must say in a sentence"):
        plots.show(figure, "figure.png")


def test_image_grid_draws_every_picture_once() -> None:
    images = torch.linspace(-1, 1, 5).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    figure = plots.image_grid(images, columns=3, titles=list("abcde"))
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(drawn) == 5
    np.testing.assert_allclose([picture.mean() for picture in drawn], np.linspace(0, 1, 5))
    with rejects(r"images must be .* got \(5, 2"):
        plots.image_grid(torch.zeros(5, 2, 4, 4))


def test_heat_map_prints_the_numbers() -> None:
    figure, axes = plots.new_figure()
    plots.heat_map(axes, [[0.25, 0.75]], ["q"], ["first", "second"], numbers=True)
    assert [text.get_text() for text in axes.texts] == ["0.25", "0.75"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["first", "second"]
    assert figure.axes == [axes]


def test_show_source_is_the_source_without_its_docstring(displayed) -> None:
    plots.show_source(weights.load_strict)
    text = displayed[0].data
    assert text.startswith("`mmcourse/weights.py`")
    assert "own = module.state_dict()" in text
    assert "Copy `tensors`" not in text
    compile(text.split("```python\n")[1].removesuffix("```"), "listing", "exec")


def test_show_table_escapes_and_marks_headers(displayed) -> None:
    plots.show_table([["<b>", 0.123456]], ["name", "value"], caption="A table")
    page = displayed[0].data
    assert '<th scope="col">name</th>' in page
    assert "&lt;b&gt;" in page
    assert "0.1235" in page
    assert 'aria-label="A table"' in page
    plots.show_table([["x", 1]], ["", "value", "unit"])
    assert 'aria-label="Table: value, unit"' in displayed[1].data


def test_lesson_timer_reports_time_memory_and_versions(capsys) -> None:
    plots.lesson_timer().report()
    assert torch.__version__ in capsys.readouterr().out
