"""Label tree: classes, their kinds, and what a classifier of words makes of a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, halves, numbers, pixels, tenth
from mmcourse.widgets.prompt_grid import sheet

AXES = "pictures, channels, height, width"


class LabelTree(CourseWidget):
    """A picture and a tree: the likeliest classes, and below each its likeliest kinds.

    A class carries the share that its own name gets among the class names. A kind carries its
    share among all kinds; reweighted, it is multiplied with that of its class, and all are
    brought to the sum 1 again. The best kind decides.

    Attributes:
        picture: which one, from 0 (shared with the page).
        reweight: whether the classes' shares count (shared with the page).
    """

    _files = "label_tree"
    _controls = ("picture", "reweight")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    shares = traitlets.Bytes().tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    kinds = traitlets.List(traitlets.Unicode()).tag(sync=True)
    parent = traitlets.List(traitlets.Int()).tag(sync=True)
    truth = traitlets.List(traitlets.Int()).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    reweight = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        p_sub: Any,
        p_super: Any,
        *,
        names: Sequence[str],
        classes: Sequence[str],
        kinds: Sequence[str],
        parent: Sequence[int],
        truth: Sequence[int],
        picture: int = 0,
        reweight: bool = False,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show pictures.

        Args:
            pictures: (pictures, 3, height, width), uint8 or floats in [-1, 1].
            p_sub: (pictures, kinds), shares of all kinds, each row sums to 1.
            p_super: (pictures, classes), shares of the class names, each row sums to 1.
            names: what each picture shows.
            classes, kinds: their names.
            parent: the class of each kind.
            truth: the right class of each picture.
            picture, reweight: shown at first.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the parts do not fit one another.
        """
        self._pictures = pixels(pictures, "pictures", AXES)
        count, channels, height, width = self._pictures.shape
        if channels != 3 or len(names) != count:
            raise ValueError(
                f"need colour pictures and a name for each, got {self._pictures.shape} and "
                f"{len(names)} names"
            )
        both = (
            _shares(p_sub, "p_sub", (count, len(kinds))),
            _shares(p_super, "p_super", (count, len(classes))),
        )
        _check_tree(parent, truth, len(classes), (len(kinds), count))
        self._shares = [x.astype("<f2").astype(float) for x in both]
        super().__init__(
            data=sheet(self._pictures[None]),
            shape=[count, height, width],
            shares=halves(np.concatenate([x.ravel() for x in both])),
            names=[str(name) for name in names],
            classes=[str(name) for name in classes],
            kinds=[str(name) for name in kinds],
            parent=[int(place) for place in parent],
            truth=[int(place) for place in truth],
            picture=picture,
            reweight=reweight,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"picture": (0, len(self.names) - 1)}

    def _scores(self) -> np.ndarray:
        """The share of each kind, reweighted or not; they sum to 1."""
        p_sub, p_super = (x[self.picture] for x in self._shares)
        scores = p_sub * p_super[self.parent] if self.reweight else p_sub
        return scores / scores.sum()

    def _describe(self) -> str:
        """The sentence of the page."""
        scores, flat = self._scores(), self._shares[1][self.picture]
        best, first = int(scores.argmax()), int(flat.argmax())
        answer = self.parent[best]
        how = "reweighted, " if self.reweight else ""
        verdict = "Right." if answer == self.truth[self.picture] else "Wrong."
        return (
            f"“{self.names[self.picture]}”. The class names alone say {self.classes[first]}, "
            f"{tenth(100 * flat[first])} %. Of the kinds, {how}{self.kinds[best]} is best, "
            f"{tenth(100 * scores[best])} %, so the answer is {self.classes[answer]}. {verdict}"
        )

    def _draw(self) -> Any:
        from mmcourse.plots import new_figure

        scores = self._scores()
        best = scores.argsort()[::-1][:6]
        figure, (left, right) = new_figure(7, 2.4, 1, 2)
        left.imshow(self._pictures[self.picture].transpose(1, 2, 0))
        left.set_axis_off()
        words = [f"{self.kinds[i]} ({self.classes[self.parent[i]]})" for i in best]
        right.barh(words, scores[best])
        right.invert_yaxis()
        return figure


def _shares(values: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = numbers(values, name, "pictures, labels")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.min() < 0 or abs(array.sum(-1) - 1).max() > 1e-3:
        raise ValueError(f"{name} must hold probabilities that sum to 1 in every row")
    return array


def _check_tree(
    parent: Sequence[int], truth: Sequence[int], classes: int, lengths: tuple[int, int]
) -> None:
    for name, places, count in zip(("parent", "truth"), (parent, truth), lengths, strict=True):
        if len(places) != count or any(not 0 <= place < classes for place in places):
            raise ValueError(
                f"{name} must be {count} classes from 0 to {classes - 1}, got {list(places)}"
            )
    if missing := set(range(classes)) - {int(place) for place in parent}:
        raise ValueError(f"every class needs a kind, none has class {min(missing)}")
