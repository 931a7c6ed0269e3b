"""The layers of a flow against normflows and nflows, with the same weights."""

import normflows as nf
import pytest
import torch
from helpers import randomise
from nflows.transforms import AffineCouplingTransform, LULinear
from torch import Tensor, nn

from mmcourse.generative import (
    ActNorm,
    AffineCoupling,
    Flow,
    InvertibleConv1x1,
    Squeeze,
    half_channels,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def network(channels: int, outputs: int, flat: bool, seed: int = 0) -> nn.Module:
    net = nn.Linear(channels, outputs) if flat else nn.Conv2d(channels, outputs, 3, padding=1)
    return randomise(net, seed, 0.3).double()


class Part(nn.Module):
    """One output of a net of two, as normflows takes s and t apart."""

    def __init__(self, net: nn.Module, index: int):
        super().__init__()
        self.net, self.index = net, index

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).chunk(2, dim=1)[self.index]


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_coupling_equals_normflows_masked_affine_flow(shape: tuple[int, ...]) -> None:
    net = network(4, 8, len(shape) == 1)
    mask = torch.tensor([True, False, True, False]) if len(shape) == 1 else half_channels(4)
    ours, x = AffineCoupling(mask, net), normal(3, *shape)
    theirs = nf.flows.MaskedAffineFlow(mask.expand(shape).double(), t=Part(net, 1), s=Part(net, 0))
    y, log_det = ours(x)
    expected, expected_log_det = theirs(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(log_det, expected_log_det)
    torch.testing.assert_close(ours.inverse(y), theirs.inverse(expected)[0])
    turned = AffineCoupling(~mask.expand(shape), net)
    assert not torch.allclose(turned(x)[0], expected)


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_coupling_equals_normflows_affine_coupling(shape: tuple[int, ...]) -> None:
    """There shift and scale take turns in the output of a net that sees one half only."""
    inner = network(2, 4, len(shape) == 1)

    class Ours(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            both = inner(x[:, :2])
            s, t = both[:, 1::2], both[:, 0::2]
            return torch.cat([s.repeat(1, 2, *[1] * (x.ndim - 2)) for s in (s, t)], dim=1)

    mask = torch.tensor([True, True, False, False]).reshape(4, *[1] * (len(shape) - 1))
    x = normal(3, *shape)
    y, log_det = AffineCoupling(mask, Ours())(x)
    theirs = nf.flows.AffineCoupling(inner, scale_map="exp")
    (kept, changed), expected_log_det = theirs([x[:, :2], x[:, 2:]])
    torch.testing.assert_close(y, torch.cat([kept, changed], dim=1))
    torch.testing.assert_close(log_det, expected_log_det)


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_coupling_equals_nflows_with_its_scale(shape: tuple[int, ...]) -> None:
    """There True = changed, t comes before the scale, and the scale is sigmoid(u + 2) + 1e-3."""
    inner = network(2, 4, len(shape) == 1)

    class Ours(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            t, u = inner(x[:, [0, 2]]).chunk(2, dim=1)
            s = (torch.sigmoid(u + 2) + 1e-3).log()
            return torch.cat([v.repeat_interleave(2, dim=1) for v in (s, t)], dim=1)

    class Create(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return inner(x)

    changed = torch.tensor([False, True, False, True])
    theirs = AffineCouplingTransform(changed, lambda *sizes: Create())
    ours = AffineCoupling(~changed.reshape(4, *[1] * (len(shape) - 1)), Ours())
    x = normal(3, *shape)
    y, log_det = ours(x)
    expected, expected_log_det = theirs(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(log_det, expected_log_det)
    torch.testing.assert_close(ours.inverse(y), theirs.inverse(expected)[0])


def test_conv1x1_is_the_inverse_pass_of_normflows() -> None:
    theirs = nf.flows.Invertible1x1Conv(3).double()
    theirs.W.data = normal(3, 3) + 2 * torch.eye(3)
    ours = InvertibleConv1x1(3).double()
    ours.weight.data = theirs.W.data.clone()
    x = normal(2, 3, 4, 5)
    y, log_det = ours(x)
    expected, expected_log_det = theirs.inverse(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(log_det, expected_log_det.expand(2))
    torch.testing.assert_close(ours.inverse(y), theirs(y)[0])
    assert not torch.allclose(y, theirs(x)[0])


def test_conv1x1_of_vectors_equals_nflows_linear_map() -> None:
    torch.manual_seed(0)
    theirs = randomise(LULinear(4), 1, 0.5).double()
    ours = InvertibleConv1x1(4).double()
    ours.weight.data = theirs.weight().detach()
    x = normal(3, 4)
    y, log_det = ours(x)
    expected, expected_log_det = theirs(x)
    torch.testing.assert_close(y, expected - theirs.bias)
    torch.testing.assert_close(log_det, expected_log_det)


def test_actnorm_equals_normflows_from_the_first_batch_on() -> None:
    """It adds 1e-6 to the standard deviation, which is the unbiased one there too."""
    first, later = 3 * normal(5, 2, 4, 3) + 1, normal(2, 2, 4, 3, seed=1)
    theirs, ours = nf.flows.ActNorm((2, 1, 1)).double(), ActNorm(2).double()
    for x in (first, later):
        y, log_det = ours(x)
        expected, expected_log_det = theirs(x)
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(log_det, expected_log_det.expand(len(x)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.inverse(later), theirs.inverse(later)[0], rtol=1e-5, atol=1e-5)


def test_squeeze_holds_the_channels_of_normflows_in_another_order() -> None:
    """Theirs counts the place in the block first, ours, like pixel_unshuffle, the channel."""
    x = normal(2, 3, 4, 6)
    ours, _ = Squeeze()(x)
    theirs, _ = nf.flows.Squeeze().inverse(x)
    found = {tuple(c.flatten().tolist()) for c in ours.transpose(0, 1)}
    assert found == {tuple(c.flatten().tolist()) for c in theirs.transpose(0, 1)}


def test_the_likelihood_of_a_chain_equals_normflows() -> None:
    """Its flows run from noise to data, so its chain is ours backwards."""
    nets = [network(2, 4, flat=True, seed=k) for k in range(3)]
    masks = [torch.tensor([k % 2 == 0, k % 2 == 1]) for k in range(3)]
    ours = Flow([AffineCoupling(m, n) for m, n in zip(masks, nets, strict=True)], (2,)).double()
    flows = [
        nf.flows.Reverse(nf.flows.MaskedAffineFlow(m.double(), t=Part(n, 1), s=Part(n, 0)))
        for m, n in zip(masks[::-1], nets[::-1], strict=True)
    ]
    theirs = nf.NormalizingFlow(nf.distributions.DiagGaussian(2, trainable=False), flows).double()
    x = normal(6, 2)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
    torch.testing.assert_close(ours(x)[0], theirs.inverse(x))
