"""Returned goods over the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from syncd.model import Returns

pytestmark = pytest.mark.anyio


async def test_returned_goods_are_listed_and_come_back_on_a_yes(site: Any) -> None:
    shop = site.shop("shop-a")
    shop.facts = site.context.hub.facts.shops[shop.id] = replace(shop.facts, returns=Returns.INSPECT)
    await site.sells(mug=10)
    await site.order("shop-a", "A1", "mug", 3, shipped=3, returned=2)
    [one] = (await site.get("/returns", shop="shop-a"))["items"]
    assert (one["order"], one["listing"], one["units"], one["reason"]) == ("A1", "mug", 2, "")
    body = {"items": [{"shop": "shop-a", "order": "A1", "lines": {"mug": 1}}]}
    before = await site.free("mug")
    assert (await site.post("/returns/accept", body))["applied"] is False
    assert await site.free("mug") == before
    told = await site.post("/returns/accept", body | {"preview": False})
    assert [(one["units"], one["verdict"]) for one in told["changes"]] == [(1, "accept")]
    assert await site.free("mug") == before + 1
    await site.post("/returns/reject", {"items": [{"shop": "shop-a", "order": "A1"}], "preview": False})
    assert (await site.get("/returns"))["items"] == []
    told = await site.post("/returns/accept", body | {"preview": False}, status=422)
    assert told["mistakes"][0]["where"] == "items[0].order"
    await site.post("/returns/burn", body, status=422)
