"""Widgets that explain: one Python class and one JavaScript file each, alive without a kernel.

A widget is made of traits: data as bytes, and a small state (layer, step, frame …) that the page
and Python share. All its behaviour is JavaScript computed from those traits, so that the built
book needs no kernel; `static_host.js` mounts it there. Beside the view travels a still picture
with alternative text, for readers that run no JavaScript.
"""

from mmcourse.widgets.attention_explorer import AttentionExplorer
from mmcourse.widgets.augmentation_playground import AugmentationPlayground
from mmcourse.widgets.base import CourseWidget
from mmcourse.widgets.budget_planner import BudgetPlanner
from mmcourse.widgets.capacity_grid import CapacityGrid
from mmcourse.widgets.caption_gaze import CaptionGaze
from mmcourse.widgets.caption_match import CaptionMatch
from mmcourse.widgets.codebook_explorer import CodebookExplorer
from mmcourse.widgets.denoising_scrubber import DenoisingScrubber
from mmcourse.widgets.descent_explorer import DescentExplorer
from mmcourse.widgets.digit_steps import DigitSteps
from mmcourse.widgets.flow_scrubber import FlowScrubber
from mmcourse.widgets.guidance_grid import GuidanceGrid
from mmcourse.widgets.label_tree import LabelTree
from mmcourse.widgets.latent_editor import LatentEditor
from mmcourse.widgets.latent_plane import LatentPlane
from mmcourse.widgets.masked_picture import MaskedPicture
from mmcourse.widgets.masked_words import MaskedWords
from mmcourse.widgets.modality_board import ModalityBoard
from mmcourse.widgets.mode_scrubber import ModeScrubber
from mmcourse.widgets.noise_schedule_explorer import NoiseScheduleExplorer
from mmcourse.widgets.patch_attention import PatchAttention
from mmcourse.widgets.pretext_gallery import PretextGallery
from mmcourse.widgets.prompt_box import PromptBox
from mmcourse.widgets.prompt_comparison import PromptComparison
from mmcourse.widgets.prompt_grid import PromptGrid
from mmcourse.widgets.retrieval import Retrieval
from mmcourse.widgets.sampling_explorer import SamplingExplorer
from mmcourse.widgets.similarity_matrix import SimilarityMatrix
from mmcourse.widgets.style_mixer import StyleMixer
from mmcourse.widgets.token_scrubber import TokenScrubber
from mmcourse.widgets.trace_viewer import TraceViewer
from mmcourse.widgets.trilemma_triangle import TrilemmaTriangle
from mmcourse.widgets.word_attention import WordAttention
from mmcourse.widgets.zero_shot_builder import ZeroShotBuilder

__all__ = [
    "AttentionExplorer",
    "AugmentationPlayground",
    "BudgetPlanner",
    "CapacityGrid",
    "CaptionGaze",
    "CaptionMatch",
    "CodebookExplorer",
    "CourseWidget",
    "DenoisingScrubber",
    "DescentExplorer",
    "DigitSteps",
    "FlowScrubber",
    "GuidanceGrid",
    "LabelTree",
    "LatentEditor",
    "LatentPlane",
    "MaskedPicture",
    "MaskedWords",
    "ModalityBoard",
    "ModeScrubber",
    "NoiseScheduleExplorer",
    "PatchAttention",
    "PretextGallery",
    "PromptBox",
    "PromptComparison",
    "PromptGrid",
    "Retrieval",
    "SamplingExplorer",
    "SimilarityMatrix",
    "StyleMixer",
    "TokenScrubber",
    "TraceViewer",
    "TrilemmaTriangle",
    "WordAttention",
    "ZeroShotBuilder",
]
