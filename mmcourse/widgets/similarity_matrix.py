"""Similarity matrix: pictures × captions of a CLIP, read along its rows or down its columns."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels

AXES = "pictures, channels, height, width"
ASKED = ("image → text", "text → image")


class SimilarityMatrix(CourseWidget):
    """A batch of pictures (rows) and their captions (columns), and who would choose whom.

    The page multiplies the cosines by a scale and takes a softmax: along each row ("which caption
    belongs to this picture?") or down each column ("which picture belongs to this caption?").
    Row i and column i belong together, so the losses of both questions are shown as well.

    Attributes:
        question: 0 reads along the rows, 1 down the columns (shared with the page).
        scale: the place of the scale in `scales`, likewise.
        pair: the pair whose row or column is read, counted from 0, likewise.
    """

    _files = "similarity_matrix"
    _also = ("heat",)
    _controls = ("question", "scale", "pair")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    cosines = traitlets.Bytes().tag(sync=True)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    scales = traitlets.List(traitlets.Float()).tag(sync=True)
    question = traitlets.Int(0).tag(sync=True)
    scale = traitlets.Int(0).tag(sync=True)
    pair = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        cosines: Any,
        captions: Sequence[str],
        *,
        labels: Sequence[str] | None = None,
        scales: Sequence[float] = (1, 2, 5, 10, 1 / 0.07, 20, 50, 100),
        question: int = 0,
        scale: int = 0,
        pair: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show a batch.

        Args:
            pictures: (pairs, channels, height, width), uint8 or floats in [-1, 1].
            cosines: (pairs, pairs), of every picture with every caption, in [-1, 1].
            captions: one for each picture, at least two.
            labels: short names of the captions for the matrix's edge; by default the captions,
                of which only the first 14 letters fit.
            scales: what the cosines may be multiplied by, rising: one over the temperature.
            question, scale, pair: shown at first, counted from 0.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: pictures, cosines and captions do not fit each other, or bad scales.
        """
        self._pictures = pixels(pictures, "pictures", AXES)
        names, given = [str(text) for text in captions], [float(s) for s in scales]
        array, count = numbers(cosines, "cosines", "pictures, captions"), len(self._pictures)
        if array.shape != (count, count) or len(names) != count or count < 2:
            raise ValueError(
                f"{count} pictures need as many captions (at least two) and all cosines between "
                f"them, got {len(names)} captions and cosines of shape {array.shape}"
            )
        short = names if labels is None else [str(label) for label in labels]
        if len(short) != count:
            raise ValueError(f"labels must name {count} captions, got {len(short)}: {short}")
        if abs(array).max() > 1.001:
            raise ValueError(f"cosines must lie in [-1, 1], got {abs(array).max():.4g}")
        if not given or sorted(set(given)) != given or not 0 < given[0] <= given[-1] < math.inf:
            raise ValueError(f"scales must be positive and rising, got {given}")
        small = halves(array)
        self._cosines = np.frombuffer(small, "<f2").astype(float).reshape(count, count)
        super().__init__(
            data=self._pictures.tobytes(),
            shape=list(self._pictures.shape),
            cosines=small,
            captions=names,
            labels=short,
            scales=given,
            question=question,
            scale=scale,
            pair=pair,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        last = len(self.captions) - 1
        return {"question": (0, 1), "scale": (0, len(self.scales) - 1), "pair": (0, last)}

    def _shares(self, question: int) -> np.ndarray:
        """The softmax along the rows, or down the columns, of scale · cosine."""
        logits, axis = self.scales[self.scale] * self._cosines, 1 - question
        powers = np.exp(logits - logits.max(axis, keepdims=True))
        return powers / powers.sum(axis, keepdims=True)

    def _describe(self) -> str:
        """The sentence of the page."""
        shares = self._shares(self.question)
        row = shares[:, self.pair] if self.question else shares[self.pair]
        best = int(row.argmax())
        found = (
            "the right one" if best == self.pair else f"{self.captions[best]}, not the right one"
        )
        losses = [float(-np.log(np.diagonal(self._shares(q))).mean()) for q in (0, 1)]
        asked = ("picture", "caption")[self.question]
        told = [f"{name} {value:.2f}" for name, value in zip(ASKED, losses, strict=True)]
        return (
            f"{asked.capitalize()} {self.pair + 1} ({self.captions[self.pair]}) at scale "
            f"{_plain(self.scales[self.scale])}: its first choice, with {row[best]:.2f}, is "
            f"{found}. Loss {told[0]}, {told[1]}, mean {sum(losses) / 2:.2f}; who knows nothing "
            f"has log {len(row)} = {math.log(len(row)):.2f}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import heat_map, new_figure

        side = 2.6 + 0.3 * len(self.captions)
        figure, axes = new_figure(side + 0.6, side)
        rows = [str(i + 1) for i in range(len(self.captions))]
        heat_map(axes, self._shares(self.question), rows, self.labels, low=0, high=1)
        axes.set(ylabel="picture", title=f"softmax, {ASKED[self.question]}")
        return figure


def _plain(value: float) -> str:
    """100.0 → "100", 14.2857 → "14.3"."""
    return f"{round(value, 1):g}"
