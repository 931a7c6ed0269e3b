"""What every recipe shares: a folder of its own, a device, a training, a card."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmcourse.recipes.resume import Batch, Plan, Tell, train_resumable
from mmcourse.training import pick_device, save_checkpoint


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, in one or more trainings that each have a name.

    Args:
        name: of the checkpoint.
        parts: sizes of the networks, see `TextToImage.build` and `TrainedCLIP.build`.
        steps, batch, rates: updates, pictures an update, and learning rate of each training.
        pixels: of a picture's side.
        pictures: that are made once; those of the other trainings are new at every step.
        shrink: weight decay.
        save_every: updates between two saved states.
    """

    name: str
    parts: dict[str, Any]
    steps: dict[str, int]
    batch: dict[str, int]
    rates: dict[str, float]
    pixels: int = 64
    pictures: int = 65_536
    shrink: float = 0.01
    save_every: int = 250

    def plan(self, stage: str) -> Plan:
        """Of one of the trainings."""
        return Plan(self.steps[stage], self.rates[stage], self.save_every, shrink=self.shrink)


class Run:
    """One run of a recipe in its folder; `world` gives what it learns from.

    Raises:
        ValueError: an unknown device, or a folder in which another run was begun.
    """

    def __init__(
        self, recipe: Recipe, world: Any, out: Path, *, seed: int, device: str, tell: Tell
    ) -> None:
        from accelerate import Accelerator

        self.recipe, self.world, self.out, self.seed, self.tell = recipe, world, out, seed, tell
        self.accelerator = Accelerator(cpu=pick_device(device).type == "cpu")
        self.device = self.accelerator.device
        out.mkdir(parents=True, exist_ok=True)
        mine = json.loads(json.dumps({**asdict(recipe), "seed": seed}))
        note = out / "run.json"
        if note.is_file() and json.loads(note.read_text(encoding="utf-8")) != mine:
            raise ValueError(f"{note} tells of another run: take another folder, or remove it")
        if self.accelerator.is_main_process:
            note.write_text(json.dumps(mine, ensure_ascii=False, indent=1), encoding="utf-8")

    def make(self) -> Path:
        """Train what is not there yet; the file of the checkpoint."""
        raise NotImplementedError

    def _placed(self, model: nn.Module) -> Any:
        model.to(self.device)
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _train(
        self, stage: str, model: nn.Module, make_batch: Callable[[int], Batch], loss_fn: Callable
    ) -> dict[str, float]:
        plan, state = self.recipe.plan(stage), self.out / f"{stage}-state.safetensors"
        return train_resumable(
            model,
            make_batch,
            loss_fn,
            plan,
            state,
            accelerator=self.accelerator,
            tell=lambda step, loss: self.tell(stage, step, plan.steps, loss),
        )

    def _save(self, file: Path, model: nn.Module, card: dict[str, Any], **options: Any) -> None:
        if self.accelerator.is_main_process:
            about = {
                "seed": self.seed,
                "steps": self.recipe.steps,
                "parameters": sum(weight.numel() for weight in model.parameters()),
                "torch": torch.__version__,
                "device": self.device.type,
                "processes": self.accelerator.num_processes,
            }
            save_checkpoint(file, model, {**about, **card}, **options)
        self.accelerator.wait_for_everyone()


def number(*parts: int) -> int:
    """A seed for a purpose: one number made of several."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:7], "big")


def source(*parts: int) -> torch.Generator:
    """A generator for a purpose, see `number`."""
    return torch.Generator().manual_seed(number(*parts))
