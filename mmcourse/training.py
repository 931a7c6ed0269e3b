"""One visible training loop, and the little around it: device, averages, checkpoints.

`train` is a generator: it yields after every update, and the caller's ``for`` body logs,
evaluates, draws or stops. Nothing here knows about any model or any task.
"""

import contextlib
import copy
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmcourse.weights import load_strict, pick_device, read_card, read_tensors, sha256

__all__ = [
    "EMA",
    "Stopwatch",
    "amend_card",
    "bfloat16_is_faster",
    "count_parameters",
    "load_checkpoint",
    "load_state",
    "minibatches",
    "pick_device",
    "save_checkpoint",
    "save_state",
    "save_tensors",
    "train",
    "warmup",
]


def bfloat16_is_faster(device: torch.device) -> bool:
    """Whether convolutions and matrix products run faster in bfloat16 on this device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # Without AVX512-BF16 (or AMX) a CPU emulates bfloat16 and is slower with it.
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(probe())


def train(
    model: nn.Module,
    batches: Iterable[Any],
    loss_fn: Callable[[nn.Module, Any], Tensor],
    *,
    optimizer: torch.optim.Optimizer,
    steps: int,
    first: int = 1,
    ema: "EMA | None" = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    clip_norm: float | None = 1.0,
    autocast: bool | str = "auto",
    accelerator: Any = None,
) -> Iterator[tuple[int, float]]:
    """Train `model`, and yield (step, loss) after each update.

    Args:
        batches: any iterable of batches; it is started again when it ends.
        loss_fn: called as ``loss_fn(model, batch)``; returns a scalar tensor.
        steps: the last update's number.
        first: the first update's number; more than 1 to go on with an earlier training.
        ema: an average of the weights to update beside the model.
        scheduler: stepped once per update.
        clip_norm: largest global gradient norm; None to leave gradients alone.
        autocast: bfloat16 for the forward pass: True, False, or "auto" where it is faster.
        accelerator: an ``accelerate.Accelerator`` that has prepared model and optimizer.

    Raises:
        ValueError: if `steps` is not positive, or `batches` is empty.
        FloatingPointError: if the loss is not finite; the message names the step.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    device = next(model.parameters()).device
    low = bfloat16_is_faster(device) if autocast == "auto" else bool(autocast)
    model.train()
    for step, batch in zip(range(first, steps + 1), _forever(batches), strict=False):
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            loss = loss_fn(model, batch)
        mean = loss.detach() if accelerator is None else accelerator.reduce(loss.detach(), "mean")
        value = float(mean)
        if value != value or value in (float("inf"), float("-inf")):
            raise FloatingPointError(f"the loss is {value} at step {step}: lower the learning rate")
        optimizer.zero_grad(set_to_none=True)
        if accelerator is None:
            loss.backward()
        else:
            accelerator.backward(loss)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if ema is not None:
            ema.update(model)
        yield step, value


