"""What the rule chain needs to know of the SKUs of one refresh or plan, loaded at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from syncd.core import ledger, planner
from syncd.core.planner import Away, Rule, rule_of
from syncd.daemon.facts import ShopFacts
from syncd.model import Balance, ListingState
from syncd.store import stances, stock
from syncd.store.listings import ListingRow, Pair
from syncd.store.stances import StanceRow

ESCROW = "escrow"


@dataclass(slots=True)
class StockView:
    """Balances, parts, rules and stances. `unread`: pieces that watched pages show to be sold and not booked."""

    parts: dict[int, dict[int, int]]
    balances: dict[int, dict[int, stock.BalanceRow]]
    rules: dict[tuple[str, int, int], int]
    stances: dict[int, StanceRow] = field(default_factory=dict)
    unread: dict[int, int] = field(default_factory=dict)
    known: dict[tuple[int, tuple[int, ...]], Balance] = field(default_factory=dict)
    pieces: dict[tuple[int, tuple[int, ...]], int] = field(default_factory=dict)
    inside: dict[int, dict[int, int]] = field(default_factory=dict)

    def balance(self, sku: int, locations: tuple[int, ...]) -> Balance:
        found = self.known.get((sku, locations))
        if found is None:
            rows = self.balances.get(sku, {})
            found = Balance()
            for one in locations:
                row = rows.get(one)
                if row is not None:
                    found += Balance(row.on_hand, row.ordered, row.allocated)
            self.known[sku, locations] = found
        return found

    def sellable(self, row: ListingRow, sku: int, shop: ShopFacts, say: planner.Explain = planner.silent) -> int:
        """Steps 1-4 of the chain; without rules and stances they are the same for every shop of these locations."""
        shared = not self.rules and not self.stances and say is planner.silent
        found = self.pieces.get((sku, shop.location_ids)) if shared else None
        if found is None:
            found = planner.sellable(
                sku, shop.id, lambda one: self.balance(one, shop.location_ids), self.parts, self.rules, say,
                lambda one: self.away(one, row),
            )  # fmt: skip
            if shared:
                self.pieces[sku, shop.location_ids] = found
        return found

    def away(self, sku: int, row: ListingRow) -> Away:
        """What a SKU's policy takes off for one listing: the listing's own unread sales are no news to its page."""
        stance = self.stances.get(sku)
        missing = self.unread.get(sku, 0)
        if missing:
            missing -= unread_units(row) * row.pack * self.plain(row.sku_id or 0).get(sku, 0)
        reserve = 0 if stance is None or stance.mode == ESCROW else stance.reserve
        return Away(reserve, max(0, missing)) if reserve or missing else planner.NOTHING_AWAY

    def plain(self, sku: int) -> dict[int, int]:
        """Plain SKUs in one of a SKU, with their pieces."""
        found = self.inside.get(sku)
        if found is None:
            found = self.inside[sku] = ledger.expand(sku, 1, self.parts)
        return found

    def in_escrow(self, sku: int) -> dict[int, int]:
        """Plain SKUs in one of a SKU that are in escrow, with their pieces."""
        if not self.stances:
            return {}
        return {
            one: pieces for one, pieces in self.plain(sku).items()
            if one in self.stances and self.stances[one].mode == ESCROW
        }  # fmt: skip

    def free(self, sku: int, shops: Iterable[ShopFacts]) -> int:
        """Free pieces of a plain SKU at the locations that one of these shops sells from, less its hold-back."""
        every = sorted({one for shop in shops for one in shop.location_ids})
        return self.balance(sku, tuple(every)).free - (rule_of(self.rules, Rule.HOLD_BACK, 0, sku) or 0)

    def note_unread(self, pairs: Sequence[Pair]) -> None:
        """Count what the pages of watched SKUs show to be sold and unread."""
        for row, _ in pairs:
            units = unread_units(row) if self.stances and row.sku_id is not None else 0
            for sku, pieces in self.plain(row.sku_id or 0).items() if units else ():
                stance = self.stances.get(sku)
                if stance is not None and stance.watched:
                    self.unread[sku] = self.unread.get(sku, 0) + units * pieces * row.pack


def unread_units(row: ListingRow) -> int:
    """Units by which a read that is not settled yet lies under what is believed: sales to come, or a hand."""
    if row.seen is None or row.believed is None:
        return 0
    return max(0, row.believed - max(0, row.seen - row.seen_sold))


def load_stock(conn: Connection, sku_ids: Iterable[int]) -> StockView:
    """All that the rule chain needs to know of these SKUs."""
    wanted = set(sku_ids)
    parts = stock.parts_below(conn, wanted)
    ordered = sorted(wanted | {part for inside in parts.values() for part in inside})
    return StockView(
        parts, stock.load_balances(conn, ordered), stock.load_rules(conn, ordered),
        stances.load_stances(conn, ordered),
    )  # fmt: skip


def target_of(row: ListingRow, shop: ShopFacts, have: StockView, say: planner.Explain = planner.silent) -> int | None:
    """What a listing must show by the rule chain alone; None where we do not write it."""
    if row.sku_id is None or row.state != ListingState.OURS:
        return None
    pieces = have.sellable(row, row.sku_id, shop, say)
    return planner.finish(pieces, row.sku_id, shop.id, row.pack, shop.most, have.rules, say)


def sellers_of(
    have: StockView, pairs: Sequence[Pair], skus: Iterable[int]
) -> Mapping[int, list[tuple[ListingRow, int]]]:
    """Listings among these that sell each plain SKU, with its pieces in one unit of the listing."""
    found: dict[int, list[tuple[ListingRow, int]]] = {sku: [] for sku in skus}
    for row, sku, pieces in _inside(have, pairs):
        if sku in found:
            found[sku].append((row, pieces))
    return found


def _inside(have: StockView, pairs: Sequence[Pair]) -> Iterator[tuple[ListingRow, int, int]]:
    for row, _ in pairs:
        if row.sku_id is not None and row.state != ListingState.GONE:
            for sku, each in have.plain(row.sku_id).items():
                yield row, sku, each * row.pack
