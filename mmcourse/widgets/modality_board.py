"""Modality board: switch four modalities off or make them noisy, and see who still decides."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels, tenth

MODALITIES = ("text", "image", "audio", "sensor")
SPAN = {"sounds": 4.0, "gauges": 2.0}  # curves are cut off at ± this


class ModalityBoard(CourseWidget):
    """One observation in four modalities, each with a switch, and how often models are right.

    Every combination of switches was measured beforehand. State 0 of a switch is "off", and
    state k the k-th level of noise.

    Attributes:
        text, image, audio, sensor: the states of the switches (shared with the page).
        example: which observation is drawn, counted from 0.
    """

    _files = "modality_board"
    _controls = (*MODALITIES, "example")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    wide = traitlets.List(traitlets.Int()).tag(sync=True)
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    levels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    right = traitlets.List(traitlets.Int()).tag(sync=True)
    notes = traitlets.List().tag(sync=True)
    truths = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chance = traitlets.Float(0.5).tag(sync=True)
    text = traitlets.Int(1).tag(sync=True)
    image = traitlets.Int(1).tag(sync=True)
    audio = traitlets.Int(1).tag(sync=True)
    sensor = traitlets.Int(1).tag(sync=True)
    example = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        accuracy: Any,
        *,
        models: Sequence[str],
        levels: Sequence[str],
        notes: Sequence[Sequence[str]],
        pictures: Any,
        sounds: Any,
        gauges: Any,
        truths: Sequence[str],
        chance: float = 0.5,
        text: int = 1,
        image: int = 1,
        audio: int = 1,
        sensor: int = 1,
        example: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show a board.

        Args:
            accuracy: (models, states, states, states, states) in [0, 1], the states those of
                text, image, audio, sensor; what stands at 0, 0, 0, 0 is not shown.
            models: their names.
            levels: the names of the levels of noise, one fewer than states.
            notes: the text of each example at each level.
            pictures: (examples, levels, channels, height, width), uint8 or floats in [-1, 1].
            sounds: (examples, levels, time), cut off at ±4.
            gauges: (examples, levels, curves, time), cut off at ±2.
            truths: what is true of each example, in words.
            chance: the accuracy of a guess.
            text, image, audio, sensor, example: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: parts that do not fit together, or an accuracy outside [0, 1].
        """
        shares = numbers(accuracy, "accuracy", "models, text, image, audio, sensor")
        self._pictures = pixels(pictures, "pictures", "examples, levels, channels, height, width")
        self._sounds = _curves(sounds, "sounds", "examples, levels, time")
        self._gauges = _curves(gauges, "gauges", "examples, levels, curves, time")
        named, kinds = [str(x) for x in models], [str(x) for x in levels]
        words, facts = [[str(x) for x in row] for row in notes], [str(x) for x in truths]
        _check(shares, named, kinds, chance)
        given = {"pictures": self._pictures, "sounds": self._sounds, "gauges": self._gauges}
        _check_examples(given, words, len(facts), len(kinds))
        state = dict(zip(self._controls, (text, image, audio, sensor, example), strict=True))
        super().__init__(
            data=b"".join(part.tobytes() for part in given.values()),
            shape=list(self._pictures.shape),
            wide=[self._sounds.shape[-1], *self._gauges.shape[-2:]],
            models=named,
            levels=kinds,
            right=np.round(1000 * shares).astype(int).ravel().tolist(),
            notes=words,
            truths=facts,
            chance=float(chance),
            presets=presets,
            caption=caption,
            **state,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        switches = dict.fromkeys(MODALITIES, (0, len(self.levels)))
        return {**switches, "example": (0, len(self.truths) - 1)}

    def _states(self) -> list[int]:
        return [self.text, self.image, self.audio, self.sensor]

    def _shares(self) -> list[float]:
        """The accuracy of each model with the switches as they are."""
        one = len(self.right) // len(self.models)
        found = place(self._states(), len(self.levels) + 1)
        return [self.right[k * one + found] / 1000 for k in range(len(self.models))]

    def _describe(self) -> str:
        """The sentence of the page."""
        switches = ", ".join(
            f"{name} {self.levels[k - 1] if k else 'off'}"
            for name, k in zip(MODALITIES, self._states(), strict=True)
        )
        start = f"Example {self.example + 1}: {switches}."
        if not any(self._states()):
            return f"{start} Nothing is known; a guess is right {percent(self.chance)}."
        said = ", ".join(
            f"{name} {percent(share)}"
            for name, share in zip(self.models, self._shares(), strict=True)
        )
        return f"{start} Right: {said} (a guess {percent(self.chance)})."

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        figure, grid = new_figure(8.0, 4.2, 2, 4)
        self._draw_cells(grid[0])
        below = grid[1, 0].get_gridspec()[1, :]
        for axes in grid[1]:
            axes.remove()
        axes = figure.add_subplot(below)
        known = any(self._states())
        shares = self._shares() if known else [0.0] * len(self.models)
        axes.barh(self.models[::-1], shares[::-1], color=COLORS["blue"])
        axes.axvline(self.chance, color=COLORS["orange"], linestyle="--", label="a guess")
        axes.set(xlim=(0, 1), xlabel="share that is judged rightly")
        axes.legend(fontsize=8)
        return figure

    def _draw_cells(self, row: Any) -> None:
        index = self.example
        for axes, name, state in zip(row, MODALITIES, self._states(), strict=True):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.set_title(f"{name}: {self.levels[state - 1] if state else 'off'}", fontsize=9)
            if not state:
                axes.text(0.5, 0.5, "off", ha="center", transform=axes.transAxes)
            elif name == "text":
                words = self.notes[index][state - 1].replace(" ", "\n")
                axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=7)
            elif name == "image":
                picture = self._pictures[index, state - 1].transpose(1, 2, 0)
                axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
            elif name == "audio":
                axes.plot(self._sounds[index, state - 1], linewidth=0.8)
                axes.set_ylim(0, 255)
            else:
                axes.set_ylim(0, 255)
                for curve, dash in zip(self._gauges[index, state - 1], "-:", strict=False):
                    axes.plot(curve, linestyle=dash)


