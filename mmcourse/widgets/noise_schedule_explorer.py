"""Noise schedule explorer: one picture, one noise, several schedules, any step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels

GRAPHS = ("power", "rates", "snr")


class NoiseScheduleExplorer(CourseWidget):
    """What each schedule leaves of a picture, at any step of the forward process.

    The page computes x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε itself, for every schedule with the same ε, and
    shows beside the pictures the curves of ᾱ, of √ᾱ and √(1 − ᾱ), or of the signal-to-noise ratio.
    A switch adds the cosine schedule as it is when one forgets the square.

    Attributes:
        step: 0 … T−1. schedule: which one the strip of pictures follows, counted from 0.
        graph: "power", "rates" or "snr". slip: whether the forgotten square is shown.
    """

    _files = "noise_schedule_explorer"
    _controls = ("step", "schedule", "graph", "slip")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    steps = traitlets.Int(1).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    offer = traitlets.Bool(True).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    schedule = traitlets.Int(0).tag(sync=True)
    graph = traitlets.Enum(GRAPHS, "power").tag(sync=True)
    slip = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        image: Any,
        *,
        schedules: Mapping[str, Any],
        step: int | None = None,
        schedule: int = 0,
        graph: str = "power",
        slip: bool = False,
        offer_slip: bool = True,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
        seed: int = 0,
    ) -> None:
        """Show a picture under the given schedules.

        Args:
            image: (channels, height, width) in [-1, 1]; 1 or 3 channels.
            schedules: name → ᾱ, the signal power left after each step: (T,), in [0, 1], falling.
            step: shown at first; by default the middle.
            schedule, graph, slip: see the attributes.
            offer_slip: whether the page offers the cosine without its square.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below. seed: of the noise.

        Raises:
            ValueError: the picture or a schedule is not such, or their lengths differ.
        """
        picture = pixels(image, "image", "channels, height, width")
        curves = _curves(schedules)
        steps = curves.shape[1]
        self._clean = picture
        self._noise = np.random.default_rng(seed).standard_normal(picture.shape)
        self._curves = curves
        for choice in (graph, *(preset.get("graph", graph) for preset in presets)):
            if choice not in GRAPHS:
                raise ValueError(f"graph must be one of {GRAPHS}, got {choice!r}")
        data = picture.tobytes() + halves(self._noise) + curves.astype("<f4").tobytes()
        super().__init__(
            data=data,
            shape=list(picture.shape),
            steps=steps,
            names=list(schedules),
            offer=offer_slip,
            step=(steps - 1) // 2 if step is None else step,
            schedule=schedule,
            graph=graph,
            slip=slip,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        # One more than the names where the schedule with the forgotten square may be chosen.
        last = len(self.names) - (0 if self.offer else 1)
        return {"step": (0, self.steps - 1), "schedule": (0, last)}

    def _describe(self) -> str:
        kept = [
            f"{name} keeps {100 * curve[self.step]:.2g} % of the signal power"
            for name, curve in zip(self.names, self._curves, strict=True)
        ]
        return (
            f"A picture and its noised versions: at step {self.step} of 0 … {self.steps - 1} "
            f"{', '.join(kept)}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        places = np.linspace(0, self.steps - 1, 7).round().astype(int)
        clean = self._clean / 127.5 - 1
        rows = [
            np.sqrt(curve[t]) * clean + np.sqrt(1 - curve[t]) * self._noise
            for curve in self._curves
            for t in places
        ]
        titles = [f"step {t}" for _ in self.names for t in places]
        return image_grid(np.stack(rows), columns=7, titles=titles, row_titles=self.names)


def _curves(schedules: Mapping[str, Any]) -> np.ndarray:
    """Check the schedules: (schedules, steps)."""
    if not schedules:
        raise ValueError("schedules must hold at least one name → ᾱ, got none")
    curves = {
        name: numbers(curve, f"schedule {name!r}", "steps") for name, curve in schedules.items()
    }
    lengths = {name: len(curve) for name, curve in curves.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"all schedules must have the same number of steps, got {lengths}")
    for name, curve in curves.items():
        if curve.min() < 0 or curve.max() > 1:
            raise ValueError(
                f"ᾱ must lie in [0, 1], got {curve.min():.3g} … {curve.max():.3g} for {name!r}"
            )
        if (np.diff(curve) > 0).any():
            raise ValueError(f"ᾱ must fall from step to step, but it rises for {name!r}")
    return np.stack(list(curves.values()))
