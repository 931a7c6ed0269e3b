"""Augmentation playground: its operators against the package's, what it says, a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import augmentation, changes

from mmcourse.selfsupervision import augment, color
from mmcourse.widgets import AugmentationPlayground
from mmcourse.widgets.augmentation_playground import OPERATORS

SIDE = 12


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def close(actual: Any, expected: torch.Tensor) -> None:
    """The page's picture in [0, 1] against one of ours in [-1, 1]."""
    wanted = (expected[0].flatten() + 1) / 2
    torch.testing.assert_close(torch.tensor(actual), wanted, atol=2e-5, rtol=0)


def flat(x: torch.Tensor) -> list[float]:
    return x.flatten().tolist()


@pytest.mark.parametrize("flip", [False, True])
def test_crops(run, flip: bool) -> None:
    for box in ([0, 0, 12, 12], [2, 3, 7, 5], [11, 0, 1, 12]):
        code = f"Array.from(m.crop(Float32Array.from(x), {SIDE}, {box}, {str(flip).lower()}))"
        boxes, mirrored = torch.tensor([box]).float(), torch.tensor([flip])
        wanted = augment.resized_crop(image() * 2 - 1, boxes, flip=mirrored)
        close(run(code, flat(image()), widget="augmentation_playground"), wanted)


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("gray(v)", color.grayscale),
        ("hue(v, 0.3)", lambda x: color.adjust_hue(x, torch.tensor([0.3]))),
        ("hue(v, -0.45)", lambda x: color.adjust_hue(x, torch.tensor([-0.45]))),
        ("turn(v, 12, 1)", lambda x: augment.rotate_quarters(x, torch.tensor([1]))),
        ("turn(v, 12, 3)", lambda x: augment.rotate_quarters(x, torch.tensor([3]))),
        ("cutout(v, 12, [0.3, 0.9], 0.5)", lambda x: augment.cutout(x, torch.tensor([[0.3, 0.9]]))),
        ("blur(v, 12, 0.8, 2)", lambda x: augment.gaussian_blur(x, torch.tensor([0.8]), 2)),
        ("sobel(v, 12)", augment.sobel),
    ],
)
def test_operators(run, code: str, ours: Any) -> None:
    asked = f"Array.from(m.{code.replace('(v', '(Float32Array.from(x)', 1)})"
    close(run(asked, flat(image(1)), widget="augmentation_playground"), ours(image(1) * 2 - 1))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]])
def test_jitter(run, order: list[int]) -> None:
    given = [1.4, 0.6, 1.7, -0.15]
    code = f"Array.from(m.jitter(Float32Array.from(x), {given}, {order}))"
    wanted = color.color_jitter(image() * 2 - 1, torch.tensor([given]), torch.tensor([order]))
    close(run(code, flat(image()), widget="augmentation_playground"), wanted)


def test_strength_nought_changes_nothing_and_ten_does(run) -> None:
    for i in range(10):
        code = f"Array.from(m.operate(Float32Array.from(x), 12, {i}, t, m.random(3)))"
        code = f"[0, 1].map((t) => {code})"
        none, full = run(code, flat(image()), widget="augmentation_playground")
        original = flat(image())
        if i not in (1, 2):  # a crop of the whole area may still differ in its shape
            assert np.abs(np.array(none) - original).max() < 1e-6
        assert (np.abs(np.array(full) - original).max() > 0.05) == (i > 0)
        assert 0 <= min(full) <= max(full) <= 1


def test_random_numbers_are_uniform_and_follow_the_seed(run) -> None:
    code = "[1, 1, 2].map((s) => { const n = m.random(s); return Array.from({length: 2000}, n); })"
    one, same, other = (np.array(v) for v in run(code, widget="augmentation_playground"))
    assert (one == same).all()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    assert one.mean() == pytest.approx(0.5, abs=0.03)
    assert one.var() == pytest.approx(1 / 12, abs=0.01)


def test_the_page_says_the_same_sentence(run) -> None:
    for operator in range(10):
        made = augmentation(operator=operator, strength=operator, draw=operator % 8)
        given = [made.names[made.picture], operator, operator, operator % 8]
        assert run("m.sentence(...x)", given, widget="augmentation_playground") == made._describe()
    assert "Trained with: no, only studied" in augmentation(operator=6).alt
    assert "Trained with: yes." in augmentation(operator=4).alt
    assert len(OPERATORS) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "names must be 2, got 1"),
        ({"operator": 10}, "operator must be a whole number from 0 to 9"),
        ({"strength": 11}, "strength must be a whole number from 0 to 10"),
        ({"draw": 8}, "draw must be a whole number from 0 to 7"),
        ({"picture": 2}, "picture must be a whole number from 0 to 1"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        AugmentationPlayground(np.zeros((2, 3, 8, 8)), **{"names": ["a", "b"], **options})


def test_it_refuses_pictures() -> None:
    for bad in (np.zeros((1, 1, 8, 8)), np.zeros((1, 3, 8, 9))):
        with rejects("images must be"):
            AugmentationPlayground(bad, names=["a"])


@pytest.mark.browser
def test_a_panel_is_chosen(show) -> None:
    with show(augmentation) as widget:
        said = widget.locator(".mm-summary")
        expect(widget.locator(".mm-panels canvas")).to_have_count(10)
        changes(widget, widget.locator(".mm-panels canvas").nth(9).click)
        expect(said).to_contain_text("panel (j): Sobel filtering")
        expect(widget.locator(".mm-panels .mm-on")).to_have_count(1)
        changes(widget, lambda: widget.get_by_label("Random draw").select_option("3"))
        expect(said).to_contain_text("random draw 3")