def place(states: Sequence[int], count: int) -> int:
    """Where a combination of switches stands among all, the last switch running fastest."""
    found = 0
    for state in states:
        found = found * count + state
    return found


def percent(share: float) -> str:
    """0.974 → "97.4 %"."""
    return f"{tenth(100 * share)} %"


def _curves(values: Any, name: str, axes: str) -> np.ndarray:
    """Curves as uint8, −SPAN … SPAN to 0 … 255."""
    span = SPAN[name]
    array = numbers(values, name, axes).clip(-span, span)
    return np.round((array + span) * (127.5 / span)).astype(np.uint8)


def _check(shares: np.ndarray, models: list[str], levels: list[str], chance: float) -> None:
    wanted = (len(models), *[len(levels) + 1] * 4)
    if shares.shape != wanted or shares.min() < 0 or shares.max() > 1:
        raise ValueError(f"accuracy must lie in [0, 1] and be {wanted}, got {shares.shape}")
    if not 0 <= chance <= 1:
        raise ValueError(f"chance must lie in [0, 1], got {chance}")


def _check_examples(
    given: Mapping[str, np.ndarray], notes: list[list[str]], count: int, levels: int
) -> None:
    for name, array in given.items():
        if array.shape[:2] != (count, levels):
            raise ValueError(
                f"{name} must be of {count} examples at {levels} levels, got {array.shape[:2]}"
            )
    if [len(row) for row in notes] != [levels] * count:
        raise ValueError(
            f"notes must be of {count} examples at {levels} levels, "
            f"got {[len(row) for row in notes]}"
        )
