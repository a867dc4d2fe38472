"""Book order states: one transaction from states to entries, balances, beliefs, targets and wishes (promises 1-4).

Called with a page at a time; every row it needs is loaded in bulk and written in bulk. Idempotent: the same state
again books nothing, an older one is counted and ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from syncd.core import ledger
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.moves import Move, apply_moves, moves_of, put_back
from syncd.daemon.targets import Refreshed, refresh_skus
from syncd.model import Counts, EntryKind, ListingState, OrderState, Source, to_us
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store import stock
from syncd.store.listings import ListingRow
from syncd.store.orders import EntryRow, LineRow, OrderRow
from syncd.store.shops import clear_alarm, raise_alarm
from syncd.store.stock import BalanceRow

NO_STOCK = "-"
"""Frozen pieces of a line that holds nothing: its listing is not counted."""
UNBOOKED = "unbooked_line"


@dataclass(slots=True)
class Booking:
    """What a page did: states by outcome, and what the targets did with it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    new_orders: list[int] = field(default_factory=list)
    placed_us: list[int] = field(default_factory=list)
    unbooked: set[str] = field(default_factory=set)
    late: int = 0  # new orders that were placed before the time up to which all were held to be known
    refreshed: Refreshed = field(default_factory=Refreshed)


def freeze(pieces: Mapping[int, int]) -> str:
    """Pieces per SKU as they are kept on a line."""
    return ",".join(f"{sku}:{count}" for sku, count in pieces.items())


def thaw(text: str) -> dict[int, int]:
    """The frozen pieces of a line."""
    if text in ("", NO_STOCK):
        return {}
    return {int(sku): int(count) for sku, _, count in (one.partition(":") for one in text.split(","))}


@dataclass(slots=True)
class _Page:
    """Everything one page touches, loaded before and written after."""

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
    new_orders: list[OrderRow] = field(default_factory=list)
    changed_orders: dict[int, OrderRow] = field(default_factory=dict)
    new_lines: list[LineRow] = field(default_factory=list)
    changed_lines: dict[int, LineRow] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    entries: list[EntryRow] = field(default_factory=list)
    deltas: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    result: Booking = field(default_factory=Booking)

    def baseline(self, sku: int, location: int) -> ledger.Baseline:
        row = self.balances.get(sku, {}).get(location)
        return ledger.NEVER if row is None else ledger.Baseline(row.opened_us, row.counted_us)


def book_page(
    conn: Connection,
    facts: Facts,
    shop: ShopFacts,
    states: Sequence[OrderState],
    *,
    began_us: int,
    answered_us: int,
    watermark_us: int,
    now_us: int,
) -> Booking:
    """Book one page of order states of a shop.

    `began_us`: start of the request that read them (the `as_of` of states without one). `answered_us`: its
    end; the clock of stockout latency starts there. `watermark_us`: up to when orders were known before.
    """
    page = _load(conn, shop, states, began_us, watermark_us, now_us)
    horizon_us = now_us - facts.retention_us if facts.retention_us else 0
    for state in states:
        page.result.outcomes[_book_state(page, state, horizon_us)] += 1
    return _finish(conn, facts, page, answered_us)


def rebook_orders(conn: Connection, facts: Facts, shop: ShopFacts, order_ids: Sequence[int], now_us: int) -> Booking:
    """Book again the lines that could not be booked before: their listing has a SKU now."""
    orders = order_rows.load_orders_by_id(conn, order_ids)
    lines = order_rows.load_lines(conn, order_ids)
    keys = {line.listing for some in lines.values() for line in some}
    page = _load_page(conn, shop, {row.number: row for row in orders.values()}, lines, keys, 0, 0, now_us)
    for row in orders.values():
        for line in page.lines.get(row.id, {}).values():
            if line.pieces == "":
                counts = Counts(line.ordered, line.cancelled, line.shipped, line.returned)
                _book_line(page, row, line, Counts(), counts, existed_us=row.placed_us or row.first_us)
                line.b_units = line.ordered  # its page was not watched before: no belief to move
                line.b_restocked = put_back(shop, line, line.restocked)[0]
        _close(page, row)
    return _finish(conn, facts, page, now_us)


