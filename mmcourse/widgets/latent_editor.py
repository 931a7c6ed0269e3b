"""Latent editor: change the numbers behind a picture, and let the decoder paint what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import fixed, halves, numbers, pixels
from mmcourse.widgets.live import LiveWidget

LATENTS = "scenes, edits, channels, rows, columns"
PICTURES = "scenes, edits, channels, height, width"


class LatentEditor(LiveWidget):
    """The latent of a picture, its decoded picture, and what an edit of the latent changes.

    A few edits are stored with their pictures. With a decoder behind it (a kernel, or the page's
    own), any number can be set, and the picture is painted anew. Everything counts from 0 here.

    Attributes:
        scene, edit, channel, place: the picture, the stored edit (0 = none), and the channel and
            place of the latent that are looked at (shared with the page).
    """

    _files = "latent_editor"
    _also = ("model_host", "grid")
    _controls = ("scene", "edit", "channel", "place")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # scenes, edits, channels, rows, columns
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    edits = traitlets.List(traitlets.Unicode()).tag(sync=True)
    scene = traitlets.Int(0).tag(sync=True)
    edit = traitlets.Int(0).tag(sync=True)
    channel = traitlets.Int(0).tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        latents: Any,
        pictures: Any,
        *,
        names: Sequence[str],
        edits: Sequence[str],
        scene: int = 0,
        edit: int = 0,
        channel: int = 0,
        place: int = 0,
        live: Any = None,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show latents and what a decoder made of them.

        Args:
            latents: (scenes, edits, channels, rows, columns), finite; edit 0 is the latent as it
                was, the others are changed ones.
            pictures: (scenes, edits, 3, height, width), uint8 or floats in [-1, 1], decoded.
            names: of the scenes. edits: of the edits, the first such as "as encoded".
            scene, edit, channel, place: shown at first.
            live: a `PageModel` with the part "decoder": z (1, channels, rows, columns) → out
                (1, 3, height, width).
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: axes or names do not fit, or a control is out of its range.
        """
        self._latents = numbers(latents, "latents", LATENTS)
        self._pictures = pixels(pictures, "pictures", PICTURES)
        listed, changed = [str(name) for name in names], [str(edit) for edit in edits]
        wanted = (len(listed), len(changed))
        if self._latents.shape[:2] != wanted or self._pictures.shape[:2] != wanted:
            found = self._latents.shape[:2], self._pictures.shape[:2]
            raise ValueError(
                f"need latents and pictures of {wanted[0]} scenes and {wanted[1]} edits, "
                f"got {found[0]} and {found[1]}"
            )
        super().__init__(
            live=live,
            data=halves(self._latents) + self._pictures.tobytes(),
            shape=list(self._latents.shape),
            image_shape=list(self._pictures.shape[2:]),
            names=listed,
            edits=changed,
            scene=scene,
            edit=edit,
            channel=channel,
            place=place,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        scenes, edits, channels, rows, columns = self.shape
        return {
            "scene": (0, scenes - 1),
            "edit": (0, edits - 1),
            "channel": (0, channels - 1),
            "place": (0, rows * columns - 1),
        }

    def _describe(self) -> str:
        """The sentence of the page."""
        row, column = divmod(self.place, self.shape[4])
        before = self._latents[self.scene, 0, self.channel, row, column]
        now = self._latents[self.scene, self.edit, self.channel, row, column]
        was = "" if abs(now - before) < 0.005 else f", before {fixed(before)}"
        first, after = self._pictures[self.scene, 0], self._pictures[self.scene, self.edit]
        apart = np.abs(first.astype(int) - after).max(axis=0)
        changed = "The picture is as it was."
        if apart.max():
            changed = (
                f"{(apart > 8).mean():.0%} of the pixels changed by more than 8 grey levels, "
                f"at most by {apart.max()}."
            )
        return (
            f"“{self.names[self.scene]}”, {self.edits[self.edit]}: channel {self.channel + 1}, "
            f"row {row + 1}, column {column + 1} holds {fixed(now)}{was}. {changed}"
        )

    def _draw(self) -> Any:
        from mmcourse.plots import heat_map, new_figure

        figure, panels = new_figure(6.6, 3.0, 1, 3)
        values = self._latents[self.scene, self.edit, self.channel]
        most = max(np.abs(values).max(), 1e-9)
        heat_map(panels[0], values, low=-most, high=most)
        panels[0].set_title(f"channel {self.channel + 1}", fontsize=10)
        for axes, edit in zip(panels[1:], (0, self.edit), strict=True):
            axes.imshow(self._pictures[self.scene, edit].transpose(1, 2, 0))
            axes.set_title(self.edits[edit], fontsize=10)
            axes.set_axis_off()
        return figure
