"""Rotation and jigsaw: against loops, the paper's table, and what must be refused."""

import itertools
import math

import pytest
import torch
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from mmcourse.selfsupervision import (
    JigsawSolver,
    crop_tiles,
    cut_tiles,
    jigsaw_batch,
    join_tiles,
    permutation_set,
    restore_tiles,
    rotate_batch,
    shuffle_tiles,
)

plain = unchecked("mmcourse.selfsupervision.pretext")
tiles_plain = unchecked("mmcourse.selfsupervision.tiles")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def orders(count: int, n: int, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(n, generator=source) for _ in range(count)])


# ---- rotation ----


def test_label_one_is_a_quarter_turn_counter_clockwise() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    turned, labels = rotate_batch(image)
    assert labels.tolist() == [0, 1, 2, 3]
    assert turned[1, 0].tolist() == [[2, 4], [1, 3]]  # clockwise would be [[3, 1], [4, 2]]
    assert turned[2, 0].tolist() == [[4, 3], [2, 1]]


@pytest.mark.parametrize("batch", [1, 3])
def test_all_four_turns_picture_by_picture(batch: int) -> None:
    images = noise(batch, 3, 5, 5)
    turned, labels = rotate_batch(images)
    assert turned.shape == (4 * batch, 3, 5, 5)
    for i, k in itertools.product(range(batch), range(4)):
        assert torch.equal(turned[4 * i + k], images[i].rot90(k, (1, 2)))
        assert labels[4 * i + k] == k


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), side=st.integers(1, 6))
def test_turning_back_gives_the_picture(seed: int, side: int) -> None:
    images, source = noise(5, 2, side, side, seed=seed), torch.Generator().manual_seed(seed)
    turns = torch.randint(4, (5,), generator=source)
    turned, labels = rotate_batch(images, turns)
    assert torch.equal(labels, turns)
    back, _ = rotate_batch(turned, (4 - turns) % 4)
    assert torch.equal(back, images)


def test_the_given_pictures_stay_and_gradients_flow() -> None:
    images = noise(2, 1, 3, 3).requires_grad_()
    kept = images.detach().clone()
    turned, _ = rotate_batch(images, torch.tensor([0, 3]))
    turned.sum().backward()
    assert torch.equal(images.detach(), kept)
    assert torch.equal(images.grad, torch.ones_like(kept))


def test_bad_turns() -> None:
    with rejects("square"):
        plain.rotate_batch(noise(2, 1, 3, 4))
    with rejects("batch ≥ 1"):
        plain.rotate_batch(noise(0, 1, 3, 3))
    with rejects("square"):
        plain.rotate_batch(noise(3, 3, 3))
    for turns in (torch.tensor([0, 4]), torch.tensor([-1, 0]), torch.zeros(3), torch.zeros(2)):
        with rejects("2 whole numbers from 0 to 3"):
            plain.rotate_batch(noise(2, 1, 3, 3), turns)


# ---- tiles ----


def test_tiles_run_row_by_row() -> None:
    images = noise(2, 3, 6, 4)
    tiles = cut_tiles(images, 2)
    assert tiles.shape == (2, 4, 3, 3, 2)
    for b, i, j in itertools.product(range(2), range(2), range(2)):
        cut = images[b, :, 3 * i : 3 * i + 3, 2 * j : 2 * j + 2]
        assert torch.equal(tiles[b, 2 * i + j], cut)
    assert torch.equal(join_tiles(tiles), images)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), grid=st.integers(1, 3))
def test_restoring_undoes_shuffling(seed: int, grid: int) -> None:
    tiles = noise(3, grid**2, 2, 2, 3, seed=seed)
    order = orders(3, grid**2, seed)
    shuffled = shuffle_tiles(tiles, order)
    for b, i in itertools.product(range(3), range(grid**2)):
        assert torch.equal(shuffled[b, i], tiles[b, order[b, i]])
    assert torch.equal(restore_tiles(shuffled, order), tiles)


