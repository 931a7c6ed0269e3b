"""Pretext gallery: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, pretext

from mmcourse.widgets import PretextGallery
from mmcourse.widgets.pretext_gallery import _cut, _join

GOOD: dict[str, Any] = {
    "images": np.zeros((2, 3, 6, 6)),
    "turns": np.full((2, 4, 4), 0.25),
    "solved": np.full((2, 2, 2), 0.5),
    "orders": [[0, 1, 2, 3], [3, 2, 1, 0]],
    "names": ["a", "b"],
}

# ---- data and state ----


def test_pictures_and_guesses_are_kept_in_their_order() -> None:
    made = pretext()
    assert made.shape == [2, 3, 24, 24]
    assert len(made.data) == 2 * 3 * 24 * 24
    kept = np.frombuffer(made.guesses, "<f2")
    assert len(kept) == 2 * 16 + 2 * 24 * 24
    rows = kept[32:].reshape(2, 24, 24).astype(float)
    np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-2)
    np.testing.assert_allclose(rows, made._solved, atol=1e-3)


def test_it_says_what_is_seen() -> None:
    made = pretext(task=0, turn=3)
    best = made._turns[0, 3].argmax()
    says = ("upright", "turned by 90°", "turned by 180°", "turned by 270°")[best]
    assert made.alt.startswith(f"“disc on the left”, turned by 270°. The network says {says}, ")
    assert made.alt.endswith("Right." if best == 3 else "Wrong.")
    assert "“disc on the right”, its tiles in order 10." in pretext(task=1, picture=1, order=9).alt


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": np.zeros((2, 3, 6, 4))}, "images must be square"),
        ({"images": np.zeros((2, 3, 5, 5))}, "images must be square"),
        ({"turns": np.full((2, 4, 3), 1 / 3)}, r"turns must have shape \(2, 4, 4\)"),
        ({"turns": np.full((2, 4, 4), 0.3)}, "sum to 1"),
        ({"solved": np.full((2, 3, 3), 1 / 3)}, r"solved must have shape \(2, 2, 2\)"),
        ({"orders": [[0, 1, 2, 3], [3, 2, 1, 1]]}, "must hold 0 … 3 once"),
        ({"orders": [[0, 1, 2], [2, 1, 0]]}, "square number of tiles"),
        ({"names": ["a"]}, "names must be 2, got 1"),
        ({"margin": 1}, "margin must be even"),
        ({"margin": 4}, "less than a tile"),
        ({"order": 2}, "order must be a whole number from 0 to 1"),
        ({"presets": [{"name": "x", "turn": 4}]}, "turn must be a whole number from 0 to 3"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        PretextGallery(**{**GOOD, **options})


# ---- the page against Python ----


def test_the_page_turns_and_shuffles_alike(run) -> None:
    image = np.random.default_rng(0).integers(0, 256, size=(3, 6, 6), dtype=np.uint8)
    flat = image.ravel().tolist()
    for turns in range(-3, 5):
        got = run(f"Array.from(m.turned(x, [3, 6, 6], {turns}))", flat, widget="pretext_gallery")
        np.testing.assert_array_equal(np.reshape(got, image.shape), np.rot90(image, turns, (1, 2)))
    for margin in (0, 2):
        code = f"m.cut(x, [3, 6, 6], 2, {margin}).map((t) => Array.from(t))"
        got = run(code, flat, widget="pretext_gallery")
        np.testing.assert_array_equal(got, _cut(image, 4, margin).reshape(4, -1))
    code = "Array.from(m.joined(m.cut(x, [3, 6, 6], 3, 0), 3, 3))"
    got = np.reshape(run(code, flat, widget="pretext_gallery"), (3, 12, 12))
    ours = _join(_cut(image / 127.5 - 1, 9, 0))
    np.testing.assert_allclose(got / 127.5 - 1, ours, atol=0.01)


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({"turn": 2}, {"task": 1, "order": 5, "picture": 1}, {"picture": 1}):
        made = pretext(**state)
        shares, truth, words = made._now()
        best = int(shares.argmax())
        given = [made.names[made.picture], made.task, truth, best]
        given += [float(np.float16(shares[best])), words]
        assert run("m.sentence(...x)", given, widget="pretext_gallery") == made._describe()


# ---- on a page ----


@pytest.mark.browser
def test_turning_changes_the_question_and_the_tasks_have_their_own_slider(show) -> None:
    with show(pretext) as widget:
        expect(widget.get_by_label("Order", exact=True)).to_be_hidden()
        expect(widget.locator(".mm-answers li")).to_have_count(4)

        def turn() -> None:
            widget.get_by_label("Turn", exact=True).focus()
            widget.page.keyboard.press("ArrowRight")

        changes(widget, turn)
        expect(widget.locator(".mm-summary")).to_contain_text("“disc on the left”, turned by 90°.")
        expect(widget.locator(".mm-answers .mm-right")).to_contain_text("✓ turned by 90°")
        widget.get_by_role("button", name="Shuffled").click()
        expect(widget.get_by_label("Turn", exact=True)).to_be_hidden()
        expect(widget.locator(".mm-answers li")).to_have_count(5)
        expect(widget.locator(".mm-summary")).to_contain_text(
            "“disc on the right”, its tiles in order 10."
        )
        assert widget.locator("canvas:visible").count() == 2
