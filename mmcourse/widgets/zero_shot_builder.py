"""Zero-shot builder: class names and a template in, stored pictures sorted into the classes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from torch import Tensor

from mmcourse.widgets.caption_match import percent
from mmcourse.widgets.reader import Reader, ReaderWidget, softmax

ARTICLES = ("a", "an", "the")
LEAST, MOST = 2, 12


class ZeroShotBuilder(ReaderWidget):
    """A classifier made of words: every picture goes to the class whose text lies nearest.

    Where every class is made of words whose truth is known for each picture, such as "red ring",
    the share of right answers is told, and each wrong one has its mark.

    Attributes:
        truths: for each picture the words that are true of it.
        attributes: all words of which is known for each picture whether they are true.
    """

    _files = "zero_shot_builder"

    truths = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    attributes = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        pictures: Tensor,
        readers: Sequence[Reader],
        classifiers: Sequence[tuple[int, str, str]],
        *,
        names: Sequence[str],
        truths: Sequence[Sequence[str]],
        attributes: Sequence[str],
        live: Any = None,
        asked: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Build the stored classifiers and wait for more.

        Args:
            pictures: (pictures, 3, height, width) floats in [-1, 1], two or more.
            readers: the models that may be asked, each of 12 rows or more.
            classifiers: (place of the reader, class names with commas between, template with
                {}): they stand there without a model.
            names: what each picture shows.
            truths, attributes: see the class; every truth is an attribute.
            live: a `PageModel` with the readers' parts.
            asked: the stored classifier that is shown first.
            presets: buttons: {"name": …, "note": …, "asked": place of a stored classifier}.
            caption: a sentence below.

        Raises:
            ValueError: what `ReaderWidget` refuses, truths that do not fit, or a classifier
                without 2 to 12 classes or with another template.
        """
        strange = {word for words in truths for word in words} - set(attributes)
        if len(truths) != len(names) or strange:
            raise ValueError(
                f"need truths for each of {len(names)} pictures, all attributes, "
                f"got {len(truths)} and the words {sorted(strange)}"
            )
        stored = [
            {"reader": reader, "classes": ", ".join(classes_of(text)), "template": template}
            for reader, text, template in classifiers
        ]
        for one in stored:
            _check(one["classes"], one["template"])
        super().__init__(
            pictures, readers, stored, names=names, truths=[list(words) for words in truths],
            attributes=list(attributes), live=live, asked=asked, presets=presets, caption=caption,
        )  # fmt: skip

    def _texts(self, one: Mapping[str, Any], readers: Sequence[Reader]) -> list[str]:
        return [one["template"].replace("{}", name) for name in classes_of(one["classes"])]

    def _answer(self) -> tuple[list[str], np.ndarray, list[list[int]] | None]:
        """Classes, shares (pictures, classes), and which classes fit each picture, if known."""
        one, read, seen, scale = self._shown()
        classes = classes_of(one["classes"])
        fits = fitting(classes, self.truths, self.attributes)
        return classes, softmax(scale * seen @ read.T), fits

    def _describe(self) -> str:
        """The sentence of the page."""
        classes, shares, fits = self._answer()
        chosen = shares.argmax(1).tolist()
        counts = ", ".join(f"{name} {chosen.count(i)}" for i, name in enumerate(classes))
        said = f"{len(chosen)} pictures in {len(classes)} classes: {counts}."
        if fits is None:
            return f"{said} Nobody knows the truth of these classes, so nothing is counted."
        some = [(mine, those) for mine, those in zip(chosen, fits, strict=True) if those]
        right = sum(mine in those for mine, those in some)
        if some:
            said += (
                f" Right: {right} of {len(some)} ({int(100 * right / len(some) + 0.5)} %; "
                f"by guessing {int(100 / len(classes) + 0.5)} %)."
            )
        if left := len(chosen) - len(some):
            said += f" No class fits {left} of the pictures, and each had to go somewhere."
        return said

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        classes, shares, _ = self._answer()
        order = np.argsort(shares.argmax(1), kind="stable")[:: max(1, len(shares) // 16)][:16]
        titles = [f"{classes[shares[i].argmax()]} {percent(shares[i].max())}" for i in order]
        return image_grid(self._pictures[order] / 127.5 - 1, columns=8, titles=titles)


def classes_of(text: str) -> list[str]:
    """Names of classes: one a line, or with commas between."""
    return [name for part in re.split(r"[,\n]", text) if (name := " ".join(part.split()))]


def fitting(
    classes: Sequence[str], truths: Sequence[Sequence[str]], attributes: Sequence[str]
) -> list[list[int]] | None:
    """For each picture the classes whose words are all true of it; None where nobody knows."""
    said = [[w for w in name.lower().split() if w not in ARTICLES] for name in classes]
    if not all(words and set(words) <= set(attributes) for words in said):
        return None
    return [[i for i, words in enumerate(said) if set(words) <= set(true)] for true in truths]


def _check(classes: str, template: str) -> None:
    count = len(classes_of(classes))
    if not LEAST <= count <= MOST or template.count("{}") != 1:
        raise ValueError(
            f"a classifier has {LEAST} to {MOST} classes and a template with one {{}}, "
            f"got {count} and {template!r}"
        )
