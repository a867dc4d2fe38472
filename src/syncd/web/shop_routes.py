"""Routes about the daemon and its shops: status, plugins, start and pause, sync, alarms, audit, backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter

from syncd.daemon.desk_answers import Refused, shop_facts
from syncd.daemon.desk_dry_run import mapped, would_show
from syncd.store import reports
from syncd.store.reports import NEWEST, PAGE
from syncd.store.shops import BACKUP_MADE, write_audit
from syncd.web import state
from syncd.web.asking import After, Asked, Limit, Who
from syncd.web.context import WebContext
from syncd.web.models import Answer, ApproveIn, BackupIn, Changes, DryRun, Made, Page, SignInAt, SignInIn, SyncIn
from syncd.web.rows import Differences, listed
from syncd.web.shapes import changes, page
from syncd.web.shop_rows import AlarmRow, AuditRow, IntentRow, OutboxRow, PluginRow, ShopRow

router = APIRouter(tags=["shops"])


@router.get("/status", response_model=Answer)
async def status(context: Asked) -> dict[str, Any]:
    """The whole daemon on one page."""
    return await state.status(context)


@router.get("/shops", responses=listed(ShopRow))
async def shops(context: Asked) -> Page:
    """Every shop with how it stands."""
    return Page(items=await state.shops(context))


@router.get("/shops/{shop}", response_model=Answer)
async def shop(context: Asked, shop: str) -> dict[str, Any]:
    """One shop in full."""
    return await state.shop(context, shop)


@router.post("/shops/{shop}/start", response_model=Answer)
async def start(context: Asked, shop: str, who: Who) -> dict[str, Any]:
    """Let a shop be written from now on."""
    return await _act(context, shop, who, "start")


@router.post("/shops/{shop}/pause", response_model=Answer)
async def pause(context: Asked, shop: str, who: Who) -> dict[str, Any]:
    """Stop reading and writing a shop; what waits for it is kept."""
    return await _act(context, shop, who, "pause")


@router.post("/shops/{shop}/resume", response_model=Answer)
async def resume(context: Asked, shop: str, who: Who) -> dict[str, Any]:
    """Go on with a paused shop."""
    return await _act(context, shop, who, "resume")


@router.get("/shops/{shop}/sign-in")
async def sign_in_page(context: Asked, shop: str) -> SignInAt:
    """Begin to sign in: where a person goes. What was brought back from an earlier page no longer counts."""
    page = await context.actions.sign_in_page(shop)
    return SignInAt(shop=shop, address=page.address, bring_back=page.bring_back)


@router.post("/shops/{shop}/sign-in", response_model=Answer)
async def sign_in(context: Asked, shop: str, body: SignInIn, who: Who) -> dict[str, Any]:
    """Hand over what the page gave; the shop goes on with it, paused or not."""
    await context.actions.sign_in(shop, body.brought_back)
    now_us = context.hub.clock.now_us()
    await context.hub.store.tx(lambda conn: write_audit(conn, who, "shop_sign_in", {"shop": shop}, now_us))
    return await state.shop(context, shop)


async def _act(context: WebContext, name: str, who: str, action: str) -> dict[str, Any]:
    before = await state.shop(context, name)
    await getattr(context.actions, action)(name)
    after = await state.shop(context, name)
    told = ("status", "started", "paused", "writes")
    detail = {
        "shop": name,
        **{side: {key: one.get(key) for key in told} for side, one in (("before", before), ("after", after))},
    }
    now_us = context.hub.clock.now_us()
    await context.hub.store.tx(lambda conn: write_audit(conn, who, f"shop_{action}", detail, now_us))
    return after


@router.get("/plugins", responses=listed(PluginRow))
async def plugins(context: Asked) -> Page:
    """Every plugin found, and what was wrong with it."""
    found = context.plugins()
    return Page(
        items=[
            {"entry_point": one.name, "module": one.module, "channel": ", ".join(one.channels),
             "status": "error" if one.error else "ok", "error": one.error}
            for one in found
        ]
    )  # fmt: skip


@router.get("/outbox", responses=listed(OutboxRow))
async def outbox(context: Asked, shop: str | None = None, after: After = None, limit: Limit = PAGE) -> Page:
    """What waits to be written, in the order it will go."""
    offset = after or 0
    rows = await context.hub.store.read(lambda conn: reports.outbox_rows(conn, shop, limit=limit, offset=offset))
    return page([row | {"id": offset + number} for number, row in enumerate(rows, 1)], limit)


@router.get("/intents", responses=listed(IntentRow))
async def intents(context: Asked, shop: str | None = None, after: After = None, limit: Limit = PAGE) -> Page:
    """Calls to shops that are not settled."""
    return page(
        await context.hub.store.read(lambda conn: reports.intents_rows(conn, shop, limit=limit, after_id=after or 0)),
        limit,
    )


@router.get("/alarms", responses=listed(AlarmRow))
async def alarms(context: Asked, open: bool = True, after: After = None, limit: Limit = PAGE) -> Page:
    """Alarms, newest first."""
    before = NEWEST if after is None else after
    rows = await context.hub.store.read(
        lambda conn: reports.alarm_rows(conn, open_only=open, limit=limit, before_id=before)
    )
    named = {"since_us": "raised_us", "count": "times"}
    return page([{named.get(key, key): value for key, value in row.items()} for row in rows], limit)


@router.get("/audit", responses=listed(AuditRow))
async def audit(context: Asked, after: After = None, limit: Limit = PAGE) -> Page:
    """Who changed what, newest first."""
    before = NEWEST if after is None else after
    return page(
        await context.hub.store.read(lambda conn: reports.audit_rows(conn, limit=limit, before_id=before)), limit
    )


@router.post("/sync", responses={200: {"model": Differences, "description": "What differs"}})
async def sync(context: Asked, body: SyncIn, who: Who) -> DryRun:
    """Send what waits now; with `full` compare and push everything; with `dry_run` only say what would be sent."""
    facts, store = context.hub.facts, context.hub.store
    if body.full and body.dry_run:
        raise Refused("a dry run compares every listing already: leave full out", "full")
    if body.shop is not None:
        shop_facts(facts, body.shop)
    found, more = await store.read(lambda conn: would_show(conn, body.shop, facts))
    if not body.dry_run:
        await context.desk.push_now(body.shop, who)
    if body.full:
        await context.actions.full_sync(body.shop)
    listings = await store.read(lambda conn: mapped(conn, body.shop, facts))
    return DryRun(changes=found, more=more, listings=listings)


@router.post("/approve")
async def approve(context: Asked, body: ApproveIn, who: Who) -> Changes:
    """Say yes to what the brake holds of a shop, or to whatever holds one listing."""
    done = await context.desk.approve(body.shop, body.listing, who)
    return changes(done, context.hub.facts, applied=bool(done.changes))


@router.post("/backup")
async def backup(context: Asked, body: BackupIn, who: Who) -> Made:
    """Copy the store into a file on the daemon's machine."""
    path = Path(body.path)
    if not path.is_absolute():
        raise Refused(f"{body.path}: give an absolute path; the daemon has a working folder of its own", "path")
    size = await context.backup(path)
    now_us = context.hub.clock.now_us()
    detail = {"path": str(path), "bytes": size}
    await context.hub.store.tx(lambda conn: write_audit(conn, who, BACKUP_MADE, detail, now_us))
    context.hub.metrics.backup_last_success.set(now_us / 1e6)
    return Made(path=str(path), bytes=size)
