"""Latent plane: what a decoder paints everywhere on a plane, and where an encoder puts pictures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels

AXES = "networks, rows, columns, channels, height, width"


class LatentPlane(CourseWidget):
    """A plane of latent vectors: codes of pictures on it, and the decoder's picture at each node.

    The reader moves over the nodes of a grid; the decoder's picture there is enlarged, and the
    nearest code is named. Two dashed circles show one and two deviations of the prior.

    Attributes:
        network, column, row: what is shown (shared with the page), counted from 0; columns go
            to the right and rows upwards.
    """

    _files = "latent_plane"
    _controls = ("network", "column", "row")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    extents = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    network = traitlets.Int(0).tag(sync=True)
    column = traitlets.Int(0).tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        tiles: Any,
        codes: Any,
        *,
        extents: Sequence[Sequence[float]],
        names: Sequence[str],
        labels: Sequence[Any],
        network: int = 0,
        column: int = 0,
        row: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show planes.

        Args:
            tiles: (networks, rows, columns, channels, height, width), uint8 or floats in [-1, 1]:
                the decoder's picture at each node, row 0 at the bottom.
            codes: (networks, pictures, 2), where each network's encoder puts the same pictures.
            extents: for each network (left, right, bottom, top): where the outermost nodes lie.
            names: of the networks.
            labels: what each picture shows, one or two characters.
            network, column, row: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: tiles that are no such pictures, or other arguments that do not fit them.
        """
        self._tiles = pixels(tiles, "tiles", AXES)
        shape = list(self._tiles.shape)
        points = numbers(codes, "codes", "networks, pictures, 2")
        said, words = [str(name) for name in names], [str(label) for label in labels]
        if min(shape[1:3]) < 2:
            raise ValueError(f"tiles need at least 2 rows and 2 columns, got {shape[1:3]}")
        if len(said) != shape[0]:
            raise ValueError(f"names must name {shape[0]} networks, got {len(said)}: {said}")
        if points.shape != (shape[0], len(words), 2):
            wanted = (shape[0], len(words), 2)
            raise ValueError(f"codes must have shape {wanted}, got {points.shape}")
        self._points = np.frombuffer(halves(points), "<f2").reshape(points.shape).astype(float)
        super().__init__(
            data=self._tiles.tobytes(),
            shape=shape,
            names=said,
            extents=_boxes(extents, shape[0]),
            codes=halves(points),
            labels=words,
            network=network,
            column=column,
            row=row,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        networks, rows, columns = self.shape[:3]
        return {"network": (0, networks - 1), "column": (0, columns - 1), "row": (0, rows - 1)}

    def _place(self) -> tuple[float, float]:
        """The latent vector that is shown."""
        left, right, bottom, top = self.extents[self.network]
        rows, columns = self.shape[1:3]
        across, up = self.column / (columns - 1), self.row / (rows - 1)
        return left + (right - left) * across, bottom + (top - bottom) * up

    def _describe(self) -> str:
        """The sentence of the page."""
        x, y = self._place()
        gaps = [math.sqrt((a - x) ** 2 + (b - y) ** 2) for a, b in self._points[self.network]]
        near = gaps.index(min(gaps))
        out = math.sqrt(x * x + y * y)
        return (
            f"{self.names[self.network]}: the decoder's picture at z = ({_hundredth(x)}, "
            f"{_hundredth(y)}), {_hundredth(out)} from the middle of the prior. The nearest of "
            f"{len(gaps)} codes is a {self.labels[near]}, {_hundredth(gaps[near])} away."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        figure, (plane, picture) = new_figure(7, 4, 1, 2, width_ratios=(3, 2))
        left, right, bottom, top = self.extents[self.network]
        plane.set(xlim=(left, right), ylim=(bottom, top), xlabel="z₁", ylabel="z₂")
        for (x, y), label in zip(self._points[self.network], self.labels, strict=True):
            plane.text(x, y, label, fontsize=7, ha="center", va="center", clip_on=True)
        plane.plot(*self._place(), marker="s", color=COLORS["orange"], fillstyle="none", ms=12)
        tile = self._tiles[self.network, self.row, self.column].transpose(1, 2, 0)
        picture.imshow(tile.squeeze(), cmap="gray", vmin=0, vmax=255)
        picture.set_axis_off()
        return figure


def _hundredth(value: float) -> str:
    """−1.499 → "−1.50"; halves go up, as on the page."""
    return f"{math.floor(100 * value + 0.5) / 100:.2f}".replace("-", "−")


def _boxes(extents: Sequence[Sequence[float]], networks: int) -> list[list[float]]:
    """The extents as the page wants them."""
    boxes = [[float(edge) for edge in box] for box in extents]
    finite = all(math.isfinite(edge) for box in boxes for edge in box)
    right = all(len(box) == 4 and box[0] < box[1] and box[2] < box[3] for box in boxes)
    if not finite or not right or len(boxes) != networks:
        raise ValueError(
            f"extents must be {networks} times (left, right, bottom, top), each left < right and "
            f"bottom < top, got {boxes}"
        )
    return boxes
