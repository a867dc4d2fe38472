"""Status, health, shops, sync, approve and the audit trail over the API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncd.clock import SystemClock
from syncd.daemon.desk_answers import Refused
from syncd.store.engine import Store, StoreBroken
from syncd.web.context import backup_of
from syncd.web.shapes import quantiles

pytestmark = pytest.mark.anyio


async def test_status_tells_the_whole_daemon(site: Any) -> None:
    await site.sells(mug=9)
    site.context.hub.metrics.stockout_seconds.labels("shop-a").observe(0.4)
    told = await site.get("/status")
    assert (told["version"], told["started_at"]) == ("1.2.3", "2026-11-21T00:00:00+00:00")
    assert {one["name"]: one["status"] for one in told["shops"]} == {
        "shop-a": "running", "shop-b": "running", "shop-c": "config_error",
    }  # fmt: skip
    assert told["shops"][0]["outbox"] == {"stockout": 0, "low": 0, "batch": 1, "background": 0}
    assert 0.25 < told["stockout_seconds"]["all"]["p50"] < told["stockout_seconds"]["shop-a"]["p99"] <= 0.5


async def test_a_shop_is_told_in_full(site: Any) -> None:
    told = await site.get("/shops/shop-a")
    assert (told["channel"], told["writes"], told["orders"], told["locations"]) == ("memory", "on", "on", ["main"])
    assert told["capabilities"]["routes"][0]["forms"] == ["absolute"]
    assert "unknown key" in (await site.get("/shops/shop-c"))["status_text"]
    assert len((await site.get("/shops"))["items"]) == 3


async def test_a_shop_is_started_paused_and_resumed_with_a_trace(site: Any) -> None:
    assert (await site.post("/shops/shop-a/pause"))["status"] == "paused"
    assert (await site.post("/shops/shop-a/resume"))["status"] == "running"
    await site.post("/shops/shop-a/start")
    assert site.asked == [("pause", "shop-a"), ("resume", "shop-a"), ("start", "shop-a")]
    trail = (await site.get("/audit"))["items"]
    assert [(one["who"], one["action"]) for one in trail] == [
        ("api:mika", "shop_start"), ("api:mika", "shop_resume"), ("api:mika", "shop_pause"),
    ]  # fmt: skip
    assert '"paused":false' in trail[2]["detail"].split("after")[0]
    await site.post("/shops/shop-z/start", status=404)


async def test_plugins_are_listed_with_their_errors(site: Any) -> None:
    rows = (await site.get("/plugins"))["items"]
    assert [(one["entry_point"], one["channel"], one["status"], one["error"]) for one in rows] == [
        ("memory", "memory", "ok", ""), ("bad", "", "error", "boom"),
    ]  # fmt: skip


async def test_a_dry_run_tells_every_difference_and_a_sync_makes_it_due(site: Any) -> None:
    await site.sells(mug=9)
    told = await site.post("/sync", {"shop": "shop-a", "dry_run": True})
    row = {"shop": "shop-a", "listing": "mug", "sku": "mug", "shows": None, "would_show": 9}
    why = "nobody knows what it shows; on hand 9, free 9 (− 0 allocated − 0 ordered)"
    assert (told["changes"], told["listings"]) == ([row | {"why": why}], 1)
    before = (await site.get("/outbox", shop="shop-a"))["items"][0]["due_at"]
    assert not site.shop("shop-a").write_wake.is_set()
    await site.post("/sync", {"shop": "shop-a"})
    assert (await site.get("/outbox", shop="shop-a"))["items"][0]["due_at"] < before
    assert (site.shop("shop-a").write_wake.is_set(), site.shop("shop-b").write_wake.is_set()) == (True, False)
    await site.post("/sync", {"full": True})
    assert site.asked == [("full_sync", None)]
    await site.post("/sync", {"full": True, "dry_run": True}, 422)
    await site.post("/sync", {"shop": "shop-z"}, 404)


async def test_a_dry_run_tells_the_chain_of_each_number_and_which_sku_never_got_stock(site: Any) -> None:
    await site.sells(mug=9)
    await site.post("/skus", {"items": [{"code": "new"}]})
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "new", "sku": "new"}]})
    await site.post("/listings", {"shop": "shop-a", "items": [{"key": "pair", "sku": "mug", "pack": 2}]})
    await site.put("/rules", {"items": [{"rule": "hold_back", "value": 2}]})
    told = await site.post("/sync", {"shop": "shop-a", "dry_run": True})
    whys = {one["listing"]: (one["would_show"], one["why"].partition("; ")[2]) for one in told["changes"]}
    free = "on hand 9, free 9 (− 0 allocated − 0 ordered), hold-back 7 (− 2)"
    assert whys == {
        "mug": (7, free),
        "pair": (3, f"{free}, pack size 3 (÷ 2)"),
        "new": (0, "no stock of it was ever opened, counted or set"),
    }


async def test_a_yes_starts_the_clock_of_what_was_held(site: Any) -> None:
    codes = [f"sku-{i}" for i in range(40)]
    await site.sells(**dict.fromkeys(codes, 5))
    await site.post("/stock/set", {"items": [{"sku": code, "number": 0} for code in codes]})
    await site.clock.advance(7200)
    await site.post("/approve", {"shop": "shop-a"})
    waiting = (await site.get("/outbox", shop="shop-a"))["items"]
    assert {one["since_at"] for one in waiting} == {site.clock.now().isoformat()}
    held = (await site.get("/outbox", shop="shop-b"))["items"]
    assert site.clock.now().isoformat() not in {one["since_at"] for one in held}


async def test_a_backup_is_measured(site: Any) -> None:
    assert b"syncd_backup_last_success_timestamp_seconds 0.0" in site.context.hub.metrics.render()[0]
    await site.post("/backup", {"path": "/tmp/copy.sqlite"})
    [sample] = next(iter(site.context.hub.metrics.backup_last_success.collect())).samples
    assert sample.value == site.clock.now().timestamp()
    from syncd.store.shops import BACKUP_MADE, last_audit_us

    assert await site.rows(lambda conn: last_audit_us(conn, BACKUP_MADE)) == site.clock.now_us()


async def test_what_the_brake_holds_goes_on_after_a_yes(site: Any) -> None:
    codes = [f"sku-{i}" for i in range(40)]
    await site.sells(**dict.fromkeys(codes, 5))
    body = {"items": [{"sku": code, "number": 0} for code in codes]}
    preview = await site.post("/stock/open", body | {"preview": True})
    assert preview["braked"] == ["shop-a", "shop-b"]
    assert (await site.post("/stock/open", body | {"preview": True}))["braked"] == ["shop-a", "shop-b"]
    assert (await site.get("/alarms"))["items"] == []
    done = await site.post("/stock/set", body)
    assert done["braked"] == ["shop-a", "shop-b"]
    assert {one["kind"] for one in (await site.get("/alarms"))["items"]} == {"brake"}
    yes = await site.post("/approve", {"shop": "shop-a"})
    assert (len(yes["changes"]), yes["applied"], site.shop("shop-a").write_wake.is_set()) == (40, True, True)
    assert [one["shop"] for one in (await site.get("/alarms"))["items"]] == ["shop-b"]
    held = [one for one in (await site.get("/listings", limit=200))["items"] if one["held"]]
    assert {one["shop"] for one in held} == {"shop-b"}
    again = await site.post("/approve", {"shop": "shop-a"})
    assert (again["changes"], again["applied"]) == ([], False)


async def test_a_number_lowered_by_hand_is_approved_by_name_only(site: Any) -> None:
    await site.sells(mug=9)
    shop = site.shop("shop-a")

    def lowered(conn: Any) -> None:
        from syncd.store import listings, shops

        [row] = listings.listings_by_key(conn, shop.id, ["mug"]).values()
        listings.set_fields(conn, [row.id], held="lowered to 3 on the mall", believed=3, verify=0)
        shops.raise_alarm(conn, "hand_edit", shop.id, "mug", "lowered", site.clock.now_us())

    await site.context.hub.store.tx(lowered)
    broad = await site.post("/approve", {"shop": "shop-a"})
    assert (broad["changes"], broad["notes"]) == ([], ["still held, each to be approved by name: mug"])
    named = await site.post("/approve", {"shop": "shop-a", "listing": "mug"})
    assert named["changes"] == [{"listing": "mug", "held": "lowered to 3 on the mall", "believed": 3, "target": 9}]
    assert (await site.get("/alarms"))["items"] == []
    await site.post("/approve", {"shop": "shop-a", "listing": "nope"}, 404)


async def test_one_approved_by_name_leaves_the_others_to_the_brake(site: Any) -> None:
    await site.sells(mug=9, cup=9)
    shop = site.shop("shop-a")

    def braked(conn: Any) -> None:
        from syncd.store import listings

        rows = listings.listings_by_key(conn, shop.id, ["mug", "cup"]).values()
        listings.set_fields(conn, [row.id for row in rows], held="brake")

    await site.context.hub.store.tx(braked)
    named = await site.post("/approve", {"shop": "shop-a", "listing": "mug"})
    assert named["notes"] == ["still held by the brake, 1 in all: syncd approve shop-a"]
    assert len((await site.post("/approve", {"shop": "shop-a"}))["changes"]) == 1


async def test_a_backup_needs_a_whole_path(site: Any) -> None:
    assert await site.post("/backup", {"path": "/tmp/copy.sqlite"}) == {"path": "/tmp/copy.sqlite", "bytes": 4096}
    assert "absolute path" in (await site.post("/backup", {"path": "copy.sqlite"}, 422))["error"]
    assert site.asked == [("backup", "/tmp/copy.sqlite")]


async def test_a_backup_never_falls_on_the_store_itself(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "syncd.sqlite", clock=SystemClock(), inline=True)
    make = backup_of(store)
    try:
        for name in ("syncd.sqlite", "syncd.sqlite-wal", "syncd.sqlite.boot"):
            with pytest.raises(Refused, match="name another file"):
                await make(tmp_path / name)
        assert await make(tmp_path / "copy.sqlite") == (tmp_path / "copy.sqlite").stat().st_size
    finally:
        await store.aclose()


# --- health ---------------------------------------------------------------------------------------------------


async def test_health_and_metrics_need_no_token(site: Any) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = await site.client.get(path, headers={"Authorization": ""})
        assert answer.status_code == 200, path
    assert b"syncd_build_info" in answer.content
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("changes", "status", "said", "late"),
    [
        ({}, 200, "ok", []),
        ({"late": lambda: ["shop-a: no orders"]}, 200, "late", ["shop-a: no orders"]),
        ({"stuck": lambda: ["shop-a/intake"]}, 503, "not ready", ["shop-a/intake"]),
    ],
)
async def test_readiness_names_what_is_late(
    with_context: Callable[..., httpx.AsyncClient], changes: dict[str, Any], status: int, said: str, late: list[str]
) -> None:
    async with with_context(**changes) as client:
        answer = await client.get("/readyz")
    told = answer.json()
    assert (answer.status_code, told["status"], told["late"]) == (status, said, late)
    assert told["shops"] == {"shop-a": "running", "shop-b": "running", "shop-c": "config_error"}


async def test_without_a_database_nothing_is_ready(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise StoreBroken("the database cannot be read")

    monkeypatch.setattr(site.context.hub.store, "ping", broken)
    answer = await site.client.get("/readyz")
    assert (answer.status_code, answer.json()["late"]) == (503, ["the database: the database cannot be read"])


def test_quantiles_are_interpolated_and_cut_at_the_last_bound() -> None:
    rows = [(1.0, 50.0), (2.0, 90.0), (float("inf"), 100.0)]
    assert quantiles(rows, 0.5, 0.9, 0.99) == {"p50": 1.0, "p90": 2.0, "p99": 2.0}
    assert quantiles(rows, 0.7) == {"p70": 1.5}
    assert quantiles([], 0.5) == {"p50": None}
    assert quantiles([(1.0, 0.0)], 0.5) == {"p50": None}


async def test_a_person_signs_in_over_the_api_and_what_was_brought_back_is_kept_nowhere(site: Any) -> None:
    page = await site.get("/shops/shop-a/sign-in")
    assert page == {
        "shop": "shop-a", "address": "https://signin.example/authorize", "bring_back": "the whole address",
    }  # fmt: skip
    refused = await site.post("/shops/shop-a/sign-in", {"brought_back": "https://here.example/?error=x"}, 422)
    assert refused == {"error": "there is no code in it", "where": "brought_back"}
    await site.post("/shops/shop-a/sign-in", {"brought_back": "https://here.example/?code=canary-99"})
    assert site.asked == [("sign_in_page", "shop-a"), ("sign_in", "shop-a")]
    trail = (await site.get("/audit"))["items"]
    assert [(one["who"], one["action"]) for one in trail] == [("api:mika", "shop_sign_in")]
    assert "canary" not in str(trail)
