"""Multimodal deep learning in text-to-image generation: the algorithms of the course."""

__version__ = "0.1.0"
