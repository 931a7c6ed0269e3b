"""The same networks on emoji: what a few thousand pictures give, and what they do not."""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcourse.data import OpenMoji
from mmcourse.data.emoji_names import Emoji
from mmcourse.recipes.syllabus import late
from mmcourse.recipes.text_to_image import PARTS
from mmcourse.recipes.workshop import Recipe, source, vocabulary_of

SHIFT = 2  # pixels that a picture may be moved, so that no pixel can be learned by heart


def held_out(entry: Emoji) -> bool:
    """Whether a combination of a base emoji and a skin tone is kept from training: one in ten.

    Both the emoji with other tones and the tone on other emoji are trained.
    """
    return entry.has_tone and hashlib.sha256(entry.code.encode()).digest()[1] % 10 == 0


@cache
def emoji(pixels: int = 64) -> tuple[OpenMoji, list[int], list[int]]:
    """Named emoji of the training split, rows of those trained, rows of those held out."""
    found = OpenMoji(pixels, split="train")
    out = [held_out(entry) for entry in found.entries]
    rows = range(len(found))
    return found, [i for i in rows if not out[i]], [i for i in rows if out[i]]


def names(entry: Emoji) -> list[str]:
    """How an emoji is asked for, in English and Korean."""
    return [entry.name_en.lower(), entry.name_ko.lower()]


def word_list() -> list[str]:
    """Every word of the names of trained emoji, in both languages."""
    everything, trained, _ = emoji()
    return sorted(
        {w for i in trained for text in names(everything.entries[i]) for w in text.split()}
    )


def parts() -> dict[str, Any]:
    """The networks' sizes: those of the text-to-image model, with other words."""
    return {**PARTS, "words": word_list(), "aliases": {}, "length": 12}


def recipe() -> Recipe:
    """How long and how fast: a fraction of what the scenes took."""
    return Recipe(
        "text-to-emoji",
        parts(),
        steps={"autoencoder": 3_000, "decoder": 500, "diffusion": 6_000},
        batch={"autoencoder": 32, "decoder": 32, "diffusion": 32},
        rates={"autoencoder": 1.5e-3, "decoder": 1e-3, "diffusion": 1e-3},
        pictures=12_000,
    )


class MovedEmoji:
    """Trained emoji over and over, each time moved by up to two pixels.

    Args:
        count: of pictures.
        seed: of the moves.
    """

    def __init__(self, count: int, seed: int, pixels: int = 64) -> None:
        self.emoji, trained, _ = emoji(pixels)
        random = source(seed)
        rounds = -(-count // len(trained))  # none comes a second time before all have come once
        order = [torch.randperm(len(trained), generator=random) for _ in range(rounds)]
        self.rows = torch.tensor(trained)[torch.cat(order)[:count]]
        self.moves = torch.randint(0, 2 * SHIFT + 1, (count, 2), generator=random)

    def images(self, indices: Sequence[int] | None = None) -> Tensor:
        """Those at some places, or all, in [-1, 1]."""
        places = list(range(len(self.rows)) if indices is None else indices)
        pictures = self.emoji.images(self.rows[places].tolist())
        size = pictures.shape[-1]
        padded = F.pad(pictures, [SHIFT] * 4, value=1.0)  # white around
        corners = self.moves[places].tolist()
        cut = [
            one[:, y : y + size, x : x + size] for one, (y, x) in zip(padded, corners, strict=True)
        ]
        return torch.stack(cut)


class EmojiWorld:
    """Emoji and their names. See `workshop.World`."""

    def __init__(self, recipe: Recipe) -> None:
        self.pixels, self.words = recipe.pixels, vocabulary_of(recipe.parts)

    def practice(self, count: int, seed: int) -> Tensor:
        """Moved emoji for the autoencoder."""
        return MovedEmoji(count, seed, self.pixels).images()

    def collection(self, count: int, seed: int) -> MovedEmoji:
        """Moved emoji for the diffusion."""
        return MovedEmoji(count, seed, self.pixels)

    def captions(self, collection: MovedEmoji) -> dict[str, Tensor]:
        """Words `ids` (pictures, languages, words) of the names."""
        entries = [collection.emoji.entries[row] for row in collection.rows.tolist()]
        ids = torch.stack([self.words.encode(names(entry)) for entry in entries])
        return {"ids": ids.to(torch.int16)}

    def ask(
        self, data: dict[str, Tensor], progress: float, count: int, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Any emoji, in either language."""
        rows = torch.randint(len(data["ids"]), (count,), generator=random)
        language = torch.randint(data["ids"].shape[1], (count,), generator=random)
        return rows, data["ids"][rows, language]

    def times(self, progress: float, uniform: Tensor) -> Tensor:
        """Late ones, as for the scenes."""
        return late(uniform)
