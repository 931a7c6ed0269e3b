"""Codebook explorer: what it accepts and carries, how it decodes, how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import rejects
from playwright.sync_api import Locator, expect
from torch import nn
from widgets_page import changes, codebook, codebook_layers

from mmcourse.diffusion import nearest_codes
from mmcourse.widgets import CodebookExplorer


def parts(seed: int = 0) -> dict[str, Any]:
    """What a widget of three grey pictures of 4 × 6 places (2 × 2 pixels each) is made of."""
    random = np.random.default_rng(seed)
    return {
        "images": random.uniform(-1, 1, (3, 1, 8, 12)),
        "vectors": random.normal(size=(3, 4, 4, 6)),
        "codebook": random.normal(size=(20, 4)),
        "layers": codebook_layers(4, 5),
    }


def decoded(widget: CodebookExplorer, given: dict[str, Any], grid: np.ndarray) -> torch.Tensor:
    """The picture by PyTorch's own convolutions, with the weights as they were given."""
    z = torch.as_tensor(given["codebook"][grid]).permute(2, 0, 1)[None]
    x = z
    for index, (weight, bias) in enumerate(given["layers"]):
        weight, bias = torch.as_tensor(weight), torch.as_tensor(bias)
        x = F.conv2d(F.relu(x) if index else x, weight, bias, padding=weight.shape[-1] // 2)
    return nn.PixelShuffle(2)(z + x)[0]


# ---- data and state ----


def test_codes_are_the_nearest() -> None:
    given = parts()
    widget = CodebookExplorer(**given)
    flat = torch.as_tensor(given["vectors"]).permute(0, 2, 3, 1).reshape(-1, 4)
    expected = nearest_codes(flat, torch.as_tensor(given["codebook"]))
    assert np.array_equal(widget._near[..., 0].ravel(), expected.numpy())
    distances = torch.cdist(flat, torch.as_tensor(given["codebook"])).argsort(dim=1)[:, :5]
    assert np.array_equal(widget._near.reshape(-1, 5), distances.numpy())


def test_it_decodes_as_the_network_does() -> None:
    given = parts()
    widget = CodebookExplorer(**given, picture=1, place=7, swap=3)
    grid = widget._codes()
    assert grid.flat[7] == 3
    assert (np.delete(grid, 7) == np.delete(widget._near[1, :, :, 0], 7)).all()
    expected = decoded(widget, given, grid).numpy()
    # Weights travel as bytes, so that a widget is light: good to a grey level or two.
    assert np.abs(widget._decode(grid) - expected).max() < 0.02


def test_the_sentence_counts() -> None:
    widget = CodebookExplorer(**parts(), names=["a", "b", "c"], place=8)
    code = widget._near[0, 1, 2, 0]
    used = int((widget._near[0, :, :, 0] == code).sum())
    times = "once" if used == 1 else f"{used} times"
    assert f"“a”: place (row 2, column 3) holds code {code}, which" in widget.alt
    assert f"uses {times}" in widget.alt


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": np.zeros((3, 4, 6, 4))}, r"for images \(3, 1, 8, 12\), got \(3, 4, 6, 4\)"),
        ({"vectors": np.zeros((2, 4, 4, 6))}, "vectors must be"),
        ({"vectors": np.zeros((3, 5, 4, 6))}, "vectors must be"),
        ({"vectors": np.full((3, 4, 4, 6), np.nan)}, "finite"),
        ({"codebook": np.zeros((20, 3))}, r"codebook must be .*4\), got \(20, 3\)"),
        ({"layers": codebook_layers(5, 4)}, r"a layer must be \(\(out, 4, size"),
        ({"layers": codebook_layers(4, 5)[:2]}, "from 4 numbers back to 4, got 5"),
        ({"layers": []}, "from 4 numbers back to 4"),
        ({"layers": [(np.zeros((4, 4, 2, 2)), np.zeros(4))]}, "of odd size"),
        ({"layers": [(np.zeros((4, 4, 1, 1)), np.zeros(3))]}, r"got .*\(3,\)"),
        ({"names": ["a"]}, "names must name 3 pictures, got 1"),
        ({"near": 21}, "near must be from 1 to 20 codes, got 21"),
        ({"place": 24}, "place must be a whole number from 0 to 23, got 24"),
        ({"swap": 20}, "swap must be a whole number from -1 to 19, got 20"),
        ({"picture": 3}, "picture must be a whole number from 0 to 2, got 3"),
        ({"presets": [{"name": "x", "code": 1}]}, "a preset has a name and some of"),
    ],
)
def test_it_refuses(change: dict[str, Any], message: str) -> None:
    with rejects(message):
        CodebookExplorer(**{**parts(), **change})


