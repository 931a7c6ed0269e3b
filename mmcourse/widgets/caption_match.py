"""Caption match: a typed caption against stored pictures, and what each of its words does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from torch import Tensor

from mmcourse.widgets.base import fixed
from mmcourse.widgets.reader import Reader, ReaderWidget, softmax


class CaptionMatch(ReaderWidget):
    """Which of some pictures fits a caption best, and by which of its words.

    The pictures are sorted by the cosine of their vector and the caption's, with shares at the
    model's scale. Below each word stands how much the best picture's cosine falls without it.

    Attributes:
        marks: a remark on each picture, such as that training never showed its like.
    """

    _files = "caption_match"

    marks = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        pictures: Tensor,
        readers: Sequence[Reader],
        captions: Sequence[tuple[int, str]],
        *,
        names: Sequence[str],
        marks: Sequence[str] | None = None,
        live: Any = None,
        asked: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Compare the stored captions and wait for more.

        Args:
            pictures: (pictures, 3, height, width) floats in [-1, 1], two or more.
            readers: the models that may be asked; each must read a caption of n words in
                n + 1 rows.
            captions: (place of the reader, caption): answers that stand there without a model.
            names: what each picture shows.
            marks: a remark on each picture, such as "never trained"; may be empty.
            live: a `PageModel` with the readers' parts.
            asked: the stored caption that is shown first.
            presets: buttons: {"name": …, "note": …, "asked": place of a stored caption}.
            caption: a sentence below.

        Raises:
            ValueError: what `ReaderWidget` refuses, or marks for another number of pictures.
        """
        marks = [""] * len(names) if marks is None else [str(mark) for mark in marks]
        if len(marks) != len(names):
            raise ValueError(f"need a mark for each of {len(names)} pictures, got {len(marks)}")
        stored = [
            {"reader": reader, "caption": " ".join(readers[reader].split(text))}
            for reader, text in captions
        ]
        super().__init__(
            pictures, readers, stored, names=names, marks=marks, live=live, asked=asked,
            presets=presets, caption=caption,
        )  # fmt: skip

    def _texts(self, one: Mapping[str, Any], readers: Sequence[Reader]) -> list[str]:
        """The caption, and where it has several words, the caption without each."""
        return without_each(readers[one["reader"]].split(one["caption"]))

    def _answer(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Words, cosines of the pictures, and by how much the best one falls without each."""
        one, read, seen, _ = self._shown()
        cosines = seen @ read[0]
        drops = cosines.max() - seen[cosines.argmax()] @ read[1:].T
        return one["caption"].split(), cosines, drops

    def _describe(self) -> str:
        """The sentence of the page."""
        return f"{self._found()} Asked: {self.readers[self._shown()[0]['reader']]['name']}."

    def _found(self) -> str:
        one, *_, scale = self._shown()
        words, cosines, drops = self._answer()
        best = int(cosines.argmax())
        share = softmax(scale * cosines)[best]
        said = (
            f"“{one['caption']}” fits “{self.names[best]}” best: cosine {fixed(cosines[best])}, "
            f"{percent(share)} among {len(cosines)} pictures."
        )
        if not len(drops):
            return said
        word = words[int(drops.argmax())]
        if drops.max() <= 0:
            return f"{said} It does not fall, whichever word is left out."
        return f"{said} It falls most, by {fixed(drops.max())}, without “{word}”."

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        _, cosines, _ = self._answer()
        order = np.argsort(-cosines, kind="stable")[:12]
        titles = [f"{cosines[i]:.2f}" for i in order]
        return image_grid(self._pictures[order] / 127.5 - 1, columns=6, titles=titles)


def without_each(words: Sequence[str]) -> list[str]:
    """A caption, then without its first word, without its second …; one word stays alone."""
    if len(words) < 2:
        return [" ".join(words)]
    left = [[*words[:i], *words[i + 1 :]] for i in range(len(words))]
    return [" ".join(some) for some in (words, *left)]


def percent(share: float) -> str:
    """A share as the page writes it."""
    if share < 0.01:
        return "< 1 %"
    return "> 99 %" if share > 0.99 else f"{int(100 * share + 0.5)} %"
