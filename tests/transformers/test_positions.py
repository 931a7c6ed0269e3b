"""Sinusoidal positions against the formula, and the laws that make them useful."""

import math

import pytest
import torch
from helpers import rejects
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mmcourse.transformers import shift_matrix, sinusoidal_positions


def test_equals_the_formula_with_sin_on_even_columns():
    table = sinusoidal_positions(30, 12)
    for position in range(30):
        for column in range(12):
            angle = position / 10000 ** ((column - column % 2) / 12)
            wave = math.cos(angle) if column % 2 else math.sin(angle)
            assert table[position, column].item() == pytest.approx(wave, abs=1e-6)
    # Sines first and cosines behind is another convention.
    other = torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)
    assert not torch.allclose(table, other)


@settings(max_examples=25, deadline=None)
@given(position=st.integers(0, 400), offset=st.integers(-100, 100), pairs=st.integers(1, 32))
def test_a_shift_is_one_matrix_for_every_position(position, offset, pairs):
    table = sinusoidal_positions(600, 2 * pairs)
    if position + offset < 0:
        offset = -offset
    moved = shift_matrix(offset, 2 * pairs) @ table[position]
    assert_close(moved, table[position + offset], rtol=1e-5, atol=1e-5)


def test_the_shift_is_a_rotation():
    matrix = shift_matrix(7, 16)
    assert_close(matrix @ matrix.T, torch.eye(16))
    assert_close(shift_matrix(3, 16) @ shift_matrix(4, 16), matrix)
    assert_close(shift_matrix(0, 16), torch.eye(16))


def test_dot_products_depend_on_the_distance_alone():
    table = sinusoidal_positions(64, 32)
    products = table @ table.T
    for distance in range(20):
        diagonal = products.diagonal(distance)
        assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
    assert_close(table.square().sum(1), torch.full((64,), 16.0))


def test_far_positions_are_exact():
    angle = 100_000 / 10000 ** (2 / 8)
    value = sinusoidal_positions(100_001, 8)[-1, 2].item()
    assert value == pytest.approx(math.sin(angle), abs=1e-6)


def test_bad_sizes():
    with rejects("embed_dim must be even and at least 2, got 7"):
        sinusoidal_positions(4, 7)
    with rejects("num_positions must be at least 1, got 0"):
        sinusoidal_positions(0, 8)
    with rejects("got 0"):
        shift_matrix(1, 0)
