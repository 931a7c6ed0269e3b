"""Patch attention: what it accepts and carries, and how it answers on a page."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, patch_weights, patches, scene

from mmcourse.transformers import ViT, attention_rollout
from mmcourse.widgets import PatchAttention

IMAGES = np.stack([scene(24)] * 2)


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


# ---- maths of the page ----


def test_rollout(run, generator: torch.Generator) -> None:
    weights = torch.rand(3, 1, 1, 10, 10, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum(-1, keepdim=True)
    given = weights[:, 0, 0].tolist()
    code = "[0, 4, 9].map((t) => Array.from(m.rollout((l, i) => x[l][i], 3, 10, t)))"
    actual = run(code, given, widget="patch_attention")
    expected = attention_rollout(weights)[0, [0, 4, 9]]
    torch.testing.assert_close(torch.as_tensor(actual, dtype=torch.float64), expected)


def test_arrows_move_over_the_patches(run) -> None:
    keys = ["Home", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "a"]
    code = "[0, 1, 5, 9].map((t) => x.map((key) => m.step(t, key, 3)))"
    assert run(code, keys, widget="patch_attention") == [
        [0, 1, 1, 1, 1, None],
        [0, 1, 4, 1, 2, None],
        [0, 2, 8, 4, 6, None],
        [0, 6, 9, 8, 9, None],
    ]


# ---- on a page ----


@pytest.mark.browser
def test_it_names_the_token_and_the_layers(show) -> None:
    with show(patches) as widget:
        expect(widget.locator(".mm-summary")).to_contain_text("The class token attends most to")
        expect(widget.get_by_role("img")).to_have_count(3)
        widget.get_by_role("button", name="One patch").click()
        expect(widget.locator(".mm-summary")).to_contain_text("Patch (row 2, column 2)")
        widget.get_by_role("button", name="All layers").click()
        expect(widget.locator(".mm-summary")).to_contain_text("rollout")
        expect(widget.get_by_label("Head", exact=True)).to_be_hidden()


@pytest.mark.browser
def test_pointer_and_keyboard_do_the_same(show) -> None:
    with show(patches) as widget:
        said = widget.locator(".mm-summary")
        board = widget.get_by_role("group", name="Patches")
        box = board.bounding_box()
        assert box is not None
        third = {"x": box["width"] * 0.6, "y": box["height"] * 0.1}  # row 1, column 3
        changes(widget, lambda: board.hover(position=third))
        expect(said).to_contain_text("Patch (row 1, column 3)")
        by_pointer = said.inner_text()
        widget.page.mouse.move(0, 0)
        expect(said).to_contain_text("The class token")
        board.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
            widget.page.keyboard.press(key)
        assert said.inner_text() == by_pointer
        widget.page.keyboard.press("Enter")
        widget.page.keyboard.press("Tab")
        expect(said).to_have_text(by_pointer)  # pinned: it stays
        changes(widget, widget.get_by_role("button", name="Pin the class token").click)
        board.click(position=third)
        widget.page.mouse.move(0, 0)
        expect(said).to_have_text(by_pointer)


@pytest.mark.browser
def test_a_small_map_chooses_its_head(show) -> None:
    with show(patches) as widget:
        changes(widget, widget.locator(".mm-mosaic canvas").nth(3).click)
        expect(widget.locator(".mm-summary")).to_contain_text("(layer 2, head 2)")
        expect(widget.locator(".mm-mosaic .mm-on")).to_have_count(1)