def test_it_refuses_too_much() -> None:
    with rejects("at most 100,000 bytes"):
        CodebookExplorer(**{**parts(), "layers": codebook_layers(4, 400)})


# ---- maths of the page ----


def test_the_page_decodes_as_python_does(run) -> None:
    given = parts()
    widget = CodebookExplorer(**given)
    grid = widget._codes()
    options = {
        "pictures": 3, "size": 96, "codes": 20, "d": 4, "places": 24, "near": 5,
        "layers": widget.layers,
    }  # fmt: skip
    x = {"bytes": list(widget.data), "grid": grid.ravel().tolist(), "options": options}
    code = (
        "(() => { const net = m.unpack(new DataView(Uint8Array.from(x.bytes).buffer), x.options);"
        " const near = net.near(2);"
        " const found = [net.decode(x.grid, 4, 6, 1), near.codes, near.apart];"
        " return found.map((v) => Array.from(v)); })()"
    )
    picture, codes, apart = run(code, x, widget="codebook_explorer")
    ours = widget._decode(grid)
    np.testing.assert_allclose(np.reshape(picture, ours.shape), ours, atol=1e-4)
    assert codes == widget._near[2].ravel().tolist()
    z = torch.as_tensor(given["vectors"][2]).flatten(1).T
    nearest = torch.cdist(z, torch.as_tensor(given["codebook"])).sort(dim=1).values[:, :5]
    np.testing.assert_allclose(apart, nearest.flatten(), rtol=1e-3)
    worst = np.abs(np.reshape(picture, ours.shape) - decoded(widget, given, grid).numpy()).max()
    assert worst < 0.02


@pytest.mark.parametrize("size", [1, 3, 5])
def test_convolution(run, generator: torch.Generator, size: int) -> None:
    x = torch.randn(2, 3, 4, generator=generator)
    weight = torch.randn(3, 2, size, size, generator=generator)
    bias = torch.randn(3, generator=generator)
    values = [t.flatten().tolist() for t in (x, weight, bias)]
    code = f"Array.from(m.convolve(x[0], 3, 4, [3, 2, {size}], x[1], x[2]))"
    actual = torch.tensor(run(code, values, widget="codebook_explorer"))
    expected = F.conv2d(x[None], weight, bias, padding=size // 2)[0]
    torch.testing.assert_close(actual.reshape(3, 3, 4), expected, rtol=1e-4, atol=1e-4)


def test_unfold_middle_and_changed(run) -> None:
    z = torch.arange(3 * 4 * 2 * 5.0)
    code = "Array.from(m.unfold(Float32Array.from(x), 2, 5, 3))"
    actual = torch.tensor(run(code, z.tolist(), widget="codebook_explorer"))
    expected = nn.PixelShuffle(2)(z.reshape(1, 12, 2, 5))
    assert torch.equal(actual, expected.flatten())
    nine = torch.arange(2 * 36.0).reshape(2, 6, 6)
    code = "Array.from(m.middle(x, 2, 2))"
    actual = run(code, nine.flatten().tolist(), widget="codebook_explorer")
    assert actual == nine[:, 2:4, 2:4].flatten().tolist()
    a, b = [0] * 32, [0] * 32
    b[0], b[9], b[31] = 3, 2, 200  # 9: too little; places (0, 0) and (1, 1)
    both = run(
        "[m.changed(x[0], x[1], [2, 4, 4], 2, 2), m.gap([0, 0], [3, 4])]",
        [a, b],
        widget="codebook_explorer",
    )
    assert both == [2, pytest.approx(12.5**0.5)]


def test_arrows_move_over_the_tiles(run) -> None:
    keys = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "a"]
    code = "[0, 4].map((t) => x.map((key) => m.stepCell(t, key, 2, 3)))"
    found = run(code, keys, widget="codebook_explorer")
    assert found == [[0, 3, 0, 1, None], [1, 4, 3, 5, None]]


