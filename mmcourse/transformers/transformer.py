"""The Transformer of 2017: an encoder that reads, and a decoder that writes."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmcourse.multimodal.decoding import beam_search, greedy_search
from mmcourse.multimodal.ids import check_ids
from mmcourse.transformers.attention import MASK, causal_mask
from mmcourse.transformers.block import TransformerBlock
from mmcourse.transformers.decoder import DecoderBlock, Stepper
from mmcourse.transformers.positions import sinusoidal_positions
from mmcourse.weights import load_strict, read_checkpoint

LOGITS = Float[Tensor, "batch target vocabulary"]
TOKENS = Int[Tensor, "batch length"]


class Transformer(nn.Module):
    """Sentence in, sentence out: log p(next target token | source, target so far).

    source → embedding · √d + positions → encoder blocks → memory
    target → embedding · √d + positions → decoder blocks, which see the memory → logits

    The output layer is the transposed target embedding (weight tying).

    Args:
        source_vocab: number of source tokens.
        target_vocab: number of target tokens; None for one vocabulary, and one embedding, that
            both languages share, as in the paper.
        embed_dim, num_heads, encoder_layers, decoder_layers: sizes, the paper's by default.
        dropout: on each branch's output and on the embeddings, in [0, 1).
        max_length: how many positions there are, for the source and for the target.
        pad_id, start_id, end_id: the special tokens, the same numbers in both vocabularies.
        norm_first: pre-LN instead of the paper's post-LN.
        final_norm: one more LayerNorm behind each stack. The paper has none, PyTorch's
            `nn.Transformer` has one always, and pre-LN needs one; by default as `norm_first`.
        interleave: positions as in the paper, sines and cosines in turn; False for all sines
            and then all cosines, as in Marian.
        scale_embedding: whether embeddings are multiplied by √embed_dim.
        output_bias: whether the logits get a learned bias (the paper's do not).
        block: hidden_dim, activation, norm_eps and bias of the blocks, see `TransformerBlock`.

    Raises:
        ValueError: for sizes that do not fit, or special tokens outside a vocabulary.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3. Dropout only where the paper has it;
    PyTorch's module also drops attention weights and hidden units.
    """

    positions: Tensor

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int | None = None,
        *,
        embed_dim: int = 512,
        num_heads: int = 8,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        dropout: float = 0.1,
        max_length: int = 512,
        pad_id: int = 0,
        start_id: int = 1,
        end_id: int = 2,
        norm_first: bool = False,
        final_norm: bool | None = None,
        interleave: bool = True,
        scale_embedding: bool = True,
        output_bias: bool = False,
        **block: Any,
    ) -> None:
        super().__init__()
        sizes = [source_vocab] if target_vocab is None else [source_vocab, target_vocab]
        _check_sizes(sizes, [encoder_layers, decoder_layers], [pad_id, start_id, end_id])
        self.pad_id, self.start_id, self.end_id = pad_id, start_id, end_id
        self.scale = math.sqrt(embed_dim) if scale_embedding else 1.0
        self.embeddings = nn.ModuleList(nn.Embedding(size, embed_dim) for size in sizes)
        for weight in self.embeddings.parameters():  # · √d of variance 1, as the logits then are
            nn.init.normal_(weight, std=embed_dim**-0.5)
        waves = sinusoidal_positions(max_length, embed_dim)
        halves = torch.cat([waves[:, 0::2], waves[:, 1::2]], dim=1)
        self.register_buffer("positions", waves if interleave else halves, persistent=False)
        block |= {"norm_first": norm_first, "dropout": dropout}
        self.encoder = nn.ModuleList(
            TransformerBlock(embed_dim, num_heads, **block) for _ in range(encoder_layers)
        )
        self.decoder = nn.ModuleList(
            DecoderBlock(embed_dim, num_heads, **block) for _ in range(decoder_layers)
        )
        options = {"eps": block.get("norm_eps", 1e-5), "bias": block.get("bias", True)}
        ends = norm_first if final_norm is None else final_norm
        self.encoder_norm = nn.LayerNorm(embed_dim, **options) if ends else nn.Identity()
        self.decoder_norm = nn.LayerNorm(embed_dim, **options) if ends else nn.Identity()
        self.output_bias = nn.Parameter(torch.zeros(sizes[-1])) if output_bias else None
        self.dropout = nn.Dropout(dropout)

    @property
    def source_embedding(self) -> nn.Embedding:
        """The table of source tokens."""
        return self.embeddings[0]  # type: ignore[return-value]

    @property
    def target_embedding(self) -> nn.Embedding:
        """The table of target tokens, and the output layer; the same one if shared."""
        return self.embeddings[-1]  # type: ignore[return-value]

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target: Int[Tensor, "batch target"],
        *,
        source_mask: Bool[Tensor, "batch source"] | None = None,
        target_mask: MASK | None = None,
        return_weights: bool = False,
    ) -> LOGITS | tuple[LOGITS, Float[Tensor, "batch layers heads target source"]]:
        """Logits of each target token's successor, for all positions at once (teacher forcing).

        Args:
            source: token numbers, padded on the right with `pad_id`.
            target: the start token, then the sentence without its end. No padding mask is
                needed for it: padding on the right lies in the future.
            source_mask: True = a real token; by default wherever source ≠ `pad_id`. Where it
                hides a whole sentence, nothing is fetched from it (zeros, never NaN).
            target_mask: see `decode`.
            return_weights: also return the cross-attention weights of all decoder blocks.

        Raises:
            ValueError: for tokens outside the vocabulary, an empty sentence, one that is longer
                than `max_length`, or a mask of another shape.
        """
        source_mask = self._source_mask(source, source_mask)
        memory = self.encode(source, source_mask)
        return self.decode(target, memory, source_mask, target_mask, return_weights)

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch source width"]:
        """The memory: one vector for each source token, read in the light of all others."""
        mask = self._source_mask(source, source_mask)[:, None]  # for every query
        x = self.embed(source, self.source_embedding)
        for block in self.encoder:
            x = block(x, mask)
        return self.encoder_norm(x)

    def decode(
        self,
        target: Int[Tensor, "batch target"],
        memory: Float[Tensor, "batch source width"],
        source_mask: Bool[Tensor, "batch source"],
        target_mask: MASK | None = None,
        return_weights: bool = False,
    ) -> LOGITS | tuple[LOGITS, Float[Tensor, "batch layers heads target source"]]:
        """Logits of each target token's successor, given the memory; see `forward`.

        `target_mask` says which target tokens each one may see; None is the causal mask.
        """
        if target_mask is None:
            target_mask = causal_mask(max(target.shape[1], 1), device=target.device)
        x = self.embed(target, self.target_embedding)
        weights = []
        for block in self.decoder:
            x = block(x, memory, target_mask, source_mask[:, None], return_weights)
            if return_weights:
                x, seen = x
                weights.append(seen)
        logits = self.logits(x)
        return (logits, torch.stack(weights, dim=1)) if return_weights else logits

    def embed(self, ids: Tensor, embedding: nn.Embedding, start: int = 0) -> Tensor:
        """embedding · √d + positions, from position `start` on."""
        check_ids(
            ids,
            embedding.num_embeddings,
            name="tokens",
            form="be whole numbers of shape (batch, length), neither of them 0",
            fits=ids.ndim == 2 and ids.numel() > 0,
        )
        left = len(self.positions) - start
        if ids.shape[1] > left:
            raise ValueError(f"there are {left} positions (max_length), got {ids.shape[1]} tokens")
        positions = self.positions[start : start + ids.shape[1]]
        return self.dropout(embedding(ids) * self.scale + positions)

    def logits(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch vocabulary"]:
        """Compare the decoder's output with every token's own vector."""
        return F.linear(self.decoder_norm(x), self.target_embedding.weight, self.output_bias)

    def greedy(
        self,
        source: Int[Tensor, "batch source"],
        *,
        max_length: int | None = None,
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> TOKENS:
        """Translate, taking the likeliest token at every step.

        The padding token is never written; it fills up the sentences that ended earlier. Call
        `eval()` first: in training mode, dropout is at work here too.

        Args:
            source, source_mask: as in `forward`.
            max_length: most tokens to write, the end token included; by default (and at most)
                as many as there are positions.

        Returns:
            (batch, length): each sentence with its end token, without the start token.

        Raises:
            ValueError: as `forward`, and for a `max_length` out of range.
        """
        step = Stepper(self, source, self._source_mask(source, source_mask))
        return greedy_search(step, len(source), **self._limits(source, max_length))

    def beam_search(
        self,
        source: Int[Tensor, "batch source"],
        *,
        beam: int = 4,
        length_penalty: float = 0.6,
        max_length: int | None = None,
        source_mask: Bool[Tensor, "batch source"] | None = None,
        return_scores: bool = False,
    ) -> TOKENS | tuple[TOKENS, Float[Tensor, "batch"]]:
        """Translate, following the `beam` likeliest beginnings; see `decoding.beam_search`.

        All else is as in `greedy`; with `return_scores` also each sentence's log P / lp.
        """
        step = Stepper(self, source, self._source_mask(source, source_mask))
        options = {"beam": beam, "length_penalty": length_penalty}
        found = beam_search(step, len(source), **options, **self._limits(source, max_length))
        return found if return_scores else found[0]

    def _limits(self, source: Tensor, max_length: int | None) -> dict[str, Any]:
        most = len(self.positions)
        max_length = most if max_length is None else max_length
        if not 1 <= max_length <= most:
            raise ValueError(f"max_length must be in 1 … {most}, got {max_length}")
        ends = {"start_id": self.start_id, "end_id": self.end_id, "pad_id": self.pad_id}
        return {**ends, "max_length": max_length, "device": source.device}

    def _source_mask(self, source: Tensor, mask: Tensor | None) -> Tensor:
        mask = source != self.pad_id if mask is None else mask
        if mask.dtype != torch.bool or mask.shape != source.shape:
            raise ValueError(
                f"source_mask must be bool of shape {tuple(source.shape)}, "
                f"got {mask.dtype} of shape {tuple(mask.shape)}"
            )
        return mask

    @classmethod
    def from_torch(
        cls,
        module: nn.Transformer,
        source_embedding: nn.Embedding,
        target_embedding: nn.Embedding | None = None,
        **options: Any,
    ) -> "Transformer":
        """The same model with the weights of PyTorch's, which has no embeddings of its own.

        Args:
            module: norms in either order; its two final norms, if any, come along.
            source_embedding, target_embedding: those to use around it; None for a shared one.
            options: max_length, pad_id and the like, see the class.

        Raises:
            ValueError: if a stack holds no layers, or its activation is neither relu nor gelu.
        """
        from mmcourse.transformers.transformer_checkpoint import copy_from_torch

        return copy_from_torch(cls, module, source_embedding, target_embedding, **options)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "Transformer":
        """Load a published Marian translation model (config.json and safetensors).

        Args:
            path_or_hub_id: a folder, or a hub id such as "Helsinki-NLP/opus-mt-en-de".

        Raises:
            ValueError: no such checkpoint, another architecture, weights that do not fit.
        """
        from mmcourse.transformers.transformer_checkpoint import arguments, our_names

        config, tensors = read_checkpoint(path_or_hub_id)
        model = cls(**arguments(config))
        load_strict(model, our_names(tensors, model))
        return model.eval()


def _check_sizes(sizes: list[int], layers: list[int], specials: list[int]) -> None:
    if min(layers) < 1:
        raise ValueError(f"need at least one encoder and one decoder layer, got {layers}")
    if min(specials) < 0 or max(specials) >= min(sizes) or specials[0] == specials[2]:
        raise ValueError(
            f"pad_id, start_id, end_id must lie in 0 … {min(sizes) - 1}, and the end must not be "
            f"the padding, got {specials}"
        )
