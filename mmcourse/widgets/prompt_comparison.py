"""Prompt comparison: one picture, several prompts, and what each makes of it as it changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels, tenth
from mmcourse.widgets.prompt_grid import sheet

AXES = "pictures, levels, channels, height, width"


class PromptComparison(CourseWidget):
    """Shares of the classes for a picture, by each of several prompts and at each level.

    A level is how much the picture was changed, such as the strength of a lamp. Curves show what
    the right class gets from each prompt, a list the best classes of the chosen one. Everything
    counts from 0 here; pictures from 1 on the page.

    Attributes:
        picture, prompt, level: what is shown (shared with the page).
    """

    _files = "prompt_comparison"
    _controls = ("picture", "prompt", "level")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    prompts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    levels = traitlets.List(traitlets.Float()).tag(sync=True)
    dial = traitlets.Unicode().tag(sync=True)
    names = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    targets = traitlets.List(traitlets.Int()).tag(sync=True)
    titles = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    prompt = traitlets.Int(0).tag(sync=True)
    level = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        shares: Any,
        *,
        prompts: Sequence[str],
        levels: Sequence[float],
        names: Sequence[Sequence[str]],
        targets: Sequence[int],
        titles: Sequence[str] | None = None,
        dial: str = "Shift",
        picture: int = 0,
        prompt: int = 0,
        level: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show pictures.

        Args:
            pictures: (pictures, levels, 3, height, width), uint8 or floats in [-1, 1].
            shares: of the classes, (prompts, pictures, levels, classes), each row sums to 1.
            prompts: what to call each prompt; two to four.
            levels: a rising number for each level, at least two.
            names: of each picture, what its classes are called.
            targets: of each picture, the place of the right class.
            titles: what to call each picture; by default its right class.
            dial: what the levels measure.
            picture, prompt, level: shown at first, counted from 0.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the pictures are not such, or shares, names or the rest do not fit them.
        """
        self._pictures = pixels(pictures, "pictures", AXES)
        count, steps, channels, height, width = self._pictures.shape
        known = numbers(shares, "shares", "prompts, pictures, levels, classes")
        classes = known.shape[-1]
        rows = [[str(name) for name in row] for row in names]
        places = [int(place) for place in targets]
        _check_pictures(known, len(prompts), count, steps, channels)
        _check_levels(levels, steps)
        _check_names(rows, places, count, classes)
        called = _titles(titles, rows, places)
        packed = halves(known)
        self._shares = np.frombuffer(packed, "<f2").astype(float).reshape(known.shape)
        super().__init__(
            data=packed + sheet(self._pictures),
            shape=[len(prompts), count, steps, classes, height, width],
            prompts=[str(one) for one in prompts],
            levels=[float(one) for one in levels],
            dial=dial,
            names=rows,
            targets=places,
            titles=called,
            picture=picture,
            prompt=prompt,
            level=level,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        prompts, pictures, levels = self.shape[:3]
        return {
            "picture": (0, pictures - 1),
            "prompt": (0, prompts - 1),
            "level": (0, levels - 1),
        }

    def _right(self, level: int) -> list[float]:
        """What the right class gets from each prompt."""
        return self._shares[:, self.picture, level, self.targets[self.picture]].tolist()

    def _describe(self) -> str:
        """The sentence of the page."""
        names, target = self.names[self.picture], self.targets[self.picture]
        row = self._shares[self.prompt, self.picture, self.level]
        best = int(row.argmax())
        verdict = "the right one" if best == target else f"not {names[target]}"
        all_ = ", ".join(
            f"{_percent(share)} from {prompt}"
            for prompt, share in zip(self.prompts, self._right(self.level), strict=True)
        )
        return (
            f"{self.dial} {self.levels[self.level]:g}, picture {self.picture + 1}: "
            f"{self.prompts[self.prompt]} takes it for {names[best]}, {verdict}, with "
            f"{_percent(row[best])}. The right class gets {all_}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import line, new_figure

        figure, (left, right) = new_figure(7, 2.8, 1, 2, width_ratios=[1, 2.4])
        left.imshow(self._pictures[self.picture, self.level].transpose(1, 2, 0))
        left.set_axis_off()
        left.set_title(f"{self.dial} {self.levels[self.level]:g}", fontsize=10)
        curves = np.array([self._right(level) for level in range(self.shape[2])])
        for style, name in enumerate(self.prompts):
            line(right, self.levels, curves[:, style], name, style)
        right.set(xlabel=self.dial, ylabel="share of the right class", ylim=(-0.03, 1.03))
        right.legend(fontsize=8)
        return figure


def _percent(share: float) -> str:
    """0.987 → "98.7 %"."""
    return f"{tenth(100 * share)} %"


def _check_pictures(known: np.ndarray, prompts: int, count: int, steps: int, channels: int) -> None:
    if not 2 <= prompts <= 4 or channels != 3:
        raise ValueError(f"need two to four prompts and 3 channels, got {prompts} and {channels}")
    wanted = (prompts, count, steps)
    if known.shape[:3] != wanted:
        raise ValueError(f"shares must be {wanted} by classes, got {known.shape}")
    if known.min() < 0 or np.abs(known.sum(-1) - 1).max() > 1e-2:
        raise ValueError("shares of the classes must be positive and sum to 1")


def _check_levels(levels: Sequence[float], steps: int) -> None:
    rising = [float(one) for one in levels]
    if steps < 2 or len(rising) != steps or sorted(set(rising)) != rising:
        raise ValueError(f"levels must be {steps} rising numbers, at least two, got {rising}")


def _check_names(rows: list[list[str]], places: list[int], count: int, classes: int) -> None:
    if [len(row) for row in rows] != [classes] * count or len(places) != count:
        raise ValueError(f"need {classes} names and a target for each of {count} pictures")
    if any(not 0 <= place < classes for place in places):
        raise ValueError(f"targets must be places from 0 to {classes - 1}, got {places}")


def _titles(titles: Sequence[str] | None, rows: list[list[str]], places: list[int]) -> list[str]:
    """What to call the pictures, by default what they show."""
    if titles is None:
        return [row[place] for row, place in zip(rows, places, strict=True)]
    if len(titles) != len(rows):
        raise ValueError(f"titles must name {len(rows)} pictures, got {len(titles)}")
    return [str(one) for one in titles]
