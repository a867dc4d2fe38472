"""What every listing would show that shows something else, and why: `syncd sync --dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from syncd.core.planner import Step
from syncd.daemon.desk_answers import shop_facts
from syncd.daemon.facts import Facts
from syncd.daemon.stock_view import StockView, load_stock, target_of
from syncd.model import ListingState
from syncd.store import listings as listing_rows
from syncd.store.listings import ListingRow
from syncd.store.schema import listing, sku

ROWS = 10_000
RUN = 500


def would_show(conn: Connection, shop_name: str | None, facts: Facts) -> tuple[list[dict[str, Any]], bool]:
    """Every listing whose target is not what it is believed to show; and whether there are more than fit."""
    query = (
        select(listing.c.id, sku.c.code)
        .outerjoin(sku, sku.c.id == listing.c.sku_id)
        .where(listing.c.state == ListingState.OURS.value, listing.c.sync == 1, listing.c.target.is_not(None))
        .where(listing.c.believed.is_distinct_from(listing.c.target))
        .order_by(listing.c.shop_id, listing.c.id)
        .limit(ROWS + 1)
    )
    if shop_name is not None:
        query = query.where(listing.c.shop_id == shop_facts(facts, shop_name).id)
    found = [(int(one), code) for one, code in conn.execute(query)]
    changes: list[dict[str, Any]] = []
    for start in range(0, min(len(found), ROWS), RUN):
        changes += _explained(conn, facts, found[start : min(start + RUN, ROWS)])
    return changes, len(found) > ROWS


def mapped(conn: Connection, shop_name: str | None, facts: Facts) -> int:
    """Listings that have a number to show at all."""
    query = select(func.count()).select_from(listing).where(listing.c.target.is_not(None))
    if shop_name is not None:
        query = query.where(listing.c.shop_id == shop_facts(facts, shop_name).id)
    return int(conn.execute(query).scalar_one())


def _explained(conn: Connection, facts: Facts, some: Sequence[tuple[int, str | None]]) -> list[dict[str, Any]]:
    codes = dict(some)
    rows = [row for row, _ in listing_rows.pairs_by_id(conn, list(codes))]
    have = load_stock(conn, {row.sku_id for row in rows if row.sku_id is not None})
    names = {one.id: one.name for one in facts.shops.values()}
    return [
        {"shop": names.get(row.shop_id, f"#{row.shop_id}"), "listing": row.key, "sku": codes[row.id],
         "shows": row.believed, "would_show": row.target, "why": _why(facts, row, have)}
        for row in sorted(rows, key=lambda one: (one.shop_id, one.id))
    ]  # fmt: skip


def _why(facts: Facts, row: ListingRow, have: StockView) -> str:
    """How the number differs, then the steps of the rule chain that made it."""
    differs = _differs(row.believed, row.target or 0)
    if row.held:
        differs = f"held: {row.held}"
    return f"{differs}; {_chain(facts, row, have)}"


def _differs(believed: int | None, target: int) -> str:
    if believed is None:
        return "nobody knows what it shows"
    if target == 0:
        return "sold out"
    return "shows too much" if believed > target else "shows too little"


def _chain(facts: Facts, row: ListingRow, have: StockView) -> str:
    shop = facts.shops.get(row.shop_id)
    if row.sku_id is not None and not have.parts.get(row.sku_id) and not have.balances.get(row.sku_id):
        return "no stock of it was ever opened, counted or set"
    steps: list[Step] = []
    if shop is not None:
        target_of(row, shop, have, lambda name, number, setting: steps.append(Step(name, number, setting)))
    return ", ".join(f"{one.name} {one.number}" + (f" ({one.setting})" if one.setting else "") for one in steps)
