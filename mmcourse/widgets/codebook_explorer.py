"""Codebook explorer: a picture as a grid of code numbers, and what another number would paint."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels

Layers = list[tuple[np.ndarray, np.ndarray]]


class CodebookExplorer(CourseWidget):
    """The codes of a VQ-VAE: where each is used, and what it paints.

    One place of the picture is pinned. Its code is lit in the codebook and wherever the picture
    uses it; the next best codes stand beside it with their distances. Any code can be put in
    its place: the page runs the decoder itself. Places count row by row from the upper left.

    The decoder is x̂ = unfold(z_q + f(z_q)): f a chain of convolutions with ReLU between, all
    of odd size and as wide as their input; unfold (`PixelShuffle`) turns each vector into a
    square of pixels.

    Attributes:
        picture, place: what is shown (shared with the page).
        swap: the code put at the place; −1 leaves the encoder's choice.
    """

    _files = "codebook_explorer"
    _also = ("grid",)
    _controls = ("picture", "place", "swap")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # pictures, rows, columns, codes, near
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    layers = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)  # out, in, size
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    swap = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        images: Any,
        vectors: Any,
        codebook: Any,
        layers: Sequence[tuple[Any, Any]],
        *,
        names: Sequence[str] | None = None,
        near: int = 5,
        picture: int = 0,
        place: int = 0,
        swap: int = -1,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show the codes of some pictures.

        Args:
            images: (pictures, channels, height, width), uint8 or floats in [-1, 1].
            vectors: what the encoder made of them (pictures, d, rows, columns), before the
                choice of codes.
            codebook: (codes, d).
            layers: weight (out, in, size, size) and bias (out,) of the decoder's convolutions.
            names: one for each picture.
            near: how many of the nearest codes are listed.
            picture, place, swap: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the parts do not fit together, or are no finite numbers.
        """
        drawn = pixels(images, "images", "pictures, channels, height, width")
        z = numbers(vectors, "vectors", "pictures, d, rows, columns")
        book = numbers(codebook, "codebook", "codes, d")
        _check(drawn, z, book, near)
        listed = [f"Picture {i + 1}" for i in range(len(drawn))] if names is None else list(names)
        if len(listed) != len(drawn):
            raise ValueError(f"names must name {len(drawn)} pictures, got {len(listed)}: {listed}")
        chosen, apart = _nearest(z, book, near)
        packed, self._layers = _pack(layers, book.shape[1])
        self._pixels, self._near = drawn, chosen
        self._codebook = np.frombuffer(halves(book), "<f2").reshape(book.shape).astype(float)
        data = drawn.tobytes() + halves(book) + chosen.astype("<u2").tobytes() + halves(apart)
        super().__init__(
            data=data + packed,
            shape=[len(drawn), *z.shape[2:], len(book), near],
            image_shape=list(drawn.shape[1:]),
            layers=[[*weight.shape[:3]] for weight, _ in self._layers],
            names=[str(name) for name in listed],
            picture=picture,
            place=place,
            swap=swap,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        pictures, rows, columns, codes, _ = self.shape
        places = (0, rows * columns - 1)
        return {"picture": (0, pictures - 1), "place": places, "swap": (-1, codes - 1)}

    def _codes(self) -> np.ndarray:
        """The grid of codes as it is shown (rows, columns)."""
        grid = self._near[self.picture, :, :, 0].copy()
        if self.swap >= 0:
            grid.flat[self.place] = self.swap
        return grid

    def _decode(self, grid: np.ndarray) -> np.ndarray:
        """The picture (channels, height, width) of a grid of codes, about in [-1, 1]."""
        z = np.moveaxis(self._codebook[grid], -1, 0)  # (rows, columns, d) -> (d, rows, columns)
        x = z
        for index, (weight, bias) in enumerate(self._layers):
            x = _convolve(np.maximum(x, 0) if index else x, weight, bias)
        return _unfold(z + x, self.image_shape[0])

    def _describe(self) -> str:
        columns = self.shape[2]
        row, column = divmod(self.place, columns)
        first = self._near[self.picture, row, column, 0]
        used = int((self._near[self.picture, :, :, 0] == first).sum())
        told = f"“{self.names[self.picture]}”: place (row {row + 1}, column {column + 1}) holds "
        told += f"code {first}, which this picture uses {'once' if used == 1 else f'{used} times'}"
        return told + (f"; shown with code {self.swap} instead." if self.swap >= 0 else ".")

    def _draw(self) -> Any:
        from matplotlib.patches import Rectangle

        from mmcourse.plots import COLORS, new_figure

        figure, panels = new_figure(6.2, 3.4, 1, 2)
        _, rows, columns, _, _ = self.shape
        grid = self._codes()
        decoded = ((self._decode(grid) + 1) / 2).clip(0, 1)
        box = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        for axes, shown in zip(panels, (self._pixels[self.picture] / 255, decoded), strict=True):
            axes.imshow(shown.transpose(1, 2, 0).squeeze(), cmap="gray", extent=box)
            axes.set_axis_off()
        panels[0].set_title(self.names[self.picture], fontsize=10)
        panels[1].set_title("decoded from its code numbers", fontsize=10)
        same = grid == grid.flat[self.place]
        for (i, j), code in np.ndenumerate(grid):
            words = {"ha": "center", "va": "center", "fontsize": 7}
            paper = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7}
            panels[1].text(j, i, str(code), bbox=paper, **words)
            if same[i, j]:
                square = Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, lw=2, ec=COLORS["orange"])
                panels[1].add_patch(square)
        return figure


