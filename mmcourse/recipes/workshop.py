"""One run of a recipe: an autoencoder, a sharper decoder for it, diffusion in its latents."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mmcourse.diffusion import NoiseSchedule, TextToImage, denoising_loss
from mmcourse.diffusion.autoencoder import KLAutoencoder
from mmcourse.diffusion.text_to_image import Vocabulary
from mmcourse.recipes.autoencoder import (
    autoencoder_loss,
    decoder_loss,
    slightly_wrong,
    some_moves,
    standardise,
)
from mmcourse.recipes.resume import Batch, Tell
from mmcourse.recipes.run import Recipe, Run, number, source
from mmcourse.training import load_checkpoint, save_tensors
from mmcourse.weights import read_tensors


@runtime_checkable
class Collection(Protocol):
    """A fixed row of pictures."""

    def images(self, indices: Sequence[int] | None = None) -> Tensor:
        """Those at some places, or all: (count, channels, height, width)."""
        ...


@runtime_checkable
class World(Protocol):
    """What there is to draw, and how it is told."""

    def practice(self, count: int, seed: int) -> Tensor:
        """Pictures for the autoencoder."""
        ...

    def collection(self, count: int, seed: int) -> Any:
        """Pictures with captions, a `Collection`."""
        ...

    def captions(self, collection: Any) -> dict[str, Tensor]:
        """What is told of a collection: tensors with a row for each picture."""
        ...

    def ask(
        self, data: dict[str, Tensor], progress: float, count: int, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Which pictures are shown, and the word numbers of their captions."""
        ...

    def times(self, progress: float, uniform: Tensor) -> Tensor:
        """Times of the noise in [0, 1], from uniform numbers."""
        ...


