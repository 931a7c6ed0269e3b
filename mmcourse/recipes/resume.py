"""A training that can be killed at any moment and goes on as if nothing had happened.

Every batch is a function of its step's number, so that a second start sees the same batches.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmcourse.training import EMA, Stopwatch, load_state, save_state, train

Tell = Callable[[str, int, int, float], None]
Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Args:
        steps: number of updates.
        rate: highest learning rate.
        save_every: updates between two saved states.
        decay: of the average of the weights.
        warm: updates until the highest rate.
        shrink: weight decay.
    """

    steps: int
    rate: float
    save_every: int = 250
    decay: float = 0.999
    warm: int = 200
    shrink: float = 0.01

    def pace(self, step: int) -> float:
        """The learning rate's factor: up in a line, down in half a cosine to a hundredth."""
        half = 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0)))
        return min((step + 1) / self.warm, 1.0) * (0.01 + 0.99 * half)


def train_resumable(
    model: nn.Module,
    make_batch: Callable[[int], Batch],
    loss_fn: Callable[[nn.Module, Any], Tensor],
    plan: Plan,
    state: Path,
    *,
    accelerator: Any,
    tell: Callable[[int, float], None],
) -> dict[str, float]:
    """Train in place, from the saved state if there is one; end with the averaged weights.

    Args:
        model: weights that need no gradient stay as they are.
        make_batch: the batch of a step, counted from 1, and of nothing else.
        loss_fn: see `training.train`.
        state: where the state is kept.
        accelerator: an ``accelerate.Accelerator``; each of its processes takes its share of
            every batch.
        tell: called as tell(step, loss) after every update.

    Returns:
        CPU and wall seconds, those of earlier starts included.
    """
    model.zero_grad()  # what an earlier training left would count where gradients are clipped
    ema = EMA(model, plan.decay)
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=plan.rate, betas=(0.9, 0.99), weight_decay=plan.shrink
    )
    spent = {"step": 0.0, "cpu_s": 0.0, "wall_s": 0.0}
    if state.is_file():
        spent = load_state(state, model, optimizer, ema)
    begun, watch = int(spent["step"]), Stopwatch()
    scheduler = _scheduler(optimizer, plan, begun)
    wrapped, fast = accelerator.prepare(model, optimizer)
    batches = _shares(make_batch, begun, accelerator)
    options = {"optimizer": fast, "scheduler": scheduler, "accelerator": accelerator}
    numbers = {"first": begun + 1, "steps": plan.steps}
    for step, loss in train(wrapped, batches, loss_fn, **numbers, **options):
        ema.update(model)
        if step % plan.save_every == 0 or step == plan.steps:
            now = watch.read()
            spent_now = {name: spent[name] + now[name] for name in ("cpu_s", "wall_s")}
            if accelerator.is_main_process:
                save_state(state, model, optimizer, ema, step=step, **spent_now)
        tell(step, loss)
    accelerator.wait_for_everyone()
    final = load_state(state, model, optimizer, ema)
    model.load_state_dict(ema.model.state_dict())
    return {name: final[name] for name in ("cpu_s", "wall_s")}


def _scheduler(
    optimizer: torch.optim.Optimizer, plan: Plan, begun: int
) -> torch.optim.lr_scheduler.LambdaLR:
    for group in optimizer.param_groups:  # what a scheduler wants to know to begin in between
        group["initial_lr"] = plan.rate
    return torch.optim.lr_scheduler.LambdaLR(optimizer, plan.pace, last_epoch=begun - 1)


def _shares(make_batch: Callable[[int], Batch], begun: int, accelerator: Any) -> Iterator[Batch]:
    """The batches from a step on; of each, this process's share."""
    rank, ranks = accelerator.process_index, accelerator.num_processes
    for step in itertools.count(begun + 1):
        yield tuple(part[rank::ranks].to(accelerator.device) for part in make_batch(step))
