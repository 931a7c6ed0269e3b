"""Prompt box: what it draws, what it says when it cannot, and how it stands without a kernel."""

import io
from typing import Any

import numpy as np
import pytest
from browser import violations
from helpers import rejects
from live_models import disc_story, telling
from PIL import Image
from playwright.sync_api import expect
from widgets_page import PICTURES, box, draw_discs, scene

from mmcourse.widgets import PromptBox

# ---- in Python ----


def shown(made: PromptBox) -> np.ndarray:
    """The pictures that the page gets, side by side."""
    return np.asarray(Image.open(io.BytesIO(made.data)).convert("RGB")).astype(int)


def wanted(prompt: str, seed: int) -> np.ndarray:
    pictures = np.concatenate(list(draw_discs(prompt, seed, lambda _: None)), axis=-1)
    return (np.moveaxis(pictures, 0, -1) + 1) * 127.5


def test_it_draws_at_once_and_when_asked() -> None:
    made = box()
    asked = [("disc", 0), ("hole", 3), ("disc", 3), ("hole", 0)]
    gaps = [np.abs(shown(made) - wanted(*one)).mean() for one in asked]
    assert 1.5 * gaps[0] < min(gaps[1:]), "small pictures lose some colour in the file"
    made.ask("hole", 3)
    gaps = [np.abs(shown(made) - wanted(*one)).mean() for one in asked]
    assert 1.5 * gaps[1] < min(gaps[:1] + gaps[2:])
    assert made.alt == "“hole”: 2 pictures from seed 3."
    assert made.png()[:4] == b"\x89PNG"


def test_the_page_sees_every_step() -> None:
    made = box()
    seen: list[tuple[str, float]] = []
    made.observe(lambda change: seen.append((made.prompt, shown(made).std())), "data")
    made.ask("hole")
    assert [prompt for prompt, _ in seen] == ["hole", "hole"]
    assert seen[0][1] < 0.5 * seen[1][1], "first the fainter one"


def test_what_cannot_be_drawn_is_told_and_the_pictures_stay() -> None:
    made = box()
    before = made.data
    answer, buffers = made.draw({"prompt": "dragon", "seed": 1}, [])
    assert answer == {"problem": "unknown word 'dragon'; the nearest known: disc, hole"}
    assert buffers == []
    assert (made.data, made.prompt, made.seed) == (before, "disc", 0)
    assert made.draw({"prompt": "disc", "seed": 2}, []) == ({"problem": ""}, [])
    assert made.seed == 2


def test_a_question_draws_nothing() -> None:
    made = box()
    before = made.data
    assert made.draw({}, []) == ({"problem": ""}, [])
    assert made.data is before


def test_a_story_comes_in_two_buffers() -> None:
    made = telling()
    said, buffers = made.draw({"prompt": "hole", "seed": 1, "steps": 3}, [])
    sizes = {"pictures": [3, 3, 16, 16], "maps": [3, 4, 4, 2], "words": ["hole", "there"]}
    assert said == {"problem": "", **sizes}
    story = disc_story("hole", 1, steps=3)
    seen = np.frombuffer(buffers[0], dtype=np.uint8).reshape(3, 3, 16, 16)
    assert np.abs(seen - (story.pictures.numpy() + 1) * 127.5).max() <= 0.5
    maps = np.frombuffer(buffers[1], dtype="<f4").reshape(3, 4, 4, 2)
    assert np.array_equal(maps, story.maps.numpy())
    said, buffers = made.draw({"prompt": "dragon", "seed": 1}, [])
    assert said == {"problem": "unknown word 'dragon'; the nearest known: disc, hole"}
    assert buffers == []


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (scene(8), "count, channels, height, width"),
        (scene(8)[None, :1], "at most 16 with 3 channels"),
        (np.stack([scene(8)] * 17), "at most 16 with 3 channels"),
        (scene(8)[None] * np.nan, "finite"),
    ],
)
def test_pictures_that_are_none_are_refused(pictures: Any, message: str) -> None:
    with rejects(message):
        PromptBox(lambda prompt, seed, tell, **_: pictures, "disc")


def test_a_first_prompt_that_cannot_be_drawn_is_refused() -> None:
    with rejects("unknown word 'dragon'"):
        PromptBox(draw_discs, "dragon")


# ---- without a kernel ----


@pytest.mark.browser
@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 1280), ("dark", 320)])
def test_it_stands_there_and_says_where_it_is_alive(show, theme: str, width: int) -> None:
    with show(box, theme, width=width) as widget:
        expect(widget.locator(".mm-summary")).to_have_text("“disc”: 2 pictures from seed 0.")
        expect(widget.locator(".mm-hint")).to_contain_text("open the lesson in JupyterLab")
        expect(widget.get_by_role("textbox")).to_be_disabled()
        expect(widget.get_by_role("button", name="Draw")).to_be_disabled()
        assert len(widget.evaluate(PICTURES)) == 2
        assert violations(widget.page, "main") == []
        assert widget.evaluate("document.documentElement.scrollWidth") <= width
