"""Routes about SKUs, stock and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from syncd.daemon.desk_skus import RuleItem, SkuItem, list_rules
from syncd.daemon.desk_stock import Item, find_skus
from syncd.store import reports
from syncd.store.reports import NEWEST, PAGE
from syncd.web.asking import After, Asked, Limit, Who
from syncd.web.models import Changes, Page, RulesIn, SkusIn, StockAdjust, StockCount, StockOpen, StockSet
from syncd.web.rows import EntryRow, RuleRow, SkuRow, StockRow, listed
from syncd.web.shapes import changes, iso, page

router = APIRouter(tags=["stock"])
COUNTS = ("on_hand", "ordered", "allocated")


@router.get("/skus", responses=listed(SkuRow))
async def skus(context: Asked, query: str = "", after: After = None, limit: Limit = PAGE) -> Page:
    """SKUs with their stock over all locations; bundles with their parts."""

    def read(conn: Connection) -> list[dict[str, Any]]:
        some = reports.sku_list(conn, query, limit=limit, after_id=after or 0)
        full = {row["code"]: row for row in reports.stock_rows(conn, [row["code"] for row in some])}
        return [_sku(full[row["code"]]) for row in some]

    return page(await context.hub.store.read(read), limit)


def _sku(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: row[name] for name in ("id", "code", "name", "parts", "part_of")}
    return known | {"bundle": bool(row["parts"])} | _counts(row)


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in COUNTS} | {
        "deliverable": row["on_hand"] - row["allocated"],
        "free": row["on_hand"] - row["allocated"] - row["ordered"],
    }


@router.post("/skus")
async def save_skus(context: Asked, body: SkusIn, who: Who) -> Changes:
    """Create SKUs and bundles, or change their names and parts."""
    items = [SkuItem(one.code, one.name, one.parts) for one in body.items]
    return changes(await context.desk.save_skus(items, who), context.hub.facts, applied=True)


@router.get("/stock", responses=listed(StockRow))
async def stock(
    context: Asked,
    sku: Annotated[list[str] | None, Query()] = None,
    query: str = "",
    after: After = None,
    limit: Limit = PAGE,
) -> Page:
    """Stock by SKU and location. A page holds `limit` SKUs; a bundle stands there with its parts."""

    def read(conn: Connection) -> list[dict[str, Any]]:
        if sku:
            find_skus(conn, sku)
            return reports.stock_rows(conn, sku)
        some = reports.sku_list(conn, query, limit=limit, after_id=after or 0)
        return reports.stock_rows(conn, [row["code"] for row in some])

    rows = await context.hub.store.read(read)
    following = rows[-1]["id"] if rows and not sku and len(rows) >= limit else None
    return Page(items=[item for row in rows for item in _at_locations(row)], next=following)


def _at_locations(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    head = {"sku": row["code"], "name": row["name"]}
    if row["parts"]:
        head["parts"] = row["parts"]
    if not row["locations"]:
        return [head | {"location": None} | _counts(row)]
    return [
        head
        | {"location": one["location"]}
        | _counts(one)
        | {"opened_at": iso(one["opened_us"]), "counted_at": iso(one["counted_us"])}
        for one in row["locations"]
    ]


@router.post("/stock/set")
async def set_stock(context: Asked, body: StockSet, who: Who) -> Changes:
    """Say how many can be sold now (開始在庫)."""
    items = [Item(one.sku, one.number, one.location) for one in body.items]
    return changes(await context.desk.set_stock(items, who, body.note), context.hub.facts, applied=True)


@router.post("/stock/count")
async def count(context: Asked, body: StockCount, who: Who) -> Changes:
    """Say how many lay on the shelf, now or at a time (棚卸)."""
    items = [Item(one.sku, one.number, one.location, one.at_us) for one in body.items]
    return changes(await context.desk.count(items, who, body.note), context.hub.facts, applied=True)


@router.post("/stock/adjust")
async def adjust(context: Asked, body: StockAdjust, who: Who) -> Changes:
    """Add pieces or take them off. The same key again changes nothing."""
    items = [Item(one.sku, one.by, one.location) for one in body.items]
    done = await context.desk.adjust(items, who, body.note, body.key or "")
    return changes(done, context.hub.facts, applied=bool(done.changes))


@router.post("/stock/open")
async def open_stock(context: Asked, body: StockOpen, who: Who) -> Changes:
    """Take stock over from what shops show, or from given numbers."""
    desk = context.desk
    if body.items is not None:
        items = [Item(one.sku, one.number, one.location) for one in body.items]
        done = await desk.set_stock(items, who, body.note, preview=body.preview)
    else:
        shops = [body.from_shop] if body.from_shop is not None else body.sum_shops or []
        done = await desk.open_from(shops, who, body.note, preview=body.preview)
    return changes(done, context.hub.facts, applied=not body.preview)


@router.get("/rules", responses=listed(RuleRow))
async def rules(context: Asked, shop: str | None = None, sku: str | None = None) -> Page:
    """Rules that are set, the widest scope first."""
    return Page(items=await context.hub.store.read(lambda conn: list_rules(conn, context.hub.facts, shop, sku)))


@router.put("/rules")
async def set_rules(context: Asked, body: RulesIn, who: Who) -> Changes:
    """Set rules for a shop, a SKU, both or all; null takes one away."""
    items = [RuleItem(one.rule, one.value, one.shop, one.sku) for one in body.items]
    return changes(await context.desk.set_rules(items, who), context.hub.facts, applied=True)


@router.get("/entries", responses=listed(EntryRow))
async def entries(context: Asked, sku: str | None = None, after: After = None, limit: Limit = PAGE) -> Page:
    """The ledger (在庫変動), newest first."""
    before = NEWEST if after is None else after

    def read(conn: Connection) -> list[dict[str, Any]]:
        if sku is not None:
            find_skus(conn, [sku])
        return reports.entry_rows(conn, sku, before_id=before, limit=limit)

    return page(await context.hub.store.read(read), limit)
