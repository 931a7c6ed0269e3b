"""Patch attention: what it accepts and carries, and how it answers on a page."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from browser import open_page, violations
from helpers import rejects
from playwright.sync_api import Browser, Locator, expect
from widgets_page import page, patch_weights, patches, scene

from mmcourse.transformers import ViT, attention_rollout
from mmcourse.widgets import PatchAttention

IMAGES = np.stack([scene(24)] * 2)
PICTURES = "host => Array.from(host.querySelectorAll('canvas'), (c) => c.toDataURL())"


# ---- data and state ----


def test_the_weights_survive_as_bytes() -> None:
    given = patch_weights(side=6)
    widget = PatchAttention(IMAGES, given)
    kept = np.moveaxis(widget._weights, 0, 1)
    worst = np.abs(kept - given) / given.max(-1, keepdims=True)
    assert worst.max() < 1 / 400
    count = given.size
    start = IMAGES.size
    stored = np.frombuffer(widget.data[start : start + count], np.uint8)
    scale = np.frombuffer(widget.data[start + count :], "<f2").astype(float)
    read = stored.reshape(-1, 37) / 255 * scale[:, None]
    np.testing.assert_allclose(read, widget._weights.reshape(-1, 37))


def test_it_takes_what_a_vit_gives() -> None:
    torch.manual_seed(0)
    model = ViT(image_size=24, patch_size=4, embed_dim=16, num_layers=2, num_heads=2)
    images = torch.rand(3, 3, 24, 24) * 2 - 1
    with torch.no_grad():
        weights = model.attention(images)
    widget = PatchAttention(images, weights, names=["a", "b", "c"])
    assert (widget.layer, widget.head, widget.pinned) == (1, -1, 0)
    assert widget.shape == [3, 2, 2, 37]
    assert "“a”: the class token attends most to patch (row" in widget.alt


def test_rollout_is_that_of_the_chapter() -> None:
    weights = patch_weights()
    widget = PatchAttention(IMAGES, weights, layer=-1, pinned=5, picture=1)
    expected = attention_rollout(torch.as_tensor(weights))[1, 5]
    np.testing.assert_allclose(widget._row(), expected.numpy(), atol=2e-3)
    assert "all layers, rollout" in widget.alt


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[0], r"layers, pictures, heads, queries, keys.*\(2, 2, 17, 17\)"),
        (lambda w: -w, "at least 0, got -"),
        (lambda w: w * 2, "sum to 1 .* got a sum of 2"),
        (lambda w: w.swapaxes(-1, -2), "sum to 1 over the keys"),
        (lambda w: w[..., 1:, 1:], "square grid of patches, got 16 queries and 16 keys"),
        (lambda w: w[..., 1:], "got 17 queries and 16 keys"),
        (lambda w: w[:, :1], "for 2 pictures, got 1"),
        (lambda w: w * np.nan, "finite"),
    ],
)
def test_it_refuses_weights(change: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    with rejects(message):
        PatchAttention(IMAGES, change(patch_weights()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 3}, "layer must be a whole number from -1 to 2, got 3"),
        ({"head": 2}, "head must be a whole number from -1 to 1, got 2"),
        ({"pinned": 17}, "pinned must be a whole number from 0 to 16, got 17"),
        ({"picture": 2}, "picture must be a whole number from 0 to 1, got 2"),
        ({"names": ["a"]}, "names must name 2 pictures, got 1"),
        ({"presets": [{"name": "x", "token": 1}]}, "a preset has a name and some of"),
    ],
)
def test_it_refuses_states(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        PatchAttention(IMAGES, patch_weights(), **options)


def test_it_refuses_pictures() -> None:
    with rejects(r"\[-1, 1\]"):
        PatchAttention(IMAGES * 255, patch_weights())
    with rejects("1 or 3 channels"):
        PatchAttention(IMAGES[:, :2], patch_weights())
    with rejects("at most 100,000 bytes"):
        PatchAttention(IMAGES, patch_weights(side=14))


# ---- on a page ----


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The address of a page with the widget, in a theme."""
    folder = tmp_path_factory.mktemp("patches")
    widget = patches(caption="A caption.")
    return lambda theme: page(folder / f"{theme}.html", [widget], theme=theme)


