"""Vision and language: CLIP, two towers whose vectors can be compared."""

from mmcourse.visionlanguage.clip import CLIP, ImageTower, TextTower

__all__ = ["CLIP", "ImageTower", "TextTower"]
