"""Capacity grid: networks of many widths under several shares of noise, while they are trained."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers

NONE = -1.0  # in the data: there is no such example
MOST_TRACKS = 4


class CapacityGrid(CourseWidget):
    """A table of shares, widths × noise, at a moment of the training; the curves of one cell.

    Attributes:
        kind, noise, width, moment, track: what is shown, counted from 0 (shared with the page):
            which kind of noise, which column, which row, when, and which of the shares.
    """

    _files = "capacity_grid"
    _controls = ("kind", "noise", "width", "moment", "track")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    kinds = traitlets.List(traitlets.Unicode()).tag(sync=True)
    noises = traitlets.List(traitlets.Unicode()).tag(sync=True)
    widths = traitlets.List(traitlets.Unicode()).tag(sync=True)
    moments = traitlets.List(traitlets.Unicode()).tag(sync=True)
    tracks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    kind = traitlets.Int(0).tag(sync=True)
    noise = traitlets.Int(0).tag(sync=True)
    width = traitlets.Int(0).tag(sync=True)
    moment = traitlets.Int(0).tag(sync=True)
    track = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        shares: Any,
        *,
        kinds: Sequence[str],
        noises: Sequence[str],
        widths: Sequence[str],
        moments: Sequence[str],
        tracks: Sequence[str],
        kind: int = 0,
        noise: int = 0,
        width: int = 0,
        moment: int = 0,
        track: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show trainings.

        Args:
            shares: (kinds, noises, widths, moments, tracks) in [0, 1]; NaN where there is no
                such example.
            kinds: names of the kinds of noise. noises: the columns, such as "40%".
            widths: the rows, such as "64", narrow ones first.
            moments: such as "pass 3"; the last word stands below the curves.
            tracks: what the shares are shares of, at most 4.
            kind, noise, width, moment, track: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: shares outside [0, 1], or names that do not fit them.
        """
        values = _filled(shares)
        names = [[str(x) for x in part] for part in (kinds, noises, widths, moments, tracks)]
        _check(values, names)
        data = halves(values)
        self._values = np.frombuffer(data, "<f2").astype(float).reshape(values.shape)
        super().__init__(
            data=data,
            shape=list(values.shape),
            kinds=names[0],
            noises=names[1],
            widths=names[2],
            moments=names[3],
            tracks=names[4],
            kind=kind,
            noise=noise,
            width=width,
            moment=moment,
            track=track,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        order = ("kind", "noise", "width", "moment", "track")
        return {name: (0, size - 1) for name, size in zip(order, self.shape, strict=True)}

    def _cell(self) -> list[float]:
        """The shares of the chosen cell now, one for each track."""
        return self._values[self.kind, self.noise, self.width, self.moment].tolist()

    def _column(self) -> list[float]:
        """The chosen share for every width, in the chosen column, now."""
        return self._values[self.kind, self.noise, :, self.moment, self.track].tolist()

    def _describe(self) -> str:
        """The sentence of the page."""
        return sentence(
            f"{self.kinds[self.kind]} {self.noises[self.noise]}, width {self.widths[self.width]}, "
            f"{self.moments[self.moment]}",
            self.tracks,
            self._cell(),
            self.tracks[self.track],
            self.widths,
            self._column(),
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, heat_map, line, new_figure

        figure, (table, curves) = new_figure(8.4, 3.8, 1, 2)
        now = self._values[self.kind, :, :, self.moment, self.track].T
        shown = np.where(now == NONE, np.nan, now)
        heat_map(table, shown, self.widths, self.noises, low=0, high=1)
        for (i, j), value in np.ndenumerate(now):
            words = "–" if value == NONE else percent(value)
            table.text(j, i, words, ha="center", va="center", color=_ink(value), fontsize=9)
        left, right, above, below = (
            side + shift for side in (self.noise, self.width) for shift in (-0.48, 0.48)
        )
        corners = ([left, right, right, left, left], [above, above, below, below, above])
        table.plot(*corners, color=COLORS["orange"], lw=3)
        table.set(xlabel="share of noise", ylabel="width")
        table.set_title(f"{self.tracks[self.track]}, {self.moments[self.moment]}", fontsize=10)
        own = self._values[self.kind, self.noise, self.width]
        for index, name in enumerate(self.tracks):
            if (own[:, index] != NONE).all():
                line(curves, range(len(own)), own[:, index], name, index)
        curves.axvline(self.moment, color="0.4", lw=1)
        curves.set_xticks(range(len(own)), [word.split()[-1] for word in self.moments])
        curves.set(ylim=(-0.03, 1.03), ylabel="share")
        curves.set_title(f"width {self.widths[self.width]}", fontsize=10)
        curves.legend(fontsize=8)
        return figure


def percent(value: float) -> str:
    """0.125 → "13%"; halves go up, as on the page."""
    return f"{math.floor(100 * value + 0.5)}%"


def _ink(value: float) -> str:
    """The colour of a number on its cell of the still picture."""
    return "white" if 0 <= value < 0.5 else "black"


def best(column: Sequence[float]) -> int:
    """Where the largest share stands, the first of equals; -1 where there is none."""
    top = max(column)
    return -1 if top == NONE else list(column).index(top)


def sentence(
    where: str,
    tracks: Sequence[str],
    shares: Sequence[float],
    track: str,
    widths: Sequence[str],
    column: Sequence[float],
) -> str:
    """What is seen: the shares of a cell, and the best width of its column."""
    parts = [f"{n} {percent(v)}" for n, v in zip(tracks, shares, strict=True) if v != NONE]
    row = best(column)
    top = f" Best width here for “{track}”: {widths[row]} ({percent(column[row])})."
    missing = f" There is nothing to count for “{track}” here."
    return f"{where}: {', '.join(parts)}.{missing if row < 0 else top}"


def _filled(shares: Any) -> np.ndarray:
    """The shares with `NONE` for NaN."""
    if hasattr(shares, "detach"):
        shares = shares.detach().cpu().double().numpy()
    array = np.asarray(shares, dtype=np.float64)
    inside = array[~np.isnan(array)]
    if not ((inside >= 0) & (inside <= 1)).all():
        raise ValueError(f"shares must lie in [0, 1], got {inside.min():.3g} to {inside.max():.3g}")
    axes = "kinds, noises, widths, moments, tracks"
    return numbers(np.where(np.isnan(array), NONE, array), "shares", axes)


def _check(values: np.ndarray, names: list[list[str]]) -> None:
    sizes = tuple(len(part) for part in names)
    if values.shape != sizes:
        raise ValueError(
            "shares must be (kinds, noises, widths, moments, tracks) as the names are, "
            f"{sizes}, got {values.shape}"
        )
    if sizes[-1] > MOST_TRACKS:
        raise ValueError(f"at most {MOST_TRACKS} tracks can be told apart, got {sizes[-1]}")
