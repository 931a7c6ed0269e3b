"""Learning without labels: pretext tasks, contrast, and hidden parts to be restored."""

from mmcourse.selfsupervision.contrastive import gather, info_nce, symmetric_info_nce
from mmcourse.selfsupervision.mae import MAE, MAEOutput, grid_positions
from mmcourse.selfsupervision.mae_masking import (
    masked_loss,
    patch_targets,
    random_masking,
    unshuffle,
)
from mmcourse.selfsupervision.probe import linear_probe, probe_accuracy
from mmcourse.selfsupervision.simclr import nt_xent

__all__ = [
    "MAE",
    "MAEOutput",
    "grid_positions",
    "masked_loss",
    "patch_targets",
    "random_masking",
    "unshuffle",
    "gather",
    "info_nce",
    "linear_probe",
    "nt_xent",
    "probe_accuracy",
    "symmetric_info_nce",
]