def shown(opened: Any) -> Locator:
    host = opened.locator(".mm-host").first
    expect(host.locator(".mm-summary")).not_to_be_empty()
    return host


def changes(widget: Locator, act: Callable[[], None]) -> None:
    pictures, sentence = widget.evaluate(PICTURES), widget.locator(".mm-summary").inner_text()
    act()
    expect(widget.locator(".mm-summary")).not_to_have_text(sentence)
    assert widget.evaluate(PICTURES) != pictures, "the picture stayed the same"


@pytest.mark.browser
def test_controls_and_presets(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = shown(opened)
        expect(widget.locator(".mm-summary")).to_contain_text("The class token attends most to")
        for label, choice in (("Picture", 1), ("Head", 0), ("Layer", 0)):
            control = widget.get_by_label(label, exact=True)
            changes(widget, lambda c=control, i=choice: c.select_option(index=i))
            control.focus()
            changes(widget, lambda i=choice: opened.keyboard.press("ArrowUp" if i else "ArrowDown"))
        buttons = widget.get_by_role("group", name="Try this").get_by_role("button")
        changes(widget, buttons.first.click)
        expect(widget.locator(".mm-summary")).to_contain_text("Patch (row 2, column 2)")
        expect(widget.get_by_text("Few look far.")).to_be_visible()
        changes(widget, buttons.last.click)
        expect(widget.locator(".mm-summary")).to_contain_text("rollout")
        expect(widget.get_by_label("Head", exact=True)).to_be_hidden()


@pytest.mark.browser
def test_pointer_and_keyboard_do_the_same(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = shown(opened)
        said = widget.locator(".mm-summary")
        board = widget.get_by_role("group", name="Patches")
        box = board.bounding_box()
        assert box is not None
        third = {"x": box["width"] * 0.6, "y": box["height"] * 0.1}  # row 1, column 3
        changes(widget, lambda: board.hover(position=third))
        expect(said).to_contain_text("Patch (row 1, column 3)")
        by_pointer = said.inner_text()
        opened.mouse.move(0, 0)
        expect(said).to_contain_text("The class token")
        board.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
            opened.keyboard.press(key)
        assert said.inner_text() == by_pointer
        opened.keyboard.press("Enter")
        opened.keyboard.press("Tab")
        expect(said).to_have_text(by_pointer)  # pinned: it stays
        changes(widget, widget.get_by_role("button", name="Pin the class token").click)
        board.click(position=third)
        opened.mouse.move(0, 0)
        expect(said).to_have_text(by_pointer)


@pytest.mark.browser
def test_a_small_map_chooses_its_head(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = shown(opened)
        changes(widget, widget.locator(".mm-mosaic canvas").nth(3).click)
        expect(widget.locator(".mm-summary")).to_contain_text("(layer 2, head 2)")
        expect(widget.locator(".mm-mosaic .mm-on")).to_have_count(1)


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_accessible_and_within_the_page(browser: Browser, address, theme, width) -> None:
    with open_page(browser, address(theme), width=width, scheme=theme) as opened:
        widget = shown(opened)
        assert violations(opened, "main") == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        described = widget.get_by_role("img").all()
        assert len(described) == 3
        assert all(len(one.get_attribute("aria-label") or "") > 12 for one in described)


@pytest.mark.browser
def test_it_follows_the_theme(browser: Browser, address) -> None:
    with open_page(browser, address("light")) as opened:
        widget = shown(opened)
        before = widget.evaluate(PICTURES)
        opened.evaluate("document.documentElement.dataset.theme = 'dark'")
        opened.wait_for_timeout(100)
        assert widget.evaluate(PICTURES) != before
