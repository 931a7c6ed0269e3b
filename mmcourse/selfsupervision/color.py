"""Colour distortion on batches: every picture of the batch by its own amount."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

IMAGES = Float[Tensor, "batch 3 height width"]
AMOUNTS = Float[Tensor, "batch"]
WIDEST = (0.8, 0.8, 0.8, 0.2)  # brightness, contrast, saturation, hue at strength 1


def check_images(images: Tensor, channels: int | None = 3) -> None:
    """Raise ValueError unless this is a batch of float pictures."""
    fits = images.ndim == 4 and len(images) > 0 and min(images.shape[2:], default=0) > 0
    if (
        not fits
        or not images.is_floating_point()
        or (channels or images.shape[1]) != len(images[0])
    ):
        wanted = f"(batch ≥ 1, {channels or 'channels'}, height, width)"
        got = f"{images.dtype} of shape {tuple(images.shape)}"
        raise ValueError(f"images must be float {wanted} in [-1, 1], got {got}")


def _each(amounts: Tensor, images: Tensor) -> Tensor:
    """One number a picture, ready to be multiplied with it."""
    if amounts.shape != images.shape[:1]:
        raise ValueError(f"need {len(images)} amounts, one a picture, got {tuple(amounts.shape)}")
    return amounts.to(images)[:, None, None, None]


def luma(images: IMAGES) -> Float[Tensor, "batch 1 height width"]:
    """How bright each pixel looks: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    check_images(images)
    red, green, blue = images.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]


def grayscale(images: IMAGES) -> IMAGES:
    """The colour dropped: the luma in all three channels."""
    return luma(images).expand_as(images).contiguous()


def adjust_brightness(images: IMAGES, factor: AMOUNTS, *, additive: bool = False) -> IMAGES:
    """All values times a factor (SimCLR v2), or plus an amount (v1), black being 0 and white 1.

    Args:
        images: in [-1, 1].
        factor: ≥ 0, one a picture; with `additive` the amount added, in [-1, 1].

    Source: Google's `data_util.py` has both; torchvision multiplies.
    """
    check_images(images)
    amount = _each(factor, images)
    moved = images + 2 * amount if additive else (images + 1) * amount - 1
    return moved.clamp(-1, 1)


def adjust_contrast(images: IMAGES, factor: AMOUNTS) -> IMAGES:
    """Away from the picture's mean luma (factor > 1) or towards it (factor < 1)."""
    mean = luma(images).mean((2, 3), keepdim=True)
    return torch.lerp(mean, images, _each(factor, images)).clamp(-1, 1)


def adjust_saturation(images: IMAGES, factor: AMOUNTS) -> IMAGES:
    """Away from grey (factor > 1) or towards it (factor < 1)."""
    return torch.lerp(luma(images), images, _each(factor, images)).clamp(-1, 1)


def adjust_hue(images: IMAGES, turn: AMOUNTS) -> IMAGES:
    """Every colour moved along the colour circle; grey stays grey.

    Args:
        images: in [-1, 1].
        turn: in turns of the circle: 1/3 takes red to green, ±0.5 to the opposite colour.
    """
    check_images(images)
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    span = value - torch.minimum(torch.minimum(red, green), blue)
    # sixths of the circle from the largest channel: red 0, green 2, blue 4
    one = 1 / span.clamp_min(1e-8)
    hue = torch.where(
        red == value,
        (green - blue) * one,
        torch.where(green == value, 2 + (blue - red) * one, 4 + (red - green) * one),
    )
    hue = hue + 6 * _each(turn, images)[:, 0]
    # a channel is full near its own hue, empty on the other side, a ramp of one sixth between
    channels = []
    for own in (0, 2, 4):
        far = (hue - own) / 6
        far = (far - far.floor()).mul_(6).sub_(3).abs_()  # from the channel's opposite, 0 … 3
        channels.append(torch.addcmul(value, span, (2 - far).clamp_(0, 1), value=-1))
    return torch.stack(channels, dim=1)


def color_jitter(
    images: IMAGES,
    amounts: Float[Tensor, "batch 4"],
    order: Int[Tensor, "batch 4"],
    *,
    additive: bool = False,
) -> IMAGES:
    """Brightness, contrast, saturation and hue, every picture in its own order.

    Args:
        images: in [-1, 1].
        amounts: of brightness, contrast, saturation (factors) and hue (turns), a picture.
        order: which of the four comes first, second, third, fourth: a permutation a picture.
        additive: brightness is added, not multiplied, as in SimCLR v1.

    Source: Chen et al. 2020, arXiv:2002.05709, appendix A.
    """
    check_images(images)
    if order.shape != (len(images), 4) or amounts.shape != order.shape:
        shapes = f"{tuple(amounts.shape)} and {tuple(order.shape)}"
        raise ValueError(f"amounts and order must be ({len(images)}, 4), got {shapes}")
    out = images.clone()
    for turn in order.T:
        for operation in range(4):
            (chosen,) = torch.where(turn == operation)
            if len(chosen):
                given = amounts[chosen, operation]
                out[chosen] = _adjust(operation, out[chosen], given, additive)
    return out


def _adjust(operation: int, images: Tensor, amount: Tensor, additive: bool) -> Tensor:
    if operation == 0:
        return adjust_brightness(images, amount, additive=additive)
    return (adjust_contrast, adjust_saturation, adjust_hue)[operation - 1](images, amount)


def jitter_amounts(
    count: int,
    strength: float | tuple[float, float, float, float],
    *,
    additive: bool = False,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "count 4"], Int[Tensor, "count 4"]]:
    """Random amounts and orders for `color_jitter`, as SimCLR draws them.

    Args:
        count: of pictures.
        strength: s of the paper, which stands for (0.8 s, 0.8 s, 0.8 s, 0.2 s); or these four
            widest amounts b, c, a, h themselves. Brightness, contrast and saturation factors
            are uniform from max(0, 1 − b) to 1 + b, turns of the hue from −h to h.
        additive: the brightness is an amount from −b to b instead, as in v1.
        generator: on the CPU.

    Raises:
        ValueError: a negative amount, or a hue above 0.5, which would pass its opposite.

    Source: Chen et al. 2020, arXiv:2002.05709, appendix A.
    """
    wide = strength if isinstance(strength, tuple) else [strength * k for k in WIDEST]
    spread = torch.tensor(wide)
    if len(spread) != 4 or not bool((spread >= 0).all()) or spread[3] > 0.5 + 1e-6:
        wanted = "a number in [0, 2.5] or four ≥ 0 with the last ≤ 0.5"
        raise ValueError(f"strength must be {wanted}, got {strength}")
    middle = torch.tensor([0.0 if additive else 1.0, 1.0, 1.0, 0.0])
    low = middle - spread
    low = torch.where(middle == 1, low.clamp_min(0), low)
    amounts = low + (middle + spread - low) * torch.rand(count, 4, generator=generator)
    return amounts, torch.rand(count, 4, generator=generator).argsort(dim=1)
