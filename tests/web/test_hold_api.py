"""Holds over the API."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

LISTING = {"key": "auction/mug", "sku": "mug", "state": "skip"}


async def test_a_hold_is_added_won_and_released(site: Any) -> None:
    await site.sells(mug=10)
    await site.post("/listings", {"shop": "shop-a", "items": [LISTING], "preview": False})
    body = {"shop": "shop-a", "hold": "x1", "listing": "auction/mug", "units": 3}
    assert [one["offered"] for one in (await site.post("/holds", body))["changes"]] == [3]
    assert await site.free("mug") == 7
    await site.post("/holds/shop-a/x1/won", {})
    [one] = (await site.get("/holds", shop="shop-a"))["items"]
    assert (one["hold"], one["listing"], one["offered"], one["won"], one["open"]) == ("x1", "auction/mug", 2, 1, True)
    await site.post("/holds/shop-a/x1/release", {"given": "all", "note": "winner gone"})
    assert await site.free("mug") == 10
    assert (await site.get("/holds"))["items"] == []
    assert [one["open"] for one in (await site.get("/holds", open=False))["items"]] == [False]
    assert [one["label"] for one in (await site.get("/orders", shop="shop-a"))["items"]] == ["hold"]


async def test_what_cannot_be_held_says_where_and_why(site: Any) -> None:
    await site.sells(mug=10)
    told = await site.post("/holds", {"shop": "shop-a", "hold": "x1", "listing": "mug", "units": 3}, status=409)
    assert told["where"] == "listing"
    assert "apart" in told["error"]
    await site.post("/holds/shop-a/x1/release", {}, status=404)
    await site.post("/holds", {"shop": "shop-a", "hold": "x1", "listing": "mug", "units": "3"}, status=422)
