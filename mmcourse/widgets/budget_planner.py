"""Budget planner: so many operations, and what a model of any size would make of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets

from mmcourse.widgets.base import CourseWidget, numbers

PER_BUDGET = 4  # places of the budget's slider in a decade
PER_SIZE = 20  # of the size's
MANTISSAS = ("1.0", "1.8", "3.2", "5.6")  # 10^(0/4) … 10^(3/4)
UNITS = ((1e15, "quadrillion"), (1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"

Law = Sequence[float]  # floor, A, B, α, β
Range = tuple[int, int]


class BudgetPlanner(CourseWidget):
    """The loss to be expected for a budget of operations, over the size that one chooses.

    A law L(N, D) = E + A / N^α + B / D^β, with D = C / 6 N for the budget C: the curve over N,
    the place chosen on it, and the best place.

    Attributes:
        law: which of the laws, counted from 0.
        budget: C = 10^(lowest + budget / 4) operations.
        size: N = 10^(lowest + size / 20) parameters.
    """

    _files = "budget_planner"
    _controls = ("law", "budget", "size")

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    laws = traitlets.List().tag(sync=True)
    spans = traitlets.List().tag(sync=True)
    units = traitlets.List(traitlets.Unicode()).tag(sync=True)
    law = traitlets.Int(0).tag(sync=True)
    budget = traitlets.Int(0).tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        laws: Mapping[str, Law],
        *,
        ranges: Sequence[tuple[Range, Range]],
        units: Sequence[str] = (),
        law: int = 0,
        budget: int | None = None,
        size: int | None = None,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show the laws.

        Args:
            laws: name → (E, A, B, α, β), all but the floor above 0.
            ranges: for each law the exponents of 10 of the lowest and the highest budget, and of
                the lowest and the highest size, whole numbers.
            units: what D counts, for each law; "tokens" by default.
            law: shown at first.
            budget, size: shown at first, see the attributes; by default the middle.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: no law, numbers that are no falling law, or parts of different lengths.
        """
        words = [str(unit) for unit in units] or ["tokens"] * len(laws)
        found = _checked(laws, ranges, words)
        spans = [[*map(int, one[0]), *map(int, one[1])] for one in ranges]
        lowest, highest = spans[law][:2] if 0 <= law < len(spans) else (0, 1)
        small, large = spans[law][2:] if 0 <= law < len(spans) else (0, 1)
        super().__init__(
            names=[str(name) for name in laws],
            laws=found,
            spans=spans,
            units=words,
            law=law,
            budget=(highest - lowest) * PER_BUDGET // 2 if budget is None else budget,
            size=(large - small) * PER_SIZE // 2 if size is None else size,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        law = state.get("law", self.law)
        last = len(self.laws) - 1
        inside = isinstance(law, int) and 0 <= law <= last
        low, high, small, large = self.spans[law if inside else 0]
        ends = {"budget": (high - low) * PER_BUDGET, "size": (large - small) * PER_SIZE}
        return {"law": (0, last), **{name: (0, end) for name, end in ends.items()}}

    def _chosen(self) -> tuple[Law, list[int], float, float]:
        """Law, span, operations and parameters."""
        span = self.spans[self.law]
        operations = 10 ** (span[0] + self.budget / PER_BUDGET)
        return self.laws[self.law], span, operations, 10 ** (span[2] + self.size / PER_SIZE)

    def _describe(self) -> str:
        """The sentence of the page."""
        law, span, operations, chosen = self._chosen()
        best = optimum(law, operations)
        here, there = loss(law, operations, chosen), loss(law, operations, best)
        unit = self.units[self.law]
        data = operations / 6 / chosen
        return (
            f"{self.names[self.law]}, {power(span[0], self.budget)} operations: {human(chosen)} "
            f"parameters see {human(data)} {unit}, {ratio(data / chosen)} for each, expected loss "
            f"{here:.3f}. Best are {human(best)} parameters and {human(operations / 6 / best)} "
            f"{unit}, {ratio(operations / 6 / best / best)} for each, loss {there:.3f}."
        )

    def _draw(self) -> Any:
        from mmcourse.plots import COLORS, line, new_figure

        law, span, operations, chosen = self._chosen()
        count = (span[3] - span[2]) * PER_SIZE + 1
        grid = [10 ** (span[2] + i / PER_SIZE) for i in range(count)]
        low, high, _ = scale(law, operations)
        figure, axes = new_figure(7.0, 3.4)
        for style, (factor, name) in enumerate(((1, "this budget"), (10, "ten times the budget"))):
            curve = [loss(law, factor * operations, size) for size in grid]
            line(axes, grid, [min(max(y, low), high) for y in curve], name, style)
        best = optimum(law, operations)
        axes.plot(best, loss(law, operations, best), "D", color=COLORS["green"], label="best")
        here = min(loss(law, operations, chosen), high)
        axes.plot(chosen, here, "o", ms=9, color=COLORS["orange"], label="chosen")
        axes.set(xscale="log", ylim=(low, high), xlabel="parameters", ylabel="expected loss")
        axes.legend(fontsize=9)
        return figure


def loss(law: Law, operations: float, parameters: float) -> float:
    """E + A / N^α + B / D^β with D = C / 6 N."""
    floor, a, b, alpha, beta = law
    return floor + a * parameters**-alpha + b * (operations / 6 / parameters) ** -beta


def optimum(law: Law, operations: float) -> float:
    """N* = (α A / β B · (C / 6)^β)^(1 / (α + β))."""
    _, a, b, alpha, beta = law
    return (alpha * a / (beta * b) * (operations / 6) ** beta) ** (1 / (alpha + beta))


def scale(law: Law, operations: float) -> tuple[float, float, list[float]]:
    """Lowest and highest loss of the axis, and where its lines are drawn."""
    reach = 3 * (loss(law, operations, optimum(law, operations)) - law[0])
    tens = 10.0 ** math.floor(math.log10(reach / 6))
    step = next(times * tens for times in (1, 2, 2.5, 5, 10) if times * tens >= reach / 6)
    first, last = math.ceil(law[0] / step), math.floor((law[0] + reach) / step)
    ticks = [float(f"{i * step:.10g}") for i in range(first, last + 1)]
    return law[0] - 0.03 * reach, law[0] + reach, ticks


def human(value: float) -> str:
    """1.75e11 → "175 billion", 3162.3 → "3,162", 12.3 → "12"."""
    for unit, word in UNITS:
        if value >= unit:
            part = value / unit
            return f"{part:.{2 if part < 9.995 else 1 if part < 99.95 else 0}f} {word}"
    return f"{math.floor(value + 0.5):,}"


def ratio(value: float) -> str:
    """How many for each parameter: 18.67 → "18.7", 250.2 → "250", 0.0123 → "0.012"."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 1 else 3}f}"


def power(lowest: int, place: int) -> str:
    """Quarter decades above 10^lowest: (18, 22) → "3.2 · 10²³"."""
    exponent = lowest + place // PER_BUDGET
    raised = "".join(RAISED[int(digit)] for digit in str(exponent))
    return f"{MANTISSAS[place % PER_BUDGET]} · 10{raised}"


def _checked(
    laws: Mapping[str, Law], ranges: Sequence[tuple[Range, Range]], units: Sequence[str]
) -> list[list[float]]:
    if not laws:
        raise ValueError("laws must hold at least one name → (E, A, B, α, β), got none")
    if not len(laws) == len(ranges) == len(units):
        raise ValueError(
            "each law needs its ranges and its unit, got "
            f"{len(laws)} laws, {len(ranges)} ranges and {len(units)} units"
        )
    found = []
    for name, law in laws.items():
        row = numbers(law, f"law {name!r}", "numbers")
        if len(row) != 5 or row[1:].min() <= 0:
            raise ValueError(
                f"a law is (E, A, B, α, β), the last four above 0, got {row.tolist()} for {name!r}"
            )
        found.append(row.tolist())
    for budgets, sizes in ranges:
        if not (0 <= budgets[0] < budgets[1] <= 40 and 0 <= sizes[0] < sizes[1] <= 20):
            raise ValueError(
                "ranges are exponents of 10, lowest and highest, from 0 to 40 for budgets and to "
                f"20 for sizes, got {budgets} and {sizes}"
            )
    return found
