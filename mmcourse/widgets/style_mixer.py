"""Style mixer: a picture whose coarse, middle and fine styles come from others; and the fade-in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, pixels

AXES = "coarse, middle, fine, channels, height, width"
FADES = "moments, pictures, channels, height, width"
BANDS = ("coarse", "middle", "fine")
TENTHS = 10  # of α


class StyleMixer(CourseWidget):
    """Above, three rows of the same sources: one is chosen for each band of styles, and the
    mixture is shown enlarged. Below, pictures of a smaller size that a larger one takes over from.

    All mixtures are given; the fade is computed on the page:
    (1 − α) · doubled old + α · new.

    Attributes:
        coarse, middle, fine: from which source the styles of each band come, counted from 0.
        moment: when in the training, counted from 0.
        alpha: α in tenths, 0 … 10 (all shared with the page).
    """

    _files = "style_mixer"
    _controls = (*BANDS, "moment", "alpha")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    seen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    fades = traitlets.List(traitlets.Int()).tag(sync=True)
    moments = traitlets.List(traitlets.Unicode()).tag(sync=True)
    coarse = traitlets.Int(0).tag(sync=True)
    middle = traitlets.Int(0).tag(sync=True)
    fine = traitlets.Int(0).tag(sync=True)
    moment = traitlets.Int(0).tag(sync=True)
    alpha = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        mixtures: Any,
        old: Any,
        new: Any,
        *,
        names: Sequence[str],
        moments: Sequence[str],
        seen: Sequence[str] = (),
        coarse: int = 0,
        middle: int = 0,
        fine: int = 0,
        moment: int = 0,
        alpha: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show mixtures and a fade.

        Args:
            mixtures: (n, n, n, channels, height, width), uint8 or floats in [-1, 1]: the picture
                whose coarse, middle and fine styles are those of the three sources; along the
                diagonal stand the sources themselves.
            old: (moments, pictures, channels, height, width), drawn by the smaller part.
            new: the same pictures by the larger part, twice as high and wide.
            names: of the n sources, short.
            moments: names of the moments.
            seen: what each mixture shows, n³ phrases, the fine source changing fastest; or none.
            coarse, middle, fine, moment, alpha: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: pictures that are no such, or other arguments that do not fit them.
        """
        self._mixtures = pixels(mixtures, "mixtures", AXES)
        self._old, self._new = pixels(old, "old", FADES), pixels(new, "new", FADES)
        count = len(self._mixtures)
        if self._mixtures.shape[:3] != (count,) * 3 or count < 2:
            raise ValueError(f"mixtures must be (n, n, n, …), n ≥ 2, got {self._mixtures.shape}")
        small, large = self._old.shape, self._new.shape
        if (*small[:3], 2 * small[3], 2 * small[4]) != large:
            raise ValueError(f"new must be old at twice the size, got {large} for {small}")
        phrases = _texts("seen", seen, count**3 if seen else 0)
        super().__init__(
            data=b"".join(part.tobytes() for part in (self._mixtures, self._old, self._new)),
            shape=[count, *self._mixtures.shape[3:]],
            fades=list(small),
            names=_texts("names", names, count),
            moments=_texts("moments", moments, small[0]),
            seen=phrases,
            coarse=coarse,
            middle=middle,
            fine=fine,
            moment=moment,
            alpha=alpha,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        sources = dict.fromkeys(BANDS, (0, self.shape[0] - 1))
        return {**sources, "moment": (0, self.fades[0] - 1), "alpha": (0, TENTHS)}

    def _describe(self) -> str:
        """The sentence of the page."""
        chosen = [getattr(self, band) for band in BANDS]
        parts = [f"{band} from {self.names[i]}" for band, i in zip(BANDS, chosen, strict=True)]
        words = f"Styles: {', '.join(parts)}"
        if self.seen:
            place = (self.coarse * self.shape[0] + self.middle) * self.shape[0] + self.fine
            words += f"; the picture shows {self.seen[place]}"
        share = self.alpha / TENTHS
        return (
            f"{words}. Fade, {self.moments[self.moment]}: α = {share:.1f}, that is "
            f"{1 - share:.1f} of the old and {share:.1f} of the new."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        sources = [self._mixtures[i, i, i] for i in range(self.shape[0])]
        mixture = self._mixtures[self.coarse, self.middle, self.fine]
        titles = [*self.names, "the mixture"]
        return image_grid(np.stack([*sources, mixture]) / 127.5 - 1, titles=titles)


def _texts(name: str, given: Sequence[str], wanted: int) -> list[str]:
    """So many texts, or a ValueError."""
    if len(given) != wanted:
        raise ValueError(f"{name} must hold {wanted} texts, got {len(given)}")
    return [str(text) for text in given]
