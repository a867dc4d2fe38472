"""Orders in: sweeps, overlap, inner pages, and what is skipped or kept as a problem."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from syncd.sdk.channel import OrderPage
from syncd.sdk.errors import BrokenAnswer, Unavailable
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.world import TruthLine
from syncd_shopify.emulator_orders import order_id
from syncd_shopify.wire_orders import Unreadable, read_order, read_time

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A, B, C = "30322695", "30322696", "30322697"


def found(pages: list[OrderPage]) -> dict[str, Any]:
    return {state.number: state for page in pages for state in page.states}


async def test_first_sweep_reaches_back_sixty_days(shop_of: Open) -> None:
    shop = shop_of()
    [page] = await shop.sweep()
    assert page.cursor["since"] == "2026-09-22T00:00:00Z"
    assert page.seen_until == shop.clock.now() - timedelta(seconds=60)


async def test_one_call_is_one_page_and_the_last_one_ends_the_sweep(shop_of: Open) -> None:
    shop = shop_of()
    for _ in range(60):
        shop.market.buy({A: 1}) or shop.market.hand_edit(A, 50)
    pages = await shop.sweep()
    assert [len(page.states) for page in pages] == [25, 25, len(found(pages)) - 50]
    assert [page.more for page in pages] == [True, True, False]
    assert [page.seen_until is None for page in pages] == [True, True, False]
    assert pages[-1].cursor["after"] is None


async def test_next_sweep_overlaps_by_minutes(shop_of: Open) -> None:
    shop = shop_of()
    await shop.clock.advance(3600)
    order = shop.market.buy({A: 1})
    [page] = await shop.sweep()
    assert read_time(page.cursor["since"]) == order.updated_at - timedelta(minutes=5)
    [again] = await shop.sweep(page.cursor)
    assert found([again]) == found([page])


async def test_once_an_hour_a_sweep_reaches_two_hours_back(shop_of: Open) -> None:
    shop = shop_of()
    await shop.clock.advance(3 * 3600)
    [page] = await shop.sweep()
    late = shop.market.buy({A: 1})
    late.visible_at += timedelta(seconds=1800)
    seen = []
    for _ in range(7):  # every ten minutes
        await shop.clock.advance(600)
        shop.market.buy({B: 1})
        [page] = await shop.sweep(page.cursor)
        seen.append(order_id(late.number) in found([page]))
    assert seen == [False, False, False, False, False, True, False]


async def test_a_long_sweep_does_not_walk_past_what_was_indexed_late(shop_of: Open) -> None:
    shop = shop_of()
    shop.market.hand_edit(A, 5000)
    for _ in range(30):
        shop.market.buy({A: 1})
    page = await shop.run(shop.channel.fetch_orders(None))
    late = shop.market.buy({B: 1})
    late.visible_at += timedelta(seconds=1200)
    for _ in range(4):  # orders keep coming, so the sweep takes twenty minutes
        await shop.clock.advance(300)
        for _ in range(30):
            shop.market.buy({A: 1})
        page = await shop.run(shop.channel.fetch_orders(page.cursor))
        assert page.more
    rest = await shop.sweep(page.cursor)
    assert order_id(late.number) not in found(rest)
    assert order_id(late.number) in found(await shop.sweep(rest[-1].cursor))


async def test_inner_pages_are_followed(shop_of: Open) -> None:
    shop = shop_of()
    keys = [str(40_000_000 + i) for i in range(47)]
    for key in keys:
        shop.world.stock(key, 10)
        shop.market.offer(key, key, shown=9)
    order = shop.market.buy(dict.fromkeys(keys, 3))
    shop.market.cancel(order.number, {line.line: 1 for line in order.lines})
    shop.market.ship(order.number)
    [state] = found(await shop.sweep()).values()
    assert [line.listing for line in state.lines] == keys
    assert {(line.ordered, line.cancelled, line.shipped, line.restocked) for line in state.lines} == {(3, 1, 2, 1)}


async def test_failure_inside_an_order_fails_the_page_and_loses_nothing(shop_of: Open) -> None:
    shop = shop_of()
    keys = [str(40_000_000 + i) for i in range(25)]
    for key in keys:
        shop.world.stock(key, 10)
        shop.market.offer(key, key, shown=9)
    shop.market.buy(dict.fromkeys(keys, 1))
    shop.emulator.faults.add(Fault("graphql", FaultKind.LOST_AFTER, skip=1))
    with pytest.raises(Unavailable):
        await shop.sweep()
    shop.emulator.faults.add(Fault("graphql", FaultKind.GARBAGE, skip=1))
    with pytest.raises(BrokenAnswer):
        await shop.sweep()
    assert len(found(await shop.sweep())) == 1


async def test_test_orders_are_skipped(shop_of: Open) -> None:
    shop = shop_of()
    shop.market.buy({A: 1}).extra["test"] = True
    real = shop.market.buy({B: 1})
    assert found(await shop.sweep()).keys() == {order_id(real.number)}


async def test_line_of_a_deleted_product_is_kept_under_a_question_mark(shop_of: Open) -> None:
    shop = shop_of()
    shop.market.buy({A: 1})
    shop.market.listings[A].exists = False
    [state] = found(await shop.sweep()).values()
    assert [line.listing for line in state.lines] == ["?SKU-0"]


async def test_partly_cancelled_then_shipped_holds_nothing_more(shop_of: Open) -> None:
    for means in ("yes", "no"):
        shop = shop_of(unfulfilled_counts_refunded=means)
        order = shop.market.buy({A: 3})
        shop.market.cancel(order.number, {"1": 1})
        shop.market.ship(order.number)
        shop.market.give_back(order.number, {"1": 1}, restock=True)
        [state] = found(await shop.sweep()).values()
        [line] = state.lines
        assert (line.ordered, line.cancelled, line.shipped, line.returned, line.restocked) == (3, 1, 2, 1, 2)
        assert state.shipped_at == shop.clock.now()


async def test_fulfilment_in_progress_opens_the_shipment(shop_of: Open) -> None:
    shop = shop_of()
    shop.market.buy({A: 1}).extra["in_progress"] = True
    [state] = found(await shop.sweep()).values()
    assert state.shipment_opened


async def test_unreadable_order_is_a_problem_and_its_neighbours_come_in(
    shop_of: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop_of()
    bad, good = shop.market.buy({A: 1}), shop.market.buy({B: 1})
    plain = shop.emulator.orders.node

    def broken(order: Any, inner: int) -> dict[str, Any]:
        node: dict[str, Any] = plain(order, inner)
        if order is bad:
            node["lineItems"]["nodes"][0]["quantity"] = None
        return node

    monkeypatch.setattr(shop.emulator.orders, "node", broken)
    [page] = await shop.sweep()
    assert found([page]).keys() == {order_id(good.number)}
    assert [order_id(bad.number) in problem.where for problem in page.problems] == [True]


def order_node(**changes: Any) -> dict[str, Any]:
    """An order of one line as Shopify shows it."""
    line = {
        "id": "gid://shopify/LineItem/11",
        "sku": "TEE",
        "quantity": 2,
        "currentQuantity": 2,
        "unfulfilledQuantity": 2,
        "variant": {"id": "gid://shopify/ProductVariant/1", "inventoryItem": {"id": "gid://shopify/InventoryItem/5"}},
    }
    return {
        "id": "gid://shopify/Order/9",
        "createdAt": "2026-11-21T03:00:00Z",
        "updatedAt": "2026-11-21T03:00:00Z",
        "cancelledAt": None,
        "displayFulfillmentStatus": "UNFULFILLED",
        "lineItems": {"nodes": [line]},
        "refunds": [],
        "fulfillments": [],
        **changes,
    }


def refund_at(location: str) -> list[dict[str, Any]]:
    part = {
        "quantity": 2,
        "restockType": "CANCEL",
        "restocked": True,
        "location": {"id": location},
        "lineItem": {"id": "gid://shopify/LineItem/11"},
    }
    return [{"id": "gid://shopify/Refund/1", "refundLineItems": {"nodes": [part]}}]


def test_goods_put_back_at_another_location_are_not_restocked_at_ours() -> None:
    for location, restocked in (("gid://shopify/Location/1", 2), ("gid://shopify/Location/2", 0)):
        node = order_node(cancelledAt="2026-11-21T03:01:00Z", refunds=refund_at(location))
        assert read_order(node, "gid://shopify/Location/1").lines[0].restocked == restocked


def test_failed_fulfilment_ships_nothing() -> None:
    part = {"quantity": 2, "lineItem": {"id": "gid://shopify/LineItem/11"}}
    for status, shipped in (("CANCELLED", 0), ("SUCCESS", 2)):
        sent = {"status": status, "createdAt": "2026-11-21T04:00:00Z", "fulfillmentLineItems": {"nodes": [part]}}
        node = order_node(fulfillments=[sent])
        node["lineItems"]["nodes"][0]["unfulfilledQuantity"] = 2 - shipped
        assert read_order(node, "x").lines[0].shipped == shipped


@pytest.mark.parametrize("missing", ["id", "updatedAt", "lineItems", "refunds", "fulfillments", "cancelledAt"])
def test_order_without_a_needed_field_is_unreadable(missing: str) -> None:
    node = order_node()
    del node[missing]
    with pytest.raises(Unreadable):
        read_order(node, "x")


async def test_line_that_an_order_edit_adds_comes_in_with_the_next_sweep(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 1})
    [page] = await shop.sweep()
    await shop.clock.advance(60)
    order.lines.append(TruthLine("2", B, 2))
    shop.market._changed(order, shop.clock.now())
    [page] = await shop.sweep(page.cursor)
    [state] = page.states
    assert [(line.listing, line.ordered, line.counts.held) for line in state.lines] == [(A, 1, 1), (B, 2, 2)]
