"""Text to image: captions in, pictures out, with parts that this book has built."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmcourse.diffusion.autoencoder import KLAutoencoder
from mmcourse.diffusion.latent import LatentDiffusion
from mmcourse.diffusion.process import Steps, call_model
from mmcourse.diffusion.schedule import NoiseSchedule, cosine_betas
from mmcourse.diffusion.unet import UNet
from mmcourse.transformers.block import TransformerBlock
from mmcourse.weights import checkpoint_file, load_strict, pick_device, read_card, read_tensors

PAD, EMPTY = 0, 1  # token numbers: nothing here; no caption at all
BATCH = 64  # pictures drawn together, so that any number of prompts fits into memory
NEEDED = {"words", "length", "size", "T", "autoencoder", "unet", "reader"}  # of a configuration


class CaptionReader(nn.Module):
    """τ: a Transformer over the words of a caption, in either language.

    h = LN(blocks(E[ids] + P)),  every word seeing every other

    Word and position vectors begin at one scale: where positions are much fainter, "a circle
    above a square" and "a square above a circle" read alike.

    Args:
        vocab_size: number of words, the two special tokens included.
        length: words of every caption, padding included.
        width, depth, num_heads: of the Transformer.

    Source: after the text encoder of Rombach et al. 2022, arXiv:2112.10752, §4.3.1, trained
        together with the U-Net.
    """

    def __init__(
        self, vocab_size: int, *, length: int, width: int = 160, depth: int = 3, num_heads: int = 4
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Parameter(0.7 * torch.randn(length, width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, num_heads, norm_first=True, activation="gelu")
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Int[Tensor, "batch words"]) -> Float[Tensor, "batch words width"]:
        """One vector a word, (batch, length, width)."""
        x = self.tokens(ids) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class PlacedUNet(nn.Module):
    """A U-Net that is told where it is: a learned table of the places rides along with z.

    ε_θ([z, P], t, context); convolutions alone cannot tell the left from the right.

    Args:
        in_channels: of z.
        size: rows and columns of z.
        places: channels of the table P.
        options: see `UNet`.
    """

    def __init__(self, *, in_channels: int, size: int, places: int = 8, **options: Any) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.places = nn.Parameter(torch.randn(places, size, size))
        self.unet = UNet(in_channels=in_channels + places, out_channels=in_channels, **options)

    def forward(
        self, z: Float[Tensor, "batch c h w"], step: Steps, context: Any = None
    ) -> Float[Tensor, "batch c h w"]:
        """What the U-Net predicts from z (batch, in_channels, size, size)."""
        table = self.places.expand(len(z), -1, -1, -1)
        return call_model(self.unet, torch.cat([z, table], dim=1), step, context)


class Vocabulary:
    """Words to numbers. Number 0 is padding, 1 stands for "no caption".

    Capitals do not matter, nor do marks before or after a word, as in "circle!".

    Args:
        words: the known words, in the order of their numbers from 2 on.
        length: words of every caption, padding included.
        aliases: other words, each read as a known one.
    """

    def __init__(
        self, words: Sequence[str], length: int, aliases: Mapping[str, str] | None = None
    ) -> None:
        self.words, self.length, self.aliases = list(words), length, dict(aliases or {})
        self._numbers = {unicodedata.normalize("NFC", w): 2 + i for i, w in enumerate(self.words)}

    def __len__(self) -> int:
        return 2 + len(self.words)

    def encode(self, captions: Sequence[str]) -> Int[Tensor, "batch words"]:
        """Numbers of the words of captions, (batch, length).

        Raises:
            ValueError: no caption, an empty one, a longer one than `length`, or unknown
                words: all of them, with the nearest known ones.
        """
        if not captions:
            raise ValueError("need at least one caption, got none")
        rows = [self._known(caption) for caption in captions]
        unknown = [word for row in rows for word in row if word not in self._numbers]
        if unknown:
            raise ValueError(self._complaint(list(dict.fromkeys(unknown))))
        return torch.tensor([self._row(words) for words in rows])

    def _known(self, caption: str) -> list[str]:
        """The words of a caption, each as the vocabulary has it where it does."""
        words = []
        for word in unicodedata.normalize("NFC", caption).lower().split():
            bare = word if word in self._numbers else re.sub(r"^[\W_]+|[\W_]+$", "", word)
            words.append(bare if bare in self._numbers else self.aliases.get(bare, bare))
        return [word for word in words if word]

    def _row(self, words: list[str]) -> list[int]:
        if not words:
            raise ValueError("a caption needs at least one word, got an empty one")
        if len(words) > self.length:
            raise ValueError(f"a caption has at most {self.length} words, got {len(words)}")
        numbers = [self._numbers[word] for word in words]
        return numbers + [PAD] * (self.length - len(words))

    def _complaint(self, unknown: list[str]) -> str:
        near = {word: self._near(word) for word in unknown}
        if len(unknown) == 1 and near[unknown[0]]:
            return f"unknown word {unknown[0]!r}; the nearest known: {', '.join(near[unknown[0]])}"
        told = [f"{w!r}" + (f" (near: {', '.join(n)})" if n else "") for w, n in near.items()]
        text = f"unknown word{'s' if len(told) > 1 else ''} {', '.join(told)}"
        if any(near.values()):
            return text
        alike = [word for word in self.words if word.isascii() == unknown[0].isascii()]
        apart = -(-len(alike) // 8) or 1
        some = alike[apart // 2 :: apart] or self.words[:8]
        return f"{text}; among the {len(self.words)} known words are {', '.join(some)}"

    def _near(self, word: str) -> list[str]:
        """Known words that look like this one; Korean is compared letter by letter."""
        letters = {unicodedata.normalize("NFD", known): known for known in self.words}
        spelled = unicodedata.normalize("NFD", word)
        return [letters[m] for m in difflib.get_close_matches(spelled, letters, n=3, cutoff=0.6)]

    def empty(self, count: int) -> Int[Tensor, "batch words"]:
        """What stands for "no caption", (count, length)."""
        ids = torch.full((count, self.length), PAD)
        ids[:, 0] = EMPTY
        return ids


class TextToImage:
    """A trained model that draws what a caption says.

    Args:
        model: the networks, see `LatentDiffusion`.
        vocabulary: the words that it knows.
        size: rows and columns of the latents.
        config: what `build` was given, kept for saving.
    """

    def __init__(
        self, model: LatentDiffusion, vocabulary: Vocabulary, size: int, config: dict[str, Any]
    ) -> None:
        self.model, self.vocabulary, self.size, self.config = model, vocabulary, size, config

    @classmethod
    def build(cls, config: dict[str, Any]) -> "TextToImage":
        """New networks with the sizes of a configuration, see the cards of the checkpoints.

        Args:
            config: "words", "length", "size" of the latents, "T", "power" of the sampler's steps,
                and keyword arguments under "autoencoder", "unet" and "reader".
        """
        vocabulary = Vocabulary(config["words"], config["length"], config.get("aliases"))
        reader = CaptionReader(len(vocabulary), length=vocabulary.length, **config["reader"])
        autoencoder = KLAutoencoder(**config["autoencoder"])
        unet = PlacedUNet(
            in_channels=autoencoder.latent_channels,
            size=config["size"],
            context_dim=reader.positions.shape[1],
            **config["unet"],
        )
        schedule = NoiseSchedule(cosine_betas(config["T"]))
        model = LatentDiffusion(
            unet,
            autoencoder,
            reader,
            schedule,
            prediction="velocity",
            power=config.get("power", 1.0),
        )
        return cls(model.eval(), vocabulary, config["size"], config)

    @classmethod
    def load(cls, name_or_path: str | Path, device: str | torch.device = "auto") -> "TextToImage":
        """A trained model: one that comes with the package, or a file of your own.

        Args:
            name_or_path: the name of a checkpoint of the package, or the path of a
                .safetensors file with its card (.json) beside it.
            device: "auto" takes the fastest there is.

        Raises:
            ValueError: no such checkpoint, one that is damaged or whose hash differs from its
                card's, or one of another model.
        """
        file = checkpoint_file(name_or_path)
        config = read_card(file).get("config")
        if not isinstance(config, dict) or not set(config) >= NEEDED:
            raise ValueError(
                f"expected a text-to-image checkpoint, got {file.name} of another model"
            )
        found = cls.build(config)
        load_strict(found.model, read_tensors(file))
        found.model.to(pick_device(device))
        return found

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        steps: int = 25,
        scale: float = 3.0,
        seed: int = 0,
        negative: str | None = None,
        on_step: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """Draw a picture for each prompt.

        Args:
            prompts: one or more captions, in English or Korean.
            steps: calls of the sampler, in 1 … T.
            scale: of the guidance, 0 or more; 1 = none, 0 = the caption is not heard.
            seed: of the noise; the same seed and prompts give the same pictures.
            negative: a caption of what should not be seen.
            on_step: called after each step as on_step(step, z, z0); with more than 64 prompts,
                once for each batch of 64.

        Returns:
            (prompts, channels, height, width) in [-1, 1], on the CPU.

        Raises:
            ValueError: an unknown word, an empty prompt, steps or a scale out of range.
        """
        if scale < 0:
            raise ValueError(
                f"scale must be at least 0, got {scale:g}: below 0 it would lead away from the "
                "caption; what should not be seen is a negative prompt"
            )
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        ids = self.vocabulary.encode(prompts)
        empty = self.vocabulary.empty(1)
        away = empty if negative is None else self.vocabulary.encode([negative])
        device = next(self.model.parameters()).device
        generator = torch.Generator().manual_seed(seed)
        shape = (self.model.autoencoder.latent_channels, self.size, self.size)
        parts = []
        for part in ids.split(BATCH):
            start = torch.randn(len(part), *shape, generator=generator)
            pictures = self.model.generate(
                part.to(device),
                away.expand(len(part), -1).to(device),
                steps=steps,
                scale=scale,
                start=start.to(device),
                on_step=on_step,
            )
            parts.append(pictures.float().cpu())
        return torch.cat(parts)
