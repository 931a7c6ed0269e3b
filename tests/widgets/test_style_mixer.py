"""Style mixer: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, mixer

from mmcourse.generative import fade_in
from mmcourse.widgets import StyleMixer

MIXTURES = np.zeros((2, 2, 2, 1, 4, 4))
OLD, NEW = np.zeros((1, 3, 1, 2, 2)), np.zeros((1, 3, 1, 4, 4))
GOOD: dict[str, Any] = {"names": ["A", "B"], "moments": ["at first"]}

# ---- data and state ----


def test_pictures_are_kept_in_their_order() -> None:
    mixtures = torch.arange(8 * 16, dtype=torch.uint8).reshape(2, 2, 2, 1, 4, 4)
    old = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 1, 2, 2)
    new = 100 + torch.arange(48, dtype=torch.uint8).reshape(1, 3, 1, 4, 4)
    widget = StyleMixer(mixtures, old, new, **GOOD)
    wanted = torch.cat([mixtures.flatten(), old.flatten(), new.flatten()])
    np.testing.assert_array_equal(np.frombuffer(widget.data, np.uint8), wanted.numpy())
    assert widget.shape == [2, 1, 4, 4]
    assert widget.fades == [1, 3, 1, 2, 2]


def test_it_says_what_is_seen() -> None:
    made = mixer(coarse=2, middle=0, fine=1, moment=1, alpha=3)
    wanted = "Styles: coarse from C, middle from A, fine from B; the picture shows number 33. "
    wanted += "Fade, at the end: α = 0.3, that is 0.7 of the old and 0.3 of the new."
    assert made.alt == wanted
    bare = StyleMixer(MIXTURES, OLD, NEW, **GOOD, alpha=10)
    wanted = "Styles: coarse from A, middle from A, fine from A. "
    wanted += "Fade, at first: α = 1.0, that is 0.0 of the old and 1.0 of the new."
    assert bare.alt == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["A"]}, "names must hold 2 texts, got 1"),
        ({"moments": ["a", "b"]}, "moments must hold 1 texts, got 2"),
        ({"seen": ["a ring"]}, "seen must hold 8 texts, got 1"),
        ({"coarse": 2}, "coarse must be a whole number from 0 to 1"),
        ({"alpha": 11}, "alpha must be a whole number from 0 to 10"),
        ({"presets": [{"name": "x", "moment": 1}]}, "moment must be a whole number from 0 to 0"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        StyleMixer(MIXTURES, OLD, NEW, **{**GOOD, **options})


def test_it_refuses_pictures() -> None:
    with rejects(r"mixtures must be \(n, n, n, …\), n ≥ 2"):
        StyleMixer(MIXTURES[:1], OLD, NEW, **GOOD)
    with rejects("coarse, middle, fine, channels, height, width"):
        StyleMixer(MIXTURES[0], OLD, NEW, **GOOD)
    with rejects("new must be old at twice the size"):
        StyleMixer(MIXTURES, NEW, OLD, **GOOD)
    with rejects("new must be old at twice the size"):
        StyleMixer(MIXTURES, OLD[:, :2], NEW, **GOOD)
    with rejects(r"\[-1, 1\]"):
        StyleMixer(MIXTURES + 9, OLD, NEW, **GOOD)
    with rejects("at most 100,000 bytes"):
        StyleMixer(np.zeros((5, 5, 5, 3, 32, 32)), OLD, NEW, **{**GOOD, "names": "ABCDE"})


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"coarse": 2, "fine": 1, "alpha": 7}, {"middle": 2, "moment": 0, "alpha": 0}):
        made = mixer(**state)
        chosen = [made.coarse, made.middle, made.fine]
        moment = made.moments[made.moment]
        given = [chosen, made.names, made.seen, moment, made.alpha / 10]
        assert run("m.sentence(...x)", given, widget="style_mixer") == made._describe()


def test_the_fade_is_that_of_the_package(run) -> None:
    draws = torch.Generator().manual_seed(0)
    old = torch.randint(256, (1, 3, 2, 3), generator=draws).float()
    new = torch.randint(256, (1, 3, 4, 6), generator=draws).float()
    for alpha in (0.0, 0.3, 1.0):
        given = [old.flatten().tolist(), new.flatten().tolist(), [3, 4, 6], alpha]
        found = run("Array.from(m.faded(...x))", given, widget="style_mixer")
        wanted = fade_in(old, new, alpha).flatten()
        torch.testing.assert_close(torch.tensor(found).float(), wanted, rtol=0, atol=0.51)


# ---- on a page ----


@pytest.mark.browser
def test_a_source_is_chosen_for_a_band(show) -> None:
    with show(mixer) as widget:
        said = widget.locator(".mm-summary")
        changes(widget, widget.locator(".mm-film").nth(1).locator("canvas").nth(2).click)
        expect(said).to_contain_text("coarse from A, middle from C, fine from B")
        expect(widget.locator("figcaption")).to_have_text("A · C · B: number 9")
        # One source is outlined for each band, and none in the films of the fade.
        expect(widget.locator(".mm-film .mm-on")).to_have_count(3)


@pytest.mark.browser
def test_the_slider_fades(show) -> None:
    with show(mixer) as widget:
        slider = widget.get_by_label("α", exact=True)
        slider.focus()
        changes(widget, lambda: widget.page.keyboard.press("ArrowRight"))
        assert slider.get_attribute("aria-valuetext") == "0.6"
        expect(widget.locator(".mm-summary")).to_contain_text("0.4 of the old and 0.6 of the new")
