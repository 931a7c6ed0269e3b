"""Trace viewer: the See–Think–Confirm loop step by step, with what it looked at and was told."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, pixels, short
from mmcourse.widgets.prompt_grid import sheet

AXES = "pictures, channels, height, width"
STAGES = ("attend", "describe", "predict", "confirm")


class TraceViewer(CourseWidget):
    """Traces of questions, read one step after another.

    Step 0 is what was seen; then each round has four steps, attend, describe, predict and
    confirm; the last is the answer. Beside the steps stand the picture, if there is one, with the
    boxes that were found, and all that the language model has been told by then.

    Attributes:
        case: which trace, from 0 (shared with the page).
        step: how far it is read, from 0 (shared with the page).
    """

    _files = "trace_viewer"
    _controls = ("case", "step")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    cases = traitlets.List(traitlets.Dict()).tag(sync=True)
    case = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        pictures: Any = None,
        *,
        case: int = 0,
        step: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show traces.

        Args:
            cases: {"name": …, "trace": a `Trace` of the loop, "truth": the right answer, and,
                if there is one, "picture": its place in `pictures`}. Where a case has a picture,
                the boxes of its concepts are (left, top, right, bottom) in pixels.
            pictures: (pictures, 3, height, width), uint8 or floats in [-1, 1]; None for none.
            case, step: shown at first, counted from 0.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}. A
                preset that sets a step sets its case, too.
            caption: a sentence below.

        Raises:
            ValueError: no cases, or pictures, boxes or state that do not fit them.
        """
        self._pictures, size = None, [0, 0, 0]
        if pictures is not None:
            self._pictures = pixels(pictures, "pictures", AXES)
            count, channels, height, width = self._pictures.shape
            if channels != 3:
                raise ValueError(f"pictures must have 3 channels, got {channels}")
            size = [count, height, width]
        if not cases:
            raise ValueError("need at least one case, got none")
        super().__init__(
            data=b"" if self._pictures is None else sheet(self._pictures[None]),
            shape=size,
            cases=[_plain(one, size[0]) for one in cases],
            case=case,
            step=step,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        case = state.get("case", self.case)
        known = isinstance(case, int) and 0 <= case < len(self.cases)
        rounds = len(self.cases[case]["rounds"]) if known else 0
        return {"case": (0, len(self.cases) - 1), "step": (0, 1 + 4 * rounds)}

    def _describe(self) -> str:
        """The sentence of the page."""
        one = self.cases[self.case]
        start, rounds = f"{one['name']}: {one['question']}", one["rounds"]
        step = min(self.step, 1 + 4 * len(rounds))  # another case may be shorter
        if step == 0:
            names = ", ".join(name for name, _ in one["concepts"]) or "nothing"
            return f"{start} Seen: {one['caption']} Found: {names}."
        if step == 1 + 4 * len(rounds):
            sure = "confirmed" if one["confirmed"] else "not confirmed"
            verdict = "right" if one["answer"] == one["truth"] else f"people say {one['truth']}"
            return (
                f"{start} Answer, rounds: {len(rounds)}. {one['answer'] or 'none'}, {sure}, "
                f"{verdict}. It ended: {one['ended']}."
            )
        turn = rounds[(step - 1) // 4]
        where = f"{start} Round {1 + (step - 1) // 4} of {len(rounds)},"
        return f"{where} {STAGES[(step - 1) % 4]}: {_said(one, turn, (step - 1) % 4)}"

    def _draw(self) -> Any:
        from mmcourse.plots import new_figure

        one = self.cases[self.case]
        figure, (left, right) = new_figure(7, 3.2, 1, 2, width_ratios=(1, 2.2))
        left.set_axis_off()
        right.set_axis_off()
        if self._pictures is not None and one["picture"] >= 0:
            left.imshow(self._pictures[one["picture"]].transpose(1, 2, 0))
        lines = [f"question: {one['question']}", f"see: {one['caption']}"]
        for step in range(1, min(self.step, 4 * len(one["rounds"])) + 1):
            turn, stage = one["rounds"][(step - 1) // 4], (step - 1) % 4
            lines.append(f"{1 + (step - 1) // 4} {STAGES[stage]}: {_said(one, turn, stage)}")
        text = "\n".join(short(line, 78) for line in lines)
        right.text(0, 1, text, va="top", fontsize=8)
        return figure


def _said(one: Mapping[str, Any], turn: Mapping[str, Any], stage: int) -> str:
    """What a stage of a round says, in a sentence."""
    if stage == 0:
        return f"{one['concepts'][turn['attended']][0]}."
    if stage == 1:
        return str(turn["description"])
    if stage == 2:
        return f"{turn['answer']}."
    claims = [
        f"{claim} {'Kept' if kept else 'Refused'}, {_score(score)}."
        for claim, score, kept in turn["claims"]
    ]
    return " ".join(claims) or "nothing was claimed."


def _score(score: float | None) -> str:
    return "not checked" if score is None else f"score {score:.2f}"


def _plain(case: Mapping[str, Any], pictures: int) -> dict[str, Any]:
    """A case as numbers and strings, which the page reads."""
    trace, place = case["trace"], case.get("picture", -1)
    if not -1 <= place < pictures:
        raise ValueError(f"picture must be a place from 0 to {pictures - 1}, got {place}")
    concepts = list(trace.concepts)
    boxes = [_box(concept.box) for concept in concepts] if place >= 0 else []
    return {
        "name": str(case["name"]),
        "truth": str(case["truth"]),
        "picture": int(place),
        "question": trace.question,
        "caption": trace.caption,
        "concepts": [[concept.name, float(concept.confidence)] for concept in concepts],
        "boxes": boxes,
        "rounds": [_round(turn, concepts) for turn in trace.rounds],
        "answer": trace.answer,
        "confirmed": bool(trace.confirmed),
        "ended": trace.ended,
    }


def _round(turn: Any, concepts: list[Any]) -> dict[str, Any]:
    return {
        "attended": concepts.index(turn.attended),
        "description": turn.description,
        "context": list(turn.context),
        "answer": turn.answer.text,
        # The page prints two digits; rounded here so that both print the same ones.
        "claims": [
            [claim.sentence, None if claim.score is None else _finite(claim.score), claim.kept]
            for claim in turn.claims
        ],
    }


def _finite(score: float) -> float:
    """A score with two digits; what is no number cannot be sent to a page."""
    if not np.isfinite(score):
        raise ValueError(f"scores must be finite numbers, got {score}")
    return round(float(score), 2) + 0.0  # never −0


def _box(box: Any) -> list[float]:
    """(left, top, right, bottom) in pixels."""
    corners = [float(value) for value in box] if isinstance(box, Sequence) else []
    if len(corners) != 4 or corners[0] >= corners[2] or corners[1] >= corners[3]:
        raise ValueError(f"a box is (left, top, right, bottom) in pixels, got {box!r}")
    return corners
