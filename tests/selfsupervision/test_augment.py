"""The augmentations against torchvision's functional operators, scipy, and what must hold."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import torch
import torchvision.transforms.v2.functional as tv
from helpers import BadInput, rejects, unchecked
from hypothesis import given
from hypothesis import strategies as st

from mmcourse.selfsupervision.augment import (
    crop_boxes,
    cutout,
    gaussian_blur,
    gaussian_noise,
    resized_crop,
    rotate_quarters,
    sobel,
)
from mmcourse.selfsupervision.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    color_jitter,
    grayscale,
    jitter_amounts,
    luma,
)
from mmcourse.selfsupervision.views import random_view, two_views

plain = unchecked("mmcourse.selfsupervision.augment")
views = unchecked("mmcourse.selfsupervision.views")
colors = unchecked("mmcourse.selfsupervision.color")
CLOSE = {"rtol": 0, "atol": 2e-5}
GRAY = {"rtol": 0, "atol": 4e-4}  # torchvision's three weights of grey sum to 0.9999


def images(count: int = 6, height: int = 20, width: int = 14, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=source(seed)) * 2 - 1


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unit(x: torch.Tensor) -> torch.Tensor:
    """From [-1, 1] to torchvision's [0, 1]."""
    return (x + 1) / 2


def one_by_one(theirs, x: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
    return torch.stack([theirs(p, float(a)) for p, a in zip(unit(x), amounts, strict=True)])


# ---- against torchvision ----


@pytest.mark.parametrize("size", [None, (9, 23), (40, 5)])
def test_crop_resize_flip(size: tuple[int, int] | None) -> None:
    x = images(12)
    boxes = crop_boxes(12, 20, 14, generator=source())
    flip = torch.arange(12) % 3 == 0
    theirs = []
    for picture, box, mirrored in zip(x, boxes.int().tolist(), flip, strict=True):
        cut = tv.resized_crop(picture, *box, size=list(size or (20, 14)), antialias=True)
        theirs.append(tv.horizontal_flip(cut) if mirrored else cut)
    torch.testing.assert_close(resized_crop(x, boxes, size, flip), torch.stack(theirs), **CLOSE)


def test_the_whole_picture_is_the_picture_and_without_clamping_it_would_bleed() -> None:
    x = images()
    whole = torch.tensor([[0.0, 0, 20, 14]]).expand(6, 4)
    torch.testing.assert_close(resized_crop(x, whole), x)
    half = torch.tensor([[0.0, 0, 10, 14]]).expand(6, 4)
    changed = x.clone()
    changed[:, :, 10:] = 9.0  # outside the crop: of no effect
    torch.testing.assert_close(resized_crop(changed, half), resized_crop(x, half))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (adjust_brightness, tv.adjust_brightness),
        (adjust_contrast, tv.adjust_contrast),
        (adjust_saturation, tv.adjust_saturation),
    ],
)
def test_factors(ours, theirs) -> None:
    x, factors = images(), torch.tensor([0.0, 0.3, 0.9, 1.0, 1.4, 1.8])
    torch.testing.assert_close(unit(ours(x, factors)), one_by_one(theirs, x, factors), **GRAY)


def test_hue() -> None:
    x, turns = images(), torch.tensor([-0.5, -0.2, 0.0, 0.1, 0.33, 0.5])
    x[0, :, :5] = 0.25  # grey has no hue
    x[1, 2] = x[1, 1]  # two channels equal
    ours = unit(adjust_hue(x, turns))
    torch.testing.assert_close(ours, one_by_one(tv.adjust_hue, x, turns), **CLOSE)
    torch.testing.assert_close(adjust_hue(x, torch.zeros(6)), x, **CLOSE)
    red = torch.tensor([1.0, -1, -1]).reshape(1, 3, 1, 1)
    green = torch.tensor([-1.0, 1, -1]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(adjust_hue(red, torch.tensor([1 / 3])), green, **CLOSE)


def test_grayscale() -> None:
    x = images()
    torch.testing.assert_close(unit(grayscale(x)), tv.rgb_to_grayscale(unit(x), 3), **GRAY)


@pytest.mark.parametrize("radius", [1, 3])
def test_blur(radius: int) -> None:
    x, sigma = images(), torch.tensor([0.1, 0.5, 0.9, 1.0, 1.5, 2.0])
    theirs = one_by_one(lambda p, s: tv.gaussian_blur(p, [2 * radius + 1] * 2, [s, s]), x, sigma)
    torch.testing.assert_close(unit(gaussian_blur(x, sigma, radius)), theirs, **CLOSE)


def test_quarters() -> None:
    x = images(5, 8, 8)
    turned = rotate_quarters(x, torch.arange(5))
    for k in range(5):
        torch.testing.assert_close(turned[k], tv.rotate(x[k], 90.0 * (k % 4)))


def test_every_order_of_the_jitter_is_that_of_torchvision() -> None:
    orders = torch.tensor(list(itertools.permutations(range(4))))
    x = images(24)
    amounts, _ = jitter_amounts(24, 1.0, generator=source(1))
    steps = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue]
    theirs = []
    for picture, given_, order in zip(unit(x), amounts.tolist(), orders.tolist(), strict=True):
        for operation in order:
            picture = steps[operation](picture, given_[operation])
        theirs.append(picture)
    ours = unit(color_jitter(x, amounts, orders))
    # a hue near a change of the largest channel amplifies the weights of grey
    assert (ours - torch.stack(theirs)).abs().quantile(0.999) < 1e-3
    assert (ours - torch.stack(theirs)).abs().max() < 0.02
    assert (ours - unit(color_jitter(x, amounts, orders.flip(1)))).abs().max() > 0.1


