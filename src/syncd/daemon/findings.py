"""What a stock read tells: drift, doubts resolved, hand edits. In one transaction each (rules in `core/fence.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from syncd.core import escrow, fence
from syncd.core.fence import Finding, Shown
from syncd.daemon.facts import Facts, ShopFacts, exposure_of, put_exposure, put_shown, shown_of
from syncd.daemon.targets import Refreshed, refresh_listings, refresh_moved, refresh_skus
from syncd.model import EntryKind, ListingState
from syncd.sdk.settings import HandEdits
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store import outbox, stock
from syncd.store.listings import ListingRow
from syncd.store.shops import raise_alarm

LOWERED = "lowered"
SETTLED_AT_ONCE = 100
"""Settled in the transaction that books orders: a sold-out listing waits behind it."""


@dataclass(slots=True)
class Found:
    """What reads or settlements found: drift by direction, and what the targets did.

    `more`: a settlement took as many listings as it was allowed, and others may wait.
    """

    drift: Counter[str] = field(default_factory=Counter)
    units: int = 0
    gone: int = 0
    numbers: dict[int, int] = field(default_factory=dict)
    refreshed: Refreshed = field(default_factory=Refreshed)
    more: bool = False

    def add(self, other: Found) -> None:
        self.drift.update(other.drift)
        self.units += other.units
        self.gone += other.gone
        self.numbers |= other.numbers
        self.refreshed.add(other.refreshed)


def take_reading(
    conn: Connection,
    facts: Facts,
    shop: ShopFacts,
    asked: Sequence[tuple[int, str]],
    answer: Mapping[str, int | None],
    *,
    began_us: int,
    ended_us: int,
) -> Found:
    """Take the numbers of a stock read over. `asked` are (listing id, key).

    A listing that was written, or whose orders were booked, while the read was out is left alone: nobody knows
    which came first.
    """
    found = Found()
    rows = listing_rows.listings_by_id(conn, [one for one, _ in asked])
    busy = {row.listing_id for row, _ in outbox.live_rows_of(conn, list(rows))}
    changed: list[tuple[ListingRow, Shown]] = []
    not_ours: list[int] = []
    for row in rows.values():
        if row.id in busy or row.told_us >= began_us or (row.doubt_us is not None and row.doubt_us > began_us):
            continue
        if facts.moved_us.get(row.id, began_us) > began_us:
            continue
        number = _number(conn, shop, row, answer, ended_us, found)
        if number is None:
            not_ours.append(row.id)
            continue
        found.numbers[row.id] = number
        if number == row.believed and shop.reads_orders and _is_settled(row):
            continue  # confirmed: nothing to settle, nothing to write
        before, exposed = shown_of(row), exposure_of(row)
        finding = fence.read(before, number, ended_us, began_us)
        if not _explained(row, number):
            put_exposure(row, escrow.read(exposed, number, began_us, ended_us))
        _count(found, finding.drift)
        after = finding.shown
        if not shop.reads_orders:
            after = fence.settle(replace(after, seen=number)).shown
        if after != before or exposure_of(row) != exposed:
            put_shown(row, after)
            changed.append((row, before))
    listing_rows.save_shown(conn, [row for row, _ in changed])
    found.refreshed = refresh_moved(conn, facts, changed, ended_us)
    found.refreshed.add(refresh_listings(conn, facts, not_ours, ended_us, by_orders=True))
    return found


def _explained(row: ListingRow, number: int) -> bool:
    """Whether the bound holds as it is, and unread sales explain what is below it: the number is worth no proof.

    One that every read began anew would hold up rights on their way to a page that sells, the fence's own read before
    a raise among them. Should a hand have lowered it, the next read after the settlement proves it.
    """
    believed = row.believed
    if believed is None or row.exposure != believed or exposure_of(row).standing is not escrow.Standing.SETTLED:
        return False
    return number == believed or (number < believed and not row.verify)


def _is_settled(row: ListingRow) -> bool:
    """Whether a listing's number is known exactly, with nothing left to find out."""
    quiet = not (row.unread or row.slack or row.verify) and row.seen is None and row.doubt_us is None
    return quiet and row.exposure == row.believed and row.lost_us is None


