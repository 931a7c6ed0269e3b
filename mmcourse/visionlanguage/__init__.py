"""Vision and language: CLIP, two towers whose vectors can be compared."""

from mmcourse.visionlanguage.attention_pool import AttentionPool
from mmcourse.visionlanguage.caption_prediction import (
    CaptionDecoder,
    bag_of_words,
    bag_of_words_loss,
    bag_of_words_scores,
    caption_log_likelihood,
    caption_loss,
    caption_scores,
)
from mmcourse.visionlanguage.clip import CLIP, ImageTower, TextTower, clip_loss
from mmcourse.visionlanguage.hard_negatives import hard_negative_loss, swap_accuracy
from mmcourse.visionlanguage.trained import StemTower, TrainedCLIP
from mmcourse.visionlanguage.zero_shot import retrieval_ranks, zero_shot_weights

__all__ = [
    "CLIP",
    "AttentionPool",
    "CaptionDecoder",
    "ImageTower",
    "StemTower",
    "TextTower",
    "TrainedCLIP",
    "bag_of_words",
    "bag_of_words_loss",
    "bag_of_words_scores",
    "caption_log_likelihood",
    "caption_loss",
    "caption_scores",
    "clip_loss",
    "hard_negative_loss",
    "retrieval_ranks",
    "swap_accuracy",
    "zero_shot_weights",
]
