"""Masked words: hide a word of a sentence, and see what the model would put there."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import BUDGET, numbers, short
from mmcourse.widgets.live import LiveWidget

GUESSES = 5
SETTINGS = ("lower_case", "strip_accents", "max_chars")  # of a tokenizer


class MaskedWords(LiveWidget):
    """The five likeliest words for every place of some sentences, one place hidden at a time.

    Click a word to hide it: bars show what a masked language model guesses, and the word that
    stood there is marked among them, or named below with its own probability. Sentences and
    words count from 0 here.

    With a model behind it, the reader types a text; every hidden place of it is guessed, and the
    attention of one of its tokens is shown.

    Attributes:
        sentence, position: what is shown (shared with the page).
        reads: what the page needs to ask the model: its tokenizer and length.
    """

    _files = "masked_words"
    _also = ("model_host", "own_line", "wordpiece", "own_words")
    _controls = ("sentence", "position")

    sentences = traitlets.List(traitlets.Dict()).tag(sync=True)
    sentence = traitlets.Int(0).tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    reads = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        sentences: Sequence[Mapping[str, Any]],
        vocabulary: Sequence[str],
        *,
        sentence: int = 0,
        position: int | None = None,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
        live: Any = None,
        tokenizer: Any = None,
        start: str = "",
    ) -> None:
        """Show the guesses of a masked language model.

        Args:
            sentences: {"name", "tokens", "probabilities"} for each. Row i of the probabilities
                (tokens, vocabulary) is the model's answer when token i is hidden; a row of
                zeros says that it cannot be hidden ([CLS], [SEP]).
            vocabulary: the word of each column.
            sentence: shown at first. position: hidden at first; by default the first that can be.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.
            live: a `PageModel` whose part "reader" takes ids and segments (1, length), [PAD]
                behind the last token, and gives logits (1, length, vocabulary) and weights
                (1, layers, heads, length, length).
            tokenizer: the model's `WordPiece`. start: what stands in the line to type in.

        Raises:
            ValueError: no sentence, a part missing, probabilities, model or tokenizer that do
                not fit, too much data.
        """
        if not sentences:
            raise ValueError("sentences must hold at least one sentence, got none")
        listed = [_sentence(entry, vocabulary) for entry in sentences]
        size = len(json.dumps(listed, ensure_ascii=False).encode())
        if size > BUDGET:
            raise ValueError(
                f"a widget carries at most {BUDGET:,} bytes of data, got {size:,}: "
                "show fewer or shorter sentences"
            )
        if not 0 <= sentence < len(listed):
            raise ValueError(
                f"sentence must be a whole number from 0 to {len(listed) - 1}, got {sentence}"
            )
        places = _places(listed[sentence])
        position = places[0] if position is None else position
        if position not in places:
            raise ValueError(f"position must be a word that can be hidden {places}, got {position}")
        state = {"sentence": sentence, "position": position, "caption": caption}
        if live is not None:
            state["reads"] = {**_reads(live, tokenizer), "start": start}
        super().__init__(live=live, sentences=listed, presets=presets, **state)

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        last = len(self.sentences) - 1
        which = state.get("sentence", self.sentence)
        if not (isinstance(which, int) and 0 <= which <= last):
            return {"sentence": (0, last)}
        places = len(self.sentences[which]["tokens"])
        return {"sentence": (0, last), "position": (0, places - 1)}

    def _check(self, state: Mapping[str, Any]) -> None:
        super()._check(state)
        here = self.sentences[state.get("sentence", self.sentence)]
        position = state.get("position")
        if position is not None and position not in _places(here):
            raise ValueError(
                f"position must be a word that can be hidden, got {position} "
                f"({here['tokens'][position]!r})"
            )

    @traitlets.observe("sentence")
    def _fit(self, _: Any) -> None:
        """Another sentence may have no word to hide at this place: take the nearest."""
        if not 0 <= self.sentence < len(self.sentences):
            return
        places = _places(self.sentences[self.sentence])
        self.position = min(places, key=lambda place: abs(place - self.position))

    def _describe(self) -> str:
        here = self.sentences[self.sentence]
        word, (share, rank) = here["tokens"][self.position], here["truth"][self.position]
        shown = [*here["tokens"]]
        shown[self.position] = "[MASK]"
        best = ", ".join(f"“{token}” {p:.2f}" for token, p in here["guesses"][self.position][:3])
        return (
            f"“{short(' '.join(shown))}”: the model guesses {best}. "
            f"The word that stood there, “{word}”, has {share:.2f} and is guess number {rank}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        here = self.sentences[self.sentence]
        words, shares = zip(*here["guesses"][self.position], strict=True)
        figure, axes = new_figure(6.0, 2.8)
        truth = here["tokens"][self.position]
        marks = ["orange" if word == truth else "blue" for word in words]
        axes.barh(range(len(words)), shares, color=[COLORS[mark] for mark in marks])
        axes.set_yticks(range(len(words)), [f"✓ {w}" if w == truth else w for w in words])
        axes.set(xlim=(0, 1), xlabel="probability")
        axes.invert_yaxis()
        shown = [*here["tokens"]]
        shown[self.position] = "[MASK]"
        axes.set_title(short(" ".join(shown)), fontsize=10)
        return figure


def _places(described: Mapping[str, Any]) -> list[int]:
    """The positions that can be hidden."""
    return [place for place, guesses in enumerate(described["guesses"]) if guesses]


def _rounded(share: float) -> float:
    """Three digits are enough for a bar."""
    return float(f"{share:.3g}")


def _reads(live: Any, tokenizer: Any) -> dict[str, Any]:
    """Ask the model once whether the tokenizer fits it; what the page must know of both."""
    part = live.parts.get("reader")
    wanted = [["ids", "segments"], {"logits", "weights"}]
    if part is None or [sorted(part.inputs), set(part.outputs)] != wanted:
        raise ValueError('live needs a part "reader": from ids, segments to logits, weights')
    tokens, length = list(tokenizer.tokens), part.inputs["ids"].shape[1]
    found = live.run("reader", part.inputs)["logits"]
    if found.shape != (1, length, len(tokens)) or tokenizer.pad_id != 0:
        raise ValueError(
            f"the model must give logits (1, {length}, {len(tokens)} tokens) and fill up with "
            f"token 0, got {tuple(found.shape)} and {tokenizer.pad_id}"
        )
    settings = {name: getattr(tokenizer, name) for name in SETTINGS}
    return {"tokens": tokens, "length": length, **settings}


def _sentence(entry: Mapping[str, Any], vocabulary: Sequence[str]) -> dict[str, Any]:
    """Check a sentence; for each place its best guesses, and where the true word is."""
    if missing := {"name", "tokens", "probabilities"} - set(entry):
        raise ValueError(f"a sentence needs name, tokens, probabilities; missing {missing}")
    table = numbers(entry["probabilities"], "probabilities", "tokens, vocabulary")
    tokens = [str(token) for token in entry["tokens"]]
    if table.shape != (len(tokens), len(vocabulary)):
        raise ValueError(
            f"probabilities must be ({len(tokens)} tokens, {len(vocabulary)} words), "
            f"got {table.shape}"
        )
    sums = table.sum(axis=1)
    wrong = ~(np.isclose(sums, 1, atol=1e-3) | (sums == 0))
    if table.min() < 0 or wrong.any():
        bad = table.min() if table.min() < 0 else sums[wrong][0]
        raise ValueError(f"each row must be ≥ 0 and sum to 1 (or be all 0), got {bad:.4g}")
    if not sums.any():
        raise ValueError(f"no word of {short(' '.join(tokens))!r} can be hidden: all rows are 0")
    number = {word: index for index, word in enumerate(vocabulary)}
    guesses: list[list[Any]] = []
    truth: list[list[Any]] = []
    for token, row, total in zip(tokens, table, sums, strict=True):
        if total == 0:
            guesses.append([])
            truth.append([])
            continue
        if token not in number:
            raise ValueError(f"the word {token!r} is not in the vocabulary")
        order = np.argsort(-row, kind="stable")
        share = float(row[number[token]])
        guesses.append([[vocabulary[i], _rounded(row[i])] for i in order[:GUESSES]])
        truth.append([_rounded(share), 1 + int((row > share).sum())])
    return {"name": str(entry["name"]), "tokens": tokens, "guesses": guesses, "truth": truth}
