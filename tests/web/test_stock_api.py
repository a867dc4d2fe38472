"""SKUs, stock, rules and openings over the API, with their effect on the ledger and on what shops must show."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.model import from_us

pytestmark = pytest.mark.anyio


async def targets(site: Any, sku: str) -> dict[str, int | None]:
    rows = (await site.get("/listings", query=sku))["items"]
    return {one["shop"]: one["target"] for one in rows if one["sku"] == sku}


async def test_skus_are_created_renamed_and_paged(site: Any) -> None:
    await site.post("/skus", {"items": [{"code": "mug", "name": "Mug"}, {"code": "cup"}, {"code": "pot"}]})
    done = await site.post("/skus", {"items": [{"code": "mug", "name": "Big mug"}, {"code": "cup"}]})
    assert done["changes"] == [{"sku": "mug", "before": {"name": "Mug"}, "after": {"name": "Big mug"}}]
    first = await site.get("/skus", limit=2)
    assert [(one["code"], one["name"]) for one in first["items"]] == [("mug", "Big mug"), ("cup", "")]
    assert [one["code"] for one in (await site.get("/skus", after=first["next"]))["items"]] == ["pot"]
    assert [one["code"] for one in (await site.get("/skus", query="big"))["items"]] == ["mug"]


@pytest.mark.parametrize("code", ["=1+1", "+81", "-x", "@a", "\ta", " a", "a\nb", "＝1", "x" * 129])
async def test_a_code_that_a_file_would_not_keep_is_refused(site: Any, code: str) -> None:
    assert (await site.post("/skus", {"items": [{"code": code}]}, 422))["where"] == "sku"
    assert (await site.get("/skus"))["items"] == []


async def test_a_sku_named_twice_is_refused(site: Any) -> None:
    told = await site.post("/skus", {"items": [{"code": "a"}, {"code": "a"}]}, 422)
    assert told["error"] == "SKU named twice: a"


async def test_bundles_nest_and_change_what_listings_show(site: Any) -> None:
    await site.sells(mug=10, lid=7)
    items = [{"code": "duo", "parts": {"mug": 2, "lid": 1}}, {"code": "crate", "parts": {"duo": 2}}]
    await site.post("/skus", {"items": items})
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "c1", "sku": "crate"}]})
    assert await targets(site, "crate") == {"shop-a": 2}
    await site.post("/skus", {"items": [{"code": "duo", "parts": {"mug": 1}}]})
    assert await targets(site, "crate") == {"shop-a": 5}
    assert (await site.get("/stock", sku="duo"))["items"][0]["parts"] == {"mug": 1}


@pytest.mark.parametrize(
    ("items", "status", "said"),
    [
        (
            [{"code": "a", "parts": {"b": 1}}, {"code": "b", "parts": {"a": 1}}],
            409,
            "bundle contains itself: a > b > a",
        ),
        ([{"code": "a", "parts": {"a": 1}}], 409, "bundle contains itself: a > a"),
        ([{"code": "a", "parts": {"nope": 1}}], 404, "unknown SKU: nope"),
        ([{"code": "a", "parts": {"mug": 0}}], 422, "a: pieces of a part must be 1 to 10000: mug × 0"),
        ([{"code": "mug", "parts": {"lid": 1}}], 409, "mug has 10 pieces of its own"),
        (
            [{"code": f"s{i}", "parts": {f"s{i + 1}": 1} if i < 30 else {}} for i in range(31)],
            422,
            "nested deeper than 20",
        ),
        ([{"code": f"s{i}", "parts": {f"s{i + 1}": 1} if i < 3000 else {}} for i in range(3001)], 422, "nested deeper"),
    ],
)
async def test_bundles_that_cannot_be_are_refused_and_nothing_is_kept(
    site: Any, items: list[Any], status: int, said: str
) -> None:
    await site.sells(mug=10, lid=7)
    told = await site.post("/skus", {"items": items}, status)
    assert said in told["error"]
    assert len((await site.get("/skus"))["items"]) == 2


async def test_stock_is_set_counted_and_adjusted(site: Any) -> None:
    await site.sells(mug=10)
    await site.order("shop-a", "n1", "mug", 3)
    assert await targets(site, "mug") == {"shop-a": 7, "shop-b": 7}
    await site.clock.advance(60)
    await site.post("/stock/set", {"items": [{"sku": "mug", "number": 20}], "note": "delivery"})
    assert (await site.free("mug"), await targets(site, "mug")) == (20, {"shop-a": 20, "shop-b": 20})
    [line] = (await site.get("/stock", sku="mug"))["items"]
    assert (line["location"], line["on_hand"], line["ordered"], line["deliverable"]) == ("main", 23, 3, 23)
    await site.clock.advance(60)
    at = from_us(site.clock.now_us() - 30_000_000).isoformat()
    await site.post("/stock/count", {"items": [{"sku": "mug", "number": 9, "at": at}]})
    assert await site.free("mug") == 6
    body = {"items": [{"sku": "mug", "by": -2}], "key": "broken-7"}
    assert (await site.post("/stock/adjust", body))["applied"]
    assert not (await site.post("/stock/adjust", body))["applied"]
    assert await site.free("mug") == 4
    entries = (await site.get("/entries", sku="mug"))["items"]
    assert [one["kind"] for one in entries] == ["adjust", "count", "opening", "order", "opening"]
    assert (entries[2]["note"], entries[2]["who"], entries[3]["order"]) == ("delivery", "api:mika", "n1")
    older = await site.get("/entries", sku="mug", after=entries[2]["id"])
    assert [one["kind"] for one in older["items"]] == ["order", "opening"]


async def test_stock_is_listed_by_sku_and_location(site: Any) -> None:
    await site.sells(mug=10, cup=4)
    page = await site.get("/stock", limit=1)
    assert ([one["sku"] for one in page["items"]], page["next"] is not None) == (["mug"], True)
    assert [one["sku"] for one in (await site.get("/stock", query="cu"))["items"]] == ["cup"]
    assert (await site.client.get("/api/v1/stock", params={"sku": "cap"})).status_code == 404


async def test_rules_change_what_shops_show_by_the_narrowest_scope(site: Any) -> None:
    await site.sells(mug=10)
    items = [{"rule": "hold_back", "value": 2}, {"rule": "cap", "shop": "shop-b", "sku": "mug", "value": 5}]
    done = await site.put("/rules", {"items": items})
    assert [one["before"] for one in done["changes"]] == [None, None]
    assert await targets(site, "mug") == {"shop-a": 8, "shop-b": 5}
    kept = await site.get("/rules", shop="shop-b")
    assert kept["items"][1] == {"rule": "cap", "shop": "shop-b", "sku": "mug", "value": 5}
    assert len((await site.get("/rules", shop="shop-a", sku="mug"))["items"]) == 1
    await site.put("/rules", {"items": [{"rule": "hold_back", "value": None}]})
    assert await targets(site, "mug") == {"shop-a": 10, "shop-b": 5}


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ({"rule": "share", "value": 101}, 422),
        ({"rule": "speed", "value": 1}, 422),
        ({"rule": "cap", "value": 1, "shop": "shop-z"}, 404),
        ({"rule": "cap", "value": 1, "sku": "nope"}, 404),
        ({"rule": "cap"}, 422),
    ],
)
async def test_a_rule_that_cannot_be_is_refused(site: Any, item: dict[str, Any], status: int) -> None:
    assert (await site.put("/rules", {"items": [item]}, status))["error"]
    assert (await site.get("/rules"))["items"] == []


# --- openings -------------------------------------------------------------------------------------------------


async def offered(site: Any) -> None:
    """Two shops that show numbers; nothing is known of them but the mapping."""
    await site.post(
        "/skus", {"items": [{"code": one} for one in ("mug", "cup")] + [{"code": "duo", "parts": {"mug": 2}}]}
    )
    shown = {
        "shop-a": [("m1", "mug", 1, 6), ("m6", "mug", 6, 2), ("c1", "cup", 1, 3), ("d1", "duo", 1, 1)],
        "shop-b": [("m1", "mug", 1, 5), ("gone", "cup", 1, 0)],
    }
    for name, rows in shown.items():
        for key, sku, pack, number in rows:
            if key != "gone":
                site.world.markets[name].offer(key, sku, shown=number, pack=pack)
        items = [{"key": key, "sku": sku, "pack": pack} for key, sku, pack, _ in rows]
        await site.post("/listings", {"shop": name, "items": items})


async def test_a_preview_of_an_opening_changes_nothing(site: Any) -> None:
    await offered(site)
    told = await site.post("/stock/open", {"from_shop": "shop-a", "preview": True})
    assert ([(one["sku"], one["free"]) for one in told["changes"]], told["applied"]) == (
        [("mug", 12), ("cup", 3)],
        False,
    )
    assert told["skipped"] == [{"shop": "shop-a", "listing": "d1", "why": "a bundle: its parts are opened"}]
    assert "the most counts" in told["notes"][0]
    assert (await site.free("mug"), (await site.get("/entries"))["items"]) == (0, [])


async def test_an_opening_before_the_mapping_says_what_comes_first(site: Any) -> None:
    told = await site.post("/stock/open", {"from_shop": "shop-a", "preview": True})
    assert told["notes"] == ["no listing of shop-a has a SKU yet: syncd listings import --shop shop-a"]


async def test_an_opening_from_a_shop_believes_what_was_read(site: Any) -> None:
    await offered(site)
    await site.post("/stock/open", {"from_shop": "shop-a"})
    rows = {one["key"]: one for one in (await site.get("/listings", shop="shop-a"))["items"]}
    assert {key: (one["believed"], one["target"]) for key, one in rows.items() if key != "d1"} == {
        "m1": (6, 12), "m6": (2, 2), "c1": (3, 3),
    }  # fmt: skip
    assert site.shop("shop-a").reconcile_wake.is_set()


async def test_numbers_of_several_shops_are_added_up(site: Any) -> None:
    await offered(site)
    told = await site.post("/stock/open", {"sum_shops": ["shop-a", "shop-b"]})
    assert {one["sku"]: one["free"] for one in told["changes"]} == {"mug": 17, "cup": 3}
    assert {"shop": "shop-b", "listing": "gone", "why": "the shop does not know it"} in told["skipped"]
    assert (await site.get("/entries", sku="mug"))["items"][0]["note"] == "from shop-a + shop-b"


async def test_an_opening_from_items_is_all_or_nothing(site: Any) -> None:
    await offered(site)
    items = [{"sku": "mug", "number": 4}, {"sku": "nope", "number": 1}]
    assert "nope" in (await site.post("/stock/open", {"items": items}, 404))["error"]
    assert await site.free("mug") == 0
    await site.post("/stock/open", {"items": items[:1]})
    assert await site.free("mug") == 4


async def test_a_mistake_late_in_a_long_file_leaves_its_beginning_undone(site: Any) -> None:
    codes = [f"sku-{i}" for i in range(700)]
    await site.post("/skus", {"items": [{"code": code} for code in codes]})
    items = [{"sku": code, "number": 1} for code in [*codes, "nope"]]
    await site.post("/stock/set", {"items": items}, 404)
    assert (await site.get("/entries"))["items"] == []
    done = await site.post("/stock/set", {"items": items[:-1]})
    assert (len(done["changes"]), await site.free("sku-699")) == (700, 1)
    twice = await site.post("/stock/set", {"items": [*items[:-1], items[0]]}, 422)
    assert twice["error"] == "SKU named twice: sku-0"


async def test_a_shop_that_does_not_answer_is_told_as_such(site: Any) -> None:
    await offered(site)
    site.shop("shop-a").running.channel.shop.maintenance = True
    told = await site.post("/stock/open", {"from_shop": "shop-a"}, 502)
    assert told["error"].startswith("the shop: Closed")
    assert "there is no running shop shop-z" in (await site.post("/stock/open", {"from_shop": "shop-z"}, 404))["error"]
