"""The augmentations of SimCLR on whole batches: the operators; `views` holds the policy.

Cropping, resizing, flipping and blurring mix pixels along rows and along columns only. Each is
therefore a small matrix for the height and one for the width, and a batch of pictures is one
batched matrix product. Every picture has its own random numbers.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmcourse.selfsupervision.color import check_images, luma

IMAGES = Float[Tensor, "batch channels height width"]
EACH = Float[Tensor, "batch"]


def mix_pixels(
    images: IMAGES,
    rows: Float[Tensor, "batch newheight height"],
    columns: Float[Tensor, "batch newwidth width"],
) -> Float[Tensor, "batch channels newheight newwidth"]:
    """A picture between two matrices:  R x Cᵀ  in every channel."""
    with torch.autocast(images.device.type, enabled=False):  # pictures keep their precision
        return rows[:, None] @ images @ columns[:, None].mT


# ---- crop, resize, flip ----


def crop_boxes(
    count: int,
    height: int,
    width: int,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    generator: torch.Generator,
) -> Float[Tensor, "count 4"]:
    """Random boxes (top, left, height, width) in whole pixels.

    The box's share of the picture is uniform in `scale`, the logarithm of width / height
    uniform within that of `ratio`. A box that is too long for the picture is cut to it.

    Raises:
        ValueError: unless 0 < smaller ≤ larger, and scale ≤ 1.

    Source: Szegedy et al. 2014, arXiv:1409.4842, §6; the ranges are those of SimCLR. (Google's
        code draws again where this one cuts.)
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"scale must be 0 < smallest ≤ largest ≤ 1, got {scale}")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio must be 0 < smallest ≤ largest, got {ratio}")
    share, shape, y, x = torch.rand(4, count, generator=generator)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * share)
    low, high = torch.tensor(ratio).log()
    side = torch.exp((low + (high - low) * shape) / 2)
    h = (area.sqrt() / side).round().clamp(1, height)
    w = (area.sqrt() * side).round().clamp(1, width)
    top, left = ((y * (height - h + 1)).floor(), (x * (width - w + 1)).floor())
    return torch.stack([top, left, h, w], dim=1)


def resize_matrix(start: EACH, length: EACH, old: int, new: int) -> Float[Tensor, "batch new old"]:
    """Row o holds the weights of the old pixels in the new pixel o of a piece of a line.

    A triangle around the place that o comes from; it is wider than a pixel only where the piece
    is made smaller, so that nothing is skipped. Pixels outside the piece have no weight.
    """
    start, length = start[:, None, None], length[:, None, None]
    new_middles = (torch.arange(new, device=start.device) + 0.5)[:, None]
    old_middles = torch.arange(old, device=start.device) + 0.5
    step = length / new
    weight = 1 - (old_middles - start - new_middles * step).abs() / step.clamp_min(1)
    inside = (old_middles > start) & (old_middles < start + length)
    weight = weight.clamp_min(0) * inside
    return weight / weight.sum(-1, keepdim=True)


def resized_crop(
    images: IMAGES,
    boxes: Float[Tensor, "batch 4"],
    size: int | tuple[int, int] | None = None,
    flip: Bool[Tensor, "batch"] | None = None,
) -> Float[Tensor, "batch channels newheight newwidth"]:
    """Cut a box out of every picture, enlarge it (bilinear), and mirror where `flip` says so.

    Args:
        images: any values.
        boxes: (top, left, height, width) in whole pixels, inside the picture.
        size: of the result; by default that of the pictures.
        flip: which pictures are mirrored left to right.

    Raises:
        ValueError: a box that does not lie in the picture, or not one a picture.
    """
    check_images(images, None)
    height, width = images.shape[2:]
    if boxes.shape != (len(images), 4):
        raise ValueError(f"need {len(images)} boxes of 4, got {tuple(boxes.shape)}")
    ends = boxes[:, :2] + boxes[:, 2:]
    limits = torch.tensor([height, width], device=boxes.device)
    if bool((boxes[:, :2] < 0).any() | (boxes[:, 2:] < 1).any() | (ends > limits).any()):
        raise ValueError(f"boxes must lie in the {height} × {width} picture, got {boxes.tolist()}")
    new = (size, size) if isinstance(size, int) else size or (height, width)
    top, left, h, w = boxes.to(images).unbind(1)
    columns = resize_matrix(left, w, width, new[1])
    if flip is not None:
        columns = torch.where(flip.to(images.device)[:, None, None], columns.flip(1), columns)
    return mix_pixels(images, resize_matrix(top, h, height, new[0]), columns)


