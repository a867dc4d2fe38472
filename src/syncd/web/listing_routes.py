"""Routes about listings and orders: mapping, why, closing and rebooking."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from syncd.daemon.desk_listings import ListingItem
from syncd.daemon.desk_policies import PolicyView
from syncd.daemon.desk_why import Why
from syncd.daemon.facts import exposure_of
from syncd.model import Lane, ListingState
from syncd.store import reports
from syncd.store.listings import ListingRow
from syncd.store.reports import NEWEST, PAGE
from syncd.web.asking import After, Asked, Limit, Who
from syncd.web.models import Answer, Changes, CloseIn, FetchIn, ListingsIn, OptionsIn, Page, Proposals, RebookIn
from syncd.web.policy_routes import view
from syncd.web.rows import ListingRow as ListedRow
from syncd.web.rows import OrderRow, ProposalsOut, ShortRow, listed
from syncd.web.shapes import changes, iso, page, public

router = APIRouter(tags=["listings"])


@router.get("/listings", responses=listed(ListedRow))
async def listings(
    context: Asked,
    shop: str | None = None,
    query: str = "",
    state: ListingState | None = None,
    wrong: bool = False,
    after: After = None,
    limit: Limit = PAGE,
) -> Page:
    """Listings with what they must show, are believed to show and were last told."""
    rows = await context.hub.store.read(
        lambda conn: reports.listing_rows(
            conn, shop_name=shop, query=query, state=state, wrong_only=wrong, limit=limit, after_id=after or 0
        )
    )
    return page(rows, limit)


@router.post("/listings")
async def save_listings(context: Asked, body: ListingsIn, who: Who) -> Changes:
    """Import listings or change their mapping; orders that waited for it are booked."""
    items = [ListingItem(one.key, one.sku, one.unmap, one.pack, one.state, one.sync, one.name) for one in body.items]
    done = await context.desk.save_listings(body.shop, items, who, create_skus=body.create_skus, preview=body.preview)
    return changes(done, context.hub.facts, applied=not body.preview)


@router.post("/listings/fetch", responses={200: {"model": ProposalsOut, "description": "Proposals"}})
async def fetch(context: Asked, body: FetchIn, who: Who) -> Proposals:
    """Read a shop's listings and propose a mapping; without preview equal codes are taken over, and the kinds of
    match that are accepted.
    """
    settings = context.settings_of(body.shop)
    match_by = "sku" if settings is None else settings.match_by
    proposals, done = await context.desk.fetch_listings(
        body.shop, match_by, who, preview=body.preview, accept=body.accept
    )
    plain = changes(done, context.hub.facts, applied=not body.preview)
    return Proposals(**plain.model_dump(), proposals=proposals)


@router.post("/listings/options")
async def set_options(context: Asked, body: OptionsIn, who: Who) -> Changes:
    """Set options of a listing at its shop, e.g. lead times; which there are, its shop's capabilities say."""
    done = await context.desk.set_listing_options(body.shop, body.listing, body.options, who)
    return changes(done, context.hub.facts, applied=True)


@router.get("/why/{shop}/{listing:path}", response_model=Answer)
async def why(context: Asked, shop: str, listing: str) -> dict[str, Any]:
    """Why a listing shows what it shows, and what a write to it waits for."""
    return _why(shop, await context.desk.why(shop, listing))


def _why(shop: str, found: Why) -> dict[str, Any]:
    row = found.row
    return {
        "shop": shop,
        "listing": row.key,
        "name": found.name,
        "sku": found.sku,
        "pack": row.pack,
        "state": row.state,
        "sync": bool(row.sync),
        "steps": [{"step": one.name, "number": one.number, "setting": one.setting} for one in found.steps],
        "target": found.target,
        "believed": row.believed,
        "unread": row.unread,
        "told": row.told,
        "told_at": iso(row.told_us),
        "seen": row.seen,
        "seen_at": iso(row.seen_us),
        "error": found.error,
        "error_at": iso(found.error_us),
        "lane": None if found.lane is None else Lane(found.lane).name.lower(),
        "orders_read_at": iso(found.orders_began_us),
        "watermark_at": iso(found.watermark_us),
        "fence": found.holds,
        "open_orders": found.open_orders,
        "entries": [public(one) for one in found.entries],
        "policies": [_policy(one, row) for one in found.policies],
        "exposure": {"bound": row.exposure, "standing": exposure_of(row).standing, "waits_for": found.waits_for},
        "conditions": found.conditions,
    }


def _policy(one: PolicyView, row: ListingRow) -> dict[str, Any]:
    """How a SKU of the listing is shown, with the listing's share of it in pieces."""
    share = next((each.share for each in one.listings if each.row.id == row.id), None)
    return view(one, listings=False) | {"share": share}


@router.get("/orders", responses=listed(OrderRow))
async def orders(
    context: Asked,
    shop: str | None = None,
    number: str | None = None,
    open: bool = False,
    after: After = None,
    limit: Limit = PAGE,
) -> Page:
    """Orders with their lines, newest first."""
    rows = await context.hub.store.read(
        lambda conn: reports.orders_rows(
            conn,
            shop_name=shop,
            open_only=open,
            number=number,
            limit=limit,
            before_id=NEWEST if after is None else after,
        )
    )
    return page(rows, limit)


@router.get("/orders/short", responses=listed(ShortRow))
async def short_orders(context: Asked, limit: Limit = PAGE) -> Page:
    """Orders that cannot get all their pieces (売り越し)."""
    rows = await context.hub.store.read(lambda conn: reports.short_orders(conn, limit=limit))
    return Page(items=[public(row) for row in rows])


@router.post("/orders/rebook")
async def rebook(context: Asked, body: RebookIn, who: Who) -> Changes:
    """Book orders anew by today's mapping."""
    done = await context.desk.rebook(body.shop, body.numbers, who, preview=body.preview)
    return changes(done, context.hub.facts, applied=not body.preview)


@router.post("/orders/{shop}/{number:path}/close")
async def close(context: Asked, shop: str, number: str, body: CloseIn, who: Who) -> Changes:
    """Release the hold of an order that can no longer be read."""
    return changes(await context.desk.close_order(shop, number, who, body.note), context.hub.facts, applied=True)