# ---- against scipy, and by hand ----


def test_sobel_is_scipys() -> None:
    x = images(3)
    gray = luma(x)[:, 0].double().numpy()
    for k in range(3):
        gradients = [scipy.ndimage.sobel(gray[k], axis, mode="nearest") / 4 for axis in (0, 1)]
        wanted = np.minimum(np.hypot(*gradients), 2) - 1
        np.testing.assert_allclose(sobel(x)[k, 0].numpy(), wanted, atol=1e-5)
    step = torch.ones(1, 3, 6, 6)
    step[..., 3:] = -1
    edges = sobel(step)[0, 0]
    assert edges[:, 2:4].eq(1).all()
    assert edges[:, :2].eq(-1).all()


def test_cutout_covers_a_square() -> None:
    x = torch.ones(2, 3, 8, 8)
    cut = cutout(x, torch.tensor([[0.5, 0.5], [0.0, 1.0]]), side=0.5)
    assert (cut[0, 0] == 0).sum() == 16
    assert (cut[0, :, 2:6, 2:6] == 0).all()
    assert (cut[1, 0] == 0).sum() == 4
    assert (cut[1, :, :2, 6:] == 0).all()


def test_brightness_is_added_in_v1_and_multiplied_in_v2() -> None:
    x = torch.tensor([-1.0, 0.0, 0.5]).reshape(1, 1, 1, 3).expand(1, 3, 1, 3)
    amount = torch.tensor([0.2])
    added = adjust_brightness(x, amount, additive=True)[0, 0, 0]
    torch.testing.assert_close(added, torch.tensor([-0.6, 0.4, 0.9]))
    times = adjust_brightness(x, 1 + amount)[0, 0, 0]
    torch.testing.assert_close(times, torch.tensor([-1.0, 0.2, 0.8]))


def test_noise_is_added_and_clamped() -> None:
    x, noise = images(), torch.randn(6, 3, 20, 14, generator=source(3))
    torch.testing.assert_close(gaussian_noise(x, noise, 0.3), (x + 0.3 * noise).clamp(-1, 1))


# ---- what is drawn ----


def test_boxes_are_those_of_the_paper() -> None:
    boxes = crop_boxes(20_000, 224, 224, generator=source())
    top, left, height, width = boxes.unbind(1)
    assert (boxes == boxes.round()).all()
    assert (top >= 0).all()
    assert (top + height <= 224).all()
    assert (left + width <= 224).all()
    area = height * width / 224**2
    assert 0.075 < area.min() < 0.085
    assert area.mean() == pytest.approx(0.54, abs=0.02)
    assert (width / height).log().mean().abs() < 0.01
    assert (width / height).max() < 4 / 3 + 0.02
    small = boxes[area < 0.2]
    assert small[:, 0].min() == 0
    assert (small[:, 0] + small[:, 2]).max() == 224


@pytest.mark.parametrize(("strength", "widest"), [(1.0, 0.8), (0.5, 0.4)])
def test_amounts_are_those_of_the_paper(strength: float, widest: float) -> None:
    amounts, order = jitter_amounts(5000, strength, generator=source())
    for column in range(3):
        assert amounts[:, column].min() == pytest.approx(1 - widest, abs=0.01)
        assert amounts[:, column].max() == pytest.approx(1 + widest, abs=0.01)
    assert amounts[:, 3].abs().max() == pytest.approx(0.2 * strength, abs=0.01)
    assert {tuple(row) for row in order.tolist()} == set(itertools.permutations(range(4)))
    added, _ = jitter_amounts(5000, strength, additive=True, generator=source())
    assert added[:, 0].min() == pytest.approx(-widest, abs=0.01)
    assert added[:, 0].max() == pytest.approx(widest, abs=0.01)
    four = jitter_amounts(5000, (0.1, 0.2, 0.3, 0.5), generator=source())[0]
    torch.testing.assert_close(four.amax(0), torch.tensor([1.1, 1.2, 1.3, 0.5]), atol=0.01, rtol=0)
    assert jitter_amounts(99, 2.0, generator=source())[0][:, 0].min() >= 0


