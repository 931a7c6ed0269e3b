"""What the first small CLIP sees: scenes of one or two shapes, without the held-out pairs."""

from typing import Any

import torch
from torch import Tensor

from mmcourse.data import (
    BACKGROUNDS,
    SIZES,
    Object_,
    Scene,
    Shapes,
    caption,
    color_shape_pairs,
    place,
    render,
    vocabulary,
)
from mmcourse.data.captions import KOREAN, LANGUAGES
from mmcourse.recipes.clip import SHRINK, STAGE, zero_shot
from mmcourse.recipes.run import Recipe, source
from mmcourse.visionlanguage import TrainedCLIP

FRAMES = {
    "en": ("a photo of {}", "a picture of {}", "a drawing of {}", "an image of {}", "this is {}"),
    "ko": ("{} 사진", "{} 그림"),
}
"""What may stand around a caption."""


def pieces(texts: list[str]) -> list[str]:
    """Every word of the texts, and every letter, so that any other word can be cut."""
    words = {word for text in texts for word in text.lower().split()}
    letters = {letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz.,")
    return sorted(words | letters | {f"##{letter}" for letter in letters})


PARTS: dict[str, Any] = {
    "pieces": pieces([*vocabulary("both"), *(f.format("") for w in FRAMES.values() for f in w)]),
    "embed_dim": 64,
    "image": {"image_size": 32, "channels": [32, 64, 128], "blocks": 0, "num_heads": 4},
    "text": {"max_positions": 32, "width": 96, "depth": 1, "num_heads": 4, "activation": "gelu"},
}
"""The sizes of the towers, see `TrainedCLIP.build`."""

CLIP_SHAPES = Recipe(
    "clip-shapes",
    PARTS,
    steps={STAGE: 2_000},
    batch={STAGE: 80},
    rates={STAGE: 3e-3},
    pixels=32,
    shrink=SHRINK,
)


def single(color: str, shape: str, random: torch.Generator) -> Scene:
    """One object of any size at any place, on any background."""
    size, background = (
        list(names)[int(torch.randint(len(names), (), generator=random))]
        for names in (SIZES, BACKGROUNDS)
    )
    thing = Object_(shape, color, size)
    return place(Scene((thing,), (), background), generator=random)


def told(scene: Scene, language: str, random: torch.Generator) -> str:
    """A caption as people write it: background and size are often left out."""
    chances = torch.rand(4, generator=random).tolist()
    text = caption(scene, language, background=chances[0] < 0.5)
    if chances[1] < 0.3:
        for size in ("small", "large"):
            word = size if language == "en" else KOREAN[size]
            text = text.replace(f"{word} ", "")
    frames = FRAMES[language]
    framed = chances[2] < 0.4
    return frames[int(chances[3] * len(frames))].format(text) if framed else text


class ShapePairs:
    """Scenes and captions, English at odd steps and Korean at even ones. See `clip.Pairs`.

    Most of a batch shows one object each, every pair of colour and shape at most once: among
    pictures that differ in everything at once a model need not learn what a shape is. The others
    show two.
    """

    def pairs(self, count: int, step: int, seed: int) -> tuple[Tensor, list[str]]:
        """New scenes at every step."""
        random, known = source(seed, 1), color_shape_pairs("full", "train")
        singles = min(len(known), count * 7 // 10)
        chosen = [known[i] for i in torch.randperm(len(known), generator=random)[:singles]]
        scenes = [single(color, shape, random) for color, shape in chosen]
        twos = Shapes(32, count - singles, seed, split="train", objects=2)
        scenes += twos.scenes(range(len(twos)))
        language = LANGUAGES[(step + 1) % 2]
        return render(scenes, 32), [told(scene, language, random) for scene in scenes]

    def examine(self, clip: TrainedCLIP) -> list[dict[str, Any]]:
        """Share of single objects whose colour and shape are told, seen and held-out pairs."""
        rows = []
        for subset, split in (("plain", "train"), ("plain", "held_out"), ("full", "held_out")):
            shapes = Shapes(32, 1000, 99, subset=subset, split=split, objects=1)
            classes = color_shape_pairs(subset, "all")
            things = [scene.objects[0] for scene in shapes.scenes(range(1000))]
            labels = torch.tensor([classes.index((thing.color, thing.shape)) for thing in things])
            for language in LANGUAGES:
                names = [class_name(*pair, language) for pair in classes]
                share = zero_shot(clip, shapes.images(), names, labels)
                row = {"subset": subset, "pairs": split, "language": language}
                rows.append({**row, "classes": len(classes), "accuracy": round(share, 4)})
        return rows


def class_name(color: str, shape: str, language: str) -> str:
    """A class in a few words, such as "a red circle"."""
    return f"a {color} {shape}" if language == "en" else f"{KOREAN[color]} {KOREAN[shape]}"