def book_overdue(conn: Connection, facts: Facts, shop: ShopFacts, order_ids: Sequence[int], now_us: int) -> Booking:
    """Book the shipment of orders of a shop that never reports one, once their days are over."""
    orders = order_rows.load_orders_by_id(conn, order_ids)
    page = _load_page(
        conn,
        shop,
        {row.number: row for row in orders.values()},
        order_rows.load_lines(conn, order_ids),
        (),
        0,
        0,
        now_us,
    )
    for row in orders.values():
        for line in page.lines.get(row.id, {}).values():
            before = Counts(line.ordered, line.cancelled, line.shipped, line.returned)
            counts = ledger.as_shipped(before, shop.ships, row.placed_us, now_us)
            if counts != before:
                row.shipped_us = now_us
                _book_line(page, row, line, before, counts, existed_us=_existed_us(row))
        _changed(page, row)
        _close(page, row)
    return _finish(conn, facts, page, now_us)


# --- loading and writing -------------------------------------------------------------------------------------


def _load(
    conn: Connection, shop: ShopFacts, states: Sequence[OrderState], began_us: int, watermark_us: int, now_us: int
) -> _Page:
    orders = order_rows.load_orders(conn, shop.id, list({state.number for state in states}))
    lines = order_rows.load_lines(conn, [row.id for row in orders.values()])
    keys = {shop.key(line.listing) for state in states for line in state.lines}
    return _load_page(conn, shop, orders, lines, keys, began_us, watermark_us, now_us)


def _load_page(
    conn: Connection,
    shop: ShopFacts,
    orders: dict[str, OrderRow],
    lines: Mapping[int, Sequence[LineRow]],
    keys: Iterable[str],
    began_us: int,
    watermark_us: int,
    now_us: int,
) -> _Page:
    listings = listing_rows.listings_by_key(conn, shop.id, sorted(keys))
    skus = {row.sku_id for row in listings.values() if row.sku_id is not None}
    parts = stock.parts_below(conn, skus)
    for some in lines.values():
        for line in some:
            skus.update(thaw(line.pieces))
    every = skus | {one for inside in parts.values() for one in inside}
    next_order, next_line = order_rows.next_ids(conn)
    return _Page(
        shop, now_us, began_us, watermark_us, orders,
        {order_id: {line.line: line for line in some} for order_id, some in lines.items()},
        listings, parts, stock.load_balances(conn, sorted(every)), next_order, next_line,
    )  # fmt: skip


def _finish(conn: Connection, facts: Facts, page: _Page, answered_us: int) -> Booking:
    order_rows.save_orders(conn, page.new_orders, list(page.changed_orders.values()))
    order_rows.save_lines(conn, page.new_lines, list(page.changed_lines.values()))
    order_rows.add_entries(conn, page.entries)
    stock.add_to_balances(conn, [(sku, location, d[0], d[1], d[2], d[3]) for (sku, location), d in page.deltas.items()])
    own = apply_moves(conn, facts, page.shop, page.moves, page.now_us)
    for key in page.result.unbooked:
        raise_alarm(conn, UNBOOKED, page.shop.id, key, f"{page.shop.name}: no SKU for listing {key}", page.now_us)
    touched = {sku for sku, _ in page.deltas}
    touched.update(row.sku_id for row in own if row.sku_id is not None)
    if touched:
        page.result.refreshed = refresh_skus(conn, facts, touched, page.now_us, by_orders=True, since_us=answered_us)
    return page.result


# --- one state ------------------------------------------------------------------------------------------------


