"""Learning without labels: pretext tasks, contrast, and hidden parts to be restored."""

from mmcourse.selfsupervision.augment import (
    crop_boxes,
    cutout,
    gaussian_blur,
    gaussian_noise,
    resized_crop,
    rotate_quarters,
    sobel,
)
from mmcourse.selfsupervision.color import color_jitter, grayscale, jitter_amounts
from mmcourse.selfsupervision.contrastive import gather, info_nce, symmetric_info_nce
from mmcourse.selfsupervision.mae import MAE, MAEOutput, grid_positions
from mmcourse.selfsupervision.mae_masking import (
    masked_loss,
    patch_targets,
    random_masking,
    unshuffle,
)
from mmcourse.selfsupervision.pretext import JigsawSolver, jigsaw_batch, rotate_batch
from mmcourse.selfsupervision.probe import linear_probe, probe_accuracy
from mmcourse.selfsupervision.simclr import (
    ConvEncoder,
    ProjectionHead,
    distillation_loss,
    nt_xent,
)
from mmcourse.selfsupervision.tiles import (
    crop_tiles,
    cut_tiles,
    join_tiles,
    permutation_set,
    restore_tiles,
    shuffle_tiles,
)
from mmcourse.selfsupervision.views import random_view, two_views

__all__ = [
    "ConvEncoder",
    "ProjectionHead",
    "color_jitter",
    "crop_boxes",
    "cutout",
    "distillation_loss",
    "gaussian_blur",
    "gaussian_noise",
    "grayscale",
    "jitter_amounts",
    "random_view",
    "resized_crop",
    "rotate_quarters",
    "sobel",
    "two_views",
    "JigsawSolver",
    "crop_tiles",
    "cut_tiles",
    "jigsaw_batch",
    "join_tiles",
    "permutation_set",
    "restore_tiles",
    "rotate_batch",
    "shuffle_tiles",
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
