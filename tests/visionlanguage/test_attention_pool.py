"""Attention pooling against open_clip's."""

import pytest
import torch
from helpers import BadInput, randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.modified_resnet import AttentionPool2d
from safetensors.torch import load_file, save_file

from mmcourse.visionlanguage import AttentionPool

plain = unchecked("mmcourse.visionlanguage.attention_pool")


def features(side: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(5, 12, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("output", [None, 7])
def test_it_equals_open_clip(output: int | None, tmp_path) -> None:
    reference = randomise(AttentionPool2d(3, 12, 4, output)).eval()
    save_file(reference.state_dict(), tmp_path / "pool.safetensors")
    ours = AttentionPool.from_open_clip(load_file(tmp_path / "pool.safetensors"), num_heads=4)
    x = features().requires_grad_()
    theirs = reference(x)
    torch.testing.assert_close(ours(x), theirs, rtol=1e-5, atol=1e-5)
    wanted = torch.autograd.grad(theirs.square().sum(), x)[0]
    found = torch.autograd.grad(ours(x).square().sum(), x)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    wrong = AttentionPool.from_open_clip(reference.state_dict(), num_heads=2)
    assert (wrong(x) - theirs).abs().max() > 1e-3  # the number of heads matters
    assert sum(p.numel() for p in ours.parameters()) == sum(
        p.numel() for p in reference.parameters()
    )


def test_against_the_formula_one_head() -> None:
    pool, x = randomise(AttentionPool(2, 6, 1)), torch.randn(1, 6, 2, 2)
    places = [x[0, :, i, j] for i in range(2) for j in range(2)]
    tokens = torch.stack([torch.stack(places).mean(0), *places]) + pool.positions
    part = pool.attention
    q, k, v = part.query(tokens[0]), part.key(tokens), part.value(tokens)
    weights = (k @ q / 6**0.5).softmax(0)
    pooled, found = pool(x, return_weights=True)
    torch.testing.assert_close(pooled[0], pool.output(weights @ v))
    torch.testing.assert_close(found[0, 0], weights)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(0, 100))
def test_weights_are_shares_and_places_matter(side: int, seed: int) -> None:
    pool, x = randomise(AttentionPool(side, 12, 3), seed), features(side, seed)
    pooled, weights = pool(x, return_weights=True)
    assert weights.shape == (5, 3, side * side + 1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, 3))
    torch.testing.assert_close(pooled, pool(x))
    if side > 1:  # unlike a mean it knows where a feature stood
        assert (pool(x.flip(-1)) - pooled).abs().max() > 1e-4


def test_bad_input() -> None:
    pool = plain.AttentionPool(3, 12, 4)
    for wrong in (torch.zeros(2, 12, 3, 4), torch.zeros(2, 11, 3, 3), torch.zeros(12, 3, 3)):
        with rejects("features must be float"):
            pool(wrong)
        with pytest.raises(BadInput):
            AttentionPool(3, 12, 4)(wrong)
    with rejects("features must be float"):
        pool(torch.zeros(2, 12, 3, 3, dtype=torch.long))
    with rejects("at least 1"):
        plain.AttentionPool(0, 12, 4)
    with rejects("multiple of num_heads"):
        plain.AttentionPool(3, 12, 5)
    state = AttentionPool2d(3, 12, 4).state_dict()
    state.pop("q_proj.bias")
    with rejects("need the weights"):
        plain.AttentionPool.from_open_clip(state, 4)
    ours = plain.AttentionPool.from_open_clip(AttentionPool2d(1, 12, 4).state_dict(), 4)
    assert torch.isfinite(ours(torch.zeros(1, 12, 1, 1))).all()
