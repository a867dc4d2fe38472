"""Listings, orders and why over the API."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.store import listings as listing_rows
from syncd.store import outbox
from syncd.store.outbox import IntentRow

pytestmark = pytest.mark.anyio


async def of_shop(site: Any, name: str = "shop-a") -> dict[str, dict[str, Any]]:
    return {one["key"]: one for one in (await site.get("/listings", shop=name))["items"]}


async def test_listings_are_imported_and_changed_and_only_changes_are_told(site: Any) -> None:
    await site.post("/skus", {"items": [{"code": "mug"}, {"code": "cup"}]})
    items: list[dict[str, Any]] = [
        {"key": "l1", "sku": "mug", "name": "Mug"},
        {"key": "l2", "sku": None},
        {"key": "l3", "state": "skip"},
    ]
    await site.post("/listings", {"shop": "shop-a", "items": items})
    rows = await of_shop(site)
    assert [(one["sku"], one["state"], one["verify"]) for one in rows.values()] == [
        ("mug", "ours", True), (None, "ours", False), (None, "skip", False),
    ]  # fmt: skip
    items[0] |= {"sku": "cup", "pack": 6}
    done = await site.post("/listings", {"shop": "shop-a", "items": items})
    assert done["changes"] == [
        {"listing": "l1", "before": {"sku": "mug", "pack": 1}, "after": {"sku": "cup", "pack": 6}}
    ]
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "l1", "sync": False}]})
    assert ((await of_shop(site))["l1"]["sku"], (await of_shop(site))["l1"]["sync"]) == ("cup", False)
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "l1", "sku": None}]})
    assert (await of_shop(site))["l1"]["sku"] is None


async def test_a_preview_of_an_import_changes_nothing(site: Any) -> None:
    body = {"shop": "shop-a", "items": [{"key": "l1", "sku": "new"}], "create_skus": True, "preview": True}
    told = await site.post("/listings", body)
    assert (len(told["changes"]), told["applied"]) == (1, False)
    assert (await of_shop(site), (await site.get("/skus"))["items"]) == ({}, [])
    await site.post("/listings", body | {"preview": False})
    assert (await of_shop(site))["l1"]["sku"] == "new"


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([{"key": "l1"}, {"key": "l1"}], "listing named twice: l1"),
        ([{"key": "l1", "sku": "Mug"}], "unknown SKU: Mug (did you mean mug?); first at listing l1"),
        ([{"key": "l1", "pack": 0}], "l1: pack size 0"),
        ([{"key": "a\nb"}], "printable"),
        ([{"key": "l1", "sku": "=x"}], "unknown SKU: =x"),
    ],
)
async def test_an_import_with_a_mistake_is_refused_whole(site: Any, items: list[Any], said: str) -> None:
    await site.post("/skus", {"items": [{"code": "mug"}]})
    told = await site.post("/listings", {"shop": "shop-a", "items": [{"key": "ok"}, *items]}, 422)
    assert said in told["error"]
    assert await of_shop(site) == {}


async def test_waiting_orders_are_booked_with_their_mapping_and_the_alarm_ends(site: Any) -> None:
    await site.sells(mug=10)
    await site.order("shop-a", "n1", "l9", 3)
    assert [one["subject"] for one in (await site.get("/alarms"))["items"]] == ["l9"]
    done = await site.post("/listings", {"shop": "shop-a", "items": [{"key": "l9", "sku": "mug"}]})
    assert (done["notes"], await site.free("mug")) == (["1 waiting orders booked"], 7)
    assert (await site.get("/alarms"))["items"] == []
    [over] = (await site.get("/alarms", open=False))["items"]
    assert (over["shop"], over["times"], over["cleared_at"] is not None) == ("shop-a", 1, True)


async def test_a_listing_that_came_back_is_read_before_it_is_written(site: Any) -> None:
    await site.sells(mug=10)

    def believe(conn: Any) -> None:
        [row] = listing_rows.listings_by_key(conn, site.shop("shop-a").id, ["mug"]).values()
        listing_rows.set_fields(conn, [row.id], believed=10, verify=0, state="gone")

    await site.context.hub.store.tx(believe)
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "mug", "state": "ours"}]})
    row = (await of_shop(site))["mug"]
    assert (row["believed"], row["verify"]) == (None, True)


async def test_a_fetch_proposes_and_applies_only_what_is_equal(site: Any) -> None:
    await site.post("/skus", {"items": [{"code": "mug"}, {"code": "CUP-1"}]})
    market = site.world.markets["shop-a"]
    for key, sku in (("l1", "mug"), ("l2", "ｃｕｐ-1"), ("l3", "other")):
        market.offer(key, sku, shown=4)
    market.offer("l4", "mug", shown=0, counted=False)
    told = await site.post("/listings/fetch", {"shop": "shop-a", "preview": True})
    assert {one["listing"]: (one["match"], one["sku"]) for one in told["proposals"]} == {
        "l1": ("equal", "mug"), "l2": ("folded", "CUP-1"), "l3": ("none", None), "l4": ("equal", "mug"),
    }  # fmt: skip
    assert told["notes"][0].startswith("2 of 4 listings of shop-a have no SKU yet")
    assert await of_shop(site) == {}
    await site.post("/listings/fetch", {"shop": "shop-a", "preview": False})
    rows = await of_shop(site)
    assert {key: (one["sku"], one["state"]) for key, one in rows.items()} == {
        "l1": ("mug", "ours"), "l2": (None, "ours"), "l3": (None, "ours"), "l4": ("mug", "not_counted"),
    }  # fmt: skip
    again = await site.post("/listings/fetch", {"shop": "shop-a", "preview": False})
    assert (again["changes"], again["proposals"][0]["match"]) == ([], "mapped")


async def test_listings_are_filtered_and_paged(site: Any) -> None:
    await site.sells(mug=10, cup=0)
    first = await site.get("/listings", limit=3)
    assert len(first["items"]) == 3
    assert len((await site.get("/listings", after=first["next"]))["items"]) == 1
    assert [one["key"] for one in (await site.get("/listings", shop="shop-b", query="mu"))["items"]] == ["mug"]
    assert (await site.get("/listings", state="gone"))["items"] == []
    wrong = (await site.get("/listings", shop="shop-a", wrong=True))["items"]
    assert {(one["key"], one["lane"]) for one in wrong} == {("mug", "batch"), ("cup", "batch")}


# --- orders ---------------------------------------------------------------------------------------------------


async def test_orders_are_listed_closed_and_rebooked(site: Any) -> None:
    await site.sells(mug=10, cup=10)
    await site.order("shop-a", "n/1", "mug", 3)
    await site.order("shop-b", "n2", "mug", 1, shipped=1)
    newest = (await site.get("/orders"))["items"]
    assert [(one["number"], one["open"]) for one in newest] == [("n2", False), ("n/1", True)]
    assert (newest[1]["source"], newest[1]["lines"][0]["pieces"]) == ("api", {"mug": 1})
    assert [one["number"] for one in (await site.get("/orders", open=True))["items"]] == ["n/1"]
    assert [one["number"] for one in (await site.get("/orders", shop="shop-b", number="n2"))["items"]] == ["n2"]

    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "mug", "sku": "cup"}]})
    body = {"shop": "shop-a", "numbers": ["n/1"], "preview": True}
    told = await site.post("/orders/rebook", body)
    assert {one["sku"]: one["ordered"] for one in told["changes"]} == {"mug": -3, "cup": 3}
    assert await site.free("cup") == 10
    await site.post("/orders/rebook", body | {"preview": False})
    assert (await site.free("mug"), await site.free("cup")) == (9, 7)

    await site.post("/orders/shop-a/n%2F1/close", {"note": "the mall forgot it"})
    assert (await site.free("cup"), (await site.get("/orders", open=True))["items"]) == (10, [])
    assert (await site.post("/orders/shop-a/n9/close", {}, 404))["where"] == "number"


async def test_orders_that_are_short_are_named(site: Any) -> None:
    await site.sells(mug=2)
    await site.order("shop-a", "n1", "mug", 2)
    await site.order("shop-b", "n2", "mug", 1)
    [short] = (await site.get("/orders/short"))["items"]
    assert (short["shop"], short["number"], short["sku"], short["pieces"]) == ("shop-b", "n2", "mug", 1)


# --- why, outbox, intents -----------------------------------------------------------------------------------


async def test_why_tells_the_chain_of_a_nested_bundle_and_what_a_write_waits_for(site: Any) -> None:
    await site.sells(mug=9)
    items = [{"code": "duo", "parts": {"mug": 2}}, {"code": "crate", "parts": {"duo": 2}}]
    await site.post("/skus", {"items": items})
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "c/1", "sku": "crate"}]})
    await site.put("/rules", {"items": [{"rule": "hold_back", "value": 1}]})
    await site.order("shop-a", "n1", "c/1", 1)
    told = await site.get("/why/shop-a/c%2F1")
    assert [(one["step"], one["number"]) for one in told["steps"]] == [
        ("  part duo", 1), ("    part mug", 2), ("      on hand", 9), ("      free", 5), ("      hold-back", 4),
        ("    bundle", 2), ("bundle", 1),
    ]  # fmt: skip
    assert (told["sku"], told["target"], told["believed"], told["open_orders"]) == ("crate", 1, None, 1)
    assert any(one.startswith("waits for batch at 2026-11-21T") for one in told["fence"])
    assert "its number is read right before the write" in told["fence"]
    assert [one["kind"] for one in told["entries"]] == ["order", "opening"]


async def test_why_names_what_holds_a_listing(site: Any) -> None:
    await site.sells(mug=9)

    async def set_to(**values: Any) -> list[str]:
        def change(conn: Any) -> None:
            [row] = listing_rows.listings_by_key(conn, site.shop("shop-a").id, ["mug"]).values()
            listing_rows.set_fields(conn, [row.id], **values)

        await site.context.hub.store.tx(change)
        return list((await site.get("/why/shop-a/mug"))["fence"])

    assert "held: brake; syncd approve shop-a mug" in await set_to(held="brake")
    until = site.clock.now_us() + 60_000_000
    assert "in doubt until 2026-11-21T" in " ".join(await set_to(held="", doubt_us=until))
    assert await set_to(doubt_us=None, sync=0) == ["not written: sync is off for it"]
    assert await set_to(sync=1, state="skip") == ["not written: its state is skip"]
    assert (await site.client.get("/api/v1/why/shop-a/mog")).json()["error"].endswith("(did you mean mug?)")


async def test_the_outbox_and_open_calls_are_shown(site: Any) -> None:
    await site.sells(mug=9, cup=3)
    page = await site.get("/outbox", shop="shop-a", limit=1)
    assert [(one["shop"], one["key"], one["lane"], one["target"]) for one in page["items"]] == [
        ("shop-a", "mug", "batch", 9)
    ]
    assert [one["key"] for one in (await site.get("/outbox", shop="shop-a", after=page["next"]))["items"]] == ["cup"]

    def begin(conn: Any) -> None:
        shop_id = site.shop("shop-a").id
        [row] = listing_rows.listings_by_key(conn, shop_id, ["mug"]).values()
        now = site.clock.now_us()
        outbox.add_intent(
            conn,
            shop_id,
            "stock",
            "k1",
            now,
            now + 60_000_000,
            [IntentRow(0, 0, row.id, "absolute", 9, None, 1, 9, 9, 0)],
        )

    await site.context.hub.store.tx(begin)
    [call] = (await site.get("/intents", shop="shop-a"))["items"]
    assert (call["route"], call["state"], call["rows"][0]["key"]) == ("stock", "open", "mug")
    assert call["dead_at"].startswith("2026-11-21T00:01")
    assert "a write of 9 (absolute) is under way" in " ".join((await site.get("/why/shop-a/mug"))["fence"])


def of_proposals(told: Any) -> dict[str, tuple[str, str | None, int]]:
    return {one["listing"]: (one["match"], one["sku"], one["pack"]) for one in told["proposals"]}


async def test_kinds_of_match_are_taken_over_only_when_a_person_names_them(site: Any) -> None:
    await site.post("/skus", {"items": [{"code": "CUP-1"}, {"code": "00123"}, {"code": "mug"}]})
    await site.post("/listings", {"shop": "shop-b", "items": [{"key": "b1", "sku": "mug", "pack": 6}]})
    site.world.markets["shop-b"].offer("b1", "", shown=1)
    site.told("shop-b", "b1", jan="4900000000011")
    await site.post("/listings/fetch", {"shop": "shop-b", "preview": False})
    market = site.world.markets["shop-a"]
    for key, sku in (("l1", "cup-1"), ("l2", "123"), ("l3", "")):
        market.offer(key, sku, shown=4)
    site.told("shop-a", "l3", jan="4900000000011")
    right = {"l1": ("folded", "CUP-1", 1), "l2": ("digits", "00123", 1), "l3": ("jan", "mug", 6)}
    told = await site.post("/listings/fetch", {"shop": "shop-a", "preview": False})
    assert of_proposals(told) == right
    assert {one["sku"] for one in (await of_shop(site)).values()} == {None}
    told = await site.post("/listings/fetch", {"shop": "shop-a", "preview": True, "accept": ["folded", "jan"]})
    assert [one["after"] for one in told["changes"]] == [{"sku": "CUP-1"}, {"sku": "mug", "pack": 6}]
    assert {one["sku"] for one in (await of_shop(site)).values()} == {None}
    await site.post("/listings/fetch", {"shop": "shop-a", "preview": False, "accept": ["folded", "jan"]})
    rows = await of_shop(site)
    assert {key: (one["sku"], one["pack"]) for key, one in rows.items()} == {
        "l1": ("CUP-1", 1), "l2": (None, 1), "l3": ("mug", 6),
    }  # fmt: skip
    await site.post("/listings/fetch", {"shop": "shop-a", "accept": ["guess"]}, status=422)


async def test_several_skus_that_fit_are_never_taken_whatever_is_accepted(site: Any) -> None:
    await site.post("/skus", {"items": [{"code": "CUP"}, {"code": "cup"}]})
    site.world.markets["shop-a"].offer("l1", "Cup", shown=4)
    every = ["equal", "folded", "jan", "digits", "ambiguous", "none"]
    told = await site.post("/listings/fetch", {"shop": "shop-a", "preview": False, "accept": every})
    assert told["proposals"][0]["candidates"] == ["CUP", "cup"]
    assert (await of_shop(site))["l1"]["sku"] is None


async def test_what_is_not_ours_to_write_is_skipped_also_when_it_was_ours_before(site: Any) -> None:
    await site.sells(mug=10)
    market = site.world.markets["shop-a"]
    market.offer("mug", "mug", shown=10)
    market.offer("fba", "mug", shown=3)
    for key in ("mug", "fba"):
        site.told("shop-a", key, writable=False)
    told = await site.post("/listings/fetch", {"shop": "shop-a", "preview": False})
    assert "not ours to write" in " ".join(told["notes"])
    rows = await of_shop(site)
    assert {key: (one["sku"], one["state"]) for key, one in rows.items()} == {
        "mug": ("mug", "skip"), "fba": ("mug", "skip"),
    }  # fmt: skip


async def test_what_a_shop_says_is_wrong_is_listed_and_alarmed_until_it_says_so_no_more(site: Any) -> None:
    site.world.markets["shop-a"].offer("l1", "", shown=4)
    site.told("shop-a", "l1", problem="a stock record without an item")
    told = await site.post("/listings/fetch", {"shop": "shop-a", "preview": True})
    assert (await site.get("/alarms"))["items"] == []
    assert told["proposals"][0]["problem"] == "a stock record without an item"
    assert "l1: a stock record without an item" in told["notes"]
    await site.post("/listings/fetch", {"shop": "shop-a", "preview": False})
    [alarm] = (await site.get("/alarms"))["items"]
    assert (alarm["kind"], alarm["subject"]) == ("listing_problem", "l1")
    site.told("shop-a", "l1", problem="")
    await site.post("/listings/fetch", {"shop": "shop-a", "preview": False})
    assert (await site.get("/alarms"))["items"] == []


async def test_an_orphan_is_named_and_does_not_become_a_listing(site: Any) -> None:
    site.world.markets["shop-a"].offer("ghost", "", shown=4)
    site.told("shop-a", "ghost", problem="a stock record without an item", writable=False)
    await site.post("/listings/fetch", {"shop": "shop-a", "preview": False})
    assert await of_shop(site) == {}
    assert [one["subject"] for one in (await site.get("/alarms"))["items"]] == ["ghost"]


async def test_options_of_a_listing_are_set_at_its_shop_and_kept_in_the_audit(site: Any) -> None:
    await site.sells(mug=10)
    site.world.markets["shop-a"].offer("mug", "mug", shown=10)
    body = {"shop": "shop-a", "listing": "mug", "options": {"lead_time_days": "3"}}
    await site.post("/listings/options", body)
    assert site.emulator("shop-a").set_options == {"mug": {"lead_time_days": "3"}}
    [row] = [one for one in (await site.get("/audit"))["items"] if one["action"] == "listing_options_set"]
    assert '"lead_time_days":"3"' in row["detail"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"options": {"lead_time": "3"}}, 422, "did you mean lead_time_days"),
        ({"options": {}}, 422, "say what to set"),
        ({"options": {"lead_time_days": "soon"}}, 400, "should be a number of days"),
        ({"options": {"lead_time_days": "3"}, "listing": "cup"}, 404, "has no listing cup"),
    ],
)
async def test_options_that_cannot_be_set_are_refused(site: Any, body: dict[str, Any], status: int, said: str) -> None:
    await site.sells(mug=10)
    told = await site.post("/listings/options", {"shop": "shop-a", "listing": "mug", **body}, status=status)
    assert said in told["error"]
    assert site.emulator("shop-a").set_options == {}
