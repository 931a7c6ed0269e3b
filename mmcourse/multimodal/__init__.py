"""Several modalities at once: fusion, coordination, and captions that look where they tell."""

from mmcourse.multimodal.decoding import beam_search, greedy_search

__all__ = ["beam_search", "greedy_search"]