def test_shuffling_twice_is_not_restoring() -> None:
    tiles, order = noise(1, 4, 1, 2, 2), torch.tensor([[1, 2, 3, 0]])
    assert not torch.equal(shuffle_tiles(shuffle_tiles(tiles, order), order), tiles)


def test_every_tile_has_a_window_of_its_own() -> None:
    place = torch.arange(12.0).reshape(1, 1, 1, 3, 4).expand(400, 2, 1, 3, 4)
    crops = crop_tiles(place, 2, generator=torch.Generator().manual_seed(0))
    assert crops.shape == (400, 2, 1, 1, 2)
    corner = crops[:, :, 0, 0, 0]
    assert set(corner.unique().tolist()) == {0, 1, 2, 4, 5, 6, 8, 9, 10}
    assert torch.equal(crops[..., 1], crops[..., 0] + 1)  # columns stay neighbours
    assert (corner[:, 0] != corner[:, 1]).float().mean() > 0.5
    assert torch.equal(crop_tiles(place, 0), place)


def test_bad_tiles() -> None:
    with rejects("grid must be ≥ 1 and divide both sides, got 3 for 6 × 7"):
        tiles_plain.cut_tiles(noise(1, 1, 6, 7), 3)
    with rejects("grid must be"):
        tiles_plain.cut_tiles(noise(1, 1, 6, 6), 0)
    with rejects("batch ≥ 1"):
        tiles_plain.cut_tiles(noise(0, 1, 6, 6), 2)
    with rejects("square number"):
        tiles_plain.join_tiles(noise(1, 3, 1, 2, 2))
    with rejects("margin must be from 0"):
        tiles_plain.crop_tiles(noise(1, 4, 1, 2, 3), 2)
    with rejects("margin must be from 0"):
        tiles_plain.crop_tiles(noise(1, 4, 1, 2, 3), -1)
    for order in ([[0, 1, 2, 2]], [[1, 2, 3, 4]], [[0, 1, 2]]):
        with rejects("order must be"):
            tiles_plain.shuffle_tiles(noise(1, 4, 1, 2, 2), torch.tensor(order))
        with rejects("order must be"):
            tiles_plain.restore_tiles(noise(1, 4, 1, 2, 2), torch.tensor(order))


# ---- the set of permutations ----


def distances(chosen: torch.Tensor) -> torch.Tensor:
    return (chosen[:, None] != chosen[None]).sum(-1)


@pytest.mark.parametrize(("n", "count"), [(2, 2), (3, 6), (4, 9), (5, 12)])
def test_every_choice_is_a_best_one(n: int, count: int) -> None:
    chosen = permutation_set(n, count, generator=torch.Generator().manual_seed(n)).tolist()
    assert len({tuple(order) for order in chosen}) == count
    for k in range(1, count):
        left = [p for p in itertools.permutations(range(n)) if list(p) not in chosen[:k]]

        def worth(p) -> tuple[int, int]:
            gaps = [sum(a != b for a, b in zip(p, q, strict=True)) for q in chosen[:k]]  # noqa: B023
            return sum(gaps), min(gaps)

        assert worth(chosen[k]) == max(map(worth, left))


def test_a_hundred_orders_are_as_far_apart_as_any_can_be() -> None:
    """At best every tile stands equally often at every place: pairs that agree are fewest."""
    chosen = permutation_set(9, 100, generator=torch.Generator().manual_seed(1))
    agree = 8 * math.comb(11, 2) + math.comb(12, 2)  # 100 = 8 · 11 + 12, at each of 9 places
    best = 9 * (1 - agree / math.comb(100, 2))
    gaps = distances(chosen)[~torch.eye(100, dtype=torch.bool)].float()
    assert gaps.mean() == pytest.approx(best, abs=0.01)
    assert distances(orders(100, 9)).float().sum() / (100 * 99) < best - 0.02  # at random
    first = distances(chosen[:6])[~torch.eye(6, dtype=torch.bool)]
    assert (first == 9).all()


