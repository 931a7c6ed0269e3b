"""Flow scrubber: noise on its way to data, map by map, with the density's book-keeping."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers


class FlowScrubber(CourseWidget):
    """Points in the plane after 0, 1, … all maps of a flow, and a net drawn on the plane.

    One point is followed: its way, and how each map changes its log-density by the area that it
    makes or takes.

    Attributes:
        step: how many maps have been applied (shared with the page).
        point: the point that is followed, counted from 0.
    """

    _files = "flow_scrubber"
    _also = ("player",)
    _controls = ("step", "point")

    # states, points, lines, knots of a line
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    reach = traitlets.Float().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    point = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        path: Any,
        log_density: Any,
        *,
        groups: Any,
        names: Sequence[str],
        net: Any = None,
        reach: float | None = None,
        step: int = 0,
        point: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show a flow.

        Args:
            path: (states, points, 2): z₀, z₁, … z_K of each point, as `Flow.path` gives it.
            log_density: (states, points), in nats: log p(z₀), then after each map
                log p(z₀) − Σ log |det| of the maps so far.
            groups: (points,) 0 or 1, how a point is drawn.
            names: of the two groups.
            net: (states, lines, knots, 2), curves that go through the same maps; or None.
            reach: the plane is shown from −reach to reach on both axes; by default 1.05 times the
                largest number that a point has at the beginning or at the end.
            step, point: shown at first, counted from 0.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the parts do not fit together, or are not such.
        """
        moved = numbers(path, "path", "states, points, 2")
        logs = numbers(log_density, "log_density", "states, points")
        kinds = numbers(groups, "groups", "points").astype(int)
        states, points = moved.shape[:2]
        lines = np.zeros((states, 0, 0, 2)) if net is None else _net(net)
        labels = [str(name) for name in names]
        _check(moved, logs, kinds, lines, labels)
        ends = float(np.abs(moved[[0, -1]]).max())
        self._path, self._logs = _rounded(moved), _rounded(logs)
        self._net, self._groups = lines, kinds
        super().__init__(
            data=b"".join(map(halves, (moved, logs, lines))) + kinds.astype(np.uint8).tobytes(),
            shape=[states, points, *lines.shape[1:3]],
            names=labels,
            reach=_positive(1.05 * ends if reach is None else float(reach)),
            step=step,
            point=point,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"step": (0, self.shape[0] - 1), "point": (0, self.shape[1] - 1)}

    def _describe(self) -> str:
        """The sentence of the page."""
        k, i, last = self.step, self.point, self.shape[0] - 1
        x, y = self._path[k, i]
        where = f"({hundredth(x)}, {hundredth(y)})"
        name = self.names[self._groups[i]]
        now = hundredth(self._logs[k, i])
        if k == 0:
            return (
                f"z₀, pure noise: point {i + 1} ({name}) lies at {where}, "
                f"where the log-density is {now}."
            )
        factor = math.exp(self._logs[k - 1, i] - self._logs[k, i])
        return (
            f"After map {k} of {last}: point {i + 1} ({name}) lies at {where}. This map made the "
            f"area around it {hundredth(factor)} times as large; the log-density is now {now}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, CYCLE, MARKERS, new_figure

        figure, panels = new_figure(7.2, 3.7, 1, 2)
        for axes, state in zip(panels, (0, self.step), strict=True):
            for curve in self._net[state]:
                axes.plot(*curve.T, color="0.8", lw=0.6)
            for group in (0, 1):
                own = self._path[state, self._groups == group]
                axes.scatter(*own.T, s=7, marker=MARKERS[group], color=CYCLE[group])
            axes.plot(*self._path[: state + 1, self.point].T, color=COLORS["black"], lw=1)
            axes.scatter(*self._path[state, self.point], s=70, color=COLORS["black"], marker="*")
            axes.set(xlim=(-self.reach, self.reach), ylim=(-self.reach, self.reach))
            axes.set_title(f"after {state} of {self.shape[0] - 1} maps", fontsize=10)
            axes.set_aspect("equal")
        return figure


def hundredth(value: float) -> str:
    """−1.234 → "−1.23"; halves go up, as in the page's `hundredth`."""
    return f"{math.floor(100 * value + 0.5) / 100:.2f}".replace("-", "−")


def _rounded(values: np.ndarray) -> np.ndarray:
    """As the page will read them."""
    return np.frombuffer(halves(values), "<f2").reshape(values.shape).astype(float)


def _net(net: Any) -> np.ndarray:
    return numbers(net, "net", "states, lines, knots, 2")


def _positive(reach: float) -> float:
    if not (math.isfinite(reach) and reach > 0):
        raise ValueError(f"reach must be above 0, got {reach}")
    return reach


def _check(
    path: np.ndarray, logs: np.ndarray, groups: np.ndarray, net: np.ndarray, names: list[str]
) -> None:
    states, points, axes = path.shape
    if states < 2 or axes != 2:
        raise ValueError(f"path must be (at least 2 states, points, 2), got {path.shape}")
    if logs.shape != (states, points):
        raise ValueError(f"log_density must be ({states}, {points}), got {logs.shape}")
    if groups.shape != (points,) or not set(groups.tolist()) <= {0, 1}:
        raise ValueError(f"groups must be 0 or 1 for each of {points} points, got {groups.shape}")
    if len(names) != 2:
        raise ValueError(f"names must name 2 groups, got {len(names)}: {names}")
    if len(net) != states or net.shape[3] != 2:
        raise ValueError(f"net must be ({states} states, lines, knots, 2), got {net.shape}")
