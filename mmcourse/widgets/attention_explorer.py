"""Attention explorer: pin a word and see what it attends to, in every layer and head."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import halves, numbers, short
from mmcourse.widgets.live import LiveWidget


class AttentionExplorer(LiveWidget):
    """Attention weights of one or several sentences, as arcs between words and as a matrix.

    The words of a sentence stand in a line; from the pinned word (the query) an arc leads to
    every word it attends to, thick and dark where the weight is large. A weight of exactly 0 is
    drawn as hatching: masked. Layers, heads and words count from 0 here, from 1 on the page.

    With a model behind it, the reader types a sentence with a pronoun; the model says what the
    pronoun stands for, and its weights are shown in the same views.

    Attributes:
        sentence, layer, head, pinned: what is shown (shared with the page); head −1 is the mean
            over the heads.
        reads: what the page needs to ask the model: its words, answers, pronoun and length.
    """

    _files = "attention_explorer"
    _also = ("heat", "model_host", "known_words", "own_line", "own_sentence")
    _controls = ("sentence", "layer", "head", "pinned")

    sentences = traitlets.List(traitlets.Dict()).tag(sync=True)
    sentence = traitlets.Int(0).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    pinned = traitlets.Int(0).tag(sync=True)
    reads = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        weights: Any,
        tokens: Sequence[str],
        *,
        queries: Sequence[str] | None = None,
        layer: int = 0,
        head: int = 0,
        pinned: int | None = None,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
        more: Sequence[Mapping[str, Any]] = (),
        name: str = "Sentence 1",
        live: Any = None,
        words: Sequence[str] = (),
        answers: Sequence[str] = (),
        pronoun: str = "it",
    ) -> None:
        """Show the attention of one sentence.

        Args:
            weights: (layers, heads, queries, keys), each row ≥ 0 with sum 1 (or all 0: masked).
            tokens: the words attended to (keys), and from (queries) unless `queries` is given.
            queries: the words that attend, for attention between two sequences.
            layer: shown at first. head: likewise; −1 for the mean over the heads.
            pinned: the query shown at first; by default the one with the most telling weight.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below. more, name: see `from_sentences`.
            live: a `PageModel` whose part "reader" takes ids (1, length), 0 behind the last word,
                and gives logits (1, answers) and weights (1, layers, heads, length, length).
            words: the word of each number; the first is the filling. answers: of each logit.
            pronoun: the word that a sentence must have once.

        Raises:
            ValueError: the weights are not such, or the words do not fit them or the model.
        """
        first = {"name": name, "tokens": tokens, "weights": weights, "queries": queries}
        self._weights, listed, data = [], [], b""
        for entry in [first, *more]:
            array, described = _sentence(entry)
            listed.append({**described, "offset": len(data)})
            self._weights.append(array)
            data += halves(array)
        start = {"layer": layer, "head": head, "caption": caption}
        start["pinned"] = self._telling(layer, head) if pinned is None else pinned
        reads = {} if live is None else _reads(live, words, answers, pronoun)
        typed = " ".join(str(token) for token in tokens)
        start["reads"] = reads and {**reads, "start": typed}
        super().__init__(live=live, data=data, sentences=listed, presets=presets, **start)

    @classmethod
    def from_sentences(
        cls, sentences: Sequence[Mapping[str, Any]], **options: Any
    ) -> "AttentionExplorer":
        """Show several sentences, with a list to choose from.

        Args:
            sentences: {"name", "tokens", "weights", and "queries" if they differ} for each.
            options: as for one sentence.

        Raises:
            ValueError: no sentence, a part missing, or see the constructor.
        """
        for entry in sentences:
            if missing := {"name", "tokens", "weights"} - set(entry):
                raise ValueError(f"a sentence needs name, tokens, weights; missing {missing}")
        if not sentences:
            raise ValueError("sentences must hold at least one sentence, got none")
        first, *more = sentences
        kept = {key: first.get(key) for key in ("weights", "tokens", "queries", "name")}
        return cls(**kept, more=more, **options)

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        last = len(self.sentences) - 1
        which = state.get("sentence", self.sentence)
        if not (isinstance(which, int) and 0 <= which <= last):
            return {"sentence": (0, last)}
        layers, heads, rows, _ = self.sentences[which]["shape"]
        limits = {"layer": (0, layers - 1), "head": (-1, heads - 1), "pinned": (0, rows - 1)}
        return {"sentence": (0, last), **limits}

    @traitlets.observe("sentence")
    def _fit(self, _: Any) -> None:
        """Another sentence may have fewer words, layers or heads."""
        for name, (low, high) in self._limits({}).items():
            setattr(self, name, min(max(getattr(self, name), low), high))

    def _matrix(self, layer: int, head: int) -> np.ndarray:
        """The weights (queries, keys) of a head, or of the mean over the heads."""
        picked = self._weights[self.sentence][layer]
        return picked.mean(axis=0) if head < 0 else picked[head]

    def _telling(self, layer: int, head: int) -> int:
        """The query with the largest weight on another word, itself and the first word aside."""
        layers, heads = self._weights[0].shape[:2]
        if not (0 <= layer < layers and -1 <= head < heads):
            return 0
        matrix = self._matrix(layer, head).copy()
        if matrix.shape[0] == matrix.shape[1] > 2:
            np.fill_diagonal(matrix, 0)
            matrix[:, 0] = 0
        return int(matrix.max(axis=1).argmax())

    def _describe(self) -> str:
        here = self.sentences[self.sentence]
        queries = here.get("queries") or here["tokens"]
        row = self._matrix(self.layer, self.head)[self.pinned]
        best = [f"“{here['tokens'][j]}” {row[j]:.2f}" for j in np.argsort(-row)[:3] if row[j] > 0]
        which = "mean over the heads" if self.head < 0 else f"head {self.head + 1}"
        said = ", ".join(best) if best else "nothing"
        return (
            f"Attention of “{short(' '.join(queries))}”, layer {self.layer + 1}, {which}: "
            f"“{queries[self.pinned]}” attends most to {said}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import heat_map, new_figure

        here = self.sentences[self.sentence]
        queries = here.get("queries") or here["tokens"]
        side = 2.2 + 0.26 * max(len(queries), len(here["tokens"]))
        figure, axes = new_figure(side, side)
        heat_map(axes, self._matrix(self.layer, self.head), queries, here["tokens"], low=0)
        axes.set(xlabel="attended to (key)", ylabel="attending (query)")
        return figure


def _reads(live: Any, words: Sequence[str], answers: Sequence[str], pronoun: str) -> dict[str, Any]:
    """Ask the model once whether words and answers fit it; what the page must know of them."""
    part = live.parts.get("reader")
    if part is None or set(part.outputs) != {"logits", "weights"} or set(part.inputs) != {"ids"}:
        raise ValueError('live needs a part "reader": from ids to logits and weights')
    if pronoun not in words[1:] or len(set(words)) < len(words):
        raise ValueError(f"words must differ and have {pronoun!r}, got {short(str(list(words)))}")
    ids = part.inputs["ids"]
    found = live.run("reader", {"ids": ids})
    if found["logits"].shape != (1, len(answers)) or int(ids.max()) >= len(words):
        raise ValueError(
            f"the model needs an answer for each of its logits, {tuple(found['logits'].shape)}, "
            f"got {len(answers)} answers and {len(words)} words"
        )
    listed = {"words": list(map(str, words)), "answers": list(map(str, answers))}
    return {**listed, "pronoun": pronoun, "length": ids.shape[1]}


def _sentence(entry: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """Check a sentence; its weights, and what the page has to know of it."""
    weights = numbers(entry["weights"], "weights", "layers, heads, queries, keys")
    tokens = [str(token) for token in entry["tokens"]]
    queries = entry.get("queries")
    rows = tokens if queries is None else [str(token) for token in queries]
    if weights.shape[2:] != (len(rows), len(tokens)):
        raise ValueError(
            f"weights of shape {weights.shape} need {weights.shape[2]} queries and "
            f"{weights.shape[3]} keys, got {len(rows)} and {len(tokens)} tokens"
        )
    if weights.min() < 0:
        raise ValueError(f"weights must be at least 0, got {weights.min():.3g}")
    sums = weights.sum(axis=-1)
    wrong = ~(np.isclose(sums, 1, atol=1e-2) | (sums == 0))
    if wrong.any():
        raise ValueError(
            "weights must sum to 1 over the keys (or be all 0 where a query may attend to "
            f"nothing), got a sum of {sums[wrong][0]:.4g}"
        )
    described = {"name": str(entry["name"]), "tokens": tokens, "shape": list(weights.shape)}
    return weights, described if queries is None else {**described, "queries": rows}
