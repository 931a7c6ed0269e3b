"""The data set of scenes: pictures drawn on demand, captions in two languages."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from mmcourse.data.captions import LANGUAGES, caption
from mmcourse.data.renderer import LARGEST, SMALLEST, render
from mmcourse.data.sampling import NUM_DRAWS, SPLITS, check_counts, scene_from
from mmcourse.data.scenes import BACKGROUNDS, COLORS, SHAPES, SIZES, Scene, one_of

_COLORS, _SIZES, _BACKGROUNDS = tuple(COLORS), tuple(SIZES), tuple(BACKGROUNDS)


class Shapes(Dataset):
    """Scenes of one to three coloured shapes, the same ones for the same seed.

    Item `index` is a dict: `image` (3, size, size) in [-1, 1], `caption` in the chosen
    language, `caption_en`, `caption_ko`, and as integers `index`, `count` (objects),
    `background`, and the first object's `shape`, `color` and `size` (indices into `SHAPES`,
    `COLORS`, `SIZES`, `BACKGROUNDS`). It depends on the seed and the index alone, not on how
    many items there are or in which order they are asked for.

    Args:
        size: pixels along a side.
        count: number of scenes.
        seed: another seed gives other scenes.
        objects: how many objects a scene has; one number, or several equally likely ones;
            None for all that the subset has.
        subset: "full", or "plain": 6 shapes x 6 colours, 1–2 objects, white; its captions
            leave the background out.
        split: "train" never shows a colour–shape pair of `HELD_OUT`, every scene of
            "held_out" has at least one, "all" draws from all pairs.
        language: "en", "ko" or "both" (each caption one of them, half and half).

    Raises:
        ValueError: for a size, count, number of objects or name that is not allowed.
    """

    def __init__(
        self,
        size: int = 32,
        count: int = 10_000,
        seed: int = 0,
        *,
        objects: int | Sequence[int] | None = None,
        subset: str = "full",
        split: str = "train",
        language: str = "en",
    ):
        if not SMALLEST <= size <= LARGEST:
            raise ValueError(f"size must be from {SMALLEST} to {LARGEST} pixels, got {size}")
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        one_of("split", split, SPLITS)
        one_of("language", language, (*LANGUAGES, "both"))
        self.objects = check_counts(objects, subset)
        self.size, self.seed, self.subset = size, seed, subset
        self.split, self.language = split, language
        # one row of random numbers a scene: row i is the same however many rows follow
        generator = torch.Generator().manual_seed(seed)
        self._numbers = torch.rand(count, NUM_DRAWS + 1, generator=generator)

    def __len__(self) -> int:
        return len(self._numbers)

    def _row(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be from 0 to {len(self) - 1}, got {index}")
        return int(index) % len(self)

    def scene(self, index: int) -> Scene:
        """The scene of an item."""
        numbers = self._numbers[self._row(index), 1:].tolist()
        return scene_from(numbers, self.objects, self.subset, self.split)

    def scenes(self, indices: Sequence[int]) -> list[Scene]:
        """The scenes of several items."""
        return [self.scene(index) for index in indices]

    def caption(self, index: int, language: str | None = None) -> str:
        """The caption of an item, in the data set's language if none is named."""
        return self._tell(self.scene(index), index, language or self.language)

    def _tell(self, scene: Scene, index: int, language: str) -> str:
        if language == "both":
            language = "en" if self._numbers[self._row(index), 0] < 0.5 else "ko"
        return caption(scene, language, background=self.subset == "full")

    def _labels(self, scene: Scene, index: int) -> dict:
        first = scene.objects[0]
        return {
            "caption": self._tell(scene, index, self.language),
            "caption_en": self._tell(scene, index, "en"),
            "caption_ko": self._tell(scene, index, "ko"),
            "index": self._row(index),
            "count": len(scene.objects),
            "shape": SHAPES.index(first.shape),
            "color": _COLORS.index(first.color),
            "size": _SIZES.index(first.size),
            "background": _BACKGROUNDS.index(scene.background),
        }

    def __getitem__(self, index: int) -> dict:
        scene = self.scene(index)
        return {"image": render([scene], self.size)[0], **self._labels(scene, index)}

    def images(self, indices: Sequence[int] | None = None) -> Float[Tensor, "n 3 size size"]:
        """The pictures of several items (of all, if none are named), drawn together."""
        chosen = range(len(self)) if indices is None else [int(index) for index in indices]
        parts = [chosen[start : start + 256] for start in range(0, len(chosen), 256)]
        pictures = [render(self.scenes(part), self.size) for part in parts]
        return torch.cat(pictures) if pictures else torch.empty(0, 3, self.size, self.size)

    def batch(self, indices: Sequence[int]) -> dict:
        """Several items as one dict: a tensor of pictures, lists of captions, tensors of labels.

        Equal to collating the single items, but drawn together and so many times faster.
        """
        indices = [int(index) for index in indices]
        if not indices:
            raise ValueError("a batch needs at least one index, got none")
        scenes = self.scenes(indices)
        rows = [self._labels(scene, index) for scene, index in zip(scenes, indices, strict=True)]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        labels = {
            name: values if name.startswith("caption") else torch.tensor(values)
            for name, values in columns.items()
        }
        return {"image": render(scenes, self.size), **labels}

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """Items for a DataLoader, drawn together."""
        scenes = self.scenes(indices)
        images = render(scenes, self.size)
        return [
            {"image": image, **self._labels(scene, index)}
            for image, scene, index in zip(images, scenes, indices, strict=True)
        ]
