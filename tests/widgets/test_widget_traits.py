"""What every widget carries, refuses and shows where nothing runs."""

import base64
import inspect
import io
from typing import Any

import pytest
from helpers import rejects
from PIL import Image
from widgets_page import LIVE, MAKERS

from mmcourse import widgets
from mmcourse.widgets.base import BUDGET, HERE, compose
from mmcourse.widgets.live import LiveWidget

every = pytest.mark.parametrize("make", MAKERS)


def test_every_widget_has_its_maker() -> None:
    made = [type(make()).__name__ for make in (*MAKERS, *LIVE)]
    assert sorted([*made, "CourseWidget"]) == sorted(widgets.__all__)


@pytest.mark.parametrize("make", [*MAKERS, *LIVE])
def test_a_widget_is_light(make: Any) -> None:
    widget = make()
    assert len(widget.data) <= BUDGET
    shared = compose("", "js") + compose("", "css")
    assert len(shared.encode()) <= 20_000, "the shared code stands in every widget of a page"
    limit = 46_000 if isinstance(widget, LiveWidget) else 36_000  # a live one has its desk, too
    assert len((widget._esm + widget._css).encode()) <= limit


@every
def test_still_picture_and_sentence(make: Any) -> None:
    widget = make()
    data, metadata = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    sentence = metadata["image/png"]["alt"]
    assert len(sentence.split()) > 8
    assert data["text/plain"] == sentence == widget.alt
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.format == "PNG"
    assert picture.convert("L").getextrema()[0] < 128, "something is drawn"


def test_every_javascript_file_has_its_class() -> None:
    parts = {
        "grid",
        "heat",
        "kit",
        "pictures",
        "player",
        "static_host",
        "veil",
        "model_host",
        "known_words",
    }
    parts |= {"next_words", "noise", "own_line", "own_sentence", "own_words", "wordpiece"}
    stems = {path.stem for path in HERE.glob("*.js")} - parts
    assert stems == {path.stem for path in HERE.glob("*.py")} - {"__init__", "base", "live"}


@every
def test_a_state_that_the_data_does_not_have_is_refused(make: Any) -> None:
    made = make()
    taken = inspect.signature(type(made)).parameters
    limits = {name: ends for name, ends in made._limits({}).items() if name in taken}
    assert limits
    for name, (low, high) in limits.items():
        for wrong in (low - 1, high + 1):
            with rejects(f"{name} must be .* got {wrong}"):
                make(**{name: wrong})


@every
def test_a_wrong_change_is_refused_and_undone(make: Any) -> None:
    widget = make()
    for name, (low, high) in widget._limits({}).items():
        before = getattr(widget, name)
        for wrong in (low - 1, high + 1):
            with rejects(f"{name} must be a whole number from {low} to {high}, got {wrong}"):
                setattr(widget, name, wrong)
            assert getattr(widget, name) == before


@every
def test_a_preset_has_a_name_and_controls_alone(make: Any) -> None:
    limits = make()._limits({})
    for name, (_, high) in limits.items():
        for preset in ({"name": "x", f"{name}s": 0}, {name: high}, {"name": "", name: high}):
            with rejects(f"a preset has a name and some of .*{next(iter(preset))}"):
                make(presets=[preset])
        for wrong in (high + 1, 0.5, 1.0, True):
            with rejects(f"{name} must be a whole number .* got {wrong}"):
                make(presets=[{"name": "x", name: wrong}])
