"""Descent explorer: a fitted line as its model grows, and where it stands on the error curve."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers

FAR = 1000.0  # a line further off than this is off the picture anyhow
TINY = 1e-4  # errors below are drawn at this height
STYLES = 4


class DescentExplorer(CourseWidget):
    """Points, the line that models of growing size draw through them, and their test errors.

    The reader moves the size and chooses the method, such as ridge of several strengths.

    Attributes:
        method, size: which method, and which of the sizes, counted from 0 (shared with the page).
    """

    _files = "descent_explorer"
    _also = ("player",)
    _controls = ("method", "size")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # methods, sizes, grid
    grid = traitlets.List(traitlets.Float()).tag(sync=True)
    truth = traitlets.List(traitlets.Float()).tag(sync=True)
    points = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    reach = traitlets.Float().tag(sync=True)
    sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    methods = traitlets.List(traitlets.Unicode()).tag(sync=True)
    train_error = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    test_error = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    method = traitlets.Int(0).tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        fits: Any,
        *,
        grid: Any,
        truth: Any,
        points: Any,
        sizes: Sequence[int],
        methods: Sequence[str],
        train_error: Any,
        test_error: Any,
        reach: float | None = None,
        method: int = 0,
        size: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show fits.

        Args:
            fits: (methods, sizes, grid), the fitted line's heights.
            grid: (grid,), the places, increasing. truth: (grid,), the line that was looked for.
            points: (points, 2), what was fitted.
            sizes: features of each model, increasing, at least two.
            methods: one to four names.
            train_error, test_error: (methods, sizes), 0 or more.
            reach: the picture goes from −reach to reach upwards; by default 2.2 times the
                largest height of a point or of the truth.
            method, size: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the parts do not fit together, or are not such.
        """
        lines = numbers(fits, "fits", "methods, sizes, grid").clip(-FAR, FAR)
        places, goal = numbers(grid, "grid", "grid"), numbers(truth, "truth", "grid")
        given = numbers(points, "points", "points, 2")
        errors = [
            numbers(part, name, "methods, sizes")
            for part, name in ((train_error, "train_error"), (test_error, "test_error"))
        ]
        names, counts = [str(name) for name in methods], [int(count) for count in sizes]
        _check(lines, places, goal, given, errors, names, counts)
        far = _reach(reach, given[:, 1], goal)
        self._lines = np.frombuffer(halves(lines), "<f2").reshape(lines.shape).astype(float)
        super().__init__(
            data=halves(lines),
            shape=list(lines.shape),
            grid=places.tolist(),
            truth=goal.tolist(),
            points=given.tolist(),
            reach=far,
            sizes=counts,
            methods=names,
            train_error=errors[0].tolist(),
            test_error=errors[1].tolist(),
            method=method,
            size=size,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"method": (0, len(self.methods) - 1), "size": (0, len(self.sizes) - 1)}

    def _describe(self) -> str:
        """The sentence of the page."""
        tests = self.test_error[self.method]
        here = tests[self.size]
        better = sum(error < here for error in tests)
        return (
            f"P = {self.sizes[self.size]} for {len(self.points)} points, "
            f"{self.methods[self.method]}: training error "
            f"{brief(self.train_error[self.method][self.size])}, test error {brief(here)}. "
            f"Sizes with a smaller test error: {better} of {len(tests)}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, line, new_figure

        figure, (plane, curve) = new_figure(7.2, 3.4, 1, 2)
        line(plane, self.grid, self.truth, "truth", 3, lw=1.2)
        line(plane, self.grid, self._lines[self.method, self.size], "fit", 0)
        plane.plot(*np.array(self.points).T, "o", color=COLORS["black"], ms=4)
        plane.set(ylim=(-self.reach, self.reach), xlabel="x")
        plane.set_title(f"P = {self.sizes[self.size]}, {self.methods[self.method]}", fontsize=11)
        for style, (name, errors) in enumerate(zip(self.methods, self.test_error, strict=True)):
            line(curve, self.sizes, np.maximum(errors, TINY), name, style, marker="")
        curve.axvline(self.sizes[self.size], color=COLORS["black"], lw=1)
        curve.set(xscale="log", yscale="log", xlabel="features P", ylabel="test error")
        curve.legend(fontsize=8)
        return figure


def brief(value: float) -> str:
    """0.1234 → "0.123", 43.2 → "43"; halves go up, as on the page."""
    if value >= 10:
        return f"{math.floor(value + 0.5)}"
    return f"{math.floor(1000 * value + 0.5) / 1000:.3f}"


def _reach(reach: float | None, points: np.ndarray, goal: np.ndarray) -> float:
    top = max(float(np.abs(points).max()), float(np.abs(goal).max()))
    far = 2.2 * top if reach is None else float(reach)
    if not (math.isfinite(far) and far > 0):
        raise ValueError(f"reach must be above 0, got {far}")
    return far


def _check(
    lines: np.ndarray,
    places: np.ndarray,
    goal: np.ndarray,
    points: np.ndarray,
    errors: list[np.ndarray],
    methods: list[str],
    sizes: list[int],
) -> None:
    wanted = (len(methods), len(sizes), len(places))
    if lines.shape != wanted or len(goal) != len(places):
        raise ValueError(
            f"fits must be {wanted} and truth {wanted[2:]}, got {lines.shape} and {goal.shape}"
        )
    if not 1 <= len(methods) <= STYLES:
        raise ValueError(f"methods must be 1 to {STYLES} names, got {len(methods)}")
    if len(sizes) < 2 or sizes != sorted(set(sizes)) or sizes[0] < 1:
        raise ValueError(f"sizes must be two or more that increase from 1, got {sizes}")
    if len(places) < 2 or not bool((np.diff(places) > 0).all()):
        raise ValueError(f"grid must be two or more places that increase, got {len(places)}")
    if points.shape[1] != 2:
        raise ValueError(f"points must be (points, 2), got {points.shape}")
    for name, part in zip(("train_error", "test_error"), errors, strict=True):
        if part.shape != wanted[:2] or part.min() < 0:
            raise ValueError(f"{name} must be {wanted[:2]}, 0 or more, got {part.shape}")
