"""Orders in: sweeps, tokens, what is left out; and shipments out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Carrier, Rejected, Shipment
from syncd.sdk.errors import InDoubt
from syncd.testing.emulator import Fault, FaultKind
from syncd_amazon.emulator_orders import order_id

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]


async def test_first_read_takes_the_open_orders_of_ninety_days_and_no_others(open_account: Open) -> None:
    account = open_account()
    old, shipped, pending = account.buy(1), account.buy(2), account.buy(3, fulfillmentStatus="PENDING")
    account.market.ship(shipped.number)
    await account.clock.advance(80 * 86_400)
    await account.poll()
    assert account.states.keys() == {order_id(old.number), order_id(pending.number)}
    account.market.ship(old.number)
    await account.poll_after(300)
    assert account.state(old).lines[0].shipped == 1, "later reads take every status"


async def test_order_shows_two_minutes_late_and_is_promised_no_sooner(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    await account.clock.advance(199)
    order = account.buy()
    [page] = await account.poll_after(1)
    assert page.states == ()
    assert page.seen_until < order.placed_at
    [page] = await account.poll_after()
    assert len(page.states) == 1


async def test_next_sweep_reaches_back_by_the_overlap(open_account: Open) -> None:
    account = open_account({"overlap_minutes": 10})
    await account.poll()
    assert account.channel.capabilities.visibility_seconds == 720
    began = account.clock.now()
    await account.poll_after()
    asked = account.requests("GET", "/orders/")[-1].url.params["lastUpdatedAfter"]
    assert asked == (began - timedelta(minutes=12)).isoformat().replace("+00:00", "Z")


async def test_repeats_within_the_overlap_say_the_same(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    account.buy(2)
    [first] = await account.poll_after()
    [again] = await account.poll_after()
    assert first.states == again.states != ()


async def test_sweep_whose_token_died_begins_anew(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    for i in range(150):
        account.buy(1, key=i % 10)
    await account.clock.advance(200)
    page = await account.run(account.channel.fetch_orders(account.cursor))
    assert page.more
    account.cursor = page.cursor
    await account.clock.advance(26 * 3600)
    await account.poll()
    assert len(account.states) == 150
    asked = [request.url.params for request in account.requests("GET", "/orders/")]
    assert sum("paginationToken" in params for params in asked) == 1, "the dead token was never sent"


async def test_token_that_amazon_refuses_is_dropped(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    for i in range(150):
        account.buy(1, key=i % 10)
    await account.clock.advance(200)
    page = await account.run(account.channel.fetch_orders(account.cursor))
    account.cursor = {**page.cursor, "token": "bm90aGluZw=="}
    await account.poll()
    assert len(account.states) == 150


async def test_orders_that_amazon_ships_and_preorders_that_wait_are_left_out(open_account: Open) -> None:
    account = open_account({"preorders": "wait"})
    await account.poll()
    account.buy(1, fulfilledBy="AMAZON")
    preorder = account.buy(2, fulfillmentStatus="PENDING_AVAILABILITY")
    await account.poll_after()
    assert account.states == {}
    preorder.extra["fulfillmentStatus"] = "PENDING"
    account.emulator.orders._touch(preorder)
    await account.poll_after()
    assert account.state(preorder).lines[0].counts.held == 2


async def test_buyers_request_to_cancel_holds_the_stock(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    order = account.buy(2)
    await account.poll_after()
    before = account.state(order)
    account.emulator.orders.request_cancel(order.number)
    await account.poll_after()
    after = account.state(order)
    assert after.as_of > before.as_of, "the request moves the order's time"
    assert after.lines == before.lines


async def test_exchange_is_an_order_of_its_own(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    first = account.buy(1)
    account.market.ship(first.number)
    link = [{"orderId": order_id(first.number), "associationType": "EXCHANGE_ORIGINAL_ID"}]
    second = account.buy(1, associatedOrders=link)
    await account.poll_after()
    assert account.state(first).lines[0].shipped == 1
    assert account.state(second).lines[0].counts.held == 1


async def test_no_buyer_is_ever_asked_for(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.check())
    await account.poll()
    for request in account.requests("GET", "/orders/"):
        asked = set(request.url.params.get("includedData", "").split(","))
        assert not asked & {"BUYER", "RECIPIENT"}


# --- shipments ----------------------------------------------------------------------------------------------------


def parcel(account: Any, order: Any, tracking: str, units: int = 0, **more: Any) -> Shipment:
    lines = {account.emulator.orders.order(order, [])["orderItems"][0]["orderItemId"]: units} if units else {}
    carrier = more.pop("carrier", Carrier.YAMATO)
    return Shipment(order_id(order.number), carrier, tracking, account.clock.now(), lines, **more)


async def send(account: Any, shipment: Shipment) -> Any:
    [row] = (await account.run(account.channel.send_shipments([shipment]))).rows
    return row


async def test_parcel_goes_as_other_with_the_carriers_japanese_name(open_account: Open) -> None:
    account = open_account()
    order = account.buy(2)
    await account.clock.advance(120)
    assert isinstance(await send(account, parcel(account, order, "4000")), Accepted)
    [sent] = account.requests("POST", "/shipmentConfirmation")
    assert b'"packageReferenceId":"1","carrierCode":"Other","carrierName":"\xe3\x83\xa4' in sent.content


async def test_second_parcel_of_an_order_bears_the_next_number(open_account: Open) -> None:
    account = open_account()
    order = account.buy(3)
    await account.clock.advance(120)
    for tracking, units in (("1001", 1), ("1002", 2)):
        assert isinstance(await send(account, parcel(account, order, tracking, units)), Accepted)
    assert [one["packageReferenceId"] for one in order.extra["packages"]] == ["1", "2"]
    assert order.parcels == ["1001", "1002"]


async def test_parcel_whose_answer_was_lost_is_found_by_its_tracking_number(open_account: Open) -> None:
    account = open_account()
    order = account.buy(2)
    await account.clock.advance(120)
    account.emulator.faults.add(Fault("confirm_shipment", FaultKind.LOST_AFTER))
    with pytest.raises(InDoubt):
        await send(account, parcel(account, order, "4000"))
    assert isinstance(await send(account, parcel(account, order, "4000")), Accepted)
    assert order.parcels == ["4000"]


@pytest.mark.parametrize(
    ("status", "units", "more", "told"),
    [
        ("PENDING", 0, {}, "PENDING: it must not be shipped"),
        ("UNSHIPPED", 3, {}, "not so many units"),
        ("UNSHIPPED", 0, {"carrier": Carrier.OTHER}, "carrier's name"),
        ("SHIPPED", 0, {}, "not so many units"),
    ],
)
async def test_parcel_that_must_not_leave_is_refused_and_says_why(
    open_account: Open, status: str, units: int, more: dict[str, Any], told: str
) -> None:
    account = open_account()
    order = account.buy(2, fulfillmentStatus=status)
    if status == "SHIPPED":
        account.market.ship(order.number)
    await account.clock.advance(120)
    row = await send(account, parcel(account, order, "4000", units, **more))
    assert isinstance(row, Rejected)
    assert told in row.message
    assert account.requests("POST", "/shipmentConfirmation") == []
