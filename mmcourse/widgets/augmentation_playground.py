"""Augmentation playground: the nine operators of SimCLR on a picture, and a positive pair."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, pixels

OPERATORS = (
    "original",
    "crop and resize",
    "crop, resize and flip",
    "colour distortion (drop)",
    "colour distortion (jitter)",
    "rotate",
    "cutout",
    "Gaussian noise",
    "Gaussian blur",
    "Sobel filtering",
)
MOST = 10  # the last step of the strength


class AugmentationPlayground(CourseWidget):
    """Ten panels, (a) to (j), of one picture, one of them enlarged, and two trained-on views.

    The page computes everything from the pictures, the strength and the number of the draw;
    the same draw gives the same random numbers at every strength.

    Attributes:
        picture, operator, strength, draw: what is shown (shared with the page); operators
            count from 0, the original; the strength goes from 0 to 10.
    """

    _files = "augmentation_playground"
    _controls = ("picture", "operator", "strength", "draw")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    operator = traitlets.Int(4).tag(sync=True)
    strength = traitlets.Int(6).tag(sync=True)
    draw = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        images: Any,
        *,
        names: Sequence[str],
        picture: int = 0,
        operator: int = 4,
        strength: int = 6,
        draw: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show pictures.

        Args:
            images: (pictures, 3, side, side), uint8 or floats in [-1, 1].
            names: of the pictures.
            picture, operator, strength, draw: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: pictures that are not square and coloured, or not one name each.
        """
        self._images = pixels(images, "images", "pictures, 3, side, side")
        shape = list(self._images.shape)
        if shape[1] != 3 or shape[2] != shape[3]:
            raise ValueError(f"images must be (pictures, 3, side, side), got {shape}")
        if len(names) != shape[0]:
            raise ValueError(f"names must be {shape[0]}, got {len(names)}")
        super().__init__(
            data=self._images.tobytes(),
            shape=shape,
            names=[str(name) for name in names],
            picture=picture,
            operator=operator,
            strength=strength,
            draw=draw,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {
            "picture": (0, len(self._images) - 1),
            "operator": (0, len(OPERATORS) - 1),
            "strength": (0, MOST),
            "draw": (0, 7),
        }

    def _describe(self) -> str:
        """The sentence of the page."""
        letter, kind = "abcdefghij"[self.operator], OPERATORS[self.operator]
        text = f"“{self.names[self.picture]}”, panel ({letter}): {kind}"
        if self.operator:
            text += f", strength {self.strength} of {MOST}"
        used = {2: "yes", 3: "yes", 4: "yes", 8: "yes, for large pictures"}.get(self.operator)
        if self.operator == 0:
            return f"{text}. Random draw {self.draw + 1}."
        return f"{text}, random draw {self.draw + 1}. Trained with: {used or 'no, only studied'}."

    def _draw(self) -> Any:
        """The pictures as they are: what the operators make of them is computed on the page."""
        from mmcourse.plots import image_grid

        shown = self._images.astype(np.float32) / 127.5 - 1
        return image_grid(shown, columns=len(shown), titles=self.names, scale=1.4)
