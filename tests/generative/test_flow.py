"""The layers and the flow against autograd's Jacobian, equations by hand, and libraries."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform, SigmoidTransform

from mmcourse.generative import (
    ActNorm,
    AffineCoupling,
    Flow,
    Invertible,
    InvertibleConv1x1,
    Logit,
    RealNVP,
    Squeeze,
    check_invertible,
    checkerboard,
    half_channels,
)

plain = unchecked("mmcourse.generative.flow")
bare = unchecked("mmcourse.generative.flow_layers")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def random_flow(shape: tuple[int, ...], seed: int = 0, **options) -> RealNVP:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    flow = RealNVP(shape, **{"layers": 4, "width": 8, **options})
    randomise(flow, seed, 0.2 if len(shape) == 1 else 0.1)
    for layer in flow.modules():
        if isinstance(layer, ActNorm):  # as after the first batch
            layer.ready.fill_(True)
        if isinstance(layer, InvertibleConv1x1):  # small weights alone are nearly singular
            layer.weight.data += torch.eye(len(layer.weight))
    return flow.double().eval()


def brute_log_det(f, x: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """log |det| of the whole Jacobian, item by item."""
    found = []
    for item in x.split(1):
        jacobian = torch.autograd.functional.jacobian(lambda v: f(v)[0], item)
        found.append(torch.linalg.slogdet(jacobian.reshape(x[0].numel(), -1)).logabsdet)
    return torch.stack(found)


@pytest.mark.parametrize("shape", [(2,), (5,), (1, 4, 4), (3, 2, 4)])
@pytest.mark.parametrize("limit", [None, 0.7])
def test_log_det_and_inverse_are_exact(shape: tuple[int, ...], limit: float | None) -> None:
    flow = random_flow(shape, limit=limit)
    x = normal(3, *shape)
    z, log_det = flow(x)
    torch.testing.assert_close(log_det, brute_log_det(flow, x))
    assert log_det.abs().min() > 1e-3
    assert log_det.std() > 1e-3
    torch.testing.assert_close(flow.inverse(z), x)
    back = flow.inverse(normal(3, *flow.latent_shape, seed=1))
    torch.testing.assert_close(flow(back)[0], normal(3, *flow.latent_shape, seed=1))
    gauss = Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(x), gauss + log_det)
    assert not torch.allclose(flow.log_prob(x), gauss - log_det)  # the other direction's sign


def test_from_the_noise_side_the_sum_has_a_minus_sign() -> None:
    flow = random_flow((1, 4, 4))
    z = normal(2, *flow.latent_shape)
    states = flow.path(z)
    assert len(states) == len(flow.layers) + 1
    torch.testing.assert_close(states[0], z)
    x = states[-1]
    stretch = torch.zeros(2).double()
    for layer, state in zip(reversed(flow.layers), states[:-1], strict=True):
        stretch += brute_log_det(lambda v, layer=layer: (layer.inverse(v),), state)
    expected = Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1) - stretch
    torch.testing.assert_close(flow.log_prob(x), expected)


def test_densities_integrate_to_one() -> None:
    flow = random_flow((2,))
    axis = torch.linspace(-9, 9, 240).double()
    grid = torch.cartesian_prod(axis, axis)
    mass = flow.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=2e-3)


@given(seed=st.integers(0, 1000), size=st.floats(0.0, 3.0), features=st.integers(2, 6))
@settings(max_examples=25)
def test_the_round_trip_is_exact_in_float32(seed: int, size: float, features: int) -> None:
    flow = random_flow((features,), seed).float()
    x = normal(4, features, seed=seed).float() * size
    z, _ = flow(x)
    torch.testing.assert_close(flow.inverse(z), x, rtol=1e-4, atol=1e-5)
    assert check_invertible(flow, x) < 1e-3


def test_coupling_by_hand() -> None:
    """y_a = x_a; y_b = x_b exp(s) + t with s = 0.5 x_a, t = 3 x_a − 1."""
    net = nn.Linear(2, 4)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.copy_(torch.tensor([9.0, 0.0, 9.0, -1.0]))  # for the kept number: never used
        net.weight[1, 0], net.weight[3, 0] = 0.5, 3.0
        net.weight[:, 1] = 100.0  # what is changed must not reach the network
    layer = AffineCoupling(torch.tensor([True, False]), net)
    y, log_det = layer(torch.tensor([[2.0, 5.0]]))
    torch.testing.assert_close(y, torch.tensor([[2.0, 5 * math.e + 5]]))
    torch.testing.assert_close(log_det, torch.tensor([1.0]))
    torch.testing.assert_close(layer.inverse(y), torch.tensor([[2.0, 5.0]]))


def test_half_precision_around_a_flow_does_not_reach_it() -> None:
    flow = random_flow((1, 4, 4)).float()
    x = normal(3, 1, 4, 4).float()
    with torch.autocast("cpu", torch.bfloat16):
        log_prob, back = flow.log_prob(x), flow.inverse(flow(x)[0])
    assert torch.equal(log_prob, flow.log_prob(x))
    torch.testing.assert_close(back, x, rtol=1e-4, atol=1e-5)


def test_coupling_equals_torchs_affine_transform() -> None:
    torch.manual_seed(0)
    net = randomise(nn.Linear(2, 4)).double()
    layer, x = AffineCoupling(torch.tensor([True, False]), net), normal(5, 2)
    s, t = (part[:, 1] for part in net(x * torch.tensor([1.0, 0.0])).chunk(2, dim=1))
    theirs = AffineTransform(t, s.exp())
    y, log_det = layer(x)
    torch.testing.assert_close(y[:, 1], theirs(x[:, 1]))
    torch.testing.assert_close(log_det, theirs.log_abs_det_jacobian(x[:, 1], y[:, 1]))


def test_limited_scales_stay_in_their_limit_and_are_gentle_near_zero() -> None:
    net = nn.Linear(2, 4).double()
    layer = AffineCoupling(torch.tensor([True, False]), net, limit=0.5)
    big = torch.tensor([[1e4, 0.0], [-1e4, 0.0]]).double()
    assert layer(big)[1].abs().max() <= 0.5
    tiny = torch.tensor(1e-4).double()
    with torch.no_grad():
        net.weight.zero_()
        net.bias.fill_(tiny)
    torch.testing.assert_close(layer(big)[1], tiny.expand(2), rtol=1e-6, atol=0)


def test_masks() -> None:
    assert checkerboard(2, 3).tolist() == [[[True, False, True], [False, True, False]]]
    assert torch.equal(checkerboard(3, 3, first=False), ~checkerboard(3, 3))
    assert half_channels(4)[:, 0, 0].tolist() == [True, True, False, False]
    assert torch.equal(half_channels(5, first=False), ~half_channels(5))


def test_squeeze_equals_pixel_unshuffle() -> None:
    x = normal(2, 3, 4, 6)
    y, log_det = Squeeze()(x)
    torch.testing.assert_close(y, F.pixel_unshuffle(x, 2))
    assert torch.equal(log_det, torch.zeros(2).double())
    assert torch.equal(Squeeze().inverse(y), x)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 2, 2)])
def test_the_first_batch_sets_actnorm_and_only_in_training(shape: tuple[int, ...]) -> None:
    layer, x = ActNorm(3).double(), normal(*shape) * 5 + 2
    torch.testing.assert_close(layer.eval()(x)[0], x)
    y, log_det = layer.train()(x)
    rows = y.transpose(0, 1).flatten(1)
    torch.testing.assert_close(rows.mean(1), torch.zeros(3).double())
    torch.testing.assert_close(rows.std(1), torch.ones(3).double())
    assert not torch.allclose(rows.std(1, correction=0), torch.ones(3).double())
    torch.testing.assert_close(log_det, brute_log_det(layer, x))
    torch.testing.assert_close(layer.inverse(y), x)
    again, _ = layer(x * 7)
    assert again.std() > 3  # a second batch changes nothing
    copy = ActNorm(3).double().train()
    copy.load_state_dict(layer.state_dict())
    torch.testing.assert_close(copy(x * 7)[0], again)  # nor does a first one after loading


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2, 4)])
def test_conv1x1(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer, x = InvertibleConv1x1(3).double(), normal(*shape)
    torch.testing.assert_close(
        layer.weight @ layer.weight.T, torch.eye(3).double(), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(layer(x)[1], torch.zeros(shape[0]).double(), atol=1e-5, rtol=0)
    randomise(layer, 1)
    y, log_det = layer(x)
    pixels = x.reshape(*shape[:2], -1)
    expected = F.conv1d(pixels, layer.weight[..., None]).reshape(shape)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(log_det, brute_log_det(layer, x))
    torch.testing.assert_close(layer.inverse(y), x)
    other = F.conv1d(pixels, layer.weight.inverse()[..., None]).reshape(shape)
    assert not torch.allclose(y, other)  # normflows' forward pass
    torch.testing.assert_close(layer.inverse(x), other)


def test_logit_equals_torchs_sigmoid_backwards() -> None:
    x = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    layer = Logit(0.05)
    y, log_det = layer(x)
    theirs = SigmoidTransform().inv
    p = 0.05 + 0.9 * x
    torch.testing.assert_close(y, theirs(p))
    each = theirs.log_abs_det_jacobian(p, y) + math.log(0.9)
    torch.testing.assert_close(log_det, each.flatten(1).sum(1))
    torch.testing.assert_close(log_det, brute_log_det(layer, x))
    torch.testing.assert_close(layer.inverse(y), x)
    assert layer(torch.tensor([[0.0, 1.0]]))[0].isfinite().all()


def test_log_prob_of_a_gaussian_in_closed_form() -> None:
    """Actnorm alone is a Gaussian: x = (z − shift) / scale."""
    layer = ActNorm(2).double().eval()
    randomise(layer)
    flow, x = Flow([layer], (2,)), normal(5, 2)
    std = (-layer.log_scale).exp()
    exact = TransformedDistribution(
        Normal(torch.zeros(2).double(), 1.0), [AffineTransform(-layer.shift * std, std)]
    )
    torch.testing.assert_close(flow.log_prob(x), exact.log_prob(x).sum(1))


def test_samples_have_the_flows_distribution(generator: torch.Generator) -> None:
    layer = ActNorm(2).eval()
    randomise(layer, scale=1.0)
    flow = Flow([layer], (2,))
    x = flow.sample(20_000, generator=generator)
    std = (-layer.log_scale).exp()
    torch.testing.assert_close(x.std(0), std.detach(), rtol=0.03, atol=0)
    torch.testing.assert_close(x.mean(0), (-layer.shift * std).detach(), rtol=0, atol=0.05)
    still = flow.sample(2, generator=generator, temperature=0.0)
    torch.testing.assert_close(still[0], (-layer.shift * std).detach())
    pictures = RealNVP((1, 4, 4), layers=2, width=4, alpha=0.05).eval()
    assert pictures.sample(3, generator=generator).shape == (3, 1, 4, 4)


def test_a_new_flow_preserves_volume_but_for_actnorm() -> None:
    torch.manual_seed(0)
    flow = RealNVP((1, 4, 4), layers=4, width=8).eval()
    x = normal(3, 1, 4, 4).float()
    torch.testing.assert_close(flow(x)[1], torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(flow(x)[0].square().sum(), x.square().sum())
    flow.train()
    z, _ = flow(x)
    assert z.std().item() == pytest.approx(1, abs=0.15)


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    x = normal(32, 2).float()
    x[:, 1] = x[:, 0].square() + 0.1 * x[:, 1]  # a thin parabola
    flow = RealNVP((2,), layers=2, width=16)
    losses = []
    for step in range(100):
        loss = -flow.log_prob(x).mean()
        gradients = torch.autograd.grad(loss, list(flow.parameters()))
        with torch.no_grad():  # by the signs alone, ever more slowly
            for weight, gradient in zip(flow.parameters(), gradients, strict=True):
                weight -= 0.03 * 0.97**step * gradient.sign()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1
    assert check_invertible(flow.eval(), x) < 1e-4


class Lossy(Invertible):
    """Not a bijection: the sign is lost."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.abs(), x.new_zeros(len(x))

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        return y


