"""Orders as staff mend them: close one that can no longer be read, and book anew by today's mapping (promise 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from syncd.core import ledger
from syncd.daemon.booking import is_open, rebook_orders
from syncd.daemon.desk_answers import Done, NotFound, audit, names, shop_facts
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.targets import refresh_skus
from syncd.model import EntryKind, ListingState
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store import stock
from syncd.store.listings import ListingRow
from syncd.store.orders import NO_STOCK, LineRow, OrderRow, freeze, thaw
from syncd.store.stock import BalanceRow


def close_order(
    conn: Connection, facts: Facts, shop_name: str, number: str, now_us: int, who: str, note: str = ""
) -> Done:
    """Release what an order holds: it can no longer be read. Should it be read again, it is booked as it is then."""
    shop = shop_facts(facts, shop_name)
    order, lines = _load(conn, shop, [number])[0]
    work = _Work(conn, shop, now_us, who, note or "closed by hand", EntryKind.ORDER)
    for line in lines:
        pieces = thaw(line.pieces)
        before = ledger.Booked(line.b_held, line.b_allocated, line.b_gone)
        work.book(line, ledger.changes(pieces, before, ledger.Booked(gone=line.b_gone), inside_opening={}), number)
        line.b_held = line.b_allocated = 0
        line.pieces = line.pieces or NO_STOCK
    order.open = 0
    order_rows.save_orders(conn, [], [order])
    order_rows.save_lines(conn, [], lines)
    return work.finish(facts, "order_closed", {"shop": shop.name, "number": number, "note": note})


def rebook(
    conn: Connection, facts: Facts, shop_name: str, numbers: Sequence[str], now_us: int, who: str, note: str = ""
) -> Done:
    """Freeze the pieces of these orders anew by today's mapping, and book the difference."""
    shop = shop_facts(facts, shop_name)
    loaded = _load(conn, shop, list(dict.fromkeys(numbers)))
    listings, parts = _mapping(conn, shop, [line for _, lines in loaded for line in lines])
    work = _Work(conn, shop, now_us, who, note or "rebooked by today's mapping", EntryKind.REBOOK)
    waiting: list[int] = []
    for order, lines in loaded:
        for line in lines:
            new = _pieces_now(listings.get(line.listing), parts)
            if new is None:
                work.done.skipped.append(
                    {"order": order.number, "listing": line.listing, "why": "its listing has no SKU"}
                )
            elif line.pieces in ("", NO_STOCK):
                if new:
                    line.pieces = ""
                    waiting.append(order.id)
            else:
                _swap(work, order, line, new)
        order.open = int(any(is_open(shop, line) for line in lines))
    order_rows.save_orders(conn, [], [order for order, _ in loaded])
    order_rows.save_lines(conn, [], [line for _, lines in loaded for line in lines])
    if waiting:
        work.done.refreshed.add(rebook_orders(conn, facts, shop, sorted(set(waiting)), now_us).refreshed)
        work.done.notes.append(f"{len(set(waiting))} orders booked for the first time")
    return work.finish(facts, "orders_rebooked", {"shop": shop.name, "numbers": names(numbers), "note": note})


def _load(conn: Connection, shop: ShopFacts, numbers: Sequence[str]) -> list[tuple[OrderRow, list[LineRow]]]:
    found = order_rows.load_orders(conn, shop.id, numbers)
    if missing := [number for number in numbers if number not in found]:
        raise NotFound(f"{shop.name} has no order {names(missing)}", "number")
    lines = order_rows.load_lines(conn, [row.id for row in found.values()])
    return [(row, lines.get(row.id, [])) for row in found.values()]


def _mapping(
    conn: Connection, shop: ShopFacts, lines: Sequence[LineRow]
) -> tuple[dict[str, ListingRow], dict[int, dict[int, int]]]:
    listings = listing_rows.listings_by_key(conn, shop.id, sorted({line.listing for line in lines}))
    return listings, stock.parts_below(conn, {row.sku_id for row in listings.values() if row.sku_id is not None})


