"""A word tokenizer: enough for captions whose vocabulary is known and small."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mmcourse.data.captions import unknown_word
from mmcourse.data.scenes import one_of

SPECIALS = ("[PAD]", "[BOS]", "[EOS]", "[UNK]")


class WordTokenizer:
    """Words to numbers and back; a word is what stands between spaces, in lower case.

    Numbers 0–3 are [PAD], [BOS], [EOS] and [UNK], the words follow in alphabetical order.

    Args:
        words: the known words; doubles are dropped.
        unknown: "error" raises at an unknown word and names the nearest known ones,
            "token" encodes it as [UNK].

    Raises:
        ValueError: without any word, or for another value of `unknown`.
    """

    pad, bos, eos, unk = range(4)

    def __init__(self, words: Iterable[str], *, unknown: str = "error"):
        one_of("unknown", unknown, ("error", "token"))
        known = sorted({word.lower() for word in words} - {name.lower() for name in SPECIALS})
        if not known:
            raise ValueError("words must hold at least one word, got none")
        self.unknown = unknown
        self.tokens = [*SPECIALS, *known]
        self._ids = {word: number for number, word in enumerate(self.tokens)}

    @classmethod
    def from_captions(cls, captions: Iterable[str], *, unknown: str = "error") -> "WordTokenizer":
        """A tokenizer that knows every word of the captions."""
        words = (word for text in captions for word in text.split())
        return cls(words, unknown=unknown)

    def __len__(self) -> int:
        return len(self.tokens)

    def _number(self, word: str) -> int:
        number = self._ids.get(word)
        if number is None and self.unknown == "error":
            raise unknown_word(word, self.tokens[len(SPECIALS) :])
        return self.unk if number is None else number

    def encode(self, text: str, *, add_special: bool = True) -> list[int]:
        """Numbers of the words of a text, between [BOS] and [EOS] unless told otherwise.

        Raises:
            ValueError: for an unknown word, with the nearest known ones (`unknown="error"`).
        """
        numbers = [self._number(word) for word in text.lower().split()]
        return [self.bos, *numbers, self.eos] if add_special else numbers

    def decode(self, ids: Sequence[int] | Int[Tensor, " t"]) -> str:
        """The text up to the first [EOS], without the special tokens ([UNK] stays visible).

        Raises:
            ValueError: for a number that no token has.
        """
        words = []
        for number in ids.tolist() if isinstance(ids, Tensor) else ids:
            if not 0 <= number < len(self):
                raise ValueError(f"ids must be from 0 to {len(self) - 1}, got {number}")
            if number == self.eos:
                break
            if number not in (self.pad, self.bos):
                words.append(self.tokens[number])
        return " ".join(words)

    def batch(
        self, texts: Sequence[str], *, length: int | None = None, add_special: bool = True
    ) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
        """Encode texts into one rectangle.

        Args:
            texts: at least one text.
            length: tokens in a row; None for those of the longest text.
            add_special: whether [BOS] and [EOS] are added.

        Returns:
            numbers, filled up with [PAD] on the right, and the mask: True = a real token.

        Raises:
            ValueError: for no text, an unknown word, or a text longer than `length`.
        """
        if not texts:
            raise ValueError("a batch needs at least one text, got none")
        rows = [self.encode(text, add_special=add_special) for text in texts]
        longest = max(map(len, rows))
        length = longest if length is None else length
        if longest > length:
            text = texts[max(range(len(rows)), key=lambda i: len(rows[i]))]
            raise ValueError(f"length {length} is too short for {longest} tokens of {text!r}")
        ids = torch.tensor([row + [self.pad] * (length - len(row)) for row in rows])
        mask = torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None]
        return ids.long(), mask
