"""Transformers: attention, positions and blocks."""

from mmcourse.multimodal.decoding import beam_search, greedy_search
from mmcourse.transformers.attention import (
    MultiHeadAttention,
    causal_mask,
    fused_attention,
    merge_heads,
    padding_mask,
    scaled_dot_product_attention,
    split_heads,
)
from mmcourse.transformers.bert import Bert, BertOutput, pretraining_loss
from mmcourse.transformers.block import FeedForward, TransformerBlock
from mmcourse.transformers.cache import KeyValueCache
from mmcourse.transformers.decoder import DecoderBlock
from mmcourse.transformers.generation import (
    keep_top_k,
    keep_top_p,
    next_token_probabilities,
    sample_token,
    scale_by_temperature,
)
from mmcourse.transformers.gpt import GPT, CausalStack
from mmcourse.transformers.masking import mask_tokens, next_sentence_pairs
from mmcourse.transformers.optimisation import label_smoothing_loss, noam_rate
from mmcourse.transformers.patches import (
    PatchEmbedding,
    patchify,
    resize_positions,
    unpatchify,
)
from mmcourse.transformers.positions import shift_matrix, sinusoidal_positions
from mmcourse.transformers.transformer import Transformer
from mmcourse.transformers.vit import ViT
from mmcourse.transformers.vit_views import (
    attention_distance,
    attention_rollout,
    grid_distances,
    position_similarity,
)
from mmcourse.transformers.wordpiece import WordPiece

__all__ = [
    "GPT",
    "CausalStack",
    "KeyValueCache",
    "keep_top_k",
    "keep_top_p",
    "next_token_probabilities",
    "sample_token",
    "scale_by_temperature",
    "Bert",
    "BertOutput",
    "WordPiece",
    "mask_tokens",
    "next_sentence_pairs",
    "pretraining_loss",
    "DecoderBlock",
    "FeedForward",
    "MultiHeadAttention",
    "PatchEmbedding",
    "Transformer",
    "TransformerBlock",
    "ViT",
    "attention_distance",
    "attention_rollout",
    "beam_search",
    "causal_mask",
    "fused_attention",
    "greedy_search",
    "grid_distances",
    "label_smoothing_loss",
    "merge_heads",
    "noam_rate",
    "padding_mask",
    "patchify",
    "position_similarity",
    "resize_positions",
    "scaled_dot_product_attention",
    "shift_matrix",
    "sinusoidal_positions",
    "split_heads",
    "unpatchify",
]
