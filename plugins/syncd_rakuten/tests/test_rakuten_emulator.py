"""The emulator keeps the rules of the fact sheet, seen through the channel or by plain calls."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from syncd.sdk.channel import Form, Reason, Rejected
from syncd.testing.emulator import EmulatorTransport
from syncd_rakuten.emulator import LICENSE_KEY, SERVICE_SECRET

pytestmark = pytest.mark.anyio

KEY = "ESA " + base64.b64encode(f"{SERVICE_SECRET}:{LICENSE_KEY}".encode()).decode()
BULK = "/es/2.0/inventories/bulk-upsert"
SEARCH = "/es/2.0/order/searchOrder/"


async def post(mall: Any, path: str, body: object, **headers: str) -> httpx.Response:
    """A plain call, a second after the last."""
    await mall.clock.advance(1)
    transport = EmulatorTransport(mall.emulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://rms.example", trust_env=False) as client:
        return await client.post(path, json=body, headers={"Authorization": KEY, **headers})


def codes(answer: httpx.Response) -> list[str]:
    return [error["code"] for error in answer.json()["errors"]]


def row(manage_number: str = "item-0", variant_id: str = "Sku-0", **fields: Any) -> dict[str, Any]:
    return {"manageNumber": manage_number, "variantId": variant_id, "mode": "ABSOLUTE", "quantity": 1, **fields}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (row(quantity=None), "IE0001"),
        (row(quantity="1"), "IE0002"),
        (row(quantity=100_000), "IE0003"),
        (row(quantity=-1), "IE0003"),
        (row(manage_number="x" * 33), "IE0004"),
        (row(manage_number="a b"), "IE0002"),
        (row(mode="RELATIVE", quantity=-501), "IE0117"),
        (row(mode="RELATIVE", quantity=99_500), "IE0117"),
        (row(manage_number="nobody", mode="RELATIVE"), "IE0500"),
        (row(mode="OTHER"), "IE0002"),
    ],
)
async def test_a_bad_row_is_refused_by_code_and_place(mall: Any, bad: dict[str, Any], code: str) -> None:
    answer = await post(mall, BULK, {"inventories": [row(variant_id="Sku-9", manage_number="item-9"), bad]})
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["code"] == code
    assert error["metadata"]["propertyPath"].startswith("inventories[1]")
    assert mall.market.listings["item-9/Sku-9"].shown == 500  # nothing applied


async def test_the_same_pair_twice_in_a_call_is_refused(mall: Any) -> None:
    answer = await post(mall, BULK, {"inventories": [row(), row(manage_number="ITEM-0")]})
    assert codes(answer) == ["IE1102"]


async def test_a_call_of_401_rows_is_refused(mall: Any) -> None:
    rows = [row(manage_number=f"m-{i}") for i in range(401)]
    assert codes(await post(mall, BULK, {"inventories": rows})) == ["IE1101"]


async def test_a_401st_variant_of_an_item_is_refused(mall: Any) -> None:
    rows = [row(manage_number="wide", variant_id=f"v-{i}") for i in range(400)]
    assert (await post(mall, BULK, {"inventories": rows})).status_code == 204
    answer = await post(mall, BULK, {"inventories": [row(manage_number="wide", variant_id="v-400")]})
    assert codes(answer) == ["IE0121"]


async def test_an_empty_body_and_an_unknown_path_have_their_codes(mall: Any) -> None:
    assert codes(await post(mall, "/es/9.9/nothing", {})) == ["GE0007"]
    transport = EmulatorTransport(mall.emulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://rms.example", trust_env=False) as client:
        headers = {"Authorization": KEY, "Content-Type": "application/json"}
        assert codes(await client.post(BULK, content=b"", headers=headers)) == ["GE0011"]


async def test_an_orphan_record_is_kept_for_a_day_and_never_read_as_a_listing(mall: Any) -> None:
    unknown = "ghost/ghost"
    report = await mall.write((unknown, Form.ABSOLUTE, 5))
    assert not any(isinstance(one, Rejected) for one in report.rows)
    assert mall.emulator.stock.bulk_get({"inventories": [{"manageNumber": "ghost", "variantId": "ghost"}]})[1] != {
        "inventories": []
    }
    assert unknown not in await mall.run(mall.channel.read_stock([unknown, mall.keys[0]]))
    await mall.clock.advance(24 * 3600)
    [refused] = (await mall.write((unknown, Form.RELATIVE_REFUSES, -1))).rows
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.UNKNOWN_LISTING


async def test_a_listing_made_today_is_proven_once_and_then_read_without_asking(mall: Any) -> None:
    mall.emulator.stock.created[mall.keys[0]] = mall.clock.now()
    for _ in range(3):
        assert await mall.run(mall.channel.read_stock([mall.keys[0]])) == {mall.keys[0]: 500}
    assert mall.emulator.calls["items_get"] == 1


async def test_young_records_are_read_as_they_are_when_the_item_api_is_off(mall: Any) -> None:
    mall.emulator.stock.created[mall.keys[0]] = mall.clock.now()
    mall.emulator.switched_off.add("/es/2.0/items")
    assert await mall.run(mall.channel.read_stock([mall.keys[0]])) == {mall.keys[0]: 500}


async def test_manage_numbers_are_folded_and_variants_are_not(mall: Any) -> None:
    await mall.write(("ITEM-0/Sku-0", Form.ABSOLUTE, 7))
    assert mall.market.listings["item-0/Sku-0"].shown == 7
    await mall.write(("item-0/sku-0", Form.ABSOLUTE, 3))
    assert mall.market.listings["item-0/Sku-0"].shown == 7


async def test_a_shop_sells_and_a_relative_write_lands_on_what_is_left(mall: Any) -> None:
    mall.buy(100)
    await mall.write((mall.keys[0], Form.RELATIVE_REFUSES, -50), route="single")
    assert mall.market.listings[mall.keys[0]].shown == 350


def search(**fields: Any) -> dict[str, Any]:
    window = {"startDatetime": "2026-11-20T00:00:00+0900", "endDatetime": "2026-11-21T23:00:00+0900"}
    return {"dateType": 1, **window, **fields}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"dateType": 1}, "009"),
        (search(startDatetime="2026-11-20T00:00:00+09:00"), "011"),
        (search(startDatetime="2026-09-18T00:00:00+0900"), "013"),
        (search(startDatetime="2024-11-20T00:00:00+0900", endDatetime="2024-11-22T00:00:00+0900"), "013"),
        (search(PaginationRequestModel={"requestRecordsAmount": 1001, "requestPage": 1}), "014"),
        (search(PaginationRequestModel={"requestRecordsAmount": 1000, "requestPage": 16}), "014"),
    ],
)
async def test_a_bad_search_is_refused(mall: Any, query: dict[str, Any], code: str) -> None:
    answer = await post(mall, SEARCH, query)
    assert answer.status_code == 400
    assert answer.json()["orderNumberList"] is None
    [message] = answer.json()["MessageModelList"]
    assert message["messageType"] == "ERROR"
    assert message["messageCode"] == f"ORDER_EXT_API_SEARCH_ORDER_ERROR_{code}"


async def test_a_search_without_a_hit_has_null_paging(mall: Any) -> None:
    body = (await post(mall, SEARCH, search())).json()
    assert body["orderNumberList"] == []
    assert set(body["PaginationResponseModel"].values()) == {None}
    assert body["MessageModelList"][0]["messageCode"] == "ORDER_EXT_API_SEARCH_ORDER_INFO_102"


async def test_orders_can_be_searched_by_the_day_they_left(mall: Any) -> None:
    order = mall.buy()
    mall.buy()
    mall.market.ship(order.number)
    body = (await post(mall, SEARCH, search(dateType=5))).json()
    assert body["orderNumberList"] == [order.number]


async def test_get_order_takes_a_hundred_numbers_and_needs_a_version(mall: Any) -> None:
    path = "/es/2.0/order/getOrder/"
    many = await post(mall, path, {"orderNumberList": ["x"] * 101, "version": 10})
    unversioned = await post(mall, path, {"orderNumberList": ["x"]})
    assert (many.status_code, unversioned.status_code) == (400, 400)


async def test_the_order_api_has_one_rate_for_search_and_get(mall: Any) -> None:
    await post(mall, SEARCH, search())
    transport = EmulatorTransport(mall.emulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://rms.example", trust_env=False) as client:
        body = {"orderNumberList": ["x"], "version": 10}
        answer = await client.post("/es/2.0/order/getOrder/", json=body, headers={"Authorization": KEY})
    assert answer.status_code == 429
    assert mall.emulator.violations == 1


async def test_an_order_scripted_to_wait_for_a_cancel_still_holds(mall: Any) -> None:
    order = mall.buy(2)
    order.extra["orderProgress"] = 800
    await mall.poll()
    assert mall.states[order.number].lines[0].counts.held == 2
