"""Routes about shipments (出荷): book parcels, see where each stands with its shop, decide about one."""

from __future__ import annotations

from enum import StrEnum

from fastapi import APIRouter

from syncd.daemon.desk_shipments import ShipmentItem
from syncd.model import ShipmentState, to_us
from syncd.store import shipments as rows
from syncd.store.reports import NEWEST, PAGE
from syncd.web.asking import After, Asked, Limit, Who
from syncd.web.models import Changes, Page, ParcelIn, ShipmentsIn
from syncd.web.rows import ShipmentRow, listed
from syncd.web.shapes import changes, page

router = APIRouter(tags=["shipments"])


class Decision(StrEnum):
    """What a person may decide about a shipment."""

    RETRY = "retry"
    SETTLE = "settle"
    WITHDRAW = "withdraw"


@router.get("/shipments", responses=listed(ShipmentRow))
async def shipments(
    context: Asked,
    shop: str | None = None,
    state: ShipmentState | None = None,
    order: str | None = None,
    after: After = None,
    limit: Limit = PAGE,
) -> Page:
    """Shipments booked here with their lines, newest first."""
    before = NEWEST if after is None else after
    found = await context.hub.store.read(
        lambda conn: rows.listed(conn, shop_name=shop, state=state, number=order, limit=limit, before_id=before)
    )
    return page(found, limit)


@router.post("/shipments")
async def ship(context: Asked, body: ShipmentsIn, who: Who) -> Changes:
    """Book parcels that left: all of them, or none. Their shops are told after that."""
    done = await context.desk.ship([_item(one) for one in body.items], who, preview=body.preview)
    return changes(done, context.hub.facts, applied=not body.preview)


def _item(given: ParcelIn) -> ShipmentItem:
    shipped_us = None if given.shipped_at is None else to_us(given.shipped_at)
    return ShipmentItem(
        given.shop, given.order, given.carrier, given.tracking, shipped_us, given.lines, given.carrier_name
    )


@router.post("/shipments/{shipment}/{decision}")
async def decide(context: Asked, shipment: int, decision: Decision, who: Who) -> Changes:
    """Send it again, say that its shop has it, or take it back because it never left."""
    done = await context.desk.decide_shipment(decision, shipment, who)
    return changes(done, context.hub.facts, applied=True)
