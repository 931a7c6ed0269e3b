"""Exact triangles, probabilities that sum to 1, masks by hand, and the published cell."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise, rejects, unchecked
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from mmcourse.generative import (
    MaskedConv2d,
    PixelCNN,
    PixelRNN,
    PlainPixelCNN,
    RowLSTM,
    bits_per_dim,
    causal_mask,
    from_levels,
    logistic_levels,
    lstm_cell,
    pixel_log_prob,
    receptive_field,
    sample_pixels,
)

plain = unchecked("mmcourse.generative.autoregressive")
pixels = unchecked("mmcourse.generative.pixels")
rnn = unchecked("mmcourse.generative.pixelrnn")
ordinal = unchecked("mmcourse.generative.ordinal")
MODELS = [PixelCNN, PlainPixelCNN, PixelRNN]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_model(kind: type, seed: int = 0, **options) -> nn.Module:  # type: ignore[no-untyped-def]
    small = {"levels": 3, "width": 6, "layers": 2, "kernel_size": 3, "first_kernel": 3}
    return randomise(kind(**{**small, **options}), seed, 0.5).eval()


def reach(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """|∂ logits of output i / ∂ input j| in the order of drawing, summed over levels."""
    jacobian = torch.autograd.functional.jacobian(lambda v: model(v).square().sum(1), x)
    size = x[0].numel()  # (1, c, h, w, 1, c, h, w) → pixels first, colours innermost
    return jacobian[0][:, :, :, 0].permute(1, 2, 0, 4, 5, 3).reshape(size, size).abs()


@pytest.mark.parametrize("curves", [0, 2])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kind", MODELS)
def test_the_jacobian_is_exactly_triangular(kind: type, colours: int, curves: int) -> None:
    model = random_model(kind, colours=colours, width=12, curves=curves).double()
    total = sum(reach(model, normal(1, colours, 4, 5, seed=s).double()) for s in range(4))
    size = 20 * colours
    assert torch.equal(total.triu(), torch.zeros(size, size).double())
    before = total.diagonal(-1)  # the number just before, even one colour before
    right_edge = torch.arange(1, size) % (5 * colours) == 0
    assert (before[~right_edge] > 0).all()


def test_a_leak_would_be_seen() -> None:
    model = random_model(PixelCNN)
    model.across.mask[:, :, 0, 1] = True  # kind B in the first layer
    assert reach(model, normal(1, 1, 3, 3)).diagonal().max() > 0


@pytest.mark.parametrize("curves", [0, 2])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("colours", "height", "width", "levels"), [(1, 2, 2, 3), (3, 1, 2, 2)])
def test_probabilities_of_all_pictures_sum_to_one(
    kind: type, colours: int, height: int, width: int, levels: int, curves: int
) -> None:
    model = random_model(kind, colours=colours, levels=levels, curves=curves)
    numbers = itertools.product(range(levels), repeat=colours * height * width)
    every = torch.tensor(list(numbers)).reshape(-1, colours, height, width)
    log_p = pixel_log_prob(model(from_levels(every, levels)), every)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert log_p.std() > 0.1


def test_reversed_pixels_do_not_sum_to_one() -> None:
    """The same model asked about pictures that run the wrong way."""
    model = random_model(PixelCNN)
    every = torch.tensor(list(itertools.product(range(3), repeat=4))).reshape(-1, 1, 2, 2)
    log_p = pixel_log_prob(model(from_levels(every.flip(2, 3), 3)), every)
    assert abs(log_p.exp().sum().item() - 1) > 0.01


@given(kind=st.sampled_from("AB"), colours=st.integers(1, 3), size=st.sampled_from([1, 3, 5]))
@settings(max_examples=20)
def test_masks_by_brute_force(kind: str, colours: int, size: int) -> None:
    mask = causal_mask(kind, 2 * colours, 3 * colours, (size, size), colours)
    for out, inn, row, column in itertools.product(*map(range, mask.shape)):
        own, seen, middle = out // 3, inn // 2, size // 2
        place = (row - middle, column - middle, seen)
        here = (0, 0, own)
        allowed = place < here or (kind == "B" and place == here)
        assert mask[out, inn, row, column] == allowed


def test_masked_convolution_by_hand() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3) + 1
    for kind, expected in (("A", 1 + 2 + 3 + 4), ("B", 1 + 2 + 3 + 4 + 5)):
        layer = MaskedConv2d(kind, 1, 1, 3, bias=False)
        nn.init.ones_(layer.weight)
        assert layer(x)[0, 0, 1, 1].item() == expected
    layer = randomise(MaskedConv2d("B", 4, 6, (3, 5), colours=2))
    y = F.conv2d(normal(2, 4, 5, 6), layer.weight * layer.mask, layer.bias, padding=(1, 2))
    torch.testing.assert_close(layer(normal(2, 4, 5, 6)), y)
    layer(normal(2, 4, 5, 6)).sum().backward()
    assert (layer.weight.grad[~layer.mask] == 0).all()
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_the_blind_spot_and_its_cure() -> None:
    images = normal(4, 1, 7, 7)
    options = {"layers": 6, "first_kernel": 3}
    seen = {
        kind: receptive_field(random_model(kind, **options), images, 5, 3) > 0 for kind in MODELS
    }
    earlier = torch.arange(49).reshape(7, 7) < 5 * 7 + 3
    assert torch.equal(seen[PixelCNN], earlier)
    corner = (4, 5)  # one row up, two to the right: beyond the slope of the plain stack
    assert earlier[corner]
    assert not seen[PlainPixelCNN][corner]
    assert seen[PlainPixelCNN][4, 4]
    assert not (seen[PlainPixelCNN] & ~earlier).any()
    assert not (seen[PixelRNN] & ~earlier).any()
    assert seen[PixelRNN][0].all()


def test_lstm_cell_equals_torchs() -> None:
    theirs = nn.LSTMCell(3, 5).double()
    randomise(theirs)
    x, h, c = normal(4, 3).double(), normal(4, 5, seed=1).double(), normal(4, 5, seed=2).double()
    i, f, g, o = (
        x @ theirs.weight_ih.T + theirs.bias_ih + h @ theirs.weight_hh.T + theirs.bias_hh
    ).chunk(4, dim=1)
    hidden, cell = lstm_cell(torch.stack([o, f, i, g]), c)
    expected = theirs(x, (h, c))
    torch.testing.assert_close(hidden, expected[0])
    torch.testing.assert_close(cell, expected[1])
    swapped, _ = lstm_cell(torch.stack([i, f, g, o]), c)
    assert not torch.allclose(swapped, expected[0])


def test_row_lstm_by_a_loop_over_pixels() -> None:
    layer = randomise(RowLSTM(2, 3)).double().eval()
    x = normal(1, 2, 3, 4).double()
    y = layer(x)
    hidden, cell = torch.zeros(3, 2, 4).double(), torch.zeros(3, 2, 4).double()
    for row, column in itertools.product(range(3), range(4)):
        gates = layer.from_input.bias.clone()
        for step in (-1, 0, 1):
            at = column + step
            if not 0 <= at < 4:
                continue
            if step <= 0:
                gates = gates + layer.from_input.weight[:, :, 0, step + 1] @ x[0, :, row, at]
            if row:
                gates = gates + layer.from_above.weight[:, :, step + 1] @ hidden[row - 1, :, at]
        before = cell[row - 1, :, column] if row else torch.zeros(2).double()
        h, c = lstm_cell(gates.reshape(4, 1, 2), before[None])
        hidden[row, :, column], cell[row, :, column] = h[0], c[0]
    torch.testing.assert_close(y[0], hidden.transpose(0, 1))


@pytest.mark.parametrize("kind", MODELS)
def test_samples_have_the_models_probabilities(kind: type, generator: torch.Generator) -> None:
    model = random_model(kind, levels=2, colours=1)
    count = 4000
    drawn = sample_pixels(model, torch.zeros(count, 1, 2, 2), generator=generator)
    every = torch.tensor(list(itertools.product((0, 1), repeat=4))).reshape(-1, 1, 2, 2)
    p = pixel_log_prob(model(from_levels(every, 2)), every).exp().detach()
    numbers = ((drawn.flatten(1) > 0).long() * torch.tensor([8, 4, 2, 1])).sum(1)
    share = torch.bincount(numbers, minlength=16) / count
    assert (share - p).abs().max() < 4 * 0.5 / math.sqrt(count)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}


def test_known_pixels_are_kept_and_the_model_sees_no_later_row(generator: torch.Generator) -> None:
    model, seen = random_model(PixelRNN, colours=3), []

    def watching(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape[2])
        return model(x)

    start = from_levels(torch.randint(3, (2, 3, 3, 3), generator=generator), 3)
    before = start.clone()
    drawn = sample_pixels(watching, start, generator=generator, known=4)
    assert torch.equal(start, before)
    assert torch.equal(drawn.flatten(2)[:, :, :4], start.flatten(2)[:, :, :4])
    assert seen == [2] * 6 + [3] * 9
    x = normal(1, 3, 4, 3)
    torch.testing.assert_close(model(x)[..., :2, :], model(x[:, :, :2]))
    assert torch.equal(sample_pixels(model, start, generator=generator, known=9), start)


def test_cold_samples_are_the_likeliest(generator: torch.Generator) -> None:
    model = random_model(PixelCNN)
    cold = sample_pixels(model, torch.zeros(8, 1, 2, 3), generator=generator, temperature=1e-4)
    assert (cold == cold[:1]).all()
    first = model(torch.zeros(1, 1, 2, 3))[0, :, 0, 0, 0].argmax()
    assert cold[0, 0, 0, 0] == from_levels(first, 3)


def test_log_prob_and_bits_by_hand() -> None:
    logits = normal(2, 3, 1, 2, 2)
    k = torch.randint(3, (2, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    by_hand = torch.zeros(2)
    for b, row, column in itertools.product(range(2), range(2), range(2)):
        scores = logits[b, :, 0, row, column]
        by_hand[b] += scores[k[b, 0, row, column]] - scores.exp().sum().log()
    torch.testing.assert_close(pixel_log_prob(logits, k), by_hand)
    flat = pixel_log_prob(torch.zeros(1, 17, 1, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.long))
    assert bits_per_dim(flat, 64).item() == pytest.approx(math.log2(17), rel=1e-5)


@pytest.mark.parametrize(("kind", "curves"), [(PixelCNN, 0), (PixelRNN, 0), (PixelCNN, 2)])
def test_overfits_one_batch(kind: type, curves: int) -> None:
    torch.manual_seed(0)
    model = kind(levels=2, width=12, layers=1, first_kernel=5, curves=curves)
    k = torch.randint(2, (2, 1, 4, 4), generator=torch.Generator().manual_seed(1))
    for step in range(100):
        loss = -pixel_log_prob(model(from_levels(k, 2)), k).mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():  # by the signs alone, ever more slowly
            for weight, gradient in zip(model.parameters(), gradients, strict=True):
                weight -= (0.01 if curves else 0.03) * 0.97**step * gradient.sign()
    # Two pictures: only log 2 nats, where they first differ, cannot be learned.
    assert math.log(2) - 0.01 < loss.item() < math.log(2) + 0.3


def curves(count: int, seed: int = 0) -> list[torch.Tensor]:
    """Weights, means and log-scales (2, count, 1, 3, 2)."""
    parts = [normal(2, count, 1, 3, 2, seed=seed + i).double() for i in range(3)]
    return [parts[0], parts[1], parts[2] - 1]


@given(seed=st.integers(0, 99), levels=st.integers(2, 9), count=st.integers(1, 4))
@example(seed=7, levels=7, count=2)  # a border that float32 cannot hold
@settings(max_examples=20)
def test_curves_by_a_loop_over_levels(seed: int, levels: int, count: int) -> None:
    weights, means, log_scales = curves(count, seed)
    found = logistic_levels(weights, means, log_scales, levels).exp()
    cumulated = torch.zeros(2, 1, 3, 2).double()
    for k in range(levels):
        border = (2 * k + 1) / (levels - 1) - 1  # a Python float: not rounded to float32
        curve = torch.sigmoid((border - means) / log_scales.exp())
        until = (weights.softmax(1) * curve).sum(1) if k < levels - 1 else 1.0
        torch.testing.assert_close(found[:, k], until - cumulated, rtol=1e-6, atol=1e-9)
        cumulated = until
    torch.testing.assert_close(found.sum(1), torch.ones(2, 1, 3, 2).double())


def test_far_and_narrow_curves_are_finite() -> None:
    means = torch.tensor([-40.0, -1.0, 0.03, 1.0, 40.0]).reshape(5, 1).requires_grad_()
    for scale in (-30.0, -7.0, 0.0, 20.0):
        log_scales = torch.full((5, 1), scale, requires_grad=True)
        log_p = logistic_levels(torch.zeros(5, 1), means, log_scales, 17)
        assert log_p.isfinite().all()
        torch.testing.assert_close(log_p.exp().sum(1), torch.ones(5))
        gradients = torch.autograd.grad(log_p[:, 3].sum(), [means, log_scales])
        assert all(g.isfinite().all() for g in gradients)
    sure = logistic_levels(torch.zeros(1, 1), torch.full((1, 1), 0.5), torch.full((1, 1), -7.0), 17)
    assert sure.argmax() == 12  # 0.5 is level 12 of 17
    assert sure.exp().max() > 0.99


def test_a_curve_has_one_summit_and_knows_its_neighbours() -> None:
    parts = curves(1, seed=5)
    p = logistic_levels(*parts, 17)[:, 1:-1]  # the ends also hold all that lies beyond
    signs = p.diff(dim=1).sign()
    assert (signs.diff(dim=1) <= 0).all()  # up, then down
    model = random_model(PixelCNN, levels=17, curves=1)
    wide = model(normal(1, 1, 3, 3))[:, 1:-1].diff(dim=1).sign().diff(dim=1)
    assert (wide <= 0).all()
    free = random_model(PixelCNN, levels=17)(normal(1, 1, 3, 3))[:, 1:-1]
    assert (free.diff(dim=1).sign().diff(dim=1) > 0).any()


def test_bad_input() -> None:
    with rejects("kind"):
        plain.MaskedConv2d("C", 1, 1)
    with rejects("odd"):
        plain.MaskedConv2d("A", 1, 1, 4)
    with rejects("divide by 3"):
        plain.MaskedConv2d("B", 3, 4, colours=3)
    with rejects("colours and channels"):
        plain.causal_mask("A", 0, 1, (3, 3))
    with rejects("levels"):
        plain.PixelCNN(levels=1)
    with rejects("curves ≥ 0, got 3, -1"):
        plain.PixelCNN(levels=3, curves=-1)
    with rejects("at least 2"):
        ordinal.logistic_levels(*[torch.zeros(1, 1)] * 3, 1)
    with rejects("need three tensors"):
        ordinal.logistic_levels(torch.zeros(1, 2), torch.zeros(1, 1), torch.zeros(1, 2), 3)
    with rejects("divide by 3"):
        rnn.PixelRNN(colours=3, width=32)
    with rejects(r"\(4, …\)"):
        rnn.lstm_cell(torch.zeros(3, 2), torch.zeros(2))
    k = torch.zeros(1, 1, 2, 2, dtype=torch.long)
    with rejects("got .1, 3, 2, 2. and"):
        pixels.pixel_log_prob(torch.zeros(1, 3, 2, 2), k)
    with rejects("0 … 2"):
        pixels.pixel_log_prob(torch.zeros(1, 3, 1, 2, 2), k + 3)
    source, images = torch.Generator(), torch.zeros(1, 1, 2, 2)
    for known, temperature in ((5, 1.0), (-1, 1.0), (0, 0.0)):
        with rejects("known in 0 … 4"):
            pixels.sample_pixels(
                torch.nn.Identity(), images, generator=source, known=known, temperature=temperature
            )
    with rejects("2 x 2"):
        pixels.receptive_field(torch.nn.Identity(), images, 2, 0)
