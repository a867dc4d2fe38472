"""Targets of listings in escrow (在庫配分): what each may show of a SKU, and how rights move (`core/shares.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncd.core.demand import weight
from syncd.core.shares import shares, transfer
from syncd.daemon.facts import DEAD_FEED, Facts, demand_of
from syncd.daemon.stock_view import StockView, sellers_of, target_of
from syncd.model import ListingState
from syncd.sdk.settings import Writes
from syncd.store.listings import ListingRow, Pair

Sellers = Sequence[tuple[ListingRow, int]]


def allot(facts: Facts, pairs: Sequence[Pair], have: StockView, now_us: int) -> dict[int, int]:
    """The target of each listing that sells a SKU in escrow, by listing; no other listing is in the answer.

    `pairs` hold every listing that sells one of these SKUs. A listing of several takes the least of what each allows.
    Nothing moves after a sale: a target is what the page should show now, unless rights must move.
    """
    guarded = {sku for row, _ in pairs if row.sku_id is not None for sku in have.in_escrow(row.sku_id)}
    found: dict[int, int] = {}
    for sku, rows in sorted(sellers_of(have, pairs, guarded).items()):
        for listing_id, units in _of_one(facts, sku, rows, have, now_us).items():
            found[listing_id] = min(units, found.get(listing_id, units))
    return found


def is_ours(facts: Facts, row: ListingRow) -> bool:
    """Whether a listing shows what we say, so that it takes part in moving rights."""
    shop = facts.shops.get(row.shop_id)
    return shop is not None and row.state == ListingState.OURS and bool(row.sync) and shop.writes is Writes.ON


def shares_of(facts: Facts, sku: int, rows: Sellers, have: StockView, now_us: int) -> dict[int, int]:
    """Pieces of a SKU that each listing of ours should have, by listing: what is there to share, by demand."""
    ours = [(row, pieces) for row, pieces in rows if is_ours(facts, row)]
    return _shares(_total(facts, sku, rows, ours, have), ours, _caps(facts, ours, have, now_us), now_us)


def _shares(total: int, ours: Sellers, caps: Mapping[int, int], now_us: int) -> dict[int, int]:
    return shares(total, {row.id: weight(demand_of(row), now_us) * pieces for row, pieces in ours}, caps)


def _caps(facts: Facts, ours: Sellers, have: StockView, now_us: int) -> dict[int, int]:
    return {row.id: _cap(facts, row, have, now_us) * pieces for row, pieces in ours}


def _total(facts: Facts, sku: int, rows: Sellers, ours: Sellers, have: StockView) -> int:
    """Pieces that the listings of ours may show together."""
    return have.free(sku, (facts.shops[row.shop_id] for row, _ in ours)) - _elsewhere(facts, rows)


def _of_one(facts: Facts, sku: int, rows: Sellers, have: StockView, now_us: int) -> dict[int, int]:
    """Units that each listing may show as far as this SKU goes."""
    ours = [(row, pieces) for row, pieces in rows if is_ours(facts, row)]
    caps, total = _caps(facts, ours, have, now_us), _total(facts, sku, rows, ours, have)
    held = {row.id: (row.believed or 0) * pieces for row, pieces in ours}
    move = transfer(total - _under_way(ours), _shares(total, ours, caps, now_us), held)
    return {
        row.id: min(caps[row.id], held[row.id] - move.take.get(row.id, 0) + move.give.get(row.id, 0)) // pieces
        for row, pieces in ours
    }


def _cap(facts: Facts, row: ListingRow, have: StockView, now_us: int) -> int:
    """The most a listing may show: its rule chain, its own locations; nothing where its orders stay unread (R12)."""
    shop = facts.shops[row.shop_id]
    if facts.feed_is_stale(shop, now_us, DEAD_FEED):
        return 0
    return target_of(row, shop, have) or 0


def _elsewhere(facts: Facts, rows: Sellers) -> int:
    """Pieces that listings can bring which are not ours to write."""
    return sum(max(0, row.exposure or 0) * pieces for row, pieces in rows if not is_ours(facts, row))


def _under_way(rows: Sellers) -> int:
    """Pieces booked beyond what pages should show: writes under way, or not proven yet."""
    return sum(max(0, (row.exposure or 0) - (row.believed or 0)) * pieces for row, pieces in rows)