class Workshop(Run):
    """One run of a recipe of text to image, see `Run`."""

    def __init__(
        self, recipe: Recipe, world: World, out: Path, *, seed: int, device: str, tell: Tell
    ) -> None:
        super().__init__(recipe, world, out, seed=seed, device=device, tell=tell)
        self.words = vocabulary_of(recipe.parts)

    def make(self) -> Path:
        """Autoencoder, latents, a better decoder, diffusion; each only if it is not there yet."""
        autoencoder, card = self.autoencoder()
        data = self.latents(autoencoder)
        autoencoder, card = self.decoder(autoencoder, card)
        return self.diffusion(autoencoder, data, card)

    # ---- first training: pictures to small latents and back
    def autoencoder(self) -> tuple[KLAutoencoder, dict[str, Any]]:
        """The trained autoencoder, whose latents are of mean 0 and variance 1, and its card."""
        file = self.out / "autoencoder.safetensors"
        torch.manual_seed(self.seed)
        model = self._placed(KLAutoencoder(**self.recipe.parts["autoencoder"]))
        if not file.is_file():
            seconds = self._train("autoencoder", model, self._pictures, autoencoder_loss)
            some = self.world.collection(1024, number(self.seed, 3)).images()
            standardise(model, some.to(self.device))
            self._save(file, model, seconds)
        card = load_checkpoint(file, model)
        return model.eval().requires_grad_(False), card

    def _pictures(self, step: int) -> Batch:
        """Pictures for a step, the noise of their latents, and how these are moved."""
        count = self.recipe.batch["autoencoder"]
        pictures = self.world.practice(count, number(self.seed, 1, step))
        random = source(self.seed, 2, step)
        noise = torch.randn(self._shape(count), generator=random)
        moving = step > 0.8 * self.recipe.steps["autoencoder"]  # first it learns to draw sharply
        moves = some_moves(count, random) if moving else torch.eye(2, 3).repeat(count, 1, 1)
        return pictures, noise, moves

    # ---- second training: the decoder alone, so that the latents stay as they are
    def decoder(
        self, model: KLAutoencoder, card: dict[str, Any]
    ) -> tuple[KLAutoencoder, dict[str, Any]]:
        """The autoencoder with a decoder that has practised more, and its card."""
        file = self.out / "decoder.safetensors"
        if not file.is_file():
            model.requires_grad_(False)
            for part in (model.decoder, model.post_quant_conv):
                part.requires_grad_(True)
            seconds = self._train("decoder", model, self._spoilt, decoder_loss)
            self._save(file, model, {name: card[name] + seconds[name] for name in seconds})
        card = load_checkpoint(file, model)
        return model.eval().requires_grad_(False), card

    def _spoilt(self, step: int) -> Batch:
        """Pictures for a step, and what is wrong with their latents."""
        count = self.recipe.batch["decoder"]
        pictures = self.world.practice(count, number(self.seed, 6, step))
        return pictures, slightly_wrong(self._shape(count), source(self.seed, 7, step))

    def _shape(self, count: int) -> tuple[int, ...]:
        """Of so many latents."""
        parts = self.recipe.parts
        return count, parts["autoencoder"]["latent_channels"], parts["size"], parts["size"]

    # ---- what the third training reads
    @torch.no_grad()
    def latents(self, autoencoder: KLAutoencoder) -> dict[str, Tensor]:
        """Latents `z` of all the pictures, and what is told of them."""
        file = self.out / "latents.safetensors"
        if not file.is_file() and self.accelerator.is_main_process:
            count, parts = self.recipe.pictures, []
            collection = self.world.collection(count, number(self.seed, 4))
            for rows in torch.arange(count).split(256):
                pictures = collection.images(rows.tolist()).to(self.device)
                parts.append(autoencoder.encode(pictures)[0].to("cpu", torch.float16))
                self.tell("latents", int(rows[-1]) + 1, count, 0.0)
            save_tensors(file, {"z": torch.cat(parts), **self.world.captions(collection)})
        self.accelerator.wait_for_everyone()
        return read_tensors(file)

    # ---- third training: noise to latents, told the words
    def diffusion(
        self, autoencoder: KLAutoencoder, data: dict[str, Tensor], card: dict[str, Any]
    ) -> Path:
        """Train the U-Net and the reader together; write the checkpoint of the whole model."""
        file = self.out / f"{self.recipe.name}.safetensors"
        if file.is_file():
            return file
        torch.manual_seed(self.seed)
        model = self._placed(TextToImage.build(self.recipe.parts).model)
        model.autoencoder.load_state_dict(autoencoder.state_dict())
        model.autoencoder.requires_grad_(False)
        loss_fn = partial(velocity_loss, schedule=model.schedule)
        seconds = self._train("diffusion", model, partial(self._latents, data=data), loss_fn)
        total = {name: round(card[name] + seconds[name]) for name in seconds}
        self._save(file, model, {"config": self.recipe.parts, **total}, dtype=torch.float16)
        return file

    def _latents(self, step: int, data: dict[str, Tensor]) -> Batch:
        """Latents, words, times and noise of a step; every tenth caption is forgotten."""
        random, count = source(self.seed, 5, step), self.recipe.batch["diffusion"]
        progress = step / self.recipe.steps["diffusion"]
        rows, words = self.world.ask(data, progress, count, random)
        forget = torch.rand(count, 1, generator=random) < 0.1
        ids = torch.where(forget, self.words.empty(1), words.long())
        uniform, T = torch.rand(count, generator=random), self.recipe.parts["T"]
        times = (T * self.world.times(progress, uniform)).long().clamp(max=T - 1)
        z = data["z"][rows].float()
        return z, ids, times, torch.randn(z.shape, generator=random)


def velocity_loss(model: nn.Module, batch: Batch, *, schedule: NoiseSchedule) -> Tensor:
    """The diffusion's loss of a batch of latents, words, times and noise."""
    z, ids, times, noise = batch
    return denoising_loss(model, z, times, noise, schedule, ids, prediction="velocity")


def vocabulary_of(parts: dict[str, Any]) -> Vocabulary:
    """The words of a configuration."""
    return Vocabulary(parts["words"], parts["length"], parts["aliases"])
