"""What is looked at again and again: silence, keys that die, overdue shipments, old orders, the daily full sync."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncd.daemon.housekeeping import Housekeeping, next_time_us
from syncd.model import from_us, to_us
from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind

MALLS: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
GOODS = {"S1": 9, "S2": 9}
EVER = 100_000
FEW = {"order_read_seconds": 20, "write_seconds": 60, "oldest_push_seconds": 30, "stockout_seconds": 15}


def settings(**limits: float) -> Mapping[str, Any]:
    return {"limits": {**FEW, **limits}}


def keeping(trial: Trial) -> Housekeeping:
    assert trial.stage is not None
    return trial.stage.daemon.housekeeping


def ahead(trial: Trial, **more: float) -> None:
    """The wall clock moves on; nothing else does."""
    trial.clock.set_wall(trial.clock.now() + timedelta(**more))


def fail(trial: Trial, name: str, operation: str, status: int = 429) -> Fault:
    """Every such call fails until the fault's `times` is 0."""
    fault = Fault(operation, FaultKind.STATUS, times=EVER, status=status, retry_after=1.0)
    trial.mall(name).faults.add(fault)
    return fault


async def open_alarms(trial: Trial, *kinds: str) -> list[tuple[str, str]]:
    """(kind, shop) of the open alarms of these kinds."""
    query = "SELECT a.kind, s.name FROM alarm a JOIN shop s ON s.id = a.shop_id WHERE a.cleared_us IS NULL"
    return sorted((kind, shop) for kind, shop in await trial.rows(query) if kind in kinds)


# -- silence ---------------------------------------------------------------------------------------------------------


@virtual
async def test_a_shop_whose_orders_cannot_be_read_is_alarmed_and_cleared() -> None:
    async with Trial.of(MALLS, GOODS, settings=settings()) as trial:
        await trial.run(6)
        fault = fail(trial, "b", "orders")
        await trial.run(15)
        assert await open_alarms(trial, "orders_silent") == []
        await trial.run(25)
        assert await open_alarms(trial, "orders_silent") == [("orders_silent", "b")]
        assert any(text.startswith("b: no good order read for") for text in keeping(trial).late)
        fault.times = 0
        await trial.run(20)
        assert await trial.alarms() == set()
        assert keeping(trial).late == []


@virtual
async def test_silence_of_less_than_five_polls_is_none() -> None:
    shops_of = {"b": {"poll_seconds": 30.0}}
    async with Trial.of(MALLS, GOODS, settings=settings(), shops=shops_of) as trial:
        fail(trial, "b", "orders")
        await trial.run(140)
        assert await open_alarms(trial, "orders_silent") == []
        await trial.run(40)
        assert await open_alarms(trial, "orders_silent") == [("orders_silent", "b")]


@virtual
async def test_a_stockout_that_waits_too_long_is_alarmed_and_cleared() -> None:
    async with Trial.of(MALLS, GOODS, settings=settings()) as trial:
        await trial.run(6)
        fault = fail(trial, "b", "write")
        trial.buy("a", "S1", 9)
        await trial.run(40)
        assert await open_alarms(trial, "stockout_late", "push_late") == [("stockout_late", "b")]
        assert any(text.startswith("b: 1 stockout changes wait, the oldest") for text in keeping(trial).late)
        fault.times = 0
        await trial.run(20)
        assert await trial.alarms() == set()


@virtual
async def test_a_change_in_the_batch_that_waits_too_long_is_alarmed_and_cleared() -> None:
    async with Trial.of(MALLS, GOODS, settings=settings()) as trial:
        await trial.run(6)
        fault = fail(trial, "b", "write")
        trial.buy("a", "S1", 1)
        await trial.run(50)
        assert await open_alarms(trial, "stockout_late", "push_late") == [("push_late", "b")]
        fault.times = 0
        await trial.run(20)
        assert await trial.alarms() == set()


