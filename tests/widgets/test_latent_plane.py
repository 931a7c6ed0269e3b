"""Latent plane: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, latent

from mmcourse.widgets import LatentPlane

TILES = np.zeros((2, 3, 4, 1, 5, 5))
CODES = np.zeros((2, 6, 2))
BOX = (-3.0, 3.0, -2.0, 2.0)
GOOD: dict[str, Any] = {"extents": [BOX, BOX], "names": ["a", "b"], "labels": range(6)}

# ---- data and state ----


def test_pictures_and_codes_are_kept_in_their_order() -> None:
    tiles = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 1, 2, 2)
    codes = torch.arange(24).reshape(2, 6, 2) / 8
    widget = LatentPlane(tiles, codes, **GOOD)
    stored = np.frombuffer(widget.data, np.uint8).reshape(widget.shape)
    np.testing.assert_array_equal(stored, tiles.numpy())
    kept = np.frombuffer(widget.codes, "<f2").reshape(2, 6, 2)
    np.testing.assert_array_equal(kept, codes.numpy())


def test_it_says_what_is_seen() -> None:
    codes = np.array([[[0.0, 0.0], [2.75, 2.0]]])
    tiles = np.zeros((1, 3, 4, 1, 5, 5))
    only = {"extents": [BOX], "names": ["VAE"], "labels": ["0", "7"]}
    corner = LatentPlane(tiles, codes, **only, column=3, row=2)
    assert corner.alt == (
        "VAE: the decoder's picture at z = (3.00, 2.00), 3.61 from the middle of the prior. "
        "The nearest of 2 codes is a 7, 0.25 away."
    )
    assert "z = (−3.00, −2.00), 3.61 from" in LatentPlane(tiles, codes, **only).alt
    inner = LatentPlane(tiles, codes, **only, column=1, row=1)
    assert "z = (−1.00, 0.00), 1.00 from" in inner.alt


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "names must name 2 networks, got 1"),
        ({"labels": range(5)}, r"codes must have shape \(2, 5, 2\), got \(2, 6, 2\)"),
        ({"extents": [BOX]}, r"extents must be 2 times \(left, right, bottom, top\)"),
        ({"extents": [BOX, (3, -3, -2, 2)]}, "left < right"),
        ({"extents": [BOX, (-3, 3, 2, 2)]}, "bottom < top"),
        ({"extents": [BOX, (-3, 3, -2)]}, "extents must be"),
        ({"extents": [BOX, (-3, np.inf, -2, 2)]}, "extents must be"),
        ({"presets": [{"name": "x", "row": 3}]}, "row must be a whole number from 0 to 2"),
        ({"column": 4}, "column must be a whole number from 0 to 3"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        LatentPlane(TILES, CODES, **{**GOOD, **options})


def test_it_refuses_pictures_and_codes() -> None:
    with rejects("networks, rows, columns, channels, height, width"):
        LatentPlane(TILES[0], CODES, **GOOD)
    with rejects("at least 2 rows and 2 columns"):
        LatentPlane(TILES[:, :1], CODES, **GOOD)
    with rejects(r"\[-1, 1\]"):
        LatentPlane(TILES + 9, CODES, **GOOD)
    with rejects("finite numbers"):
        LatentPlane(TILES, CODES * np.nan, **GOOD)
    with rejects("networks, pictures, 2"):
        LatentPlane(TILES, CODES[0], **GOOD)
    with rejects("at most 100,000 bytes"):
        LatentPlane(np.zeros((2, 30, 30, 1, 8, 8)), CODES, **GOOD)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"network": 1, "column": 8, "row": 0}, {"column": 4, "row": 4}):
        made = latent(**state)
        own = made._points[made.network].reshape(-1).tolist()
        given = [made.names[made.network], *made._place(), own, made.labels]
        assert run("m.sentence(...x)", given, widget="latent_plane") == made._describe()


def test_places_are_the_same(run) -> None:
    made = latent(column=3, row=7)
    rows, columns = made.shape[1:3]
    given = [made.extents[0], 3, 7, columns, rows]
    assert run("m.place(...x)", given, widget="latent_plane") == pytest.approx(made._place())


def test_numbers_are_written_alike(run) -> None:
    code = "[0, -0.001, 0.005, -1.499, 12].map(m.hundredth)"
    assert run(code, widget="latent_plane") == ["0.00", "0.00", "0.01", "−1.50", "12.00"]


# ---- on a page ----


@pytest.mark.browser
def test_a_place_is_chosen_on_both_planes(show) -> None:
    with show(latent) as widget:
        said = widget.locator(".mm-summary")
        for part in (".mm-zmap", ".mm-plane"):
            node = widget.locator(part)
            box = node.bounding_box()
            assert box is not None
            corner = {"x": box["width"] - 14, "y": 14}
            changes(widget, lambda node=node, at=corner: node.click(position=at))
            expect(said).to_contain_text("z = (3.00, 2.00)")
            middle = {"x": box["width"] / 2, "y": box["height"] / 2}
            changes(widget, lambda node=node, at=middle: node.click(position=at))
            expect(said).to_contain_text("z = (0.00, 0.00)")
        expect(widget.locator("figcaption")).to_have_text("z = (0.00, 0.00)")


@pytest.mark.browser
def test_the_slider_says_the_coordinate_and_one_code_stands_out(show) -> None:
    with show(latent) as widget:
        slider = widget.get_by_label("z₂", exact=True)
        slider.press("End")
        assert slider.get_attribute("aria-valuetext") == "2.00"
        expect(widget.locator(".mm-znear")).to_have_count(1)
        # Another network: other codes, and another mosaic.
        changes(widget, lambda: widget.locator("select").select_option(index=1))
        described = widget.locator(".mm-plane").get_attribute("aria-label")
        assert described is not None
        assert described.startswith("12 codes of autoencoder on the plane")
