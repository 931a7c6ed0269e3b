"""Trace viewer: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, traces

from mmcourse.trends import TENNIS, Concept, scripted_parts, see_think_confirm
from mmcourse.widgets import TraceViewer

TRACE = see_think_confirm("any", TENNIS.question, scripted_parts(TENNIS))
CASE: dict[str, Any] = {"name": "Tennis", "trace": TRACE, "truth": "ball"}
BOXED = TRACE._replace(concepts=(Concept("ball", 0.9, (0, 0, 4, 4)),), rounds=())
PICTURES = np.zeros((1, 3, 8, 8))

# ---- data and state ----


def test_it_reads_a_trace_step_by_step() -> None:
    made = TraceViewer([CASE])
    start = "Tennis: What is the fence meant to block? "
    assert made.alt.startswith(f"{start}Seen: {TENNIS.caption} Found: fence, ball, car,")
    for step, words in (
        (1, "Round 1 of 2, attend: ball."),
        (2, "Round 1 of 2, describe: Someone has a tennis racket and is about to hit a ball."),
        (3, "Round 1 of 2, predict: ball."),
        (4, "Round 1 of 2, confirm: The fence is meant to block the ball. Kept, score 1.00."),
        (5, "Round 2 of 2, attend: tennis court."),
        (9, "Answer, rounds: 2. ball, confirmed, right. It ended: the answer equals the one "
            "before."),
    ):  # fmt: skip
        made.step = step
        assert made._describe() == start + words
    assert made.png()[:4] == b"\x89PNG"
    assert made.data == b""


def test_refused_unchecked_wrong_and_empty() -> None:
    late = TENNIS._replace(attention=(7, 1))
    refused = see_think_confirm("any", late.question, scripted_parts(late))
    made = TraceViewer([{**CASE, "trace": refused, "truth": "dogs"}], step=4)
    assert made.alt.endswith("The fence is meant to block cars. Refused, score -1.00.")
    made.step = 13
    assert made._describe().endswith(
        "ball, confirmed, people say dogs. It ended: the answer equals the one before."
    )
    free = scripted_parts(TENNIS)._replace(verify=None)
    unchecked = see_think_confirm("any", TENNIS.question, free)
    made = TraceViewer([{**CASE, "trace": unchecked}], step=4)
    assert made.alt.endswith("Kept, not checked.")
    nothing = see_think_confirm("any", "Why?", free._replace(detect=lambda image: []))
    made = TraceViewer([{**CASE, "trace": nothing}], step=1)
    assert "none, not confirmed" in made.alt
    made.step = 0
    assert made._describe().endswith("Found: nothing.")


def test_a_shorter_case_is_read_to_its_end() -> None:
    made = traces(case=0, step=13)
    made.case = 2
    assert "Answer, rounds: 2." in made._describe()


def test_two_concepts_of_one_name_stay_two() -> None:
    made = traces()
    assert [turn["attended"] for turn in made.cases[0]["rounds"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("cases", "options", "message"),
    [
        ([], {}, "need at least one case"),
        ([{**CASE, "picture": 0}], {}, "picture must be a place from 0 to -1, got 0"),
        ([{**CASE, "picture": 1}], {"pictures": PICTURES}, "picture must be a place from 0 to 0"),
        ([{**CASE, "picture": 0}], {"pictures": PICTURES}, r"a box is \(left, top, right, bottom"),
        ([CASE], {"pictures": PICTURES[:, :1]}, "pictures must have 3 channels, got 1"),
        ([CASE], {"case": 1}, "case must be a whole number from 0 to 0"),
        ([CASE], {"step": 10}, "step must be a whole number from 0 to 9"),
        ([CASE], {"presets": [{"name": "x", "case": 0, "step": 10}]}, "step must be"),
        ([CASE], {"presets": [{"name": "x", "round": 1}]}, "a preset has a name"),
    ],
)
def test_what_does_not_fit_is_refused(cases: Any, options: dict[str, Any], message: str) -> None:
    with rejects(message):
        TraceViewer(cases, **options)


def test_a_score_that_is_no_number_is_refused() -> None:
    model = scripted_parts(TENNIS)._replace(verify=lambda image, sentence: float("nan"))
    trace = see_think_confirm("any", TENNIS.question, model)
    with rejects("scores must be finite"):
        TraceViewer([{**CASE, "trace": trace}])


def test_boxes_travel_with_the_picture() -> None:
    made = TraceViewer([{**CASE, "trace": BOXED, "picture": 0}, CASE], PICTURES)
    assert [one["boxes"] for one in made.cases] == [[[0, 0, 4, 4]], []]
    assert made.data[:4] == b"RIFF"


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    made = traces()
    for case, one in enumerate(made.cases):
        for step in range(2 + 4 * len(one["rounds"])):
            made.case, made.step = case, step
            said = run("m.sentence(...x)", [one, step], widget="trace_viewer")
            assert said == made._describe()


def test_what_was_told_is_the_loops_own_context(run) -> None:
    made = traces()
    for one in made.cases:
        for i, turn in enumerate(one["rounds"]):
            told = run("m.context(...x)", [one, 3 + 4 * i], widget="trace_viewer")
            assert [text for text, _ in told] == turn["context"]


def test_what_was_looked_at(run) -> None:
    one = traces().cases[0]
    looks = run("m.looks(...x)", [one, 6], widget="trace_viewer")
    assert looks == [{"round": 1, "now": False}, {"round": 2, "now": True}, None]


# ---- on a page ----


@pytest.mark.browser
def test_steps_open_one_after_another(show) -> None:
    with show(traces) as widget:
        said = widget.locator(".mm-summary")
        expect(said).to_have_text(traces().alt)
        expect(widget.locator(".mm-steps .mm-now b")).to_have_text("2 describe")
        expect(widget.locator(".mm-told li")).to_have_count(3)
        changes(widget, lambda: widget.get_by_label("Step", exact=True).press("End"))
        expect(widget.locator(".mm-steps .mm-later")).to_have_count(0)
        expect(widget.locator(".mm-told .mm-own")).to_have_count(2)
        expect(widget.locator(".mm-found .mm-seen")).to_have_count(3)


@pytest.mark.browser
def test_a_case_without_a_picture_and_a_click_on_the_map(show) -> None:
    with show(traces) as widget:
        changes(widget, lambda: widget.get_by_label("Case", exact=True).select_option(index=2))
        expect(widget.locator(".mm-scene")).to_have_count(0)
        expect(widget.locator(".mm-summary")).to_have_text(traces(case=2, step=9).alt)
        changes(widget, widget.locator(".mm-cell").first.click)
        expect(widget.locator(".mm-summary")).to_have_text(traces(case=2, step=0).alt)
