"""Masked picture: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, holes

from mmcourse.widgets import MaskedPicture
from mmcourse.widgets.masked_picture import errors

IMAGES = np.zeros((2, 3, 6, 6))
GUESSES = np.zeros((2, 2, 1, 3, 6, 6))
MASKS = np.zeros((2, 2, 1, 3, 3), dtype=bool)
MASKS[..., 0] = True
GOOD: dict[str, Any] = {"ratios": [0.3, 0.6], "names": ["a", "b"]}

# ---- data and state ----


def test_errors_by_a_slow_loop() -> None:
    random = np.random.default_rng(0)
    image, guess = random.integers(0, 256, size=(2, 3, 4, 4)).astype(np.uint8)
    gone = random.random((4, 4)) < 0.5
    model, mean = [], []
    for c in range(3):
        seen = (image[c][~gone] / 127.5 - 1).mean()
        for y, x in zip(*np.nonzero(gone), strict=True):
            true = image[c, y, x] / 127.5 - 1
            model.append((guess[c, y, x] / 127.5 - 1 - true) ** 2)
            mean.append((seen - true) ** 2)
    np.testing.assert_allclose(errors(image, guess, gone), [np.mean(model), np.mean(mean)])


def test_only_removed_patches_are_carried() -> None:
    widget = holes()
    removed = 2 * 2 * (9 + 18 + 27)
    assert len(widget.data) == 2 * 3 * 24 * 24 + 12 * 5 + removed * 4 * 4 * 3


def test_it_says_what_is_seen() -> None:
    said = holes(picture=1, ratio=1, mask=1).alt
    assert said.startswith("“right”, mask 2: 18 of 36 patches removed (50 % asked for, 6 × 6")
    assert "with the mean colour of what is visible: 0." in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratios": [0.5]}, "ratios must be 2 rising shares"),
        ({"ratios": [0.6, 0.3]}, "rising"),
        ({"ratios": [0.5, 1.0]}, r"in \(0, 1\)"),
        ({"names": ["a"]}, "for 2 pictures, got 2 and 1"),
        ({"presets": [{"name": "x", "ratio": 2}]}, "ratio must be a whole number from 0 to 1"),
        ({"masks": MASKS[..., :2]}, "square grid"),
        ({"masks": ~MASKS & MASKS}, "each remove some patches and keep some"),
        ({"masks": MASKS | ~MASKS}, "each remove some patches and keep some"),
        ({"masks": MASKS * 0.5}, "bool"),
        ({"guesses": GUESSES[:, :1]}, "guesses must have the shape"),
        ({"images": IMAGES[:1]}, "for 1 pictures, got 2 and 2"),
        ({"images": IMAGES + 9}, r"\[-1, 1\]"),
    ],
)
def test_it_refuses(change: dict[str, Any], message: str) -> None:
    given = {"images": IMAGES, "guesses": GUESSES, "masks": MASKS, **GOOD, **change}
    with rejects(message):
        MaskedPicture(given.pop("images"), given.pop("guesses"), given.pop("masks"), **given)


# ---- the page against Python ----


def test_the_page_computes_the_same(run) -> None:
    code = """(() => {
      const [pictures, ratios, masks, side] = x.shape, size = x.image.reduce((a, b) => a * b);
      const all = Uint8Array.from(x.data), n = side * side, wide = Math.ceil(n / 8);
      const variants = pictures * ratios * masks, first = pictures * size;
      let start = first + variants * wide;
      return Array.from({ length: variants }, (_, v) => {
        const gone = m.unpack(all, first + v * wide, n);
        const at = Math.floor(v / ratios / masks), share = x.ratios[Math.floor(v / masks) % ratios];
        const image = all.subarray(at * size, (at + 1) * size);
        const count = gone.reduce((a, b) => a + b, 0);
        const end = start + (count * size) / n;
        const painted = m.paste(image, gone, all.subarray(start, end), x.image, side);
        start = end;
        const error = m.errors(image, painted, gone, x.image, side);
        return [m.sentence(x.names[at], v % masks, gone, share, error), Array.from(painted),
          Array.from(m.checked(image, gone, x.image, side))];
      });
    })()"""
    random = np.random.default_rng(1)
    images, guesses = random.uniform(-1, 1, (2, 3, 6, 6)), random.uniform(-1, 1, GUESSES.shape)
    masks = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1]).reshape(3, 3).astype(bool)
    masks = np.stack([np.roll(masks, k, axis=1) for k in range(4)]).reshape(2, 2, 1, 3, 3)
    names = {"shape": "shape", "image": "image_shape", "ratios": "ratios", "names": "names"}
    made = MaskedPicture(images, guesses, masks, **GOOD)
    given = {key: getattr(made, name) for key, name in names.items()}
    answers = run(code, {**given, "data": list(made.data)}, widget="masked_picture")
    for v, (sentence, painted, checked) in enumerate(answers):
        made.picture, made.ratio = divmod(v, 2)
        image, guess, gone = made._now()
        assert sentence == made._describe()
        np.testing.assert_array_equal(np.reshape(painted, (3, 6, 6)), np.where(gone, guess, image))
        grey = np.reshape(checked, (3, 6, 6))
        np.testing.assert_array_equal(grey[:, ~gone], image[:, ~gone])
        assert set(grey[:, gone].ravel()) <= {136, 168}


# ---- on a page ----


@pytest.mark.browser
def test_the_slider_says_the_share(show) -> None:
    with show(holes) as widget:
        slider = widget.get_by_label("Removed", exact=True)
        slider.focus()
        changes(widget, lambda: widget.page.keyboard.press("ArrowLeft"))
        assert slider.get_attribute("aria-valuetext") == "25 %"
        expect(widget.locator(".mm-summary")).to_contain_text("9 of 36 patches removed")
        expect(widget.locator(".mm-triple canvas")).to_have_count(3)


@pytest.mark.browser
def test_another_mask_hides_other_patches(show) -> None:
    with show(holes) as widget:
        changes(widget, lambda: widget.get_by_label("Mask", exact=True).select_option("2"))
        expect(widget.locator(".mm-summary")).to_contain_text("mask 2")
        first = widget.locator(".mm-triple canvas").first
        assert "grey checks stand for them" in (first.get_attribute("aria-label") or "")
