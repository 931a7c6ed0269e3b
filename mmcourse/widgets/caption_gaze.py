"""Caption gaze: a caption word by word, and where in the picture each word was looked up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels

PICTURES = "scenes, channels, height, width"
WEIGHTS = "scenes, words, places"


class CaptionGaze(CourseWidget):
    """Captions that a network wrote, with its look at the picture for each word.

    One word is chosen: beside the picture, the same picture is lit where the network looked
    before it wrote the word. Bars show the words that it held to be likely. Everything counts
    from 0 here.

    Attributes:
        scene, word: the picture and the word of its caption that are shown (shared with the
            page). A picture with a shorter caption shows its last word instead.
    """

    _files = "caption_gaze"
    _also = ("veil",)
    _controls = ("scene", "word")

    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    grid = traitlets.List(traitlets.Int()).tag(sync=True)
    longest = traitlets.Int(1).tag(sync=True)
    words = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    titles = traitlets.List(traitlets.Unicode()).tag(sync=True)
    gates = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    guesses = traitlets.List().tag(sync=True)
    chances = traitlets.List().tag(sync=True)
    scene = traitlets.Int(0).tag(sync=True)
    word = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        weights: Any,
        *,
        grid: tuple[int, int],
        words: Sequence[Sequence[str]],
        gates: Any,
        guesses: Sequence[Sequence[Sequence[str]]],
        chances: Any,
        titles: Sequence[str],
        scene: int = 0,
        word: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show where a captioner looks.

        Args:
            pictures: (scenes, channels, height, width), uint8 or floats in [-1, 1].
            weights: (scenes, words, places), for each word a distribution over the places, row
                by row from the upper left. What stands behind a caption's end is not shown.
            grid: rows and columns of places.
            words: of each caption, its end included; not more than the weights have.
            gates: β in [0, 1], (scenes, words).
            guesses: for each word of the weights the likeliest words, equally many everywhere.
            chances: their probabilities, (scenes, words, guesses).
            titles: one a scene, for the list.
            scene, word: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the weights are no such distributions, or other parts do not fit them.
        """
        drawn = pixels(pictures, "pictures", PICTURES)
        array = numbers(weights, "weights", WEIGHTS)
        written = [[str(one) for one in row] for row in words]
        open_ = numbers(gates, "gates", "scenes, words")
        likely = numbers(chances, "chances", "scenes, words, guesses")
        guessed = [[[str(one) for one in place] for place in row] for row in guesses]
        _check_weights(array, written, tuple(grid))
        _check_parts(array.shape[:2], drawn, titles, open_, likely, guessed)
        # Stretched to the largest share of each word; the share itself is sent beside them.
        self._pixels = drawn
        tops = np.round(1000 * array.max(axis=2)).astype("<u2")
        small = np.round(255 * array / array.max(axis=2, keepdims=True)).astype(np.uint8)
        self._tops, self._lights = tops / 1000, small / 255
        super().__init__(
            data=drawn.tobytes() + small.tobytes() + tops.tobytes(),
            image_shape=list(drawn.shape[1:]),
            grid=[int(side) for side in grid],
            longest=int(array.shape[1]),
            words=written,
            titles=[str(title) for title in titles],
            gates=np.round(100 * open_).astype(int).tolist(),
            guesses=guessed,
            chances=np.round(1000 * likely).astype(int).tolist(),
            scene=scene,
            word=word,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"scene": (0, len(self.words) - 1), "word": (0, self.longest - 1)}

    def _at(self) -> int:
        """The word that is shown: the chosen one, or the last that there is."""
        return min(self.word, len(self.words[self.scene]) - 1)

    def _light(self) -> np.ndarray:
        """1 where the chosen word looked most, (rows, columns)."""
        return self._lights[self.scene, self._at()].reshape(self.grid)

    def _describe(self) -> str:
        """The sentence of the page."""
        word = self._at()
        light = self._light()
        row, column = divmod(int(light.argmax()), light.shape[1])
        written = self.words[self.scene]
        chances = [
            f"“{name}” {percent(chance)}"
            for name, chance in zip(
                self.guesses[self.scene][word], self.chances[self.scene][word], strict=True
            )
        ]
        return (
            f"Word {word + 1} of {len(written)}, “{written[word]}”: looked most at row {row + 1}, "
            f"column {column + 1} (share {self._tops[self.scene, word]:.3f}), gate "
            f"{self.gates[self.scene][word] / 100:.2f}. Likeliest: {', '.join(chances)}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        figure, panels = new_figure(8.0, 3.0, 1, 3)
        word, light = self._at(), self._light()
        rows, columns = light.shape
        shown = self._pixels[self.scene].transpose(1, 2, 0) / 255
        box = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        for axes, veil in zip(panels[:2], (0.0, 0.85), strict=True):
            axes.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=1, extent=box)
            axes.imshow(np.zeros((rows, columns, 3)), alpha=veil * (1 - light), extent=box)
            axes.set_axis_off()
        panels[0].set_title(self.titles[self.scene], fontsize=9)
        panels[1].set_title(f"looked for “{self.words[self.scene][word]}”", fontsize=9)
        names = self.guesses[self.scene][word][::-1]
        chances = [chance / 10 for chance in self.chances[self.scene][word][::-1]]
        panels[2].barh(names, chances, color=COLORS["blue"])
        panels[2].set(xlim=(0, 100), xlabel="probability, %")
        return figure


def percent(chance: int) -> str:
    """974 thousandths → "97.4 %"."""
    return f"{chance / 10:.1f} %"


def _check_weights(weights: np.ndarray, words: list[list[str]], grid: tuple[int, ...]) -> None:
    """Refuse what are no distributions over the places of the grid, and captions too long."""
    scenes, longest, places = weights.shape
    if len(grid) != 2 or grid[0] * grid[1] != places:
        raise ValueError(f"grid must have {places} places, got {grid}")
    if len(words) != scenes or any(not 1 <= len(row) <= longest for row in words):
        raise ValueError(
            f"words must be {scenes} captions of 1 to {longest} words, "
            f"got {[len(row) for row in words]}"
        )
    if weights.min() < 0:
        raise ValueError(f"weights must be at least 0, got {weights.min():.3g}")
    sums = weights.sum(axis=2)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 0.02:
        raise ValueError(f"weights must sum to 1 over the places, got a sum of {worst:.4g}")


def _check_parts(
    size: tuple[int, ...],
    pictures: np.ndarray,
    titles: Sequence[str],
    gates: np.ndarray,
    chances: np.ndarray,
    guesses: list[list[list[str]]],
) -> None:
    """Refuse parts of another number than there are scenes and words."""
    scenes, words = size
    if len(pictures) != scenes or len(titles) != scenes:
        raise ValueError(
            f"pictures and titles must be {scenes}, got {len(pictures)} and {len(titles)}"
        )
    if gates.shape != (scenes, words) or chances.shape[:2] != (scenes, words):
        raise ValueError(
            f"gates and chances must be of {scenes} scenes and {words} words, "
            f"got {gates.shape} and {chances.shape}"
        )
    for name, values in (("gates", gates), ("chances", chances)):
        if values.min() < 0 or values.max() > 1.0005:
            raise ValueError(
                f"{name} must lie in [0, 1], got {values.min():.3g} to {values.max():.3g}"
            )
    found = {len(place) for row in guesses for place in row}
    if [len(row) for row in guesses] != [words] * scenes or found != {chances.shape[2]}:
        raise ValueError(
            f"guesses must be {chances.shape[2]} for each of {words} words of {scenes} scenes"
        )
