"""Oversold units per 10,000 orders under eight ways of working, by the real decisions of `syncd.core`.

Every way meets the same buyers (`syncd.sim.core`, whose assumptions stand in `assumptions.py`). Merchants are
independent, one seed each; a cell sums them. Writes `docs/oversell.md` and `docs/oversell.svg`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.oversell_chart import draw
from bench.oversell_page import page
from bench.report import Grid, Result
from syncd.sim.core.assumptions import DEMANDS, Scenario
from syncd.sim.core.cells import Tally, run_cell, total
from syncd.sim.core.habits import HABITS

DOCS = Path(__file__).parents[1] / "docs"
OURS = ("mirror", "auto", "escrow", "sale mode")
FLASHES = (Scenario.FLASH, Scenario.CLOGGED)
ORDERS = {"auto": 1_000_000, "escrow": 200_000, "sale mode": 200_000}
ORDERS_OTHERS, ORDERS_QUICK = 100_000, 10_000
CHUNK_ORDERS = 5_000
TEN_THOUSAND = 10_000.0


@dataclass(slots=True)
class Cell:
    """One way of working in one scenario, over many merchants."""

    scenario: Scenario
    habit: str
    tallies: list[Tally] = field(default_factory=list)

    @property
    def sum(self) -> Tally:
        return total(self.tallies)

    def oversold(self) -> tuple[float, float]:
        """Oversold units per 10,000 accepted, and the standard error of that ratio over merchants."""
        return self._ratio([(one.oversold, one.accepted) for one in self.tallies])

    def lost(self) -> tuple[float, float]:
        """Units lost for good per 10,000 demanded, and its standard error."""
        return self._ratio([(one.lost, one.demanded) for one in self.tallies])

    @staticmethod
    def _ratio(pairs: list[tuple[int, int]]) -> tuple[float, float]:
        above, below, count = sum(a for a, _ in pairs), sum(b for _, b in pairs), len(pairs)
        if not below:
            return 0.0, 0.0
        ratio = above / below
        spread = sum((a - ratio * b) ** 2 for a, b in pairs) * count / max(1, count - 1)
        return ratio * TEN_THOUSAND, spread**0.5 / below * TEN_THOUSAND

    def upper(self, value: tuple[float, float], units: int) -> float:
        """Upper end of the 95 % interval; of none in n, 3.7 / n (exact Poisson)."""
        mean, error = value
        return mean + 1.96 * error if mean else 3.69 / max(1, units) * TEN_THOUSAND

    @property
    def pushes(self) -> float:
        return self.sum.pushes / max(1, self.sum.accepted)


Task = tuple[Scenario, str, int, int]


def run(*, quick: bool = False) -> Result:
    """Run every cell, write the page and the chart. `quick`: a hundredth of the orders, no page."""
    cells = {(scenario, habit): Cell(scenario, habit) for habit in HABITS for scenario in _scenarios(habit)}
    tasks = list(_tasks(cells, quick))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for (scenario, habit, _, _), tallies in zip(tasks, pool.map(_work, tasks), strict=True):
            cells[scenario, habit].tallies += tallies
    result = _judge(cells, quick)
    if not quick:
        (DOCS / "oversell.md").write_text(page(result), encoding="utf-8")
        (DOCS / "oversell.svg").write_text(draw(_bars(cells)), encoding="utf-8")
    return result


def _scenarios(habit: str) -> tuple[Scenario, ...]:
    return FLASHES if habit == "sale mode" else tuple(Scenario)


def _tasks(cells: dict[tuple[Scenario, str], Cell], quick: bool) -> Iterator[Task]:
    """Pieces of work, the longest cells first."""
    work: list[tuple[int, Task]] = []
    for scenario, habit in cells:
        orders = ORDERS_QUICK if quick else ORDERS.get(habit, ORDERS_OTHERS)
        each = _orders_each(scenario)
        merchants, chunk = -(-orders // each), max(1, CHUNK_ORDERS // each)
        for first in range(0, merchants, chunk):
            work.append((merchants, (scenario, habit, first, min(merchants, first + chunk))))
    work.sort(key=lambda one: (-one[0], one[1][0].value, one[1][1], one[1][2]))
    return (task for _, task in work)


def _orders_each(scenario: Scenario) -> int:
    """Orders that a merchant can take, a little less than its stock since demand may fall short."""
    demands = DEMANDS[scenario]
    return max(1, int(demands.skus * sum(demands.stock) / 2 * 0.9 * (0.75 if scenario is Scenario.TAIL else 1.0)))


def _work(task: Task) -> list[Tally]:
    scenario, habit, first, last = task
    gc.disable()  # the rows of a merchant live as long as it does; then all go at once
    try:
        return [run_cell(scenario, HABITS[habit], seed) for seed in range(first, last)]
    finally:
        gc.enable()
        gc.collect()


# --- what came out ------------------------------------------------------------------------------------------------


def _judge(cells: dict[tuple[Scenario, str], Cell], quick: bool) -> Result:
    result = Result("oversell", "Oversold units per 10,000 orders: the same demand under eight ways of working")
    _goals(result, cells)
    _grids(result, cells)
    for (scenario, habit), cell in cells.items():
        name = f"{scenario.name.lower()}/{habit}"
        result.numbers[f"{name}/oversold"], result.numbers[f"{name}/oversold_se"] = cell.oversold()
        result.numbers[f"{name}/lost"], result.numbers[f"{name}/lost_se"] = cell.lost()
        result.numbers[f"{name}/pushes"] = cell.pushes
        result.numbers[f"{name}/orders"] = float(cell.sum.accepted)
    if quick:
        result.notes.append("A quick run: the intervals are wide, and goals may be missed by chance.")
    return result


def _goals(result: Result, cells: dict[tuple[Scenario, str], Cell]) -> None:
    """The goals of the issue: upper ends of the 95 % intervals."""
    for habit in ("escrow", "sale mode"):
        found = sum(cell.sum.oversold for cell in cells.values() if cell.habit == habit)
        orders = sum(cell.sum.accepted for cell in cells.values() if cell.habit == habit)
        result.goal(f"{habit}: 0 oversold", f"{found} in {orders:,} orders", met=found == 0)
    for scenarios, most_oversold, most_lost in (
        ((Scenario.TAIL, Scenario.MIDDLE), 0.5, 1.0), ((Scenario.HOT,), 1.0, 30.0),
        ((Scenario.FLASH,), 100.0, 100.0), ((Scenario.CLOGGED,), 100.0, 100.0),
    ):  # fmt: skip
        cell = Cell(scenarios[0], "auto", [one for name in scenarios for one in cells[name, "auto"].tallies])
        oversold = cell.upper(cell.oversold(), cell.sum.accepted)
        lost = cell.upper(cell.lost(), cell.sum.demanded)
        result.goal(
            f"auto, {' + '.join(scenarios)}: at most {most_oversold:g} oversold and {most_lost:g} lost per 10,000",
            f"{oversold:.2f} and {lost:.2f} (upper 95 %, {cell.sum.accepted:,} orders)",
            met=oversold <= most_oversold and lost <= most_lost,
        )
    pushes = cells[Scenario.HOT, "escrow"].pushes
    result.goal("escrow, hot: at most 0.25 pushes an order", f"{pushes:.2f}", met=pushes <= 0.25)


def _grids(result: Result, cells: dict[tuple[Scenario, str], Cell]) -> None:
    columns = ("way of working", *(str(scenario) for scenario in Scenario))
    oversold = Grid(
        "Oversold units per 10,000 orders (standard error), in brackets units lost per 10,000 asked", columns
    )
    pushes = Grid("Rows written per order", columns)
    refused = Grid("Buyers refused while there was stock, per 10,000 asked", columns)
    orders = Grid("Orders", columns)
    for habit in HABITS:
        row = [cells.get((scenario, habit)) for scenario in Scenario]
        oversold.add(habit, *(_told(cell) for cell in row))
        pushes.add(habit, *("" if cell is None else f"{cell.pushes:.2f}" for cell in row))
        refused.add(habit, *("" if cell is None else _refused(cell) for cell in row))
        orders.add(habit, *("" if cell is None else f"{cell.sum.accepted:,}" for cell in row))
    result.grids += [oversold, pushes, refused, orders]


def _refused(cell: Cell) -> str:
    return f"{cell.sum.refused_in_stock / max(1, cell.sum.demanded) * TEN_THOUSAND:,.0f}"


def _told(cell: Cell | None) -> str:
    if cell is None:
        return ""
    mean, error = cell.oversold()
    lost, _ = cell.lost()
    text = f"{mean:,.2f} ±{error:.2f}" if mean < 100 else f"{mean:,.0f} ±{error:.0f}"
    text = text if cell.sum.oversold else "0"
    return f"{text} ({lost:,.1f})" if cell.sum.lost else text


def _bars(cells: dict[tuple[Scenario, str], Cell]) -> dict[str, list[tuple[str, float, bool]]]:
    """Per scenario: way of working, oversold per 10,000, and whether it is ours."""
    return {
        str(scenario): [
            (habit, cells[scenario, habit].oversold()[0], habit in OURS)
            for habit in HABITS
            if (scenario, habit) in cells
        ]
        for scenario in Scenario
    }
