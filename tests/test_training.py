"""The loop against one written by hand; averages in closed form; checkpoints that stay whole."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
from helpers import rejects
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmcourse import training
from mmcourse.training import (
    EMA,
    count_parameters,
    load_checkpoint,
    minibatches,
    pick_device,
    save_checkpoint,
    train,
    warmup,
)


def mse(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def problem() -> tuple[nn.Linear, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    x = torch.randn(16, 3)
    return nn.Linear(3, 1), (x, x @ torch.tensor([[1.0], [-2.0], [0.5]]))


def test_train_equals_the_loop_by_hand() -> None:
    ours, batch = problem()
    theirs, _ = problem()
    by_hand, optimizer = [], torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        loss = mse(theirs, batch)
        loss.backward()
        optimizer.step()
        by_hand.append(float(loss.detach()))
    seen = list(
        train(
            ours, [batch], mse, optimizer=torch.optim.SGD(ours.parameters(), lr=0.1), steps=5,
            clip_norm=None, autocast=False,
        )
    )  # fmt: skip
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5]
    assert [loss for _, loss in seen] == by_hand
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=0)


def test_train_learns_and_the_caller_can_stop() -> None:
    model, batch = problem()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    seen = []
    for step, loss in train(model, [batch], mse, optimizer=optimizer, steps=500, autocast=False):
        seen.append((step, loss))
        if loss < 1e-3:
            break
    assert seen[-1][0] == len(seen) < 500
    assert seen[-1][1] < 1e-3 < seen[0][1]


def test_gradients_are_clipped_and_the_scheduler_moves() -> None:
    model, (x, y) = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = [p.detach().clone() for p in model.parameters()]
    schedule = warmup(optimizer, 4)
    next(iter(train(model, [(x, 1e6 * y)], mse, optimizer=optimizer, steps=1, clip_norm=0.5,
                    scheduler=schedule, autocast=False)))  # fmt: skip
    moved = torch.cat(
        [(p.detach() - b).flatten() for p, b in zip(model.parameters(), before, strict=True)]
    )
    # lr is 1/4 in the first of four warm-up steps, and the gradient's norm was clipped to 0.5
    torch.testing.assert_close(moved.norm(), torch.tensor(0.125), rtol=1e-4, atol=0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


def test_accelerate_gives_the_same_losses() -> None:
    from accelerate import Accelerator

    runs = []
    for accelerator in (None, Accelerator(cpu=True)):
        model, batch = problem()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        if accelerator is not None:
            model, optimizer = accelerator.prepare(model, optimizer)
        loop = train(
            model, [batch], mse, optimizer=optimizer, steps=4, accelerator=accelerator,
            autocast=False,
        )  # fmt: skip
        runs.append([loss for _, loss in loop])
    assert runs[0] == runs[1]


def test_a_loss_that_is_not_finite_stops_the_run_by_name() -> None:
    model, (x, y) = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match="step 1"):
        list(train(model, [(x, y * math.nan)], mse, optimizer=optimizer, steps=3, autocast=False))


def test_bad_input_is_named() -> None:
    model, batch = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with rejects("steps must be at least 1, got 0"):
        next(train(model, [batch], mse, optimizer=optimizer, steps=0))
    with rejects("at least one batch"):
        next(train(model, [], mse, optimizer=optimizer, steps=1))
    with rejects(r"decay must be in \[0, 1\), got 1"):
        EMA(model, 1.0)
    with rejects("device must be .* got 'tpu9'"):
        pick_device("tpu9")
    with rejects("share their length"):
        next(minibatches(torch.ones(3), torch.ones(4), batch_size=2, generator=torch.Generator()))


def test_ema_is_the_weighted_mean_of_all_weights_seen() -> None:
    model = nn.Linear(1, 1, bias=False)
    values = [3.0, -1.0, 4.0, 2.0]
    with torch.no_grad():
        model.weight.fill_(values[0])
    ema = EMA(model, decay=0.5)
    expected = values[0]
    for k, value in enumerate(values[1:], start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        ema.update(model)
        decay = min(0.5, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * value
    assert float(ema.model.weight) == pytest.approx(expected)
    assert not ema.model.weight.requires_grad


@given(count=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 99))
def test_an_epoch_of_minibatches_repeats_nothing(count: int, size: int, seed: int) -> None:
    source = minibatches(
        torch.arange(count), batch_size=size, generator=torch.Generator().manual_seed(seed)
    )
    epoch = [next(source) for _ in range(max(count // size, 1))]
    seen = torch.cat(epoch).tolist()
    assert len(set(seen)) == len(seen) == max(count // size * size, min(count, size))


def test_checkpoint_comes_back_with_its_card(tmp_path: Path) -> None:
    model, _ = problem()
    save_checkpoint(tmp_path / "small.safetensors", model, {"recipe": "test", "seconds": 1.5})
    other = nn.Linear(3, 1)
    card = load_checkpoint(tmp_path / "small.safetensors", other)
    assert card["recipe"] == "test"
    torch.testing.assert_close(other.weight, model.weight, rtol=0, atol=0)


def test_a_swapped_or_unfitting_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, nn.Linear(3, 1), {})
    with rejects("weight must have shape .*4.* got .*3"):
        load_checkpoint(path, nn.Linear(4, 1))
    with rejects("missing 0.bias, 0.weight"):
        load_checkpoint(path, nn.Sequential(nn.Linear(3, 1)))
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "sha256": "0" * 64}))
    with rejects("expects sha256 0000"):
        load_checkpoint(path, nn.Linear(3, 1))


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "small.safetensors"
    model, _ = problem()
    save_checkpoint(path, model, {"version": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, nn.Linear(3, 1), {"version": 2})
    assert load_checkpoint(path, nn.Linear(3, 1))["version"] == 1
    assert sorted(os.listdir(tmp_path)) == ["small.json", "small.safetensors"]


def test_count_parameters() -> None:
    assert count_parameters(nn.Linear(3, 2)) == 8
