"""Shipments out: which units, at which location, under which carrier's name, and never twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Carrier, Rejected, Shipment, WriteReport
from syncd.sdk.errors import InDoubt
from syncd.testing.emulator import Fault, FaultKind
from syncd_shopify.emulator_orders import order_id
from syncd_shopify.settings import Notify
from syncd_shopify.shipping import Shipping
from syncd_shopify.wire_shipments import COMPANIES

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A, B, C = "30322695", "30322696", "30322697"
NUMBER = "400012345678"


def parcel(
    shop: Any, order: Any, lines: Mapping[int, int] | None = None, tracking: str = NUMBER, **more: Any
) -> Shipment:
    """A parcel with units by the line's place in the order."""
    gid = order_id(order.number)
    units = {f"{gid}{place:03d}": count for place, count in (lines or {}).items()}
    values = {"carrier": Carrier.YAMATO, **more}
    return Shipment(order=gid, tracking=tracking, shipped_at=shop.clock.now(), lines=units, **values)


async def tell(shop: Any, shipment: Shipment) -> Accepted | Rejected:
    report: WriteReport = await shop.run(shop.channel.send_shipments([shipment]))
    [row] = report.rows
    assert isinstance(row, Accepted | Rejected)
    return row


def shipped(order: Any) -> list[int]:
    return [line.shipped for line in order.lines]


def ships(shop: Any) -> list[dict[str, Any]]:
    """The FulfillmentInputs that were sent."""
    calls = [json.loads(one.content) for one in shop.sent]
    return [one["variables"]["f"] for one in calls if one["operationName"] == "Ship"]


async def test_a_parcel_without_lines_ships_all_that_is_left(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 3, B: 2})
    shop.market.cancel(order.number, {"1": 1})
    assert await tell(shop, parcel(shop, order)) == Accepted(0)
    assert shipped(order) == [2, 2]
    assert shop.emulator.orders.told_of(order.number) == [{"company": "Yamato (JA)", "number": NUMBER}]
    assert ships(shop)[0]["notifyCustomer"] is True


async def test_a_part_of_a_line_ships_now_and_the_rest_later(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 3, B: 2})
    assert await tell(shop, parcel(shop, order, {0: 2}, "1")) == Accepted(0)
    assert shipped(order) == [2, 0]
    assert await tell(shop, parcel(shop, order, {0: 1, 1: 2}, "2")) == Accepted(0)
    assert shipped(order) == [3, 2]


async def test_a_parcel_told_again_is_accepted_and_not_sent(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 3})
    await tell(shop, parcel(shop, order, {0: 2}))
    assert await tell(shop, parcel(shop, order, {0: 2})) == Accepted(0)
    assert (shipped(order), len(ships(shop))) == ([2], 1)


async def test_a_lost_answer_is_in_doubt_and_the_repeat_ships_nothing_twice(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 3})
    shop.emulator.faults.add(Fault("graphql", FaultKind.LOST_AFTER, skip=1))
    with pytest.raises(InDoubt):
        await tell(shop, parcel(shop, order, {0: 2}))
    assert shipped(order) == [2]
    assert await tell(shop, parcel(shop, order, {0: 2})) == Accepted(0)
    assert shipped(order) == [2]


async def test_more_than_is_left_is_refused_with_the_numbers(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 3})
    row = await tell(shop, parcel(shop, order, {0: 4}))
    assert isinstance(row, Rejected)
    assert row.message.endswith("4 to ship, 3 can be")
    assert (shipped(order), ships(shop)) == ([0], [])


async def test_an_order_on_hold_a_shipped_one_and_a_cancelled_one_are_refused_with_why(shop_of: Open) -> None:
    shop = shop_of()
    held, done, gone = (shop.market.buy({A: 1}) for _ in range(3))
    shop.emulator.desk.held_back.add(held.number)
    shop.market.ship(done.number)
    shop.market.cancel(gone.number)
    told = [(await tell(shop, parcel(shop, one))).message for one in (held, done, gone)]
    assert told == [
        "the fulfillment order is ON_HOLD", "nothing of it is left to ship", "the order is cancelled",
    ]  # fmt: skip


async def test_an_unknown_order_and_one_that_is_no_number_are_refused(shop_of: Open) -> None:
    shop = shop_of()
    for number in ("404", "#1001", "gid://shopify/Order/1"):
        ghost = Shipment(number, Carrier.YAMATO, NUMBER, shop.clock.now())
        assert isinstance(await tell(shop, ghost), Rejected)


async def test_two_locations_take_a_call_each_and_a_failure_between_them_is_in_doubt_and_mended(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 1, B: 2})
    shop.emulator.desk.split[order.number] = {"2"}
    shop.emulator.faults.add(Fault("graphql", FaultKind.STATUS, skip=2, status=429))
    with pytest.raises(InDoubt, match="1 of 2 locations"):
        await tell(shop, parcel(shop, order))
    assert shipped(order) == [1, 0]
    assert await tell(shop, parcel(shop, order)) == Accepted(0)
    assert shipped(order) == [1, 2]


async def test_what_the_shop_refuses_is_told_in_its_own_words(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 1})
    shop.emulator.desk.refusal = "Fulfillment order 1 has an unfulfillable status= closed."
    row = await tell(shop, parcel(shop, order))
    assert isinstance(row, Rejected)
    assert row.message == "Fulfillment order 1 has an unfulfillable status= closed."


async def test_an_order_of_many_lines_is_shipped_whole(shop_of: Open) -> None:
    shop = shop_of()
    keys = [str(40_000_000 + number) for number in range(70)]
    for key in keys:
        shop.world.stock(key, 5)
        shop.market.offer(key, key, shown=5)
    order = shop.market.buy(dict.fromkeys(keys, 1))
    assert await tell(shop, parcel(shop, order)) == Accepted(0)
    assert shipped(order) == [1] * 70


@pytest.mark.parametrize("carrier", list(Carrier))
async def test_every_carrier_goes_by_the_name_that_makes_a_link(shop_of: Open, carrier: Carrier) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 1})
    await tell(shop, parcel(shop, order, carrier=carrier, carrier_name="赤帽"))
    [told] = shop.emulator.orders.told_of(order.number)
    assert told == {"company": COMPANIES.get(carrier, "赤帽"), "number": NUMBER}
    assert (carrier in COMPANIES) is (carrier is not Carrier.OTHER)


async def test_goods_without_a_number_are_shipped_without_tracking(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 2})
    await tell(shop, parcel(shop, order, {0: 1}, "", carrier=Carrier.OTHER))
    await tell(shop, parcel(shop, order, {0: 1}, "", carrier=Carrier.OTHER))
    assert shipped(order) == [2]
    assert "trackingInfo" not in ships(shop)[0]


async def test_buyers_are_not_mailed_where_the_settings_say_so(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 1})
    assert Notify("off") is Notify.OFF
    shop.channel._shipping = Shipping(shop.channel._api, notify=False)
    await tell(shop, parcel(shop, order))
    assert ships(shop)[0]["notifyCustomer"] is False
