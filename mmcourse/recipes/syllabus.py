"""What the text-to-image model is shown, and when: first what is hard to find by chance."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mmcourse.data import Scene, caption


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    Args:
        until: share of all updates after which it ends.
        pairs: only scenes of two objects.
        backwards: share of captions that begin at the bottom or on the right.
        times: of the noise in [0, 1], from uniform numbers.
    """

    until: float
    pairs: bool
    backwards: float
    times: Callable[[Tensor], Tensor]


def strong(uniform: Tensor) -> Tensor:
    """Random times in [0.75, 1]: so much noise that only the caption tells what stands where."""
    return 0.75 + 0.25 * uniform


def late(uniform: Tensor) -> Tensor:
    """Random times in [0, 1] for the training: half of them above 0.72.

    (1 − u^0.6)^0.3,  u uniform in [0, 1]

    What is drawn, and where, is decided where the noise is strong: neighbouring latents are so
    alike that the picture can be guessed from them long before single latents can be read.
    """
    return (1 - uniform**0.6) ** 0.3


SYLLABUS = (
    Stage(0.25, pairs=True, backwards=0.0, times=strong),
    Stage(0.30, pairs=True, backwards=0.5, times=strong),
    Stage(1.00, pairs=False, backwards=0.5, times=late),
)
"""The stages in their order.

"A above B" and "B below A" are one scene. Where both are told alike, neither the order of the
words nor the relation by itself says where A is, only both together, and training stands still
for long. So the captions first begin at the top or the left; later they are turned round.
"""


def stage_at(progress: float) -> Stage:
    """The stage after a share of all updates, in [0, 1]."""
    return next(one for one in SYLLABUS if progress <= one.until)


def tellings(scene: Scene, language: str) -> list[str]:
    """Three ways to ask for a scene: in full, and as people do.

    "large" may be left out, and a white background: they are what is meant where nothing is said.
    """
    large = {"en": "large ", "ko": "큰 "}[language]
    short = caption(scene, language, background=scene.background != "white")
    return [caption(scene, language), short, short.replace(large, "")]


def told_both_ways(scene: Scene) -> list[str]:
    """Six tellings that name first what is at the top or on the left, then six the other way.

    The languages differ: "A above B" is "B 위의 A", so that the same words come first in
    "A 아래의 B".
    """
    first = not scene.relations or scene.relations[0] in ("above", "left of")
    there, back = (scene, scene.reversed()) if first else (scene.reversed(), scene)
    return [
        *tellings(there, "en"),
        *tellings(back, "ko"),
        *tellings(back, "en"),
        *tellings(there, "ko"),
    ]