def test_what_cannot_be_undone_is_named() -> None:
    x = normal(4, 2)
    with rejects(r"layer 1 \(Lossy\) cannot be undone"):
        check_invertible(Flow([ActNorm(2).eval(), Lossy()], (2,)), x)
    assert check_invertible(Flow([Lossy()], (2,)), x.abs()) == 0
    crushed = AffineCoupling(torch.tensor([True, False]), nn.Linear(2, 4))
    with torch.no_grad():
        crushed.net.bias.copy_(torch.tensor([0.0, -30.0, 0.0, 1.0]))
    with rejects("layer 0"):
        check_invertible(Flow([crushed], (2,)), x.float())
    singular = InvertibleConv1x1(2)
    with torch.no_grad():
        singular.weight.copy_(torch.ones(2, 2))
    for call in (singular, singular.inverse):
        with rejects("cannot be inverted"):
            call(torch.ones(1, 2))


def test_nan_and_infinity_are_named() -> None:
    flow = random_flow((2,))
    flow.layers[3].net[-1].bias.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"layer 3 \(AffineCoupling\)"):
        flow(normal(2, 2))
    with pytest.raises(FloatingPointError, match="layer 3"):
        flow.inverse(normal(2, 2))
    huge = Flow([ActNorm(2).eval()], (2,))
    huge.layers[0].log_scale.data.fill_(1e3)
    with pytest.raises(FloatingPointError, match="layer 0"):
        huge.log_prob(torch.ones(1, 2))


