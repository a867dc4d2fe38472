"""Which rows go in which call: stockouts first, batch rows riding free, one final number, budgets shared."""

from __future__ import annotations

from typing import Any

from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind

from .recorded import Recorded, took

GOODS = {f"S{i}": 9 for i in range(8)}


@virtual
async def test_many_sales_of_one_listing_become_one_final_number() -> None:
    async with Trial.of(
        {"a": {}, "b": {}}, GOODS, shop_type=Recorded, settings={"batch": {"every_seconds": 30}}
    ) as trial:
        await trial.run(31)
        for _ in range(5):
            trial.buy("a", "S1")
            await trial.run(4)
        await trial.run(20)
        assert took(trial, "b") == [{"S1": 4}]


@virtual
async def test_batch_rows_ride_free_in_the_call_of_a_stockout() -> None:
    async with Trial.of(
        {"a": {}, "b": {"reads_stock": False}}, GOODS, shop_type=Recorded, settings={"batch": {"every_seconds": 120}}
    ) as trial:
        await trial.run(125)
        took(trial, "b").clear()
        trial.world.markets["a"].buy({"S1": 9})
        trial.world.markets["a"].buy({"S2": 2})
        await trial.run(6)
        assert took(trial, "b")[0]["S1"] == 0
        assert trial.shows("b", "S1") == 0


@virtual
async def test_a_stockout_overtakes_a_waiting_batch_in_the_next_slot() -> None:
    slow = {
        "per_second": 0.5,
        "burst": 1,
        "max_rows": 1,
        "reads_stock": False,
        "forms": ("relative_refuses", "absolute"),
    }
    rarely = {"b": {"poll_seconds": 1000}}
    async with Trial.of({"a": {}, "b": slow}, GOODS, shop_type=Recorded, shops=rarely) as trial:
        await trial.run(30)
        took(trial, "b").clear()
        trial.world.markets["a"].buy(dict.fromkeys(list(GOODS)[:6], 2))
        await trial.run_until(lambda: len(took(trial, "b")) == 1, step=0.05)
        trial.world.markets["a"].buy({"S7": 9})
        await trial.run_until(lambda: len(took(trial, "b")) == 3, step=0.05, within=120)
        assert {"S7": 0} in took(trial, "b")[:3]


@virtual
async def test_no_shop_exceeds_its_documented_rate() -> None:
    tight = {"per_second": 1.0, "burst": 2, "max_rows": 2}
    async with Trial.of({"a": {}, "b": tight, "c": tight}, GOODS) as trial:
        for key in GOODS:
            trial.buy("a", key, 9)
            await trial.run(1)
        await trial.run(90)
        assert trial.mall("b").violations + trial.mall("c").violations == 0
        assert trial.wrong() == []


@virtual
async def test_an_own_sale_causes_no_push() -> None:
    async with Trial.of({"a": {}}, GOODS, shop_type=Recorded) as trial:
        await trial.run(6)
        trial.buy("a", "S1", 3)
        await trial.run(30)
        assert took(trial, "a") == []
        assert trial.wrong() == []


@virtual
async def test_goods_that_arrive_do_not_wait_for_the_next_order_poll_of_a_shop_that_is_read_first() -> None:
    """Only the number read tells that the row rises; the orders that a raise needs are then read at once."""
    async with Trial.of({"a": {}}, {"S1": 5}, shops={"a": {"poll_seconds": 300.0}}) as trial:
        await trial.run(20)
        await trial.receive("S1", 3)
        await trial.run(7)
        assert trial.shows("a", "S1") == 8
        assert trial.wrong() == []


@virtual
async def test_a_stockout_does_not_wait_for_the_order_read_that_a_batch_needs() -> None:
    """Amazon's search is free every three minutes: a raise waits for it, what is sold out elsewhere does not."""
    malls: dict[str, dict[str, Any]] = {"a": {}, "b": {"reads_stock": False}}
    async with Trial.of(malls, {"S1": 5, "S2": 5}, shops={"b": {"timeout_seconds": 120.0}}) as trial:
        await trial.run(30)
        trial.mall("b").faults.add(Fault("orders", FaultKind.LATENCY, times=3, seconds=40.0))
        await trial.receive("S1", 3)
        await trial.run(12)
        assert trial.shows("b", "S1") == 5
        trial.buy("a", "S2", 5)
        assert await trial.run_until(lambda: trial.shows("b", "S2") == 0) < 3
        await trial.run_until(lambda: trial.shows("b", "S1") == 8, within=200)
        assert trial.wrong() == []


@virtual
async def test_a_stockout_does_not_wait_for_the_stock_read_that_a_batch_needs() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5, "S2": 5}, shops={"b": {"timeout_seconds": 120.0}}) as trial:
        await trial.run(30)
        trial.mall("b").faults.add(Fault("read", FaultKind.LATENCY, times=2, seconds=40.0))
        await trial.receive("S1", 3)
        await trial.run(12)
        trial.buy("a", "S2", 5)
        assert await trial.run_until(lambda: trial.shows("b", "S2") == 0) < 3
        await trial.run_until(lambda: trial.shows("b", "S1") == 8, within=200)
        assert trial.wrong() == []


@virtual
async def test_orders_that_a_batch_waits_for_are_read_once_and_booked_though_stockouts_leave_meanwhile() -> None:
    """What the mall has answered is known to it: a write after that is judged by it."""
    malls: dict[str, dict[str, Any]] = {"a": {}, "b": {"reads_stock": False}}
    shops = {"b": {"timeout_seconds": 120.0, "poll_seconds": 1000.0}}
    async with Trial.of(malls, {"S1": 5, "S2": 5}, shops=shops) as trial:
        await trial.run(30)
        trial.mall("b").faults.add(Fault("orders", FaultKind.LATENCY, seconds=20.0))
        polls = trial.mall("b").calls["orders"]
        await trial.receive("S1", 3)
        await trial.run_until(lambda: trial.mall("b").calls["orders"] == polls + 1)
        trial.buy("b", "S1", 2)
        trial.buy("a", "S2", 5)
        await trial.run_until(lambda: trial.shows("b", "S2") == 0, within=5)
        assert trial.mall("b").calls["orders"] == polls + 1
        await trial.run(20)
        assert await trial.rows("SELECT count(*) FROM order_line") == [(2,)]
        await trial.run_until(lambda: trial.shows("b", "S1") == 6)
        await trial.run(10)
        assert trial.wrong() == []


@virtual
async def test_what_keeps_a_stockout_from_leaving_ends_neither_the_read_beside_it_nor_the_shop() -> None:
    malls: dict[str, dict[str, Any]] = {"a": {}, "b": {"reads_stock": False}}
    shops = {"b": {"timeout_seconds": 120.0, "poll_seconds": 1000.0}}
    async with Trial.of(malls, {"S1": 5, "S2": 5}, shops=shops) as trial:
        await trial.run(30)
        trial.mall("b").faults.add(Fault("orders", FaultKind.LATENCY, seconds=20.0))
        trial.mall("b").faults.add(Fault("write", FaultKind.STATUS, times=1, status=503))
        polls = trial.mall("b").calls["orders"]
        await trial.receive("S1", 3)
        await trial.run_until(lambda: trial.mall("b").calls["orders"] == polls + 1)
        trial.buy("a", "S2", 5)
        await trial.run_until(lambda: trial.shows("b", "S2") == 0, within=10)
        assert trial.mall("b").calls["orders"] == polls + 1
        await trial.run_until(lambda: trial.shows("b", "S1") == 8)
        await trial.run(10)
        assert trial.wrong() == []
