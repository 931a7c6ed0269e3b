"""Small but real networks for the widgets that ask one, with random weights."""

from typing import Any

import torch
from torch import Tensor, nn

from mmcourse.inpage import PageModel, Part
from mmcourse.transformers import TransformerBlock, padding_mask
from mmcourse.widgets import AttentionExplorer

NOUNS = "animal street dog road soup cat river".split()
WORDS = ["[PAD]", *"because did cross in it not the tired too was wide".split(), *NOUNS]
LENGTH = 14
TYPED = "the animal did not cross the street because it was too tired"


class Pronouns(nn.Module):
    """The reader of lesson 31: logits of nouns at the word "it", and all weights."""

    def __init__(self, width: int = 16, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(WORDS), width)
        self.positions = nn.Parameter(torch.randn(LENGTH, width))
        blocks = [TransformerBlock(width, heads, norm_first=True) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.answer = nn.Linear(width, len(NOUNS))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        mask = padding_mask((ids > 0).sum(dim=1), ids.shape[1])
        x = self.embed(ids) + self.positions
        weights = []
        for block in self.blocks:
            x, seen = block(x, mask, return_weights=True)
            weights.append(seen)
        it = (ids == WORDS.index("it")).int().argmax(dim=1)
        x = x[torch.arange(len(x)), it]
        return self.answer(2 * x), torch.stack(weights, dim=1)


def numbered(text: str) -> Tensor:
    """A sentence as the page sends it, (1, LENGTH)."""
    ids = torch.zeros(1, LENGTH, dtype=torch.long)
    found = [WORDS.index(word) for word in text.split()]
    ids[0, : len(found)] = torch.tensor(found)
    return ids


def pronouns() -> PageModel:
    torch.manual_seed(31)
    part = Part(Pronouns(), {"ids": numbered(TYPED)}, ("logits", "weights"))
    return PageModel("pronouns", {"reader": part})


def reading(live: PageModel | None = None, **options: Any) -> AttentionExplorer:
    """An explorer of one stored sentence that asks `pronouns`."""
    live = live or pronouns()
    sentences = []
    for name, text in (("tired", TYPED), ("wide", TYPED.replace("tired", "wide"))):
        count = len(text.split())
        weights = live.run("reader", {"ids": numbered(text)})["weights"][0]
        shown = weights[..., :count, :count]
        sentences.append({"name": name, "tokens": text.split(), "weights": shown})
    presets = [{"name": "tired", "sentence": 0}, {"name": "wide", "sentence": 1}]
    named = {"words": WORDS, "answers": NOUNS, "presets": presets, "pinned": 8, **options}
    return AttentionExplorer.from_sentences(sentences, live=live, **named)
