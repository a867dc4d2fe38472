"""Book order states: one transaction from states to entries, balances, beliefs, targets and wishes (promises 1-4).

Called with a page at a time; every row it needs is loaded in bulk and written in bulk. Idempotent: the same state
again books nothing, an older one is counted and ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import Connection

from syncd.core import ledger
from syncd.daemon.booking_page import UNBOOKED, Page, load_known, load_states, write_page
from syncd.daemon.booking_page import Booking as Booking
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.holds import ended_holds
from syncd.daemon.moves import moves_of, put_back
from syncd.model import Counts, EntryKind, ListingState, OrderState, Source, to_us
from syncd.store.orders import NO_STOCK, LineRow, OrderRow, freeze, thaw
from syncd.store.shops import clear_alarm

LineWork = Mapping[str, Callable[[LineRow], None]]


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
    horizon_us = now_us - facts.retention_us if facts.retention_us else 0
    if not states:
        return Booking()
    states = [*states, *ended_holds(conn, shop, states, horizon_us, now_us)]
    page = load_states(conn, shop, states, began_us, watermark_us, now_us)
    for state in states:
        page.result.outcomes[_book_state(page, state, horizon_us)] += 1
    return write_page(conn, facts, page, answered_us)


def rebook_orders(conn: Connection, facts: Facts, shop: ShopFacts, order_ids: Sequence[int], now_us: int) -> Booking:
    """Book again the lines that could not be booked before: their listing has a SKU now."""
    page = load_known(conn, shop, order_ids, now_us)
    for row in page.orders.values():
        for line in page.lines.get(row.id, {}).values():
            if line.pieces == "":
                _book_line(page, row, line, Counts(), counts_of(line), existed_us=row.placed_us or row.first_us)
                line.b_units = line.ordered  # its page was not watched before: no belief to move
                line.b_restocked = put_back(shop, line, line.restocked)[0]
        _close(page, row)
    return write_page(conn, facts, page, now_us)


def book_overdue(conn: Connection, facts: Facts, shop: ShopFacts, order_ids: Sequence[int], now_us: int) -> Booking:
    """Book the shipment of orders of a shop that never reports one, once their days are over."""
    page = load_known(conn, shop, order_ids, now_us)
    for row in page.orders.values():
        for line in page.lines.get(row.id, {}).values():
            before = counts_of(line)
            counts = ledger.as_shipped(before, _ships(shop, row), row.placed_us, now_us)
            if counts != before:
                row.shipped_us = now_us
                _book_line(page, row, line, before, counts, existed_us=_existed_us(row))
        _changed(page, row)
        _close(page, row)
    return write_page(conn, facts, page, now_us)


def book_lines(
    conn: Connection,
    facts: Facts,
    shop: ShopFacts,
    work: Mapping[int, LineWork],
    now_us: int,
    left_us: Mapping[int, int] | None = None,
) -> Booking:
    """Book what was done here to known lines (order -> line -> the work), be it shipped or returned goods.

    The work changes the line's own counts; `left_us` is when goods of an order left, where some did.
    """
    page = load_known(conn, shop, list(work), now_us)
    for row in page.orders.values():
        left = (left_us or {}).get(row.id, 0)
        for name, do in work[row.id].items():
            line = page.lines[row.id][name]
            before = counts_of(line)
            do(line)
            told = Counts(line.ordered, line.cancelled, line.shop_shipped, line.returned)
            shipped = ledger.as_shipped(told, _ships(shop, row), row.placed_us, now_us)
            counts = ledger.with_own(shipped, line.own_shipped)
            _book_line(page, row, line, before, counts, existed_us=_existed_us(row), left_us=left)
        row.shipped_us = max(row.shipped_us or 0, left) or None
        _changed(page, row)
        _close(page, row)
    return write_page(conn, facts, page, now_us)


def _ships(shop: ShopFacts, row: OrderRow) -> str:
    """When an order's goods leave, by the shop's rule; a hold's never do: the order that takes its place ships them."""
    return "reported" if row.source == Source.STAFF else shop.ships


def counts_of(line: LineRow) -> Counts:
    """The counts of a line as they are booked."""
    return Counts(line.ordered, line.cancelled, line.shipped, line.returned)


# --- one state ------------------------------------------------------------------------------------------------


def _book_state(page: Page, state: OrderState, horizon_us: int) -> str:
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
            row.as_of_us, row.seen_us, row.asked_us = as_of_us, page.now_us, page.began_us
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
    row.asked_us = page.began_us
    page.latest_us = page.now_us if state.as_of is None else as_of_us
    row.opened, row.label, row.ends_hold = int(state.shipment_opened), state.label, state.ends_hold
    if state.placed_at is not None:
        row.placed_us = to_us(state.placed_at)
    page.left_us = 0 if state.shipped_at is None else to_us(state.shipped_at)
    shipped = _shipped(page, row)
    _changed(page, row)
    _book_lines(page, row, state, replaces=replaces, reopened=was_opened != bool(row.opened))
    row.shipped_us = _left_us(page, row, rose=_shipped(page, row) > shipped)
    _note_moves(page, row, state, before_us=before_us, new=outcome == "new")
    _close(page, row)
    return outcome


