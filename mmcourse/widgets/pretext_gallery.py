"""Pretext gallery: turn a picture or shuffle its tiles, and see what a network guesses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels, tenth

TURNS = ("upright", "turned by 90°", "turned by 180°", "turned by 270°")


class PretextGallery(CourseWidget):
    """A picture as the pretext task shows it, the network's guesses, and the picture mended.

    Task 0 turns the picture by quarter turns counter-clockwise, task 1 lays its tiles in one of
    the known orders. The page turns and shuffles by itself; the guesses were computed before.

    Attributes:
        task, picture, turn, order: what is shown (shared with the page); `turn` counts in task
            0, `order` in task 1.
    """

    _files = "pretext_gallery"
    _controls = ("task", "picture", "turn", "order")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    orders = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    margin = traitlets.Int(0).tag(sync=True)
    guesses = traitlets.Bytes().tag(sync=True)
    task = traitlets.Int(0).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    turn = traitlets.Int(0).tag(sync=True)
    order = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        images: Any,
        turns: Any,
        solved: Any,
        *,
        orders: Any,
        names: Sequence[str],
        margin: int = 0,
        task: int = 0,
        picture: int = 0,
        turn: int = 0,
        order: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show pictures.

        Args:
            images: (pictures, channels, side, side), uint8 or floats in [-1, 1].
            turns: (pictures, 4, 4) probabilities of the turns for each turn.
            solved: (pictures, K, K) probabilities of the orders for each order.
            orders: (K, n) the known orders: place i shows tile order[i]; √n divides the side.
            names: of the pictures.
            margin: an even number of pixels left out between tiles, half on each side.
            task, picture, turn, order: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the parts do not fit one another.
        """
        self._images = pixels(images, "images", "pictures, channels, side, side")
        known = numbers(orders, "orders", "orders, tiles").astype(int)
        self._turns = _shares(turns, "turns", (len(self._images), 4, 4))
        self._solved = _shares(solved, "solved", (len(self._images), len(known), len(known)))
        _check_tiles(self._images, known, margin)
        if len(names) != len(self._images):
            raise ValueError(f"names must be {len(self._images)}, got {len(names)}")
        super().__init__(
            data=self._images.tobytes(),
            guesses=halves(np.concatenate([self._turns.ravel(), self._solved.ravel()])),
            shape=list(self._images.shape),
            names=[str(name) for name in names],
            orders=known.tolist(),
            margin=margin,
            task=task,
            picture=picture,
            turn=turn,
            order=order,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        pictures, orders = len(self._images), len(self.orders)
        return {
            "task": (0, 1),
            "picture": (0, pictures - 1),
            "turn": (0, 3),
            "order": (0, orders - 1),
        }

    def _now(self) -> tuple[np.ndarray, int, list[str]]:
        """The probabilities, the truth, and what the answers are called."""
        if self.task == 0:
            return self._turns[self.picture, self.turn], self.turn, list(TURNS)
        words = [f"order {i + 1}" for i in range(len(self.orders))]
        return self._solved[self.picture, self.order], self.order, words

    def _describe(self) -> str:
        """The sentence of the page."""
        shares, truth, words = self._now()
        best = int(shares.argmax())
        name = self.names[self.picture]
        done = words[truth] if self.task == 0 else f"its tiles in {words[truth]}"
        verdict = "Right." if best == truth else "Wrong."
        return (
            f"“{name}”, {done}. The network says {words[best]}, "
            f"{tenth(100 * float(np.float16(shares[best])))} %. {verdict}"
        )

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        shown = self._images[self.picture] / 127.5 - 1
        shares, truth, _ = self._now()
        best = int(shares.argmax())
        if self.task == 0:
            asked = np.rot90(shown, truth, (1, 2))
            mended = np.rot90(asked, -best, (1, 2))
        else:
            asked = _laid(_cut(shown, len(self.orders[0]), self.margin), self.orders[truth])
            mended = _laid(asked, np.argsort(self.orders[best]))
            asked, mended = _join(asked), _join(mended)
        return image_grid([asked, mended], titles=["the question", "as guessed"], scale=2)


def _shares(values: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = numbers(values, name, "pictures, questions, answers")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.min() < 0 or abs(array.sum(-1) - 1).max() > 1e-3:
        raise ValueError(f"{name} must hold probabilities that sum to 1 in every row")
    return array


def _cut(image: np.ndarray, count: int, margin: int) -> np.ndarray:
    """(channels, side, side) → (tiles, channels, rows, columns), half the margin off each side."""
    grid, (channels, side, _) = round(count**0.5), image.shape
    small, off = side // grid, margin // 2
    tiles = image.reshape(channels, grid, small, grid, small).transpose(1, 3, 0, 2, 4)
    return tiles.reshape(count, channels, small, small)[..., off : small - off, off : small - off]


def _laid(tiles: np.ndarray, order: Any) -> np.ndarray:
    return tiles[list(order)]


def _join(tiles: np.ndarray) -> np.ndarray:
    grid, gap = round(len(tiles) ** 0.5), ((0, 0), (0, 0), (1, 1), (1, 1))
    framed = np.pad(tiles, gap, constant_values=0.4)
    rows = framed.reshape(grid, grid, *framed.shape[1:]).transpose(2, 0, 3, 1, 4)
    return rows.reshape(len(rows), grid * framed.shape[2], grid * framed.shape[3])


def _check_tiles(images: np.ndarray, known: np.ndarray, margin: int) -> None:
    side, grid = images.shape[-1], round(known.shape[1] ** 0.5)
    if grid**2 != known.shape[1] or images.shape[2] != side or side % grid:
        raise ValueError(
            "images must be square and orders of a square number of tiles that fits them, "
            f"got pictures {images.shape[1:]} and {known.shape[1]} tiles"
        )
    if (np.sort(known, 1) != np.arange(grid**2)).any():
        raise ValueError(f"every order must hold 0 … {grid**2 - 1} once, got {known.tolist()}")
    if margin < 0 or margin % 2 or margin >= side // grid:
        raise ValueError(f"margin must be even and less than a tile, got {margin}")


__all__ = ["PretextGallery"]
