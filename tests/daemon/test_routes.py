"""Several ways to write stock: the one that finishes what is due soonest is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from syncd.daemon.agenda import Due
from syncd.daemon.dispatcher import Dispatcher
from syncd.model import Lane
from syncd.sdk.capabilities import Budget, Capabilities, WriteRoute
from syncd.sdk.channel import Form, StockWrite, WriteReport
from syncd.sim.trial import Trial, virtual
from syncd.testing.memory import MemoryChannel

FORMS = frozenset({Form.ABSOLUTE})
SINGLE = WriteRoute("single", "single", FORMS, max_rows=1, dead_after_seconds=10.0)
BULK = WriteRoute("bulk", "bulk", FORMS, max_rows=100, dead_after_seconds=10.0, settle_seconds=8.0)
BUDGETS = (
    Budget("single", frozenset({"single"}), per_second=1.0, burst=1.0),
    Budget("bulk", frozenset({"bulk"}), per_second=0.5, burst=1.0),
)
GOODS = {f"S{i}": 9 for i in range(40)}


class TwoRoutes(MemoryChannel):
    """One row at once, or many that take their while."""

    taken: ClassVar[list[tuple[str, int]]] = []

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, routes=(SINGLE, BULK), budgets=BUDGETS)

    async def write_stock(self, rows: list[StockWrite], route: WriteRoute, key: str) -> WriteReport:  # type: ignore[override]
        self.taken.append((route.name, len(rows)))
        return await super().write_stock(rows, route, key)


def dispatcher(trial: Trial) -> Dispatcher:
    assert trial.stage is not None
    found = trial.stage.daemon.runners["b"].dispatcher
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("rows", "route"),
    [({Lane.STOCKOUT: 1}, "single"), ({Lane.STOCKOUT: 3}, "single"), ({Lane.BATCH: 40}, "bulk"),
     ({Lane.STOCKOUT: 1, Lane.BATCH: 40}, "single"), ({Lane.STOCKOUT: 30}, "bulk")],
)  # fmt: skip
@virtual
async def test_the_route_that_finishes_what_is_due_soonest_is_taken(rows: dict[int, int], route: str) -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, channels={"memory": TwoRoutes}) as trial:
        await trial.run(30)  # every bucket is full again
        assert dispatcher(trial)._route(Due(rows)).name == route


@virtual
async def test_one_stockout_goes_alone_and_many_go_together() -> None:
    async with Trial.of({"a": {}, "b": {}}, GOODS, channels={"memory": TwoRoutes}) as trial:
        await trial.run(30)
        TwoRoutes.taken.clear()
        trial.buy("a", "S0", 9)
        await trial.run_until(lambda: trial.shows("b", "S0") == 0)
        assert TwoRoutes.taken == [("single", 1)]
        await trial.run(30)
        TwoRoutes.taken.clear()
        trial.world.markets["a"].buy({f"S{i}": 9 for i in range(1, 40)})
        await trial.run_until(lambda: all(trial.shows("b", key) == 0 for key in GOODS))
        assert TwoRoutes.taken[0] == ("bulk", 39)