def test_the_parts_of_the_policy_happen_as_often_as_asked() -> None:
    x = images(4000, 4, 4)
    whole = {"scale": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "drop": 0.0, "blur": 0.0}

    def changed(**policy: float) -> float:
        # a box of the whole area may still be longer than high: take the usual boxes away
        out = views.random_view(x, generator=source(), **{**whole, **policy})
        base = views.random_view(x, generator=source(), **whole)
        return ((out - base).abs().flatten(1).amax(1) > 1e-6).float().mean().item()

    assert changed() == 0
    assert changed(flip=0.5) == pytest.approx(0.5, abs=0.03)
    assert changed(jitter=0.8) == pytest.approx(0.8, abs=0.03)
    assert changed(drop=0.2) == pytest.approx(0.2, abs=0.03)
    assert changed(blur=0.5) == pytest.approx(0.5, abs=0.03)
    assert changed(blur=1.0) > 0.94  # the narrowest blurs change nothing


@given(st.integers(1, 5), st.integers(2, 40), st.integers(2, 40), st.integers(0, 999))
def test_views_are_pictures(count: int, height: int, width: int, seed: int) -> None:
    x = images(count, height, width, seed)
    first, second = two_views(x, generator=source(seed))
    again = two_views(x, generator=source(seed))
    assert first.shape == second.shape == x.shape
    assert first.dtype == x.dtype
    for view, same in zip((first, second), again, strict=True):
        assert view.isfinite().all()
        assert view.abs().max() <= 1 + 1e-5
        assert torch.equal(view, same)


def test_the_two_views_differ_and_the_pictures_stay() -> None:
    x = images(8, 16, 16)
    before = x.clone()
    first, second = two_views(x, generator=source())
    assert torch.equal(x, before)
    assert ((first - second).abs().flatten(1).amax(1) > 0.01).all()


def test_flat_pictures_stay_finite() -> None:
    for value in (-1.0, 0.0, 1.0):
        flat = torch.full((3, 3, 8, 8), value)
        assert random_view(flat, generator=source()).isfinite().all()
    assert random_view(images(1, 1, 1), generator=source(), blur=0.0).isfinite().all()


def test_autocast_leaves_pictures_alone() -> None:
    x = images(8, 16, 16)
    wanted = two_views(x, generator=source()), sobel(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = two_views(x, generator=source()), sobel(x)
    for one, other in zip((*wanted[0], wanted[1]), (*found[0], found[1]), strict=True):
        assert torch.equal(one, other)


# ---- what is refused ----


def test_bad_input_is_named() -> None:
    x = images()
    with rejects(r"float \(batch ≥ 1, 3, height, width\)"):
        views.random_view(x[0], generator=source())
    with rejects("float"):
        views.random_view((x * 255).to(torch.uint8), generator=source())
    with rejects("batch ≥ 1"):
        views.random_view(x[:0], generator=source())
    with rejects("scale must be 0 < smallest"):
        views.random_view(x, generator=source(), scale=(0.0, 1.0))
    with rejects("scale must be"):
        crop_boxes(2, 8, 8, scale=(0.5, 1.5), generator=source())
    with rejects("ratio must be"):
        crop_boxes(2, 8, 8, ratio=(2, 1), generator=source())
    with rejects(r"strength must be a number in \[0, 2.5\] or four .* got 3"):
        views.random_view(x, generator=source(), strength=3)
    with rejects("boxes must lie in the 20 × 14"):
        resized_crop(x[:1], torch.tensor([[0.0, 0, 21, 14]]))
    with rejects("need 6 boxes"):
        plain.resized_crop(x, torch.zeros(5, 4))
    with rejects("6 positive sigmas"):
        gaussian_blur(x, torch.zeros(6))
    with rejects("radius must be from 0 to 13"):
        gaussian_blur(x, torch.ones(6), 14)
    with rejects("square pictures"):
        rotate_quarters(x, torch.arange(6))
    with rejects("side in"):
        cutout(x, torch.zeros(6, 2), 0.0)
    with rejects("need 6 amounts"):
        colors.adjust_hue(x, torch.zeros(2))
    with rejects(r"amounts and order must be \(6, 4\)"):
        colors.color_jitter(x, torch.zeros(6, 4), torch.zeros(6, 3).long())
    with pytest.raises(BadInput):
        random_view(x[0], generator=source())
