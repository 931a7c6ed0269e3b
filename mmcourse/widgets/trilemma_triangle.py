"""Trilemma triangle: models between three wishes, the measures behind them, and what they draw."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels

CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.5, math.sqrt(3) / 2))
HEAVIEST = 4
WEIGHTS = ("first", "second", "third")


class TrilemmaTriangle(CourseWidget):
    """Models in a triangle whose corners are three wishes; a model's samples and its numbers.

    Each wish has a weight that the reader moves, and each measure gives other scores.

    Attributes:
        measure: which set of scores, counted from 0 (shared with the page).
        model: whose samples are shown.
        first, second, third: the corners' weights, whole numbers from 0 to 4.
    """

    _files = "trilemma_triangle"
    _controls = ("measure", "model", *WEIGHTS)

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    corners = traitlets.List(traitlets.Unicode()).tag(sync=True)
    measures = traitlets.List(traitlets.Unicode()).tag(sync=True)
    scores = traitlets.List().tag(sync=True)
    said = traitlets.List().tag(sync=True)
    measure = traitlets.Int(0).tag(sync=True)
    model = traitlets.Int(0).tag(sync=True)
    first = traitlets.Int(1).tag(sync=True)
    second = traitlets.Int(1).tag(sync=True)
    third = traitlets.Int(1).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        scores: Any,
        *,
        names: Sequence[str],
        measures: Sequence[str],
        said: Sequence[Sequence[Sequence[str]]],
        corners: Sequence[str] = ("quality", "coverage", "speed"),
        measure: int = 0,
        model: int = 0,
        first: int = 1,
        second: int = 1,
        third: int = 1,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show a triangle.

        Args:
            pictures: (models, count, channels, height, width), uint8 or floats in [-1, 1].
            scores: (measures, models, 3) in [0, 1], one number for each corner.
            names: of the models.
            measures: names of the sets of scores.
            said: the measurement behind each score in a few words, nested as the scores.
            corners: names of the three wishes: lower left, lower right, top.
            measure, model, first, second, third: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: parts that do not fit together, or scores outside [0, 1].
        """
        self._pictures = pixels(pictures, "pictures", "models, count, channels, height, width")
        values = numbers(scores, "scores", "measures, models, corners")
        labels, kinds = [str(x) for x in names], [str(x) for x in measures]
        words = [[[str(x) for x in row] for row in part] for part in said]
        ends = [str(x) for x in corners]
        _check(values, len(self._pictures), labels, kinds, words, ends)
        super().__init__(
            data=self._pictures.tobytes(),
            shape=list(self._pictures.shape),
            names=labels,
            corners=ends,
            measures=kinds,
            scores=values.tolist(),
            said=words,
            measure=measure,
            model=model,
            first=first,
            second=second,
            third=third,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        limits = dict.fromkeys(WEIGHTS, (0, HEAVIEST))
        measures, models = len(self.measures), len(self.names)
        return {"measure": (0, measures - 1), "model": (0, models - 1), **limits}

    def _weights(self) -> list[int]:
        return [self.first, self.second, self.third]

    def _totals(self) -> list[float]:
        """The weighted mean of each model's scores."""
        return [mean(row, self._weights()) for row in self.scores[self.measure]]

    def _describe(self) -> str:
        """The sentence of the page."""
        own, words = self.scores[self.measure][self.model], self.said[self.measure][self.model]
        parts = [
            f"{corner} {hundredth(score)} ({word})"
            for corner, score, word in zip(self.corners, own, words, strict=True)
        ]
        totals = self._totals()
        place = 1 + sum(total > totals[self.model] for total in totals)
        weights = " : ".join(map(str, self._weights()))
        return (
            f"{self.names[self.model]}, by {self.measures[self.measure]}: {', '.join(parts)}. "
            f"With the weights {weights} its mean score is {hundredth(totals[self.model])}, "
            f"number {place} of {len(totals)}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        figure, (plane, samples) = new_figure(7.2, 3.8, 1, 2)
        loop = [*CORNERS, CORNERS[0]]
        plane.plot(*zip(*loop, strict=True), color="0.6")
        for corner, (x, y) in zip(self.corners, CORNERS, strict=True):
            plane.text(x, y + (0.04 if y else -0.09), corner, ha="center")
        for index, row in enumerate(self.scores[self.measure]):
            x, y = place(row, self._weights())
            own = index == self.model
            plane.scatter(x, y, s=150, color=COLORS["orange"] if own else COLORS["blue"])
            plane.text(x, y, str(index + 1), color="white", ha="center", va="center", fontsize=8)
        plane.set(xlim=(-0.15, 1.15), ylim=(-0.15, 1.0), aspect="equal")
        plane.set_axis_off()
        samples.imshow(_sheet(self._pictures[self.model]), cmap="gray", vmin=0, vmax=255)
        samples.set_title(self.names[self.model], fontsize=10)
        samples.set_axis_off()
        return figure


def mean(scores: Sequence[float], weights: Sequence[int]) -> float:
    """Σ w s / Σ w, and 0 if no wish has any weight."""
    total = weights[0] + weights[1] + weights[2]
    parts = [weight * score for weight, score in zip(weights, scores, strict=True)]
    return (parts[0] + parts[1] + parts[2]) / total if total else 0.0


def place(scores: Sequence[float], weights: Sequence[int]) -> tuple[float, float]:
    """Σ w s corner / Σ w s; the middle where nothing pulls."""
    pulls = [weight * score for weight, score in zip(weights, scores, strict=True)]
    total = pulls[0] + pulls[1] + pulls[2]
    shares = [pull / total for pull in pulls] if total else [1 / 3] * 3
    x, y = (sum(s * c[i] for s, c in zip(shares, CORNERS, strict=True)) for i in (0, 1))
    return x, y


def hundredth(value: float) -> str:
    """0.125 → "0.13"; halves go up, as on the page."""
    return f"{math.floor(100 * value + 0.5) / 100:.2f}"


def _sheet(pictures: np.ndarray) -> np.ndarray:
    """Pictures side by side, six in a row, as one."""
    count, channels, height, width = pictures.shape
    rows = -(-count // 6)
    sheet = np.full((rows * (height + 1), 6 * (width + 1), channels), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // 6 * (height + 1), index % 6 * (width + 1)
        sheet[top : top + height, left : left + width] = picture.transpose(1, 2, 0)
    return sheet.squeeze(-1) if channels == 1 else sheet


def _check(
    scores: np.ndarray,
    models: int,
    names: list[str],
    measures: list[str],
    said: list[list[list[str]]],
    corners: list[str],
) -> None:
    wanted = (len(measures), models, 3)
    if len(names) != models:
        raise ValueError(f"names must name {models} models, got {len(names)}: {names}")
    if len(corners) != 3:
        raise ValueError(f"corners must name 3 wishes, got {len(corners)}: {corners}")
    if scores.shape != wanted or not bool(((scores >= 0) & (scores <= 1)).all()):
        raise ValueError(f"scores must lie in [0, 1] and be {wanted}, got {scores.shape}")
    sizes = {(len(part), len(row)) for part in said for row in part}
    if len(said) != len(measures) or sizes != {(models, 3)}:
        raise ValueError(f"said must have words for each score, {wanted}, got {sorted(sizes)}")
