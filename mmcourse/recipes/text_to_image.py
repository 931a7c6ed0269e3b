"""The recipe of the text-to-image model: scenes of shapes, in English and Korean."""

from typing import Any

import torch
from torch import Tensor

from mmcourse.data import Shapes, vocabulary
from mmcourse.recipes.syllabus import stage_at, told_both_ways
from mmcourse.recipes.workshop import Recipe, vocabulary_of

ALIASES = {
    "an": "a", "the": "a", "big": "large", "little": "small", "gray": "grey", "moon": "crescent",
    "plus": "cross", "violet": "purple", "under": "below", "over": "above",
    "turquoise": "cyan", "teal": "cyan", "aqua": "cyan", "disc": "circle", "disk": "circle",
    "tiny": "small", "huge": "large", "beneath": "below", "underneath": "below",
    "동그라미": "원", "네모": "사각형", "정사각형": "사각형", "세모": "삼각형", "십자": "십자가",
    "반지": "고리", "빨간색": "빨간", "빨강": "빨간", "빨강색": "빨간", "파란색": "파란",
    "파랑": "파란", "파랑색": "파란", "노란색": "노란", "노랑": "노란", "노랑색": "노란",
    "초록": "초록색", "녹색": "초록색", "보라": "보라색", "주황": "주황색", "청록": "청록색",
    "분홍": "분홍색", "핑크": "분홍색", "핑크색": "분홍색", "커다란": "큰", "조그만": "작은",
    "조그마한": "작은", "하얀": "흰", "하얀색": "흰", "흰색": "흰", "검은색": "검은",
    "검정": "검은", "검정색": "검은", "까만": "검은", "베이지": "베이지색",
}  # fmt: skip
"""Other words for the same thing: the model reads them as the word that it learned."""

PARTS: dict[str, Any] = {
    "words": vocabulary("both"),
    "aliases": ALIASES,
    "length": 18,
    "size": 8,
    "T": 1000,
    "power": 3.0,
    "autoencoder": {
        "channels": [48, 80],
        "latent_channels": 8,
        "blocks_per_level": 1,
        "groups": 8,
        "middle_attention": False,
        "stem": 4,
        "scaling_factor": 1.0,
    },
    "unet": {
        "places": 8,
        "channels": [96, 128],
        "attention": [True, False],
        "blocks_per_level": 1,
        "groups": 8,
        "num_heads": 4,
    },
    "reader": {"width": 128, "depth": 3, "num_heads": 4},
}
"""The sizes of the networks, see `TextToImage.build`."""


TEXT_TO_IMAGE = Recipe(
    "text-to-image",
    PARTS,
    steps={"autoencoder": 5_000, "decoder": 2_000, "diffusion": 20_000},
    batch={"autoencoder": 32, "decoder": 32, "diffusion": 32},
    rates={"autoencoder": 1.5e-3, "decoder": 1e-3, "diffusion": 1e-3},
)


class Scenes:
    """The world of shapes, told by the syllabus. See `workshop.World`."""

    def __init__(self, recipe: Recipe = TEXT_TO_IMAGE) -> None:
        self.pixels, self.words = recipe.pixels, vocabulary_of(recipe.parts)

    def practice(self, count: int, seed: int) -> Tensor:
        """New scenes, pairs of attributes that are held out included."""
        return Shapes(self.pixels, count, seed, split="all").images()

    def collection(self, count: int, seed: int) -> Shapes:
        """Scenes without the pairs that are held out."""
        return Shapes(self.pixels, count, seed, split="train")

    def captions(self, collection: Shapes) -> dict[str, Tensor]:
        """Words `ids` (scenes, tellings, words) of the captions, and number of `objects`."""
        scenes = collection.scenes(range(len(collection)))
        ids = torch.stack([self.words.encode(told_both_ways(scene)) for scene in scenes])
        objects = torch.tensor([len(scene.objects) for scene in scenes])
        return {"ids": ids.to(torch.int16), "objects": objects}

    def ask(
        self, data: dict[str, Tensor], progress: float, count: int, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Scenes and tellings of the stage."""
        now = stage_at(progress)
        allowed = (data["objects"] == 2) if now.pairs else (data["objects"] > 0)
        places = allowed.nonzero()[:, 0]
        rows = places[torch.randint(len(places), (count,), generator=random)]
        ways = data["ids"].shape[1] // 2
        back = torch.rand(count, generator=random) < now.backwards
        telling = torch.randint(ways, (count,), generator=random) + ways * back
        return rows, data["ids"][rows, telling]

    def times(self, progress: float, uniform: Tensor) -> Tensor:
        """Of the stage."""
        return stage_at(progress).times(uniform)
