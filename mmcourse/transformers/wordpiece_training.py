"""How a WordPiece vocabulary is learned: start with letters, join one pair after another."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PAIR = tuple[str, str]
SCORES = ("likelihood", "frequency")


def count_words(words: Iterable[str]) -> Counter[str]:
    """How often each word occurs."""
    return Counter(words)


def letters_of(word: str) -> list[str]:
    """A word in single letters, each but the first marked with ``##``."""
    return [word[0], *(f"##{letter}" for letter in word[1:])]


def pairs_of(pieces: list[str]) -> list[PAIR]:
    """Neighbouring pieces that can be joined at once: "aaa" has one pair, not two."""
    found: list[PAIR] = []
    overlaps = False
    for pair in pairwise(pieces):
        overlaps = not overlaps and bool(found) and pair[0] == pair[1] and pair == found[-1]
        if not overlaps:
            found.append(pair)
    return found


def join(pieces: list[str], pair: PAIR) -> list[str]:
    """Replace each occurrence of a pair, from the left, by one piece."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] = pair[0] + piece.removeprefix("##")
        else:
            joined.append(piece)
    return joined


def likelihood_gain(
    pair: Int[Tensor, "pairs"],
    first: Int[Tensor, "pairs"],
    second: Int[Tensor, "pairs"],
    same: Bool[Tensor, "pairs"],
    total: int,
) -> Float[Tensor, "pairs"]:
    """By how much joining each pair would raise the corpus's log-likelihood, in nats.

    With each piece as probable as it is frequent, the corpus of N pieces has
    log L = Σ f log f − N log N. Joining takes `pair` from both frequencies and from N.

    Args:
        pair: how often the two stand together.
        first, second: how often each stands anywhere.
        same: both are the same piece.
        total: N.

    Source: Schuster & Nakajima 2012, "Japanese and Korean voice search", §3: join the pair
    "that increases the likelihood on the training data the most". Their model is not stated;
    independent pieces are the simplest.
    """

    def h(x: Tensor) -> Tensor:
        return torch.special.xlogy(x.double(), x)  # x log x, 0 at 0

    taken = h(first - pair) - h(first) + h(second - pair) - h(second)
    taken = torch.where(same, h(first - 2 * pair) - h(first), taken)
    everything = torch.full_like(pair, total)
    return taken + h(pair) - h(everything - pair) + h(everything)


def learn_pieces(
    words: Mapping[str, int], size: int, *, score: str = "likelihood", min_frequency: int = 2
) -> list[str]:
    """The letters of the words, and the pieces made by joining the best pair again and again.

    Args:
        words: word → how often it occurs.
        size: number of pieces wanted; fewer come when no pair is left to join.
        score: "likelihood" joins the pair that raises the corpus's likelihood most, as in the
            original description; "frequency" the most frequent pair, as does the library
            `tokenizers` (which is byte-pair encoding). Of equals the first in the alphabet.
        min_frequency: a pair seen less often is never joined.

    Returns:
        letters in alphabetical order, then the joined pieces in the order of their making.

    Raises:
        ValueError: an unknown score, no words, or a size below the number of letters.
    """
    if score not in SCORES:
        raise ValueError(f"score must be one of {SCORES}, got {score!r}")
    letters = sorted({piece for word in words for piece in letters_of(word)})
    if not letters or size < len(letters):
        raise ValueError(f"need words and room for their {len(letters)} letters, got {size}")
    corpus = _Corpus(words)
    found = dict.fromkeys(letters)
    while len(found) < size:
        pair = corpus.best(score, min_frequency)
        if pair is None:
            break
        corpus.merge(pair)
        found[pair[0] + pair[1].removeprefix("##")] = None
    return list(found)


class _Corpus:
    """The words in pieces, with running counts of pieces and pairs."""

    def __init__(self, words: Mapping[str, int]) -> None:
        self.counts = list(words.values())
        self.words = [letters_of(word) for word in words]
        self.pieces: Counter[str] = Counter()
        self.pairs: Counter[PAIR] = Counter()
        self.where: defaultdict[PAIR, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._add(index, +1)

    def _add(self, index: int, sign: int) -> None:
        """Count the pieces and pairs of one word in, or (sign −1) out."""
        pieces, count = self.words[index], sign * self.counts[index]
        for piece in pieces:
            self.pieces[piece] += count
        for pair in pairs_of(pieces):
            self.pairs[pair] += count
            if sign > 0:
                self.where[pair].add(index)

    def best(self, score: str, min_frequency: int) -> PAIR | None:
        """The pair to join next, or None if none is left (or none raises the likelihood)."""
        least = max(min_frequency, 1)
        known = [(pair, n) for pair, n in self.pairs.items() if n >= least]
        if not known:
            return None
        pairs = [pair for pair, _ in known]
        worth = counts = torch.tensor([n for _, n in known])
        if score == "likelihood":
            first, second = (torch.tensor([self.pieces[p[i]] for p in pairs]) for i in (0, 1))
            same = torch.tensor([a == b for a, b in pairs])
            worth = likelihood_gain(counts, first, second, same, self.pieces.total())
        best = worth.max()
        equals = (worth == best).nonzero()[:, 0].tolist()
        return min(pairs[index] for index in equals) if best > 1e-9 else None

    def merge(self, pair: PAIR) -> None:
        """Join a pair in every word that has it."""
        for index in self.where.pop(pair):
            self._add(index, -1)
            self.words[index] = join(self.words[index], pair)
            self._add(index, +1)
        self.pairs.pop(pair, None)
