"""Policies over the API: set and taken away, how each SKU is shown, and whether escrow can be guaranteed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from syncd.core.policy import parse
from syncd.daemon.desk_policies import count_unguaranteed
from syncd.model import from_us
from syncd.sdk.channel import Form
from syncd.sdk.settings import Writes
from syncd.store import listings as listing_rows
from syncd.store import shops
from syncd.store.schema import audit, order_line

pytestmark = pytest.mark.anyio
HOUR_US = 3_600_000_000


async def policy(site: Any, word: str | None, sku: str | None = "mug", **more: Any) -> Any:
    return await site.put("/policies", {"items": [{"sku": sku, "policy": word, **more}]})


async def shown(site: Any, sku: str = "mug") -> dict[str, Any]:
    [one] = (await site.get("/policies", sku=sku))["items"]
    return dict(one)


async def settled(site: Any, *keys: str, exposure: int | None = 2) -> None:
    """Both shops were read just now: orders, and what these listings show."""
    hub, now_us = site.context.hub, site.clock.now_us()

    def settle(conn: Any) -> None:
        for shop in hub.facts.shops.values():
            shops.set_shop(conn, shop.id, watermark_us=now_us)
            hub.facts.read_us[shop.id] = now_us
            rows = listing_rows.listings_by_key(conn, shop.id, list(keys))
            values = {"believed": exposure, "exposure": exposure, "base_us": now_us, "verify": 0}
            listing_rows.set_fields(conn, [row.id for row in rows.values()], **values)

    await hub.store.tx(settle)


async def change(site: Any, shop: str, key: str, **values: Any) -> None:
    def write(conn: Any) -> None:
        row = listing_rows.listings_by_key(conn, site.shop(shop).id, [key])[key]
        listing_rows.set_fields(conn, [row.id], **values)

    await site.context.hub.store.tx(write)


def other_facts(site: Any, shop: str, **values: Any) -> None:
    facts = site.context.hub.facts.shops
    facts[site.shop(shop).id] = replace(facts[site.shop(shop).id], **values)


# --- setting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["auto", "mirror", "mirror+reserve 2", "escrow"])
async def test_a_policy_is_set_shown_and_taken_away(site: Any, word: str) -> None:
    await site.sells(mug=10)
    done = await policy(site, word)
    after = {"policy": word, "sale_from": None, "sale_until": None}
    assert done["changes"] == [{"sku": "mug", "before": None, "after": after}]
    one = await shown(site)
    assert (one["policy"], one["scope"]) == (word, "sku")
    assert (await policy(site, word))["changes"] == []
    assert (await policy(site, None))["changes"] == [{"sku": "mug", "before": after, "after": None}]
    assert (await shown(site))["scope"] == "settings"


async def test_a_reserve_changes_what_every_listing_must_show(site: Any) -> None:
    await site.sells(mug=10)
    await policy(site, "mirror+reserve 3")
    rows = (await site.get("/listings", query="mug"))["items"]
    assert [one["target"] for one in rows] == [7, 7]
    await policy(site, "mirror")
    assert [one["target"] for one in (await site.get("/listings", query="mug"))["items"]] == [10, 10]


async def test_a_mirror_without_reserve_is_one_also_under_a_usual_reserve(site: Any) -> None:
    await site.sells(mug=10, cup=10)
    await policy(site, "mirror+reserve 4", None)
    await policy(site, "mirror")
    rows = {(one["shop"], one["key"]): one["target"] for one in (await site.get("/listings"))["items"]}
    assert rows == {("shop-a", "mug"): 10, ("shop-b", "mug"): 10, ("shop-a", "cup"): 6, ("shop-b", "cup"): 6}
    document = await site.get("/policies")
    assert (document["usual"]["policy"], document["usual"]["scope"]) == ("mirror+reserve 4", "default")
    assert [one["sku"] for one in document["items"]] == ["mug", "cup"]
    assert (await shown(site, "cup"))["scope"] == "default"


async def test_the_settings_say_what_holds_where_nothing_is_set(site: Any) -> None:
    await site.sells(mug=10)
    site.context.hub.facts.policy = parse("auto")
    assert (await site.get("/policies"))["items"] == []
    one = await shown(site)
    assert (one["policy"], one["scope"], one["mode"], one["guaranteed"]) == ("auto", "settings", "mirror", None)


async def test_escrow_shares_the_stock_out(site: Any) -> None:
    await site.sells(mug=10)
    await settled(site, "mug")
    await policy(site, "escrow")
    one = await shown(site)
    assert (one["mode"], one["free"], one["rights_left"], one["guaranteed"]) == ("escrow", 10, 6, True)
    assert one["since"] == from_us(site.clock.now_us()).isoformat()
    assert [(each["shop"], each["share"], each["exposure"], each["standing"]) for each in one["listings"]] == [
        ("shop-a", 5, 2, "settled"), ("shop-b", 5, 2, "settled"),
    ]  # fmt: skip
    assert sum(each["target"] for each in one["listings"]) <= 10


async def test_a_bundle_in_escrow_puts_its_parts_there(site: Any) -> None:
    await site.sells(mug=10)
    await site.post("/skus", {"items": [{"code": "duo", "parts": {"mug": 2}}]})
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "d", "sku": "duo"}]})
    await policy(site, "escrow", "duo")
    part, bundle = (await site.get("/policies", sku="duo"))["items"]
    assert (bundle["sku"], bundle["policy"], bundle["parts"]) == ("duo", "escrow", {"mug": "escrow"})
    assert (part["sku"], part["policy"], part["scope"], part["mode"]) == ("mug", "escrow", "bundle duo", "escrow")
    assert [(each["listing"], each["pieces"]) for each in part["listings"]] == [("mug", 1), ("mug", 1), ("d", 2)]
    await policy(site, None, "duo")
    assert (await shown(site))["policy"] == "mirror"


async def test_a_sale_is_escrow_between_its_times(site: Any) -> None:
    await site.sells(mug=10)
    now_us = site.clock.now_us()
    begins, ends = (from_us(now_us + hours * HOUR_US).isoformat() for hours in (1, 2))
    done = await policy(site, "mirror", sale_from=begins, sale_until=ends)
    assert done["changes"][0]["after"] == {"policy": "mirror", "sale_from": begins, "sale_until": ends}
    assert (await shown(site))["mode"] == "mirror"
    await policy(site, "mirror", sale_from=from_us(now_us - HOUR_US).isoformat(), sale_until=ends)
    one = await shown(site)
    assert (one["mode"], one["in_sale"], one["policy"], one["sale_until"]) == ("escrow", True, "mirror", ends)
    await site.put("/policies", {"items": [{"sku": "mug", "sale_from": None, "sale_until": None}]})
    one = await shown(site)
    assert (one["policy"], one["mode"], one["sale_until"]) == ("mirror", "mirror", None)


async def test_times_of_any_zone_are_kept_as_moments(site: Any) -> None:
    await site.sells(mug=10)
    await policy(site, "auto", sale_from="2031-01-01T09:00:00+09:00", sale_until="2031-01-01T00:30:00Z")
    assert (await shown(site))["sale_from"] == "2031-01-01T00:00:00+00:00"
    told = await site.put("/policies", {"items": [{"sku": "mug", "sale_from": "2031-01-01T09:00:00"}]}, 422)
    assert "timezone" in told["error"]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"policy": "fast"}, "no policy 'fast'; there are: auto, mirror, mirror+reserve N, escrow"),
        ({"policy": "escrow+reserve 2"}, "goes with mirror only"),
        ({"policy": "mirror+reserve two"}, "a reserve is a whole number"),
        ({"policy": "mirror+reserve 1000001"}, "reserve = 1000001 must be 0 to 1000000"),
        ({"sale_from": "2031-01-01T00:00:00Z"}, "a sale has both a start and an end"),
        ({"sale_from": "2031-01-02T00:00:00Z", "sale_until": "2031-01-01T00:00:00Z"}, "a sale ends after it starts"),
        ({"sale_from": "2031-01-01T00:00:00Z", "sale_until": "9999-01-01T00:00:00Z"}, "sale_until"),
        ({"policy": "auto", "shop": "shop-a"}, "shop"),
    ],
)
async def test_a_policy_that_cannot_be_is_refused_and_nothing_is_kept(
    site: Any, item: dict[str, Any], said: str
) -> None:
    await site.sells(mug=10)
    told = await site.put("/policies", {"items": [{"policy": "escrow"}, {"sku": "mug", **item}]}, 422)
    assert said in json.dumps(told)
    assert (await site.get("/policies"))["items"] == []


async def test_an_unknown_or_repeated_sku_is_refused(site: Any) -> None:
    await site.sells(mug=10)
    assert "nope" in (await site.put("/policies", {"items": [{"sku": "nope", "policy": "auto"}]}, 404))["error"]
    twice = {"items": [{"sku": "mug", "policy": "auto"}] * 2}
    assert (await site.put("/policies", twice, 422))["error"] == "SKU named twice: mug"


async def test_who_changed_a_policy_is_kept_with_both_sides(site: Any) -> None:
    await site.sells(mug=10)
    await policy(site, "mirror+reserve 2")
    await policy(site, "escrow")
    rows = await site.rows(lambda conn: conn.execute(select(audit.c.who, audit.c.action, audit.c.detail)).all())
    who, _, detail = [row for row in rows if row[1] == "policies_set"][-1]
    [kept] = json.loads(detail)["changes"]
    assert (who, kept["before"]["policy"], kept["after"]["policy"]) == ("api:mika", "mirror+reserve 2", "escrow")


async def test_policies_are_no_rules_of_the_chain(site: Any) -> None:
    await site.sells(mug=10)
    await policy(site, "escrow")
    assert (await site.get("/rules"))["items"] == []
    await site.put("/rules", {"items": [{"rule": "policy", "value": 1}]}, 422)


async def test_pages_hold_what_is_not_simply_mirrored(site: Any) -> None:
    await site.sells(a=1, b=1, c=1, d=1)
    items = [{"sku": "a", "policy": "escrow"}, {"sku": "b", "policy": "mirror"}, {"sku": "d", "policy": "escrow"}]
    await site.put("/policies", {"items": items})
    first = await site.get("/policies", limit=2)
    assert [one["sku"] for one in first["items"]] == ["a", "b"]
    assert [one["sku"] for one in (await site.get("/policies", after=first["next"]))["items"]] == ["d"]
    assert [one["sku"] for one in (await site.get("/policies", escrow=True))["items"]] == ["a", "d"]


# --- honesty ----------------------------------------------------------------------------------------------------------


async def test_the_four_conditions_carry_the_times_of_each_shop(site: Any) -> None:
    other_facts(site, "shop-a", visibility_us=120_000_000, dead_after_us=900_000_000)
    first, second, third, fourth = (await site.get("/policies"))["conditions"]
    assert first == "(i) each channel sells only what it shows"
    assert second == "(ii) nobody else raises a number on a mall"
    assert "shop-a: orders 120 s, writes 900 s; shop-b: orders 60 s" in third
    assert fourth == "(iv) counted stock is real"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"state": "skip"}, "shop-b mug: it sells on its own: its state is skip"),
        ({"state": "not_counted"}, "shop-b mug: it sells on its own: its state is not_counted"),
        ({"sync": 0}, "shop-b mug: it sells on its own: sync is off for it"),
        ({"exposure": None}, "shop-b mug: what it can still sell is not known until it is read and proven"),
        ({"exposure": -2}, "shop-b mug: it sold 2 more than it was given"),
        ({"held": "lowered to 1 on the mall"}, "waits for a person: syncd approve shop-b mug"),
    ],
)
async def test_a_listing_that_breaks_the_guarantee_is_named(site: Any, values: dict[str, Any], said: str) -> None:
    await site.sells(mug=10)
    await settled(site, "mug")
    await policy(site, "escrow")
    assert (await shown(site))["reasons"] == []
    await change(site, "shop-b", "mug", **values)
    one = await shown(site)
    assert one["guaranteed"] is False
    [reason] = one["reasons"]
    assert said in reason


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"writes": Writes.OFF}, ["it sells on its own: writes are off for the shop"]),
        ({"writes": Writes.DRY_RUN}, ["the shop is in dry run; syncd shops start shop-b"]),
        ({"reads_orders": False}, ["orders of the shop are not taken in"]),
        (
            {"reads_orders": False, "reads_stock": False, "forms": frozenset({Form.ABSOLUTE})},
            ["orders of the shop are not taken in", "the shop takes absolute numbers only"],
        ),
    ],
)
async def test_a_shop_that_breaks_the_guarantee_is_named(site: Any, values: dict[str, Any], said: list[str]) -> None:
    await site.sells(mug=10)
    await settled(site, "mug")
    await policy(site, "escrow")
    other_facts(site, "shop-b", **values)
    reasons = (await shown(site))["reasons"]
    assert len(reasons) == len(said)
    for text, wanted in zip(reasons, said, strict=True):
        assert text.startswith("shop-b mug: ")
        assert wanted in text


async def test_orders_never_read_or_no_longer_read_break_it(site: Any) -> None:
    await site.sells(mug=10)
    await policy(site, "escrow")
    assert "yet: none was ever read" in str((await shown(site))["reasons"])
    await settled(site, "mug")
    assert (await shown(site))["guaranteed"] is True
    before = from_us(site.clock.now_us()).isoformat(timespec="seconds")
    await site.clock.advance(3600)
    assert f"orders of the shop were not read since {before}" in str((await shown(site))["reasons"])


async def test_a_shop_that_is_not_loaded_breaks_it(site: Any) -> None:
    await site.sells(mug=10)
    await settled(site, "mug")
    await policy(site, "escrow")
    del site.context.hub.facts.shops[site.shop("shop-b").id]
    assert (await shown(site))["reasons"] == ["shop-b mug: shop-b is not loaded"]


async def test_order_lines_that_are_not_booked_break_it(site: Any) -> None:
    await site.sells(mug=10)
    await settled(site, "mug")
    await policy(site, "escrow")
    await site.order("shop-b", "o1", "mug", 1)
    assert (await shown(site))["reasons"] == []
    await site.context.hub.store.tx(lambda conn: conn.execute(update(order_line).values(pieces="")))
    reasons = (await shown(site))["reasons"]
    assert reasons == ["shop-b mug: 1 ordered units are not booked; see: syncd alarms"]


async def test_why_says_policy_share_exposure_and_guarantee(site: Any) -> None:
    await site.sells(mug=10)
    await settled(site, "mug")
    before = await site.get("/why/shop-a/mug")
    assert ([one["mode"] for one in before["policies"]], before["conditions"]) == (["mirror"], [])
    await policy(site, "escrow")
    told = await site.get("/why/shop-a/mug")
    [one] = told["policies"]
    assert (one["policy"], one["mode"], one["share"], one["rights_left"]) == ("escrow", "escrow", 5, 6)
    assert one["guaranteed"] is True
    assert told["exposure"] == {"bound": 2, "standing": "settled", "waits_for": ""}
    assert len(told["conditions"]) == 4


async def test_a_listing_says_what_its_exposure_waits_for(site: Any) -> None:
    await site.sells(mug=10)
    await settled(site, "mug")
    now_us = site.clock.now_us()
    said = from_us(now_us).isoformat(timespec="seconds")
    for values, standing, waits in (
        ({"calls": 1}, "sent", "the answer to a write under way"),
        ({"calls": 0, "lost_us": now_us}, "limbo", f"a read after {said}, when a lost write can land no more"),
        ({"lost_us": None, "proven": 2, "proven_us": now_us}, "wait_barrier", f"its shop's orders up to {said}"),
        ({"proven": None, "exposure": None}, "unknown", "a read of its number"),
    ):
        await change(site, "shop-a", "mug", **values)
        told = (await site.get("/why/shop-a/mug"))["exposure"]
        assert (told["standing"], told["waits_for"]) == (standing, waits)


async def test_while_a_sku_is_drained_into_escrow_nothing_is_guaranteed_and_the_end_is_told(site: Any) -> None:
    await site.sells(mug=10)
    await settled(site, "mug", exposure=10)  # a mirror shows all of it on both pages
    await policy(site, "escrow")
    one = await shown(site)
    hub = site.context.hub
    until = from_us(site.clock.now_us() + hub.facts.drain_us()).isoformat(timespec="seconds")
    assert one["guaranteed"] is False
    assert one["reasons"] == [
        f"not yet: draining, by {until}; until then 10 pieces more can be sold than there are: shop-a mug, shop-b mug"
    ]
    assert await hub.store.read(lambda conn: count_unguaranteed(conn, hub.facts, site.clock.now_us())) == (1, 1)
    [told] = (await site.get("/why/shop-a/mug"))["policies"]
    assert told["reasons"] == one["reasons"]
    await settled(site, "mug", exposure=5)
    assert (await shown(site))["guaranteed"] is True
    assert await hub.store.read(lambda conn: count_unguaranteed(conn, hub.facts, site.clock.now_us())) == (1, 0)


async def test_pieces_that_are_found_missing_in_escrow_are_drained_too(site: Any) -> None:
    await site.sells(mug=10)
    await settled(site, "mug", exposure=5)
    await policy(site, "escrow")
    await site.clock.advance(3600)
    await settled(site, "mug", exposure=5)
    await site.post("/stock/adjust", {"items": [{"sku": "mug", "by": -3}]})
    [reason] = (await shown(site))["reasons"]
    assert reason.startswith("not yet: draining, which takes up to ")
    assert "until then 3 pieces more can be sold than there are" in reason
