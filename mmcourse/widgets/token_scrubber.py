"""Token scrubber: a picture is written one code (or one pixel) after another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels, tenth


class TokenScrubber(CourseWidget):
    """Pictures on their way from the first code to the last, with the codes that were likely.

    Places count row by row from the upper left. Pictures travel with one palette of at most
    256 colours for all of them.

    Attributes:
        sample: the picture shown (shared with the page).
        written: how many of its codes are there.
    """

    _files = "token_scrubber"
    _also = ("grid", "player")
    _controls = ("sample", "written")

    # samples, rows, columns, codes, near
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    swatch_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    titles = traitlets.List(traitlets.Unicode()).tag(sync=True)
    nouns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    ordered = traitlets.Bool(False).tag(sync=True)
    sample = traitlets.Int(0).tag(sync=True)
    written = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        codes: Any,
        chances: Any,
        swatches: Any,
        *,
        titles: Sequence[str],
        near: int | None = 5,
        nouns: tuple[str, str] = ("code", "code"),
        sample: int = 0,
        written: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show how pictures were written.

        Args:
            pictures: (samples, places + 1, channels, height, width), uint8 or floats in [-1, 1]:
                what is seen after 0, 1, … all codes.
            codes: the numbers that were drawn (samples, rows, columns).
            chances: (samples, places, codes), the model's probabilities before each draw.
            swatches: what each code paints (codes, channels, height, width).
            titles: one for each sample.
            near: how many of the likeliest codes are listed; None lists all, by their numbers.
            nouns: what is written, and what a number of it is called: ("pixel", "level").
            sample, written: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the parts do not fit together, or are not such.
        """
        frames = pixels(pictures, "pictures", "samples, written, channels, height, width")
        drawn = numbers(codes, "codes", "samples, rows, columns")
        odds = numbers(chances, "chances", "samples, places, codes")
        tiles = pixels(swatches, "swatches", "codes, channels, height, width")
        names = [str(title) for title in titles]
        ordered, listed = near is None, odds.shape[2] if near is None else near
        _check(frames, drawn, odds, tiles, names, listed, nouns)
        self._palette, self._frames = _paletted(frames)
        self._swatches = tiles
        order = np.argsort(0 * odds if ordered else -odds, axis=-1, kind="stable")[..., :listed]
        self._codes = line = drawn.reshape(len(drawn), -1).astype(int)
        own = np.take_along_axis(odds, line[..., None], axis=-1)[..., 0]
        best = np.take_along_axis(odds, order, axis=-1)
        self._likely, self._own, self._best = order, _rounded(own), _rounded(best)
        data = self._palette.tobytes() + self._frames.tobytes() + tiles.tobytes()
        data += line.astype("<u2").tobytes() + order.astype("<u2").tobytes()
        super().__init__(
            data=data + halves(own) + halves(best),
            shape=[*drawn.shape, odds.shape[2], listed],
            image_shape=list(frames.shape[2:]),
            swatch_shape=list(tiles.shape[1:]),
            titles=names,
            nouns=list(nouns),
            ordered=ordered,
            sample=sample,
            written=written,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        samples, rows, columns = self.shape[:3]
        return {"sample": (0, samples - 1), "written": (0, rows * columns)}

    def _describe(self) -> str:
        """The sentence of the page."""
        _, rows, columns, _, _ = self.shape
        title, places = self.titles[self.sample], rows * columns
        (thing, value), bits = self.nouns, -np.log2(self._own[self.sample])
        if self.written == places:
            return f"{title}: all {places} {thing}s are written, {tenth(bits.sum())} bits in all."
        row, column = divmod(self.written, columns)
        own, code = self._own[self.sample, self.written], self._codes[self.sample, self.written]
        listed, chances = (part[self.sample, self.written] for part in (self._likely, self._best))
        first, best = listed[chances.argmax()], chances.max()
        told = f"{title}: {self.written} of {places} {thing}s written. Next, in row {row + 1}, "
        told += f"column {column + 1}: {value} {code}, which had {tenth(100 * own)} % "
        told += f"({tenth(bits[self.written])} bits)"
        if first == code:
            return told + ", the likeliest."
        return told + f"; the likeliest, {first}, had {tenth(100 * best)} %."

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        figure, panels = new_figure(6.2, 3.2, 1, 2)
        colours = self._palette[self._frames[self.sample, self.written]]  # (height, width, c)
        panels[0].imshow(colours.squeeze(), cmap="gray", vmin=0, vmax=255)
        panels[0].set_title(self.titles[self.sample], fontsize=9)
        panels[0].set_axis_off()
        at = min(self.written, self._codes.shape[1] - 1)
        likely = self._likely[self.sample, at][::-1]
        drawn = self._codes[self.sample, at]
        paints = [COLORS["orange" if k == drawn else "blue"] for k in likely]
        panels[1].barh([str(k) for k in likely], self._best[self.sample, at][::-1], color=paints)
        thing, value = self.nouns
        title = f"chances of the next {thing}" if self.ordered else f"likeliest next {value}s"
        panels[1].set_title(title, fontsize=10)
        panels[1].set_xlim(0, 1)
        return figure


def _rounded(values: np.ndarray) -> np.ndarray:
    """As the page will read them."""
    return np.frombuffer(halves(values), "<f2").reshape(values.shape).astype(float)


def _check(
    frames: np.ndarray,
    codes: np.ndarray,
    chances: np.ndarray,
    swatches: np.ndarray,
    titles: list[str],
    near: int,
    nouns: tuple[str, str],
) -> None:
    samples, places, count = len(codes), codes[0].size, chances.shape[2]
    if frames.shape[:2] != (samples, places + 1):
        raise ValueError(
            f"pictures must be ({samples} samples, {places + 1}: after 0 … {places} codes, …), "
            f"got {frames.shape}"
        )
    if chances.shape[:2] != (samples, places):
        raise ValueError(
            f"chances must be ({samples} samples, {places} places, codes), got {chances.shape}"
        )
    if chances.min() < 0 or abs(chances.sum(-1) - 1).max() > 0.01:
        raise ValueError("chances must be probabilities: not negative, with sum 1 at each place")
    if (codes != codes.round()).any() or codes.min() < 0 or codes.max() >= count:
        raise ValueError(f"codes must be whole numbers from 0 to {count - 1}")
    if count > 65_535 or swatches.shape[:2] != (count, frames.shape[2]):
        raise ValueError(
            f"swatches must be ({count} codes, {frames.shape[2]} channels, height, width) of at "
            f"most 65,535 codes, got {swatches.shape}"
        )
    if len(titles) != samples:
        raise ValueError(f"titles must name {samples} samples, got {len(titles)}: {titles}")
    if not 1 <= near <= count:
        raise ValueError(f"near must be from 1 to {count} codes, got {near}")
    if len(nouns) != 2 or not all(nouns):
        raise ValueError(f"nouns must be two words, got {nouns!r}")


def _paletted(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(256, channels) colours, and for each pixel the number of its own (…, height, width).

    Colours are gathered in cubes of a side of 8; the 256 fullest give their means.
    """
    points = np.moveaxis(frames, 2, -1)  # (s, f, c, h, w) -> (s, f, h, w, c)
    flat = points.reshape(-1, points.shape[-1]).astype(int)
    key = (flat // 8) @ (32 ** np.arange(flat.shape[1]))
    _, index, amount = np.unique(key, return_inverse=True, return_counts=True)
    index = index.reshape(-1)
    means = np.stack(
        [np.bincount(index, channel, len(amount)) / amount for channel in flat.T], axis=1
    )
    kept = np.argsort(-amount, kind="stable")[:256]
    apart = ((means[:, None] - means[kept]) ** 2).sum(-1)
    palette = np.zeros((256, flat.shape[1]), np.uint8)
    palette[: len(kept)] = np.floor(means[kept] + 0.5)
    chosen = apart.argmin(1).astype(np.uint8)
    return palette, chosen[index].reshape(points.shape[:-1])