@virtual
async def test_no_good_write_while_changes_wait_is_alarmed_and_cleared() -> None:
    async with Trial.of(MALLS, GOODS, settings=settings()) as trial:
        await trial.run(6)
        trial.buy("a", "S2", 1)
        await trial.run(20)
        fault = fail(trial, "b", "write")
        trial.buy("a", "S1", 9)
        await trial.run(50)
        assert await open_alarms(trial, "writes_silent") == []
        await trial.run(40)
        assert await open_alarms(trial, "writes_silent") == [("writes_silent", "b")]
        fault.times = 0
        await trial.run(20)
        assert await trial.alarms() == set()


@virtual
async def test_a_quiet_shop_with_nothing_to_write_is_not_alarmed() -> None:
    async with Trial.of(MALLS, GOODS, settings=settings()) as trial:
        await trial.run(400)
        assert await trial.alarms() == set()
        assert keeping(trial).late == []


@virtual
async def test_a_shop_that_does_not_run_is_late_and_one_that_a_person_paused_is_not() -> None:
    async with Trial.of(MALLS, GOODS, settings=settings(), start=False) as trial:
        trial.mall("b").key_works = False
        await trial.start()
        await trial.run(120)
        assert [text.split(" ")[:2] for text in keeping(trial).late] == [["b:", "failed_check:"]]
        assert trial.stage is not None
        await trial.stage.daemon.runners["b"].pause()
        await trial.run(20)
        assert keeping(trial).late == []


@virtual
async def test_a_pause_clears_the_alarms_of_silence() -> None:
    async with Trial.of(MALLS, GOODS, settings=settings()) as trial:
        await trial.run(6)
        fail(trial, "b", "orders")
        await trial.run(60)
        assert await open_alarms(trial, "orders_silent") == [("orders_silent", "b")]
        assert trial.stage is not None
        await trial.stage.daemon.runners["b"].pause()
        await trial.run(20)
        assert await open_alarms(trial, "orders_silent") == []


@virtual
async def test_oversold_goods_are_alarmed_until_there_are_enough_again() -> None:
    async with Trial.of({"a": {}, "b": {"visibility_seconds": 20.0}}, {"S1": 3}) as trial:
        trial.buy("b", "S1", 3)
        order = trial.buy("a", "S1", 3)
        await trial.run(60)
        assert "oversold" in await trial.alarms()
        assert keeping(trial).late == ["1 SKUs are oversold"]
        trial.world.markets["a"].cancel(order.number)
        await trial.run(60)
        assert "oversold" not in await trial.alarms()


# -- keys ------------------------------------------------------------------------------------------------------------


async def days_left(trial: Trial, days: float | None) -> None:
    """What the last check said of the key of shop b; then housekeeping looks."""
    assert trial.stage is not None
    shop = trial.stage.daemon.runners["b"].shop
    assert shop is not None
    shop.key_told = None if days is None else trial.clock.now() + timedelta(days=days)
    await keeping(trial).turn()


async def warned(trial: Trial) -> list[str]:
    query = "SELECT subject FROM alarm WHERE kind = 'key_expires' AND cleared_us IS NULL ORDER BY id"
    return [row[0] for row in await trial.rows(query)]


@virtual
async def test_the_end_of_a_key_is_told_14_7_3_and_1_days_before() -> None:
    async with Trial.of(MALLS, GOODS) as trial:
        told: list[tuple[float, str]] = []
        for left in (20, 14.5, 13.9, 10, 7.1, 6.9, 5, 2.9, 2, 1.1, 0.9, 0.1, -1):
            before = await trial.rows("SELECT id FROM alarm WHERE kind = 'key_expires'")
            await days_left(trial, left)
            await keeping(trial).turn()
            query = "SELECT subject FROM alarm WHERE kind = 'key_expires' ORDER BY id"
            told += [(left, row[0]) for row in (await trial.rows(query))[len(before) :]]
        assert told == [(13.9, "14"), (6.9, "7"), (2.9, "3"), (0.9, "1")]


