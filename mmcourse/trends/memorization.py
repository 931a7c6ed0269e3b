"""Can a network learn nonsense? Zhang's five kinds of data, Arpit's noise, and who was fitted."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

Images = Float[Tensor, "count channels height width"]
Labels = Int[Tensor, " count"]

VARIANTS = ("true labels", "random labels", "shuffled pixels", "random pixels", "gaussian")


class Examples(NamedTuple):
    """Things and their classes.

    Attributes:
        inputs: (count, …), floats.
        labels: (count,), integers from 0.
    """

    inputs: Float[Tensor, "count ..."]
    labels: Labels


class Fitted(NamedTuple):
    """What a model answers on its own training set, see `fit_by_group`; NaN for an empty group.

    Attributes:
        clean: share of the untouched examples answered with their label.
        memorised: share of the corrupted examples answered with the wrong label they were given.
        resisted: share of the corrupted examples answered with their true label all the same.
    """

    clean: float
    memorised: float
    resisted: float


def corrupt_labels(
    labels: Labels,
    share: float,
    *,
    num_classes: int,
    generator: torch.Generator | None,
    wrong: bool = False,
) -> Labels:
    """Replace each label, with probability `share`, by a random one.

    Zhang draws from all classes, so that one in `num_classes` keeps its label by luck; Nakkiran
    draws from the other classes only (`wrong`), so that `share` is the share of wrong labels.

    Args:
        labels: (count,), 0 … num_classes − 1.
        share: probability, in [0, 1]; each label is drawn for on its own.
        num_classes: ≥ 1, with `wrong` ≥ 2.
        generator: source of randomness.
        wrong: never the label that was there.

    Returns:
        new labels (count,).

    Raises:
        ValueError: share outside [0, 1], too few classes, or a label outside them.

    Source: Zhang et al. 2017, arXiv:1611.03530, §2.1; Nakkiran et al. 2019, arXiv:1912.02292, §4.
    """
    _check_share(share)
    if num_classes < 1 + wrong:
        raise ValueError(f"need at least {1 + wrong} classes, got {num_classes}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels must lie in 0 … {num_classes - 1}, "
            f"got {int(labels.min())} … {int(labels.max())}"
        )
    chosen = torch.rand(labels.shape, generator=generator, device=labels.device) < share
    drawn = torch.randint(
        int(wrong), num_classes, labels.shape, generator=generator, device=labels.device
    )
    other = (labels + drawn) % num_classes if wrong else drawn
    return torch.where(chosen, other, labels)


def shuffle_pixels(images: Images, order: Int[Tensor, " pixels"]) -> Images:
    """The same new order of the pixels in every picture; the channels of a pixel stay together.

    new pixel p = old pixel order[p]

    What can be learned without knowing who is whose neighbour can still be learned, and test
    pictures go through the same `order`.

    Args:
        images: (count, channels, height, width).
        order: a permutation of 0 … height · width − 1.

    Raises:
        ValueError: if `order` is no such permutation.

    Source: Zhang et al. 2017, arXiv:1611.03530, §2.1, "shuffled pixels".
    """
    height, width = images.shape[-2:]
    if order.sort().values.tolist() != list(range(height * width)):
        raise ValueError(f"order must be a permutation of 0 … {height * width - 1}")
    flat = rearrange(images, "n c h w -> n c (h w)")[..., order.to(images.device)]
    return rearrange(flat, "n c (h w) -> n c h w", h=height)


def random_pixels(images: Images, *, generator: torch.Generator | None) -> Images:
    """A new order of the pixels in every picture, each its own; channels stay together.

    Args:
        images: (count, channels, height, width).
        generator: source of randomness.

    Source: Zhang et al. 2017, arXiv:1611.03530, §2.1, "random pixels".
    """
    flat = rearrange(images, "n c h w -> n c (h w)")
    noise = torch.rand(len(flat), flat.shape[-1], generator=generator, device=images.device)
    order = noise.argsort(dim=1)[:, None].expand_as(flat)
    return rearrange(flat.gather(2, order), "n c (h w) -> n c h w", h=images.shape[-2])


def gaussian_pixels(images: Images, *, generator: torch.Generator | None) -> Images:
    """Pure noise instead of pictures: normal, with each channel's mean and variance over all.

    Args:
        images: (count, channels, height, width), at least one.
        generator: source of randomness.

    Returns:
        as many pictures, not cut off at [-1, 1].

    Raises:
        ValueError: without a picture.

    Source: Zhang et al. 2017, arXiv:1611.03530, §2.1, "Gaussian".
    """
    if not images.numel():
        raise ValueError("need at least one picture to match, got none")
    mean = images.mean(dim=(0, 2, 3), keepdim=True)
    spread = images.std(dim=(0, 2, 3), keepdim=True, correction=0)
    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return mean + spread * noise


def zhang_variant(
    images: Images,
    labels: Labels,
    variant: str,
    *,
    num_classes: int,
    generator: torch.Generator | None,
) -> Examples:
    """One of the five data sets on which a network reaches 100 % of its training set.

    Args:
        images: (count, channels, height, width).
        labels: (count,).
        variant: one of `VARIANTS`; only "random labels" changes the labels.
        num_classes: random labels are drawn from all of them.
        generator: source of randomness.

    Raises:
        ValueError: unknown variant, or labels and pictures that differ in number.

    Source: Zhang et al. 2017, "Understanding deep learning requires rethinking generalization",
        arXiv:1611.03530, §2.1 and figure 1.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {VARIANTS}, got {variant!r}")
    if len(images) != len(labels):
        raise ValueError(f"need a label per picture, got {len(images)} and {len(labels)}")
    if variant == "random labels":
        labels = corrupt_labels(labels, 1.0, num_classes=num_classes, generator=generator)
    elif variant == "shuffled pixels":
        pixels = images.shape[-2] * images.shape[-1]
        device = generator.device if generator is not None else images.device
        order = torch.randperm(pixels, generator=generator, device=device)
        images = shuffle_pixels(images, order)
    elif variant == "random pixels":
        images = random_pixels(images, generator=generator)
    elif variant == "gaussian":
        images = gaussian_pixels(images, generator=generator)
    return Examples(images, labels)


