"""Values cross exactly, and bytes that are not values are refused."""

import collections
import json
import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.grading.values import BadValue, dumps, loads

Pair = collections.namedtuple("Pair", ["first", "second"])


def no_handle(number: int, kind: str) -> None:
    raise AssertionError("no handle was sent")


def cross(value):
    return loads(dumps(value), no_handle)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(max_size=20) | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(plain)
def test_plain_values_cross_unchanged(value):
    got = cross(value)
    assert got == value
    assert repr(got) == repr(value)


@pytest.mark.parametrize(
    "dtype",
    [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32,
     torch.float64, torch.complex64],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (1, 2, 2)])
def test_tensors_cross_bit_for_bit(dtype, shape):
    tensor = torch.ones(shape).mul(3).to(dtype)
    got = cross(tensor)
    assert got.dtype == dtype
    assert got.shape == tensor.shape
    assert torch.equal(got, tensor)


def test_views_parameters_and_special_numbers_cross():
    base = torch.tensor([[1.0, math.nan, -0.0], [math.inf, -math.inf, 1e-45]])
    for tensor in (base.T, base[:, ::2], base.expand(3, 2, 3), torch.nn.Parameter(base)):
        got = cross(tensor)
        assert type(got) is torch.Tensor
        assert not got.requires_grad
        assert torch.equal(got.nan_to_num(), tensor.detach().nan_to_num())
    assert math.copysign(1, cross(-0.0)) == -1
    assert math.isnan(cross(math.nan))


def test_what_comes_back_shares_no_memory():
    tensor = torch.zeros(3)
    cross(tensor).fill_(1)
    assert torch.equal(tensor, torch.zeros(3))


def test_numpy_named_tuples_and_torch_objects_cross():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(cross(array), array)
    assert type(cross(np.float64(0.5))) is np.float64
    pair = cross(Pair(1, torch.ones(2)))
    assert pair.first == 1
    assert torch.equal(pair.second, torch.ones(2))
    assert cross(torch.float16) is torch.float16
    assert cross(torch.Size([2, 3])) == (2, 3)
    generator = torch.Generator().manual_seed(7)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(7))
    assert torch.equal(torch.rand(3, generator=cross(generator)), expected)


def test_an_opaque_object_becomes_a_handle_or_is_refused():
    kept = []
    data = dumps([torch.nn.ReLU()], lambda value: (kept.append(value) or 0, "ReLU"))
    assert loads(data, lambda number, kind: (number, kind)) == [(0, "ReLU")]
    with pytest.raises(BadValue, match=r"student\.run"):
        dumps(torch.nn.ReLU())


def test_too_deep_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(BadValue, match="too deeply"):
        dumps(value)


def test_a_bool_of_any_byte_is_a_bool():
    data = dumps(torch.tensor([True, False]))
    got = loads(data[:-2] + b"\x07\x00", no_handle)
    assert torch.equal(got, torch.tensor([True, False]))
    assert got.sum() == 1


@pytest.mark.parametrize(
    "tree",
    [
        {"T": ["float32", [2], 0]}, {"T": ["float32", [-1], 0]}, {"T": ["object", [1], 0]},
        {"T": ["float32", [10**12], 0]}, {"a": ["O", [1], 0]}, {"n": ["x; y", [], []]}, {"i": "zz"},
        {"l": [{"b": 0}, {"b": 0}]}, {"a": ["<f4", [0, 2**40], 1]}, {"l": [None] * 200_000},
        {"l": [{"n": [f"x{i}", [], []]} for i in range(400)]}, {"s": [{"f": "nan"}] * 50_000},
        {"n": ["x", [f"a{i}" for i in range(300)], []]}, {"d": [[1], 2]},
        {"d": [1]}, {"b": 9}, {"f": 1}, {"?": 1}, [1], {"l": 3}, {"y": "Tensor"},
    ],
)  # fmt: skip
def test_hostile_headers_are_refused(tree):
    header = json.dumps({"tree": tree, "sizes": [4, 0]}).encode()
    with pytest.raises(BadValue):
        loads(struct.pack("<I", len(header)) + header + b"1234", no_handle)


def test_a_header_too_long_to_be_a_value_is_not_parsed():
    text = json.dumps({"tree": "x" * 17 * 2**20, "sizes": []}).encode()
    with pytest.raises(BadValue, match="too many parts"):
        loads(struct.pack("<I", len(text)) + text, no_handle)
    with pytest.raises(BadValue, match="too many parts"):
        dumps("x" * 17 * 2**20)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_noise_is_refused(data):
    with pytest.raises(BadValue):
        loads(data, no_handle)