def _pieces_now(row: ListingRow | None, parts: Mapping[int, Mapping[int, int]]) -> dict[int, int] | None:
    """Pieces of one unit by today's mapping; none where no stock is kept, None where the SKU is not known."""
    if row is not None and row.state == ListingState.NOT_COUNTED:
        return {}
    if row is None or row.sku_id is None:
        return None
    return ledger.expand(row.sku_id, row.pack, parts)


def _swap(work: _Work, order: OrderRow, line: LineRow, new: dict[int, int]) -> None:
    """Take the old pieces back and book the new ones, each as its SKU's own opening and count demand."""
    old = thaw(line.pieces)
    delta = {one: new.get(one, 0) - old.get(one, 0) for one in (*old, *(one for one in new if one not in old))}
    delta = {one: pieces for one, pieces in delta.items() if pieces}
    if not delta:
        return
    existed_us = order.as_of_us if order.placed_us is None else order.placed_us
    left_us = order.as_of_us if order.shipped_us is None else order.shipped_us
    for one, pieces in delta.items():
        row = work.balance(one, line)
        gone = 0 if left_us <= row.counted_us else line.b_gone
        booked = ledger.Booked(line.b_held, line.b_allocated, gone)
        inside = {one: booked.held + booked.allocated + gone} if 0 < existed_us <= row.opened_us else {}
        work.book(
            line, ledger.changes({one: pieces}, ledger.NOTHING, booked, inside_opening=inside), order.number, last=False
        )
    line.booking += 1
    line.pieces = freeze(new) if new else NO_STOCK
    if not new:
        line.b_held = line.b_allocated = line.b_gone = 0


class _Work:
    """Entries of one change of orders, gathered, then written at once."""

    def __init__(self, conn: Connection, shop: ShopFacts, now_us: int, who: str, note: str, kind: EntryKind) -> None:
        self.conn = conn
        self.shop = shop
        self.now_us = now_us
        self.who = who
        self.note = note
        self.kind = kind
        self.entries: list[order_rows.EntryRow] = []
        self.rows: list[tuple[str, LineRow, ledger.Change]] = []
        self.done = Done()

    def location(self, line: LineRow) -> int:
        return line.location_id or self.shop.location_ids[0]

    def balance(self, sku_id: int, line: LineRow) -> BalanceRow:
        return stock.load_balances(self.conn, [sku_id]).get(sku_id, {}).get(self.location(line), BalanceRow())

    def book(self, line: LineRow, changes: Sequence[ledger.Change], number: str, *, last: bool = True) -> None:
        """Take entries of a line in under its next booking number; `last` moves that number on."""
        for one in changes:
            self.entries.append(
                (self.now_us, one.sku, self.location(line), self.kind, one.on_hand, one.ordered, one.allocated,
                 line.id, line.booking + 1, None, self.who, self.note)
            )  # fmt: skip
            self.rows.append((number, line, one))
        line.booking += int(bool(changes) and last)

    def finish(self, facts: Facts, action: str, about: dict[str, Any]) -> Done:
        """Write entries, balances, targets and the audit row."""
        order_rows.add_entries(self.conn, self.entries)
        stock.add_to_balances(
            self.conn,
            [
                (
                    one.sku,
                    self.location(line),
                    one.on_hand,
                    one.ordered,
                    one.allocated,
                    self.now_us if one.free > 0 else 0,
                )
                for _, line, one in self.rows
            ],
        )
        codes = stock.sku_codes(self.conn, sorted({one.sku for _, _, one in self.rows}))
        for number, line, one in self.rows:
            self.done.changes.append(
                {"order": number, "line": line.line, "sku": codes[one.sku], "on_hand": one.on_hand,
                 "ordered": one.ordered, "allocated": one.allocated}
            )  # fmt: skip
        self.done.refreshed.add(refresh_skus(self.conn, facts, codes, self.now_us, by_orders=False))
        audit(self.conn, self.who, action, self.done.changes, self.now_us, **about)
        return self.done
