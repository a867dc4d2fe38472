"""Shipments out: carrier codes, parcels without a number, split orders, repeats, refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Carrier, Reason, Rejected, Shipment, WriteReport
from syncd.sdk.errors import InDoubt, Throttled
from syncd.testing.emulator import Fault, FaultKind

pytestmark = pytest.mark.anyio

LEFT = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)  # the next day in Japan


def parcel(number: str, tracking: str = "111122223333", carrier: Carrier = Carrier.YAMATO, **fields: Any) -> Shipment:
    return Shipment(number, carrier, tracking, LEFT, **fields)


async def ship(mall: Any, *shipments: Shipment) -> WriteReport:
    report: WriteReport = await mall.run(mall.channel.send_shipments(shipments))
    return report


async def test_a_shipment_goes_out_in_yahoos_words_and_shows_as_shipped(mall: Any) -> None:
    order = mall.buy(2)
    await mall.poll()
    assert (await ship(mall, parcel(order.number))).rows == (Accepted(0),)
    assert mall.emulator.orders.sent == [
        {
            "OrderId": order.number,
            "ShipStatus": "3",
            "ShipCompanyCode": "1001",
            "ShipInvoiceNumber1": "111122223333",
            "ShipDate": "20261122",
        }
    ]
    await mall.poll()
    assert mall.held() == 0
    assert mall.states[order.number].lines[0].shipped == 2


@pytest.mark.parametrize(
    ("carrier", "code"),
    [
        (Carrier.YAMATO, "1001"),
        (Carrier.SAGAWA, "1002"),
        (Carrier.JAPAN_POST, "1003"),
        (Carrier.OTHER, "1000"),
        (Carrier.DHL, "1000"),
    ],
)
async def test_a_carrier_without_a_known_code_goes_as_other(
    open_mall: Callable[..., Any], carrier: Carrier, code: str
) -> None:
    mall = open_mall(settings={"carrier_codes": {"japan_post": "1003"}})
    await ship(mall, parcel(mall.buy().number, carrier=carrier))
    assert mall.emulator.orders.sent[0]["ShipCompanyCode"] == code


async def test_a_parcel_without_a_number_says_why(mall: Any) -> None:
    await ship(mall, parcel(mall.buy().number, tracking=""))
    assert mall.emulator.orders.sent[0]["ShipInvoiceNumberEmptyReason"] == "105"
    assert "ShipInvoiceNumber1" not in mall.emulator.orders.sent[0]


async def test_a_repeat_of_a_shipment_that_took_effect_is_accepted_and_sent_once(mall: Any) -> None:
    order = mall.buy()
    mall.emulator.faults.add(Fault("order_ship", FaultKind.LOST_AFTER))
    with pytest.raises(InDoubt):
        await ship(mall, parcel(order.number))
    assert (await ship(mall, parcel(order.number))).rows == (Accepted(0),)
    assert len(mall.emulator.orders.sent) == 1


async def test_what_yahoo_refuses_is_refused_by_row_with_its_words(mall: Any) -> None:
    held, cancelled, good = mall.buy(), mall.buy(), mall.buy()
    held.extra["OrderStatus"] = 3
    mall.market.cancel(cancelled.number)
    report = await ship(mall, *(parcel(number) for number in (held.number, cancelled.number, "no-such", good.number)))
    assert [type(row) for row in report.rows] == [Rejected, Rejected, Rejected, Accepted]
    assert [row.reason for row in report.rows[:3]] == [Reason.NOT_WRITABLE, Reason.NOT_WRITABLE, Reason.OTHER]
    assert "Cannot Be Operated" in report.rows[0].message


async def test_some_lines_of_an_order_put_it_in_process_and_the_last_parcel_ships_it(mall: Any) -> None:
    order = mall.market.buy({mall.keys[0]: 2, mall.keys[1]: 1})
    first = parcel(order.number, "1001", lines={mall.keys[0]: 2}, leaves_open={mall.keys[1]: 1})
    for _ in range(2):
        assert (await ship(mall, first)).rows == (Accepted(0),)
    await mall.poll()
    assert mall.states[order.number].shipment_opened
    assert mall.held() == 3
    assert (await ship(mall, parcel(order.number, "1002", lines={mall.keys[1]: 1}))).rows == (Accepted(0),)
    told = [
        (one["ShipStatus"], one["ShipInvoiceNumber1"], one.get("ShipInvoiceNumber2"))
        for one in mall.emulator.orders.sent
    ]
    assert told == [("2", "1001", None), ("3", "1001", "1002")]
    await mall.poll()
    assert mall.held() == 0


async def test_a_split_order_ships_part_by_part_and_then_what_is_left(mall: Any) -> None:
    order = mall.market.buy({mall.keys[0]: 3, mall.keys[1]: 1})
    part = mall.emulator.orders.split(order.number, {"1": 1, "2": 1})
    first = parcel(order.number, lines={mall.keys[0]: 1, mall.keys[1]: 1}, leaves_open={mall.keys[0]: 2})
    assert (await ship(mall, first)).rows == (Accepted(0),)
    assert [sent["OrderId"] for sent in mall.emulator.orders.sent] == [part]
    await mall.poll_for(700)
    assert mall.held() == 2
    assert (await ship(mall, parcel(order.number, "2"))).rows == (Accepted(0),)
    assert [sent["OrderId"] for sent in mall.emulator.orders.sent] == [part, order.number]
    await mall.poll_for(700)
    assert mall.held() == 0
    assert {line.listing: line.shipped for line in mall.states[order.number].lines} == {
        mall.keys[0]: 3,
        mall.keys[1]: 1,
    }


async def test_a_throttled_shipment_is_neither_accepted_nor_refused(mall: Any) -> None:
    order = mall.buy()
    mall.emulator.faults.add(Fault("order_ship", FaultKind.STATUS, status=429, retry_after=9))
    with pytest.raises(Throttled) as raised:
        await ship(mall, parcel(order.number))
    assert raised.value.after_seconds == 9
    assert mall.emulator.orders.sent == []
