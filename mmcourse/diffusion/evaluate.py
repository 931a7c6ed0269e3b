"""How good generated images are: close to the data as a whole, and copies of none of it."""

import torch
from jaxtyping import Float
from torch import Tensor


def frechet_distance(
    features_a: Float[Tensor, "count_a features"],
    features_b: Float[Tensor, "count_b features"],
) -> float:
    """Distance between two clouds of features, each taken for a Gaussian.

    d² = ‖μ_a − μ_b‖² + tr( Σ_a + Σ_b − 2 (Σ_a Σ_b)^{1/2} )

    It grows as the samples get fewer: compare only distances between equally many samples. With
    the pool features of an Inception network it is the "FID".

    Args:
        features_a: one row per image of the first set, at least 2.
        features_b: one row per image of the second set, at least 2.

    Returns:
        d² ≥ 0.

    Raises:
        ValueError: not two float matrices of equal width with at least 2 rows.

    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
        Nash Equilibrium", arXiv:1706.08500, equation 6; covariances divide by n − 1.
    """
    _check_features(features_a, features_b)
    a, b = features_a.double(), features_b.double()
    cov_a, cov_b = a.T.cov(), b.T.cov()
    cov_a, cov_b = cov_a.reshape(a.shape[1], -1), cov_b.reshape(b.shape[1], -1)
    # Σ_a Σ_b has the eigenvalues of the symmetric Σ_a^½ Σ_b Σ_a^½, whose roots are real.
    root_a = _root(cov_a)
    eigenvalues = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp(min=0)
    gap = (a.mean(0) - b.mean(0)).square().sum()
    distance = gap + cov_a.trace() + cov_b.trace() - 2 * eigenvalues.sqrt().sum()
    return max(distance.item(), 0.0)


def nearest_distances(
    a: Float[Tensor, "count_a *shape"], b: Float[Tensor, "count_b *shape"]
) -> Float[Tensor, "count_a"]:
    """How far each item of a set is from its nearest neighbour in another set.

    d_i = min_j ‖a_i − b_j‖

    A generator that has memorised its training set makes images nearer to it than new real ones.

    Args:
        a: the items to judge (count_a, …), for example generated images.
        b: the items to compare with (count_b, …), for example the training set.

    Returns:
        Euclidean distances (count_a,).

    Raises:
        ValueError: the items differ in shape, or a set is empty.

    Source: the closed form; computed in blocks of rows, by differences (exact for duplicates).
    """
    if a.shape[1:] != b.shape[1:] or len(a) == 0 or len(b) == 0:
        raise ValueError(
            "both sets must be non-empty with items of one shape, "
            f"got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    others, exact = b.flatten(1), "donot_use_mm_for_euclid_dist"
    blocks = a.flatten(1).split(1024)
    return torch.cat([torch.cdist(x, others, compute_mode=exact).amin(dim=1) for x in blocks])


def _root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def _check_features(a: Tensor, b: Tensor) -> None:
    for features in (a, b):
        if features.ndim != 2 or len(features) < 2 or not features.is_floating_point():
            raise ValueError(
                "features must be a float matrix with at least 2 rows, "
                f"got {features.dtype} {tuple(features.shape)}"
            )
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features must be equally wide, got {a.shape[1]} and {b.shape[1]}")
