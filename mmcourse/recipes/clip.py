"""The recipes of the two small CLIPs: scenes of shapes, and emoji, told in two languages."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mmcourse.recipes.resume import Batch
from mmcourse.recipes.run import Run, number
from mmcourse.visionlanguage import TrainedCLIP, clip_loss

HIGHEST = math.log(100)  # of the logarithm of the inverse temperature

STAGE = "clip"

SHRINK = 0.3  # a strong weight decay: pairs never seen come out right


@runtime_checkable
class Pairs(Protocol):
    """Pictures and what is told of them, without end; and an examination."""

    def pairs(self, count: int, step: int, seed: int) -> tuple[Tensor, list[str]]:
        """Pictures (count, 3, height, width) and a text for each, all in one language."""
        ...

    def examine(self, clip: TrainedCLIP) -> list[dict[str, Any]]:
        """Rows of results for the card."""
        ...


class BothTowers(nn.Module):
    """The vectors of pictures and of texts from one call, as several processes need it."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip: Any = clip

    def forward(self, images: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of pictures, vectors of texts, and the logarithm of the scale."""
        towers = self.clip.encode_image(images), self.clip.encode_text(ids)
        return *towers, self.clip.logit_scale.clamp(max=HIGHEST)


def pair_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The contrastive loss of a batch of pictures and token numbers, in full precision."""
    with torch.autocast(batch[0].device.type, enabled=False):  # layers this small gain nothing
        images, texts, scale = model(*batch)
        return clip_loss(images, texts, scale)


class ClipRun(Run):
    """One run of a CLIP's recipe, see `Run`."""

    world: Pairs

    def make(self) -> Path:
        """Train both towers together; write the checkpoint and what it can do."""
        file = self.out / f"{self.recipe.name}.safetensors"
        if file.is_file():
            return file
        torch.manual_seed(self.seed)
        trained = TrainedCLIP.build(self.recipe.parts)
        both = self._placed(BothTowers(trained.model))
        seconds = self._train(STAGE, both, self._batches(trained), pair_loss)
        trained.model.eval().half().float()  # examined as it will be read back
        card: dict[str, Any] = {"config": self.recipe.parts, "evaluation": []}
        if self.accelerator.is_main_process:
            card["evaluation"] = self.world.examine(trained)
        rounded = {name: round(spent) for name, spent in seconds.items()}
        self._save(file, trained.model, {**card, **rounded}, dtype=torch.float16)
        return file

    def _batches(self, trained: TrainedCLIP) -> Callable[[int], Batch]:
        """Pictures and token numbers of a step."""
        encode = cache(trained.words.encode)  # cutting a text anew at every step would be slow

        def make(step: int) -> Batch:
            count = self.recipe.batch[STAGE]
            images, texts = self.world.pairs(count, step, number(self.seed, 1, step))
            rows = [torch.tensor(encode(text)) for text in texts]
            pad = trained.words.pad_id
            return images, nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)

        return make


@torch.no_grad()
def zero_shot(clip: TrainedCLIP, images: Tensor, texts: list[str], labels: Tensor) -> float:
    """Share of pictures whose nearest text is the right one."""
    scores = clip.encode_image(images) @ clip.encode_text(texts).T
    return float((scores.argmax(dim=1).cpu() == labels).float().mean())
