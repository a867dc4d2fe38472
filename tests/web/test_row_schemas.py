"""Rows of lists are what the OpenAPI document says: every list, filled with all that can stand in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from syncd.model import Returns
from syncd.sdk.channel import Form
from syncd.store import listings as listing_rows
from syncd.store import outbox, shops
from syncd.store.outbox import IntentRow

pytestmark = pytest.mark.anyio

LISTS = (
    "/shops", "/plugins", "/outbox", "/intents", "/alarms?open=false", "/audit", "/skus", "/stock", "/rules",
    "/entries", "/policies?sku=mug&sku=duo", "/listings", "/orders", "/orders/short", "/holds?open=false", "/shipments",
    "/returns",
)  # fmt: skip


async def filled(site: Any) -> None:
    """Something of every kind in every list."""
    shop = site.shop("shop-a")
    shop.facts = replace(shop.facts, returns=Returns.INSPECT, takes_shipments=True)
    site.context.hub.facts.shops[shop.id] = shop.facts
    await site.sells(mug=10, cup=5)
    await site.post("/skus", {"items": [{"code": "duo", "name": "二つ組", "parts": {"mug": 2}}]})
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "d", "sku": "duo"}, {"key": "new"}]})
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "auction/1", "sku": "cup", "state": "skip"}]})
    await site.put("/rules", {"items": [{"rule": "hold_back", "sku": "cup", "value": 1}, {"rule": "cap", "value": 99}]})
    await site.put("/rules", {"items": [{"rule": "share", "shop": "shop-a", "value": 50}]})
    await site.put("/policies", {"items": [{"sku": "mug", "policy": "escrow"}]})
    await site.post("/stock/adjust", {"items": [{"sku": "cup", "by": 1}], "key": "k-1", "note": "found"})
    await site.post("/stock/count", {"items": [{"sku": "cup", "number": 6}]})
    await site.order("shop-a", "o-1", "mug", 3)
    await site.order("shop-a", "o-0", "cup", 2, shipped=2, returned=1, return_reason="damaged")
    await site.order("shop-b", "o-2", "mug", 90)
    await site.order("shop-b", "o-3", "nobody", 1)
    await site.post("/holds", {"shop": "shop-a", "hold": "a-1", "listing": "auction/1", "units": 1})
    parcel = {"shop": "shop-a", "order": "o-1", "carrier": "yamato", "tracking": "4000"}
    await site.post("/shipments", {"items": [parcel], "preview": False})
    await site.context.hub.store.tx(lambda conn: _by_the_daemon(site, conn))


def _by_the_daemon(site: Any, conn: Any) -> None:
    """An alarm of a shop and one of none, and a call under way."""
    shop, now_us = site.shop("shop-a"), site.clock.now_us()
    shops.raise_alarm(conn, "row_refused", shop.id, "mug", "shop-a refuses mug", now_us)
    shops.raise_alarm(conn, "oversold", None, "mug", "mug is short", now_us)
    shops.clear_alarm(conn, "oversold", None, "mug", now_us)
    row = listing_rows.listings_by_key(conn, shop.id, ["mug"])["mug"]
    sent = IntentRow(0, 0, row.id, Form.ABSOLUTE, 3, None, 1, 3, 0, 0, receipt="r-1")
    outbox.add_intent(conn, shop.id, "stock", "key-1", now_us, now_us + 60_000_000, [sent])
    listing_rows.set_fields(
        conn, [row.id], doubt_us=now_us, told_us=now_us, error="no", error_us=now_us, lost_us=now_us
    )


async def items_of(site: Any, address: str) -> list[dict[str, Any]]:
    answer = await site.client.get(f"/api/v1{address}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def schema_of(document: dict[str, Any], address: str) -> dict[str, Any]:
    """The schema of a list's rows, closed: what it does not name must not be there."""
    told = document["paths"][f"/api/v1{address.partition('?')[0]}"]["get"]["responses"]["200"]
    page = resolved(document, told["content"]["application/json"]["schema"])
    return {**resolved(document, page["properties"]["items"]["items"]), "components": document["components"]}


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema["$ref"].rpartition("/")[2]
    return dict(document["components"]["schemas"][name])


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every kind of row complete."""
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


@pytest.mark.parametrize("address", LISTS)
async def test_every_row_of_a_list_is_what_the_document_says_and_nothing_more(site: Any, address: str) -> None:
    await filled(site)
    document = closed(await site.get("/openapi.json"))
    rows = await items_of(site, address)
    assert rows, "the list is empty: this test proves nothing"
    schema = schema_of(document, address)
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for row in rows:
        checker.validate(row)
    seen = {name for row in rows for name in row}
    assert seen == set(schema["properties"]), "the document names what no row has"


async def test_every_list_of_the_api_has_rows_with_names(site: Any) -> None:
    document = await site.get("/openapi.json")
    lists = {
        path.removeprefix("/api/v1")
        for path, methods in document["paths"].items()
        if "after" in {one["name"] for one in methods.get("get", {}).get("parameters", ())}
    }
    assert lists <= {address.partition("?")[0] for address in LISTS}
    for address in LISTS:
        assert schema_of(document, address)["properties"]


@pytest.mark.parametrize(
    ("path", "body", "rows"),
    [
        ("/sync", {"dry_run": True}, "changes"),
        ("/listings/fetch", {"shop": "shop-a"}, "proposals"),
    ],
)
async def test_what_differs_and_what_is_proposed_is_what_the_document_says(
    site: Any, path: str, body: dict[str, Any], rows: str
) -> None:
    await filled(site)
    for key in ("mug", "Cup"):
        site.world.markets["shop-a"].offer(key, "mug", shown=3)
    document = closed(await site.get("/openapi.json"))
    told = document["paths"][f"/api/v1{path}"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer = await site.post(path, body)
    assert answer[rows], "the list is empty: this test proves nothing"
    schema = {**resolved(document, told), "components": document["components"]}
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(answer)
