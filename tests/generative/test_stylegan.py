"""Style by closed forms and loops: what a layer does, and who sets which layer."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.generative import (
    MappingNetwork,
    StyleGenerator,
    adain,
    blur,
    double,
    mix_styles,
    pixel_norm,
    style_band,
    truncate,
)

plain = unchecked("mmcourse.generative.stylegan")
networks = unchecked("mmcourse.generative.style_generator")
SMALL = {"latent_dim": 5, "style_dim": 6, "widths": (4, 3, 2), "mapping_layers": 2}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_generator(seed: int = 0) -> StyleGenerator:
    model = StyleGenerator(**SMALL)
    randomise(model, seed=seed)
    for layer in model.mapping.layers:  # their weights are as large as 1 / 0.01
        layer.weight.data *= 100
    model.mean_style.copy_(normal(6, seed=seed + 1))
    return model.eval()


def noise_for(model: StyleGenerator, count: int, seed: int = 0) -> list[torch.Tensor]:
    return model.draw_noise(count, generator=torch.Generator().manual_seed(seed))


# ---- features ----


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), size=st.floats(0.1, 50))
def test_adain_is_instance_norm_and_a_new_scale(seed: int, size: float) -> None:
    x = normal(2, 3, 4, 5, seed=seed) * size + 3
    scale, bias = normal(2, 3, seed=seed + 1), normal(2, 3, seed=seed + 2)
    ours = adain(x, scale, bias)
    each = (scale + 1)[:, :, None, None], bias[:, :, None, None]
    torch.testing.assert_close(
        ours, F.instance_norm(x, eps=1e-8) * each[0] + each[1], rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(ours.mean(dim=(2, 3)), bias, rtol=1e-3, atol=1e-4)
    deviation = ours.std(dim=(2, 3), correction=0)
    torch.testing.assert_close(deviation, (1 + scale).abs(), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(deviation, scale.abs(), atol=1e-2)  # the paper's bare y_s


def test_a_style_of_zeros_changes_nothing_and_the_old_style_is_forgotten() -> None:
    x, zeros = normal(2, 3, 4, 4), torch.zeros(2, 3)
    torch.testing.assert_close(adain(x, zeros, zeros), F.instance_norm(x), rtol=1e-4, atol=1e-4)
    scale, bias = normal(2, 3, seed=1), normal(2, 3, seed=2)
    torch.testing.assert_close(
        adain(7 * x + 4, scale, bias), adain(x, scale, bias), rtol=1e-4, atol=1e-4
    )


def test_blur_by_a_loop() -> None:
    x = normal(2, 3, 4, 5)
    padded = F.pad(x, (1, 1, 1, 1))
    line = [1, 2, 1]
    for i in range(4):
        for j in range(5):
            wanted = sum(
                line[a] * line[b] / 16 * padded[:, :, i + a, j + b]
                for a in range(3)
                for b in range(3)
            )
            torch.testing.assert_close(blur(x)[:, :, i, j], wanted)
    flat = blur(torch.ones(1, 1, 5, 5))[0, 0]
    torch.testing.assert_close(flat[1:-1, 1:-1], torch.ones(3, 3))
    assert flat[0, 0].item() == pytest.approx(9 / 16)


# ---- styles ----


def test_bands_of_the_paper() -> None:
    assert style_band(4, 8) == range(0, 4)
    assert style_band(16, 32) == range(4, 8)
    assert style_band(64, 1024) == range(8, 18)
    for power in range(2, 11):
        assert len(style_band(4, 2**power)) == 2 * power - 2
    for layer in range(18):
        side = 4 * 2 ** (layer // 2)
        assert layer in style_band(side, side)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), psi=st.floats(-1, 1.5), layers=st.integers(0, 9))
def test_truncation_of_the_early_layers_only(seed: int, psi: float, layers: int) -> None:
    styles, mean = normal(2, 7, 3, seed=seed), normal(3, seed=seed + 1)
    out = truncate(styles, mean, psi, layers=layers)
    for k in range(7):
        wanted = mean + psi * (styles[:, k] - mean) if k < layers else styles[:, k]
        torch.testing.assert_close(out[:, k], wanted, rtol=1e-4, atol=1e-5)


def test_truncation_at_its_ends() -> None:
    styles, mean = normal(2, 10, 3), normal(3, seed=1)
    torch.testing.assert_close(truncate(styles, mean, 1.0), styles)
    none = truncate(styles, mean, 0.0)
    assert torch.equal(none[:, :8], mean.expand(2, 8, 3))
    assert torch.equal(none[:, 8:], styles[:, 8:])
    shorter = truncate(styles, mean)[:, :8] - mean
    torch.testing.assert_close(shorter, 0.7 * (styles[:, :8] - mean))


@settings(max_examples=25)
@given(layers=st.sets(st.integers(0, 5)))
def test_mixing(layers: set[int]) -> None:
    mine, theirs = normal(2, 6, 3), normal(2, 6, 3, seed=1)
    mixed = mix_styles(mine, theirs, layers)
    for k in range(6):
        assert torch.equal(mixed[:, k], theirs[:, k] if k in layers else mine[:, k])
    back = mix_styles(mixed, mine, layers)
    assert torch.equal(back, mine)


def test_the_mapping_network_layer_by_layer() -> None:
    mapping = MappingNetwork(5, 6, layers=3, lr_multiplier=0.5)
    randomise(mapping, scale=2.0)
    z = normal(4, 5)
    w = pixel_norm(z)
    for layer in mapping.layers:
        weight = layer.weight * math.sqrt(2) / math.sqrt(w.shape[1]) * 0.5
        w = F.leaky_relu(F.linear(w, weight, layer.bias * 0.5), 0.2)
    torch.testing.assert_close(mapping(z), w)
    torch.testing.assert_close(mapping(10 * z), w, rtol=1e-4, atol=1e-4)
    assert len(MappingNetwork(4, 4).layers) == 8


# ---- the generator ----


def reference(model: StyleGenerator, styles: torch.Tensor, noise: list[torch.Tensor]):
    """The whole synthesis, written out: convolution, noise, bias, leaky ReLU, norm, style."""
    x = model.constant.expand(len(styles), -1, -1, -1)
    for layer, finish in enumerate(model.finish):
        level = layer // 2
        if layer:
            conv = model.second[level] if layer % 2 else model.first[level - 1]
            weight = conv.weight * math.sqrt(2 / conv.weight[0].numel())
            x = F.conv2d(x if layer % 2 else F.interpolate(x, scale_factor=2), weight, padding=1)
            x = x if layer % 2 else blur(x)
        x = x + finish.noise_strength.reshape(1, -1, 1, 1) * noise[layer]
        x = F.leaky_relu(x + finish.bias.reshape(1, -1, 1, 1), 0.2)
        weight = finish.style.weight / math.sqrt(6)
        scale, bias = F.linear(styles[:, layer], weight, finish.style.bias).chunk(2, dim=1)
        x = F.instance_norm(x, eps=1e-8) * (1 + scale)[:, :, None, None] + bias[:, :, None, None]
    last = model.to_image[-1]
    return F.conv2d(x, last.weight / math.sqrt(last.weight[0].numel()), last.bias)


def test_synthesis_step_by_step() -> None:
    model = random_generator()
    styles, noise = normal(2, 6, 6, seed=3), noise_for(model, 2)
    ours = model.synthesis(styles, noise)
    assert ours.shape == (2, 3, 16, 16)
    torch.testing.assert_close(ours, reference(model, styles, noise), rtol=1e-4, atol=1e-4)


def test_from_latent_to_picture() -> None:
    model = random_generator()
    z, noise = normal(2, 5), noise_for(model, 2)
    styles = model.styles(z)
    assert styles.shape == (2, 6, 6)
    assert torch.equal(styles[:, 0], styles[:, 5])
    torch.testing.assert_close(model(z, noise), model.synthesis(styles, noise))
    w = truncate(styles, model.mean_style, 0.5, layers=2)
    torch.testing.assert_close(
        model(z, noise, psi=0.5, truncated=2), model.synthesis(w, noise), rtol=1e-4, atol=1e-5
    )
    everywhere = model(z, noise, psi=0.5)
    assert not torch.allclose(everywhere, model(z, noise, psi=0.5, truncated=2), atol=1e-3)


def test_a_style_reaches_its_own_layer_and_what_follows() -> None:
    model = random_generator()
    styles, noise = normal(1, 6, 6).requires_grad_(), noise_for(model, 1)
    model.synthesis(styles, noise, level=1).square().sum().backward()
    assert styles.grad is not None
    used = styles.grad.abs().sum(dim=(0, 2)) > 0
    assert used.tolist() == [True] * 4 + [False] * 2


def test_noise_starts_without_effect_and_is_learned() -> None:
    torch.manual_seed(0)
    model = StyleGenerator(**SMALL)
    z = normal(2, 5)
    one, other = noise_for(model, 2), noise_for(model, 2, seed=1)
    assert torch.equal(model.eval()(z, one), model(z, other))
    randomised = random_generator()
    assert not torch.allclose(randomised(z, one), randomised(z, other), atol=1e-2)
    model(z, one).square().sum().backward()
    assert model.finish[2].noise_strength.grad.abs().max() > 0
    assert [tuple(n.shape) for n in one] == [(2, 1, 4, 4)] * 2 + [(2, 1, 8, 8)] * 2 + [
        (2, 1, 16, 16)
    ] * 2
    shared = [n[:1] for n in one]
    wide = [n[:1].expand(2, -1, -1, -1) for n in one]
    torch.testing.assert_close(randomised(z, shared), randomised(z, wide))
    assert all(
        torch.equal(a, b) for a, b in zip(noise_for(model, 2), one, strict=True)
    )  # the same seed, the same noise


def test_a_new_level_starts_as_the_old_generator() -> None:
    model = random_generator()
    z, noise = normal(2, 5), noise_for(model, 2)
    for level in (1, 2):
        old, new = model(z, noise, level=level - 1), model(z, noise, level=level)
        torch.testing.assert_close(model(z, noise, level=level, alpha=0.0), double(old))
        half = model(z, noise, level=level, alpha=0.5)
        torch.testing.assert_close(half, 0.5 * double(old) + 0.5 * new)


def test_the_average_style_moves_in_training_only() -> None:
    model = random_generator()
    z, before = normal(8, 5), model.mean_style.clone()
    model.styles(z)
    assert torch.equal(model.mean_style, before)
    w = model.train().styles(z)[:, 0].mean(dim=0).detach()
    torch.testing.assert_close(model.mean_style, 0.995 * before + 0.005 * w)
    assert not model.mean_style.requires_grad
    assert "mean_style" in model.state_dict()


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = StyleGenerator(
        latent_dim=4, style_dim=8, widths=(16, 16), channels=1, mapping_layers=2, lr_multiplier=1.0
    )
    x = torch.where(normal(2, 1, 8, 8) > 0, 1.0, -1.0)
    z, noise = normal(2, 4, seed=1), noise_for(model, 2)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(120):
        loss = F.mse_loss(model(z, noise), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_bad_input() -> None:
    x, each = normal(2, 3, 4, 4), torch.zeros(2, 3)
    with rejects(r"scale and bias \(batch, channels\)"):
        plain.adain(x, torch.zeros(3), each)
    with rejects("eps > 0"):
        plain.adain(x, each, each, eps=0.0)
    with rejects("batch, channels"):
        plain.blur(x[0])
    for pair in ((8, 4), (6, 8), (2, 4), (4, 100)):
        with rejects(f"got {pair[0]} and {pair[1]}"):
            style_band(*pair)
    styles = normal(2, 6, 3)
    with rejects("share their shape"):
        plain.mix_styles(styles, styles[:, :5], [0])
    with rejects("layers must be in 0 … 5"):
        plain.mix_styles(styles, styles, [6])
    with rejects(r"mean \(style,\)"):
        plain.truncate(styles, torch.zeros(4))
    with rejects("layers ≥ 0"):
        plain.truncate(styles, torch.zeros(3), layers=-1)
    with rejects("layers must be at least 1"):
        plain.MappingNetwork(layers=0)
    with rejects(r"z must be \(batch, 5\)"):
        plain.MappingNetwork(5, 6)(normal(2, 6))
    with rejects("at least one level"):
        networks.StyleGenerator(widths=())
    model = networks.StyleGenerator(**SMALL)
    noise = noise_for(model, 2)
    with rejects(r"styles must be \(batch, \*\(6, 6\)\)"):
        model.synthesis(normal(2, 5, 6), noise)
    with rejects("need noise"):
        model.synthesis(normal(2, 6, 6), noise[:5])
    with rejects("need noise"):
        model.synthesis(normal(3, 6, 6), noise)
    with rejects("level must be in 0 … 2"):
        model(normal(2, 5), noise, level=3)
    with rejects("alpha"):
        model(normal(2, 5), noise, alpha=2.0)
