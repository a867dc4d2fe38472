"""Shipments over the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


def takes(site: Any) -> None:
    shop = site.shop("shop-a")
    shop.facts = replace(shop.facts, takes_shipments=True)
    site.context.hub.facts.shops[shop.id] = shop.facts


def parcel(order: str, **more: Any) -> dict[str, Any]:
    return {"shop": "shop-a", "order": order, "carrier": "yamato", "tracking": f"t-{order}", **more}


async def test_a_preview_books_nothing_and_a_yes_books_and_wakes_the_shop(site: Any) -> None:
    takes(site)
    await site.sells(mug=10)
    await site.order("shop-a", "A1", "mug", 3)
    told = await site.post("/shipments", {"items": [parcel("A1")]})
    assert (told["applied"], [one["units"] for one in told["changes"]]) == (False, [3])
    assert (await site.get("/shipments"))["items"] == []
    await site.post("/shipments", {"items": [parcel("A1")], "preview": False})
    [one] = (await site.get("/shipments", shop="shop-a", state="queued"))["items"]
    assert (one["order"], one["tracking"], one["lines"]) == (
        "A1",
        "t-A1",
        [{"line": "1", "listing": "mug", "units": 3}],
    )
    [waiting] = (await site.get("/status"))["shipments"]
    assert (waiting["shop"], waiting["state"], waiting["count"]) == ("shop-a", "queued", 1)
    [stock] = (await site.get("/stock", sku="mug"))["items"]
    assert stock["ordered"] == 0
    assert await site.free("mug") == 7
    assert site.shop("shop-a").shipment_wake.is_set()


async def test_every_mistake_is_told_with_its_place(site: Any) -> None:
    await site.sells(mug=10)
    await site.order("shop-a", "A1", "mug", 3)
    items = [parcel("A9"), parcel("A1", lines={"mug": 4}), parcel("A1")]
    told = await site.post("/shipments", {"items": items, "preview": False}, status=422)
    assert [one["where"] for one in told["mistakes"]] == ["items[0].order", "items[1].lines[mug].units"]
    assert (await site.get("/shipments"))["items"] == []


async def test_a_shipment_is_withdrawn_and_settled_by_its_number(site: Any) -> None:
    await site.sells(mug=10)
    await site.order("shop-a", "A1", "mug", 3)
    await site.post("/shipments", {"items": [parcel("A1")], "preview": False})
    [one] = (await site.get("/shipments", order="A1"))["items"]
    assert one["state"] == "not_sent"
    await site.post(f"/shipments/{one['id']}/retry", status=409)
    await site.post(f"/shipments/{one['id']}/withdraw")
    assert await site.free("mug") == 7
    await site.post(f"/shipments/{one['id']}/settle", status=409)
    await site.post("/shipments/99/settle", status=404)
