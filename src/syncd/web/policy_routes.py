"""Routes about policies (連動方式): how each SKU is shown, and whether it can be oversold."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from syncd.core.policy import Policy
from syncd.daemon.desk_policies import ListingView, PolicyItem, PolicyView, find_policies, usual_policy
from syncd.daemon.guarantee import conditions
from syncd.store.reports import PAGE
from syncd.web.asking import After, Asked, Limit, Who
from syncd.web.models import Changes, Policies, PoliciesIn
from syncd.web.rows import PolicyPage
from syncd.web.shapes import changes, iso

router = APIRouter(tags=["policies"])


@router.get("/policies", responses={200: {"model": PolicyPage, "description": "A page of rows"}})
async def policies(
    context: Asked,
    sku: Annotated[list[str] | None, Query()] = None,
    escrow: bool = False,
    after: After = None,
    limit: Limit = PAGE,
) -> Policies:
    """How SKUs are shown. Without a SKU, a page of those that are not simply mirrored or have a policy of their own."""
    hub = context.hub
    now_us = hub.clock.now_us()

    def read(conn: Connection) -> tuple[list[PolicyView], tuple[Policy, str]]:
        found = find_policies(conn, hub.facts, sku or [], now_us, escrow=escrow, after_id=after or 0, limit=limit)
        return found, usual_policy(conn, hub.facts)

    found, (usual, scope) = await hub.store.read(read)
    return Policies(
        items=[view(one) for one in found],
        next=found[-1].id if found and not sku and len(found) >= limit else None,
        usual=_word(usual) | {"scope": scope},
        conditions=conditions(hub.facts),
    )


@router.put("/policies")
async def set_policies(context: Asked, body: PoliciesIn, who: Who) -> Changes:
    """Set policies of SKUs, or of all; and sales, from when until when."""
    items = [PolicyItem(one.sku, one.word, one.sale) for one in body.items]
    return changes(await context.desk.set_policies(items, who), context.hub.facts, applied=True)


def view(one: PolicyView, *, listings: bool = True) -> dict[str, Any]:
    """How one SKU is shown. `guaranteed`: null where it is not in escrow."""
    head = {"sku": one.sku} | _word(one.policy) | {"scope": one.scope}
    if one.parts:
        return head | {"parts": one.parts}
    stance = one.stance
    return (
        head
        | {
            "mode": stance.mode,
            "since": iso(stance.since_us),
            "in_sale": bool(stance.sale),
            "unseen": stance.blind,
            "reserve": stance.reserve,
            "free": one.free,
            "rights_left": one.left,
            "guaranteed": not one.reasons if one.in_escrow else None,
            "reasons": [reason.text for reason in one.reasons],
        }
        | ({"listings": [_listing(each) for each in one.listings]} if listings else {})
    )


def _word(policy: Policy) -> dict[str, Any]:
    return {"policy": str(policy), "sale_from": iso(policy.sale_from_us), "sale_until": iso(policy.sale_until_us)}


def _listing(each: ListingView) -> dict[str, Any]:
    row = each.row
    return {
        "shop": each.shop,
        "listing": row.key,
        "pieces": each.pieces,
        "target": row.target,
        "believed": row.believed,
        "share": each.share,
        "exposure": row.exposure,
        "standing": each.standing,
        "waits_for": each.waits_for,
    }
