"""One page of a booking: everything it touches, loaded in bulk before and written in bulk after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from syncd.core import ledger
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.moves import Move, apply_moves
from syncd.daemon.targets import Refreshed, refresh_skus
from syncd.model import OrderState
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store import shipments, stock
from syncd.store.listings import ListingRow
from syncd.store.orders import EntryRow, LineRow, OrderRow, thaw
from syncd.store.shops import raise_alarm
from syncd.store.stock import BalanceRow

UNBOOKED = "unbooked_line"


@dataclass(slots=True)
class Booking:
    """What a page did: states by outcome, and what the targets did with it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    new_orders: list[int] = field(default_factory=list)
    placed_us: list[int] = field(default_factory=list)
    unbooked: set[str] = field(default_factory=set)
    negative: int = 0  # listings that have now sold more than they were given
    late: int = 0  # new orders that were placed before the time up to which all were held to be known
    refreshed: Refreshed = field(default_factory=Refreshed)


@dataclass(slots=True)
class Page:
    """Everything one page touches."""

    shop: ShopFacts
    now_us: int
    began_us: int
    watermark_us: int
    orders: dict[str, OrderRow]
    lines: dict[int, dict[str, LineRow]]
    listings: dict[str, ListingRow]
    parts: dict[int, dict[int, int]]
    balances: dict[int, dict[int, BalanceRow]]
    next_order: int
    next_line: int
    latest_us: int = 0  # the latest that what the state at hand tells can have happened
    left_us: int = 0  # when its goods left, where the state at hand tells
    new_orders: list[OrderRow] = field(default_factory=list)
    changed_orders: dict[int, OrderRow] = field(default_factory=dict)
    new_lines: list[LineRow] = field(default_factory=list)
    changed_lines: dict[int, LineRow] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    entries: list[EntryRow] = field(default_factory=list)
    deltas: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    renamed: list[tuple[int, int]] = field(default_factory=list)  # lines whose shipments another line has now
    result: Booking = field(default_factory=Booking)

    def baseline(self, sku: int, location: int) -> ledger.Baseline:
        row = self.balances.get(sku, {}).get(location)
        return ledger.NEVER if row is None else ledger.Baseline(row.opened_us, row.counted_us)


def load_states(
    conn: Connection, shop: ShopFacts, states: Sequence[OrderState], began_us: int, watermark_us: int, now_us: int
) -> Page:
    """What the states of a page touch."""
    orders = order_rows.load_orders(conn, shop.id, list({state.number for state in states}))
    lines = order_rows.load_lines(conn, [row.id for row in orders.values()])
    keys = {shop.key(line.listing) for state in states for line in state.lines}
    return _load_page(conn, shop, orders, lines, keys, began_us, watermark_us, now_us)


def load_known(conn: Connection, shop: ShopFacts, order_ids: Sequence[int], now_us: int) -> Page:
    """A page of orders that are known, with nothing read anew."""
    orders = {row.number: row for row in order_rows.load_orders_by_id(conn, order_ids).values()}
    lines = order_rows.load_lines(conn, order_ids)
    keys = {line.listing for some in lines.values() for line in some}
    return _load_page(conn, shop, orders, lines, keys, 0, 0, now_us)


def _load_page(
    conn: Connection,
    shop: ShopFacts,
    orders: dict[str, OrderRow],
    lines: Mapping[int, Sequence[LineRow]],
    keys: Iterable[str],
    began_us: int,
    watermark_us: int,
    now_us: int,
) -> Page:
    listings = listing_rows.listings_by_key(conn, shop.id, sorted(keys))
    skus = {row.sku_id for row in listings.values() if row.sku_id is not None}
    parts = stock.parts_below(conn, skus)
    for some in lines.values():
        for line in some:
            skus.update(thaw(line.pieces))
    every = skus | {one for inside in parts.values() for one in inside}
    next_order, next_line = order_rows.next_ids(conn)
    return Page(
        shop, now_us, began_us, watermark_us, orders,
        {order_id: {line.line: line for line in some} for order_id, some in lines.items()},
        listings, parts, stock.load_balances(conn, sorted(every)), next_order, next_line,
    )  # fmt: skip


def write_page(conn: Connection, facts: Facts, page: Page, answered_us: int) -> Booking:
    """Write what was booked: rows, entries, balances, beliefs, alarms, targets."""
    order_rows.save_orders(conn, page.new_orders, list(page.changed_orders.values()))
    order_rows.save_lines(conn, page.new_lines, list(page.changed_lines.values()))
    shipments.follow_lines(conn, page.renamed)
    order_rows.add_entries(conn, page.entries)
    stock.add_to_balances(conn, [(sku, location, d[0], d[1], d[2], d[3]) for (sku, location), d in page.deltas.items()])
    own, page.result.negative = apply_moves(conn, facts, page.shop, page.moves, page.now_us)
    for key in sorted(page.result.unbooked):
        raise_alarm(conn, UNBOOKED, page.shop.id, key, f"{page.shop.name}: no SKU for listing {key}", page.now_us)
    touched = {sku for sku, _ in page.deltas}
    touched.update(row.sku_id for row in own if row.sku_id is not None)
    if touched:
        page.result.refreshed = refresh_skus(conn, facts, touched, page.now_us, by_orders=True, since_us=answered_us)
    return page.result
