"""Label tree: what it accepts, what it says, and how it answers on a page."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, labels

from mmcourse.visionlanguage import chils_predict
from mmcourse.widgets import LabelTree

GOOD: dict[str, Any] = {
    "pictures": np.zeros((2, 3, 8, 8)),
    "p_sub": [[0.3, 0.3, 0.4], [0.6, 0.2, 0.2]],
    "p_super": [[0.8, 0.2], [0.5, 0.5]],
    "names": ["a", "b"],
    "classes": ["animal", "tool"],
    "kinds": ["cat", "dog", "saw"],
    "parent": [0, 0, 1],
    "truth": [0, 1],
}

# ---- data and state ----


def test_reweighting_can_turn_an_answer_round() -> None:
    made = LabelTree(**GOOD)
    assert made.alt == (
        "“a”. The class names alone say animal, 80.0 %. Of the kinds, saw is best, 40.0 %, "
        "so the answer is tool. Wrong."
    )
    made.reweight = True
    # 0.3 · 0.8 = 0.24 twice, 0.4 · 0.2 = 0.08: the first of two equals decides, 0.24 / 0.56
    assert made._describe().endswith(
        "Of the kinds, reweighted, cat is best, 42.9 %, so the answer is animal. Right."
    )
    assert made.png()[:4] == b"\x89PNG"


def test_it_answers_as_chils_does() -> None:
    for reweight in (True, False):
        for picture in range(3):
            made = labels(picture=picture, reweight=reweight)
            p_sub, p_super = (torch.tensor(x[[picture]]) for x in made._shares)
            parent = torch.tensor(made.parent)
            answer = int(chils_predict(p_sub, p_super, parent, reweight=reweight))
            assert f"so the answer is {made.classes[answer]}." in made._describe()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pictures": np.zeros((2, 1, 8, 8))}, "need colour pictures"),
        ({"names": ["a"]}, "a name for each"),
        ({"p_sub": [[0.5, 0.5], [0.5, 0.5]]}, r"p_sub must have shape \(2, 3\)"),
        ({"p_super": [[0.5, 0.6], [0.5, 0.5]]}, "p_super must hold probabilities that sum to 1"),
        ({"parent": [0, 1]}, "parent must be 3 classes from 0 to 1"),
        ({"parent": [0, 1, 2]}, "parent must be 3 classes from 0 to 1"),
        ({"parent": [0, 0, 0]}, "every class needs a kind, none has class 1"),
        ({"truth": [0, 2]}, "truth must be 2 classes from 0 to 1"),
        ({"picture": 2}, "picture must be a whole number from 0 to 1"),
        ({"presets": [{"name": "x", "kind": 1}]}, "a preset has a name"),
    ],
)
def test_it_refuses(options: dict[str, Any], message: str) -> None:
    with rejects(message):
        LabelTree(**{**GOOD, **options})


# ---- the page against Python ----


def test_the_page_scores_and_says_the_same(run) -> None:
    for picture, reweight in ((0, False), (1, True), (2, True), (2, False)):
        made = labels(picture=picture, reweight=reweight)
        p_sub, p_super = (x[picture].tolist() for x in made._shares)
        scores = run("m.scored(...x)", [p_sub, p_super, made.parent, reweight], widget="label_tree")
        np.testing.assert_allclose(scores, made._scores(), rtol=1e-12)
        given = [made.names[picture], scores, p_super, made.parent, made.classes, made.kinds]
        given += [made.truth[picture], reweight]
        assert run("m.sentence(...x)", given, widget="label_tree") == made._describe()


def test_the_right_class_is_always_shown(run) -> None:
    scores, parent = [0.3, 0.25, 0.2, 0.1, 0.09, 0.05, 0.01], [0, 0, 1, 2, 3, 4, 5]
    code = "m.branches(...x)"
    first = run(code, [scores, parent, 6, 0], widget="label_tree")
    assert first == [[0, [0, 1]], [1, [2]], [2, [3]], [3, [4]]]
    last = run(code, [scores, parent, 6, 5], widget="label_tree")
    assert last == [*first, [5, [6]]]


# ---- on a page ----


@pytest.mark.browser
def test_the_tree_follows_the_tick(show) -> None:
    with show(labels) as widget:
        expect(widget.locator(".mm-summary")).to_have_text(labels().alt)
        expect(widget.locator(".mm-best")).to_have_count(1)
        expect(widget.locator(".mm-tree > .mm-right")).to_contain_text("✓ food")
        tick = widget.get_by_label("Reweight by the class names")
        changes(widget, tick.check)
        expect(widget.locator(".mm-summary")).to_have_text(labels(reweight=True).alt)
        expect(widget.locator(".mm-off")).to_have_count(0)
        widget.get_by_label("Picture", exact=True).select_option(index=1)
        said = labels(picture=1, reweight=True)
        expect(widget.locator(".mm-summary")).to_have_text(said.alt)
        best = said.kinds[int(said._scores().argmax())]
        expect(widget.locator(".mm-best")).to_contain_text(f"→ {best}")
