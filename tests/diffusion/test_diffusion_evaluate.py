"""The distances that judge samples, against closed forms and plain loops."""

import pytest
import torch
from helpers import BadInput, rejects, unchecked
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.diffusion import frechet_distance, nearest_distances

plain = unchecked("mmcourse.diffusion.evaluate")


def cloud(count: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) @ torch.randn(
        width, width, generator=generator
    ) + torch.randn(width, generator=generator)


def test_one_dimension_by_hand() -> None:
    """(μ_a − μ_b)² + (σ_a − σ_b)²."""
    a, b = cloud(50, 1, 0), cloud(30, 1, 1)
    expected = (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-4)


def test_many_dimensions_against_the_matrix_root() -> None:
    """tr (Σ_a Σ_b)^½ from the eigenvalues of the product itself, which is not symmetric."""
    a, b = cloud(200, 6, 0).double(), cloud(150, 6, 1).double()
    eigenvalues = torch.linalg.eigvals(a.T.cov() @ b.T.cov()).real
    expected = (
        (a.mean(0) - b.mean(0)).square().sum()
        + a.T.cov().trace()
        + b.T.cov().trace()
        - 2 * eigenvalues.sqrt().sum()
    )
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-6)


class Flat(torch.nn.Module):
    """Features for torchmetrics' FID: the pixels themselves."""

    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().flatten(1)


def test_it_is_the_fid_of_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.uint8}
    real = torch.randint(0, 255, (90, 3, 2, 2), **options)
    fake = torch.randint(40, 200, (70, 3, 2, 2), **options)
    fid = FrechetInceptionDistance(feature=Flat(), input_img_size=(3, 2, 2))
    fid.set_dtype(torch.float64)
    fid.update(real, real=True)
    fid.update(fake, real=False)
    features = Flat()
    ours = frechet_distance(features(real), features(fake))
    assert ours == pytest.approx(fid.compute().item(), rel=1e-5)
    # a covariance divided by n, as numpy's default does not, would be seen
    shrunk = [
        x.mean(0) + (x - x.mean(0)) * (1 - 1 / len(x)) ** 0.5 for x in map(features, (real, fake))
    ]
    assert frechet_distance(*shrunk) != pytest.approx(fid.compute().item(), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 6), count=st.integers(2, 40))
def test_it_behaves_like_a_distance(seed: int, width: int, count: int) -> None:
    a, b = cloud(count, width, seed), cloud(count + 3, width, seed + 1)
    forth, back = frechet_distance(a, b), frechet_distance(b, a)
    scale = 1 + a.square().mean().item() + b.square().mean().item()
    assert forth >= 0
    assert forth == pytest.approx(back, rel=1e-3, abs=1e-4 * scale)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-3 * scale)
    # A shift adds its squared length, and nothing else.
    moved = frechet_distance(a, a + 2)
    assert moved == pytest.approx(4 * width, rel=1e-2, abs=1e-3 * scale)


def test_nearest_equals_a_loop() -> None:
    a, b = torch.randn(7, 1, 3, 3), torch.randn(11, 1, 3, 3)
    loop = [min((x - y).square().sum().sqrt().item() for y in b) for x in a]
    torch.testing.assert_close(nearest_distances(a, b), torch.tensor(loop))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 20))
def test_copies_are_at_distance_zero(seed: int, count: int) -> None:
    b = cloud(count, 5, seed)
    assert nearest_distances(b, b).abs().max() == 0
    assert (nearest_distances(b + 1, torch.cat([b, b + 1])) < 1e-5).all()


def test_bad_input_is_named() -> None:
    good = torch.randn(4, 3)
    for wrong in (torch.randn(4), torch.randn(1, 3), torch.ones(4, 3, dtype=torch.long)):
        with rejects("features must be a float matrix"):
            plain.frechet_distance(good, wrong)
    with rejects("equally wide"):
        plain.frechet_distance(good, torch.randn(4, 2))
    with rejects("non-empty with items of one shape"):
        plain.nearest_distances(good, torch.randn(4, 2))
    with rejects("non-empty"):
        nearest_distances(good, good[:0])
    with pytest.raises(BadInput):
        nearest_distances(good, torch.randn(4, 2))
