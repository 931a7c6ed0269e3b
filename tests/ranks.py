"""Several processes on this machine, started as `accelerate launch` starts them."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

Told = dict[str, list[Any]]  # name → loss, loss after a step of descent, gradient


def launch(
    script: Path, *arguments: str | Path, processes: int
) -> subprocess.CompletedProcess[str]:
    """Run a script in several processes on the CPU."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", str(processes), "--num_machines", "1"]
    command += ["--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
    # without mpirun, ACCELERATE_USE_CPU is how accelerate starts several processes on one CPU
    return subprocess.run(
        [*command, str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        timeout=300,
    )


def told(model: nn.Module, loss_of: Callable[[], Tensor]) -> list[Any]:
    """A loss, the loss after a step of descent, and the gradient of all weights."""
    loss = loss_of()
    loss.backward()
    grads = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    with torch.no_grad():
        for weight in model.parameters():
            weight -= 0.1 * weight.grad
        after = loss_of()
    return [loss.item(), after.item(), grads.tolist()]


def write(measure: Callable[[int, int, Callable], Told]) -> None:
    """What a script does in each process: its measurements go to FOLDER/rank-R.json."""
    from accelerate import Accelerator

    torch.set_num_threads(1)
    here = Accelerator(cpu=True)
    found = measure(here.process_index, here.num_processes, here.prepare)
    (Path(sys.argv[1]) / f"rank-{here.process_index}.json").write_text(json.dumps(found))


def check_like_one(
    script: Path, folder: Path, *, processes: int, rel: float, grad_rel: float, grad_abs: float
) -> None:
    """Every process must have the losses and gradients of one process with all the data."""
    done = launch(script, folder, processes=processes)
    assert done.returncode == 0, done.stderr
    wanted: Told = runpy.run_path(str(script))["measure"](0, 1, lambda model: model)
    for rank in range(processes):
        found = json.loads((folder / f"rank-{rank}.json").read_text())
        assert found.keys() == wanted.keys()
        for name, (loss, after, grads) in wanted.items():
            got = found[name]
            assert got[0] == pytest.approx(loss, rel=rel), (name, rank)
            assert got[1] == pytest.approx(after, rel=rel), (name, rank)
            assert got[2] == pytest.approx(grads, rel=grad_rel, abs=grad_abs), (name, rank)
