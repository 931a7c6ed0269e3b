"""Show, attend and tell: a caption word by word, each with a look at the picture of its own."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.multimodal.decoding import beam_search, greedy_search
from mmcourse.multimodal.grid_encoder import IMAGES, PLACES, GridEncoder
from mmcourse.multimodal.ids import check_ids
from mmcourse.multimodal.soft_attention import SoftAttention, doubly_stochastic_penalty

TOKENS = Int[Tensor, "batch tokens"]
STATE = Float[Tensor, "batch width"]


class Told(NamedTuple):
    """What the network says of captions that it is shown.

    Attributes:
        logits: scores of each next word, (batch, tokens − 1, vocabulary); row t is for `ids`
            t + 1.
        weights: α, where it looked for that word, (batch, tokens − 1, places); rows sum to 1.
        gates: β, how much it used of what it saw, (batch, tokens − 1) in (0, 1).
    """

    logits: Float[Tensor, "batch steps vocabulary"]
    weights: Float[Tensor, "batch steps places"]
    gates: Float[Tensor, "batch steps"]


class ShowAttendTell(nn.Module):
    """CNN, soft attention and an LSTM: p(next word | the words so far, the picture).

    h₀ = tanh(W ā), c₀ = tanh(W' ā);  α_t from h_{t−1};  β_t = σ(w·h_{t−1} + b)
    ẑ_t = β_t Σ_i α_ti a_i;  h_t, c_t = LSTM([E y_{t−1}; ẑ_t], h_{t−1}, c_{t−1})
    logits = L_o tanh(E y_{t−1} + L_h h_t + L_z ẑ_t)

    The last line is the paper's deep output: the word before and the picture reach the next word
    on a way of their own, past the LSTM.

    Args:
        vocab_size: number of tokens.
        encoder: pictures (batch, 3, height, width) → annotations (batch, places, features), with
            an attribute `feature_dim`; None for a `GridEncoder`.
        embed_dim: length of E y, a word's vector.
        width: length of h and c.
        attention_dim: length of the attention's hidden layer.
        gated: whether there is a β; without it, β = 1.
        dropout: share of the deep output's inputs that training sets to 0.
        start_id, end_id, pad_id: the tokens before, after and behind a caption.

    Raises:
        ValueError: a size below 1, or marks that are not three different tokens.

    Source: Xu et al. 2015, arXiv:1502.03044, equations 1–3, 7, §4.2 (soft attention, β). The
        tanh of the first and last line is in the authors' code, not in the paper. In place of
        their Theano code's 1,800 units and 512 numbers a word: what scenes of shapes need.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        encoder: nn.Module | None = None,
        embed_dim: int = 64,
        width: int = 128,
        attention_dim: int = 64,
        gated: bool = True,
        dropout: float = 0.0,
        start_id: int = 1,
        end_id: int = 2,
        pad_id: int = 0,
    ) -> None:
        super().__init__()
        marks = (start_id, end_id, pad_id)
        if min(vocab_size, embed_dim, width, attention_dim) < 1:
            raise ValueError(
                f"sizes must be at least 1, got {(vocab_size, embed_dim, width, attention_dim)}"
            )
        if len(set(marks)) < 3 or not all(0 <= mark < vocab_size for mark in marks):
            raise ValueError(f"start, end, pad must differ and be below {vocab_size}, got {marks}")
        self.start_id, self.end_id, self.pad_id, self.vocab_size = *marks, vocab_size
        self.encoder = GridEncoder() if encoder is None else encoder
        feature_dim = int(self.encoder.feature_dim)  # type: ignore[arg-type]
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.first_hidden = nn.Linear(feature_dim, width)
        self.first_cell = nn.Linear(feature_dim, width)
        self.attention = SoftAttention(feature_dim, width, attention_dim)
        self.gate = nn.Linear(width, 1) if gated else None
        self.lstm = nn.LSTMCell(embed_dim + feature_dim, width)
        self.from_hidden = nn.Linear(width, embed_dim)
        self.from_context = nn.Linear(feature_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(embed_dim, vocab_size)

    def first_state(self, annotations: PLACES) -> tuple[STATE, STATE]:
        """h₀ and c₀, from the mean of the annotations."""
        mean = annotations.mean(dim=1)
        return self.first_hidden(mean).tanh(), self.first_cell(mean).tanh()

    def step(
        self,
        words: Int[Tensor, "batch"],
        hidden: STATE,
        cell: STATE,
        annotations: PLACES,
        keys: Float[Tensor, "batch places attention"],
    ) -> tuple[Told, STATE, STATE]:
        """One word further: what follows `words`, and the new h and c.

        Args:
            words: y_{t−1}, the last word of each caption.
            hidden, cell: h_{t−1} and c_{t−1}.
            annotations: of the pictures.
            keys: `attention.keys(annotations)`, which never change.

        Returns:
            a `Told` of one step, h_t and c_t.
        """
        context, weights = self.attention(annotations, hidden, keys)
        gates = hidden.new_ones(len(hidden)) if self.gate is None else self.gate(hidden).sigmoid()
        gates = gates.reshape(len(hidden), 1)
        context = gates * context
        word = self.embedding(words)
        hidden, cell = self.lstm(torch.cat([word, context], dim=1), (hidden, cell))
        deep = (word + self.from_hidden(hidden) + self.from_context(context)).tanh()
        logits = self.output(self.dropout(deep))
        return Told(logits[:, None], weights[:, None], gates), hidden, cell

    def forward(self, images: IMAGES, ids: TOKENS) -> Told:
        """Read captions word by word and say, before each, what it should be.

        Args:
            images: in [-1, 1], as the encoder wants them.
            ids: a caption for each picture: start, words, end, padding.

        Returns:
            logits, attention and gates for `ids[:, 1:]`.

        Raises:
            ValueError: another number of captions than of pictures, a caption without a word, or
                a number that no token has.
        """
        self.check_captions(ids, len(images))
        annotations = self.encoder(images)
        keys, (hidden, cell) = self.attention.keys(annotations), self.first_state(annotations)
        steps = []
        for words in ids[:, :-1].unbind(dim=1):
            told, hidden, cell = self.step(words, hidden, cell, annotations, keys)
            steps.append(told)
        return Told(*(torch.cat(parts, dim=1) for parts in zip(*steps, strict=True)))

    def loss(self, told: Told, ids: TOKENS, *, penalty: float = 1.0) -> Float[Tensor, ""]:
        """The mean surprise of a word, plus what is seen too little or too much.

        L = −mean log p(y_t | y_<t, picture) + λ mean_captions Σ_i (1 − Σ_t α_ti)²

        Args:
            told: what `forward` said of `ids`.
            ids: the captions.
            penalty: λ; 1 in the authors' settings for COCO, 0 to leave it out. The paper sums
                the surprise over a caption's words, so that the same λ weighs more here.

        Raises:
            ValueError: captions of another shape.

        Source: Xu et al. 2015, arXiv:1502.03044, equation 14.
        """
        if told.logits.shape[:2] != (len(ids), ids.shape[1] - 1):
            raise ValueError(
                f"told is of {tuple(told.logits.shape[:2])} words, ids of {tuple(ids.shape)} "
                "tokens: need one fewer"
            )
        words = ids[:, 1:]
        logits = rearrange(told.logits, "b t v -> b v t")
        surprise = F.cross_entropy(logits, words, ignore_index=self.pad_id)
        return surprise + penalty * doubly_stochastic_penalty(told.weights, words != self.pad_id)

    @torch.no_grad()
    def write(
        self, images: IMAGES, *, beam: int = 1, max_length: int = 20, length_penalty: float = 0.0
    ) -> Int[Tensor, "batch length"]:
        """Captions for pictures, by greedy decoding or beam search.

        Args:
            images: as in `forward`. Call `eval()` first: batch norm and dropout must rest.
            beam: 1 takes the likeliest word each time; more keep so many beginnings.
            max_length: a caption is cut off after so many words, its end included.
            length_penalty: as in `beam_search`.

        Returns:
            start, words, end, padding; what `forward` reads to tell where each word looked.

        Raises:
            ValueError: `beam` or `max_length` below 1.
        """
        ask = CaptionStepper(self, images)
        ends = {"start_id": self.start_id, "end_id": self.end_id, "pad_id": self.pad_id}
        size = {"max_length": max_length, "device": images.device}
        if beam == 1:
            found = greedy_search(ask, len(images), **ends, **size)
        else:
            found, _ = beam_search(
                ask, len(images), beam=beam, length_penalty=length_penalty, **ends, **size
            )
        return F.pad(found, (1, 0), value=self.start_id)

    def check_captions(self, ids: Tensor, count: int) -> None:
        """Refuse captions that do not fit `count` pictures, and captions without a word.

        Raises:
            ValueError: see `forward`.
        """
        check_ids(
            ids,
            self.vocab_size,
            form=f"be whole numbers of shape ({count}, 3 or more): start, words, end",
            fits=ids.ndim == 2 and len(ids) == count and ids.shape[1] >= 3,
        )
        empty = (ids[:, 1] == self.end_id) | (ids[:, 1] == self.pad_id)
        if bool(empty.any()):
            raise ValueError(f"caption {int(empty.int().argmax())} is empty: it has no word")


class CaptionStepper:
    """A captioner as `decoding` asks it: look at the pictures once, then one word a call.

    Args:
        model: the captioner.
        images: as its `forward` wants them.
    """

    def __init__(self, model: ShowAttendTell, images: IMAGES) -> None:
        self.model, annotations = model, model.encoder(images)
        self.kept = (
            *model.first_state(annotations), annotations, model.attention.keys(annotations)
        )  # fmt: skip

    def __call__(
        self, tokens: Int[Tensor, "rows"], parents: Int[Tensor, "rows"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """log p(next word) after `tokens`, which continue the rows `parents` of the last call."""
        hidden, cell, annotations, keys = (kept[parents] for kept in self.kept)
        told, hidden, cell = self.model.step(tokens, hidden, cell, annotations, keys)
        self.kept = (hidden, cell, annotations, keys)
        logits = told.logits[:, 0].clone()
        logits[:, [self.model.pad_id, self.model.start_id]] = -torch.inf  # these are no words
        return logits.log_softmax(dim=-1)
