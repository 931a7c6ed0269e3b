"""Transformers: attention, positions and blocks."""

from mmcourse.transformers.attention import (
    MultiHeadAttention,
    causal_mask,
    fused_attention,
    merge_heads,
    padding_mask,
    scaled_dot_product_attention,
    split_heads,
)
from mmcourse.transformers.block import FeedForward, TransformerBlock
from mmcourse.transformers.positions import shift_matrix, sinusoidal_positions

__all__ = [
    "FeedForward",
    "MultiHeadAttention",
    "TransformerBlock",
    "causal_mask",
    "fused_attention",
    "merge_heads",
    "padding_mask",
    "scaled_dot_product_attention",
    "shift_matrix",
    "sinusoidal_positions",
    "split_heads",
]
