"""Random faults and crashes while parcels are told: each reaches its order once, and the books stay true."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from syncd.daemon.desk import Desk
from syncd.daemon.desk_shipments import ShipmentItem
from syncd.sdk.channel import Accepted, Carrier, OrderFilter, Reason, Rejected, Shipment, WriteReport
from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.memory import MemoryShop
from syncd.testing.world import TruthOrder

GOODS = {"S1": 400}
KINDS = (FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.GARBAGE_AFTER, FaultKind.LATENCY, FaultKind.STATUS)


class Forgetful(MemoryShop):
    """A mall that takes the same parcel as often as it is told of it, as long as something is left to ship."""

    def take_parcels(self, shipments: Sequence[Shipment]) -> WriteReport:
        rows: list[Accepted | Rejected] = []
        for index, one in enumerate(shipments):
            order = self.market.orders[one.order]
            if not any(line.held for line in order.lines):
                rows.append(Rejected(index, Reason.INVALID, "nothing is left to ship"))
                continue
            self.market.ship(one.order, one.lines or None, tracking=one.tracking)
            rows.append(Accepted(index))
        return WriteReport(tuple(rows))


def faults(chance: Random, count: int) -> list[Fault]:
    """Some faults of calls that ship or that read orders."""
    made = []
    for _ in range(count):
        kind = chance.choice(KINDS)
        more = {FaultKind.LATENCY: {"seconds": 30.0}, FaultKind.STATUS: {"status": chance.choice([429, 500])}}
        made.append(
            Fault(chance.choice(["ship", "ship", "orders"]), kind, skip=chance.randint(0, 3), **more.get(kind, {}))
        )  # type: ignore[arg-type]  # by kind
    return made


async def book_some(trial: Trial, chance: Random, open_orders: dict[str, int], told: dict[str, list[str]]) -> None:
    """Parcels of some orders, each of a part of what is left."""
    items = []
    for number in chance.sample(sorted(open_orders), min(len(open_orders), 4)):
        units = chance.randint(1, open_orders[number])
        tracking = f"{number}-{len(told.setdefault(number, []))}"
        items.append(ShipmentItem("a", number, Carrier.SAGAWA, tracking, lines={"1": units}))
        told[number].append(tracking)
        open_orders[number] -= units
        if not open_orders[number]:
            del open_orders[number]
    if items:
        assert trial.stage is not None
        await Desk(trial.stage.daemon.hub).ship(items, "test", preview=False)


@pytest.mark.parametrize("shop_type", [MemoryShop, Forgetful])
@pytest.mark.parametrize("seed", range(6))
def test_every_parcel_is_told_once_whatever_fails_on_the_way(seed: int, shop_type: type[MemoryShop]) -> None:
    @virtual
    async def play() -> None:
        chance = Random(seed)
        kind = chance.choice([OrderFilter.MODIFIED, OrderFilter.CREATED])
        mall = {"order_filter": kind, "shipment_rows": chance.choice([1, 3, 10])}
        async with Trial.of({"a": mall, "b": {}}, GOODS, shop_type=shop_type) as trial:
            orders: list[TruthOrder] = [trial.buy("a", "S1", chance.randint(1, 4)) for _ in range(12)]
            await trial.run(10)
            open_orders = {order.number: order.lines[0].ordered for order in orders}
            told: dict[str, list[str]] = {}
            while open_orders:
                trial.mall("a").faults.script += faults(chance, 2)
                await book_some(trial, chance, open_orders, told)
                await trial.run(chance.uniform(0.0, 8.0))
                if chance.random() < 0.25:
                    await trial.restart()
            trial.mall("a").faults.script.clear()
            await trial.run(600)
            assert {row[0] for row in await trial.rows("SELECT DISTINCT state FROM shipment")} == {"accepted"}
            assert {order.number: sorted(order.parcels) for order in orders} == {n: sorted(t) for n, t in told.items()}
            assert await trial.books() == []
            assert trial.wrong() == []
            assert await trial.alarms() == set()

    play()
