"""What the page must know of a CLIP's text tower to ask it, and widgets that compare with it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from mmcourse.widgets.base import halves, numbers, pixels
from mmcourse.widgets.live import LiveWidget
from mmcourse.widgets.prompt_grid import sheet

EDGES = re.compile(r"^[\W_]+|[\W_]+$")


class _Texts(nn.Module):
    """The text tower alone: numbers of tokens to unit vectors."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, ids: Tensor) -> Tensor:
        return self.clip.encode_text(ids.to(self.clip.logit_scale.device))


class Reader:
    """A CLIP whose text tower a page may ask: its words, and how it writes a text as numbers.

    Args:
        name: what the reader of the page reads, such as "trained with plain captions".
        clip: has `encode_text(ids)`, `encode_image(pictures)` and `logit_scale`.
        encode: the tokenizer: a text → numbers, between a first and a last sign.
        words: those that may be typed; each must be read alike wherever it stands.
        length: tokens in a row, signs included; shorter texts are filled up with `pad`.
        rows: texts that are read at once.
        note: a sentence on what it has read in training.
        part: the name of the network in the `PageModel`.

    Raises:
        ValueError: no words, or too short a row.
    """

    def __init__(
        self,
        name: str,
        clip: Any,
        encode: Callable[[str], Sequence[int]],
        words: Sequence[str],
        *,
        length: int,
        rows: int,
        note: str = "",
        part: str = "text",
        pad: int = 0,
    ) -> None:
        if not words or length < 3 or rows < 1:
            raise ValueError(f"need words, length ≥ 3 and rows ≥ 1, got {length} and {rows}")
        self.name, self.note, self.part = name, note, part
        self.length, self.rows, self.pad = length, rows, pad
        self.tokens = {word: list(encode(word))[1:-1] for word in sorted(set(words))}
        self.start, *_, self.end = encode(words[0])
        self.clip, self.texts = clip, _Texts(clip)

    @property
    def example(self) -> Tensor:
        """Numbers of the shape that the network is asked with: (rows, length)."""
        return self.encode([next(iter(self.tokens))] * self.rows)

    @property
    def scale(self) -> float:
        """What the model multiplies a cosine with."""
        return float(self.clip.logit_scale.detach().exp())

    def split(self, text: str) -> list[str]:
        """The words of a text, in small letters and without signs at their edges."""
        found = unicodedata.normalize("NFC", text).lower().split()
        bare = (word if word in self.tokens else EDGES.sub("", word) for word in found)
        return [word for word in bare if word]

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Numbers of texts, (texts, length), as the page writes them.

        Raises:
            ValueError: an unknown word, or too long a text.
        """
        rows = []
        for text in texts:
            found = self.split(text)
            if unknown := [word for word in found if word not in self.tokens]:
                raise ValueError(f"unknown word {unknown[0]!r} in {text!r}")
            row = [self.start, *(n for word in found for n in self.tokens[word]), self.end]
            if len(row) > self.length:
                raise ValueError(f"at most {self.length} tokens, got {len(row)}: {text!r}")
            rows.append(row + [self.pad] * (self.length - len(row)))
        return torch.tensor(rows)

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of texts, (texts, d)."""
        return numbers(self.texts(self.encode(texts)).float(), "vectors", "texts, d")

    @torch.no_grad()
    def see(self, pictures: Tensor) -> np.ndarray:
        """Unit vectors of pictures in [-1, 1], (pictures, d)."""
        seen = self.clip.encode_image(pictures.to(self.clip.logit_scale.device))
        return numbers(seen.float(), "vectors", "pictures, d")

    def state(self, d: int) -> dict[str, Any]:
        """What the page needs."""
        return {
            "name": self.name, "note": self.note, "part": self.part, "words": self.tokens,
            "signs": [self.start, self.end, self.pad], "length": self.length, "rows": self.rows,
            "scale": self.scale, "d": d,
        }  # fmt: skip


class ReaderWidget(LiveWidget):
    """Stored pictures, their vectors for each reader, and answers that were asked beforehand.

    Attributes:
        asked: the stored answer that is shown; -1: the page's own, or the first while there is
            none (shared with the page).
    """

    _also: ClassVar[tuple[str, ...]] = ("model_host", "known_words", "reader")
    _controls: ClassVar[tuple[str, ...]] = ("asked",)

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    readers = traitlets.List(traitlets.Dict()).tag(sync=True)
    stored = traitlets.List(traitlets.Dict()).tag(sync=True)
    asked = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Tensor,
        readers: Sequence[Reader],
        stored: Sequence[Mapping[str, Any]],
        *,
        names: Sequence[str],
        **state: Any,
    ) -> None:
        """Ask the readers for the stored answers.

        Args:
            pictures: (pictures, 3, height, width) floats in [-1, 1], two or more.
            readers: one or more.
            stored: each {"reader": its place, …}; `_texts` says which texts it needs.
            names: what each picture shows.
            state: see `LiveWidget`.

        Raises:
            ValueError: pictures, names or stored answers do not fit.
        """
        self._pictures = pixels(pictures, "pictures", "pictures, channels, height, width")
        count, channels, height, width = self._pictures.shape
        if channels != 3 or count < 2 or len(names) != count or not readers or not stored:
            raise ValueError(
                "need two or more colour pictures, a name for each, a reader and a stored answer, "
                f"got {self._pictures.shape}, {len(names)}, {len(readers)} and {len(stored)}"
            )
        self._seen = [_halved(reader.see(pictures)) for reader in readers]
        self._read = [
            _halved(readers[one["reader"]].read(self._texts(one, readers))) for one in stored
        ]
        data = b"".join(halves(rows) for rows in (*self._seen, *self._read))
        found = zip(readers, self._seen, strict=True)
        super().__init__(
            data=data + sheet(self._pictures[None]),
            shape=[count, height, width],
            names=[str(name) for name in names],
            readers=[reader.state(seen.shape[1]) for reader, seen in found],
            stored=[
                {**one, "texts": len(read)} for one, read in zip(stored, self._read, strict=True)
            ],
            **state,
        )

    def _texts(self, one: Mapping[str, Any], readers: Sequence[Reader]) -> list[str]:
        """The texts of a stored answer; their vectors go into the data, in this order."""
        raise NotImplementedError

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"asked": (-1, len(self.stored) - 1)}

    def _shown(self) -> tuple[dict[str, Any], np.ndarray, np.ndarray, float]:
        """The stored answer on show, its texts' and the pictures' vectors, and the scale."""
        place = max(self.asked, 0)
        one = self.stored[place]
        reader = one["reader"]
        return one, self._read[place], self._seen[reader], self.readers[reader]["scale"]


def _halved(vectors: np.ndarray) -> np.ndarray:
    """As the page has them: half precision."""
    return vectors.astype("<f2").astype(np.float64)


def softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Shares that sum to 1 along an axis."""
    powers = np.exp(scores - scores.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
