"""One shop's trouble stays its own, and ends well: dead keys, maintenance, throttling, lost answers, full disks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from syncd.sdk.channel import Cursor, Form, OrderPage, StockWrite
from syncd.sdk.errors import CallRefused
from syncd.sim.trial import Trial, virtual
from syncd.store.backup import backup
from syncd.store.engine import StoreBusy, StoreFull
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.memory import MemoryChannel, MemoryShop

GOODS = {f"S{i}": 9 for i in range(6)}


class PoisonedShop(MemoryShop):
    """Refuses every call that holds one listing, and does not say which."""

    poison = "S3"

    def take(self, rows, key):  # type: ignore[no-untyped-def]
        if any(row.listing == self.poison for row in rows):
            raise CallRefused("something in it is wrong")
        return super().take(rows, key)


class Acknowledging(MemoryChannel):
    """Keeps which shops were told that a page is committed."""

    shops: ClassVar[list[str]] = []

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await super().fetch_orders(cursor)

        async def acknowledge() -> None:
            self.shops.append(self.context.shop)

        return replace(page, acknowledge=acknowledge)


def shops_of(trial: Trial) -> dict[str, str]:
    assert trial.stage is not None
    return {name: str(runner.now_status()) for name, runner in trial.stage.daemon.runners.items()}


@virtual
async def test_a_dead_key_is_told_once_and_leaves_the_other_shop_alone() -> None:
    async with Trial.of({"a": {}, "b": {}, "c": {}}, {"S1": 5}) as trial:
        trial.mall("b").key_works = False
        await trial.run(5)
        trial.buy("a", "S1", 5)
        took = await trial.run_until(lambda: trial.shows("c", "S1") == 0)
        assert took < 4
        assert shops_of(trial)["b"] == "sign_in_required"
        assert "sign_in_required" in await trial.alarms()
        assert await trial.rows("SELECT count(*) FROM alarm WHERE kind = 'sign_in_required'") == [(1,)]
        calls = sum(trial.mall("b").calls.values())
        await trial.run(120)
        assert sum(trial.mall("b").calls.values()) - calls <= 3
        trial.mall("b").key_works = True
        await trial.stage.daemon.runners["b"].resume()  # type: ignore[union-attr]
        await trial.run_until(lambda: trial.shows("b", "S1") == 0)
        await trial.run(10)
        assert shops_of(trial)["b"] == "running"
        assert "sign_in_required" not in await trial.alarms()


@virtual
async def test_maintenance_is_waited_out_and_then_all_is_written() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5}) as trial:
        trial.mall("b").maintenance = True
        await trial.run(3)
        trial.buy("a", "S1", 5)
        await trial.run(100)
        assert shops_of(trial) == {"a": "running", "b": "closed"}
        trial.mall("b").maintenance = False
        await trial.run_until(lambda: trial.shows("b", "S1") == 0, within=310, step=1)
        assert trial.wrong() == []


@virtual
async def test_a_storm_of_429_slows_that_shop_only() -> None:
    async with Trial.of({"a": {}, "b": {}, "c": {}}, {"S1": 5}) as trial:
        trial.mall("b").faults.add(Fault("*", FaultKind.STATUS, times=12, status=429, retry_after=1.0))
        trial.buy("a", "S1", 5)
        assert await trial.run_until(lambda: trial.shows("c", "S1") == 0) < 4
        await trial.run_until(lambda: trial.shows("b", "S1") == 0, within=60, step=0.5)
        await trial.run(10)
        assert trial.wrong() == []
        assert await trial.books() == []


@virtual
async def test_a_time_out_after_applying_is_in_doubt_then_read_and_never_applied_twice() -> None:
    async with Trial.of({"a": {}, "b": {"forms": (Form.RELATIVE_REFUSES, Form.ABSOLUTE)}}, {"S1": 9}) as trial:
        await trial.run(6)
        trial.mall("b").faults.add(Fault("write", FaultKind.LOST_AFTER))
        trial.buy("a", "S1", 2)
        await trial.run_until(lambda: trial.shows("b", "S1") == 7)
        await trial.run(0.5)
        assert await trial.rows("SELECT count(*) FROM listing WHERE doubt_us IS NOT NULL") == [(1,)]
        await trial.run(30)
        assert trial.mall("b").market.tally["rows_written"] == 1
        assert await trial.rows("SELECT count(*) FROM listing WHERE doubt_us IS NOT NULL") == [(0,)]
        assert trial.wrong() == []


@virtual
async def test_a_poisoned_row_is_found_in_few_calls_and_the_others_are_written() -> None:
    goods = {f"S{i}": 9 for i in range(32)}
    async with Trial.of({"a": {}, "b": {}}, goods, shop_type=PoisonedShop) as trial:
        await trial.run(6)
        calls = trial.mall("b").calls["write"]
        trial.world.markets["a"].buy(dict.fromkeys(goods, 1))
        await trial.run(25)
        wrong = trial.world.wrong_listings()
        assert [one.split(" shows")[0] for one in wrong] == ["b S3"]
        assert trial.mall("b").calls["write"] - calls <= 2 * 5 + 4
        assert "row_refused" in await trial.alarms()


@virtual
async def test_a_full_disk_lets_only_writes_to_zero_leave() -> None:
    async with Trial.of({"a": {}, "b": {}}, GOODS) as trial:
        await trial.run(6)
        full = False

        def point(name: str) -> None:
            if full and name == "before_commit":
                raise StoreFull("the disk is full")

        trial.store.crash_point = point
        trial.world.markets["a"].buy({"S1": 9, "S2": 1})
        order = next(iter(trial.world.markets["a"].orders.values()))
        seen: list[StockWrite] = []
        apply = trial.mall("b").apply
        trial.mall("b").apply = lambda index, row: seen.append(row) or apply(index, row)  # type: ignore[method-assign, func-returns-value]
        await trial.run_until(lambda: order.delivered_at is not None)
        await trial.run(0.03)
        full = True
        await trial.run(20)
        assert all(row.quantity == 0 for row in seen)
        full = False
        await trial.run(60)
        assert trial.wrong() == []
        assert await trial.books() == []


@pytest.mark.parametrize("forms", [(Form.ABSOLUTE,), (Form.RELATIVE_REFUSES, Form.ABSOLUTE), (Form.COMPARE_AND_SET,)])
@virtual
async def test_a_locked_database_is_waited_out_without_losing_or_repeating_anything(forms: tuple[Form, ...]) -> None:
    async with Trial.of({"a": {}, "b": {"forms": forms}}, {"S1": 9}) as trial:
        await trial.run(6)
        locked = False

        def point(name: str) -> None:
            if locked and name == "before_begin":
                raise StoreBusy("another program holds the write lock")

        trial.store.crash_point = point
        for wait in (0.02, 0.5, 3.0):  # with an order just shown, with a call under way, and at rest
            trial.buy("a", "S1", 2)
            await trial.run(wait)
            locked = True
            await trial.run(20)
            locked = False
            await trial.run(40)
            assert trial.task is not None
            assert not trial.task.done()
        assert trial.wrong() == []
        assert await trial.books() == []


@virtual
async def test_a_listing_that_disappears_is_alarmed_and_its_orders_still_count() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9, "S2": 9}) as trial:
        trial.buy("b", "S1", 2)
        trial.world.markets["b"].listings["S1"].exists = False
        await trial.run(60)
        assert "listing_gone" in await trial.alarms()
        assert trial.shows("a", "S1") == 7
        assert trial.wrong() == []


@virtual
async def test_a_shop_file_that_is_renamed_keeps_its_orders() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}) as trial:
        trial.buy("b", "S1", 2)
        await trial.run(10)
        await trial.kill()
        trial.parts["renamed"] = trial.parts.pop("b")
        await trial.start()
        await trial.run(10)
        assert await trial.rows("SELECT name FROM shop ORDER BY name") == [("a",), ("renamed",)]
        assert await trial.rows("SELECT count(*) FROM orders") == [(1,)]
        assert trial.shows("a", "S1") == 7
        trial.buy("a", "S1", 7)
        await trial.run(10)
        assert trial.shows("b", "S1") == 0


@virtual
async def test_a_second_shop_of_one_account_is_refused() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, start=False) as trial:
        trial.mall("b").options = trial.mall("b").options.model_copy(update={"market": "a"})
        await trial.start()
        await trial.run(5)
        assert sorted(shops_of(trial).values()) == ["config_error", "running"]
        assert "shop_down" in await trial.alarms()


@virtual
async def test_a_paused_shop_is_left_alone_also_over_a_restart_and_catches_up() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}) as trial:
        await trial.run(6)
        await trial.stage.daemon.runners["b"].pause()  # type: ignore[union-attr]
        await trial.run(3)
        calls = sum(trial.mall("b").calls.values())
        trial.buy("a", "S1", 9)
        await trial.restart()
        await trial.run(30)
        assert sum(trial.mall("b").calls.values()) == calls
        assert shops_of(trial)["b"] == "paused"
        await trial.stage.daemon.runners["b"].resume()  # type: ignore[union-attr]
        await trial.run_until(lambda: trial.shows("b", "S1") == 0)
        assert trial.wrong() == []


@virtual
async def test_a_graceful_stop_drains_stockouts() -> None:
    tight = {"per_second": 0.5, "burst": 1, "max_rows": 2}
    async with Trial.of({"a": {}, "b": tight}, GOODS, shops={"b": {"poll_seconds": 60}}) as trial:
        await trial.run(20)
        trial.world.markets["a"].buy(dict.fromkeys(GOODS, 9))
        await trial.run_until(lambda: trial.world.markets["b"].listings["S0"].shown == 0, step=0.05)
        trial.stage.daemon.stop()  # type: ignore[union-attr]
        await trial.run(25)
        assert trial.task is not None
        assert trial.task.done()
        assert [trial.shows("b", key) for key in GOODS] == [0] * len(GOODS)


@virtual
async def test_a_dry_run_books_and_computes_but_acknowledges_and_writes_nothing() -> None:
    shops = {"b": {"writes": "dry_run"}}
    Acknowledging.shops.clear()
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, shops=shops, channels={"memory": Acknowledging}) as trial:
        trial.buy("b", "S1", 1)
        trial.buy("a", "S1", 8)
        await trial.run(30)
        assert await trial.books() == []
        assert trial.mall("b").calls["write"] == 0
        assert trial.shows("a", "S1") == 0
        assert set(Acknowledging.shops) == {"a"}
        assert await trial.rows("SELECT target FROM listing l JOIN shop s ON s.id = l.shop_id WHERE s.name = 'b'") == [
            (0,)
        ]


@virtual
async def test_a_restored_backup_is_read_back_before_it_raises() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}) as trial:
        await trial.run(10)
        await trial.kill()
        trial.world.markets["b"].hand_edit("S1", 2)
        trial.store.restored = True
        before = trial.mall("b").calls["read"]
        await trial.start()
        trial.store.restored = False
        await trial.run(30)
        assert trial.mall("b").calls["read"] > before
        assert trial.world.stale == []


@virtual
async def test_orders_that_a_restored_backup_does_not_know_are_booked_again(tmp_path: Path) -> None:
    """Placed, cancelled and shipped since: the shops still show them, and nothing is raised before they are read."""
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9, "S2": 5}, path=tmp_path / "syncd.sqlite") as trial:
        held = trial.buy("a", "S1", 2)
        await trial.run(20)
        backup(tmp_path / "syncd.sqlite", tmp_path / "yesterday")
        trial.buy("b", "S1", 3)
        trial.buy("a", "S2", 5)
        trial.world.markets["a"].cancel(held.number)
        await trial.run(60)
        await trial.restore(tmp_path / "yesterday")
        assert await trial.rows("SELECT COUNT(*) FROM orders") == [(1,)]
        await trial.run(120)
        assert await trial.books() == []
        assert trial.wrong() == []


@virtual
async def test_a_clock_set_back_or_forward_stops_nothing() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 30}) as trial:
        for seconds in (3 * 3600, -20):
            trial.clock.set_wall(trial.clock.now() + timedelta(seconds=seconds))
            trial.buy("a", "S1", 2)
            await trial.run(90)
            assert trial.world.wrong_listings() == []
            assert await trial.books() == []
