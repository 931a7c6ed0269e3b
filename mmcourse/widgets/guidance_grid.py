"""Guidance grid: the same noises at several scales of guidance, and what each scale does."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels, tenth

AXES = "classes, seeds, scales, channels, height, width"


class GuidanceGrid(CourseWidget):
    """Finished pictures of one class: a row for each starting noise, a column for each scale.

    Beside the grid one picture is enlarged; below it curves over the scales say what each scale
    does to the whole crowd of pictures. Everything counts from 0 here; noises from 1 on the page.

    Attributes:
        label, seed, scale: the class, the noise and the place of the scale that are shown
            (shared with the page).
    """

    _files = "guidance_grid"
    _controls = ("label", "seed", "scale")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    scales = traitlets.List(traitlets.Float()).tag(sync=True)
    curves = traitlets.List(traitlets.Dict()).tag(sync=True)
    label = traitlets.Int(0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    scale = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        *,
        scales: Sequence[float],
        labels: Sequence[str],
        curves: Mapping[str, Any] | None = None,
        real: Mapping[str, float] | None = None,
        label: int = 0,
        seed: int = 0,
        scale: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show pictures.

        Args:
            pictures: (classes, seeds, scales, channels, height, width), uint8 or floats in
                [-1, 1]; the same seed is the same starting noise at every scale.
            scales: of the guidance, one per column, rising; 1 is no guidance.
            labels: the names of the classes, at least two.
            curves: name → a share in [0, 1] per scale; at most four.
            real: name → the same share for real pictures, for some of the curves or all.
            label, seed, scale: shown at first, counted from 0.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the pictures are not such, or scales, labels or curves do not fit them.
        """
        self._pictures = pixels(pictures, "pictures", AXES)
        shape = list(self._pictures.shape)
        names, columns = [str(name) for name in labels], [float(s) for s in scales]
        if len(names) != shape[0]:
            raise ValueError(f"labels must name {shape[0]} classes, got {len(names)}: {names}")
        finite = all(math.isfinite(s) for s in columns)
        if not finite or len(columns) != shape[2] or sorted(set(columns)) != columns:
            raise ValueError(f"scales must be {shape[2]} rising numbers, got {columns}")
        super().__init__(
            data=self._pictures.tobytes(),
            shape=shape,
            labels=names,
            scales=columns,
            curves=_curves(curves or {}, real or {}, len(columns)),
            label=label,
            seed=seed,
            scale=scale,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        classes, seeds, scales = self.shape[:3]
        return {"label": (0, classes - 1), "seed": (0, seeds - 1), "scale": (0, scales - 1)}

    def _describe(self) -> str:
        """The sentence of the page."""
        scale = self.scales[self.scale]
        words = f"{self.labels[self.label]} from noise {self.seed + 1} at scale {_plain(scale)}"
        words += f" (the paper's w = {_plain(scale - 1)})."
        said = []
        for curve in self.curves:
            part = f"{curve['name']} {_percent(curve['values'][self.scale])}"
            if curve["real"] is not None:
                part += f" (real pictures {_percent(curve['real'])})"
            said.append(part)
        return words + (f" All pictures of this scale: {', '.join(said)}." if said else "")

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        shown = self._pictures[self.label, :4]
        rows, columns = shown.shape[:2]
        titles = [_plain(s) for s in self.scales] + [""] * (columns * (rows - 1))
        flat = shown.reshape(-1, *self.shape[3:])
        return image_grid(flat / 127.5 - 1, columns=columns, titles=titles, scale=0.75)


def _plain(value: float) -> str:
    """3.0 → "3", 0.5 → "0.5", −1 → "−1"."""
    return f"{round(value, 4):g}".replace("-", "−")


def _percent(share: float) -> str:
    """0.987 → "98.7 %"."""
    return f"{tenth(100 * share)} %"


def _curves(
    curves: Mapping[str, Any], real: Mapping[str, float], scales: int
) -> list[dict[str, Any]]:
    """The curves as the page wants them."""
    if len(curves) > 4:
        raise ValueError(f"curves must hold at most 4 curves, got {len(curves)}: {list(curves)}")
    unknown = sorted(set(real) - set(curves))
    if unknown:
        raise ValueError(f"real must be about the curves {list(curves)}, got {unknown}")
    listed = []
    for name, values in curves.items():
        array = numbers(values, f"curve {name!r}", "scales")
        if len(array) != scales:
            raise ValueError(f"curve {name!r} needs {scales} values, got {len(array)}")
        every = np.append(array, real.get(name, 0.0))
        if every.min() < 0 or every.max() > 1:
            raise ValueError(f"curve {name!r} must hold shares in [0, 1], got {every.tolist()}")
        shares = [float(f"{v:.5g}") for v in array]
        given = float(real[name]) if name in real else None
        listed.append({"name": name, "values": shares, "real": given})
    return listed
