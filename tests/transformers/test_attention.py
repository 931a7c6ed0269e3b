"""Attention against PyTorch's, a plain loop, the slide's numbers, and its own laws."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import BadInput, randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from mmcourse.transformers import (
    MultiHeadAttention,
    causal_mask,
    fused_attention,
    merge_heads,
    padding_mask,
    scaled_dot_product_attention,
    split_heads,
)

FORMS = [lambda *args: scaled_dot_product_attention(*args)[0], fused_attention]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def some_mask(*shape: int, seed: int = 0) -> torch.Tensor:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[..., 0] = True
    return mask


def by_loop(q, k, v, mask):
    """Equation 1 with scalars only."""
    output = torch.zeros(len(q), v.shape[1], dtype=torch.float64)
    for i in range(len(q)):
        scores = {
            j: sum(float(a) * float(b) for a, b in zip(q[i], k[j], strict=True))
            / math.sqrt(q.shape[1])
            for j in range(len(k))
            if mask[i, j]
        }
        total = sum(math.exp(score) for score in scores.values())
        for j, score in scores.items():
            output[i] += math.exp(score) / total * v[j].double()
    return output.float()


@pytest.mark.parametrize("attend", FORMS)
def test_equals_a_plain_loop(attend):
    q, k, v = draw(5, 4), draw(6, 4, seed=1), draw(6, 3, seed=2)
    mask = some_mask(5, 6)
    assert_close(attend(q, k, v, mask), by_loop(q, k, v, mask))


@pytest.mark.parametrize("attend", FORMS)
@pytest.mark.parametrize("shape", [(3, 1, 7, 9), (7, 9), (3, 2, 7, 9), (9,), (1, 1, 1, 9)])
def test_equals_pytorch_with_masks(attend, shape):
    q, k, v = draw(3, 2, 7, 8), draw(3, 2, 9, 8, seed=1), draw(3, 2, 9, 5, seed=2)
    mask = some_mask(*shape)
    expected = F.scaled_dot_product_attention(q, k, v, mask.expand(3, 2, 7, 9))
    assert_close(attend(q, k, v, mask), expected)
    wrong = F.scaled_dot_product_attention(q, k, v, (~mask).expand(3, 2, 7, 9))
    assert not torch.allclose(attend(q, k, v, mask), wrong)


def test_both_forms_have_the_same_gradients():
    inputs = [draw(2, 3, 6, 4, seed=s).requires_grad_() for s in range(3)]
    mask = causal_mask(6)
    grads = [torch.autograd.grad(f(*inputs, mask).square().sum(), inputs) for f in FORMS]
    assert_close(grads[0], grads[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_both_forms_agree_in_other_precisions(dtype):
    inputs = [draw(2, 3, 6, 4, seed=s).to(dtype).requires_grad_() for s in range(3)]
    outputs = [attend(*inputs) for attend in FORMS]
    assert outputs[0].dtype == outputs[1].dtype == dtype
    with torch.no_grad():
        assert_close(outputs[0], fused_attention(*inputs), rtol=0.02, atol=0.02)


def test_the_slide_thinking_machines():
    # Scores 112 and 96 with d = 64: q·k₁ = 8·14, q·k₂ = 8·12.
    q = torch.zeros(1, 64)
    q[0, 0] = 1.0
    k = torch.zeros(2, 64)
    k[:, 0] = torch.tensor([112.0, 96.0])
    v = torch.eye(2)
    output, weights = scaled_dot_product_attention(q, k, v)
    assert_close(weights, torch.tensor([[0.880797, 0.119203]]))
    assert_close(output, weights)
    bare = (q @ k.T).double().softmax(-1)
    assert_close(1 - bare[0, 0], bare[0, 1])
    assert bare[0, 0].item() == pytest.approx(0.99999989, abs=5e-9)
    assert bare[0, 1].item() == pytest.approx(1.1e-7, rel=0.03)


@pytest.mark.parametrize("attend", FORMS)
def test_a_row_with_nothing_to_attend_is_zero_and_so_is_its_gradient(attend):
    q, k, v = (draw(2, 2, 4, 8, seed=s).requires_grad_() for s in range(3))
    mask = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    mask[0, 0, 2] = False
    mask[1] = False
    output = attend(q, k, v, mask)
    assert (output[0, :, 2] == 0).all()
    assert (output[1] == 0).all()
    assert (output[0, :, [0, 1, 3]] != 0).all()
    output.sum().backward()
    for leaf in (q, k, v):
        assert leaf.grad.isfinite().all()
        assert (leaf.grad[1] == 0).all()
    assert (q.grad[0, :, 2] == 0).all()


def test_large_scores_stay_finite():
    q = 1e4 * draw(1, 3, 8)
    output, weights = scaled_dot_product_attention(q, q, q, causal_mask(3))
    assert output.isfinite().all()
    assert_close(weights.sum(-1), torch.ones(1, 3))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    tokens=st.integers(1, 9),
    keys=st.integers(1, 9),
    width=st.integers(1, 8),
)
def test_weights_are_a_distribution_over_the_allowed_keys(seed, tokens, keys, width):
    q, k = draw(2, tokens, width, seed=seed), draw(2, keys, width, seed=seed + 1)
    mask = some_mask(2, tokens, keys, seed=seed)
    output, weights = scaled_dot_product_attention(q, k, k, mask)
    assert_close(weights.sum(-1), torch.ones(2, tokens))
    assert (weights[~mask] == 0).all()
    # An average stays inside the range of what it averages.
    assert (output.amax(1) <= k.amax(1) + 1e-5).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), tokens=st.integers(2, 9))
def test_permutation_equivariance(seed, tokens):
    attention = randomise(MultiHeadAttention(8, 2), seed)
    x = draw(2, tokens, 8, seed=seed)
    order = torch.randperm(tokens, generator=torch.Generator().manual_seed(seed))
    assert_close(attention(x[:, order]), attention(x)[:, order])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), tokens=st.integers(2, 7), place=st.integers(0, 6))
def test_causal_output_has_no_gradient_from_later_tokens(seed, tokens, place):
    place = place % tokens
    attention = randomise(MultiHeadAttention(8, 2), seed)
    x = draw(1, tokens, 8, seed=seed).requires_grad_()
    output = attention(x, mask=causal_mask(tokens))
    (grad,) = torch.autograd.grad(output[:, place].sum(), x)
    assert (grad[:, place + 1 :] == 0).all()
    assert (grad[:, : place + 1].abs().sum(-1) > 0).all()


def test_causal_mask_is_aligned_at_the_bottom_right():
    top_left = torch.ones(2, 5, dtype=torch.bool).tril()
    assert causal_mask(2, 5).tolist() == [[True] * 4 + [False], [True] * 5]
    assert not torch.equal(causal_mask(2, 5), top_left)
    assert_close(causal_mask(3), torch.ones(3, 3, dtype=torch.bool).tril())
    # A cache: the last rows of the whole computation.
    q, k, v = (draw(1, 6, 4, seed=s) for s in range(3))
    whole = fused_attention(q, k, v, causal_mask(6))
    assert_close(fused_attention(q[:, 4:], k, v, causal_mask(2, 6)), whole[:, 4:])


def test_padding_mask():
    mask = padding_mask(torch.tensor([3, 0, 1]))
    assert mask.shape == (3, 1, 3)
    assert mask[:, 0].tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    assert padding_mask(torch.tensor([2, 1]), 4).shape == (2, 1, 4)


def test_padding_changes_nothing_for_the_real_tokens():
    attention = randomise(MultiHeadAttention(8, 4))
    x = draw(2, 6, 8)
    alone = attention(x[1:, :4])
    padded = attention(x, mask=padding_mask(torch.tensor([6, 4])))
    assert_close(padded[1:, :4], alone)
    assert not torch.allclose(attention(x)[1:, :4], alone)


def test_heads_split_into_neighbouring_columns_and_merge_back():
    x = draw(2, 5, 12)
    heads = split_heads(x, 3)
    assert heads.shape == (2, 3, 5, 4)
    assert torch.equal(heads[:, 1], x[:, :, 4:8])
    assert torch.equal(merge_heads(heads), x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_self_attention_equals_torch(bias, batch_first):
    theirs = randomise(nn.MultiheadAttention(12, 3, bias=bias, batch_first=batch_first)).eval()
    ours = MultiHeadAttention.from_torch(theirs)
    x, drop = draw(2, 5, 12), ~some_mask(5, 5)
    given = x if batch_first else x.transpose(0, 1)
    expected, weights = theirs(given, given, given, attn_mask=drop, average_attn_weights=False)
    expected = expected if batch_first else expected.transpose(0, 1)
    output, our_weights = ours(x, mask=~drop, return_weights=True)
    assert_close(output, expected, rtol=1e-5, atol=1e-5)
    assert_close(our_weights, weights, rtol=1e-5, atol=1e-5)
    assert_close(ours(x, mask=~drop), expected, rtol=1e-5, atol=1e-5)
    # PyTorch's module says True = drop: handing its mask over as it is would be caught.
    assert not torch.allclose(ours(x, mask=drop), expected, atol=1e-2)


@pytest.mark.parametrize("bias", [True, False])
def test_one_wide_product_equals_three_narrow_ones(bias):
    attention = randomise(MultiHeadAttention(12, 3, bias=bias))
    x = draw(4, 9, 12).requires_grad_()  # 36 tokens ≥ width 12: the wide product
    wide, narrow = attention(x), attention(x, x.clone())
    assert_close(wide, narrow)
    leaves = [x, *attention.parameters()]
    grads = [torch.autograd.grad(y.square().sum(), leaves) for y in (wide, narrow)]
    assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("context_dim", [12, 7])
def test_cross_attention_and_padding_equal_torch(context_dim):
    theirs = nn.MultiheadAttention(12, 4, kdim=context_dim, vdim=context_dim, batch_first=True)
    ours = MultiHeadAttention.from_torch(randomise(theirs).eval())
    x, context = draw(3, 5, 12), draw(3, 6, context_dim, seed=1)
    keep = padding_mask(torch.tensor([6, 2, 4]))
    expected = theirs(x, context, context, key_padding_mask=~keep[:, 0])[0]
    assert_close(ours(x, context, keep), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(ours(x, context, ~keep), expected, atol=1e-2)
    assert not torch.allclose(ours(x, context), expected, atol=1e-2)


def test_a_mask_for_each_head():
    attention = randomise(MultiHeadAttention(8, 2))
    x, mask = draw(3, 4, 8), some_mask(3, 2, 4, 4)
    _, weights = attention(x, mask=mask, return_weights=True)
    assert (weights[~mask] == 0).all()
    assert (weights[mask] > 0).all()


def test_two_masks_join():
    mask = causal_mask(4) & padding_mask(torch.tensor([2, 4]))
    assert mask.shape == (2, 4, 4)
    _, weights = MultiHeadAttention(8, 2)(draw(2, 4, 8), mask=mask, return_weights=True)
    assert (weights[0, :, :, 2:] == 0).all()
    assert (weights[1].triu(1) == 0).all()


plain = unchecked("mmcourse.transformers.attention")


@pytest.mark.parametrize("attend", [plain.scaled_dot_product_attention, plain.fused_attention])
def test_bad_inputs_say_what_is_allowed(attend):
    q = draw(2, 4, 8)
    whole = torch.ones(2, 4, 8, dtype=torch.long)
    with rejects(r"floating dtype, got torch\.int64"):
        attend(whole, whole, whole)
    with rejects("share one floating dtype"):
        attend(q, q.double(), q)
    with rejects(r"same d ≥ 1, got q \(2, 4, 8\), k \(2, 4, 6\)"):
        attend(q, draw(2, 4, 6), q)
    with rejects("same number of tokens"):
        attend(q, q, draw(2, 5, 8))
    with rejects("mask must be bool"):
        attend(q, q, q, torch.zeros(4, 4))
    with rejects(r"broadcast to \(2, 4, 4\), got \(4, 3\)"):
        attend(q, q, q, torch.ones(4, 3, dtype=torch.bool))


def test_bad_modules_say_what_is_allowed():
    with rejects("multiple of num_heads.*got embed_dim 10, num_heads 4"):
        MultiHeadAttention(10, 4)
    with rejects("num_heads 0"):
        MultiHeadAttention(8, 0)
    attention = plain.MultiHeadAttention(8, 2)
    with rejects(r"x must be floating point of shape \(batch, tokens, 8\), got"):
        attention(draw(2, 4, 6))
    with rejects(r"got torch\.int64"):
        attention(torch.ones(2, 4, 8, dtype=torch.long))
    with rejects("context must be"):
        attention(draw(2, 4, 8), draw(2, 4, 6))
    with rejects("mask must be"):
        attention(draw(2, 4, 8), mask=torch.ones(4, dtype=torch.bool))
    with rejects("need kdim = vdim"):
        MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, kdim=4, vdim=6))
    with rejects("add_bias_kv"):
        MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, add_bias_kv=True))


def test_bad_masks_say_what_is_allowed():
    with rejects("got 3 and 2"):
        causal_mask(3, 2)
    with rejects("got 0 and 0"):
        causal_mask(0)
    with rejects("lie in 0 … 2"):
        padding_mask(torch.tensor([3, 1]), 2)
    with rejects("lie in 0"):
        padding_mask(torch.tensor([-1, 1]))
    with rejects("integers of shape"):
        plain.padding_mask(torch.tensor([1.0]))
    with pytest.raises(BadInput):
        padding_mask(torch.tensor([[1]]))
