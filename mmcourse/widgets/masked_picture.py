"""Masked picture: what a masked autoencoder is shown, what it paints, and what was there."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels

VARIANTS = "pictures, ratios, masks"


class MaskedPicture(CourseWidget):
    """Pictures with some of their patches removed, and the guesses for those, side by side.

    Only the removed patches' guesses are stored; the page puts the pictures together and
    computes the errors. Everything counts from 0 here; masks from 1 on the page.

    Attributes:
        picture, ratio, mask: the picture, the place of the ratio and the draw of the mask that
            are shown (shared with the page).
    """

    _files = "masked_picture"
    _controls = ("picture", "ratio", "mask")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # pictures, ratios, masks, side
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    ratios = traitlets.List(traitlets.Float()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    ratio = traitlets.Int(0).tag(sync=True)
    mask = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        images: Any,
        guesses: Any,
        masks: Any,
        *,
        ratios: Sequence[float],
        names: Sequence[str],
        picture: int = 0,
        ratio: int = 0,
        mask: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show some pictures.

        Args:
            images: the true pictures, (pictures, channels, height, width), uint8 or floats in
                [-1, 1].
            guesses: (pictures, ratios, masks, channels, height, width), likewise; only the
                removed patches are looked at.
            masks: (pictures, ratios, masks, side, side), True = removed, on a square grid of
                patches that fits the pictures; each removes some patches and keeps some.
            ratios: the share that is removed, one for each ratio, rising.
            names: one for each picture.
            picture, ratio, mask: shown at first, counted from 0.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the pictures are not such, or the parts do not fit each other.
        """
        self._images = pixels(images, "images", "pictures, channels, height, width")
        painted = pixels(guesses, "guesses", f"{VARIANTS}, channels, height, width")
        hidden = numbers(masks, "masks", f"{VARIANTS}, rows, columns")
        shares, listed = [float(share) for share in ratios], [str(name) for name in names]
        _check(self._images, painted, hidden, shares, listed)
        side = hidden.shape[-1]
        cell = self._images.shape[-1] // side
        gone = hidden.astype(bool).repeat(cell, axis=-2).repeat(cell, axis=-1)
        self._gone, self._guesses = gone, painted
        bits = np.packbits(hidden.astype(bool).reshape(-1, side * side), axis=1)
        cut = _patches(painted, cell)[hidden.astype(bool).reshape(-1)]
        super().__init__(
            data=self._images.tobytes() + bits.tobytes() + cut.tobytes(),
            shape=[*hidden.shape[:3], side],
            image_shape=list(self._images.shape[1:]),
            ratios=shares,
            names=listed,
            picture=picture,
            ratio=ratio,
            mask=mask,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        pictures, ratios, masks, _ = self.shape
        return {"picture": (0, pictures - 1), "ratio": (0, ratios - 1), "mask": (0, masks - 1)}

    def _now(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The true picture, the guesses and where they count."""
        place = (self.picture, self.ratio, self.mask)
        return self._images[self.picture], self._guesses[place], self._gone[place]

    def _describe(self) -> str:
        """The sentence of the page."""
        image, guess, gone = self._now()
        patches, side = self.shape[3] ** 2, self.shape[3]
        removed = int(gone.sum()) * patches // gone.size
        model, mean = errors(image, guess, gone)
        return (
            f"“{self.names[self.picture]}”, mask {self.mask + 1}: {removed} of {patches} patches "
            f"removed ({round(100 * self.ratios[self.ratio])} % asked for, {side} × {side} "
            f"patches). Squared error there: {model:.3f}; with the mean colour of what is "
            f"visible: {mean:.3f}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        image, guess, gone = self._now()
        checks = np.where(np.indices(gone.shape).sum(axis=0) % 2, 168, 136)
        shown = [np.where(gone, checks, image), np.where(gone, guess, image), image]
        titles = ["visible", "painted", "true"]
        return image_grid(np.stack(shown) / 127.5 - 1, titles=titles, scale=2.0)


def errors(image: np.ndarray, guess: np.ndarray, gone: np.ndarray) -> tuple[float, float]:
    """Mean squared error at the removed pixels, in [-1, 1] units: of the guess, and of the mean.

    The mean is that of each channel over the visible pixels. All sums are of whole numbers, so
    that the page gets the same.
    """
    x, y = image.astype(int), guess.astype(int)
    count, visible = int(gone.sum()), int((~gone).sum())
    total, by_mean = 0, 0.0
    for one, other in zip(x, y, strict=True):
        total += int(((one - other) ** 2)[gone].sum())
        mean = int(one[~gone].sum()) / visible
        squares, plain = int((one[gone] ** 2).sum()), int(one[gone].sum())
        by_mean += squares - 2 * mean * plain + count * mean * mean
    scale = 127.5 * 127.5 * count * len(x)
    return total / scale, by_mean / scale


def _patches(pictures: np.ndarray, cell: int) -> np.ndarray:
    """(…, channels, height, width) → (all patches of all, channels · cell · cell)."""
    channels, height, width = pictures.shape[-3:]
    cut = pictures.reshape(-1, channels, height // cell, cell, width // cell, cell)
    return cut.transpose(0, 2, 4, 1, 3, 5).reshape(-1, channels * cell * cell)


def _check(
    images: np.ndarray,
    guesses: np.ndarray,
    masks: np.ndarray,
    ratios: list[float],
    names: list[str],
) -> None:
    """Refuse parts that do not fit each other."""
    count, _, height, width = images.shape
    side = masks.shape[-1]
    if masks.shape[-2] != side or height != width or width % side:
        raise ValueError(
            f"masks must lie on a square grid that fits square pictures, got {masks.shape[-2]} × "
            f"{side} patches on {height} × {width} pixels"
        )
    if guesses.shape[:3] != masks.shape[:3] or guesses.shape[3:] != images.shape[1:]:
        raise ValueError(
            f"guesses must have the shape {(*masks.shape[:3], *images.shape[1:])} of masks and "
            f"images, got {guesses.shape}"
        )
    if masks.shape[0] != count or len(names) != count:
        raise ValueError(
            f"masks and names must be for {count} pictures, got {masks.shape[0]} and {len(names)}"
        )
    rising = sorted(set(ratios)) == ratios and all(0 < share < 1 for share in ratios)
    if len(ratios) != masks.shape[1] or not rising:
        raise ValueError(f"ratios must be {masks.shape[1]} rising shares in (0, 1), got {ratios}")
    share = masks.reshape(*masks.shape[:3], -1).mean(axis=-1)
    if not np.isin(masks, (0, 1)).all() or share.min() <= 0 or share.max() >= 1:
        raise ValueError("masks must be bool, and each remove some patches and keep some")
