"""Token scrubber: what it accepts and carries, what it says, and how it answers on a page."""

import base64
from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, tokens

from mmcourse.widgets import TokenScrubber
from mmcourse.widgets.token_scrubber import _paletted

PICTURES = np.zeros((2, 5, 3, 6, 6))
CODES = np.array([[[0, 1], [2, 0]], [[1, 1], [1, 2]]])
CHANCES = np.full((2, 4, 3), 1 / 3)
SWATCHES = np.zeros((3, 3, 2, 2))
GOOD: dict[str, Any] = {"titles": ["a", "b"], "near": 2}

# ---- data and state ----


def test_few_colours_are_kept_as_they_are() -> None:
    random = np.random.default_rng(0)
    colours = random.permutation(256)[:40, None] // np.array([1, 2, 3])
    frames = colours[random.integers(0, 40, size=(2, 3, 5, 4))].transpose(0, 1, 4, 2, 3)
    apart = len(np.unique(colours // 8, axis=0)) == len(colours)
    palette, chosen = _paletted(frames.astype(np.uint8))
    back = palette[chosen].transpose(0, 1, 4, 2, 3).astype(int)
    assert np.abs(back - frames).max() <= (0 if apart else 7)


def test_many_colours_are_nearly_kept() -> None:
    """Smooth pictures on white, as decoders paint them: an error of a few grey levels."""
    grey = np.linspace(0, 255, 40 * 40).reshape(40, 40)
    frames = np.stack([grey, 255 - 0.3 * grey, np.full_like(grey, 200)])[None, None]
    palette, chosen = _paletted(frames.astype(np.uint8))
    back = palette[chosen].transpose(0, 1, 4, 2, 3).astype(int)
    assert np.abs(back - frames).mean() < 4
    noise = np.random.default_rng(1).integers(0, 256, size=(1, 2, 3, 40, 40)).astype(np.uint8)
    palette, chosen = _paletted(noise)
    assert palette.shape == (256, 3)
    assert chosen.dtype == np.uint8


def test_one_channel() -> None:
    made = TokenScrubber(PICTURES[:, :, :1], CODES, CHANCES, SWATCHES[:, :1], **GOOD)
    assert made.image_shape == [1, 6, 6]
    assert made.png()[:4] == b"\x89PNG"


def test_it_says_what_comes_next() -> None:
    chances = CHANCES.copy()
    chances[0, 1] = [0.75, 0.125, 0.125]
    made = TokenScrubber(PICTURES, CODES, chances, SWATCHES, **GOOD, written=1)
    assert made.alt == (
        "a: 1 of 4 codes written. Next, in row 1, column 2: code 1, which had 12.5 % (3.0 bits); "
        "the likeliest, 0, had 75.0 %."
    )
    made = TokenScrubber(PICTURES, CODES, CHANCES, SWATCHES, **GOOD)
    assert made.alt.endswith("code 0, which had 33.3 % (1.6 bits), the likeliest.")
    made = TokenScrubber(PICTURES, CODES, CHANCES, SWATCHES, **GOOD, sample=1, written=4)
    assert made.alt == "b: all 4 codes are written, 6.3 bits in all."


def test_all_are_listed_by_their_numbers() -> None:
    chances = CHANCES.copy()
    chances[0, 1] = [0.125, 0.125, 0.75]
    words = {**GOOD, "near": None, "nouns": ("pixel", "level"), "written": 1}
    made = TokenScrubber(PICTURES, CODES, chances, SWATCHES, **words)
    assert made.shape == [2, 2, 2, 3, 3]
    assert made._likely[0, 1].tolist() == [0, 1, 2]
    assert made._best[0, 1].tolist() == [0.125, 0.125, 0.75]
    assert made.alt == (
        "a: 1 of 4 pixels written. Next, in row 1, column 2: level 1, which had 12.5 % "
        "(3.0 bits); the likeliest, 2, had 75.0 %."
    )
    assert TokenScrubber(PICTURES, CODES, chances, SWATCHES, **{**words, "written": 4}).alt == (
        "a: all 4 pixels are written, 7.8 bits in all."
    )


def test_tensors_are_taken() -> None:
    parts = [torch.tensor(part) for part in (PICTURES, CODES, CHANCES, SWATCHES)]
    one, other = (
        TokenScrubber(*parts, **GOOD),
        TokenScrubber(PICTURES, CODES, CHANCES, SWATCHES, **GOOD),
    )
    assert one.data == other.data


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, PICTURES[:, 1:], r"pictures must be \(2 samples, 5: after 0 … 4 codes"),
        (0, PICTURES[:1], "pictures must be"),
        (0, PICTURES + 9, r"\[-1, 1\]"),
        (0, PICTURES[0], "samples, written, channels, height, width"),
        (1, CODES + 1, "codes must be whole numbers from 0 to 2"),
        (1, CODES - 1, "codes must be whole numbers from 0 to 2"),
        (1, CODES + 0.5, "codes must be whole numbers"),
        (2, CHANCES[:, :3], r"chances must be \(2 samples, 4 places, codes\)"),
        (2, CHANCES * 2, "sum 1"),
        (2, np.log(CHANCES), "probabilities"),
        (2, CHANCES * np.nan, "finite"),
        (3, SWATCHES[:2], r"swatches must be \(3 codes, 3 channels"),
        (3, SWATCHES[:, :1], r"swatches must be \(3 codes, 3 channels"),
    ],
)
def test_it_refuses_parts(place: int, value: Any, message: str) -> None:
    parts = [PICTURES, CODES, CHANCES, SWATCHES]
    parts[place] = value
    with rejects(message):
        TokenScrubber(*parts, **GOOD)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"titles": ["a"]}, "titles must name 2 samples, got 1"),
        ({"near": 4}, "near must be from 1 to 3 codes, got 4"),
        ({"near": 0}, "near must be from 1 to 3"),
        ({"nouns": ("pixel", "")}, "nouns must be two words"),
        ({"written": 5}, "written must be a whole number from 0 to 4"),
        ({"sample": 2}, "sample must be a whole number from 0 to 1"),
        ({"presets": [{"name": "x", "written": 9}]}, "written must be"),
    ],
)
def test_it_refuses_options(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        TokenScrubber(PICTURES, CODES, CHANCES, SWATCHES, **{**GOOD, **options})


# ---- the page against Python ----


def unpacked(run: Any, made: TokenScrubber, code: str) -> Any:
    """What the page finds in the bytes of the trait."""
    samples, rows, columns, codes, near = made.shape
    sizes = {"samples": samples, "places": rows * columns, "codes": codes, "near": near}
    sizes |= {"shape": made.image_shape, "tile": made.swatch_shape}
    read = "new DataView(Uint8Array.from(atob(x[0]), (c) => c.charCodeAt(0)).buffer)"
    given = [base64.b64encode(made.data).decode(), sizes]
    text = f"(() => {{ const d = m.unpack({read}, x[1]); return {code}; }})()"
    return run(text, given, widget="token_scrubber")


def test_the_page_reads_what_python_wrote(run) -> None:
    made = tokens()
    one = unpacked(
        run,
        made,
        "[d.sample(1).codes, Array.from(d.sample(1).own), d.sample(1).likely(3), "
        "Array.from(d.swatch(7)), Array.from(d.sample(1).frame(9))]",
    )
    codes, own, likely, swatch, frame = one
    assert codes == made._codes[1].tolist()
    np.testing.assert_allclose(own, made._own[1])
    assert [k for k, _ in likely] == made._likely[1, 3].tolist()
    np.testing.assert_allclose([p for _, p in likely], made._best[1, 3])
    assert swatch == made._swatches[7].reshape(-1).tolist()
    colours = made._palette[made._frames[1, 9]]
    assert frame == np.moveaxis(colours, -1, 0).reshape(-1).tolist()


@pytest.mark.parametrize("near", [5, None])
def test_the_page_says_the_same_sentence(run, near: int | None) -> None:
    words = {"near": near} if near else {"near": None, "nouns": ("pixel", "level")}
    for sample in (0, 1):
        for written in range(17):
            made = tokens(sample=sample, written=written, **words)
            at = min(written, 15)
            likely = list(
                zip(
                    made._likely[sample, at].tolist(),
                    made._best[sample, at].tolist(),
                    strict=True,
                )
            )
            codes, own = made._codes[sample].tolist(), made._own[sample].tolist()
            given = [made.titles[sample], written, made.shape[2], codes, own, likely, *made.nouns]
            assert run("m.sentence(...x)", given, widget="token_scrubber") == made._describe()


# ---- on a page ----


@pytest.mark.browser
def test_playing_writes_to_the_end(show) -> None:
    with show(tokens) as widget:
        play = widget.get_by_role("button", name="Play")
        play.click()
        expect(widget.get_by_role("button", name="Pause")).to_be_visible()
        expect(widget.locator(".mm-summary")).to_contain_text(
            "all 16 codes are written", timeout=15_000
        )
        expect(play).to_be_visible()
        changes(widget, play.click)  # again, from the beginning
        expect(widget.locator(".mm-summary")).to_contain_text("a disc:")


@pytest.mark.browser
def test_a_place_of_the_grid_is_chosen(show) -> None:
    with show(tokens) as widget:
        board = widget.locator(".mm-board")
        box = board.bounding_box()
        assert box is not None
        at = {"x": 0.6 * box["width"], "y": 0.9 * box["height"]}
        changes(widget, lambda: board.click(position=at))
        expect(widget.locator(".mm-summary")).to_contain_text("14 of 16 codes written")
        expect(widget.locator(".mm-summary")).to_contain_text("in row 4, column 3")


@pytest.mark.browser
def test_the_drawn_code_is_always_listed(show) -> None:
    with show(tokens) as widget:
        slider = widget.get_by_label("Codes written")
        slider.focus()
        widget.page.keyboard.press("Home")
        for _ in range(16):
            expect(widget.locator(".mm-drawn:visible")).to_have_count(1)
            widget.page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == "16 of 16"


def levels(**options: Any) -> TokenScrubber:
    return tokens(near=None, nouns=("pixel", "level"), **options)


@pytest.mark.browser
def test_pixels_and_their_levels(show) -> None:
    with show(levels) as widget:
        expect(widget.locator(".mm-likely li:visible")).to_have_count(12)
        expect(widget.locator(".mm-nexts .mm-title")).to_have_text("Chances of the next pixel")
        expect(widget.locator(".mm-drawn:visible")).to_have_count(1)
        expect(widget.get_by_label("Pixels written")).to_be_visible()
        expect(widget.get_by_text("Its levels so far")).to_be_visible()
