"""The views that train SimCLR: which of the operators, how often, and how strong."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmcourse.selfsupervision.augment import crop_boxes, gaussian_blur, resized_crop
from mmcourse.selfsupervision.color import check_images, color_jitter, grayscale, jitter_amounts


def _some(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Which of `count` pictures are chosen, each with the same probability."""
    return torch.rand(count, generator=generator) < probability


def _views(
    images: Tensor,
    *,
    generator: torch.Generator,
    strength: float | tuple[float, float, float, float],
    scale: tuple[float, float],
    flip: float,
    jitter: float,
    drop: float,
    blur: float,
    additive: bool,
) -> Tensor:
    """The policy of `random_view`, step by step."""
    count, height, width = len(images), *images.shape[2:]
    boxes = crop_boxes(count, height, width, scale=scale, generator=generator).to(images.device)
    out = resized_crop(images, boxes, flip=_some(count, flip, generator))

    (chosen,) = torch.where(_some(count, jitter, generator))
    if len(chosen):
        amounts, order = jitter_amounts(
            len(chosen), strength, additive=additive, generator=generator
        )
        out[chosen] = color_jitter(out[chosen], amounts.to(out), order, additive=additive)

    (chosen,) = torch.where(_some(count, drop, generator))
    if len(chosen):
        out[chosen] = grayscale(out[chosen])

    (chosen,) = torch.where(_some(count, blur, generator))
    if len(chosen):
        sigma = 0.1 + 1.9 * torch.rand(len(chosen), generator=generator)
        out[chosen] = gaussian_blur(out[chosen], sigma)
    return out


def random_view(
    images: Float[Tensor, "batch 3 height width"],
    *,
    generator: torch.Generator,
    strength: float | tuple[float, float, float, float] = 1.0,
    scale: tuple[float, float] = (0.08, 1.0),
    flip: float = 0.5,
    jitter: float = 0.8,
    drop: float = 0.2,
    blur: float = 0.5,
    additive: bool = False,
) -> Float[Tensor, "batch 3 height width"]:
    """One random view of every picture, by the policy that SimCLR trains with.

    Crop, resize and flip; then colour jitter; then the colour dropped; then blur.

    Args:
        images: in [-1, 1].
        generator: on the CPU.
        strength: of the jitter (s of the paper), 1.0 for ImageNet, 0.5 for CIFAR-10; or its
            four widest amounts, see `jitter_amounts`.
        scale: smallest and largest share of the picture that a crop keeps.
        flip, jitter, drop, blur: probabilities; blur is 0 for CIFAR-10.
        additive: brightness is added, as in v1 of the code; else multiplied, as in v2.

    Returns:
        the views, in [-1, 1].

    Raises:
        ValueError: pictures, strength or scale that are not such.

    Source: Chen et al. 2020, arXiv:2002.05709, appendix A; blur widths are uniform in
        [0.1, 2] pixels. Resizing is bilinear here, bicubic there.
    """
    check_images(images)
    policy = {"strength": strength, "scale": scale, "flip": flip, "jitter": jitter}
    policy |= {"drop": drop, "blur": blur, "additive": additive}
    # a few pictures at a time, so that what lies between two steps stays in the cache
    few = max(1, 2**18 // images[0].numel()) if images.device.type == "cpu" else len(images)
    return torch.cat([_views(part, generator=generator, **policy) for part in images.split(few)])


def two_views(
    images: Float[Tensor, "batch 3 height width"], *, generator: torch.Generator, **policy: Any
) -> tuple[Tensor, Tensor]:
    """Two independent views of every picture: the positive pairs of a batch.

    Args:
        images: in [-1, 1].
        generator: on the CPU.
        policy: as in `random_view`.

    Source: Chen et al. 2020, arXiv:2002.05709, §2.1.
    """
    first, second = random_view(torch.cat([images, images]), generator=generator, **policy).chunk(2)
    return first, second