def _book_state(page: _Page, state: OrderState, horizon_us: int) -> str:
    """Book one state; returns new, changed, same or older. An unknown order from before the horizon was forgotten."""
    as_of_us = page.began_us if state.as_of is None else to_us(state.as_of)
    row = page.orders.get(state.number)
    replaces = False
    if row is not None:
        known = Source(row.source)
        if ledger.is_older(as_of_us, state.source, row.as_of_us, known):
            return "older"
        replaces = state.source > known
        listing_of = {name: line.listing for name, line in page.lines.get(row.id, {}).items()}
        state = ledger.told_apart(listing_of, state, page.shop.key)
        if not replaces and _is_same(page, row, state):
            row.as_of_us, row.seen_us = as_of_us, page.now_us
            _changed(page, row)
            return "same"
    elif state.placed_at is not None and to_us(state.placed_at) < horizon_us:
        return "older"
    outcome = "changed"
    before_us = page.watermark_us if row is None else row.as_of_us
    if row is None:
        outcome = "new"
        row = _new_order(page, state, as_of_us)
    was_opened = bool(row.opened)
    row.as_of_us, row.source, row.seen_us = as_of_us, int(state.source), page.now_us
    page.latest_us = page.now_us if state.as_of is None else as_of_us
    row.opened = int(state.shipment_opened)
    if state.placed_at is not None:
        row.placed_us = to_us(state.placed_at)
    row.shipped_us = None if state.shipped_at is None else to_us(state.shipped_at)
    _changed(page, row)
    _book_lines(page, row, state, replaces=replaces, reopened=was_opened != bool(row.opened))
    _note_moves(page, row, state, before_us=before_us, new=outcome == "new")
    _close(page, row)
    return outcome


def _new_order(page: _Page, state: OrderState, as_of_us: int) -> OrderRow:
    row = OrderRow(
        page.next_order, page.shop.id, state.number, None, as_of_us, int(state.source), 0, None, 1,
        page.now_us, page.now_us,
    )  # fmt: skip
    page.next_order += 1
    page.orders[state.number] = row
    page.lines[row.id] = {}
    page.new_orders.append(row)
    page.fresh.add(row.id)
    page.result.new_orders.append(row.id)
    if state.placed_at is not None:
        page.result.placed_us.append(to_us(state.placed_at))
        page.result.late += to_us(state.placed_at) < page.watermark_us
    return row


def _changed(page: _Page, row: OrderRow) -> None:
    if row.id not in page.fresh:
        page.changed_orders[row.id] = row


def _is_same(page: _Page, row: OrderRow, state: OrderState) -> bool:
    """Whether a state tells nothing new, so that nothing but its time is kept."""
    known = page.lines.get(row.id, {})
    if bool(row.opened) != state.shipment_opened or page.shop.ships.startswith("after"):
        return False
    if state.complete and len(known) != len(state.lines):
        return False
    for line in state.lines:
        have = known.get(line.line)
        if have is None or have.pieces == "" or (have.ordered, have.cancelled, have.returned, have.restocked) != (
            line.ordered, line.cancelled, line.returned, line.restocked,
        ):  # fmt: skip
            return False
        if have.shipped != line.shipped and page.shop.ships == "reported":
            return False
    return True


def _book_lines(page: _Page, row: OrderRow, state: OrderState, *, replaces: bool, reopened: bool) -> None:
    known = page.lines[row.id]
    before = {name: Counts(line.ordered, line.cancelled, line.shipped, line.returned) for name, line in known.items()}
    now = ledger.counts_now(before, state, replaces=replaces)
    given = {line.line: line for line in state.lines}
    for name, counts in now.items():
        try:
            ledger.check_counts(name, counts)
        except ledger.CountsError as error:
            page.result.unbooked.add(f"{state.number}: {error}")
            continue
        line = known.get(name)
        if line is None:
            line = _new_line(page, row, given[name].listing, name, given[name].location)
        if name in given:
            line.restocked = given[name].restocked
        counts = ledger.as_shipped(counts, page.shop.ships, row.placed_us, page.now_us)
        if counts != before.get(name) or reopened or line.pieces == "" or line.id in page.fresh:
            _book_line(page, row, line, before.get(name, Counts()), counts, existed_us=_existed_us(row))


def _existed_us(row: OrderRow) -> int:
    """The latest time the order can have been placed."""
    return row.placed_us if row.placed_us is not None else row.as_of_us


def _new_line(page: _Page, row: OrderRow, listing: str, name: str, location: str | None) -> LineRow:
    line = LineRow(page.next_line, row.id, name, page.shop.key(listing), None, page.shop.location_ids[0])
    page.next_line += 1
    page.lines[row.id][name] = line
    page.new_lines.append(line)
    page.fresh.add(-line.id)
    return line


