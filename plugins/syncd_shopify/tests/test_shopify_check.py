"""What `check` tells people: places that sell, rights that are missing, orders that get old, versions that end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncd_shopify.checking import SCOPES, of_scopes, of_version, version_ends
from syncd_shopify.emulator import LOCATION
from syncd_shopify.emulator_orders import order_id

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A = "30322695"


async def warnings(shop: Any) -> list[str]:
    return list((await shop.run(shop.channel.check())).warnings)


async def test_a_shop_in_order_is_warned_of_nothing(shop_of: Open) -> None:
    assert await warnings(shop_of()) == []


async def test_stock_at_another_place_that_sells_online_is_named(shop_of: Open) -> None:
    shop = shop_of()
    place = {"id": "gid://shopify/Location/7", "name": "Osaka", "isActive": True, "fulfillsOnlineOrders": True}
    shop.emulator.inventory.other_places = [place, {**place, "name": "Old", "isActive": False}]
    assert await warnings(shop) == ["stock at Osaka (7) is sold online too, and syncd does not write it"]


async def test_a_location_that_sells_nothing_is_named(shop_of: Open) -> None:
    shop = shop_of()
    shop.emulator.inventory.location_active = False
    assert await warnings(shop) == [f"location {LOCATION.rsplit('/')[-1]} is not active: its stock is not sold"]


async def test_each_missing_scope_is_named_with_what_fails(shop_of: Open) -> None:
    shop = shop_of()
    shop.emulator.scopes.remove("write_merchant_managed_fulfillment_orders")
    expected = "the app lacks the scope write_merchant_managed_fulfillment_orders: shipments cannot be told"
    assert await warnings(shop) == [expected]


def test_the_right_to_write_holds_the_right_to_read() -> None:
    assert of_scopes([one for one in SCOPES if one != "read_inventory"]) == []
    assert len(of_scopes(["write_inventory"])) == len(SCOPES) - 2


async def test_open_orders_that_get_old_are_told_before_and_after_they_leave_the_window(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 1})
    number = order_id(order.number)
    shop.open_orders.append(number)
    order.placed_at = shop.clock.now() - timedelta(days=54)
    [soon] = await warnings(shop)
    assert number in soon
    assert "almost 60 days old" in soon
    order.placed_at = shop.clock.now() - timedelta(days=61)
    [gone] = await warnings(shop)
    assert f"can no longer be read ({number})" in gone
    shop.emulator.scopes.append("read_all_orders")
    assert await warnings(shop) == []


async def test_an_order_older_than_60_days_is_seen_with_read_all_orders_only(shop_of: Open) -> None:
    shop = shop_of()
    order = shop.market.buy({A: 1})
    order.placed_at = shop.clock.now() - timedelta(days=61)
    assert [page.states for page in await shop.sweep()] == [()]
    shop.emulator.scopes.append("read_all_orders")
    await warnings(shop)
    [page] = await shop.sweep()
    assert [state.number for state in page.states] == [order_id(order.number)]


def test_a_version_is_warned_of_two_months_before_its_end_and_after_it() -> None:
    assert version_ends("2026-10") == datetime(2027, 10, 1, 17, tzinfo=UTC)
    told = ["API version 2026-10 is supported until 2027-10-01 only: set api_version to a newer one"]
    assert of_version("2026-10", "2026-10", datetime(2027, 7, 1, tzinfo=UTC)) == []
    assert of_version("2026-10", "2026-10", datetime(2027, 8, 3, tzinfo=UTC)) == told
    assert "out of support" in of_version("2026-10", "2027-01", datetime(2027, 11, 1, tzinfo=UTC))[0]


async def test_the_oldest_open_orders_are_looked_at_and_no_more_than_fifty(shop_of: Open) -> None:
    shop = shop_of()
    shop.open_orders.extend(str(number) for number in range(1000, 1200))
    [told] = await warnings(shop)
    assert told.startswith("50 open orders can no longer be read (1000, 1001, 1002, 1003, 1004)")


async def test_the_sellable_number_is_written_and_what_is_on_hand_follows(
    shop_of: Open, plain: Callable[..., Any]
) -> None:
    shop = shop_of()
    shop.market.buy({A: 3})
    await shop.write(plain(A, 40))
    assert shop.shown(A) == 40
    assert shop.emulator.inventory.committed(A) == 3
    row = {"inventoryItemId": f"gid://shopify/InventoryItem/{A}", "locationId": LOCATION, "quantity": 43}
    given = {"name": "on_hand", "reason": "correction", "quantities": [{**row, "changeFromQuantity": 43}]}
    answer = shop.emulator.inventory.set_quantities(given, "2026-10", shop.clock.now())
    assert answer["userErrors"] == []
    assert shop.shown(A) == 40, "43 in the building, 3 of them in open orders"
