"""The guard at the moment of a plan (R1): what may still be given of SKUs in escrow, read where it is booked.

Everything here happens in the transaction that makes the call durable: what is read, decided and booked is one state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from syncd.core import guard
from syncd.core.escrow import Holding, cost_of, rights_left
from syncd.core.planner import Evidence, Need, Plan
from syncd.daemon.allotting import is_ours
from syncd.daemon.facts import Facts, ShopFacts, exposure_of, shown_of
from syncd.daemon.stock_view import load_stock, sellers_of
from syncd.sdk.capabilities import Form
from syncd.store import listings as listing_rows
from syncd.store import stock
from syncd.store.listings import ListingRow


@dataclass(slots=True)
class Rights:
    """Pieces left of each SKU in escrow, and what one unit of each listing takes of them.

    None left: a listing of the SKU is unknown or its bound is negative; nothing of it may be raised.
    """

    left: dict[int, int | None] = field(default_factory=dict)
    pieces: dict[int, dict[int, int]] = field(default_factory=dict)

    def covers(self, row: ListingRow) -> bool:
        """Whether a listing sells a SKU in escrow."""
        return row.id in self.pieces

    def units(self, row: ListingRow) -> int:
        """Units that a listing may still be given; 0 where none may."""
        each = (max(0, self.left[sku] or 0) // pieces for sku, pieces in self.pieces[row.id].items())
        return min(each, default=0)

    def fit(self, row: ListingRow, plan: Plan) -> Plan | Need:
        """Fit a planned write in, and book what it costs."""
        if not self.covers(row):
            return plan
        fitted = guard.fit(plan, row.target or 0, shown_of(row), self.units(row))
        if isinstance(fitted, Plan):
            cost = cost_of(fitted.write.form, fitted.write.quantity, fitted.write.expected)
            for sku, pieces in self.pieces[row.id].items() if cost else ():
                self.left[sku] = (self.left[sku] or 0) - cost * pieces
        return fitted

    def must_drain(self, row: ListingRow, forms: Collection[Form], seen: Evidence) -> bool:
        """Whether only a write of 0 can tell what a listing may sell (R11): nothing is known, and nothing can be read.

        Once a write: what was taken waits for its barrier, and a lost one for its time.
        """
        blind = not seen.reads_stock and seen.reads_orders and Form.ABSOLUTE in forms
        return self.covers(row) and blind and exposure_of(row).wants_proof(seen.now_us)

    def has_none(self, row: ListingRow) -> bool:
        """Whether a raise of this listing need not even be read for: nothing of its SKU is left."""
        return self.covers(row) and (row.target or 0) > (row.believed or 0) and self.units(row) <= 0


def load_rights(conn: Connection, facts: Facts, shop: ShopFacts, rows: Sequence[ListingRow], now_us: int) -> Rights:
    """What may be given to these listings of a shop. Costs little where no SKU of theirs is in escrow."""
    have = load_stock(conn, {row.sku_id for row in rows if row.sku_id is not None})
    rights = Rights()
    for row in rows:
        inside = have.in_escrow(row.sku_id) if row.sku_id is not None else {}
        if inside:
            rights.pieces[row.id] = {sku: each * row.pack for sku, each in inside.items()}
    if rights.pieces:
        stale = facts.feed_is_stale(shop, now_us)  # R12
        guarded = {sku for some in rights.pieces.values() for sku in some}
        rights.left = dict.fromkeys(guarded) if stale else left_of(conn, facts, guarded)
    return rights


def left_of(conn: Connection, facts: Facts, skus: Iterable[int]) -> dict[int, int | None]:
    """Pieces of each plain SKU that no listing can bring yet (R1), over every listing that sells it.

    A listing we do not write counts where its bound is known; where not, the SKU is not guaranteed and says so.
    """
    wanted = set(skus)
    pairs = listing_rows.listings_of_skus(conn, sorted(stock.bundles_above(conn, wanted)))
    have = load_stock(conn, {row.sku_id for row, _ in pairs if row.sku_id is not None} | wanted)
    found: dict[int, int | None] = {}
    for sku, rows in sellers_of(have, pairs, wanted).items():
        at_work = [(row, pieces) for row, pieces in rows if row.shop_id in facts.shops]
        free = have.free(sku, (facts.shops[row.shop_id] for row, _ in at_work))
        counted = (Holding(row.exposure, pieces) for row, pieces in at_work
                   if is_ours(facts, row) or row.exposure is not None)  # fmt: skip
        found[sku] = rights_left(free, counted)
    return found
