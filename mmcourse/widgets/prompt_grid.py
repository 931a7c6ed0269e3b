"""Prompt grid: prompts × starting noises × steps of the sampler, from noise to picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, pixels

AXES = "prompts, noises, steps, channels, height, width"


class PromptGrid(CourseWidget):
    """What a text-to-image model draws for a few prompts, from the first step to the last.

    One prompt is shown at a time: a picture for each starting noise at the chosen step, and below
    a strip for each noise. Everything counts from 0 here, and from 1 on the page.

    Attributes:
        prompt, step: what is shown (shared with the page).
    """

    _files = "prompt_grid"
    _also = ("player",)
    _controls = ("prompt", "step")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    prompts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    verdicts = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    prompt = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        *,
        prompts: Sequence[str],
        labels: Sequence[str],
        verdicts: Sequence[Sequence[str]] | None = None,
        prompt: int = 0,
        step: int | None = None,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show pictures.

        Args:
            pictures: (prompts, noises, steps, 3, height, width), uint8 or floats in [-1, 1]:
                what the model expects the picture to be after each step; at most six noises.
            prompts: one for each row of pictures.
            labels: what to call each step.
            verdicts: on each finished picture, (prompts, noises), such as "right".
            prompt, step: shown at first, counted from 0; the last step by default.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the pictures are not such, or prompts, labels or verdicts do not fit.
        """
        self._pictures = pixels(pictures, "pictures", AXES)
        shape = list(self._pictures.shape)
        count, noises, steps = shape[:3]
        if shape[3] != 3 or noises > 6:
            raise ValueError(f"pictures must have 3 channels and at most 6 noises, got {shape}")
        names, marks = [str(one) for one in prompts], [str(one) for one in labels]
        if (len(names), len(marks)) != (count, steps):
            raise ValueError(
                f"need {count} prompts and {steps} labels, got {len(names)} and {len(marks)}"
            )
        judged = [[str(one) for one in row] for row in verdicts or []]
        if verdicts is not None and [len(row) for row in judged] != [noises] * count:
            raise ValueError(f"verdicts must be {count} rows of {noises}, got {judged}")
        super().__init__(
            data=sheet(self._pictures),
            shape=shape,
            prompts=names,
            labels=marks,
            verdicts=judged,
            prompt=prompt,
            step=steps - 1 if step is None else step,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"prompt": (0, self.shape[0] - 1), "step": (0, self.shape[2] - 1)}

    def _describe(self) -> str:
        """The sentence of the page."""
        noises, last = self.shape[1], self.step == self.shape[2] - 1
        said = f"“{self.prompts[self.prompt]}” at {self.labels[self.step]}, {noises} noises"
        verdicts = self.verdicts[self.prompt] if self.verdicts and last else []
        parts = [f"noise {i + 1}: {verdict}" for i, verdict in enumerate(verdicts)]
        return f"{said}; {', '.join(parts)}." if parts else f"{said}."

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        places = np.unique(np.linspace(0, self.shape[2] - 1, 6).round().astype(int))
        shown = self._pictures[self.prompt][:, places]
        titles = [self.labels[i] for i in places] + [""] * (len(places) * (len(shown) - 1))
        flat = shown.reshape(-1, *self.shape[3:]) / 127.5 - 1
        return image_grid(flat, columns=len(places), titles=titles)


def sheet(pictures: np.ndarray) -> bytes:
    """Pictures (rows, …, 3, height, width) as one file that browsers read (WebP).

    The pictures of a row stand side by side; the file is a few hundred bytes a picture.
    """
    from PIL import Image

    height, width = pictures.shape[-2:]
    rows = np.moveaxis(pictures.reshape(len(pictures), -1, 3, height, width), 2, -1)
    whole = rows.transpose(0, 2, 1, 3, 4).reshape(len(pictures) * height, -1, 3)
    buffer = io.BytesIO()
    Image.fromarray(whole).save(buffer, "WEBP", quality=85, method=6)
    return buffer.getvalue()
