"""WordPiece: BERT's way from text to numbers, rare words in pieces, and back again."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mmcourse.transformers.wordpiece_training import count_words, learn_pieces
from mmcourse.weights import checkpoint_folder

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Chinese characters stand alone; Korean and kana do not, they are written with spaces or in runs.
IDEOGRAPHS = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F),  # 2B820 in Google's code
)  # fmt: skip


class TextBatch(NamedTuple):
    """Sentences (or pairs) of one length: what `Bert` takes, in its order."""

    input_ids: Int[Tensor, "batch tokens"]
    token_type_ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]


class WordPiece:
    """BERT's tokenizer: words to known pieces, pieces to numbers.

    A word is cut from the left, each time as long as a known piece reaches. A piece inside a
    word is written with ``##``: "flightless" → "flight", "##less". A word that cannot be cut
    so, or is longer than `max_chars`, becomes [UNK].

    Args:
        vocab: token → number (0 … n − 1, each once), or the tokens in order; with [PAD],
            [UNK], [CLS], [SEP] and [MASK].
        lower_case: whether capitals are made small first (the "uncased" models).
        strip_accents: whether accents are taken off; None means: if `lower_case`. Taking them
            off needs Unicode's NFD form, which also cuts a Korean syllable into its letters.
        max_chars: longest word that is cut; Google's code has 200, transformers 100.

    Raises:
        ValueError: a special token is missing, or the numbers are not 0 … n − 1.

    Source: Wu et al. 2016, arXiv:1609.08144, §4.1; Devlin et al. 2019, arXiv:1810.04805.
    Characters newer than Unicode 8 may be classed otherwise than in the reference libraries.
    """

    def __init__(
        self,
        vocab: Mapping[str, int] | Sequence[str],
        *,
        lower_case: bool = True,
        strip_accents: bool | None = None,
        max_chars: int = 100,
    ) -> None:
        if not isinstance(vocab, Mapping):
            if len(set(vocab)) < len(vocab):
                raise ValueError(f"tokens must differ, got {len(vocab) - len(set(vocab))} double")
            vocab = {token: number for number, token in enumerate(vocab)}
        if missing := [token for token in SPECIALS if token not in vocab]:
            raise ValueError(f"vocab must hold {', '.join(SPECIALS)}; missing {missing}")
        if sorted(vocab.values()) != list(range(len(vocab))):
            raise ValueError(f"vocab must number its {len(vocab)} tokens 0 … {len(vocab) - 1}")
        if max_chars < 1:
            raise ValueError(f"max_chars must be at least 1, got {max_chars}")
        self.vocab = dict(vocab)
        self.tokens = sorted(self.vocab, key=self.vocab.__getitem__)
        self.lower_case, self.max_chars = lower_case, max_chars
        self.strip_accents = lower_case if strip_accents is None else strip_accents
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = self.special_ids

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def special_ids(self) -> list[int]:
        """The numbers of [PAD], [UNK], [CLS], [SEP] and [MASK]."""
        return [self.vocab[token] for token in SPECIALS]

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.tokens))

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        score: str = "likelihood",
        min_frequency: int = 2,
        lower_case: bool = True,
        strip_accents: bool | None = None,
    ) -> "WordPiece":
        """A tokenizer with a vocabulary learned from texts.

        Args:
            vocab_size: wanted number of tokens, specials and single letters included.
            score: which pair is joined next, see `learn_pieces`: "likelihood" or "frequency".
            min_frequency: a pair seen less often is never joined.
            lower_case, strip_accents: as for the class; also applied to `texts`.

        Raises:
            ValueError: no words, or `vocab_size` has no room for specials and letters.
        """
        plain = cls(SPECIALS, lower_case=lower_case, strip_accents=strip_accents)
        words = count_words(word for text in texts for word in plain.words(text))
        room = vocab_size - len(SPECIALS)
        pieces = learn_pieces(words, room, score=score, min_frequency=min_frequency)
        return cls([*SPECIALS, *pieces], lower_case=lower_case, strip_accents=strip_accents)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "WordPiece":
        """The tokenizer of a published BERT: from tokenizer.json, or from vocab.txt.

        Raises:
            ValueError: neither file is there, or the file is of another kind of tokenizer.
        """
        folder = checkpoint_folder(path_or_hub_id)
        if (folder / "tokenizer.json").is_file():
            content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            model, normal = content.get("model", {}), content.get("normalizer") or {}
            kinds = (model.get("type"), normal.get("type"))
            if kinds != ("WordPiece", "BertNormalizer"):
                raise ValueError(f"need a WordPiece model with a BertNormalizer, got {kinds}")
            return cls(
                model["vocab"],
                lower_case=bool(normal.get("lowercase")),
                strip_accents=normal.get("strip_accents"),
                max_chars=model.get("max_input_chars_per_word", 100),
            )
        if not (folder / "vocab.txt").is_file():
            raise ValueError("expected tokenizer.json or vocab.txt in the folder, found neither")
        tokens = (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
        settings = folder / "tokenizer_config.json"
        config = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        lower_case, strip = config.get("do_lower_case", True), config.get("strip_accents")
        return cls(tokens, lower_case=lower_case, strip_accents=strip)

    def normalize(self, text: str) -> str:
        """The text without control characters, ideographs apart, accents and capitals gone."""
        text = "".join(_clean(letter) for letter in text)
        if self.strip_accents:
            letters = unicodedata.normalize("NFD", text)
            text = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
        # Letter by letter: Python's own lower() would look at neighbours (a final sigma).
        return "".join(map(str.lower, text)) if self.lower_case else text

    def words(self, text: str) -> list[str]:
        """Words and punctuation marks, each mark by itself."""
        spaced = (f" {c} " if _is_punctuation(c) else c for c in self.normalize(text))
        return "".join(spaced).split()

    def pieces(self, word: str) -> list[str]:
        """Cut one word, from the left, into the longest known pieces."""
        found: list[str] = []
        start = 0
        while start < len(word) <= self.max_chars:
            prefix = "##" if start else ""
            ends = range(min(len(word), start + self._longest), start, -1)
            known = (end for end in ends if prefix + word[start:end] in self.vocab)
            end = next(known, None)
            if end is None:
                break
            found.append(prefix + word[start:end])
            start = end
        return found if start == len(word) else ["[UNK]"]

    def tokenize(self, text: str) -> list[str]:
        """All pieces of a text; special tokens may stand in it, such as "my dog is [MASK]"."""
        found: list[str] = []
        for part in re.split(_SPECIAL, text):
            if part in SPECIALS:
                found.append(part)
            else:
                found += [piece for word in self.words(part) for piece in self.pieces(word)]
        return found

    def encode(self, text: str, pair: str | None = None, *, add_special: bool = True) -> list[int]:
        """The numbers of "[CLS] text [SEP]", or of "[CLS] text [SEP] pair [SEP]"."""
        return self.encode_segments(text, pair, add_special=add_special)[0]

    def encode_segments(
        self, text: str, pair: str | None = None, *, add_special: bool = True
    ) -> tuple[list[int], list[int]]:
        """Numbers and, for each, its segment: 0 for the first text, 1 for the second.

        [CLS] and the first [SEP] belong to segment 0, the last [SEP] to segment 1.
        """
        ids, segments = [self.cls_id] if add_special else [], [0] if add_special else []
        for number, part in enumerate([text] if pair is None else [text, pair]):
            new = [self.vocab[token] for token in self.tokenize(part)]
            new += [self.sep_id] if add_special else []
            ids += new
            segments += [number] * len(new)
        return ids, segments

    def batch(
        self, texts: Sequence[str | tuple[str, str]], *, length: int | None = None
    ) -> TextBatch:
        """Encode texts, or pairs of texts, and fill them up with [PAD] to one length.

        Args:
            texts: strings, or (first, second) tuples.
            length: number of tokens of each row; by default that of the longest.

        Raises:
            ValueError: no text, or one that is longer than `length`.
        """
        items = [(text,) if isinstance(text, str) else text for text in texts]
        rows = [self.encode_segments(*item) for item in items]
        longest = max((len(ids) for ids, _ in rows), default=0)
        length = longest if length is None else length
        if not rows or longest > length:
            raise ValueError(f"need texts of at most {length} tokens, got {longest}")
        filled = [[*ids, *[self.pad_id] * (length - len(ids))] for ids, _ in rows]
        segments = [[*kinds, *[0] * (length - len(kinds))] for _, kinds in rows]
        lengths = torch.tensor([len(ids) for ids, _ in rows])
        mask = torch.arange(length) < lengths[:, None]  # (batch, length)
        return TextBatch(torch.tensor(filled), torch.tensor(segments), mask)

    def decode(self, ids: Sequence[int] | Int[Tensor, " tokens"], *, skip_special=True) -> str:
        """The text of the numbers: ``##`` pieces joined on, no space before . , ? and !

        What the encoding dropped stays lost: capitals, accents, the width of spaces.

        Args:
            skip_special: leave out the special tokens, [UNK] among them.

        Raises:
            ValueError: for a number that no token has.
        """
        numbers = [int(number) for number in ids]
        if wrong := [number for number in numbers if not 0 <= number < len(self)]:
            raise ValueError(f"ids must lie in 0 … {len(self) - 1}, got {wrong[0]}")
        drop = set(self.special_ids) if skip_special else set()
        kept = [self.tokens[number] for number in numbers if number not in drop]
        text = "".join(_joined(token) if i else token for i, token in enumerate(kept))
        return text


_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIALS)) + ")")


def _joined(token: str) -> str:
    """What a token adds to the text before it."""
    if token.startswith("##"):
        return token[2:]
    return token if token in {".", "?", "!", ","} else f" {token}"


@lru_cache(maxsize=1 << 16)  # a text has few different letters
def _clean(letter: str) -> str:
    """One character as WordPiece sees it: nothing, a space, itself, or itself between spaces."""
    if letter in "\t\n\r":
        return " "
    if letter in "\0\ufffd" or unicodedata.category(letter) in {"Cc", "Cf", "Co", "Cs"}:
        return ""
    if letter.isspace():
        return " "
    point = ord(letter)
    alone = point >= 0x3400 and any(low <= point <= high for low, high in IDEOGRAPHS)
    return f" {letter} " if alone else letter


@lru_cache(maxsize=1 << 16)
def _is_punctuation(letter: str) -> bool:
    """Unicode's punctuation, and every ASCII sign that is no letter or digit ($, +, ^ …)."""
    if letter.isascii():
        return letter.isprintable() and not letter.isalnum() and letter != " "
    return unicodedata.category(letter).startswith("P")
