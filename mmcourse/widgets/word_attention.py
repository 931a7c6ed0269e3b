"""Cross-attention by word: which places of a picture read a word, while the picture is drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels

AXES = "captions, steps, channels, height, width"
MAPS = "captions, steps, rows, columns, words"


class WordAttention(CourseWidget):
    """Captions, and the pictures that a diffusion model draws for them, step by step.

    One word of the caption is chosen: beside the picture of the step, the same picture is lit
    where the network reads this word, and dim elsewhere. Small maps show every word at every
    step. Everything counts from 0 here.

    Attributes:
        scene, step, word: the caption, the step of sampling and the word that are shown (shared
            with the page).
    """

    _files = "word_attention"
    _also = ("veil",)
    _controls = ("scene", "step", "word")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # captions, steps, rows, columns
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    captions = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    scene = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    word = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        weights: Any,
        *,
        captions: Sequence[Sequence[str]],
        labels: Sequence[str],
        scene: int = 0,
        step: int | None = None,
        word: int | None = None,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show who reads what.

        Args:
            pictures: (captions, steps, channels, height, width), uint8 or floats in [-1, 1]: what
                the picture looks like at each step, for example the predicted clean one.
            weights: (captions, steps, rows, columns, words), for each place a distribution over
                the words.
            captions: the words of each caption, all equally many (name padding, too).
            labels: one per step, such as "ᾱ = 0.02".
            scene, step, word: shown at first; by default the last step and the last word.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the weights are not such, or pictures, captions or labels do not fit them.
        """
        drawn = pixels(pictures, "pictures", AXES)
        array = numbers(weights, "weights", MAPS)
        listed = [[str(word) for word in words] for words in captions]
        named = [str(label) for label in labels]
        _check(array, drawn, listed, named)
        small = np.round(255 * array).clip(0, 255).astype(np.uint8)
        self._pixels, self._weights = drawn, small / 255
        super().__init__(
            data=drawn.tobytes() + small.tobytes(),
            shape=list(array.shape[:4]),
            image_shape=list(drawn.shape[2:]),
            captions=listed,
            labels=named,
            scene=scene,
            step=array.shape[1] - 1 if step is None else step,
            word=array.shape[4] - 1 if word is None else word,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        scenes, steps = self.shape[:2]
        words = len(self.captions[0])
        return {"scene": (0, scenes - 1), "step": (0, steps - 1), "word": (0, words - 1)}

    def _map(self) -> np.ndarray:
        """The weight of the chosen word at each place, (rows, columns)."""
        return self._weights[self.scene, self.step, :, :, self.word]

    def _describe(self) -> str:
        """The sentence of the page."""
        values = self._map()
        row, column = divmod(int(values.argmax()), values.shape[1])
        return (
            f"“{self.captions[self.scene][self.word]}” at {self.labels[self.step]}: read most in "
            f"row {row + 1}, column {column + 1} (weight {values.max():.2f}), "
            f"least with {values.min():.2f}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import new_figure

        figure, panels = new_figure(6.2, 3.3, 1, 2)
        values = self._map()
        rows, columns = values.shape
        shown = self._pixels[self.scene, self.step].transpose(1, 2, 0) / 255
        gap = max(values.max() - values.min(), 1e-9)
        box = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        for axes, veil in zip(panels, (0.0, 0.85), strict=True):
            axes.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=1, extent=box)
            dim = veil * (values.max() - values) / gap
            axes.imshow(np.zeros((rows, columns, 3)), alpha=dim, extent=box)
            axes.set_axis_off()
        panels[0].set_title(" ".join(self.captions[self.scene]), fontsize=10)
        panels[1].set_title(
            f"lit where “{self.captions[self.scene][self.word]}” is read", fontsize=10
        )
        return figure


def _check(
    weights: np.ndarray, pictures: np.ndarray, captions: list[list[str]], labels: list[str]
) -> None:
    """Refuse what are no maps (captions, steps, rows, columns, words), or do not fit."""
    scenes, steps, _, _, words = weights.shape
    if pictures.shape[:2] != (scenes, steps):
        raise ValueError(
            f"pictures must be of {scenes} captions at {steps} steps, got {pictures.shape[:2]}"
        )
    if len(captions) != scenes or any(len(one) != words for one in captions):
        raise ValueError(f"captions must be {scenes} of {words} words each, got {captions}")
    if len(labels) != steps:
        raise ValueError(f"labels must name {steps} steps, got {len(labels)}: {labels}")
    if weights.min() < 0:
        raise ValueError(f"weights must be at least 0, got {weights.min():.3g}")
    sums = weights.sum(axis=-1)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 0.02:
        raise ValueError(f"weights must sum to 1 over the words, got a sum of {worst:.4g}")
