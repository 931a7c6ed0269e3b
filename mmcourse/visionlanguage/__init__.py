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
from mmcourse.visionlanguage.conv_tower import ConvTower
from mmcourse.visionlanguage.hard_negatives import hard_negative_loss, swap_accuracy
from mmcourse.visionlanguage.hierarchy import chils_predict, label_sets
from mmcourse.visionlanguage.prompt_learning import ConditionalPromptLearner, PromptLearner
from mmcourse.visionlanguage.trained import TrainedCLIP
from mmcourse.visionlanguage.zero_shot import retrieval_ranks, zero_shot_weights

__all__ = [
    "CLIP",
    "AttentionPool",
    "CaptionDecoder",
    "ConditionalPromptLearner",
    "ConvTower",
    "ImageTower",
    "PromptLearner",
    "TextTower",
    "TrainedCLIP",
    "bag_of_words",
    "bag_of_words_loss",
    "bag_of_words_scores",
    "caption_log_likelihood",
    "caption_loss",
    "caption_scores",
    "chils_predict",
    "clip_loss",
    "hard_negative_loss",
    "label_sets",
    "retrieval_ranks",
    "swap_accuracy",
    "zero_shot_weights",
]
