"""Sampling explorer: a language model's next-token probabilities, and three ways to bend them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import halves, numbers, short
from mmcourse.widgets.live import LiveWidget

RANGES = {"temperature": (0.0, 3.0), "top_p": (0.05, 1.0)}
MOST_DRAWS = 1000


class SamplingExplorer(LiveWidget):
    """What may come next after a prefix, under temperature, top-k and top-p.

    Bars show the probabilities of the likeliest tokens; what top-k or top-p cuts off is hatched.
    Tokens are drawn from a seeded generator and counted beside the bars, and a token can be
    appended wherever the longer prefix is stored too. All of it is computed on the page from the
    stored logits, in the order temperature, top-k, top-p. With the model behind it, a reader's own
    text becomes one more prefix, any word can be appended, and the model writes on.

    Attributes:
        prefix: which stored prefix, counted from 0; −1 is the reader's own, whose token numbers
            are `own` and whose logits are `answer`. temperature: 0 … 3, 0 is greedy.
        top_k: how many tokens are kept, 0 for all. top_p: 0.05 … 1.
        draws: how many tokens have been drawn here, 0 … 1000. seed: of these and of writing on.
        length: how many tokens the model reads, 0 without one.
    """

    _files = "sampling_explorer"
    _also = ("model_host", "known_words", "own_line", "next_words")
    _controls = ("prefix", "temperature", "top_k", "top_p", "draws")

    vocabulary = traitlets.List(traitlets.Unicode()).tag(sync=True)
    prefixes = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    length = traitlets.Int(0).tag(sync=True)
    own = traitlets.List(traitlets.Int()).tag(sync=True)
    answer = traitlets.List(traitlets.Float()).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    prefix = traitlets.Int(0).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int(0).tag(sync=True)
    top_p = traitlets.Float(1.0).tag(sync=True)
    draws = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        logits: Any,
        prefixes: Sequence[Sequence[int]],
        vocabulary: Sequence[str],
        *,
        prefix: int = 0,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        draws: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
        seed: int = 0,
        live: Any = None,
    ) -> None:
        """Show the logits that follow each prefix.

        Args:
            logits: (prefixes, tokens), finite.
            prefixes: token numbers of each prefix; where one is another and one token more, the
                page can go from the shorter to the longer.
            vocabulary: what each token is called.
            prefix, temperature, top_k, top_p, draws: see the attributes.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below. seed: of the draws.
            live: a `PageModel` whose part "next" reads "ids" (1, length), token numbers, and gives
                (1, length, tokens), logits of what follows each place. The vocabulary then has
                [PAD], for places behind the text, and [BOS], which texts begin with.

        Raises:
            ValueError: the sizes do not fit, a prefix is empty, unknown or doubled, a control is
                out of its range, or the model is not such.
        """
        self._logits = numbers(logits, "logits", "prefixes, tokens")
        words = [str(word) for word in vocabulary]
        listed = [[int(number) for number in one] for one in prefixes]
        if self._logits.shape != (len(listed), len(words)):
            raise ValueError(
                f"logits of shape {self._logits.shape} need as many prefixes and tokens, "
                f"got {len(listed)} and {len(words)}"
            )
        _check_prefixes(listed, len(words))
        super().__init__(
            live=live,
            length=_length(live, words),
            data=halves(self._logits),
            vocabulary=words,
            prefixes=listed,
            seed=seed,
            prefix=prefix,
            temperature=float(temperature),
            top_k=top_k,
            top_p=float(top_p),
            draws=draws,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        last, most = len(self.prefixes) - 1, len(self.vocabulary)
        first = -1 if self.own else 0
        return {"prefix": (first, last), "top_k": (0, most), "draws": (0, MOST_DRAWS)}

    def _check(self, state: Mapping[str, Any]) -> None:
        super()._check(state)
        for name, (low, high) in RANGES.items():
            value = state.get(name, low)
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {value!r}")

    def probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities before and after top-k and top-p, at the present temperature."""
        logits = self._logits[self.prefix] if self.prefix >= 0 else np.array(self.answer)
        if self.temperature == 0:
            certain = np.eye(len(logits))[logits.argmax()]
            return certain, certain
        scores = (logits - logits.max()) / self.temperature
        before = np.exp(scores) / np.exp(scores).sum()
        kept = np.ones(len(scores), dtype=bool)
        if self.top_k:
            kept = scores >= np.sort(scores)[-self.top_k]
        p = np.where(kept, before, 0) / before[kept].sum()
        if self.top_p < 1:
            order = np.argsort(p, kind="stable")
            cut = np.cumsum(p[order]) <= 1 - self.top_p
            cut[-1] = False
            p[order[cut]] = 0
        return before, p / p.sum()

    def _describe(self) -> str:
        _, p = self.probabilities()
        words = [
            self.vocabulary[i]
            for i in (self.prefixes[self.prefix] if self.prefix >= 0 else self.own)
        ]
        best = [f"“{self.vocabulary[i]}” {p[i]:.2f}" for i in np.argsort(-p)[:3] if p[i] > 0]
        return (
            f"After “{short(' '.join(words))}”, at temperature {self.temperature:.1f}, "
            f"{(p > 0).sum()} of {len(p)} tokens may be drawn; the likeliest: {', '.join(best)}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, new_figure

        before, after = self.probabilities()
        order = np.argsort(-before, kind="stable")[:12][::-1]
        figure, axes = new_figure(5.5, 3.6)
        cut = np.where(after[order] > 0, 0, before[order])
        names = [self.vocabulary[i] for i in order]
        axes.barh(names, after[order], color=COLORS["blue"], label="may be drawn")
        look = {"facecolor": "white", "edgecolor": COLORS["grey"], "hatch": "///"}
        axes.barh(names, cut, label="cut off", **look)
        axes.set(xlabel="probability", title=short(self._describe().split(",")[0], 50))
        axes.legend(loc="lower right")
        return figure


def _check_prefixes(prefixes: list[list[int]], tokens: int) -> None:
    if len({tuple(one) for one in prefixes}) < len(prefixes):
        raise ValueError("prefixes must differ from one another, got one twice")
    for one in prefixes:
        if not one or min(one) < 0 or max(one) >= tokens:
            raise ValueError(f"a prefix holds token numbers from 0 to {tokens - 1}, got {one}")


def _length(live: Any, words: list[str]) -> int:
    """How many tokens the model reads."""
    if live is None:
        return 0
    ids = live.parts["next"].inputs.get("ids") if "next" in live.parts else None
    if ids is None or ids.ndim != 2 or len(ids) != 1 or not {"[PAD]", "[BOS]"} <= set(words):
        raise ValueError(
            'live needs a part "next" that reads "ids" (1, length), and the vocabulary [PAD] and '
            f"[BOS]; got the parts {list(live.parts)}"
        )
    return ids.shape[1]
