"""A store in memory with shops, SKUs and listings, and what must hold of its rows after every transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select

from syncd.core import planner
from syncd.daemon.booking import Booking, book_page
from syncd.daemon.facts import Facts, ShopFacts, shown_of
from syncd.daemon.findings import Found, settle_due, take_reading
from syncd.daemon.targets import load_stock, refresh_listings, target_of
from syncd.model import EntryKind, LineState, OrderState
from syncd.sdk.settings import Writes
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store import shops, stock
from syncd.store.engine import Store
from syncd.store.listings import ListingRow, Pair
from syncd.store.schema import alarm, balance, entry, listing, order_line, outbox, sku
from syncd.testing.fakes import ManualClock

T = TypeVar("T")
SECOND = 1_000_000


class Shelf:
    """Rows of a small merchant. Times are seconds since the start of the clock."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.clock = ManualClock()
        self.start_us = self.clock.now_us()
        self.store = Store.open(None, clock=self.clock, inline=True)
        self.facts = Facts()
        self.skus: dict[str, int] = {}
        self._runner = runner
        self.main = self.tx(lambda conn: stock.location_ids(conn, ["main"])["main"])

    def tx(self, fn: Callable[[Connection], T]) -> T:
        return self._runner.run(self.store.tx(fn))

    @property
    def now_us(self) -> int:
        return self.clock.now_us()

    def wait(self, seconds: float) -> None:
        self._runner.run(self.clock.advance(seconds))

    # -- making it ----------------------------------------------------------------------------------------------

    def shop(self, name: str, **facts: Any) -> ShopFacts:
        row = self.tx(lambda conn: shops.ensure_shop(conn, name, "memory"))
        values = {"location_ids": (self.main,), "writes": Writes.ON, **facts}
        made = self.facts.shops[row.id] = ShopFacts(id=row.id, name=name, **values)
        return made

    def sku(self, code: str, pieces: int = 0, parts: Mapping[str, int] | None = None) -> int:
        def make(conn: Connection) -> int:
            made = stock.add_skus(conn, [(code, "")], self.now_us)[code]
            if parts:
                stock.set_parts(conn, made, {self.skus[part]: count for part, count in parts.items()})
            return made

        self.skus[code] = self.tx(make)
        if pieces:
            self.adjust(code, pieces)
        return self.skus[code]

    def adjust(self, code: str, pieces: int) -> None:
        def add(conn: Connection) -> None:
            row = (self.now_us, self.skus[code], self.main, EntryKind.ADJUST, pieces, 0, 0, None, 0, None, "test", "")
            order_rows.add_entries(conn, [row])
            raised_us = self.now_us if pieces > 0 else 0
            stock.add_to_balances(conn, [(self.skus[code], self.main, pieces, 0, 0, raised_us)])

        self.tx(add)

    def listing(self, shop: ShopFacts, key: str, code: str | None, shows: int | None = None, **values: Any) -> int:
        """A listing that shows a number, known since the start."""

        def make(conn: Connection) -> int:
            one = {"shop_id": shop.id, "key": key, "sku_id": self.skus[code] if code else None, **values}
            listing_rows.add_listings(conn, [one])
            made = listing_rows.listings_by_key(conn, shop.id, [key])[key].id
            listing_rows.set_fields(conn, [made], believed=shows, base_us=self.now_us)
            refresh_listings(conn, self.facts, [made], self.now_us, by_orders=True)
            return made

        return self.tx(make)

    # -- using it -----------------------------------------------------------------------------------------------

    def book(self, shop: ShopFacts, *states: OrderState, began: float | None = None, known: float = 0) -> Booking:
        began_us = self.now_us if began is None else self.start_us + int(began * SECOND)
        known_us = self.start_us + int(known * SECOND)
        return self.tx(
            lambda conn: book_page(
                conn, self.facts, shop, states,
                began_us=began_us, answered_us=self.now_us, watermark_us=known_us, now_us=self.now_us,
            )
        )  # fmt: skip

    def state(self, number: str, *lines: LineState, at: float = 0, placed: float | None = 0, **more: Any) -> OrderState:
        """A state as of some seconds after the start."""
        placed_at = None if placed is None else self.moment(placed)
        return OrderState(number=number, lines=lines, as_of=self.moment(at), placed_at=placed_at, **more)

    def moment(self, seconds: float) -> Any:
        return ManualClock().now() + timedelta(seconds=seconds)

    def read(self, shop: ShopFacts, answer: Mapping[str, int | None], *asked: str) -> Found:
        rows = [(self.row(shop, key).id, key) for key in (asked or tuple(answer))]
        return self.tx(
            lambda conn: take_reading(conn, self.facts, shop, rows, answer, began_us=self.now_us, ended_us=self.now_us)
        )

    def settle(self, shop: ShopFacts) -> Found:
        return self.tx(lambda conn: settle_due(conn, self.facts, shop, self.now_us, self.now_us))

    # -- looking at it ----------------------------------------------------------------------------------------

    def row(self, shop: ShopFacts, key: str) -> ListingRow:
        return self.tx(lambda conn: listing_rows.listings_by_key(conn, shop.id, [key]))[key]

    def pair(self, shop: ShopFacts, key: str) -> Pair:
        one = self.row(shop, key).id
        return self.tx(lambda conn: listing_rows.pairs_by_id(conn, [one]))[0]

    def numbers(self, code: str) -> tuple[int, int, int]:
        """(on hand, ordered, allocated) of a SKU."""
        found = self.tx(lambda conn: stock.load_balances(conn, [self.skus[code]]))
        row = found.get(self.skus[code], {}).get(self.main)
        return (0, 0, 0) if row is None else (row.on_hand, row.ordered, row.allocated)

    def free(self, code: str) -> int:
        on_hand, ordered, allocated = self.numbers(code)
        return on_hand - ordered - allocated

    def entries(self) -> list[tuple[Any, ...]]:
        return self.tx(lambda conn: [tuple(row) for row in conn.execute(select(entry).order_by(entry.c.id))])

    def alarms(self) -> list[tuple[str, str]]:
        query = select(alarm.c.kind, alarm.c.subject).where(alarm.c.cleared_us.is_(None)).order_by(alarm.c.id)
        return self.tx(lambda conn: [(row[0], row[1]) for row in conn.execute(query)])

    def check(self) -> None:
        """What holds after every transaction: the ledger adds up, targets and wishes follow from the rows."""
        self.tx(self._check)

    def _check(self, conn: Connection) -> None:
        names = ("on_hand", "ordered", "allocated")
        sums = select(entry.c.sku_id, entry.c.location_id, *(func.sum(entry.c[name]) for name in names))
        booked = {(row[0], row[1]): tuple(row[2:]) for row in conn.execute(sums.group_by(*sums.selected_columns[:2]))}
        columns = (balance.c.sku_id, balance.c.location_id, *(balance.c[name] for name in names))
        kept = {(row[0], row[1]): tuple(row[2:]) for row in conn.execute(select(*columns))}
        assert {k: v for k, v in booked.items() if any(v)} == {k: v for k, v in kept.items() if any(v)}
        held: dict[int, int] = {}
        for pieces, units in conn.execute(select(order_line.c.pieces, order_line.c.b_held + order_line.c.b_allocated)):
            for one in pieces.split(",") if pieces not in ("", "-") else ():
                sku_id, _, count = one.partition(":")
                held[int(sku_id)] = held.get(int(sku_id), 0) + int(count) * units
        totals = {row[0]: row[1] for row in conn.execute(
            select(balance.c.sku_id, func.sum(balance.c.ordered + balance.c.allocated)).group_by(balance.c.sku_id)
        )}  # fmt: skip
        assert {k: v for k, v in held.items() if v} == {k: v for k, v in totals.items() if v}
        every = [row[0] for row in conn.execute(select(listing.c.id))]
        have = load_stock(conn, [row[0] for row in conn.execute(select(sku.c.id))])
        waiting = {row[0] for row in conn.execute(select(outbox.c.listing_id))}
        for row, wish in listing_rows.pairs_by_id(conn, every):
            target = target_of(row, self.facts.shops[row.shop_id], have)
            assert row.target == target, row
            wanted = target is not None and bool(row.sync) and planner.needs_push(target, shown_of(row))
            assert (row.id in waiting) == (wish is not None) == wanted, row


@contextmanager
def open_shelf() -> Iterator[Shelf]:
    with asyncio.Runner() as runner:
        shelf = Shelf(runner)
        try:
            yield shelf
        finally:
            runner.run(shelf.store.aclose())


def line(name: str, listing_key: str, ordered: int, **more: Any) -> LineState:
    return LineState(line=name, listing=listing_key, ordered=ordered, **more)
