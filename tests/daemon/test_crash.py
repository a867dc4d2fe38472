"""A stop like SIGKILL at every numbered step of an order's way; after a restart all is as it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest

from syncd.sdk.channel import Cursor, Form, OrderPage
from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.memory import MemoryChannel

FORMS = {
    "absolute": (Form.ABSOLUTE,),
    "relative": (Form.RELATIVE_REFUSES, Form.ABSOLUTE),
    "swap": (Form.COMPARE_AND_SET,),
    "clamps": (Form.RELATIVE_CLAMPS, Form.ABSOLUTE),
}
ENOUGH_SECONDS = 60.0
LOOK_SECONDS = 6.0


class AcknowledgingChannel(MemoryChannel):
    """Keeps which pages were acknowledged, and what the store held then."""

    acknowledged: ClassVar[list[int]] = []

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await super().fetch_orders(cursor)

        async def acknowledge() -> None:
            self.acknowledged.append(len(page.states))

        return replace(page, acknowledge=acknowledge)


def orders_in(trial: Trial) -> int:
    """Orders as the transaction under way sees them."""
    return trial.store._raw.execute("SELECT count(*) FROM orders").fetchone()[0]


def calls_in(trial: Trial, state: str) -> int:
    """Calls in a state as the transaction under way sees them."""
    query = "SELECT count(*) FROM intent i JOIN shop s ON s.id = i.shop_id WHERE s.name = 'b' AND i.state = ?"
    return trial.store._raw.execute(query, (state,)).fetchone()[0]


Point = Callable[[Trial], Callable[[str], bool]]
POINTS: dict[str, Point] = {
    "before the page is booked": lambda t: lambda name: name == "before_commit" and orders_in(t) > 0,
    "before it is acknowledged": lambda t: lambda name: name == "after_commit" and orders_in(t) > 0,
    "before the call is durable": lambda t: lambda name: name == "before_commit" and calls_in(t, "open") > 0,
    "before the call is sent": lambda t: lambda name: name == "after_commit" and calls_in(t, "open") > 0,
    "before the call is settled": lambda t: (
        lambda name: name == "before_commit" and calls_in(t, "open") == 0 and t.mall("b").calls["write"] > 0
    ),
    "after the call is settled": lambda t: (
        lambda name: name == "after_commit" and calls_in(t, "open") == 0 and t.mall("b").calls["write"] > 0
    ),
}


async def right_in_the_end(trial: Trial) -> None:
    """Everything is what it must be, soon."""
    for _ in range(int(ENOUGH_SECONDS / LOOK_SECONDS)):
        await trial.run(LOOK_SECONDS)
        open_calls = await trial.rows("SELECT id FROM intent WHERE state <> 'done'")
        wrong = [*trial.wrong(), *await trial.books(), *open_calls]
        if not wrong:
            return
    assert wrong == []


@pytest.mark.parametrize("units", [5, 1], ids=["stockout", "lowering"])
@pytest.mark.parametrize("form", ["absolute", "swap", "clamps"])
@pytest.mark.parametrize("point", POINTS)
@virtual
async def test_a_sale_survives_a_crash(point: str, form: str, units: int) -> None:
    async with Trial.of({"a": {}, "b": {"forms": FORMS[form]}}, {"S1": 5}) as trial:
        await trial.run(6)
        trial.crash_when(POINTS[point](trial))
        trial.buy("a", "S1", units)
        await trial.run_until(lambda: trial.dead)
        await trial.restart()
        await right_in_the_end(trial)


@pytest.mark.parametrize("form", ["relative", "swap"])
@pytest.mark.parametrize("point", list(POINTS)[3:])
@virtual
async def test_a_cancel_survives_a_crash(point: str, form: str) -> None:
    async with Trial.of({"a": {}, "b": {"forms": FORMS[form]}}, {"S1": 5}) as trial:
        await trial.run(6)
        order = trial.buy("a", "S1", 4)
        await trial.run(20)
        trial.mall("b").calls.clear()
        trial.crash_when(POINTS[point](trial))
        trial.world.markets["a"].cancel(order.number)
        await trial.run_until(lambda: trial.dead)
        await trial.restart()
        await right_in_the_end(trial)


@virtual
async def test_an_order_placed_while_the_daemon_is_down_is_booked_after_it() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5}) as trial:
        await trial.kill()
        trial.buy("a", "S1", 5)
        await trial.run(30)
        await trial.start()
        await right_in_the_end(trial)
        assert trial.shows("b", "S1") == 0


@virtual
async def test_a_page_is_acknowledged_after_its_commit_and_again_after_a_crash_between() -> None:
    AcknowledgingChannel.acknowledged.clear()
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5}, channels={"memory": AcknowledgingChannel}) as trial:
        trial.crash_when(POINTS["before it is acknowledged"](trial))
        trial.buy("a", "S1")
        await trial.run_until(lambda: trial.dead)
        assert 1 not in AcknowledgingChannel.acknowledged
        await trial.restart()
        await trial.run(5)
        assert 1 in AcknowledgingChannel.acknowledged
        assert await trial.books() == []


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("raises", [True, False], ids=["raise", "lowering"])
@virtual
async def test_a_call_cut_off_by_a_crash_is_in_doubt_and_resolved(form: str, applied: bool, raises: bool) -> None:
    async with Trial.of({"a": {}, "b": {"forms": FORMS[form]}}, {"S1": 9}) as trial:
        order = trial.buy("a", "S1", 3)
        await trial.run(20)
        mall = trial.mall("b")
        before = mall.market.tally["rows_written"]
        if not applied:
            mall.faults.add(Fault("write", FaultKind.LATENCY, seconds=4))
        if raises:
            trial.world.markets["a"].cancel(order.number)
        else:
            trial.buy("a", "S1", 2)
        calls = mall.calls["write"]
        if applied:
            await trial.run_until(lambda: mall.market.tally["rows_written"] > before, step=0.001)
        else:
            await trial.run_until(lambda: mall.calls["write"] > calls, step=0.001)
            await trial.run(0.5)
        await trial.kill()
        assert (mall.market.tally["rows_written"] > before) is applied
        assert len(await trial.rows("SELECT id FROM intent WHERE state = 'open'")) == 1
        await trial.start()
        await right_in_the_end(trial)


@virtual
async def test_daemons_that_die_again_and_again_lose_and_double_nothing() -> None:
    async with Trial.of({"a": {}, "b": {}, "c": {"forms": FORMS["swap"]}}, {"S1": 30}) as trial:
        for turn in range(8):
            trial.buy("abc"[turn % 3], "S1", 2)
            countdown = iter([False] * (3 + 2 * turn))
            trial.crash_when(lambda _, left=countdown: next(left, True))
            await trial.run_until(lambda: trial.dead)
            await trial.restart()
        await right_in_the_end(trial)
