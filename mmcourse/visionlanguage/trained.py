"""A trained CLIP with its tokenizer: pictures and plain texts in, unit vectors out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmcourse.transformers.wordpiece import SPECIALS, WordPiece
from mmcourse.visionlanguage.clip import CLIP, TextTower
from mmcourse.visionlanguage.conv_tower import ConvTower
from mmcourse.weights import checkpoint_file, load_strict, pick_device, read_card, read_tensors

BATCH = 512  # pictures or texts at once, so that any number of them fits into memory


class TrainedCLIP:
    """A CLIP that reads texts as they are written, with the vocabulary it was trained with.

    Args:
        model: the two towers.
        words: cuts a text into the tokens that the text tower knows.
        config: what `build` was given, kept for saving.
    """

    def __init__(self, model: CLIP, words: WordPiece, config: dict[str, Any]) -> None:
        self.model, self.words, self.config = model, words, config

    @classmethod
    def build(cls, config: dict[str, Any]) -> "TrainedCLIP":
        """New networks with the sizes of a configuration, see the cards of the checkpoints.

        Args:
            config: "pieces" (tokens without the special ones), "embed_dim", and keyword
                arguments of the towers under "image" and "text".
        """
        words = WordPiece([*SPECIALS, *config["pieces"]], strip_accents=False)
        text = TextTower(vocab_size=len(words), end_id=words.sep_id, **config["text"])
        model = CLIP(ConvTower(**config["image"]), text, embed_dim=config["embed_dim"])
        return cls(model.eval(), words, config)

    @classmethod
    def load(cls, name_or_path: str | Path, device: str | torch.device = "cpu") -> "TrainedCLIP":
        """A trained model: one that comes with the package, or a file of your own.

        Args:
            name_or_path: "clip-shapes", "clip-openmoji", or the path of a .safetensors file
                with its card (.json) beside it.
            device: "auto" takes the fastest there is.

        Raises:
            ValueError: no such checkpoint, one whose hash differs from its card's, or one of
                another model.
        """
        file = checkpoint_file(name_or_path)
        config = read_card(file).get("config", {})
        if "pieces" not in config:
            raise ValueError(f"expected a CLIP checkpoint, got {file.name} of another model")
        found = cls.build(config)
        load_strict(found.model, read_tensors(file))
        found.model.to(pick_device(device)).requires_grad_(False)
        return found

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.logit_scale.device

    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "texts tokens"]:
        """Numbers of the tokens, filled up to the longest text: (texts, tokens).

        Raises:
            ValueError: no text, an empty one, or one that is longer than the tower can read.
        """
        if empty := [text for text in texts if not text.strip()]:
            raise ValueError(f"a text needs at least one word, got {empty[0]!r}")
        ids = self.words.batch(list(texts)).input_ids
        most = self.model.text.stack.positions.num_embeddings
        if ids.shape[1] > most:
            longest = max(texts, key=lambda text: len(self.words.encode(text)))
            raise ValueError(f"a text has at most {most} tokens, got {ids.shape[1]}: {longest!r}")
        return ids.to(self.device)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "texts embed"]:
        """Unit vectors of texts, (texts, embed_dim), without gradients."""
        parts = self.tokenize(texts).split(BATCH)
        return torch.cat([self.model.encode_text(part) for part in parts])

    @torch.no_grad()
    def encode_image(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch embed"]:
        """Unit vectors of pictures in [-1, 1], (batch, embed_dim), without gradients."""
        parts = images.split(BATCH)
        return torch.cat([self.model.encode_image(part.to(self.device)) for part in parts])
