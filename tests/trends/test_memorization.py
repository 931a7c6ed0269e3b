"""What each kind of noise changes and leaves, by counting; and 2n + d weights that fit all."""

import pytest
import torch
import torch.nn.functional as F
from helpers import rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.trends import (
    MLP,
    VARIANTS,
    capacity_grid,
    corrupt_labels,
    fit_by_group,
    fit_exactly,
    gaussian_pixels,
    mlp_parameters,
    needed_width,
    noisy_inputs,
    random_pixels,
    shuffle_pixels,
    zhang_variant,
)

plain = unchecked("mmcourse.trends.memorization")
plain_exact = unchecked("mmcourse.trends.exact_network")
plain_mlp = unchecked("mmcourse.trends.mlp")


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=source(seed)) * 2 - 1


def test_corrupted_labels_two_conventions() -> None:
    """Of all classes, one in ten stays by luck; of the others, none does."""
    labels = torch.arange(10).repeat(2000)
    for wrong, changed in ((False, 0.4 * 0.9), (True, 0.4)):
        drawn = corrupt_labels(labels, 0.4, num_classes=10, generator=source(), wrong=wrong)
        assert (drawn != labels).double().mean().item() == pytest.approx(changed, abs=0.01)
        new = drawn[drawn != labels]
        assert new.bincount(minlength=10).min() > 0.08 * len(new)  # no class is spared
    assert corrupt_labels(labels, 0.0, num_classes=10, generator=source()).equal(labels)
    everywhere = corrupt_labels(labels, 1.0, num_classes=10, generator=source(), wrong=True)
    assert not bool((everywhere == labels).any())
    again = corrupt_labels(labels, 1.0, num_classes=10, generator=source(), wrong=True)
    assert everywhere.equal(again)


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=20)
def test_shuffles_move_whole_pixels(n: int, c: int, h: int, w: int) -> None:
    images = pictures(n, c, h, w)
    order = torch.randperm(h * w, generator=source(1))
    shuffled = shuffle_pixels(images, order)
    for place, old in enumerate(order.tolist()):
        moved = shuffled[:, :, place // w, place % w]
        assert moved.equal(images[:, :, old // w, old % w])
    assert shuffle_pixels(shuffled, order.argsort()).equal(images)
    mixed = random_pixels(images, generator=source(2))
    for before, after in zip(images, mixed, strict=True):  # pixels as columns of channels
        assert sorted(before.flatten(1).T.tolist()) == sorted(after.flatten(1).T.tolist())


def test_one_order_for_all_or_one_for_each() -> None:
    same = pictures(1, 1, 8, 8).expand(6, 1, 8, 8)
    labels = torch.arange(6)
    draw = {"num_classes": 6, "generator": source()}
    shuffled = zhang_variant(same, labels, "shuffled pixels", **draw).inputs
    assert all(picture.equal(shuffled[0]) for picture in shuffled)
    random = zhang_variant(same, labels, "random pixels", **draw).inputs
    assert not any(picture.equal(random[0]) for picture in random[1:])


def test_gaussian_matches_each_channel() -> None:
    images = pictures(200, 2, 8, 8) * torch.tensor([0.1, 1.0])[:, None, None] + 3
    noise = gaussian_pixels(images, generator=source())
    for moment in (torch.mean, torch.std):
        for c in range(2):
            assert moment(noise[:, c]).item() == pytest.approx(
                moment(images[:, c]).item(), abs=0.01
            )
    assert noise.dtype == images.dtype


def test_the_five_variants_change_what_they_say() -> None:
    images, labels = pictures(50, 1, 4, 4), torch.arange(50) % 5
    for variant in VARIANTS:
        made = zhang_variant(images, labels, variant, num_classes=5, generator=source())
        assert made.labels.equal(labels) == (variant != "random labels")
        assert made.inputs.equal(images) == variant.endswith("labels")


def test_noisy_inputs_replace_a_share() -> None:
    images = pictures(4000, 1, 2, 2)
    noisy = noisy_inputs(images, 0.3, generator=source())
    replaced = (noisy != images).flatten(1)
    assert replaced.all(dim=1).equal(replaced.any(dim=1))  # whole pictures or nothing
    assert replaced.any(dim=1).double().mean().item() == pytest.approx(0.3, abs=0.03)


def test_grid_and_needed_width() -> None:
    grid = capacity_grid(lambda width, noise: 1 - noise / width, [1, 2, 8], [0.0, 0.5])
    torch.testing.assert_close(grid, torch.tensor([[1.0, 0.5], [1.0, 0.75], [1.0, 0.9375]]))
    assert needed_width(grid, [1, 2, 8], within=0.0) == [1, 8]
    assert needed_width(grid, [1, 2, 8], within=0.2) == [1, 2]


def test_fit_by_group_by_hand() -> None:
    true = torch.tensor([0, 1, 2, 0, 1])
    given_labels = torch.tensor([0, 1, 1, 1, 2])
    predicted = torch.tensor([0, 2, 1, 0, 0])
    fitted = fit_by_group(predicted, given_labels, true)
    assert fitted == pytest.approx((1 / 2, 1 / 3, 1 / 3))
    assert fit_by_group(true, true, true).memorised != 0  # NaN: nobody to memorise


@given(n=st.integers(1, 40), d=st.integers(1, 6), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_exact_network_fits_anything(n: int, d: int, seed: int) -> None:
    points = torch.randn(n, d, generator=source(seed))
    targets = torch.randn(n, generator=source(seed + 1))
    network = fit_exactly(points, targets, generator=source(seed))
    assert sum(weight.numel() for weight in network.parameters()) == 2 * n + d
    torch.testing.assert_close(network(points), targets.double(), atol=1e-6, rtol=1e-6)


def test_exact_network_solves_the_triangular_system() -> None:
    points = torch.randn(12, 3, generator=source())
    targets = torch.randn(12, generator=source(1))
    network = fit_exactly(points, targets, generator=source(2))
    along = (points.double() @ network.direction).sort()
    matrix = (along.values[:, None] - network.thresholds).relu()
    assert matrix.equal(matrix.tril())
    assert bool((matrix.diagonal() > 0).all())
    by_solver = torch.linalg.solve_triangular(
        matrix, targets.double()[along.indices][:, None], upper=False
    )[:, 0]
    torch.testing.assert_close(network.weights.detach(), by_solver.detach())
    # forgetting to carry the targets along when the points are sorted would be seen
    unsorted = fit_exactly(points, targets[along.indices], direction=network.direction.detach())
    assert (unsorted(points) - targets).abs().max() > 0.1


def test_exact_network_with_a_thousand_random_labels() -> None:
    points = torch.randn(1000, 64, generator=source())
    labels = torch.randint(10, (1000,), generator=source(1))
    network = fit_exactly(points, labels.double(), generator=source(2))
    assert network(points).round().long().equal(labels)


def test_mlp_counts_and_fits_one_batch() -> None:
    torch.manual_seed(0)
    for layers in (1, 3):
        model = MLP(16, 7, 5, hidden_layers=layers)
        held = sum(weight.numel() for weight in model.parameters())
        assert held == mlp_parameters(16, 7, 5, hidden_layers=layers)
    model, images = MLP(16, 64, 5, hidden_layers=2), pictures(20, 1, 4, 4)
    labels = torch.randint(5, (20,), generator=source())  # nonsense
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert model(images).argmax(dim=1).equal(labels)


def test_mlp_by_hand() -> None:
    model = MLP(2, 3, 1)
    x = torch.randn(4, 2, generator=source())
    first, last = model.hidden[0], model.last
    by_hand = (x @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    torch.testing.assert_close(model(x), by_hand)


def test_bad_input() -> None:
    images, labels = pictures(3, 1, 2, 2), torch.tensor([0, 1, 2])
    draw = {"num_classes": 3, "generator": source()}
    for share in (-0.1, 1.1, float("nan")):
        with rejects("share must be"):
            plain.corrupt_labels(labels, share, **draw)
        with rejects("share must be"):
            plain.noisy_inputs(images, share, generator=source())
    with rejects("at least 2 classes, got 1"):
        plain.corrupt_labels(labels * 0, 0.5, num_classes=1, generator=source(), wrong=True)
    with rejects("0 … 1, got 0 … 2"):
        plain.corrupt_labels(labels, 0.5, num_classes=2, generator=source())
    for order in ([0, 1, 2], [0, 1, 2, 2], [1, 2, 3, 4]):
        with rejects("permutation of 0 … 3"):
            plain.shuffle_pixels(images, torch.tensor(order))
    with rejects("at least one picture"):
        plain.gaussian_pixels(images[:0], generator=source())
    with rejects("variant must be one of"):
        plain.zhang_variant(images, labels, "noise", **draw)
    with rejects("a label per picture"):
        plain.zhang_variant(images, labels[:2], "gaussian", **draw)
    with rejects("widths must be"):
        plain.capacity_grid(lambda w, n: 0.0, [2, 1], [0.0])
    with rejects("share of noise"):
        plain.capacity_grid(lambda w, n: 0.0, [1], [])
    with rejects("a row without NaN per width"):
        plain.needed_width(torch.zeros(2, 2), [1])
    with rejects("equal lengths"):
        plain.fit_by_group(labels, labels, labels[:1])
    for points, targets in ((images[0, 0], labels), (torch.zeros(0, 2), torch.zeros(0))):
        with rejects("a target for each"):
            plain_exact.fit_exactly(points, targets)
    with rejects("finite"):
        plain_exact.fit_exactly(torch.tensor([[float("nan")]]), torch.zeros(1))
    with rejects("points 0 and 2 are the same"):
        plain_exact.fit_exactly(torch.tensor([[1.0], [5.0], [1.0]]), torch.zeros(3))
    with rejects("need vectors"):
        plain_exact.ExactNetwork(torch.zeros(2), torch.zeros(3), torch.zeros(2))
    with rejects(r"points must be \(count, 2\)"):
        plain_exact.fit_exactly(torch.eye(2), torch.zeros(2))(torch.zeros(4, 3))
    with rejects("at least 1"):
        plain_mlp.MLP(4, 0, 2)
    with rejects("need 4 inputs, got 5"):
        plain_mlp.MLP(4, 3, 2)(torch.zeros(1, 5))
