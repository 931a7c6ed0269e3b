"""The encoder block against PyTorch's, in both orders."""

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects
from torch import nn
from torch.testing import assert_close

from mmcourse.transformers import (
    FeedForward,
    TransformerBlock,
    causal_mask,
    padding_mask,
    sinusoidal_positions,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", [F.relu, F.gelu])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch(norm_first, activation, bias):
    theirs = nn.TransformerEncoderLayer(
        12, 3, 20, 0.1, activation, 1e-3, batch_first=True, norm_first=norm_first, bias=bias
    )
    ours = TransformerBlock.from_torch(randomise(theirs, scale=0.5).eval()).eval()
    x, mask = draw(2, 6, 12), causal_mask(6)
    expected = theirs(x, src_mask=~mask)
    assert_close(ours(x, mask), expected, rtol=2e-5, atol=2e-5)
    # Each wrong convention is caught: the other order, the other mask, no mask.
    ours.norm_first = not norm_first
    assert not torch.allclose(ours(x, mask), expected, atol=1e-2)
    ours.norm_first = norm_first
    assert not torch.allclose(ours(x, ~mask), expected, atol=1e-2)
    assert not torch.allclose(ours(x), expected, atol=1e-2)


def test_equals_torch_with_padding():
    theirs = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    ours = TransformerBlock.from_torch(randomise(theirs).eval()).eval()
    x, keep = draw(2, 5, 8), padding_mask(torch.tensor([5, 3]))
    expected = theirs(x, src_key_padding_mask=~keep[:, 0])
    assert_close(ours(x, keep)[0], expected[0], rtol=2e-5, atol=2e-5)
    assert_close(ours(x, keep)[1, :3], expected[1, :3], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("relu", nn.ReLU()),
        ("gelu", nn.GELU()),
        ("gelu_tanh", nn.GELU(approximate="tanh")),
        ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
    ],
)
def test_feed_forward_works_on_each_token_alone(name, reference):
    network = randomise(FeedForward(6, 10, activation=name), scale=1.0)
    x = draw(2, 4, 6)
    expected = network.contract(reference(network.expand(x)))
    assert_close(network(x), expected)
    assert_close(network(x)[0, 1], network(x[0, 1]))
    assert FeedForward(6).expand.out_features == 24


def test_weights_come_out_on_request():
    block = randomise(TransformerBlock(8, 2, norm_first=True))
    x = draw(3, 5, 8)
    output, weights = block(x, return_weights=True)
    assert_close(output, block(x))
    assert weights.shape == (3, 2, 5, 5)
    assert_close(weights.sum(-1), torch.ones(3, 2, 5))


def test_dropout_only_in_training():
    block = TransformerBlock(8, 2, dropout=0.5)
    x = draw(3, 5, 8)
    assert not torch.allclose(block(x), block(x))
    block.eval()
    assert_close(block(x), block(x))


@pytest.mark.parametrize("norm_first", [True, False])
def test_overfits_one_batch(norm_first):
    torch.manual_seed(0)
    block, head = TransformerBlock(16, 2, norm_first=norm_first), nn.Linear(16, 5)
    x = draw(8, 4, 16) + sinusoidal_positions(4, 16)
    target = torch.randint(5, (8, 4), generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam([*block.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(60):
        loss = F.cross_entropy(head(block(x)).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


def test_bad_sizes():
    with rejects("multiple of num_heads"):
        TransformerBlock(10, 4)
    with rejects(r"dropout must be in \[0, 1\), got 1"):
        TransformerBlock(8, 2, dropout=1.0)
    with rejects(r"activation must be one of .*'gelu_tanh'.*, got 'tanh'"):
        FeedForward(8, activation="tanh")
    with rejects("at least 1, got 8 and 0"):
        FeedForward(8, 0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=torch.tanh)
    with rejects("activation must be F.relu or F.gelu"):
        TransformerBlock.from_torch(layer)
