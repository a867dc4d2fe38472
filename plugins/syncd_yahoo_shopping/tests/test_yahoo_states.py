"""What an order's state means: holds, cancels, shipments, returns, split orders, auctions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from syncd.model import Counts

pytestmark = pytest.mark.anyio


def counts(mall: Any, number: str) -> dict[str, Counts]:
    return {line.listing: line.counts for line in mall.states[number].lines}


def calls_since(mall: Any, before: Counter[str]) -> Counter[str]:
    return mall.emulator.calls - before


# --- what a state means -------------------------------------------------------------------------------------


@pytest.mark.parametrize("original", ["given", "missing"])
@pytest.mark.parametrize("quantity", ["kept", "zero"])
async def test_a_cancelled_order_holds_nothing_even_when_it_comes_back_with_quantity_0(
    open_mall: Callable[..., Any], quantity: str, original: str
) -> None:
    mall = open_mall(cancelled_quantity=quantity, original_num=original)
    order = mall.buy(3)
    await mall.poll()
    assert mall.held() == 3
    mall.market.cancel(order.number)
    await mall.poll()
    assert mall.held() == 0
    kept = counts(mall, order.number)[mall.keys[0]]
    assert kept.ordered == kept.cancelled
    assert kept.ordered == 3 or (quantity, original) == ("zero", "missing")
    assert mall.states[order.number].lines[0].restocked is None or not kept.cancelled  # an item setting decides


@pytest.mark.parametrize("removed", ["gone", "zero"])
async def test_a_removed_line_holds_nothing(open_mall: Callable[..., Any], removed: str) -> None:
    mall = open_mall(removed_line=removed)
    order = mall.market.buy({mall.keys[0]: 2, mall.keys[1]: 3})
    await mall.poll()
    mall.market.cancel(order.number, {"1": 2})
    await mall.poll()
    assert mall.states[order.number].complete
    assert {key: one.held for key, one in counts(mall, order.number).items() if one.held} == {mall.keys[1]: 3}


@pytest.mark.parametrize("ship_status", ["3", "1"])
async def test_a_return_is_no_cancel_whatever_the_ship_status_says_by_then(
    open_mall: Callable[..., Any], ship_status: str
) -> None:
    mall = open_mall(return_ship_status=ship_status)
    order = mall.buy(2)
    await mall.poll()
    mall.market.ship(order.number)
    await mall.poll()
    assert counts(mall, order.number)[mall.keys[0]] == Counts(ordered=2, shipped=2)
    mall.market.give_back(order.number, {"1": 2}, restock=False)
    await mall.poll()
    assert counts(mall, order.number)[mall.keys[0]] == Counts(ordered=2, shipped=2, returned=2)


@pytest.mark.parametrize("status", [0, 1, 2, 3, 8])
async def test_every_status_but_cancelled_holds_stock_reserved_and_on_hold_too(mall: Any, status: int) -> None:
    mall.buy(2).extra["OrderStatus"] = status
    await mall.poll()
    assert mall.held() == 2


@pytest.mark.parametrize(
    ("ship_status", "opened", "held"),
    [(0, False, 2), (1, False, 2), (2, True, 2), (3, True, 0), (4, True, 0)],
)
async def test_a_shipment_is_opened_at_2_and_gone_from_3_on(
    mall: Any, ship_status: int, opened: bool, held: int
) -> None:
    order = mall.buy(2)
    order.extra["ShipStatus"] = ship_status
    await mall.poll()
    assert mall.states[order.number].shipment_opened is opened
    assert mall.held() == held


async def test_two_lines_of_one_listing_are_one_line_of_the_order(mall: Any) -> None:
    body = """<ResultSet><Result><Status>OK</Status><OrderInfo><OrderId>{}</OrderId><OrderStatus>2</OrderStatus>
    <Item><LineId>1</LineId><ItemId>mug-0</ItemId><SubCode/><Quantity>1</Quantity></Item>
    <Item><LineId>2</LineId><ItemId>mug-0</ItemId><SubCode/><Quantity>2</Quantity></Item>
    </OrderInfo></Result></ResultSet>"""
    await mall.poll()
    order = mall.buy()
    mall.answer_once("orderInfo", httpx.Response(200, text=body.format(order.number)))
    await mall.poll()
    assert counts(mall, order.number) == {"mug-0": Counts(ordered=3)}


# --- split orders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("original", ["kept", "reset"])
@pytest.mark.parametrize("children", ["repeated", "comma_list"])
@pytest.mark.parametrize("placed", ["parent", "now"])
@pytest.mark.parametrize("told", ["given", "missing"])
async def test_a_split_order_is_held_once_under_the_number_it_was_placed_with(
    open_mall: Callable[..., Any], original: str, children: str, placed: str, told: str
) -> None:
    mall = open_mall(split_original=original, children=children, split_order_time=placed, original_num=told)
    order = mall.market.buy({mall.keys[0]: 3, mall.keys[1]: 2})
    await mall.poll()
    before = counts(mall, order.number)
    await mall.clock.advance(1)
    first = mall.emulator.orders.split(order.number, {"1": 1})
    second = mall.emulator.orders.split(order.number, {"1": 1, "2": 2})
    await mall.poll_for(700)
    assert mall.states.keys() == {order.number}
    assert counts(mall, order.number) == before  # a split changes nothing
    mall.emulator.orders.cancel_part(first)
    mall.emulator.orders.ship_part(second)
    await mall.poll_for(700)
    after = counts(mall, order.number)
    assert after[mall.keys[0]] == Counts(ordered=3, cancelled=1, shipped=1)
    assert after[mall.keys[1]] == Counts(ordered=2, shipped=2)
    assert mall.states.keys() == {order.number}


async def test_a_split_order_that_is_cancelled_whole_holds_nothing(mall: Any) -> None:
    order = mall.buy(3)
    await mall.poll()
    await mall.clock.advance(1)
    mall.emulator.orders.split(order.number, {"1": 1})
    await mall.poll()
    assert mall.held() == 3
    await mall.clock.advance(1)
    mall.market.cancel(order.number)
    pages = await mall.poll()
    assert not [problem for page in pages for problem in page.problems]
    assert counts(mall, order.number) == {mall.keys[0]: Counts(ordered=3, cancelled=3)}


async def test_a_part_whose_first_order_is_gone_concludes_nothing_from_what_is_missing(mall: Any) -> None:
    order = mall.market.buy({mall.keys[0]: 3, mall.keys[1]: 2})
    await mall.poll()
    await mall.clock.advance(1)
    part = mall.emulator.orders.split(order.number, {"1": 1})
    mall.emulator.orders.removed.add(order.number)
    await mall.poll()
    state = mall.states[order.number]
    assert not state.complete
    assert state.as_of is None
    assert counts(mall, order.number) == {mall.keys[0]: Counts(ordered=1)}
    assert part not in mall.states


async def test_a_split_costs_a_call_a_part_and_never_a_family_twice_in_one_page(mall: Any) -> None:
    order = mall.buy(3)
    await mall.poll()
    await mall.clock.advance(1)
    mall.emulator.orders.split(order.number, {"1": 1})
    before = Counter(mall.emulator.calls)
    await mall.page()
    assert calls_since(mall, before)["order_info"] == 2


# --- auctions -----------------------------------------------------------------------------------------------


async def test_a_fixed_price_auction_order_goes_by_the_item_it_shares_with_the_store(mall: Any) -> None:
    order = mall.buy(1, key=1)
    order.extra["auction"] = {"id": "x123", "merchant_id": "SKU-9", "bid_type": "1"}
    await mall.poll()
    assert counts(mall, order.number) == {mall.keys[1]: Counts(ordered=1)}
    assert (mall.states[order.number].label, mall.states[order.number].ends_hold) == ("yahoo-auction", "x123")


async def test_an_order_of_the_store_itself_bears_no_label(mall: Any) -> None:
    order = mall.buy()
    await mall.poll()
    assert (mall.states[order.number].label, mall.states[order.number].ends_hold) == ("", "")


@pytest.mark.parametrize("bare", ["yes", ""])
async def test_a_bidding_order_goes_by_the_auctions_own_code(open_mall: Callable[..., Any], bare: str) -> None:
    mall = open_mall(settings={"bidding_types": () if bare else ("2",)})
    order = mall.buy(1, key=1)
    order.extra["auction"] = {"id": "x123", "merchant_id": "SKU-9", "bid_type": "2", "bare": bare}
    await mall.poll()
    assert counts(mall, order.number) == {"auction/SKU-9": Counts(ordered=1)}
