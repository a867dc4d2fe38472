"""Openings from what shops show: numbers read from shops become sellable pieces, one SKU after the other.

A listing's number times its pack size is pieces. Several listings of one SKU on one shop show the same stock, so
the largest counts once; numbers of several shops are added up (追加). Bundles are left out: their parts are opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from syncd.core import fence
from syncd.daemon.desk_answers import Done
from syncd.daemon.desk_listings import live_listings
from syncd.daemon.desk_stock import Item, open_stock
from syncd.daemon.facts import Facts, ShopFacts, put_shown, shown_of
from syncd.model import ListingState
from syncd.store import listings as listing_rows
from syncd.store import stock
from syncd.store.listings import ListingRow
from syncd.store.schema import location

SWEEP = 1000


@dataclass(frozen=True, slots=True)
class Number:
    """What one listing showed, in a read that ran from `began_us` to `ended_us`. None: no stock is kept."""

    number: int | None
    began_us: int
    ended_us: int


@dataclass(slots=True)
class Reading:
    """Numbers read from one shop, by row id of the listing. A listing the shop did not answer for is missing."""

    shop: ShopFacts
    listings: list[ListingRow]
    numbers: dict[int, Number] = field(default_factory=dict)


@dataclass(slots=True)
class Opening:
    """One SKU at one location as shops show it: pieces by shop, and the listings they were read from."""

    sku_id: int
    location_id: int
    pieces: dict[int, int] = field(default_factory=dict)
    began_us: int = 2**62
    listings: list[tuple[ListingRow, Number, ShopFacts]] = field(default_factory=list)


def to_open(conn: Connection, shop: ShopFacts) -> list[ListingRow]:
    """A shop's listings whose number can open a SKU."""
    found: list[ListingRow] = []
    after = 0
    while some := listing_rows.listings_after(conn, shop.id, after, SWEEP, ours=False):
        after = some[-1].id
        found += [row for row in some if row.sku_id is not None and row.state in (ListingState.OURS, ListingState.SKIP)]
    return found


def gather(conn: Connection, readings: Iterable[Reading]) -> tuple[list[Opening], Done]:
    """Openings from readings; what cannot be opened is listed with its reason."""
    done = Done()
    found: dict[tuple[int, int], Opening] = {}
    for reading in readings:
        skus = {row.sku_id for row in reading.listings if row.sku_id is not None}
        bundles = stock.parts_below(conn, skus)
        for row in reading.listings:
            why = _unfit(row, reading, bundles)
            if why or row.sku_id is None:
                done.skipped.append({"shop": reading.shop.name, "listing": row.key, "why": why})
                continue
            where = (row.sku_id, reading.shop.location_ids[0])
            opening = found.setdefault(where, Opening(*where))
            _take(opening, row, reading.numbers[row.id], reading.shop, done)
    return list(found.values()), done


def _unfit(row: ListingRow, reading: Reading, bundles: Mapping[int, object]) -> str:
    if row.sku_id in bundles:
        return "a bundle: its parts are opened"
    seen = reading.numbers.get(row.id)
    if seen is None:
        return "the shop does not know it"
    if seen.number is None:
        return "the shop keeps no stock for it"
    if seen.number < 0:
        return f"the shop shows {seen.number}: set this SKU by hand"
    return ""


def _take(opening: Opening, row: ListingRow, seen: Number, shop: ShopFacts, done: Done) -> None:
    pieces = (seen.number or 0) * row.pack
    other = opening.pieces.get(shop.id)
    if other is not None:
        done.notes.append(
            f"{shop.name}: {row.key} and others are one SKU, showing {other} and {pieces} pieces: the most counts"
        )
    opening.pieces[shop.id] = max(pieces, other or 0)
    opening.began_us = min(opening.began_us, seen.began_us)
    opening.listings.append((row, seen, shop))


def open_from_shops(
    conn: Connection, facts: Facts, openings: Sequence[Opening], now_us: int, who: str, note: str
) -> Done:
    """Open these SKUs at the numbers read, and believe each listing to show its own.

    A SKU one of whose listings was written since its read is left out: nobody knows which came first.
    """
    done = Done()
    rows = listing_rows.listings_by_id(conn, [row.id for one in openings for row, _, _ in one.listings])
    live = live_listings(conn, list(rows))
    codes = stock.sku_codes(conn, [one.sku_id for one in openings])
    places = {
        row[1]: row[0] for row in conn.execute(location.select().with_only_columns(location.c.name, location.c.id))
    }
    items: list[Item] = []
    shown: list[ListingRow] = []
    for one in openings:
        if moved := [row.key for row, seen, _ in one.listings if _was_written(rows.get(row.id), row, seen, live)]:
            why = f"{', '.join(moved)} changed or was written while it was read: open it again"
            done.skipped.append({"sku": codes.get(one.sku_id, ""), "why": why})
            continue
        items.append(Item(codes[one.sku_id], sum(one.pieces.values()), places[one.location_id], one.began_us))
        shown += [_believe(rows[row.id], seen, shop) for row, seen, shop in one.listings]
    listing_rows.save_shown(conn, shown)
    if items:
        done.add(open_stock(conn, facts, items, now_us, who, note))
    return done


def _was_written(row: ListingRow | None, before: ListingRow, seen: Number, live: set[int]) -> bool:
    if row is None or (row.sku_id, row.pack) != (before.sku_id, before.pack):
        return True
    return row.id in live or row.told_us >= seen.began_us or row.doubt_us is not None


def _believe(row: ListingRow, seen: Number, shop: ShopFacts) -> ListingRow:
    """The shop shows what was read: settled later, once all orders up to the read are known."""
    after = fence.read(fence.forgotten(shown_of(row)), seen.number or 0, seen.ended_us, seen.began_us).shown
    if not shop.reads_orders:
        after = fence.settle(after).shown
    put_shown(row, replace(after, verify=False))
    return row