def noisy_inputs(images: Images, share: float, *, generator: torch.Generator | None) -> Images:
    """Replace each picture, with probability `share`, by Gaussian noise; labels stay (randX).

    Args:
        images: (count, channels, height, width), at least one.
        share: probability, in [0, 1].
        generator: source of randomness.

    Raises:
        ValueError: share outside [0, 1], or no picture.

    Source: Arpit et al. 2017, "A Closer Look at Memorization in Deep Networks",
        arXiv:1706.05394; their randY is `corrupt_labels`.
    """
    _check_share(share)
    chosen = torch.rand(len(images), generator=generator, device=images.device) < share
    return torch.where(
        chosen[:, None, None, None], gaussian_pixels(images, generator=generator), images
    )


def capacity_grid(
    score: Callable[[int, float], float], widths: Sequence[int], noises: Sequence[float]
) -> Float[Tensor, "widths noises"]:
    """Score of every width at every share of noise, narrow widths first.

    Args:
        score: trains a network of this width under this noise and says how well it does.
        widths: rows, increasing.
        noises: columns.

    Raises:
        ValueError: nothing to do, or widths that do not increase.

    Source: Arpit et al. 2017, arXiv:1706.05394, figure 5 (two-layer MLPs on noisy MNIST).
    """
    _check_widths(widths)
    if not noises:
        raise ValueError("need at least one share of noise, got none")
    return torch.tensor([[float(score(width, noise)) for noise in noises] for width in widths])


def needed_width(
    grid: Float[Tensor, "widths noises"], widths: Sequence[int], *, within: float = 0.01
) -> list[int]:
    """For each share of noise the smallest width that is nearly as good as the best one.

    Args:
        grid: scores, larger is better (see `capacity_grid`).
        widths: of the rows, increasing.
        within: how far below the best score of its column, ≥ 0.

    Raises:
        ValueError: rows and widths that differ, NaN, or within below 0.

    Source: none; it reads Arpit's figure 5 as numbers.
    """
    _check_widths(widths)
    if grid.ndim != 2 or len(grid) != len(widths) or within < 0 or bool(grid.isnan().any()):
        raise ValueError(
            f"need a row without NaN per width and within ≥ 0, got {tuple(grid.shape)} for "
            f"{len(widths)} widths and {within}"
        )
    enough = grid >= grid.max(dim=0).values - within
    return [widths[i] for i in enough.int().argmax(dim=0).tolist()]


def fit_by_group(predicted: Labels, given: Labels, true: Labels) -> Fitted:
    """How a model answers on its own training set, for untouched and corrupted examples apart.

    Args:
        predicted: its answers (count,).
        given: the labels it was trained on.
        true: the labels before corruption; where these differ, the example is corrupted.

    Raises:
        ValueError: three different lengths.

    Source: after Arpit et al. 2017, arXiv:1706.05394: patterns first, noise last.
    """
    if not len(predicted) == len(given) == len(true):
        raise ValueError(f"need equal lengths, got {len(predicted)}, {len(given)}, {len(true)}")
    corrupted = given != true

    def share(hit: Tensor) -> float:
        return hit.double().mean().item()

    return Fitted(
        clean=share((predicted == given)[~corrupted]),
        memorised=share((predicted == given)[corrupted]),
        resisted=share((predicted == true)[corrupted]),
    )


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}")


def _check_widths(widths: Sequence[int]) -> None:
    if not widths or list(widths) != sorted(set(widths)) or widths[0] < 1:
        raise ValueError(f"widths must be at least 1 and increase, got {list(widths)}")
