"""Listings in, orphans found out, lead times kept: items/search, the stock API's own records, version 2.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncd.sdk.channel import Form, ListingInfo
from syncd_rakuten.channel import CAPABILITIES
from syncd_rakuten.emulator import RakutenEmulator

pytestmark = pytest.mark.anyio
OpenMall = Callable[..., Any]


async def listed(mall: Any) -> dict[str, ListingInfo]:
    async def every() -> dict[str, ListingInfo]:
        return {info.key: info async for info in mall.channel.list_listings()}

    return await mall.run(every())  # type: ignore[no-any-return]  # a Mall of the conftest


async def test_an_orphan_stock_record_is_named_and_not_ours_to_write(mall: Any) -> None:
    await mall.write(("ghost/ghost", Form.ABSOLUTE, 5), ("item-0/no-such-variant", Form.ABSOLUTE, 7))
    found = await listed(mall)
    for key, number in (("ghost/ghost", 5), ("item-0/no-such-variant", 7)):
        assert (found[key].quantity, found[key].writable) == (number, False)
        assert "without an item" in found[key].problem
    assert {key for key, info in found.items() if not info.problem} == set(mall.keys)
    await mall.clock.advance(24 * 3600)
    assert (await listed(mall)).keys() == set(mall.keys)


async def test_an_item_too_new_for_the_search_is_found_by_its_stock_record(mall: Any) -> None:
    mall.market.offer("brand-new/V", "SKU-9", shown=3)
    mall.emulator.too_new.add("brand-new")
    info = (await listed(mall))["brand-new/V"]
    assert (info.sku, info.quantity, info.writable, info.problem) == ("SKU-9", 3, True, "")


async def test_more_records_than_a_range_gives_are_read_in_halves(mall: Any) -> None:
    for i in range(2300):
        mall.market.offer(f"many-{i % 60}/v-{i}", "sku", shown=i % 23)
    await mall.write(("ghost/ghost", Form.ABSOLUTE, 11))
    found = await listed(mall)
    assert found["ghost/ghost"].problem
    assert len(found) == 2300 + len(mall.keys) + 1
    assert mall.emulator.violations == 0


async def test_over_a_thousand_records_of_one_number_are_passed_over(mall: Any) -> None:
    for i in range(1100):
        mall.market.offer(f"many-{i % 60}/v-{i}", "sku", shown=0)
    await mall.write(("ghost/zero", Form.ABSOLUTE, 0), ("ghost/five", Form.ABSOLUTE, 5))
    found = await listed(mall)
    assert "ghost/zero" not in found
    assert found["ghost/five"].problem


async def test_the_list_is_whole_where_the_range_function_is_off(mall: Any) -> None:
    await mall.write(("ghost/ghost", Form.ABSOLUTE, 5))
    mall.emulator.switched_off.add("/es/2.0/inventories/bulk-get/range")
    assert (await listed(mall)).keys() == set(mall.keys)


async def test_items_that_keep_no_stock_or_sell_on_at_zero_are_not_counted(mall: Any) -> None:
    mall.market.offer("gift/wrap", "sku", shown=0, counted=False)
    info = (await listed(mall))["gift/wrap"]
    assert (info.counted, info.quantity, info.writable) == (False, None, True)


@pytest.mark.parametrize("setting", RakutenEmulator.quirks["variant_case"])
async def test_a_folded_variant_is_no_orphan(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(variant_case=setting)
    await mall.write((mall.keys[0], Form.ABSOLUTE, 9))
    assert not any(info.problem for info in (await listed(mall)).values())


async def options(mall: Any, key: str, **given: str) -> None:
    assert given.keys() <= CAPABILITIES.listing_options
    await mall.run(mall.channel.set_listing_options(key, given))


async def test_what_is_not_named_is_kept_though_version_2_1_replaces_all(mall: Any) -> None:
    key = mall.keys[0]
    await options(mall, key, normal_delivery_time_id="4", back_order_delivery_time_id="5", ship_from_ids="3,4")
    await options(mall, key, normal_delivery_time_id="6")
    assert mall.emulator.stock.lead_times[key] == {
        "operationLeadTime": {"normalDeliveryTimeId": 6, "backOrderDeliveryTimeId": 5}, "shipFromIds": [3, 4],
    }  # fmt: skip
    await options(mall, key, back_order_delivery_time_id="", ship_from_ids="")
    assert mall.emulator.stock.lead_times[key] == {"operationLeadTime": {"normalDeliveryTimeId": 6}}
    assert mall.market.listings[key].shown == 500


async def test_setting_an_option_never_changes_the_number_even_while_the_shop_sells(mall: Any) -> None:
    mall.buy(100)
    await options(mall, mall.keys[0], normal_delivery_time_id="4")
    assert mall.market.listings[mall.keys[0]].shown == 400
    assert mall.world.stale == []


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        ("item-0/Sku-0", {"normal_delivery_time_id": "soon"}, "should be the id"),
        ("item-0/Sku-0", {"ship_from_ids": "3,x"}, "should be the id"),
        ("item-0/Sku-0", {"normal_delivery_time_id": "99"}, "IE0118"),
        ("ghost/ghost", {"normal_delivery_time_id": "4"}, "no stock record"),
        ("no slash", {"normal_delivery_time_id": "4"}, "is not manageNumber/variantId"),
    ],
)
async def test_a_value_that_rakuten_does_not_have_is_refused(
    mall: Any, key: str, given: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        await options(mall, key, **given)


@pytest.mark.parametrize("setting", RakutenEmulator.quirks["lead_times_after_2_0"])
async def test_stock_is_written_by_2_0_whether_or_not_it_keeps_lead_times(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(lead_times_after_2_0=setting)
    await options(mall, mall.keys[0], normal_delivery_time_id="4")
    await mall.write((mall.keys[0], Form.ABSOLUTE, 9))
    assert await mall.run(mall.channel.read_stock([mall.keys[0]])) == {mall.keys[0]: 9}
    assert (mall.keys[0] in mall.emulator.stock.lead_times) == (setting == "kept")
    await options(mall, mall.keys[0], ship_from_ids="3")
    assert mall.emulator.stock.lead_times[mall.keys[0]]["shipFromIds"] == [3]