# ---- on a page ----


def at(board: Locator, row: int, column: int, rows: int, columns: int) -> dict[str, float]:
    box = board.bounding_box()
    assert box is not None
    return {
        "x": box["width"] * (column + 0.5) / columns,
        "y": box["height"] * (row + 0.5) / rows,
    }


@pytest.mark.browser
def test_pointer_and_keyboard_pin_a_place(show) -> None:
    with show(codebook) as widget:
        said = widget.locator(".mm-summary")
        board = widget.get_by_role("group", name="Places")
        expect(said).to_contain_text("Place (row 2, column 3) holds code")
        changes(widget, lambda: board.hover(position=at(board, 3, 4, 6, 6)))
        expect(said).to_contain_text("Place (row 4, column 5)")
        by_pointer = said.inner_text()
        changes(widget, lambda: widget.page.mouse.move(0, 0))
        board.focus()
        for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"):
            widget.page.keyboard.press(key)
        assert said.inner_text() == by_pointer
        widget.page.keyboard.press("Enter")
        widget.page.keyboard.press("Tab")
        board.evaluate("node => node.blur()")
        expect(said).to_contain_text("row 4, column 5")


@pytest.mark.browser
def test_a_code_is_put_and_taken_back(show) -> None:
    with show(codebook) as widget:
        said = widget.locator(".mm-summary")
        before = said.inner_text()
        second = widget.get_by_role("group", name="Nearest codes").get_by_role("button").nth(1)
        changes(widget, second.click)
        expect(said).to_contain_text("places look different")
        expect(second).to_have_attribute("aria-pressed", "true")
        back = widget.get_by_role("button", name="Put the encoder's code back")
        changes(widget, back.click)
        expect(said).to_have_text(before)
        expect(back).to_be_disabled()


@pytest.mark.browser
def test_the_codebook_by_pointer_and_keyboard(show) -> None:
    with show(codebook) as widget:
        said = widget.locator(".mm-summary")
        board = widget.get_by_role("group", name="Codebook:")
        for code in (0, 11):
            board.hover(position=at(board, *divmod(code, 4), 3, 4))
            expect(said).to_contain_text(f"Code {code} stands")
        changes(widget, lambda: board.click(position=at(board, 2, 3, 3, 4)))
        widget.page.mouse.move(0, 0)
        expect(said).to_contain_text("With code 11 instead")
        by_pointer = said.inner_text()
        widget.get_by_role("button", name="Put the encoder's code back").click()
        board.focus()
        for key in [*["ArrowDown"] * 3, *["ArrowRight"] * 4]:
            widget.page.keyboard.press(key)
        expect(said).to_contain_text("Code 11 stands")
        widget.page.keyboard.press("Enter")
        expect(said).to_have_text(by_pointer)


@pytest.mark.browser
def test_another_picture_is_shown_as_encoded(show) -> None:
    with show(codebook) as widget:
        buttons = widget.get_by_role("group", name="Try this").get_by_role("button")
        changes(widget, buttons.last.click)
        expect(widget.locator(".mm-summary")).to_contain_text("With code 5 instead")
        changes(widget, lambda: widget.get_by_label("Picture", exact=True).select_option(index=0))
        expect(widget.locator(".mm-summary")).not_to_contain_text("instead")