def _number(
    conn: Connection, shop: ShopFacts, row: ListingRow, answer: Mapping[str, int | None], now_us: int, found: Found
) -> int | None:
    """The number read for a listing; None where there is none to believe."""
    if row.key not in answer:
        if row.believed is None and not row.told_us:
            return 0  # never written, no stock kept there yet: it shows nothing
        found.gone += 1
        listing_rows.set_fields(conn, [row.id], state=ListingState.GONE, verify=0)
        raise_alarm(conn, "listing_gone", shop.id, row.key, f"{shop.name} no longer knows listing {row.key}", now_us)
        return None
    number = answer[row.key]
    if number is None:
        listing_rows.set_fields(conn, [row.id], state=ListingState.NOT_COUNTED, verify=0)
        text = f"{shop.name} keeps no stock for listing {row.key}: it is not written any more"
        raise_alarm(conn, "listing_not_counted", shop.id, row.key, text, now_us)
    return number


def _count(found: Found, drift: int) -> None:
    if drift:
        found.drift["up" if drift > 0 else "down"] += 1
        found.units += abs(drift)


def settle_due(
    conn: Connection, facts: Facts, shop: ShopFacts, watermark_us: int, now_us: int, most: int = SETTLED_AT_ONCE
) -> Found:
    """Settle reads up to which every order is known now, so many at most: `more` says whether others may be left."""
    found = Found()
    rows = listing_rows.to_settle(conn, shop.id, watermark_us, most)
    if not rows:
        return found
    found.more = len(rows) == most
    moved: list[tuple[ListingRow, Shown]] = []
    adopted: list[tuple[ListingRow, int]] = []
    for row in rows:
        shown = shown_of(row)
        put_exposure(row, escrow.barrier(exposure_of(row), watermark_us))
        seen_through = shown.seen is not None and shown.seen_us <= watermark_us
        waits = shown.unread and shown.base_us <= watermark_us
        finding = fence.settle(shown) if seen_through else fence.expire(shown) if waits else Finding(shown)
        put_shown(row, finding.shown)
        moved.append((row, shown))
        _count(found, finding.drift)
        if finding.drift < 0 and row.state == ListingState.OURS:
            _lowered_by_hand(conn, shop, row, finding.drift, adopted, now_us)
    listing_rows.save_shown(conn, rows)
    _tell_open_calls(conn, moved, watermark_us)
    found.refreshed = refresh_moved(conn, facts, moved, now_us)
    if adopted:
        found.refreshed.add(_adopt(conn, facts, shop, adopted, now_us))
    return found


def _tell_open_calls(conn: Connection, moved: Sequence[tuple[ListingRow, Shown]], watermark_us: int) -> None:
    """A write under way over sales that were unread when it was planned: all of them are known once the orders of
    that time are. What is settled here may be older than the write; then of its unread units only those are known
    that were no sales but the slack of that time, less what was booked while it is under way.
    """
    explained = {row.id: min(was.slack, (was.believed or 0) - (row.believed or 0)) for row, was in moved}
    for call, began_us in outbox.live_rows_of(conn, list(explained)):
        booked = call.sold_old + call.sold_new + call.restocked
        known = call.unread if began_us <= watermark_us else explained[call.listing_id] - booked
        if min(known, call.unread) > 0:
            outbox.note_meanwhile(conn, call.intent_id, call.position, old=min(known, call.unread), new=0, restocked=0)


def _lowered_by_hand(
    conn: Connection,
    shop: ShopFacts,
    row: ListingRow,
    drift: int,
    adopted: list[tuple[ListingRow, int]],
    now_us: int,
) -> None:
    """A number fell without an order. Never raised over without asking, unless the shop's setting says so."""
    if shop.hand_edits is HandEdits.ADOPT:
        adopted.append((row, drift))
    elif shop.hand_edits is HandEdits.ASK and row.target is not None and row.believed is not None:
        held = f"{LOWERED} to {row.believed} on the mall"
        listing_rows.set_fields(conn, [row.id], held=held)
        text = f"{shop.name} {row.key} was {held}; raise it again with: syncd approve {shop.name} {row.key}"
        raise_alarm(conn, "hand_edit", shop.id, row.key, text, now_us)


def _adopt(
    conn: Connection, facts: Facts, shop: ShopFacts, rows: Sequence[tuple[ListingRow, int]], now_us: int
) -> Refreshed:
    """Take the hand's number as the truth: the missing pieces leave the ledger."""
    skus: set[int] = set()
    location = shop.location_ids[0]
    for row, drift in rows:
        if row.sku_id is None or stock.parts_below(conn, [row.sku_id]):
            continue
        pieces = drift * row.pack
        order_rows.add_entries(
            conn,
            [(now_us, row.sku_id, location, EntryKind.ADJUST, pieces, 0, 0, None, 0, None, shop.name,
              f"lowered by hand on {row.key}")],
        )  # fmt: skip
        stock.add_to_balances(conn, [(row.sku_id, location, pieces, 0, 0, 0)])
        skus.add(row.sku_id)
    return refresh_skus(conn, facts, skus, now_us, by_orders=True)
