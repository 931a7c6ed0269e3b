"""Patch attention: pin a patch of a picture, or the class token, and see where it looks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels


class PatchAttention(CourseWidget):
    """Attention of a Vision Transformer, drawn on the pictures it looks at.

    One patch of the picture, or the class token, is pinned: the query. Beside it the picture is
    lit where the query looks, and dim elsewhere; small maps show every layer and head at once.
    Layers and heads count from 0 here, from 1 on the page; token 0 is the class token, token
    1 the upper left patch.

    Attributes:
        picture, layer, head, pinned: what is shown (shared with the page); head −1 is the mean
            over the heads, layer −1 all layers together (rollout, whatever the head).
    """

    _files = "patch_attention"
    _also = ("grid", "veil")
    _controls = ("picture", "layer", "head", "pinned")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # pictures, layers, heads, tokens
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(-1).tag(sync=True)
    pinned = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        images: Any,
        weights: Any,
        *,
        names: Sequence[str] | None = None,
        picture: int = 0,
        layer: int | None = None,
        head: int = -1,
        pinned: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show the attention on some pictures.

        Args:
            images: (pictures, channels, height, width), uint8 or floats in [-1, 1].
            weights: (layers, pictures, heads, tokens, tokens) as `ViT.attention(images)` gives
                them: each row ≥ 0 with sum 1, the class token first, a square grid of patches.
            names: one for each picture.
            picture, layer, head, pinned: shown at first; by default the class token in the mean
                over the heads of the last layer.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the weights are not such, or pictures and names do not fit them.
        """
        drawn = pixels(images, "images", "pictures, channels, height, width")
        array = numbers(weights, "weights", "layers, pictures, heads, queries, keys")
        array = np.moveaxis(array, 1, 0)  # (pictures, layers, heads, queries, keys)
        _check(array, len(drawn))
        listed = [f"Picture {i + 1}" for i in range(len(drawn))] if names is None else list(names)
        if len(listed) != len(drawn):
            raise ValueError(f"names must name {len(drawn)} pictures, got {len(listed)}: {listed}")
        # Bytes relative to each row's largest weight: good to a 500th of it.
        most = array.max(axis=-1, keepdims=True).astype("<f2").astype(float)
        small = np.round(255 * array / np.maximum(most, 1e-9)).clip(0, 255).astype(np.uint8)
        self._pixels, self._weights = drawn, small / 255 * most
        start = {"picture": picture, "head": head, "pinned": pinned}
        super().__init__(
            data=drawn.tobytes() + small.tobytes() + halves(most),
            shape=list(array.shape[:4]),
            image_shape=list(drawn.shape[1:]),
            names=[str(name) for name in listed],
            layer=array.shape[1] - 1 if layer is None else layer,
            presets=presets,
            caption=caption,
            **start,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        pictures, layers, heads, tokens = self.shape
        limits = {"picture": (0, pictures - 1), "layer": (-1, layers - 1)}
        return {**limits, "head": (-1, heads - 1), "pinned": (0, tokens - 1)}

    def _row(self) -> np.ndarray:
        """The weights that the pinned token gives to all tokens."""
        weights = self._weights[self.picture]
        if self.layer >= 0:
            picked = weights[self.layer, :, self.pinned]
            return picked.mean(axis=0) if self.head < 0 else picked[self.head]
        row = np.eye(self.shape[3])[self.pinned]
        for layer in weights.mean(axis=1)[::-1]:
            row = (row @ layer + row) / 2
        return row

    def _describe(self) -> str:
        row, side = self._row(), math.isqrt(self.shape[3] - 1)
        best = [
            f"{_token(j, side)} {row[j]:.2f}" for j in np.argsort(-row)[:3].tolist() if row[j] > 0
        ]
        where = f"layer {self.layer + 1}, "
        where += "mean over the heads" if self.head < 0 else f"head {self.head + 1}"
        where = "all layers, rollout" if self.layer < 0 else where
        return (
            f"“{self.names[self.picture]}”: {_token(self.pinned, side)} attends most to "
            f"{', '.join(best)} ({where})."
        )

    def _draw(self) -> Any:
        from matplotlib.patches import Rectangle

        from mmcourse.plots import COLORS, new_figure

        figure, panels = new_figure(6.2, 3.3, 1, 2)
        side = math.isqrt(self.shape[3] - 1)
        shown = self._pixels[self.picture].transpose(1, 2, 0) / 255
        lit = self._row()[1:].reshape(side, side)
        box = (-0.5, side - 0.5, side - 0.5, -0.5)
        for axes, veil in zip(panels, (0.0, 0.85), strict=True):
            axes.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=1, extent=box)
            dim = veil * (1 - lit / max(lit.max(), 1e-9))
            axes.imshow(np.zeros((side, side, 3)), alpha=dim, extent=box)
            axes.set_axis_off()
            if self.pinned:
                y, x = divmod(self.pinned - 1, side)
                corner = (x - 0.5, y - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, lw=3, ec=COLORS["orange"]))
        panels[0].set_title(_token(self.pinned, side), fontsize=10)
        panels[1].set_title("attends to", fontsize=10)
        return figure


def _token(token: int, side: int) -> str:
    if token == 0:
        return "the class token"
    row, column = divmod(token - 1, side)
    return f"patch (row {row + 1}, column {column + 1})"


def _check(weights: np.ndarray, pictures: int) -> None:
    """Refuse what are no attention weights (pictures, layers, heads, queries, keys)."""
    count, _, _, queries, keys = weights.shape
    side = math.isqrt(max(queries - 1, 0))
    if queries != keys or side < 1 or side * side != queries - 1:
        raise ValueError(
            "weights need as many queries as keys, one class token and a square grid of "
            f"patches, got {queries} queries and {keys} keys"
        )
    if count != pictures:
        raise ValueError(f"weights must be for {pictures} pictures, got {count}")
    if weights.min() < 0:
        raise ValueError(f"weights must be at least 0, got {weights.min():.3g}")
    sums = weights.sum(axis=-1)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > 0.02:
        raise ValueError(f"weights must sum to 1 over the keys, got a sum of {worst:.4g}")
