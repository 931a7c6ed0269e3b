"""Budget planner: what it accepts and carries, what it says, and how it answers on a page."""

from typing import Any

import pytest
import torch
from helpers import rejects
from playwright.sync_api import expect
from widgets_page import changes, planner

from mmcourse.trends import BESIROGLU, HOFFMANN, compute_optimal, expected_loss
from mmcourse.widgets import BudgetPlanner
from mmcourse.widgets.budget_planner import human, loss, optimum, power, ratio, scale

LAWS: dict[str, Any] = {"A": tuple(HOFFMANN), "B": (0.5, 30, 90, 0.7, 0.6)}
GOOD: dict[str, Any] = {"ranges": [((18, 26), (7, 13)), ((5, 11), (2, 6))]}

# ---- data and state ----


def test_it_starts_in_the_middle_and_says_what_is_seen() -> None:
    widget = BudgetPlanner(LAWS, **GOOD)
    assert (widget.law, widget.budget, widget.size) == (0, 16, 60)
    best = compute_optimal(HOFFMANN, 1e22)
    here = expected_loss(HOFFMANN, torch.tensor([1e10]), torch.tensor([1e22 / 6e10]))
    assert widget.alt == (
        "A, 1.0 · 10²² operations: 10.0 billion parameters see 167 billion tokens, 16.7 for each, "
        f"expected loss {here.item():.3f}. Best are {human(best.parameters)} parameters and "
        f"{human(best.tokens)} tokens, {ratio(best.tokens_per_parameter)} for each, loss "
        f"{best.loss:.3f}."
    )


@pytest.mark.parametrize("law", [HOFFMANN, BESIROGLU])
@pytest.mark.parametrize("flops", [1e18, 3e21, 1e26])
def test_the_numbers_are_those_of_the_module(law: Any, flops: float) -> None:
    best = compute_optimal(law, flops)
    assert optimum(tuple(law), flops) == pytest.approx(best.parameters)
    assert loss(tuple(law), flops, best.parameters) == pytest.approx(best.loss)


def test_words_for_numbers() -> None:
    assert [human(x) for x in (0.4, 12.3, 3162.3, 1e6, 9.996e9, 1.75e11, 2e15)] == [
        "0",
        "12",
        "3,162",
        "1.00 million",
        "10.0 billion",
        "175 billion",
        "2.00 quadrillion",
    ]
    assert [ratio(x) for x in (0.0123, 18.67, 250.2)] == ["0.012", "18.7", "250"]
    assert [power(18, x) for x in (0, 1, 22)] == ["1.0 · 10¹⁸", "1.8 · 10¹⁸", "3.2 · 10²³"]


@pytest.mark.parametrize(
    ("laws", "options", "message"),
    [
        ({}, {"ranges": []}, "laws must hold at least one"),
        ({"A": (1, 2, 3, 0.3)}, {"ranges": GOOD["ranges"][:1]}, "a law is"),
        ({"A": (1, 2, 3, 0.3, 0)}, {"ranges": GOOD["ranges"][:1]}, "the last four above 0"),
        (LAWS, {"ranges": GOOD["ranges"][:1]}, "each law needs its ranges"),
        (LAWS, {**GOOD, "units": ["tokens"]}, "2 ranges and 1 units"),
        (LAWS, {"ranges": [((18, 18), (7, 13)), ((5, 11), (2, 6))]}, "exponents of 10"),
        (LAWS, {**GOOD, "law": 2}, "law must be a whole number from 0 to 1"),
        (LAWS, {**GOOD, "budget": 33}, "budget must be a whole number from 0 to 32"),
        (LAWS, {**GOOD, "law": 1, "size": 81}, "size must be a whole number from 0 to 80"),
        (
            LAWS,
            {**GOOD, "presets": [{"name": "x", "law": 1, "budget": 25}]},
            "budget must be a whole number from 0 to 24",
        ),
    ],
)
def test_it_refuses(laws: Any, options: dict[str, Any], message: str) -> None:
    with rejects(message):
        BudgetPlanner(laws, **options)


# ---- the page against Python ----


def test_the_page_says_the_same_sentence(run) -> None:
    for law, top in ((0, (32, 120)), (1, (24, 80))):
        for budget, size in ((0, 0), (5, 30), top):
            made = BudgetPlanner(LAWS, **GOOD, law=law, budget=budget, size=size)
            given = [made.names[law], made.laws[law], made.spans[law], budget, size, "tokens"]
            assert run("m.sentence(...x)", given, widget="budget_planner") == made._describe()


def test_the_axis_is_the_same(run) -> None:
    for law, flops in ((LAWS["A"], 1e18), (LAWS["A"], 3e25), (LAWS["B"], 1e6)):
        low, high, ticks = run("m.scale(...x)", [list(law), flops], widget="budget_planner")
        expected = scale(law, flops)
        assert (low, high) == pytest.approx(expected[:2])
        assert ticks == pytest.approx(expected[2])
        assert 3 <= len(ticks) <= 7


# ---- on a page ----


@pytest.mark.browser
def test_the_button_finds_the_best_size(show) -> None:
    with show(planner) as widget:
        button = widget.get_by_role("button", name="Go to the best size")
        changes(widget, button.click)
        rows = widget.locator(".mm-numbers tbody tr")
        chosen = float(rows.nth(0).locator("td").last.inner_text())
        best = float(rows.nth(1).locator("td").last.inner_text())
        assert chosen == pytest.approx(best, abs=0.003)


@pytest.mark.browser
def test_another_law_has_its_own_ranges(show) -> None:
    with show(planner) as widget:
        widget.get_by_label("Law of").select_option(label="ours")
        expect(widget.locator(".mm-summary")).to_contain_text("ours, 1.0 · 10⁸ operations")
        expect(widget.locator(".mm-summary")).to_contain_text("questions")
        changes(widget, lambda: widget.get_by_label("Size, parameters").press("End"))
        expect(widget.locator(".mm-summary")).to_contain_text("1.00 million parameters")