def test_bad_input() -> None:
    flow = plain.RealNVP((2,), layers=2, width=4)
    with rejects(r"shape \(2,\)"):
        flow(torch.zeros(3, 4))
    with rejects(r"shape \(2,\)"):
        flow.inverse(torch.zeros(3, 4))
    with rejects("finite"):
        flow.log_prob(torch.tensor([[0.0, float("nan")]]))
    with rejects("finite"):
        flow.log_prob(torch.zeros(2, 2, dtype=torch.long))
    with rejects("count"):
        flow.sample(0, generator=torch.Generator())
    with rejects("temperature"):
        flow.sample(1, generator=torch.Generator(), temperature=-1.0)
    for shape in ((1,), (1, 3, 4), (2, 2)):
        with rejects("shape must be"):
            plain.RealNVP(shape)
    with rejects("2 layers"):
        plain.RealNVP(layers=1)
    with rejects("at least one layer"):
        plain.Flow([], (2,))
    with rejects("as much noise as data"):
        plain.Flow([bare.Squeeze()], (1, 4, 4), latent_shape=(1, 2, 2))


def test_bad_layers() -> None:
    net = nn.Linear(2, 4)
    for mask in (torch.ones(2).bool(), torch.zeros(2).bool()):
        with rejects("True for some"):
            bare.AffineCoupling(mask, net)
    with rejects("limit"):
        bare.AffineCoupling(torch.tensor([True, False]), net, limit=0.0)
    with rejects(r"s and t, \(1, 4\), got \(1, 2\)"):
        bare.AffineCoupling(torch.tensor([True, False]), nn.Linear(2, 2))(torch.ones(1, 2))
    with rejects("even h"):
        bare.Squeeze()(torch.zeros(1, 1, 3, 4))
    with rejects(r"vary in every channel, not so in \[1\]"):
        bare.ActNorm(2).train()(torch.tensor([[1.0, 4.0], [2.0, 4.0]]))
    with rejects("vary in every channel"):
        bare.ActNorm(2).train()(torch.ones(1, 2))
    with rejects("alpha"):
        bare.Logit(0.5)
    with rejects(r"\[0, 1\]"):
        bare.Logit()(torch.tensor([[1.5]]))
    with rejects("2 pixels"):
        bare.checkerboard(1, 1)
    with rejects("2 channels"):
        bare.half_channels(1)
