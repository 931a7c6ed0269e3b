"""Digit steps: one noise, one network, and several choices of the noise levels to stop at."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import numbers, pixels
from mmcourse.widgets.live import LiveWidget

AXES = "rows, stops, views, channels, height, width"
VIEWS = ("x_t", "x̂₀")
LAST_SEED = 2**32 - 1


class DigitSteps(LiveWidget):
    """A picture drawn by DDIM from the same noise, along walks that stop at other noise levels.

    A row for each walk: what the sampler holds (x_t) or what the network believes (x̂₀) at every
    stop, with its ᾱ. With the network behind it the page draws other digits from other seeds, in
    more or fewer steps: the pictures that `sample_ddim` gives for the same walk and noise.

    Attributes:
        shown: 0 for x_t, 1 for x̂₀. step: the stop that is seen large, counted from 0; those
            behind the last show the last.
        digit, seed, steps: what is drawn.
    """

    _files = "digit_steps"
    _also = ("model_host", "noise")
    _controls = ("shown", "step")

    # What the page has drawn comes back as a view of memory.
    data = traitlets.Bytes().tag(sync=True, from_json=lambda value, _: bytes(value))
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    rows = traitlets.List(traitlets.Unicode()).tag(sync=True)
    walks = traitlets.List().tag(sync=True)
    alpha_bar = traitlets.List(traitlets.Float()).tag(sync=True)
    shown = traitlets.Int(1).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    digit = traitlets.Int(0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    steps = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        frames: Any,
        walks: Mapping[str, Sequence[Sequence[int]]],
        alpha_bar: Any,
        *,
        digit: int = 0,
        seed: int = 0,
        shown: int = 1,
        step: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
        live: Any = None,
    ) -> None:
        """Show one digit, and wait for more.

        Args:
            frames: (rows, stops, 2, channels, height, width), uint8 or floats in [-1, 1]: at each
                stop x_t and x̂₀, at the last the finished picture twice.
            walks: name of the row → its walk for 1, 2, 3 … steps: code indices that never rise,
                then −1. A step that comes twice is no move.
            alpha_bar: signal power of each step that the network knows, (T,).
            digit, seed: of the frames. shown, step: see the attributes.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.
            live: a `PageModel` whose part "unet" reads "x" (1, channels, height, width), "step"
                (1,) and "digit" (1,), and predicts the noise.

        Raises:
            ValueError: the frames, the walks and ᾱ do not fit each other, or the seed or a control
                is out of its range.
        """
        self._frames = pixels(frames, "frames", AXES)
        signal = numbers(alpha_bar, "alpha_bar", "steps")
        listed = {str(name): [list(map(int, w)) for w in ones] for name, ones in walks.items()}
        _check(self._frames.shape, listed, len(signal))
        if not 0 <= seed <= LAST_SEED:
            raise ValueError(f"seed must be from 0 to {LAST_SEED}, got {seed}")
        super().__init__(
            live=live,
            data=self._frames.tobytes(),
            shape=list(self._frames.shape),
            rows=list(listed),
            walks=list(listed.values()),
            alpha_bar=signal.tolist(),
            digit=digit,
            seed=seed,
            steps=self._frames.shape[1] - 1,
            shown=shown,
            step=step,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"shown": (0, 1), "step": (0, len(self.walks[0]))}

    def pictures(self) -> np.ndarray:
        """What is shown now, as drawn last: (rows, stops, 2, channels, height, width), uint8."""
        shape = (len(self.rows), self.steps + 1, 2, *self.shape[3:])
        return np.frombuffer(self.data, np.uint8).reshape(shape)

    def _levels(self, row: int) -> list[float]:
        """ᾱ at the stops of a row."""
        walk = self.walks[row][self.steps - 1]
        return [1.0 if t < 0 else self.alpha_bar[t] for t in walk]

    def _describe(self) -> str:
        stop = min(self.step, self.steps)
        levels = [f"{name} ᾱ = {self._levels(i)[stop]:.3f}" for i, name in enumerate(self.rows)]
        return (
            f"Digit {self.digit} from seed {self.seed} in {self.steps} steps, {VIEWS[self.shown]} "
            f"at stop {stop + 1} of {self.steps + 1}: {'; '.join(levels)}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        drawn = self.pictures()[:, :, self.shown]
        titles = [f"{level:.2f}" for i in range(len(self.rows)) for level in self._levels(i)]
        shown = drawn.reshape(-1, *self.shape[3:]) / 127.5 - 1
        options = {"columns": self.steps + 1, "titles": titles, "row_titles": self.rows}
        return image_grid(shown, scale=0.9, **options)


def _check(shape: Sequence[int], walks: Mapping[str, list[list[int]]], known: int) -> None:
    """Refuse frames and walks that do not fit."""
    lengths = {len(ones) for ones in walks.values()}
    if len(walks) != shape[0] or len(lengths) != 1 or shape[2] != 2:
        raise ValueError(
            f"frames of shape {tuple(shape)} need a walk for each row and two views, "
            f"got {len(walks)} names with {sorted(lengths)} walks"
        )
    most = lengths.pop()
    if not 2 <= shape[1] <= most + 1:
        raise ValueError(f"frames must have 2 to {most + 1} stops, got {shape[1]}")
    for name, ones in walks.items():
        for steps, walk in enumerate(ones, start=1):
            falls = walk == sorted(walk, reverse=True) and walk[:-1] and walk[-2] >= 0
            if len(walk) != steps + 1 or walk[-1] != -1 or not falls or walk[0] >= known:
                raise ValueError(
                    f"a walk of {steps} steps has as many falling numbers from {known - 1} to 0, "
                    f"then -1, got {walk} for {name!r}"
                )
