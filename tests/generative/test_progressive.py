"""Fade-in, minibatch deviation, pixel norm and equalised weights by hand; the growing networks."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.generative import (
    EqualisedConv2d,
    EqualisedLinear,
    ProgressiveDiscriminator,
    ProgressiveGenerator,
    discriminator_loss,
    double,
    fade_in,
    halve,
    minibatch_stddev,
    non_saturating_loss,
    pixel_norm,
)

plain = unchecked("mmcourse.generative.progressive")
networks = unchecked("mmcourse.generative.progressive_networks")
WIDTHS = (6, 4, 3)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---- sizes ----


def test_doubling_and_halving_are_torchs() -> None:
    x = normal(2, 3, 4, 6)
    assert torch.equal(double(x), F.interpolate(x, scale_factor=2, mode="nearest"))
    torch.testing.assert_close(halve(x), F.avg_pool2d(x, 2))
    torch.testing.assert_close(halve(double(x)), x)


@settings(max_examples=20)
@given(alpha=st.floats(0, 1), seed=st.integers(0, 1000))
def test_fade_in_pixel_by_pixel(alpha: float, seed: int) -> None:
    old, new = normal(2, 3, 2, 3, seed=seed), normal(2, 3, 4, 6, seed=seed + 1)
    faded = fade_in(old, new, alpha)
    for i in range(4):
        for j in range(6):
            wanted = (1 - alpha) * old[:, :, i // 2, j // 2] + alpha * new[:, :, i, j]
            torch.testing.assert_close(faded[:, :, i, j], wanted)


def test_the_ends_of_the_fade() -> None:
    old, new = normal(2, 3, 2, 2), normal(2, 3, 4, 4, seed=1)
    assert torch.equal(fade_in(old, new, 0.0), double(old))  # 0 is the old
    torch.testing.assert_close(fade_in(old, new, 1.0), new)
    x = normal(1, 1, 4, 4)
    torch.testing.assert_close(halve(fade_in(halve(x), x, 0.3)), halve(x))  # only detail fades


# ---- calm ----


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), width=st.integers(1, 9), scale=st.floats(0.01, 100))
def test_pixel_norm(seed: int, width: int, scale: float) -> None:
    x = normal(3, width, 2, 5, seed=seed) * scale
    ours = pixel_norm(x)
    root = x.square().sum(dim=1, keepdim=True).add(width * 1e-8).sqrt()
    torch.testing.assert_close(ours, x / root * math.sqrt(width))  # not to the length 1
    torch.testing.assert_close(pixel_norm(x[:, :, 0, 0]), ours[:, :, 0, 0])
    energy = pixel_norm(x.sign() + x).square().mean(dim=1)
    torch.testing.assert_close(energy, torch.ones(3, 2, 5))
    assert not pixel_norm(torch.zeros(1, 4)).any()


@settings(max_examples=20)
@given(groups=st.integers(1, 3), size=st.integers(1, 4), seed=st.integers(0, 1000))
def test_minibatch_stddev_by_a_loop(groups: int, size: int, seed: int) -> None:
    x = normal(groups * size, 2, 3, 4, seed=seed)
    out = minibatch_stddev(x, group=size)
    assert torch.equal(out[:, :2], x)
    for i in range(len(x)):
        members = [x[j] for j in range(len(x)) if j % groups == i % groups]
        total = 0.0
        for c in range(2):
            for row in range(3):
                for column in range(4):
                    values = [float(m[c, row, column]) for m in members]
                    mean = sum(values) / size
                    total += math.sqrt(sum((v - mean) ** 2 for v in values) / size + 1e-8)
        torch.testing.assert_close(out[i, 2], torch.full((3, 4), total / 24))


def test_minibatch_stddev_divides_by_the_group() -> None:
    x = torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1)
    assert minibatch_stddev(x)[:, 1].flatten().tolist() == pytest.approx([1, 1])
    unbiased = x.std(dim=0).item()
    assert unbiased == pytest.approx(math.sqrt(2))  # the other convention


def test_minibatch_stddev_sees_collapse_and_has_a_slope_there() -> None:
    same = normal(1, 2, 3, 3).repeat(4, 1, 1, 1).requires_grad_()
    out = minibatch_stddev(same)
    assert out[:, 2].max() < 1e-3
    out[:, 2].sum().backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()
    assert minibatch_stddev(normal(4, 2, 3, 3))[:, 2].min() > 0.3
    assert minibatch_stddev(normal(2, 2, 3, 3), group=4).shape == (2, 3, 3, 3)


# ---- equalised weights ----


def test_equalised_layers_are_plain_layers_with_scaled_weights() -> None:
    linear = EqualisedLinear(6, 4, gain=1.5, lr_multiplier=0.1)
    conv = EqualisedConv2d(3, 4, 3, gain=1.5)
    for layer in (linear, conv):
        randomise(layer)
    x, pictures = normal(5, 6), normal(2, 3, 5, 5)
    weight = linear.weight * 1.5 / math.sqrt(6) * 0.1
    torch.testing.assert_close(linear(x), F.linear(x, weight, linear.bias * 0.1))
    weight = conv.weight * 1.5 / math.sqrt(27)
    torch.testing.assert_close(conv(pictures), F.conv2d(pictures, weight, conv.bias, padding=1))


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_they_keep_the_size_of_what_passes(multiplier: float) -> None:
    torch.manual_seed(0)
    layer = EqualisedLinear(512, 512, lr_multiplier=multiplier)
    assert layer.weight.std().item() == pytest.approx(1 / multiplier, rel=0.02)
    out = F.relu(layer(normal(64, 512)))
    assert out.square().mean().item() == pytest.approx(1, rel=0.1)
    conv = EqualisedConv2d(32, 64, gain=1)
    inside = conv(normal(2, 32, 16, 16))[:, :, 1:-1, 1:-1]
    assert inside.square().mean().item() == pytest.approx(1, rel=0.1)


def test_adam_moves_them_all_by_the_same_share() -> None:
    """… which plain layers of different widths are not; the multiplier slows a layer down."""
    torch.manual_seed(0)
    share = {}
    for name, layer, factor in [
        ("narrow", EqualisedLinear(4, 1000), 1.0),
        ("wide", EqualisedLinear(400, 1000), 1.0),
        ("slow", EqualisedLinear(400, 1000, lr_multiplier=0.01), 0.01),
        ("plain narrow", torch.nn.Linear(4, 1000), 1.0),
        ("plain wide", torch.nn.Linear(400, 1000), 1.0),
    ]:
        before = layer.weight.detach().clone()
        optimizer = torch.optim.Adam(layer.parameters(), 0.01)
        layer(normal(8, layer.in_features)).square().sum().backward()
        optimizer.step()
        share[name] = (layer.weight - before).abs().mean().item() / before.std().item()
        share[name] /= factor
    assert share["narrow"] == pytest.approx(0.01, rel=0.05)
    assert share["wide"] == pytest.approx(0.01, rel=0.05)
    assert share["slow"] == pytest.approx(0.01, rel=0.05)
    assert share["plain wide"] > 5 * share["plain narrow"]


# ---- networks ----


@pytest.mark.parametrize("level", [0, 1, 2, None])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_sizes_at_every_level(level: int | None, alpha: float) -> None:
    generator = randomise(ProgressiveGenerator(latent_dim=5, widths=WIDTHS, channels=2))
    judge = randomise(ProgressiveDiscriminator(widths=WIDTHS, channels=2))
    side = 4 * 2 ** (2 if level is None else level)
    x = generator(normal(4, 5), level, alpha)
    assert x.shape == (4, 2, side, side)
    assert judge(x, level, alpha).shape == (4,)


def test_a_new_level_starts_as_the_old_network() -> None:
    generator = randomise(ProgressiveGenerator(latent_dim=5, widths=WIDTHS))
    judge = randomise(ProgressiveDiscriminator(widths=WIDTHS))
    z = normal(4, 5)
    for level in (1, 2):
        small, large = generator(z, level - 1), generator(z, level, 0.0)
        torch.testing.assert_close(large, double(small))
        torch.testing.assert_close(judge(large, level, 0.0), judge(small, level - 1))
        x = normal(4, 3, *large.shape[2:], seed=level)
        torch.testing.assert_close(judge(x, level, 0.0), judge(halve(x), level - 1))


def test_the_generators_fade_is_linear_and_the_judges_is_not() -> None:
    generator = randomise(ProgressiveGenerator(latent_dim=5, widths=WIDTHS))
    z = normal(2, 5)
    old, new, between = (generator(z, 2, alpha) for alpha in (0.0, 1.0, 0.3))
    torch.testing.assert_close(between, 0.7 * old + 0.3 * new)
    judge = randomise(ProgressiveDiscriminator(widths=WIDTHS))
    x = normal(2, 3, 16, 16)
    old, new, between = (judge(x, 2, alpha) for alpha in (0.0, 1.0, 0.3))
    assert not torch.allclose(between, 0.7 * old + 0.3 * new)


def test_only_the_levels_in_use_learn() -> None:
    generator = ProgressiveGenerator(latent_dim=5, widths=WIDTHS)
    generator(normal(2, 5), 1, 1.0).sum().backward()
    moved = {name for name, p in generator.named_parameters() if p.grad is not None}
    assert not {name for name in moved if ".2." in name or name.startswith("second.1")}
    assert "to_image.1.weight" in moved
    assert "to_image.0.weight" not in moved
    generator(normal(2, 5), 1, 0.5).sum().backward()
    assert generator.to_image[0].weight.grad is not None


def test_the_length_of_the_latent_does_not_count() -> None:
    generator = randomise(ProgressiveGenerator(latent_dim=5, widths=WIDTHS))
    z = normal(2, 5)
    torch.testing.assert_close(generator(z), generator(3 * z), rtol=1e-4, atol=1e-4)


def test_features_are_shrunk_as_one_likes() -> None:
    calls = []

    def shrink(x: torch.Tensor) -> torch.Tensor:
        calls.append(x.shape[2])
        return halve(x)

    judge = ProgressiveDiscriminator(widths=WIDTHS, shrink=shrink)
    judge(normal(2, 3, 16, 16))
    assert calls == [16, 8]


@settings(max_examples=10)
@given(seed=st.integers(0, 100))
def test_the_judge_compares_within_groups_of_the_batch(seed: int) -> None:
    judge = randomise(ProgressiveDiscriminator(widths=WIDTHS, group=2), seed=seed)
    x = normal(4, 3, 16, 16, seed=seed)
    together = judge(x)
    torch.testing.assert_close(judge(x[[0, 2]]), together[[0, 2]], rtol=1e-4, atol=1e-4)


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    generator = ProgressiveGenerator(latent_dim=4, widths=(8, 8), channels=1)
    judge = ProgressiveDiscriminator(widths=(8, 8), channels=1)
    real, z = torch.where(normal(4, 1, 8, 8) > 0, 1.0, -1.0), normal(4, 4, seed=1)
    optimizer = torch.optim.Adam(judge.parameters(), 1e-2, betas=(0.0, 0.99))
    fake = generator(z).detach()
    for _ in range(30):
        loss = discriminator_loss(judge(real), judge(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    optimizer = torch.optim.Adam(generator.parameters(), 1e-2, betas=(0.0, 0.99))
    for _ in range(40):
        loss = non_saturating_loss(judge(generator(z)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3


def test_bad_input() -> None:
    x = normal(2, 3, 4, 4)
    with rejects("twice as high"):
        plain.fade_in(x, x, 0.5)
    with rejects(r"alpha must be in \[0, 1\], got 1.5"):
        plain.fade_in(x, double(x), 1.5)
    with rejects("must be even"):
        plain.halve(normal(1, 1, 3, 4))
    with rejects("batch, channels"):
        plain.double(normal(3, 4))
    with rejects("eps > 0"):
        plain.pixel_norm(normal(3))
    with rejects("divide the batch 6, got 4"):
        plain.minibatch_stddev(normal(6, 1, 2, 2))
    with rejects("at least 1"):
        plain.minibatch_stddev(x, group=0)
    with rejects("above 0"):
        plain.EqualisedLinear(3, 4, lr_multiplier=0.0)
    with rejects("must be odd"):
        plain.EqualisedConv2d(3, 4, 2)
    with rejects("at least one level"):
        networks.ProgressiveGenerator(widths=())
    with rejects("at least 1"):
        networks.ProgressiveDiscriminator(widths=(4, 0))
    generator = networks.ProgressiveGenerator(latent_dim=5, widths=WIDTHS)
    with rejects(r"z must be \(batch, 5\)"):
        generator(normal(2, 4))
    with rejects("level must be in 0 … 2"):
        generator(normal(2, 5), 3)
    with rejects("alpha in"):
        generator(normal(2, 5), 2, -0.1)
    with rejects("x must be 8 × 8 at level 1"):
        networks.ProgressiveDiscriminator(widths=WIDTHS)(normal(2, 3, 16, 16), 1)