def _book_line(page: _Page, row: OrderRow, line: LineRow, before: Counts, counts: Counts, *, existed_us: int) -> None:
    """Turn one line's counts into entries; freezes its pieces at the first booking."""
    line.ordered, line.cancelled, line.shipped, line.returned = (
        counts.ordered, counts.cancelled, counts.shipped, counts.returned,
    )  # fmt: skip
    if -line.id not in page.fresh:
        page.changed_lines[line.id] = line
    first = line.pieces == ""
    if first and not _freeze_line(page, line):
        return
    pieces = thaw(line.pieces)
    if not pieces:
        return
    location = line.location_id or page.shop.location_ids[0]
    baselines = {sku: page.baseline(sku, location) for sku in pieces}
    done = ledger.Booked(line.b_held, line.b_allocated, line.b_gone, line.ignored)
    left_us = row.shipped_us if row.shipped_us is not None else (page.latest_us or row.as_of_us)
    ignored = ledger.ignored_now(done, Counts() if first else before, counts, baselines.values(), left_us)
    now = ledger.booked_now(counts, opened=bool(row.opened), returns=page.shop.returns, ignored=ignored)
    if first:
        inside = ledger.units_inside_opening(counts, ignored, baselines, existed_us)
    else:
        inside = ledger.units_before_opening(done, now, baselines, page.latest_us)
    changes = ledger.changes(pieces, done, now, inside_opening=inside)
    line.b_held, line.b_allocated, line.b_gone, line.ignored = now.held, now.allocated, now.gone, now.ignored
    if not changes:
        return
    line.booking += 1
    kind = EntryKind.ORDER
    for one in changes:
        page.entries.append(
            (page.now_us, one.sku, location, kind, one.on_hand, one.ordered, one.allocated, line.id, line.booking,
             None, page.shop.name, "")
        )  # fmt: skip
        delta = page.deltas.setdefault((one.sku, location), [0, 0, 0, 0])
        delta[0] += one.on_hand
        delta[1] += one.ordered
        delta[2] += one.allocated
        if one.free > 0:
            delta[3] = page.now_us


def _freeze_line(page: _Page, line: LineRow) -> bool:
    """Freeze what the line is made of; False while its listing has no SKU (kept, listed, alarmed)."""
    listing = page.listings.get(line.listing)
    if listing is not None and listing.state == ListingState.NOT_COUNTED:
        line.listing_id, line.pieces = listing.id, NO_STOCK
        return True
    if listing is None or listing.sku_id is None:
        page.result.unbooked.add(line.listing)
        return False
    line.listing_id = listing.id
    line.pieces = freeze(ledger.expand(listing.sku_id, listing.pack, page.parts))
    return True


# --- what it does to what the shop shows -------------------------------------------------------------------


def _note_moves(page: _Page, row: OrderRow, state: OrderState, *, before_us: int, new: bool) -> None:
    """Tell what an order's change did to the numbers on its own shop's pages.

    A new order was accepted when it was placed (without a time: not before what was known); a change came after
    what was known. Both were there at the latest when the state was read.
    """
    earliest_us, latest_us = before_us, page.latest_us
    if new and row.placed_us is not None:
        earliest_us = latest_us = row.placed_us
    moves, changed = moves_of(page.shop, page.lines[row.id], state, earliest_us, latest_us, page.latest_us)
    page.moves.extend(moves)
    page.changed_lines.update({line.id: line for line in changed if -line.id not in page.fresh})


def _close(page: _Page, row: OrderRow) -> None:
    """An order is open while a line holds stock or could not be booked."""
    lines = page.lines[row.id].values()
    row.open = int(any(line.b_held or line.b_allocated or line.pieces == "" for line in lines))


def clear_unbooked(conn: Connection, shop: ShopFacts, keys: Iterable[str], now_us: int) -> None:
    """These listings have a SKU now."""
    for key in keys:
        clear_alarm(conn, UNBOOKED, shop.id, key, now_us)
