"""Routes about returned goods (返品) that a person looks at first."""

from __future__ import annotations

from fastapi import APIRouter

from syncd.daemon.desk_returns import ReturnItem, Verdict, undecided
from syncd.store.reports import PAGE
from syncd.web.asking import After, Asked, Limit, Who
from syncd.web.models import Changes, Page, ReturnsIn
from syncd.web.rows import ReturnRow, listed
from syncd.web.shapes import changes, page

router = APIRouter(tags=["returns"])


@router.get("/returns", responses=listed(ReturnRow))
async def returns(context: Asked, shop: str | None = None, after: After = None, limit: Limit = PAGE) -> Page:
    """Returned units that wait to be inspected, oldest first."""
    facts = context.hub.facts
    rows = await context.hub.store.read(lambda conn: undecided(conn, facts, shop, limit=limit, after_id=after or 0))
    return page(rows, limit)


@router.post("/returns/{verdict}")
async def decide(context: Asked, verdict: Verdict, body: ReturnsIn, who: Who) -> Changes:
    """Put returned units back on the shelf (accept), or not (reject): all of them, or none."""
    items = [ReturnItem(one.shop, one.order, one.lines) for one in body.items]
    done = await context.desk.decide_returns(verdict, items, who, preview=body.preview)
    return changes(done, context.hub.facts, applied=not body.preview)
