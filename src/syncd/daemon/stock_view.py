"""What the rule chain needs to know of the SKUs of one refresh or plan, loaded at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from syncd.core import ledger, planner
from syncd.core.planner import Rule, rule_of
from syncd.daemon.facts import ShopFacts
from syncd.model import Balance, ListingState
from syncd.store import stances, stock
from syncd.store.listings import ListingRow, Pair
from syncd.store.stances import StanceRow

ESCROW = "escrow"


@dataclass(slots=True)
class StockView:
    """Balances, parts, rules and stances."""

    parts: dict[int, dict[int, int]]
    balances: dict[int, dict[int, stock.BalanceRow]]
    rules: dict[tuple[str, int, int], int]
    stances: dict[int, StanceRow] = field(default_factory=dict)
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

    def sellable(self, sku: int, shop: ShopFacts, say: planner.Explain = planner.silent) -> int:
        """Steps 1-4 of the chain; without rules and stances they are the same for every shop of these locations."""
        shared = not self.rules and not self.stances and say is planner.silent
        found = self.pieces.get((sku, shop.location_ids)) if shared else None
        if found is None:
            found = planner.sellable(
                sku, shop.id, lambda one: self.balance(one, shop.location_ids), self.parts, self.rules, say,
                self.reserve,
            )  # fmt: skip
            if shared:
                self.pieces[sku, shop.location_ids] = found
        return found

    def reserve(self, sku: int) -> int:
        """Pieces that a SKU's policy keeps back for sales not yet read."""
        stance = self.stances.get(sku)
        return 0 if stance is None or stance.mode == ESCROW else stance.reserve

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
    pieces = have.sellable(row.sku_id, shop, say)
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
