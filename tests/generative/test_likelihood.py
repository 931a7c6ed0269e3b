"""Levels there and back; bits against the entropy and against brute-force integration."""

import math

import pytest
import torch
from helpers import rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.generative import bits_per_dim, dequantise, from_levels, quantise, to_levels

plain = unchecked("mmcourse.generative.likelihood")


@given(levels=st.integers(2, 256), seed=st.integers(0, 100))
def test_levels_there_and_back(levels: int, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    k = torch.randint(levels, (3, 4), generator=source)
    assert torch.equal(to_levels(from_levels(k, levels), levels), k)
    u = torch.rand(3, 4, generator=source)
    y = dequantise(k, u, levels)
    assert ((y >= 0) & (y < 1)).all()
    assert torch.equal(quantise(y, levels), k)


def test_the_ends_of_the_scale() -> None:
    ends = torch.tensor([-1.0, 1.0])
    assert to_levels(ends, 17).tolist() == [0, 16]
    assert torch.equal(from_levels(torch.tensor([0, 16]), 17), ends)
    almost = torch.full((1,), 1 - 2**-24)  # k + u would be rounded up to the next level
    assert dequantise(torch.tensor([255]), almost, 256).item() < 1
    assert quantise(torch.tensor([-0.3, 1.0, 7.0]), 4).tolist() == [0, 3, 3]


def test_a_uniform_guess_has_log2_levels_bits() -> None:
    guess = torch.tensor([-64 * math.log(17)])
    assert bits_per_dim(guess, 64).item() == pytest.approx(math.log2(17), rel=1e-6)
    flat = torch.zeros(1)  # a density of 1 on the unit cube
    assert bits_per_dim(flat, 64, cells=17).item() == pytest.approx(math.log2(17), rel=1e-6)
    assert bits_per_dim(flat, 64).item() == 0  # leaving out the cells is the wrong convention


def test_the_density_bounds_the_probability_of_the_level() -> None:
    """p(y) = 2y on [0, 1): P(k) is its integral over the cell; the noisy bits are above."""
    levels, k = 4, torch.arange(4)
    probability = (2 * k.double() + 1) / levels**2
    assert probability.sum().item() == pytest.approx(1)
    grid = (torch.arange(5000, dtype=torch.float64) + 0.5) / 5000
    y = dequantise(k[:, None].expand(4, 5000), grid.expand(4, 5000), levels)
    bits = bits_per_dim((2 * y).log(), 1, cells=levels).mean(dim=1)
    exact = -probability.log2()
    assert (bits >= exact).all()
    assert (bits - exact).max() < 0.5
    assert (bits[1:] - exact[1:]).max() < 0.1


def test_bad_input() -> None:
    k = torch.tensor([0, 3])
    with rejects("at least 2"):
        plain.to_levels(torch.zeros(2), 1)
    for wrong in (1.5, float("nan")):
        with rejects(r"\[-1, 1\]"):
            plain.to_levels(torch.tensor([0.0, wrong]), 4)
    for wrong in (torch.tensor([4]), torch.tensor([-1]), torch.tensor([0.5])):
        with rejects("0 … 3"):
            plain.from_levels(wrong, 4)
    for noise in (torch.rand(3), torch.tensor([0.0, 1.0]), torch.tensor([-0.1, 0.0])):
        with rejects(r"\[0, 1\)"):
            plain.dequantise(k, noise, 4)
    with rejects("finite"):
        plain.quantise(torch.tensor([float("nan")]), 4)
    with rejects("at least 1"):
        plain.bits_per_dim(torch.zeros(1), 0)
