"""Routes about holds (取り置き): units held for a listing that its shop counts apart, until they are ordered there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from syncd.daemon.holds import OFFERED, PREFIX, WON
from syncd.model import Source
from syncd.store import reports
from syncd.store.reports import NEWEST, PAGE
from syncd.web.asking import After, Asked, Limit, Who
from syncd.web.models import Changes, HoldIn, Page, ReleaseIn, WonIn
from syncd.web.rows import HoldRow, listed
from syncd.web.shapes import changes, page

router = APIRouter(tags=["holds"])


@router.get("/holds", responses=listed(HoldRow))
async def holds(
    context: Asked, shop: str | None = None, open: bool = True, after: After = None, limit: Limit = PAGE
) -> Page:
    """Holds, newest first; without `open` also those that hold nothing any more."""
    before = NEWEST if after is None else after
    rows = await context.hub.store.read(
        lambda conn: reports.orders_rows(
            conn, shop_name=shop, open_only=open, source=Source.STAFF, limit=limit, before_id=before
        )
    )
    return page([_hold(row) for row in rows], limit)


def _hold(row: Mapping[str, Any]) -> dict[str, Any]:
    held = {line["line"]: line["b_held"] + line["b_allocated"] for line in row["lines"]}
    return {
        "id": row["id"],
        "shop": row["shop"],
        "hold": str(row["number"]).removeprefix(PREFIX),
        "listing": row["lines"][0]["listing"] if row["lines"] else "",
        "offered": held.get(OFFERED, 0),
        "won": held.get(WON, 0),
        "open": row["open"],
        "first_us": row["first_us"],
        "seen_us": row["seen_us"],
    }


@router.post("/holds")
async def add(context: Asked, body: HoldIn, who: Who) -> Changes:
    """Hold units of a listing that its shop counts apart."""
    done = await context.desk.add_hold(body.shop, body.hold, body.listing, body.units, who, body.note)
    return changes(done, context.hub.facts, applied=True)


@router.post("/holds/{shop}/{hold}/won")
async def won(context: Asked, shop: str, hold: str, body: WonIn, who: Who) -> Changes:
    """Units of a hold are sold, and not ordered yet."""
    done = await context.desk.win_hold(shop, hold, body.units, who, body.note)
    return changes(done, context.hub.facts, applied=True)


@router.post("/holds/{shop}/{hold}/release")
async def release(context: Asked, shop: str, hold: str, body: ReleaseIn, who: Who) -> Changes:
    """Give up what of a hold nobody will order."""
    done = await context.desk.release_hold(shop, hold, body.given, who, body.note)
    return changes(done, context.hub.facts, applied=True)