# ---- blur, rotate, cut out, noise, edges ----


def blur_matrix(sigma: EACH, length: int, radius: int) -> Float[Tensor, "batch length length"]:
    """Row o holds a Gaussian of width sigma around o; beyond the border the line is mirrored."""
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    bell = torch.exp(-offsets.square() / (2 * sigma[:, None].square()))
    bell = bell / bell.sum(1, keepdim=True)
    place = (torch.arange(length, device=sigma.device)[:, None] + offsets).abs()  # left border
    place = torch.where(place >= length, 2 * (length - 1) - place, place)
    index = place.expand(len(sigma), -1, -1)
    return bell.new_zeros(len(sigma), length, length).scatter_add(
        2, index, bell[:, None].expand(-1, length, -1)
    )


def gaussian_blur(images: IMAGES, sigma: EACH, radius: int | None = None) -> IMAGES:
    """Blur every picture by its own width.

    Args:
        images: any values.
        sigma: > 0, in pixels.
        radius: pixels to each side that count; by default a twentieth of the height, at least
            1, so that the kernel is about a tenth of the picture, as in SimCLR.

    Raises:
        ValueError: a sigma that is not positive, or a radius that the picture cannot mirror.

    Source: Chen et al. 2020, arXiv:2002.05709, appendix A.
    """
    check_images(images, None)
    height, width = images.shape[2:]
    reach = min(max(1, height // 20), min(height, width) - 1) if radius is None else radius
    if sigma.shape != images.shape[:1] or not bool((sigma > 0).all()):
        raise ValueError(f"need {len(images)} positive sigmas, got {sigma.tolist()}")
    if not 0 <= reach < min(height, width):
        raise ValueError(f"radius must be from 0 to {min(height, width) - 1}, got {reach}")
    sigma = sigma.to(images)
    return mix_pixels(images, blur_matrix(sigma, height, reach), blur_matrix(sigma, width, reach))


def rotate_quarters(images: IMAGES, quarters: Int[Tensor, "batch"]) -> IMAGES:
    """Turn every (square) picture by 0, 1, 2 or 3 quarters, against the clock.

    Raises:
        ValueError: pictures that are not square, or not one number a picture.
    """
    check_images(images, None)
    if images.shape[2] != images.shape[3] or quarters.shape != images.shape[:1]:
        shapes = f"{tuple(images.shape)}, {tuple(quarters.shape)}"
        raise ValueError(f"need square pictures and one number each, got {shapes}")
    out = images.clone()
    for turn in (1, 2, 3):
        (chosen,) = torch.where(quarters % 4 == turn)
        out[chosen] = images[chosen].rot90(turn, (2, 3))
    return out


def cutout(images: IMAGES, centers: Float[Tensor, "batch 2"], side: float = 0.5) -> IMAGES:
    """Cover a square with middle grey (0).

    Args:
        images: in [-1, 1].
        centers: (y, x) as shares of height and width, in [0, 1]; what lies outside is cut off.
        side: of the square, as a share of the shorter side of the picture, in (0, 1].

    Source: DeVries & Taylor 2017, arXiv:1708.04552.
    """
    check_images(images, None)
    if centers.shape != (len(images), 2) or not 0 < side <= 1:
        shape = tuple(centers.shape)
        raise ValueError(f"need {len(images)} centers and a side in (0, 1], got {shape}, {side}")
    height, width = images.shape[2:]
    half = side * min(height, width) / 2
    centers = centers.to(images)
    y, x = (torch.arange(n, device=images.device) + 0.5 for n in (height, width))
    rows = (y - centers[:, :1] * height).abs() <= half
    columns = (x - centers[:, 1:] * width).abs() <= half
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def gaussian_noise(images: IMAGES, noise: IMAGES, sigma: float = 0.2) -> IMAGES:
    """The picture plus sigma times standard normal `noise`, kept in [-1, 1]."""
    check_images(images, None)
    return (images + sigma * noise).clamp(-1, 1)


def sobel(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """Edges: the length of the luma's gradient, from −1 (flat) to 1 (black beside white).

    Source: the filters [1 2 1]ᵀ[−1 0 1] / 4 of Sobel and Feldman, borders repeated.
    """
    gray = F.pad(luma(images), (1, 1, 1, 1), mode="replicate")
    kernel = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    with torch.autocast(images.device.type, enabled=False):
        gradient = F.conv2d(gray, torch.stack([kernel, kernel.T])[:, None])
    edges = gradient.norm(dim=1, keepdim=True).clamp(max=2) - 1
    return edges.expand_as(images).contiguous()