@virtual
async def test_a_key_that_has_died_says_so() -> None:
    async with Trial.of(MALLS, GOODS) as trial:
        await days_left(trial, -1)
        [(text,)] = await trial.rows("SELECT text FROM alarm WHERE kind = 'key_expires'")
        assert text.startswith("b: its key ended on 2026-11-20")


@virtual
async def test_the_end_of_a_key_is_a_metric_from_the_start_of_the_daemon() -> None:
    async with Trial.of(MALLS, GOODS) as trial:
        await days_left(trial, 5)
        await trial.kill()
        trial.mall("b").key_works = False
        await trial.start()
        assert trial.stage is not None
        body, _ = trial.stage.daemon.hub.metrics.render()
        [line] = [one for one in body.decode().splitlines() if one.startswith('syncd_credential_expiry_days{shop="b"}')]
        assert 4.9 < float(line.split()[-1]) < 5


@virtual
async def test_a_renewed_key_ends_its_warnings() -> None:
    async with Trial.of(MALLS, GOODS) as trial:
        await days_left(trial, 10)
        await days_left(trial, 2)
        assert await warned(trial) != []
        await days_left(trial, 90)
        assert await warned(trial) == []
        await days_left(trial, 1.5)
        await days_left(trial, None)
        assert await warned(trial) == []


# -- now and then ----------------------------------------------------------------------------------------------------


@virtual
async def test_orders_of_a_shop_that_ships_after_days_leave_the_shelf_by_themselves() -> None:
    shops_of = {"a": {"ships": "after 2"}}
    async with Trial.of(MALLS, GOODS, shops=shops_of) as trial:
        trial.buy("a", "S1", 2)
        trial.buy("b", "S1", 1)
        await trial.run(10)
        balance = "SELECT on_hand, ordered, allocated FROM balance b JOIN sku s ON s.id = b.sku_id WHERE s.code = 'S1'"
        assert await trial.rows(balance) == [(9, 3, 0)]
        ahead(trial, hours=47)
        await keeping(trial).turn()
        assert await trial.rows(balance) == [(9, 3, 0)], "not before its time"
        ahead(trial, hours=2)
        await keeping(trial).turn()
        assert await trial.rows(balance) == [(7, 1, 0)]
        ahead(trial, hours=2)
        await keeping(trial).turn()
        assert await trial.rows(balance) == [(7, 1, 0)], "once"
        assert await trial.rows("SELECT open FROM orders o JOIN shop s ON s.id = o.shop_id ORDER BY s.name") == [
            (0,), (1,)
        ]  # fmt: skip


@virtual
async def test_overdue_shipments_are_looked_for_once_an_hour() -> None:
    async with Trial.of(MALLS, GOODS, shops={"a": {"ships": "after 1"}}) as trial:
        trial.buy("a", "S1", 2)
        await trial.run(10)
        await keeping(trial).turn()
        hour_us = keeping(trial).next_hour_us
        assert 0 < hour_us - trial.clock.now_us() <= 3_600_000_000
        await keeping(trial).turn()
        assert keeping(trial).next_hour_us == hour_us


@virtual
async def test_old_closed_orders_are_forgotten_and_their_entries_stay() -> None:
    async with Trial.of(MALLS, GOODS, settings={"retention": {"orders_days": 30}}) as trial:
        closed, still_open = trial.buy("a", "S1", 2), trial.buy("a", "S2", 1)
        await trial.run(10)
        trial.world.markets["a"].ship(closed.number)
        await trial.run(10)
        entries = await trial.rows("SELECT sku_id, on_hand, ordered, allocated FROM entry ORDER BY id")
        balances = await trial.rows("SELECT * FROM balance ORDER BY sku_id")
        ahead(trial, days=29)
        await keeping(trial).turn()
        assert await trial.rows("SELECT count(*) FROM orders") == [(2,)]
        ahead(trial, days=2)
        await keeping(trial).turn()
        assert await trial.rows("SELECT number FROM orders") == [(still_open.number,)]
        assert await trial.rows("SELECT sku_id, on_hand, ordered, allocated FROM entry ORDER BY id") == entries
        assert await trial.rows("SELECT * FROM balance ORDER BY sku_id") == balances
        notes = await trial.rows("SELECT DISTINCT note FROM entry WHERE note LIKE 'order %'")
        assert notes == [(f"order {closed.number}",)]


