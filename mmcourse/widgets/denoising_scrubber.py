"""Denoising scrubber: wind through the frames of a process that makes pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels

AXES = "tracks, frames, count, channels, height, width"


class DenoisingScrubber(CourseWidget):
    """Frames of one or several processes side by side, with a slider and a play button.

    Attributes:
        frame: the frame shown, counted from 0 (shared with the page).
    """

    _files = "denoising_scrubber"
    _also = ("player",)
    _controls = ("frame",)

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    labels = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    tracks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    curves = traitlets.List(traitlets.Dict()).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        frames: Any,
        *,
        labels: Sequence[Any],
        tracks: Sequence[str] | None = None,
        frame: int = 0,
        curve: Mapping[str, Any] | None = None,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show frames.

        Args:
            frames: (tracks, frames, count, channels, height, width), uint8 or floats in [-1, 1];
                with a single track its axis may be left out.
            labels: one per frame ("t = 999"), or one such list per track.
            tracks: the names of the tracks, such as "x_t" and "x̂₀".
            frame: shown at first.
            curve: name → a number per frame, drawn below; at most four.
            presets: buttons: {"name": …, "note": what to look for, "frame": …}.
            caption: a sentence below.

        Raises:
            ValueError: the frames are not such, or labels, tracks or curves do not fit them.
        """
        if len(np.shape(frames)) == 5:
            frames = frames[None]
        self._frames = pixels(frames, "frames", AXES)
        shape = list(self._frames.shape)
        names = [f"track {i + 1}" for i in range(shape[0])] if tracks is None else list(tracks)
        if len(names) != shape[0]:
            raise ValueError(f"tracks must name {shape[0]} tracks, got {len(names)}: {names}")
        super().__init__(
            data=self._frames.tobytes(),
            shape=shape,
            labels=_labels(labels, shape[0], shape[1]),
            tracks=names,
            curves=_curves(curve or {}, shape[1]),
            frame=frame,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"frame": (0, self.shape[1] - 1)}

    def _describe(self) -> str:
        _, frames, count = self.shape[:3]
        firsts = [f"{name} from {self.labels[i][0]}" for i, name in enumerate(self.tracks)]
        ends = [one[-1] for one in self.labels]
        parts = [f"{first} to {end}" for first, end in zip(firsts, ends, strict=True)]
        return f"{frames} frames of {count} pictures becoming clear: {', '.join(parts)}."

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        places = np.unique(np.linspace(0, self.shape[1] - 1, 7).round().astype(int))
        shown = self._frames[:, places, 0].reshape(-1, *self.shape[3:])
        titles = [one[i] for one in self.labels for i in places]
        columns = len(places)
        return image_grid(shown / 127.5 - 1, columns=columns, titles=titles, row_titles=self.tracks)


def _labels(labels: Sequence[Any], tracks: int, frames: int) -> list[list[str]]:
    """One list of labels per track."""
    single = all(isinstance(label, str) for label in labels)
    nested = [list(labels)] * tracks if single else [list(one) for one in labels]
    lengths = [len(one) for one in nested]
    if lengths != [frames] * tracks:
        raise ValueError(
            f"labels must be {frames} per track for {tracks} tracks, got lists of {lengths}"
        )
    return [[str(label) for label in one] for one in nested]


def _curves(curve: Mapping[str, Any], frames: int) -> list[dict[str, Any]]:
    """The curves as the page wants them."""
    if len(curve) > 4:
        raise ValueError(f"curve must hold at most 4 curves, got {len(curve)}: {list(curve)}")
    listed = []
    for name, values in curve.items():
        array = numbers(values, f"curve {name!r}", "frames")
        if len(array) != frames:
            raise ValueError(f"curve {name!r} needs {frames} values, got {len(array)}")
        listed.append({"name": name, "values": [float(f"{v:.5g}") for v in array]})
    return listed
