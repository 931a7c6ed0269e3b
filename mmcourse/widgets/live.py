"""Widgets that ask a network for what they do not hold: a kernel runs it, or the page itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import traitlets
from anywidget.experimental import command

from mmcourse.widgets.base import CourseWidget

KINDS = {"float32": np.float32, "int32": np.int32}


class LiveWidget(CourseWidget):
    """A widget with networks behind it.

    In a notebook the kernel computes. In a page without a kernel a button loads the networks'
    files, if the book has them, and the page computes; where it cannot, a sentence says so and
    what the widget holds stays. The script asks both alike: `desk.run(part, inputs)`, see
    `model_host.js`.

    Attributes:
        model: the name of the files; empty for a widget without networks.
    """

    _also: ClassVar[tuple[str, ...]] = ("model_host",)

    model = traitlets.Unicode().tag(sync=True)

    def __init__(self, *, live: Any = None, **state: Any) -> None:
        """Remember whom to ask.

        Args:
            live: a `mmcourse.inpage.PageModel`, or None for a widget that only shows what it has.
            state: see `CourseWidget`.
        """
        self._live = live
        super().__init__(model=live.name if live else state.pop("model", ""), **state)

    @command
    def run(self, message: dict[str, Any], buffers: Sequence[Any]) -> tuple[Any, list[bytes]]:
        """What the page asks for: {"part", "inputs": [[name, shape, type], …]}, a buffer each.

        {} only asks whether somebody is there. The answer names the outputs and their shapes, or
        the problem; the numbers are in buffers of single precision.
        """
        if not message:
            return {"ready": self._live is not None}, []
        try:
            inputs = {
                name: torch.from_numpy(_array(data, shape, kind))
                for (name, shape, kind), data in zip(message["inputs"], buffers, strict=True)
            }
            found = self._live.run(message["part"], inputs)
        except (ValueError, IndexError) as error:
            return {"problem": str(error)}, []
        outputs = [[name, list(one.shape)] for name, one in found.items()]
        return {"outputs": outputs}, [one.numpy().tobytes() for one in found.values()]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """What a widget shows, and while the book is built, its networks for the page."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None or self._live is None:
            return bundle
        data, metadata = bundle
        return {**data, **self._live.files()}, metadata


def _array(data: Any, shape: Sequence[int], kind: str) -> np.ndarray:
    if kind not in KINDS:
        raise ValueError(f"numbers are {' or '.join(KINDS)}, got {kind!r}")
    return np.frombuffer(bytes(data), dtype=KINDS[kind]).reshape(shape).copy()
