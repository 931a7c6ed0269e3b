"""Similarity matrix: what it accepts and carries, what it says, and how it answers on a page."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, similarity

from mmcourse.visionlanguage import clip_loss
from mmcourse.widgets import SimilarityMatrix

PICTURES = np.zeros((3, 1, 5, 5))
COSINES = np.eye(3) / 2
NAMES = ["a", "b", "c"]

# ---- data and state ----


def test_it_says_what_is_seen() -> None:
    made = SimilarityMatrix(PICTURES, COSINES, NAMES, scales=[1.0, 20.0])
    value = -math.log(math.exp(0.5) / (math.exp(0.5) + 2))
    assert made.alt == (
        "Picture 1 (a) at scale 1: its first choice, with 0.45, is the right one. "
        f"Loss image → text {value:.2f}, text → image {value:.2f}, mean {value:.2f}; "
        "who knows nothing has log 3 = 1.10."
    )
    swapped = SimilarityMatrix(PICTURES, COSINES[[1, 0, 2]], NAMES, question=1, pair=1)
    assert swapped.alt.startswith("Caption 2 (b) at scale 1: its first choice, with 0.45, is a,")


def test_its_losses_are_those_of_clip() -> None:
    """Rows are pictures: image → text is the softmax along a row."""
    made = similarity()
    cosines, scale = torch.tensor(made._cosines), made.scales[made.scale]
    own = torch.arange(len(cosines))
    for question, logits in enumerate((scale * cosines, scale * cosines.T)):
        shares = torch.tensor(made._shares(question)).diagonal()
        torch.testing.assert_close(-shares.log().mean(), F.cross_entropy(logits, own))
    whole = clip_loss(cosines, torch.eye(10).double(), math.log(scale))
    assert f"mean {whole.item():.2f}" in made.alt
    other = F.cross_entropy(scale * cosines, own) - F.cross_entropy(scale * cosines.T, own)
    assert other.abs() > 0.01  # with the axes mixed up this test would fail


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pictures": PICTURES[:1], "cosines": np.eye(1), "captions": ["a"]}, "at least two"),
        ({"cosines": np.eye(2)}, r"cosines of shape \(2, 2\)"),
        ({"captions": ["a", "b"]}, "got 2 captions"),
        ({"cosines": 3 * np.eye(3)}, r"lie in \[-1, 1\]"),
        ({"cosines": np.nan * np.eye(3)}, "NaN or infinity"),
        ({"labels": ["a", "b"]}, "labels must name 3 captions, got 2"),
        ({"scales": [2, 1]}, "positive and rising"),
        ({"scales": [0, 1]}, "positive and rising"),
        ({"scales": [1, math.inf]}, "positive and rising"),
        ({"scales": []}, "positive and rising"),
        ({"pair": 3}, "pair must be a whole number from 0 to 2"),
        ({"presets": [{"name": "x", "scale": 8}]}, "scale must be a whole number from 0 to 7"),
    ],
)
def test_it_refuses(change: dict[str, Any], message: str) -> None:
    given = {"pictures": PICTURES, "cosines": COSINES, "captions": NAMES, **change}
    with rejects(message):
        SimilarityMatrix(**given)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for state in ({}, {"question": 1, "pair": 7}, {"scale": 0}, {"scale": 7, "pair": 8}):
        made = similarity(**state)
        given = [
            made._cosines.flatten().tolist(),
            made.captions,
            made.scales[made.scale],
            made.question,
            made.pair,
        ]
        assert run("m.sentence(...x)", given, widget="similarity_matrix") == made._describe()


@pytest.mark.parametrize("question", [0, 1])
def test_the_page_computes_the_same_shares(run, question: int) -> None:
    made = similarity(question=question)
    given = [made._cosines.flatten().tolist(), 10, made.scales[made.scale], question]
    found = np.array(run("Array.from(m.shares(...x))", given, widget="similarity_matrix"))
    np.testing.assert_allclose(found.reshape(10, 10), made._shares(question), rtol=1e-10)
    np.testing.assert_allclose(found.reshape(10, 10).sum(1 - question), 1)


# ---- on a page ----


@pytest.mark.browser
def test_a_click_reads_a_row_or_a_column(show) -> None:
    with show(similarity) as widget:
        said = widget.locator(".mm-summary")
        changes(widget, widget.locator(".mm-film canvas").nth(7).click)
        expect(said).to_contain_text("Picture 8 (a disc at 14)")
        expect(widget.locator(".mm-film .mm-on")).to_have_count(1)
        expect(widget.locator(".mm-chosen li")).to_have_count(5)
        widget.get_by_label("Question").select_option(index=1)
        expect(said).to_contain_text("Caption 8 (a disc at 14)")
        expect(widget.locator(".mm-title").last).to_contain_text("which picture?")


@pytest.mark.browser
def test_the_arrow_keys_look_and_enter_chooses(show) -> None:
    with show(similarity) as widget:
        widget.get_by_role("group", name="Similarity matrix: the arrow").focus()
        title = widget.locator(".mm-title")
        for key in ("ArrowDown", "ArrowDown"):
            widget.page.keyboard.press(key)
        expect(title).to_contain_text("Picture 6")
        expect(widget.locator(".mm-summary")).to_contain_text("Picture 4")  # only looked at
        widget.page.keyboard.press("Enter")
        expect(widget.locator(".mm-summary")).to_contain_text("Picture 6")


@pytest.mark.browser
def test_the_slider_says_the_temperature(show) -> None:
    with show(similarity) as widget:
        slider = widget.get_by_label("Temperature", exact=True)
        assert slider.get_attribute("aria-valuetext") == "τ = 0.07 (× 14.3)"