def _check(images: np.ndarray, z: np.ndarray, book: np.ndarray, near: int) -> None:
    count, channels, height, width = images.shape
    pictures, d, rows, columns = z.shape
    side = math.isqrt(d // channels)
    if pictures != count or (channels * side**2, rows * side, columns * side) != (d, height, width):
        raise ValueError(
            "vectors must be (pictures, channels·p², height / p, width / p) for images "
            f"{images.shape}, got {z.shape}"
        )
    if book.shape[1] != d or len(book) > 65_535:
        raise ValueError(f"codebook must be (at most 65,535 codes, {d}), got {book.shape}")
    if not 1 <= near <= len(book):
        raise ValueError(f"near must be from 1 to {len(book)} codes, got {near}")


def _nearest(z: np.ndarray, book: np.ndarray, near: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest codes of every place and their distances, (pictures, rows, columns, near)."""
    rows = np.moveaxis(z, 1, -1)  # (pictures, d, rows, columns) -> (pictures, rows, columns, d)
    squares = (rows**2).sum(-1)[..., None] - 2 * rows @ book.T + (book**2).sum(-1)
    order = np.argsort(squares, axis=-1, kind="stable")[..., :near]
    return order, np.sqrt(np.take_along_axis(squares, order, axis=-1).clip(0))


def _pack(layers: Sequence[tuple[Any, Any]], d: int) -> tuple[bytes, Layers]:
    """Convolutions as bytes (for each output its own scale), and as the page will read them."""
    packed, kept, width = b"", [], d
    for given, offset in layers:
        weight = numbers(given, "a layer's weight", "out, in, size, size")
        bias = numbers(offset, "a layer's bias", "out,")
        out, into, size, other = weight.shape
        if into != width or size != other or size % 2 == 0 or bias.shape != (out,):
            raise ValueError(
                f"a layer must be ((out, {width}, size, size), (out,)) of odd size, "
                f"got {weight.shape} and {bias.shape}"
            )
        scale = np.abs(weight).max(axis=(1, 2, 3)) / 127
        scale = np.frombuffer(halves(np.maximum(scale, 1e-6)), "<f2").astype(float)
        small = np.round(weight / scale[:, None, None, None]).clip(-127, 127).astype(np.int8)
        packed += halves(scale) + halves(bias) + small.tobytes()
        kept.append((small * scale[:, None, None, None], bias.astype("<f2").astype(float)))
        width = out
    if width != d or not kept:
        raise ValueError(f"layers must lead from {d} numbers back to {d}, got {width}")
    return packed, kept


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A convolution with zeros around, which keeps rows and columns."""
    size = weight.shape[-1]
    wide = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(wide, (size, size), axis=(1, 2))
    return np.einsum("crsij,ocij->ors", windows, weight, optimize=True) + bias[:, None, None]


def _unfold(z: np.ndarray, channels: int) -> np.ndarray:
    """(channels·p², rows, columns) -> (channels, rows·p, columns·p), as `PixelShuffle`."""
    d, rows, columns = z.shape
    p = math.isqrt(d // channels)
    squares = z.reshape(channels, p, p, rows, columns).transpose(0, 3, 1, 4, 2)
    return squares.reshape(channels, rows * p, columns * p)