@virtual
async def test_a_forgotten_order_that_is_shown_again_is_not_booked_twice() -> None:
    async with Trial.of(MALLS, GOODS, settings={"retention": {"orders_days": 30}}) as trial:
        order = trial.buy("a", "S1", 2)
        await trial.run(10)
        trial.world.markets["a"].ship(order.number)
        await trial.run(10)
        balance = "SELECT on_hand, ordered, allocated FROM balance b JOIN sku s ON s.id = b.sku_id WHERE s.code = 'S1'"
        assert await trial.rows(balance) == [(7, 0, 0)]
        ahead(trial, days=31)
        await keeping(trial).turn()
        order.updated_at = trial.clock.now()  # somebody put a label on it at the mall
        await trial.run(10)
        assert await trial.rows(balance) == [(7, 0, 0)]


@virtual
async def test_calls_that_are_done_are_forgotten_after_a_week() -> None:
    async with Trial.of(MALLS, GOODS) as trial:
        trial.buy("a", "S1", 9)
        await trial.run(20)
        assert await trial.rows("SELECT count(*) FROM intent") != [(0,)]
        ahead(trial, days=8)
        await keeping(trial).turn()
        assert await trial.rows("SELECT count(*) FROM intent") == [(0,)]
        assert await trial.rows("SELECT count(*) FROM intent_row") == [(0,)]


@virtual
async def test_the_full_sync_runs_once_a_day_at_its_time() -> None:
    at = {"full_sync": {"at": "09:30", "zone": "Asia/Tokyo"}}
    async with Trial.of(MALLS, GOODS, settings=at) as trial:
        await trial.run(30)
        assert trial.stage is not None
        syncing = [one.reconcile for one in trial.stage.daemon.runners.values()]
        assert all(one is not None and not one.full for one in syncing)
        ahead(trial, minutes=29)  # 9:29:30 there
        await keeping(trial).turn()
        assert [one.full for one in syncing if one] == [False, False]
        ahead(trial, minutes=1)
        await keeping(trial).turn()
        assert [one.full for one in syncing if one] == [True, True]
        await trial.run(60)
        await keeping(trial).turn()
        assert [one.full for one in syncing if one] == [False, False]
        due = keeping(trial).next_full_us
        assert due is not None
        assert from_us(due) == datetime(2026, 11, 22, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "hour", "minute", "zone", "due"),
    [
        ("2026-11-21T00:00", 3, 0, "UTC", "2026-11-21T03:00"),
        ("2026-11-21T03:00", 3, 0, "UTC", "2026-11-22T03:00"),  # this very minute: it has just run
        ("2026-11-21T02:59", 3, 0, "UTC", "2026-11-21T03:00"),
        ("2026-11-21T00:00", 4, 30, "Asia/Tokyo", "2026-11-21T19:30"),
        ("2026-11-20T19:29", 4, 30, "Asia/Tokyo", "2026-11-20T19:30"),
        ("2026-12-31T18:00", 2, 0, "Asia/Tokyo", "2027-01-01T17:00"),  # 3:00 on New Year's Day there
        ("2026-03-28T12:00", 3, 30, "Europe/Berlin", "2026-03-29T01:30"),  # summer time begins in between
        ("2026-10-24T12:00", 3, 30, "Europe/Berlin", "2026-10-25T02:30"),  # and ends
        ("2026-03-28T12:00", 2, 30, "Europe/Berlin", "2026-03-29T01:30"),  # an hour that does not exist
    ],
)
def test_the_next_time_on_the_wall_of_a_zone(now: str, hour: int, minute: int, zone: str, due: str) -> None:
    found = next_time_us(to_us(datetime.fromisoformat(f"{now}+00:00")), hour, minute, zone)
    assert from_us(found) == datetime.fromisoformat(f"{due}+00:00")