def test_all_orders_and_the_same_seed() -> None:
    every = permutation_set(4, 24)
    assert sorted(map(tuple, every.tolist())) == list(itertools.permutations(range(4)))
    again = [permutation_set(9, 5, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*again)
    assert not torch.equal(again[0], permutation_set(9, 5, generator=torch.Generator()))


def test_bad_sets() -> None:
    for n in (1, 16):
        with rejects(f"num_tiles must be from 2 to 9, got {n}"):
            tiles_plain.permutation_set(n, 1)
    for count in (0, 25):
        with rejects("from 1 to 4! = 24"):
            tiles_plain.permutation_set(4, count)


# ---- the puzzle ----


@pytest.mark.parametrize("batch", [1, 6])
def test_a_batch_of_puzzles(batch: int) -> None:
    images, known = noise(batch, 3, 9, 6), permutation_set(9, 10)
    tiles, labels = jigsaw_batch(images, known, generator=torch.Generator().manual_seed(0))
    assert tiles.shape == (batch, 9, 3, 3, 2)
    assert torch.equal(join_tiles(restore_tiles(tiles, known[labels])), images)
    small, _ = jigsaw_batch(images, known, margin=1)
    assert small.shape == (batch, 9, 3, 2, 1)


class Flat(nn.Module):
    """One linear layer over a tile."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


def test_the_solver_against_a_loop_over_tiles() -> None:
    known = permutation_set(4, 7)
    solver = randomise(JigsawSolver(Flat(), 5, known, hidden=8))
    tiles = noise(3, 4, 3, 2, 2)
    for b in range(3):
        features = torch.cat([solver.encoder(tiles[b, i][None])[0] for i in range(4)])
        torch.testing.assert_close(solver(tiles)[b], solver.head(features))
    solved = solver.solve(tiles)
    best = solver(tiles).argmax(1)
    for b, i in itertools.product(range(3), range(4)):
        assert torch.equal(solved[b, known[best[b], i]], tiles[b, i])


def test_it_overfits_one_batch_and_solves_it() -> None:
    torch.manual_seed(0)
    images, known = noise(6, 3, 4, 4), permutation_set(4, 6)
    tiles, labels = jigsaw_batch(images, known, generator=torch.Generator().manual_seed(1))
    solver = JigsawSolver(Flat(), 5, known, hidden=32)
    optimizer = torch.optim.Adam(solver.parameters(), 1e-2)
    for _ in range(150):
        loss = F.cross_entropy(solver(tiles), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert torch.equal(join_tiles(solver.solve(tiles)), images)


def test_the_orders_travel_with_the_weights() -> None:
    solver = JigsawSolver(Flat(), 5, permutation_set(4, 7))
    assert torch.equal(solver.state_dict()["permutations"], solver.permutations)
    assert solver.head[2].out_features == 7
    assert math.prod(solver.head[0].weight.shape) == 20 * 256


def test_bad_puzzles() -> None:
    known = permutation_set(4, 6)
    with rejects("divide both sides, got 2 for 5 × 4"):
        plain.jigsaw_batch(noise(1, 3, 5, 4), known)
    with rejects("square number of tiles, got 3"):
        plain.jigsaw_batch(noise(1, 3, 6, 6), permutation_set(3, 2))
    with rejects("permutations must be"):
        plain.jigsaw_batch(noise(1, 3, 4, 4), known + 1)
    with rejects("permutations must be"):
        plain.JigsawSolver(Flat(), 5, known[0])
    with rejects("at least 1"):
        plain.JigsawSolver(Flat(), 0, known)
    with rejects(r"tiles must be \(batch, 4, channels"):
        plain.JigsawSolver(Flat(), 5, known)(noise(1, 9, 3, 2, 2))
