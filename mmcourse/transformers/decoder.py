"""The decoder block: look back at what is written, look across at the source, then think."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmcourse.transformers.attention import (
    MASK,
    MultiHeadAttention,
    fused_attention,
    merge_heads,
    split_heads,
)
from mmcourse.transformers.block import Branch, TransformerBlock


class DecoderBlock(TransformerBlock):
    """One decoder block: masked self-attention, cross-attention, feed-forward network.

    post-LN:  x ← LN(x + attention(x));   x ← LN(x + attention(x, memory));   x ← LN(x + FFN(x))

    In cross-attention the queries are made from x, and the keys and values from the encoder's
    final output, the memory, by this block's own W^K and W^V.

    Args:
        embed_dim, num_heads, hidden_dim, norm_first, dropout, activation, norm_eps, bias: as in
            `TransformerBlock`, with the same errors; pre-LN normalises x, never the memory.

    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.1 and §3.2.3.
    """

    attentions = ("attention", "cross_attention")
    cross_attention: MultiHeadAttention
    cross_attention_norm: nn.LayerNorm

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        memory: Float[Tensor, "batch source width"],
        mask: MASK | None = None,
        memory_mask: MASK | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch tokens width"]
        | tuple[Float[Tensor, "batch tokens width"], Float[Tensor, "batch heads tokens source"]]
    ):
        """Mix the written tokens, fetch from the source, then change each token by itself.

        Args:
            x: the target's tokens, (batch, tokens, embed_dim).
            memory: the encoder's output, (batch, source, embed_dim).
            mask: which target tokens each target token may see; normally causal.
            memory_mask: which source tokens each target token may see; shapes of both as in
                `MultiHeadAttention`.
            return_weights: also return the cross-attention weights (batch, heads, tokens, source).
        """

        def look_across(y: Tensor) -> Branch:
            return self.cross_attention(y, memory, memory_mask, return_weights)

        x, _ = self.residual_sum(x, lambda y: self.attention(y, mask=mask), self.attention_norm)
        x, weights = self.residual_sum(x, look_across, self.cross_attention_norm)
        x, _ = self.residual_sum(x, self.feed_forward, self.feed_forward_norm)
        return x if weights is None else (x, weights)

    def step(
        self, x: Float[Tensor, "rows one width"], cache: "LayerCache"
    ) -> Float[Tensor, "rows one width"]:
        """The block for one new token a row; all that was computed before is in the cache.

        Gives the last row of `forward` over the whole target, without computing the others.
        """

        def look_back(y: Tensor) -> Tensor:
            q, k, v = self.attention.project(y, y)
            return self.attention.output(merge_heads(fused_attention(q, *cache.add(k, v))))

        def look_across(y: Tensor) -> Tensor:
            q = split_heads(self.cross_attention.query(y), self.cross_attention.num_heads)
            mixed = fused_attention(q, cache.memory_keys, cache.memory_values, cache.memory_mask)
            return self.cross_attention.output(merge_heads(mixed))

        x, _ = self.residual_sum(x, look_back, self.attention_norm)
        x, _ = self.residual_sum(x, look_across, self.cross_attention_norm)
        x, _ = self.residual_sum(x, self.feed_forward, self.feed_forward_norm)
        return x

    @classmethod
    def from_torch(cls, layer: nn.TransformerDecoderLayer) -> "DecoderBlock":
        """The same block with the weights of PyTorch's decoder layer, in either order.

        Raises:
            ValueError: if its activation is neither relu nor gelu.
        """
        ours: Any = super().from_torch(layer)  # made by this class, so a DecoderBlock
        ours.cross_attention = MultiHeadAttention.from_torch(layer.multihead_attn)
        ours.cross_attention_norm.load_state_dict(layer.norm2.state_dict())
        ours.feed_forward_norm.load_state_dict(layer.norm3.state_dict())
        return ours


class LayerCache:
    """Keys and values that one decoder block need not compute again.

    Those of the memory never change; those of the target grow by one with every step.

    Args:
        block: the decoder block.
        memory: the encoder's output, (rows, source, embed_dim).
        memory_mask: (rows, source), True = may be attended to.
    """

    def __init__(
        self,
        block: DecoderBlock,
        memory: Float[Tensor, "rows source width"],
        memory_mask: Bool[Tensor, "rows source"],
    ) -> None:
        across = block.cross_attention
        self.memory_keys = split_heads(across.key(memory), across.num_heads)
        self.memory_values = split_heads(across.value(memory), across.num_heads)
        self.memory_mask = memory_mask[:, None, None]  # for every head and query
        self.keys = self.memory_keys[:, :, :0]  # nothing is written yet
        self.values = self.memory_values[:, :, :0]

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the new token's key and value; return all so far."""
        self.keys = torch.cat([self.keys, keys], dim=2)
        self.values = torch.cat([self.values, values], dim=2)
        return self.keys, self.values

    def pick(self, rows: Int[Tensor, "rows"]) -> None:
        """Keep these rows, in this order (a beam search may continue one row twice)."""
        for name, kept in vars(self).items():
            setattr(self, name, kept[rows])


class Stepper:
    """A Transformer as `decoding` asks it: read the source once, then one token a call.

    Args:
        model: a `Transformer`.
        source: token numbers (batch, source).
        source_mask: True = a real token.
    """

    @torch.no_grad()
    def __init__(self, model: Any, source: Tensor, source_mask: Tensor) -> None:
        self.model, memory = model, model.encode(source, source_mask)
        self.caches = [LayerCache(block, memory, source_mask) for block in model.decoder]

    @torch.no_grad()
    def __call__(
        self, tokens: Int[Tensor, "rows"], parents: Int[Tensor, "rows"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """log p(next token) after `tokens`, which continue the rows `parents` of the last call."""
        written = self.caches[0].keys.shape[2]
        x = self.model.embed(tokens[:, None], self.model.target_embedding, start=written)
        for block, cache in zip(self.model.decoder, self.caches, strict=True):
            cache.pick(parents)
            x = block.step(x, cache)
        log_probs = self.model.logits(x[:, 0]).log_softmax(dim=-1)
        log_probs[:, self.model.pad_id] = -torch.inf  # padding is no word
        return log_probs