def _shipped(page: Page, row: OrderRow) -> int:
    return sum(line.shipped for line in page.lines[row.id].values())


def _left_us(page: Page, row: OrderRow, *, rose: bool) -> int | None:
    """The latest that goods of an order left, as far as the shop tells, or a shipment booked here does."""
    if page.left_us or not any(line.own_shipped for line in page.lines[row.id].values()):
        return page.left_us or None
    return max(row.shipped_us or 0, page.latest_us if rose else 0) or None


def _new_order(page: Page, state: OrderState, as_of_us: int) -> OrderRow:
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


def _changed(page: Page, row: OrderRow) -> None:
    if row.id not in page.fresh:
        page.changed_orders[row.id] = row


def _is_same(page: Page, row: OrderRow, state: OrderState) -> bool:
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
        if have.shop_shipped != line.shipped or have.return_reason != (line.return_reason or ""):
            return False
    return True


def _book_lines(page: Page, row: OrderRow, state: OrderState, *, replaces: bool, reopened: bool) -> None:
    known = page.lines[row.id]
    if replaces:
        _carry_own(page, row, known, state)
    before = {name: counts_of(line) for name, line in known.items()}
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
            line.restocked, line.return_reason = given[name].restocked, given[name].return_reason or ""
        if name in given or state.complete or replaces:
            line.shop_shipped = counts.shipped
        if -line.id not in page.fresh:
            page.changed_lines[line.id] = line
        counts = ledger.as_shipped(counts, _ships(page.shop, row), row.placed_us, page.now_us)
        counts = ledger.with_own(counts, line.own_shipped)
        if counts != before.get(name) or reopened or line.pieces == "" or line.id in page.fresh:
            _book_line(page, row, line, before.get(name, Counts()), counts, existed_us=_existed_us(row))


def _carry_own(page: Page, row: OrderRow, known: dict[str, LineRow], state: OrderState) -> None:
    """A stronger source names the lines anew: what was shipped here goes with the goods."""
    moved = ledger.carried(
        {name: (line.listing, line.own_shipped) for name, line in known.items()},
        [(line.line, page.shop.key(line.listing), line.ordered) for line in state.lines],
    )
    given = {line.line: line for line in state.lines}
    for old, new in moved.items():
        line = known.get(new) or _new_line(page, row, given[new].listing, new, given[new].location)
        line.own_shipped += known[old].own_shipped
        known[old].own_shipped = 0
        for one in (line, known[old]):
            if -one.id not in page.fresh:
                page.changed_lines[one.id] = one
        page.renamed.append((known[old].id, line.id))


def _existed_us(row: OrderRow) -> int:
    """The latest time the order can have been placed."""
    return row.placed_us if row.placed_us is not None else row.as_of_us


def _new_line(page: Page, row: OrderRow, listing: str, name: str, location: str | None) -> LineRow:
    line = LineRow(page.next_line, row.id, name, page.shop.key(listing), None, page.shop.location_ids[0])
    page.next_line += 1
    page.lines[row.id][name] = line
    page.new_lines.append(line)
    page.fresh.add(-line.id)
    return line


def _book_line(
    page: Page, row: OrderRow, line: LineRow, before: Counts, counts: Counts, *, existed_us: int, left_us: int = 0
) -> None:
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
    left_us = left_us or page.left_us or page.latest_us or row.shipped_us or row.as_of_us
    ignored = ledger.ignored_now(done, Counts() if first else before, counts, baselines.values(), left_us)
    now = ledger.booked_now(
        counts, opened=bool(row.opened), returns=page.shop.returns_of(line.return_reason), ignored=ignored,
        accepted_back=line.accepted_back,
    )  # fmt: skip
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


def _freeze_line(page: Page, line: LineRow) -> bool:
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


def _note_moves(page: Page, row: OrderRow, state: OrderState, *, before_us: int, new: bool) -> None:
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


def _close(page: Page, row: OrderRow) -> None:
    row.open = int(any(is_open(page.shop, line) for line in page.lines[row.id].values()))


def is_open(shop: ShopFacts, line: LineRow) -> bool:
    """An order is open while a line holds stock, could not be booked, or was shipped here and its shop does not show
    it yet: until then it is read again.
    """
    if line.b_held or line.b_allocated or line.pieces == "":
        return True
    return shop.shows_shipments and ledger.awaits_shop(counts_of(line), line.own_shipped, line.shop_shipped)


def clear_unbooked(conn: Connection, shop: ShopFacts, keys: Iterable[str], now_us: int) -> None:
    """These listings have a SKU now."""
    for key in keys:
        clear_alarm(conn, UNBOOKED, shop.id, key, now_us)
