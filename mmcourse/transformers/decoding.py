"""Greedy decoding and beam search, as chapter 1 has them: they know nothing of the model."""

from mmcourse.multimodal.decoding import beam_search, best_continuations, greedy_search

__all__ = ["beam_search", "best_continuations", "greedy_search"]
