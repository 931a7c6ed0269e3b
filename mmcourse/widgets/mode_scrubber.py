"""Mode scrubber: a generator's samples in the plane while it is trained, counted at the modes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers


class ModeScrubber(CourseWidget):
    """Samples at moments of a training, for several trainings, and how many modes they reach.

    A circle stands for each mode of the data. A sample within a circle is good, and a mode is
    found if it has `at_least` good samples. Behind them may lie what the discriminator thinks.

    Attributes:
        track, frame: which training, and which moment of it (shared with the page), from 0.
    """

    _files = "mode_scrubber"
    _also = ("player",)
    _controls = ("track", "frame")

    # tracks, frames, points, modes, rows, columns
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    centres = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    radius = traitlets.Float().tag(sync=True)
    at_least = traitlets.Int().tag(sync=True)
    reach = traitlets.Float().tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    track = traitlets.Int(0).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        samples: Any,
        centres: Any,
        *,
        radius: float,
        names: Sequence[str],
        labels: Sequence[str],
        judged: Any = None,
        at_least: int = 1,
        reach: float | None = None,
        track: int = 0,
        frame: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show trainings.

        Args:
            samples: (tracks, frames, points, 2), the generator's samples at each moment.
            centres: (modes, 2), the middle of each mode.
            radius: > 0, how far from its centre a sample is still good.
            names: of the trainings. labels: of the moments, such as "step 100".
            judged: (tracks, frames, rows, columns) in [0, 1], how real the discriminator takes
                each place of the shown square to be, row 0 at the top; or None.
            at_least: good samples that a mode needs, ≥ 1.
            reach: the plane is shown from −reach to reach on both axes; by default 1.6 times the
                largest number of a centre.
            track, frame: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the parts do not fit together, or are not such.
        """
        drawn = numbers(samples, "samples", "tracks, frames, points, 2")
        middles = numbers(centres, "centres", "modes, 2")
        tracks, frames, points = drawn.shape[:3]
        field = np.zeros((tracks, frames, 0, 0)) if judged is None else _field(judged)
        said, moments = [str(name) for name in names], [str(label) for label in labels]
        _check(drawn, middles, field, said, moments)
        far = 1.6 * float(np.abs(middles).max()) if reach is None else float(reach)
        self._samples = np.frombuffer(halves(drawn), "<f2").reshape(drawn.shape).astype(float)
        self._centres, self._field = middles, np.round(field * 255).astype(np.uint8)
        super().__init__(
            data=halves(drawn) + self._field.tobytes(),
            shape=[tracks, frames, points, len(middles), *field.shape[2:]],
            centres=middles.tolist(),
            radius=_positive("radius", float(radius)),
            at_least=int(_positive("at_least", int(at_least))),
            reach=_positive("reach", far),
            names=said,
            labels=moments,
            track=track,
            frame=frame,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"track": (0, self.shape[0] - 1), "frame": (0, self.shape[1] - 1)}

    def _count(self) -> tuple[list[int], int]:
        """Good samples of each mode, and how many modes have enough, in the shown moment."""
        counts = [0] * len(self._centres)
        for x, y in self._samples[self.track, self.frame]:
            gaps = [math.sqrt((a - x) ** 2 + (b - y) ** 2) for a, b in self._centres]
            if min(gaps) <= self.radius:
                counts[gaps.index(min(gaps))] += 1
        return counts, sum(count >= self.at_least for count in counts)

    def _describe(self) -> str:
        """The sentence of the page."""
        counts, found = self._count()
        good, points = sum(counts), self.shape[2]
        return (
            f"{self.names[self.track]}, {self.labels[self.frame]}: {found} of {len(counts)} modes "
            f"found; {good} of {points} samples are good. The fullest mode has {max(counts)} of "
            "them."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        figure, (plane, bars) = new_figure(7.2, 3.7, 1, 2)
        field = self._field[self.track, self.frame]
        if field.size:
            box = (-self.reach, self.reach, -self.reach, self.reach)
            plane.imshow(field, cmap="Greys", vmin=0, vmax=400, extent=box, alpha=0.7)
        turn = np.linspace(0, 2 * np.pi, 40)
        for x, y in self._centres:
            across, up = x + self.radius * np.cos(turn), y + self.radius * np.sin(turn)
            plane.plot(across, up, color=COLORS["black"], lw=1)
        plane.scatter(*self._samples[self.track, self.frame].T, s=6, color=COLORS["orange"])
        plane.set(xlim=(-self.reach, self.reach), ylim=(-self.reach, self.reach))
        plane.set_aspect("equal")
        counts, _ = self._count()
        bars.bar(range(1, len(counts) + 1), counts, color=COLORS["blue"])
        bars.set(xlabel="mode", ylabel=f"good samples of {self.shape[2]}")
        return figure


def _field(judged: Any) -> np.ndarray:
    field = numbers(judged, "judged", "tracks, frames, rows, columns")
    if field.min() < 0 or field.max() > 1:
        raise ValueError(f"judged must lie in [0, 1], got {field.min():.3g} to {field.max():.3g}")
    return field


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be above 0, got {value}")
    return value


def _check(
    samples: np.ndarray, centres: np.ndarray, field: np.ndarray, names: list[str], labels: list[str]
) -> None:
    tracks, frames, _, axes = samples.shape
    if axes != 2 or frames < 2:
        raise ValueError(
            f"samples must be (tracks, at least 2 frames, points, 2), got {samples.shape}"
        )
    if centres.shape[1] != 2:
        raise ValueError(f"centres must be (modes, 2), got {centres.shape}")
    if field.shape[:2] != (tracks, frames):
        raise ValueError(f"judged must be ({tracks}, {frames}, rows, columns), got {field.shape}")
    if len(names) != tracks or len(labels) != frames:
        raise ValueError(
            f"need {tracks} names and {frames} labels, got {len(names)} and {len(labels)}"
        )
