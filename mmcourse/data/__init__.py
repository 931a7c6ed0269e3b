"""Data without downloads: scenes of shapes with an exact oracle, emoji, handwritten digits."""

from mmcourse.data.cache import DataError, cache_folder
from mmcourse.data.captions import LANGUAGES, caption, parse, vocabulary
from mmcourse.data.digits import Digits, digits
from mmcourse.data.modalities import (
    MODALITIES,
    NOTE_WORDS,
    SHOWS,
    SIGNS,
    machine_features,
    observe_machines,
    read_note,
)
from mmcourse.data.observations import Observations
from mmcourse.data.openmoji import LICENSE_NOTE, OpenMoji
from mmcourse.data.oracle import describe, describe_all
from mmcourse.data.renderer import render
from mmcourse.data.sampling import color_shape_pairs, place, sample_scene
from mmcourse.data.scenes import (
    BACKGROUNDS,
    COLORS,
    HELD_OUT,
    PLAIN_COLORS,
    PLAIN_SHAPES,
    RELATIONS,
    SHAPES,
    SIZES,
    Object_,
    Scene,
    matches,
    score,
)
from mmcourse.data.shapes import Shapes
from mmcourse.data.synthetic_study import STUDY_GROUPS, STUDY_MODALITIES, synthetic_study
from mmcourse.data.text import WordTokenizer

__all__ = [
    "BACKGROUNDS",
    "COLORS",
    "HELD_OUT",
    "LANGUAGES",
    "LICENSE_NOTE",
    "MODALITIES",
    "NOTE_WORDS",
    "PLAIN_COLORS",
    "PLAIN_SHAPES",
    "RELATIONS",
    "SHAPES",
    "SHOWS",
    "SIGNS",
    "SIZES",
    "STUDY_GROUPS",
    "STUDY_MODALITIES",
    "DataError",
    "Digits",
    "Object_",
    "Observations",
    "OpenMoji",
    "Scene",
    "Shapes",
    "WordTokenizer",
    "cache_folder",
    "caption",
    "color_shape_pairs",
    "describe",
    "describe_all",
    "digits",
    "machine_features",
    "matches",
    "observe_machines",
    "parse",
    "place",
    "read_note",
    "render",
    "sample_scene",
    "score",
    "synthetic_study",
    "vocabulary",
]
