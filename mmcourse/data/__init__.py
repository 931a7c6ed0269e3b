"""Data without downloads: scenes of shapes with an exact oracle, emoji, handwritten digits."""

from mmcourse.data.cache import DataError, cache_folder
from mmcourse.data.captions import LANGUAGES, caption, parse, vocabulary
from mmcourse.data.digits import Digits, digits
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
from mmcourse.data.text import WordTokenizer

__all__ = [
    "BACKGROUNDS",
    "COLORS",
    "HELD_OUT",
    "LANGUAGES",
    "LICENSE_NOTE",
    "PLAIN_COLORS",
    "PLAIN_SHAPES",
    "RELATIONS",
    "SHAPES",
    "SIZES",
    "DataError",
    "Digits",
    "Object_",
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
    "matches",
    "parse",
    "place",
    "render",
    "sample_scene",
    "score",
    "vocabulary",
]