def _forever(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError("batches must hold at least one batch, got none")


def minibatches(*tensors: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
    """Endless shuffled batches of tensors that share their first dimension.

    One tensor gives tensors, several give tuples. A set smaller than a batch is one batch.
    """
    lengths = [len(tensor) for tensor in tensors]
    count = min(lengths, default=0)
    if any(length != count for length in lengths):
        raise ValueError(f"tensors must share their length, got {lengths}")
    if count == 0 or batch_size < 1:
        raise ValueError(f"need data and batch_size ≥ 1, got {count} items, {batch_size}")
    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, max(count - batch_size + 1, 1), batch_size):
            picked = order[start : start + batch_size]
            batch = [tensor[picked] for tensor in tensors]
            yield tuple(batch) if len(batch) > 1 else batch[0]


def warmup(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """A learning rate that rises linearly over `steps` updates and then stays."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / steps))


class EMA:
    """An exponential moving average of a model's weights.

    After update k the average is  w̄ ← d·w̄ + (1 − d)·w  with d = min(decay, (1 + k)/(10 + k)),
    so that the first steps are forgotten quickly. Buffers are copied.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay, self.count = decay, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's present weights."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for mean, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(weight.to(mean.dtype), 1 - decay)
        for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)


def count_parameters(model: nn.Module) -> int:
    """The number of trainable weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def save_checkpoint(
    path: str | Path, model: nn.Module, card: dict[str, Any], *, dtype: torch.dtype | None = None
) -> None:
    """Write the weights as safetensors, and beside them a card (JSON) with their hash.

    Both files appear whole or not at all: a full disk leaves the old checkpoint as it was.

    Args:
        dtype: round the weights to it, such as torch.float16 for half the size; None keeps them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().to("cpu", dtype) for name, t in model.state_dict().items()}
    with _replacing(path) as part:
        save_file({name: t.contiguous() for name, t in tensors.items()}, part)
        digest = sha256(part)
    _write_card(path, {**card, "sha256": digest})


def amend_card(path: str | Path, **more: Any) -> None:
    """Write more about a checkpoint into its card.

    Raises:
        ValueError: no checkpoint, no card, or a card of another file.
    """
    _write_card(Path(path), {**read_card(path), **more})


def _write_card(path: Path, card: dict[str, Any]) -> None:
    text = json.dumps(card, indent=2, ensure_ascii=False, sort_keys=True)
    with _replacing(path.with_suffix(".json")) as part:
        Path(part).write_text(text + "\n", encoding="utf-8")


def load_checkpoint(path: str | Path, model: nn.Module) -> dict[str, Any]:
    """Load weights into `model` after checking them against their card; return the card.

    Raises:
        ValueError: if weights or card are missing, the hash differs, or a weight is missing,
            unexpected or misshapen.
    """
    card = read_card(path)
    load_strict(model, read_tensors(path))
    return card


def save_tensors(path: str | Path, tensors: dict[str, Tensor], **notes: str) -> None:
    """Write tensors as safetensors; the file appears whole or not at all."""
    kept = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    with _replacing(Path(path)) as part:
        save_file(kept, part, notes)


def save_state(
    path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: EMA, **numbers: float
) -> None:
    """Write all that a training needs to go on: weights, their average, the optimizer's memory.

    The file appears whole or not at all. Numbers, such as the step, are kept with it.
    """
    memory = optimizer.state_dict()["state"]
    tensors = {
        **{f"model.{name}": t for name, t in model.state_dict().items()},
        **{f"ema.{name}": t for name, t in ema.model.state_dict().items()},
        **{f"optimizer.{i}.{key}": t for i, kept in memory.items() for key, t in kept.items()},
    }
    save_tensors(path, tensors, numbers=json.dumps({**numbers, "averaged": ema.count}))


def load_state(
    path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: EMA
) -> dict[str, float]:
    """Put back what `save_state` wrote; return its numbers.

    Raises:
        ValueError: no such file, or one of another model.
    """
    tensors = read_tensors(path)
    with safe_open(path, "pt") as file:
        numbers = json.loads(file.metadata()["numbers"])
    for prefix, target in (("model.", model), ("ema.", ema.model)):
        chosen = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        load_strict(target, chosen)
    memory: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, place, key = name.split(".")
            memory.setdefault(int(place), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": memory, "param_groups": groups})
    ema.count = int(numbers.pop("averaged"))
    return numbers


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[str]:
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield part
        os.chmod(part, 0o644)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


class Stopwatch:
    """Wall seconds, CPU seconds and peak memory since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Seconds since the start, and the process's peak memory in GB."""
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        unit = 1e9 if sys.platform == "darwin" else 1e6  # bytes there, kilobytes on Linux
        return {
            "wall_s": time.perf_counter() - self.wall,
            "cpu_s": time.process_time() - self.cpu,
            "peak_gb": peak / unit,
        }
