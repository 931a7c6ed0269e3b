"""Small but real networks for the widgets that ask one, with random weights."""

from typing import Any

import torch
from torch import Tensor, nn
from widgets_page import draw_discs

from mmcourse.inpage import PageModel, Part, WatchedBert
from mmcourse.studio import Story
from mmcourse.transformers import Bert, TransformerBlock, WordPiece, padding_mask
from mmcourse.widgets import AttentionExplorer, MaskedWords, PromptBox

DISCS = ["disc", "hole"]
NOUNS = ["animal", "street", "dog", "road", "soup", "cat", "river"]
OTHERS = "because did cross in it not the tired too was wide"
WORDS = ["[PAD]", *OTHERS.split(" "), *NOUNS]
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
        mask = padding_mask((ids > 0).sum(dim=1), LENGTH)
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
        weights = pronouns().run("reader", {"ids": numbered(text)})["weights"][0]
        shown = weights[..., :count, :count]
        sentences.append({"name": name, "tokens": text.split(), "weights": shown})
    presets = [{"name": "tired", "sentence": 0}, {"name": "wide", "sentence": 1}]
    named = {"words": WORDS, "answers": NOUNS, "presets": presets, "pinned": 8, **options}
    return AttentionExplorer.from_sentences(sentences, live=live, **named)


CORPUS = ["my dog is hairy .", "he likes playing .", "동생은 밤을 먹었다 .", "밤이 되었다 ."]
CORPUS += ["the man went to the store .", "sleepless penguins play", "café 밤이 깊었다"]
LONGEST = 16


def tokenizer() -> WordPiece:
    return WordPiece.train(CORPUS * 3, 120, strip_accents=False)


def masker(pieces: WordPiece) -> PageModel:
    """A small BERT that tells where it looks."""
    torch.manual_seed(33)
    sizes = {"embed_dim": 16, "num_heads": 4, "num_layers": 2, "max_positions": LONGEST}
    bert = Bert(len(pieces), dropout=0.0, **sizes)
    for one in bert.parameters():
        nn.init.normal_(one, std=0.5)
    batch = pieces.batch(["my [MASK] is hairy"], length=LONGEST)
    inputs = {"ids": batch.input_ids, "segments": batch.token_type_ids}
    part = Part(WatchedBert(bert), inputs, ("logits", "weights"))
    return PageModel("masker", {"reader": part})


def guessing(live: PageModel | None = None, **options: Any) -> MaskedWords:
    """Masked words of one stored sentence, which ask `masker`."""
    pieces = tokenizer()
    tokens = ["[CLS]", *pieces.tokenize("my dog is hairy"), "[SEP]"]
    shares = torch.full((len(tokens), len(pieces)), 1 / len(pieces))
    sentence = {"name": "dog", "tokens": tokens, "probabilities": shares}
    named = {"start": "my [MASK] is hairy", "tokenizer": pieces, **options}
    return MaskedWords([sentence], pieces.tokens, live=live or masker(pieces), **named)


def disc_story(prompt: str, seed: int, *, steps: int = 10, **_: Any) -> Story:
    """Discs that grow brighter, and words that are read in the left and in the right half."""
    drawn = torch.tensor(draw_discs(prompt, seed, lambda _: None)[:1].copy()).float()
    pictures = torch.cat([drawn * (step + 1) / steps for step in range(steps)])
    maps = torch.zeros(steps, 4, 4, 2)
    maps[:, :, :2, 0] = maps[:, :, 2:, 1] = 1
    return Story(pictures, maps, [prompt, "there"])


def telling() -> PromptBox:
    """A prompt box whose kernel tells how its picture came to be."""
    return PromptBox(draw_discs, "disc", story=disc_story, words=DISCS)
