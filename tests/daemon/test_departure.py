"""A rare call leaves with every stockout that is known by then, and a backlog keeps its rate all the same.

"Forced" is what the mall's slots force on a stockout whatever we do: the definition of `bench/watching.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import pytest
from bench.filling import listing_key
from bench.rate import LAST_PIECES, MALL, ROUND_TRIP_SECONDS, SELLER, Measured, Scene, furnish, measure
from bench.watching import LimitedChannel, LimitedShop, Limits, Watched

from syncd.clock import Clock
from syncd.daemon.agenda import Agenda, Occasion
from syncd.daemon.answers import Answers
from syncd.daemon.departure import Departure
from syncd.daemon.limits import ShopLimiter
from syncd.model import Lane
from syncd.sdk.channel import Budget, Capabilities
from syncd.sim.loop import VirtualClock
from syncd.sim.stage import Part
from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.memory import MemoryChannel

from .recorded import Recorded, took

ALLOWED_MS = 300
GOODS = {"S1": 9, "S2": 9}
FEW_ROWS = Limits({"orders": 1.0, "write": 1.0, "read": 5.0}, rows=40)
QUICKER = Limits({"orders": 1.0, "write": 4.0, "read": 10.0}, rows=10)


def limiter(trial: Trial, name: str) -> ShopLimiter:
    assert trial.stage is not None
    return next(shop.limiter for shop in trial.stage.daemon.hub.shops.values() if shop.name == name)


def block(trial: Trial, name: str, seconds: float) -> None:
    """Nothing leaves towards this shop for so long."""
    limiter(trial, name).throttled("write", seconds)


def mall(limits: Limits, world: Watched, clock: Clock) -> Part:
    shop = LimitedShop(world, world.market(MALL), clock, limits, ROUND_TRIP_SECONDS)
    return Part(shop, LimitedChannel.slug, {"poll_seconds": 15.0})


def scene(
    transaction_seconds: float, poll_seconds: float = 0.31, *, limits: Limits = FEW_ROWS, rows: int = 1800
) -> Scene:
    return Scene(
        "", partial(mall, limits), listing_key, rows, lambda one: one.rates["write"],
        transaction_seconds=transaction_seconds, poll_seconds=poll_seconds,
    )  # fmt: skip


async def played(one: Scene) -> Measured:
    found = await measure(one, await furnish(one, VirtualClock()))
    assert (found.violations, found.stale, found.missing) == (0, 0, 0)
    return found


def beyond(found: Measured) -> list[float]:
    """Milliseconds of each stockout over what its slots forced."""
    return [late - forced for late, forced in zip(found.latency_ms, found.forced_ms, strict=True)]


@pytest.mark.parametrize("poll_seconds", [0.31, 0.5, 0.47])
@pytest.mark.parametrize("transaction_seconds", [0.01, 0.02, 0.035])
@virtual
async def test_a_stockout_booked_while_a_batch_call_is_planned_rides_in_that_call(
    transaction_seconds: float, poll_seconds: float
) -> None:
    found = await played(scene(transaction_seconds, poll_seconds))
    assert max(beyond(found)) <= ALLOWED_MS


@pytest.mark.parametrize("transaction_seconds", [0.0, 0.01, 0.025])
@virtual
async def test_a_backlog_uses_its_rate_while_stockouts_pass_it_by(transaction_seconds: float) -> None:
    assert (await played(scene(transaction_seconds))).used >= 0.95


@pytest.mark.parametrize("limits", [FEW_ROWS, QUICKER])
@virtual
async def test_answers_that_are_booked_without_end_take_no_slot_from_a_backlog(limits: Limits) -> None:
    one = scene(0.01, limits=limits)
    stage = await furnish(one, VirtualClock())
    with stage.daemon.hub.answers.booking():
        found = await measure(one, stage)
    assert found.used >= 0.95
    assert found.violations == 0


@virtual
async def test_a_call_waits_for_an_answer_that_is_being_booked_but_not_for_long() -> None:
    clock, answers = VirtualClock(), Answers()
    with answers.booking():
        async with anyio.create_task_group() as group:
            group.start_soon(answers.quiet, clock, 5.0)
        assert clock.monotonic() == 5.0
    await answers.quiet(clock, 5.0)
    assert clock.monotonic() == 5.0


RELATIVE = {"forms": ("relative_refuses", "absolute"), "max_rows": 5, "per_second": 0.5}
RARELY = {"b": {"poll_seconds": 1000, "reconcile_seconds": 1000}}


@virtual
async def test_a_batch_call_that_needs_no_read_is_not_fixed_before_its_slot() -> None:
    async with Trial.of({"a": {}, "b": RELATIVE}, GOODS, shop_type=Recorded, shops=RARELY) as trial:
        await trial.run(30)
        took(trial, "b").clear()
        trial.buy("a", "S1", 2)
        polls = trial.mall("a").calls["orders"]
        await trial.run_until(lambda: trial.mall("a").calls["orders"] == polls + 1)
        block(trial, "b", 10.15)  # a's orders are read every 2 s: the last answer comes 0.1 s before that
        await trial.run(9.5)
        trial.buy("a", "S2", 9)
        await trial.run(1)
        assert took(trial, "b")[0] == {"S1": -2, "S2": 0}


@virtual
async def test_a_stockout_rides_in_a_batch_call_that_still_waits_for_its_turn() -> None:
    """Where budgets are shared, others may be first in line."""
    async with Trial.of({"a": {}, "b": RELATIVE}, GOODS, shop_type=Recorded, shops=RARELY) as trial:
        await trial.run(30)
        took(trial, "b").clear()
        trial.buy("a", "S1", 2)
        block(trial, "b", 6.0)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(limiter(trial, "b").acquire, "read", 1.0)
            await trial.run(7)
            trial.buy("a", "S2", 9)
        await trial.run(4)
        assert took(trial, "b")[0] == {"S1": -2, "S2": 0}


@virtual
async def test_a_stockout_overtakes_all_who_wait_for_the_same_budget() -> None:
    async with Trial.of({"a": {}, "b": RELATIVE}, GOODS, shop_type=Recorded, shops=RARELY) as trial:
        await trial.run(30)
        took(trial, "b").clear()
        trial.buy("a", "S1", 2)
        block(trial, "b", 6.0)
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(limiter(trial, "b").acquire, "read", 1.0)
            await trial.run(5.9)  # the batch call is planned and last in line
            trial.buy("a", "S2", 9)
            await trial.run(5)
            assert took(trial, "b")[0] == {"S1": -2, "S2": 0}
            group.cancel_scope.cancel()


@virtual
async def test_a_shop_that_is_stopped_at_any_moment_of_a_call_holds_no_slot() -> None:
    async with Trial.of({"a": {}, "b": RELATIVE}, {"S1": 99}, shops=RARELY) as trial:
        await trial.run(30)
        for number in range(12):
            trial.buy("a", "S1")
            await trial.run(5.3 + number * 0.19)
            held = limiter(trial, "b").lines["write"]
            await trial.kill()
            assert [line.bucket.held for line in held] == [0.0]
            await trial.start()


@virtual
async def test_a_call_that_was_held_up_until_its_reading_is_old_is_read_anew() -> None:
    """The disk stalls between the plan and the departure."""
    one = scene(0.01, rows=400)
    stage = await furnish(one, VirtualClock())
    hub, stalls = stage.daemon.hub, iter([0.0, 0.0, 5.0] * 99)
    quiet = hub.answers.quiet

    class Stalled(Answers):
        async def quiet(self, clock: Clock, most_seconds: float) -> None:
            await clock.sleep(next(stalls))
            await quiet(clock, most_seconds)

    hub.answers = Stalled()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await stage.daemon.ready.wait()
        for number in range(LAST_PIECES, LAST_PIECES + one.rows):
            stage.world.markets[SELLER].buy({listing_key(number): 1})
            await stage.clock.sleep(0.05)
        stage.daemon.stop()
    assert stage.world.stale == []
    assert stage.parts[MALL].emulator.calls["write"] > 5


@virtual
async def test_a_slot_that_comes_in_the_moment_of_a_cancellation_is_given_back() -> None:
    async with Trial.of({"a": {}, "b": RELATIVE}, GOODS, shops=RARELY) as trial:
        await trial.run(30)
        assert trial.stage is not None
        shop = next(one for one in trial.stage.daemon.hub.shops.values() if one.name == "b")
        departure, route = Departure(trial.stage.daemon.hub, shop), shop.capabilities.routes[0]
        on = Occasion(shop=shop.facts, route=route, now_us=0, key="", urgent=False, final=True)
        agenda = Agenda(on, 1, lanes={1: int(Lane.BATCH)})

        async def never(again: Agenda) -> Agenda:
            raise AssertionError(again)

        async with anyio.create_task_group() as group:
            group.start_soon(departure.leave, route, agenda, never)
            group.cancel_scope.cancel()
        assert [line.bucket.held for line in shop.limiter.lines["write"]] == [0.0]


class WritesRarely(MemoryChannel):
    """One write in two seconds, reads whenever we like."""

    slug = "writes-rarely"

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, budgets=(Budget("write", frozenset({"write"}), 0.5),))


@asynccontextmanager
async def a_batch_and_a_stockout_wait(*faults: Fault, **options: Any) -> AsyncIterator[Trial]:
    """Both are due at "b", whose next slot comes in 6 s. The faults are those of the reads before it."""
    shop: dict[str, Any] = {"poll_seconds": 1000, "reconcile_seconds": 1000, "timeout_seconds": 120.0}
    shop |= {} if "per_second" in options else {"channel": WritesRarely.slug}
    channels, malls = {WritesRarely.slug: WritesRarely}, {"a": {}, "b": options}
    async with Trial.of(malls, GOODS, shop_type=Recorded, shops={"b": shop}, channels=channels) as trial:
        await trial.run(30)
        took(trial, "b").clear()
        block(trial, "b", 12.0)
        trial.buy("a", "S1", 2)
        await trial.run(6)
        trial.buy("a", "S2", 9)
        for fault in faults:
            trial.mall("b").faults.add(fault)
        yield trial
        await trial.run_until(lambda: trial.shows("b", "S1") == 7)
        await trial.run(10)
        assert trial.wrong() == []


IN_ITS_SLOT_SECONDS = 6.1


@pytest.mark.parametrize("reads_stock", [True, False])
@virtual
async def test_a_stockout_takes_rows_along_that_are_read_for_before_its_slot(reads_stock: bool) -> None:
    async with a_batch_and_a_stockout_wait(reads_stock=reads_stock) as trial:
        assert await trial.run_until(lambda: trial.shows("b", "S2") == 0) < IN_ITS_SLOT_SECONDS
        assert took(trial, "b") == [{"S1": 7, "S2": 0}]


@pytest.mark.parametrize("reads_stock", [True, False])
@virtual
async def test_a_stockout_leaves_in_its_slot_without_rows_whose_read_is_held_up(reads_stock: bool) -> None:
    held_up = Fault("read" if reads_stock else "orders", FaultKind.LATENCY, seconds=20.0)
    async with a_batch_and_a_stockout_wait(held_up, reads_stock=reads_stock) as trial:
        assert await trial.run_until(lambda: trial.shows("b", "S2") == 0) < IN_ITS_SLOT_SECONDS
        assert took(trial, "b") == [{"S2": 0}]


@virtual
async def test_a_stockout_leaves_in_its_slot_though_a_read_for_rows_that_ride_fails() -> None:
    async with a_batch_and_a_stockout_wait(Fault("read", FaultKind.STATUS, status=503)) as trial:
        assert await trial.run_until(lambda: trial.shows("b", "S2") == 0) < IN_ITS_SLOT_SECONDS
        assert took(trial, "b") == [{"S2": 0}]


@virtual
async def test_nothing_is_read_for_rows_that_ride_where_that_costs_the_stockout_its_slot() -> None:
    async with a_batch_and_a_stockout_wait(per_second=0.5) as trial:
        assert await trial.run_until(lambda: trial.shows("b", "S2") == 0) < IN_ITS_SLOT_SECONDS
