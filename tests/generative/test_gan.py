"""The game in closed form, losses against torch, penalties against functions of known slope."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmcourse.generative import (
    DCGANDiscriminator,
    DCGANGenerator,
    count_modes,
    critic_generator_loss,
    critic_loss,
    discriminator_loss,
    game_value,
    gradient_penalty,
    hinge_loss,
    jensen_shannon,
    non_saturating_loss,
    optimal_discriminator,
    r1_penalty,
    saturating_loss,
)

plain = unchecked("mmcourse.generative.gan")
seeds = st.integers(0, 10**6)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def distribution(states: int, seed: int) -> torch.Tensor:
    """A random distribution in which some states are impossible."""
    p = normal(states, seed=seed).double().relu()
    p[seed % states] += 0.1
    return p / p.sum()


# ---- the game ----


@settings(max_examples=25)
@given(seed=seeds, states=st.integers(2, 12))
def test_nothing_beats_the_optimal_discriminator(seed: int, states: int) -> None:
    p, q = distribution(states, seed), distribution(states, seed + 1)
    best = game_value(optimal_discriminator(p, q), p, q)
    d = torch.rand(states, generator=torch.Generator().manual_seed(seed)).double()
    assert game_value(d, p, q) <= best + 1e-12
    close = (optimal_discriminator(p, q) + 0.01 * (d - 0.5)).clamp(0, 1)
    assert game_value(close, p, q) <= best + 1e-12


@settings(max_examples=25)
@given(seed=seeds, states=st.integers(2, 12))
def test_at_the_optimum_the_game_is_the_jensen_shannon_distance(seed: int, states: int) -> None:
    p, q = distribution(states, seed), distribution(states, seed + 1)
    distance = jensen_shannon(p, q)
    value = game_value(optimal_discriminator(p, q), p, q)
    torch.testing.assert_close(value, 2 * distance - math.log(4))
    middle = (p + q) / 2
    by_hand = sum(
        0.5 * float(each[s]) * math.log(float(each[s] / middle[s]))
        for each in (p, q)
        for s in range(states)
        if each[s] > 0
    )
    assert distance.item() == pytest.approx(by_hand, abs=1e-12)
    torch.testing.assert_close(distance, jensen_shannon(q, p))
    assert -1e-12 <= distance.item() <= math.log(2) + 1e-12


def test_the_ends_of_the_distance() -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.25, 0.75])
    assert jensen_shannon(p, q).item() == pytest.approx(math.log(2))
    assert jensen_shannon(p, p).item() == pytest.approx(0, abs=1e-7)
    assert optimal_discriminator(p, q).tolist() == [1, 1, 0, 0]
    assert optimal_discriminator(p, p).tolist() == [0.5] * 4  # without mass, too
    assert game_value(torch.tensor([0.0, 1, 1, 1]), p, q).item() == -math.inf


def test_a_trained_discriminator_finds_the_optimum() -> None:
    p, q = distribution(6, 3), distribution(6, 4) + 1e-3
    p = (p + 1e-2) / (p + 1e-2).sum()
    q = q / q.sum()
    logits = torch.zeros(6, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -game_value(logits.sigmoid(), p, q)
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(
        logits.sigmoid().detach(), optimal_discriminator(p, q), atol=1e-3, rtol=0
    )


# ---- losses ----


@settings(max_examples=25)
@given(seed=seeds, reals=st.integers(1, 6), fakes=st.integers(1, 6), scale=st.floats(0, 6))
def test_losses_are_those_of_the_papers(seed: int, reals: int, fakes: int, scale: float) -> None:
    real, fake = normal(reals, seed=seed) * scale, normal(fakes, seed=seed + 1) * scale
    bce = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones_like, torch.zeros_like
    close = torch.testing.assert_close
    close(discriminator_loss(real, fake), bce(real, ones(real)) + bce(fake, zeros(fake)))
    close(non_saturating_loss(fake), bce(fake, ones(fake)))
    close(saturating_loss(fake), -bce(fake, zeros(fake)))
    hinge = sum(max(0.0, 1 - float(l)) for l in real) / reals
    hinge += sum(max(0.0, 1 + float(l)) for l in fake) / fakes
    assert hinge_loss(real, fake).item() == pytest.approx(hinge, abs=1e-5)
    close(critic_loss(real, fake), fake.mean() - real.mean())
    close(critic_generator_loss(fake), -fake.mean())


def test_a_guessing_discriminator() -> None:
    logits = torch.zeros(5)
    assert discriminator_loss(logits, logits).item() == pytest.approx(2 * math.log(2))
    assert saturating_loss(logits).item() == pytest.approx(-math.log(2))
    assert non_saturating_loss(logits).item() == pytest.approx(math.log(2))


def test_where_the_discriminator_is_sure_only_one_loss_has_a_slope() -> None:
    for logit in (-20.0, -3.0, 0.0, 3.0):
        slopes = []
        for loss in (saturating_loss, non_saturating_loss):
            l = torch.tensor([logit], requires_grad=True)
            slopes.append(torch.autograd.grad(loss(l), l)[0].item())
        sigma = 1 / (1 + math.exp(-logit))
        assert slopes == pytest.approx([-sigma, sigma - 1], rel=1e-4, abs=1e-12)


def test_large_logits_stay_finite() -> None:
    """log(1 − σ(l)) of probabilities would be −∞ from l = 17 on."""
    big = torch.tensor([100.0])
    assert (1 - big.sigmoid()).log().item() == -math.inf
    assert saturating_loss(big).item() == -100
    assert non_saturating_loss(-big).item() == 100
    assert discriminator_loss(-big, big).item() == 200


# ---- penalties ----


def test_penalties_of_a_linear_function() -> None:
    weight = normal(12).requires_grad_()
    real, fake = normal(5, 3, 2, 2, seed=1), normal(5, 3, 2, 2, seed=2)

    def linear(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ weight + 7

    square = weight.detach().square().sum()
    penalty = r1_penalty(linear, real, gamma=3.0)
    torch.testing.assert_close(penalty.detach(), 1.5 * square)  # γ/2, not γ; a sum, no mean
    (slope,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(slope, 3 * weight.detach())

    mix = torch.rand(5, generator=torch.Generator().manual_seed(3))
    penalty = gradient_penalty(linear, real, fake, mix, weight=2.0)
    torch.testing.assert_close(penalty.detach(), 2 * (square.sqrt() - 1).square())
    wrong = 2 * (square - 1).square()  # of the squared norm
    assert not torch.isclose(penalty, wrong, rtol=0.05)


@settings(max_examples=25)
@given(seed=seeds)
def test_penalties_of_a_square(seed: int) -> None:
    """l = ½‖x‖² has the slope x: R1 sees the real data, WGAN-GP the points between."""
    real, fake = normal(4, 3, seed=seed), normal(4, 3, seed=seed + 1)
    mix = torch.rand(4, generator=torch.Generator().manual_seed(seed))

    def half_square(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x.square().sum(dim=1, keepdim=True)  # logits (batch, 1) do as well

    expected = 5 * sum(row.square().sum() for row in real) / 4
    torch.testing.assert_close(r1_penalty(half_square, real).detach(), expected)
    between = mix[:, None] * real + (1 - mix[:, None]) * fake
    expected = 10 * (between.norm(dim=1) - 1).square().mean()
    ours = gradient_penalty(half_square, real, fake, mix).detach()
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_slope_of_a_network_by_finite_differences() -> None:
    network = randomise(DCGANDiscriminator(width=2, size=4)).double()
    real = normal(2, 1, 4, 4).double()
    total, step = 0.0, 1e-5
    for i in range(16):
        nudge = torch.zeros(16).double()
        nudge[i] = step
        nudge = nudge.reshape(1, 1, 4, 4)
        slope = (network(real + nudge) - network(real - nudge)) / (2 * step)
        total += slope.detach().square().sum().item()
    penalty = r1_penalty(network, real, gamma=10)
    assert penalty.item() == pytest.approx(5 * total / 2, rel=1e-5)


def test_penalties_reach_the_discriminator_and_not_the_generator() -> None:
    network, z = randomise(DCGANDiscriminator(width=2)), normal(3, 32)
    generator = DCGANGenerator(width=2)
    fake, real = generator(z), normal(3, 1, 8, 8).requires_grad_()
    (r1_penalty(network, real) + gradient_penalty(network, real, fake, torch.rand(3))).backward()
    assert all(p.grad is not None for name, p in network.named_parameters() if "weight" in name)
    assert all(p.grad is None for p in generator.parameters())
    assert real.grad is None


def test_the_dirac_gan_runs_away_and_r1_holds_it() -> None:
    """Data at 0, one fake at θ, l(x) = ψ x, both moved at the same time by steps of h.

    Without R1, θ² + ψ² grows by the factor 1 + h² σ(θψ)² at every step.
    Mescheder et al. 2018, arXiv:1801.04406, lemma 2.3 and theorem 4.1.
    """
    h = 0.2
    for gamma in (0.0, 1.0):
        psi, theta = torch.tensor([0.0, 1.0], dtype=torch.double)[:, None]
        for _ in range(200):
            psi, theta = psi.requires_grad_(), theta.requires_grad_()

            def critic(x: torch.Tensor, psi: torch.Tensor = psi) -> torch.Tensor:
                return x * psi

            penalty = r1_penalty(critic, torch.zeros(1).double(), gamma=gamma)
            d = discriminator_loss(critic(torch.zeros(1).double()), critic(theta)) + penalty
            (d_psi,) = torch.autograd.grad(d, psi)
            (d_theta,) = torch.autograd.grad(saturating_loss(critic(theta)), theta)
            before, factor = theta**2 + psi**2, 1 + (h * torch.sigmoid(theta * psi)) ** 2
            psi, theta = (psi - h * d_psi).detach(), (theta - h * d_theta).detach()
            if gamma == 0:
                torch.testing.assert_close(theta**2 + psi**2, (before * factor).detach())
        distance = math.hypot(theta.item(), psi.item())
        assert distance > 1.5 if gamma == 0 else distance < 1e-3


# ---- modes ----


def test_modes_counted_by_hand() -> None:
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    samples = torch.tensor([[0.0, 0.9], [0.5, 0], [9.5, 0], [5, 5], [0, 8.9]])
    counts, found, good = count_modes(samples, centres, radius=1.0)
    assert counts.tolist() == [2, 1, 0]
    assert found == 2
    assert good == pytest.approx(3 / 5)
    assert count_modes(samples, centres, radius=1.0, at_least=2).found == 1
    assert count_modes(samples, centres, radius=1.2).found == 3


@settings(max_examples=25)
@given(seed=seeds, count=st.integers(1, 30))
def test_modes_by_brute_force(seed: int, count: int) -> None:
    samples, centres = normal(count, 2, seed=seed), normal(4, 2, seed=seed + 1)
    wanted = [0] * 4
    for sample in samples:
        distances = [(sample - centre).norm().item() for centre in centres]
        if min(distances) <= 0.7:
            wanted[distances.index(min(distances))] += 1
    found = count_modes(samples, centres, radius=0.7)
    assert found.counts.tolist() == wanted
    assert found.found == sum(c > 0 for c in wanted)
    assert found.good == pytest.approx(sum(wanted) / count)


# ---- networks ----


@pytest.mark.parametrize(("size", "channels"), [(4, 1), (8, 1), (12, 3)])
def test_networks_fit_each_other(size: int, channels: int) -> None:
    generator = randomise(DCGANGenerator(latent_dim=5, channels=channels, width=3, size=size))
    judge = randomise(DCGANDiscriminator(channels=channels, width=3, size=size))
    x = generator(normal(4, 5))
    assert x.shape == (4, channels, size, size)
    assert x.abs().max() <= 1
    logits = judge(x)
    assert logits.shape == (4,)
    torch.testing.assert_close(judge(x[:1]), logits[:1])  # each picture by itself
    mixed = randomise(DCGANDiscriminator(channels=channels, width=3, size=size, batch_norm=True))
    assert not torch.allclose(mixed(x)[:2], mixed(x[:2]))


def test_weights_start_small() -> None:
    torch.manual_seed(0)
    for network in (DCGANGenerator(), DCGANDiscriminator()):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_overfits_one_batch_on_either_side() -> None:
    """The discriminator learns to tell the batches apart; then the generator fools it."""
    torch.manual_seed(0)
    generator, judge = DCGANGenerator(latent_dim=4, width=8), DCGANDiscriminator(width=8)
    real, z = torch.where(normal(8, 1, 8, 8) > 0, 1.0, -1.0), normal(8, 4, seed=1)
    optimizer = torch.optim.Adam(judge.parameters(), 5e-3)
    for _ in range(40):
        loss = discriminator_loss(judge(real), judge(generator(z).detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert judge(generator(z)).max() < 0
    optimizer = torch.optim.Adam(generator.parameters(), 5e-3)
    for _ in range(60):
        loss = non_saturating_loss(judge(generator(z)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert judge(generator(z)).min() > 0


# ---- bad input ----


def test_bad_input_to_the_game_and_the_losses() -> None:
    half = torch.tensor([0.5, 0.5])
    with rejects("share their shape"):
        plain.optimal_discriminator(half, torch.ones(3) / 3)
    with rejects("at least 0"):
        plain.optimal_discriminator(half, -half)
    with rejects("sum to 1, got 2"):
        plain.jensen_shannon(half, 2 * half)
    with rejects(r"d must be in \[0, 1\]"):
        plain.game_value(2.2 * half, half, half)
    with rejects(r"d must be in .* got \(3,\)"):
        plain.game_value(torch.ones(3), half, half)
    for loss in (plain.saturating_loss, plain.non_saturating_loss, plain.critic_generator_loss):
        with rejects("at least one"):
            loss(torch.zeros(0))
    for loss in (plain.discriminator_loss, plain.hinge_loss, plain.critic_loss):
        with rejects("floating point"):
            loss(torch.zeros(2), torch.zeros(2, dtype=torch.long))


def test_bad_input_to_the_penalties_modes_and_networks() -> None:
    x = normal(3, 2)
    with rejects("gamma must be at least 0"):
        plain.r1_penalty(torch.sum, x, gamma=-1.0)
    with rejects("at least one item"):
        plain.r1_penalty(torch.sum, torch.zeros(0, 2))
    with rejects(r"one mix for each item, got \(3, 2\), \(3, 2\) and \(2,\)"):
        plain.gradient_penalty(torch.sum, x, x, torch.ones(2))
    with rejects(r"mix in \[0, 1\]"):
        plain.gradient_penalty(torch.sum, x, x, torch.full((3,), 1.5))
    modes = unchecked("mmcourse.generative.modes")
    with rejects("equal width"):
        modes.count_modes(x, normal(3, 3), radius=1.0)
    with rejects("radius above 0"):
        modes.count_modes(x, x, radius=0.0)
    networks = unchecked("mmcourse.generative.dcgan")
    with rejects("divisible by 4"):
        networks.DCGANGenerator(size=10)
    with rejects("divisible by 4"):
        networks.DCGANDiscriminator(size=0)
    with rejects("at least 1"):
        networks.DCGANDiscriminator(width=0)
    with rejects(r"z must be \(batch, 32\)"):
        networks.DCGANGenerator()(normal(2, 31))
    with rejects(r"x must be \(batch, \*\(1, 8, 8\)\)"):
        networks.DCGANDiscriminator()(normal(2, 3, 8, 8))
