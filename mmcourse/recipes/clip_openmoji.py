"""What the second small CLIP sees: emoji and their names, one base emoji in five kept away."""

import re
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcourse.data import LANGUAGES, OpenMoji
from mmcourse.data.emoji_names import Emoji
from mmcourse.recipes.clip import SHRINK, STAGE
from mmcourse.recipes.run import Recipe, source
from mmcourse.transformers.wordpiece import SPECIALS, WordPiece
from mmcourse.visionlanguage import TrainedCLIP, retrieval_ranks

PIXELS, PIECES = 32, 2_000

FRAMES = {
    "en": ("an emoji of {}", "a picture of {}", "a drawing of {}", "a photo of {}"),
    "ko": ("{} 이모지", "{} 그림"),
}
"""What may stand around a name."""


@cache
def emoji(split: str) -> OpenMoji:
    """Named emoji of a split."""
    return OpenMoji(PIXELS, split=split)


def name(entry: Emoji, language: str) -> str:
    """How an emoji is called."""
    return (entry.name_en if language == "en" else entry.name_ko).lower()


def kind(entry: Emoji) -> str:
    """The subgroup in words."""
    return entry.subgroup.replace("-", " ").lower()


def parts() -> dict[str, Any]:
    """The sizes of the towers, and the pieces of the trained names."""
    entries = emoji("train").entries
    texts = [name(entry, language) for entry in entries for language in LANGUAGES]
    texts += [f"{kind(entry)}, a kind of" for entry in entries]
    texts += [frame.format("") for frames in FRAMES.values() for frame in frames] * 50
    words = WordPiece.train(texts, PIECES, score="frequency", strip_accents=False)
    return {
        "pieces": words.tokens[len(SPECIALS) :],
        "embed_dim": 128,
        "image": {"image_size": PIXELS, "channels": [48, 96, 160], "blocks": 0, "num_heads": 4},
        "text": {
            "max_positions": 48,
            "width": 128,
            "depth": 1,
            "num_heads": 4,
            "activation": "gelu",
            "dropout": 0.1,
        },
    }


def recipe() -> Recipe:
    """How long and how fast."""
    return Recipe(
        "clip-openmoji",
        parts(),
        steps={STAGE: 1_800},
        batch={STAGE: 128},
        rates={STAGE: 2e-3},
        pixels=PIXELS,
        shrink=SHRINK,
    )


def told(entry: Emoji, language: str, chances: list[float]) -> str:
    """The name, often alone, sometimes in a frame, in English sometimes with its kind.

    Of long names words are left out now and then, so that each word must say something.
    """
    text, frames = name(entry, language), FRAMES[language]
    words = text.split()
    if len(words) > 1 and chances[3] < 0.3:
        del words[int(chances[3] / 0.3 * len(words))]
        text = " ".join(words)
    if chances[0] < 0.3:
        text = frames[int(chances[1] * len(frames))].format(text)
    if language == "en" and chances[2] < 0.4:
        text = f"{text}, a kind of {kind(entry)}"
    return text


def changed(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Turned, moved, larger or smaller, and a little off in colour; white around."""
    count = len(pictures)

    def some(most: float) -> Tensor:
        return (2 * torch.rand(count, generator=random) - 1) * most

    angle, scale = some(0.25), some(0.2).exp()
    across = torch.stack([scale * angle.cos(), -scale * angle.sin(), some(0.2)], dim=1)
    down = torch.stack([scale * angle.sin(), scale * angle.cos(), some(0.2)], dim=1)
    moves = torch.stack([across, down], dim=1)
    grid = F.affine_grid(moves, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures - 1, grid, align_corners=False) + 1
    contrast = (1 + some(0.15)).reshape(-1, 1, 1, 1)
    tint = 0.08 * torch.randn(count, 3, 1, 1, generator=random)
    return contrast * moved + tint + 0.03 * torch.randn(moved.shape, generator=random)


class EmojiPairs:
    """Emoji and names, English at odd steps and Korean at even ones. See `clip.Pairs`."""

    def pairs(self, count: int, step: int, seed: int) -> tuple[Tensor, list[str]]:
        """Emoji with many variants come less often each."""
        found, random, language = emoji("train"), source(seed, 1), LANGUAGES[(step + 1) % 2]
        rows = torch.multinomial(_weights(), count, generator=random).tolist()
        chances = torch.rand(count, 4, generator=random).tolist()
        entries = [found.entries[row] for row in rows]
        texts = [told(*each) for each in zip(entries, [language] * count, chances, strict=True)]
        return changed(found.images(rows), random), texts

    def examine(self, clip: TrainedCLIP) -> list[dict[str, Any]]:
        """How often a name finds its picture, of the emoji kept away, first and in the first 5.

        The fairest pool is that of names whose words were all trained, with others: nobody can
        guess what a word means that was never met.
        """
        found, rows = emoji("test"), []
        images = clip.encode_image(found.images())
        plain = torch.tensor([not entry.has_tone for entry in found.entries]).nonzero()[:, 0]
        random = source(0, 7)
        draws = [plain[torch.randperm(len(plain), generator=random)[:100]] for _ in range(20)]
        for language in LANGUAGES:
            texts = clip.encode_text([name(entry, language) for entry in found.entries])
            known = [i for i in plain.tolist() if composed(found.entries[i], language)]
            pools = {
                "all": [torch.arange(len(found))],
                "no skin tones": [plain],
                "100 of these": draws,
                "of trained words": [torch.tensor(known)],
            }
            for told_as, each in pools.items():
                ranks = torch.cat([retrieval_ranks(texts[pool], images[pool]) for pool in each])
                first, five = ((ranks < k).float().mean().item() for k in (1, 5))
                row = {"pool": told_as, "emoji": len(each[0]), "language": language}
                rows.append({**row, "first": round(first, 4), "first_5": round(five, 4)})
        return rows


def words_of(text: str) -> set[str]:
    """The words of a name."""
    return set(re.findall(r"\w+", text))


@cache
def trained_words(language: str) -> frozenset[str]:
    """Every word of the trained names."""
    names = (name(entry, language) for entry in emoji("train").entries)
    return frozenset(word for text in names for word in words_of(text))


def composed(entry: Emoji, language: str) -> bool:
    """Whether every word of a name occurs in the trained names."""
    return words_of(name(entry, language)) <= trained_words(language)


@cache
def _weights() -> Tensor:
    bases = [entry.base for entry in emoji("train").entries]
    return torch.tensor([bases.count(base) ** -0.5 for base in bases])
