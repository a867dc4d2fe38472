"""Shops are told of shipments once: lost answers, crashes, refusals, dry runs, and calls refused as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from syncd.daemon.desk import Desk
from syncd.daemon.desk_shipments import ShipmentItem
from syncd.sdk.channel import Carrier, OrderFilter, Pending, Shipment, WriteReport
from syncd.sdk.errors import CallRefused
from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.memory import MemoryShop
from syncd.testing.world import TruthOrder

GOODS = {"S1": 50}


class PoisonedShop(MemoryShop):
    """Refuses every call that holds one parcel, and does not say which."""

    def take_parcels(self, shipments: Sequence[Shipment]) -> WriteReport:
        if any(one.tracking == "poison" for one in shipments):
            raise CallRefused("something in it is wrong")
        return super().take_parcels(shipments)


class SlowDesk(MemoryShop):
    """Takes parcels in and answers later, through the order."""

    def take_parcels(self, shipments: Sequence[Shipment]) -> WriteReport:
        super().take_parcels(shipments)
        return WriteReport(tuple(Pending(i, f"r{i}") for i in range(len(shipments))))


async def ship(trial: Trial, *parcels: tuple[TruthOrder, str], shop: str = "a", **more: Any) -> None:
    assert trial.stage is not None
    items = [ShipmentItem(shop, order.number, Carrier.YAMATO, tracking, **more) for order, tracking in parcels]
    await Desk(trial.stage.daemon.hub).ship(items, "test", preview=False)


async def states(trial: Trial) -> list[str]:
    return [row[0] for row in await trial.rows("SELECT state FROM shipment ORDER BY id")]


async def bought(trial: Trial, count: int = 1) -> list[TruthOrder]:
    orders = [trial.buy("a", "S1", 2) for _ in range(count)]
    await trial.run(5)
    return orders


def calls(trial: Trial) -> int:
    return trial.mall("a").calls["ship"]


@virtual
async def test_a_shop_is_told_at_once_and_its_own_state_changes_nothing_more() -> None:
    async with Trial.of({"a": {}, "b": {}}, GOODS) as trial:
        [order] = await bought(trial)
        await ship(trial, (order, "1234"))
        await trial.run(20)
        assert order.parcels == ["1234"]
        assert await states(trial) == ["accepted"]
        assert await trial.books() == []
        assert trial.wrong() == []


@virtual
async def test_many_shipments_go_in_full_calls() -> None:
    async with Trial.of({"a": {"shipment_rows": 4}}, GOODS) as trial:
        orders = await bought(trial, 10)
        await ship(trial, *((order, f"t{i}") for i, order in enumerate(orders)))
        await trial.run(20)
        assert [order.parcels for order in orders] == [[f"t{i}"] for i in range(10)]
        assert calls(trial) == 3


@virtual
async def test_a_lost_answer_is_settled_by_the_orders_state_and_not_told_again() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        trial.mall("a").faults.script.append(Fault("ship", FaultKind.LOST_AFTER))
        await ship(trial, (order, "1234"))
        await trial.run(1)
        assert await states(trial) == ["in_doubt"]
        await trial.run(60)
        assert await states(trial) == ["accepted"]
        assert calls(trial) == 1


@virtual
async def test_a_call_that_never_arrived_is_told_again_once_the_orders_show_it_did_not() -> None:
    for kind in (OrderFilter.MODIFIED, OrderFilter.CREATED):
        async with Trial.of({"a": {"order_filter": kind}}, GOODS) as trial:
            [order] = await bought(trial)
            trial.mall("a").faults.script.append(Fault("ship", FaultKind.LOST_BEFORE))
            await ship(trial, (order, "1234"))
            await trial.run(9)  # the call may still take effect for 10 s
            assert calls(trial) == 1
            assert await states(trial) == ["in_doubt"]
            await trial.run(60)
            assert await states(trial) == ["accepted"]
            assert order.parcels == ["1234"]
            assert calls(trial) == 2


@virtual
async def test_a_second_parcel_waits_while_the_first_of_its_order_is_in_doubt() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        trial.mall("a").faults.script.append(Fault("ship", FaultKind.LOST_BEFORE))
        await ship(trial, (order, "first"), lines={"1": 1})
        await ship(trial, (order, "second"), lines={"1": 1})
        await trial.run(5)
        assert await states(trial) == ["in_doubt", "queued"]
        await trial.run(60)
        assert order.parcels == ["first", "second"]


@virtual
async def test_a_shop_that_shows_no_shipments_leaves_a_doubt_to_a_person_and_alarms_it() -> None:
    limits = {"limits": {"shipment_seconds": 100}}
    async with Trial.of({"a": {"shows_shipments": False}}, GOODS, settings=limits) as trial:
        [order] = await bought(trial)
        trial.mall("a").faults.script.append(Fault("ship", FaultKind.LOST_AFTER))
        await ship(trial, (order, "1234"))
        await trial.run(200)
        assert await states(trial) == ["in_doubt"]
        assert calls(trial) == 1
        assert "shipment_late" in await trial.alarms()
        assert trial.stage is not None
        await Desk(trial.stage.daemon.hub).decide_shipment("settle", 1, "test")
        await trial.run(20)
        assert await trial.alarms() == set()


@virtual
async def test_a_crash_during_the_call_leaves_it_in_doubt_and_tells_nothing_twice() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        trial.mall("a").faults.script.append(Fault("ship", FaultKind.LATENCY, seconds=3.0))
        await ship(trial, (order, "1234"))
        await trial.run(1)
        assert await states(trial) == ["sent"]
        await trial.restart()
        await trial.run(1)
        assert await states(trial) == ["in_doubt"]
        await trial.run(60)
        assert await states(trial) == ["accepted"]
        assert order.parcels == ["1234"]
        assert await trial.books() == []


@virtual
async def test_a_refused_shipment_is_kept_and_alarmed_and_ends_when_staff_enter_it_there() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        trial.mall("a").options = trial.mall("a").options.model_copy(update={"shipment_rows": 0})
        await ship(trial, (order, "1234"))
        await trial.run(60)
        assert await states(trial) == ["refused"]
        assert await trial.alarms() == {"shipment_refused"}
        assert await trial.rows("SELECT on_hand, ordered FROM balance") == [(48, 0)]
        trial.world.markets["a"].ship(order.number)
        await trial.run(20)
        assert await states(trial) == ["accepted"]
        assert await trial.alarms() == set()
        assert await trial.books() == []


@virtual
async def test_one_parcel_that_refuses_the_call_is_found_and_the_others_arrive() -> None:
    async with Trial.of({"a": {}}, GOODS, shop_type=PoisonedShop) as trial:
        orders = await bought(trial, 4)
        await ship(trial, *zip(orders, ("t0", "poison", "t2", "t3"), strict=True))
        await trial.run(30)
        assert await states(trial) == ["accepted", "refused", "accepted", "accepted"]


@virtual
async def test_what_is_tried_again_backs_off_and_arrives_when_the_shop_is_back() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        script = trial.mall("a").faults.script
        script += [Fault("ship", FaultKind.STATUS, status=429, retry_after=3.0) for _ in range(4)]
        await ship(trial, (order, "1234"))
        await trial.run(5)
        assert calls(trial) <= 3
        await trial.run(60)
        assert order.parcels == ["1234"]


@virtual
async def test_what_is_taken_in_to_be_answered_later_is_settled_by_the_order() -> None:
    async with Trial.of({"a": {}}, GOODS, shop_type=SlowDesk) as trial:
        [order] = await bought(trial)
        await ship(trial, (order, "1234"))
        await trial.run(30)
        assert await states(trial) == ["accepted"]
        assert order.parcels == ["1234"]
        assert calls(trial) == 1


@virtual
async def test_a_paused_shop_is_told_when_it_goes_on() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        assert trial.stage is not None
        runner = trial.stage.daemon.runners["a"]
        await runner.pause()
        await trial.run(1)
        await ship(trial, (order, "1234"))
        await trial.run(10)
        assert order.parcels == []
        await runner.resume()
        await trial.run(10)
        assert order.parcels == ["1234"]


@virtual
async def test_an_old_order_is_forgotten_with_its_parcel_but_not_while_a_refusal_is_open() -> None:
    async with Trial.of({"a": {}}, GOODS, settings={"retention": {"orders_days": 30}}) as trial:
        [fine, refused] = await bought(trial, 2)
        await ship(trial, (fine, "1"))
        await trial.run(5)
        trial.mall("a").options = trial.mall("a").options.model_copy(update={"shipment_rows": 0})
        await ship(trial, (refused, "2"))
        await trial.run(5)
        trial.world.markets["a"].cancel(refused.number)
        await trial.run(5)
        assert await states(trial) == ["accepted", "refused"]
        assert trial.stage is not None
        trial.clock.set_wall(trial.clock.now() + timedelta(days=31))
        await trial.stage.daemon.housekeeping.turn()
        assert await trial.rows("SELECT number FROM orders") == [(refused.number,)]
        assert await states(trial) == ["refused"]


@virtual
async def test_what_staff_entered_at_the_shop_before_our_call_is_settled_though_our_call_is_refused() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        trial.world.markets["a"].ship(order.number, tracking="by hand")
        await ship(trial, (order, "1234"))  # before the shop's state is read
        await trial.run(20)
        assert await states(trial) == ["accepted"]
        assert order.parcels == ["by hand"]
        assert await trial.alarms() == set()
        assert await trial.books() == []


@virtual
async def test_a_shipment_of_an_order_that_was_cancelled_there_stays_refused() -> None:
    async with Trial.of({"a": {}}, GOODS) as trial:
        [order] = await bought(trial)
        trial.world.markets["a"].cancel(order.number)
        await ship(trial, (order, "1234"))
        await trial.run(60)
        assert await states(trial) == ["refused"]
        assert await trial.alarms() == {"shipment_refused"}
