"""Several modalities at once: fusion, coordination, and captions that look where they tell."""

from mmcourse.multimodal.captioning import CaptionStepper, ShowAttendTell, Told
from mmcourse.multimodal.coordination import (
    CoordinatedEncoders,
    coordination_loss,
    mean_direction,
    precision_at_one,
    ranking_loss,
)
from mmcourse.multimodal.decoding import beam_search, best_continuations, greedy_search
from mmcourse.multimodal.fusion import (
    EarlyFusion,
    GatedFusion,
    LateFusion,
    drop_modalities,
    early_fusion,
    gated_fusion,
    late_fusion,
    mean_decision,
)
from mmcourse.multimodal.grid_encoder import GridEncoder
from mmcourse.multimodal.principles import agreement, complementarity
from mmcourse.multimodal.soft_attention import (
    SoftAttention,
    attention_centres,
    doubly_stochastic_penalty,
    soft_context,
)

__all__ = [
    "CaptionStepper",
    "CoordinatedEncoders",
    "EarlyFusion",
    "GatedFusion",
    "GridEncoder",
    "LateFusion",
    "ShowAttendTell",
    "SoftAttention",
    "Told",
    "agreement",
    "attention_centres",
    "beam_search",
    "best_continuations",
    "complementarity",
    "coordination_loss",
    "doubly_stochastic_penalty",
    "drop_modalities",
    "early_fusion",
    "gated_fusion",
    "greedy_search",
    "late_fusion",
    "mean_decision",
    "mean_direction",
    "precision_at_one",
    "ranking_loss",
    "soft_context",
]
