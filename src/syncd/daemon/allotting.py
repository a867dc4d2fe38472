"""Targets of listings in escrow (在庫配分): what each may show of a SKU, and how rights move (`core/shares.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from syncd.core.demand import weights
from syncd.core.shares import UnderWay, goals, holder, shares
from syncd.daemon.facts import DEAD_FEED, Facts, demand_of, exposure_of, shown_of
from syncd.daemon.stock_view import StockView, sellers_of, target_of
from syncd.model import ListingState
from syncd.sdk.capabilities import Form
from syncd.sdk.settings import Writes
from syncd.store import outbox
from syncd.store.listings import ListingRow, Pair

Sellers = Sequence[tuple[ListingRow, int]]


def allot(conn: Connection, facts: Facts, pairs: Sequence[Pair], have: StockView, now_us: int) -> dict[int, int]:
    """The target of each listing that sells a SKU in escrow, by listing; no other listing is in the answer.

    `pairs` hold every listing that sells one of these SKUs. A listing of several takes the least of what each allows.
    Nothing moves after a sale: a target is what the page should show now, unless rights must move.
    """
    guarded = {sku for row, _ in pairs if row.sku_id is not None for sku in have.in_escrow(row.sku_id)}
    sold_by = sellers_of(have, pairs, guarded)
    under_way = _under_way(conn, {row.id for rows in sold_by.values() for row, _ in rows if row.calls})
    found: dict[int, int] = {}
    for sku, rows in sorted(sold_by.items()):
        for listing_id, units in _of_one(facts, sku, rows, have, under_way, now_us).items():
            found[listing_id] = min(units, found.get(listing_id, units))
    return found


def is_ours(facts: Facts, row: ListingRow) -> bool:
    """Whether a listing shows what we say, so that it takes part in moving rights."""
    shop = facts.shops.get(row.shop_id)
    return shop is not None and row.state == ListingState.OURS and bool(row.sync) and shop.writes is Writes.ON


def shares_of(facts: Facts, sku: int, rows: Sellers, have: StockView, now_us: int) -> dict[int, int]:
    """Pieces of a SKU that each listing of ours should have, by listing: what is there to share, by demand."""
    ours = [(row, pieces) for row, pieces in rows if is_ours(facts, row)]
    caps = _caps(facts, ours, have, now_us)
    return shares(_total(facts, sku, rows, ours, have), _weights(facts, ours, now_us), caps)


def _weights(facts: Facts, ours: Sellers, now_us: int) -> dict[int, float]:
    """How the pieces sold divide over the listings: by what each sold of the SKU, and its shop of everything."""
    twins = Counter(row.shop_id for row, _ in ours)
    demands = {row.id: demand_of(row).times(pieces) for row, pieces in ours}
    usual = {row.id: facts.usual_units(row.shop_id, now_us) / twins[row.shop_id] for row, _ in ours}
    return weights(demands, usual, now_us)


def _caps(facts: Facts, ours: Sellers, have: StockView, now_us: int) -> dict[int, int]:
    return {row.id: _cap(facts, row, have, now_us) * pieces for row, pieces in ours}


def _total(facts: Facts, sku: int, rows: Sellers, ours: Sellers, have: StockView) -> int:
    """Pieces that the listings of ours may show together."""
    return have.free(sku, (facts.shops[row.shop_id] for row, _ in ours)) - _elsewhere(facts, rows)


def _of_one(
    facts: Facts, sku: int, rows: Sellers, have: StockView, under_way: Mapping[int, UnderWay], now_us: int
) -> dict[int, int]:
    """Units that each listing may show as far as this SKU goes."""
    ours = [(row, pieces) for row, pieces in rows if is_ours(facts, row)]
    caps, total = _caps(facts, ours, have, now_us), _total(facts, sku, rows, ours, have)
    holders = {
        row.id: holder(shown_of(row), exposure_of(row), facts.shops[row.shop_id].forms, under_way.get(row.id), pieces)
        for row, pieces in ours
    }
    aims = goals(total, shares(total, _weights(facts, ours, now_us), caps), holders)
    return {row.id: min(caps[row.id], aims[row.id]) // pieces for row, pieces in ours}


def _under_way(conn: Connection, ids: set[int]) -> dict[int, UnderWay]:
    """The newest write under way of each of these listings."""
    calls = sorted(outbox.live_rows_of(conn, sorted(ids)), key=lambda one: (one[1], one[0].intent_id)) if ids else []
    return {row.listing_id: UnderWay(Form(row.form), row.quantity, row.delta) for row, _ in calls}


def _cap(facts: Facts, row: ListingRow, have: StockView, now_us: int) -> int:
    """The most a listing may show: its rule chain, its own locations; nothing where its orders stay unread (R12)."""
    shop = facts.shops[row.shop_id]
    if facts.feed_is_stale(shop, now_us, DEAD_FEED):
        return 0
    return target_of(row, shop, have) or 0


def _elsewhere(facts: Facts, rows: Sellers) -> int:
    """Pieces that listings can bring which are not ours to write."""
    return sum(max(0, row.exposure or 0) * pieces for row, pieces in rows if not is_ours(facts, row))
