"""The world of the course: scenes of one to three coloured shapes on a plain background."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

SHAPES = ("circle", "square", "triangle", "cross", "ring", "star", "heart", "crescent")
COLORS = {
    "red": (222, 32, 38),
    "green": (28, 156, 62),
    "blue": (30, 84, 230),
    "yellow": (255, 210, 0),
    "purple": (148, 56, 212),
    "orange": (255, 126, 0),
    "cyan": (0, 196, 222),
    "pink": (255, 116, 186),
}
BACKGROUNDS = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (112, 112, 116),
    "beige": (232, 212, 174),
}
SIZES = {"small": 0.13, "large": 0.2}
"""Half the width of a shape as a share of the picture's width."""

INVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
RELATIONS = tuple(INVERSE)
HORIZONTAL = ("left of", "right of")

PLAIN_SHAPES = SHAPES[:6]
PLAIN_COLORS = tuple(COLORS)[:6]
HELD_OUT = (
    ("red", "ring"),
    ("green", "circle"),
    ("blue", "star"),
    ("yellow", "triangle"),
    ("purple", "square"),
    ("orange", "cross"),
    ("cyan", "heart"),
    ("pink", "crescent"),
)
"""Colour–shape pairs that the training split never shows; every colour and shape occurs once."""


def one_of(what: str, value: object, allowed: Iterable[object]) -> None:
    """Raise a ValueError that says what was allowed and what was received."""
    allowed = tuple(allowed)
    if value not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(f"{what} must be one of {names}; got {value!r}")


@dataclass(frozen=True)
class Object_:
    """One shape of a scene.

    Args:
        shape: one of `SHAPES`.
        color: one of `COLORS`.
        size: "small" or "large".
        position: centre (x, y) in [0, 1], x to the right and y down; None before `place`.
            Not part of equality: two scenes are equal when their captions are.

    Raises:
        ValueError: for an unknown name or a centre outside the picture.
    """

    shape: str
    color: str
    size: str = "large"
    position: tuple[float, float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        one_of("shape", self.shape, SHAPES)
        one_of("color", self.color, COLORS)
        one_of("size", self.size, SIZES)
        if self.position is not None and not all(0 <= value <= 1 for value in self.position):
            raise ValueError(f"position must lie in [0, 1] x [0, 1], got {self.position}")


@dataclass(frozen=True)
class Scene:
    """Shapes in a chain of relations on a background.

    `relations[i]` says where object i is as seen from object i + 1: with the relations
    ("above", "left of") object 0 is above object 1, which is left of object 2.

    Args:
        objects: the shapes; captions and `place` allow one to three of them.
        relations: one relation fewer than objects, each of `RELATIONS`.
        background: one of `BACKGROUNDS`.

    Raises:
        ValueError: for an unknown name or a wrong number of relations.
    """

    objects: tuple[Object_, ...]
    relations: tuple[str, ...] = ()
    background: str = "white"

    def __post_init__(self) -> None:
        one_of("background", self.background, BACKGROUNDS)
        for relation in self.relations:
            one_of("relation", relation, RELATIONS)
        if len(self.relations) != max(0, len(self.objects) - 1):
            raise ValueError(
                f"{len(self.objects)} objects need {max(0, len(self.objects) - 1)} relations, "
                f"got {len(self.relations)}"
            )

    def reversed(self) -> "Scene":
        """The same picture told from the other end: "A above B" as "B below A"."""
        relations = tuple(INVERSE[relation] for relation in reversed(self.relations))
        return Scene(self.objects[::-1], relations, self.background)

    def canonical(self) -> "Scene":
        """One of the two tellings of this picture, always the same one."""
        return min(self, self.reversed(), key=_sort_key)


def _sort_key(scene: Scene) -> tuple:
    return tuple((o.shape, o.color, o.size) for o in scene.objects), scene.relations


def relation_between(first: Object_, second: Object_) -> str:
    """Where `first` is as seen from `second`: the axis on which they are further apart decides."""
    if first.position is None or second.position is None:
        raise ValueError("both objects need a position; call place(scene) first")
    dx = first.position[0] - second.position[0]
    dy = first.position[1] - second.position[1]
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def _assignments(seen: Scene, wanted: Scene) -> list[tuple[Object_ | None, ...]]:
    """Every way to take, for each wanted object, one of the seen objects (or none)."""
    # ten objects are far beyond any scene; a noise picture must not cost 10! assignments
    pool: list[Object_ | None] = list(seen.objects[:6])
    pool += [None] * max(0, len(wanted.objects) - len(pool))
    return list(itertools.permutations(pool, len(wanted.objects)))


def _score(found: tuple[Object_ | None, ...], wanted: Scene) -> dict[str, float]:
    pairs = list(zip(found, wanted.objects, strict=True))
    related = [
        a is not None and b is not None and relation_between(a, b) == relation
        for a, b, relation in zip(found, found[1:], wanted.relations, strict=False)
    ]
    count = max(1, len(pairs))
    return {
        "shape": sum(f is not None and f.shape == w.shape for f, w in pairs) / count,
        "color": sum(f is not None and f.color == w.color for f, w in pairs) / count,
        "both": sum(f is not None and (f.shape, f.color) == (w.shape, w.color) for f, w in pairs)
        / count,
        "size": sum(f is not None and f.size == w.size for f, w in pairs) / count,
        "relation": sum(related) / len(related) if related else 1.0,
    }


def score(seen: Scene, wanted: Scene) -> dict[str, float]:
    """How much of the wanted scene is in the scene that `describe` saw.

    Seen objects are assigned to wanted ones in the way that agrees best (colour and shape
    together first), so the order of telling does not matter.

    Args:
        seen: a scene with positions, from `describe`.
        wanted: a scene, with or without positions, from `parse` or `sample_scene`.

    Returns:
        shares in [0, 1]: `shape`, `color`, `both` (shape and colour of the same object),
        `size`, `relation`, `count` and `background` (0 or 1) and `all` (1 if all of it is
        right, nothing more and nothing less).
    """

    def worth(values: dict[str, float]) -> float:
        attributes = values["both"] + 0.3 * (values["shape"] + values["color"])
        return attributes + 0.2 * (values["size"] + values["relation"])

    best = max((_score(found, wanted) for found in _assignments(seen, wanted)), key=worth)
    best["count"] = float(len(seen.objects) == len(wanted.objects))
    best["background"] = float(seen.background == wanted.background)
    best["all"] = float(all(math.isclose(value, 1.0) for value in best.values()))
    return best


def matches(seen: Scene, wanted: Scene) -> bool:
    """Whether the scene that `describe` saw is the wanted one in every attribute and relation."""
    return score(seen, wanted)["all"] == 1.0
