"""The two transactions around a write: plan it and make it durable, then settle what came back by version.

An intent is durable before its first byte. A crash between the two leaves it open, and an open intent at start
is in doubt (`recover`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from syncd.core import escrow, fence, ledger, planner
from syncd.core.escrow import Exposure
from syncd.core.planner import Evidence, Need, Plan
from syncd.core.retry import back_off_seconds, smaller_call
from syncd.daemon.agenda import Agenda, Occasion
from syncd.daemon.facts import Facts, ShopFacts, exposure_of, put_exposure, put_shown, shown_of
from syncd.daemon.rights import Rights, load_rights
from syncd.daemon.stock_view import load_stock
from syncd.daemon.targets import Refreshed, refresh_listings
from syncd.model import Lane, ListingState
from syncd.sdk.channel import (
    Accepted,
    Form,
    Pending,
    ReadFirst,
    Reason,
    Rejected,
    StockWrite,
    Unreported,
    WriteReport,
)
from syncd.store import listings as listing_rows
from syncd.store import outbox, shops, stock
from syncd.store.listings import ListingRow, Pair
from syncd.store.outbox import IntentRow
from syncd.store.shops import raise_alarm

OVERTAKEN_US = 2_000_000
"""A write to 0 that overtook an open one is sent again so much later, at the soonest …"""
OVERTAKEN_AGAIN_SECONDS = 60.0
"""… and then ever more rarely, down to this."""


def plan_call(conn: Connection, facts: Facts, on: Occasion) -> Agenda:
    """Choose the rows of the next call and make it durable.

    Stockouts first, then what is due, then rows that ride free. While some due rows first need a read and the
    call is neither urgent nor final, nothing is made durable and the needs are returned.
    """
    pairs = _choose(conn, on)
    agenda = Agenda(on=on, key=on.key)
    unproven = [row for row, _ in pairs if not planner.goes_at_once(row.target or 0, shown_of(row), on.route.forms)]
    if on.urgent and Form.COMPARE_AND_SET not in on.route.forms:
        waiting = {row.id for row in unproven}
        pairs, unproven = [pair for pair in pairs if pair[0].id not in waiting], []
    raised = _raised(conn, unproven)
    shared = _shared(conn, on.shop.id, unproven)
    shop = shops.shop_row(conn, on.shop.id)
    reads_stock = on.shop.reads_stock and on.route.read_first is ReadFirst.STOCK
    rights = load_rights(conn, facts, on.shop, [row for row, _ in pairs], on.now_us)
    chosen: list[tuple[ListingRow, Plan, int]] = []
    for row, wish in pairs:
        if len(chosen) >= on.route.max_rows:
            break
        seen = Evidence(
            on.now_us, reads_stock, on.shop.reads_orders, shop.orders_began_us, raised.get(row.sku_id or 0, 0),
            _number_read(on, row), on.numbers_began_us, row.id in shared, shop.watermark_us,
        )  # fmt: skip
        plan = _within_rights(rights, row, on.route.forms, seen)
        if isinstance(plan, Plan):
            assert wish is not None
            chosen.append((row, plan, wish.version))
            agenda.since_us[row.id], agenda.lanes[row.id] = wish.since_us, wish.lane
        elif wish is not None and wish.due_us <= on.now_us:
            if plan is Need.STOCK_READ and len(agenda.need_stock) < on.route.max_rows:
                agenda.need_stock.append((row.id, row.key))
            agenda.need_orders |= plan is Need.ORDER_READ
    waits = bool(agenda.need_stock or agenda.need_orders) and not on.urgent and not on.final
    agenda.later = on.early and bool(chosen)
    if chosen and not waits and not on.early:
        _make_durable(conn, on, agenda, chosen)
    return agenda


def _number_read(on: Occasion, row: ListingRow) -> int | None:
    """What was read of a row; None where a write of our own has moved it since, beside the reads of others."""
    return on.numbers.get(row.id) if row.told_us < on.numbers_began_us else None


def plan_again(conn: Connection, facts: Facts, agenda: Agenda, now_us: int, key: str) -> Agenda:
    """Plan a call that has not left anew, if it is too late for it or a stockout is due that it does not carry.

    Else it stays as it is.
    """
    on, intent_id = agenda.on, agenda.intent_id
    assert on is not None
    assert intent_id is not None
    news = outbox.candidates(conn, on.shop.id, now_us, lane=Lane.STOCKOUT, due_us=now_us, most=1)
    if not news and not agenda.too_late(now_us):
        return agenda
    undo_call(conn, facts, intent_id, now_us, "planned anew: a stockout came" if news else "planned anew: too late")
    return plan_call(conn, facts, replace(on, now_us=now_us, key=key, final=True))


def _within_rights(rights: Rights, row: ListingRow, forms: Collection[Form], seen: Evidence) -> Plan | Need:
    """The write of one row, by the fence and then by the guard (R1); what cannot be given is not read for either."""
    if rights.must_drain(row, forms, seen):
        return Plan(StockWrite(row.key, Form.ABSOLUTE, 0))
    if rights.has_none(row):
        return Need.RIGHTS
    plan = planner.plan_write(row.key, row.target or 0, shown_of(row), forms, seen)
    return rights.fit(row, plan) if isinstance(plan, Plan) else plan


def _choose(conn: Connection, on: Occasion) -> list[Pair]:
    """Candidates in the order they go: twice as many as fit, since some may not be writable yet."""
    most = on.route.max_rows if on.urgent else on.route.max_rows * 2
    due = list(outbox.candidates(conn, on.shop.id, on.now_us, lane=Lane.STOCKOUT, due_us=on.now_us, most=most))
    for lane in (Lane.LOW, Lane.BATCH, Lane.BACKGROUND) if on.riders or not on.urgent else ():
        if len(due) < most:
            horizon = on.now_us if lane is Lane.BACKGROUND else 2**62
            due += outbox.candidates(conn, on.shop.id, on.now_us, lane=lane, due_us=horizon, most=most - len(due))
    alone = min((wish.alone for _, wish in due if wish is not None and wish.alone), default=0)
    if alone and due[0][1] is not None and due[0][1].alone:
        return [pair for pair in due if pair[1] is not None and pair[1].alone][:alone]
    return [pair for pair in due if pair[1] is not None and not pair[1].alone] or due[: max(1, alone)]


def _raised(conn: Connection, rows: Sequence[ListingRow]) -> dict[int, int]:
    """Newest raising entry of each row's SKU, its parts included."""
    fenced = {row.sku_id for row in rows if row.sku_id is not None and row.target}
    have = load_stock(conn, fenced)

    def newest(sku: int) -> int:
        parts = have.parts.get(sku)
        if parts:
            return max(newest(one) for one in parts)
        return max((line.raised_us for line in have.balances.get(sku, {}).values()), default=0)

    return {sku: newest(sku) for sku in fenced}


def _pieces(conn: Connection, skus: Collection[int]) -> dict[int, set[int]]:
    """The plain SKUs in each of these."""
    parts = stock.parts_below(conn, skus)
    return {sku: set(ledger.expand(sku, 1, parts)) for sku in skus}


def _shared(conn: Connection, shop_id: int, rows: Sequence[ListingRow]) -> set[int]:
    """Rows whose pieces another listing of the shop sells, too: a twin, or a bundle with a part in common."""
    skus = {row.sku_id for row in rows if row.sku_id is not None and row.target}
    related = stock.bundles_above(conn, {one for plain in _pieces(conn, skus).values() for one in plain})
    sellers: dict[int, set[int]] = {}
    pieces = _pieces(conn, related)
    for listing_id, sku in listing_rows.sellers(conn, shop_id, sorted(related)):
        for plain in pieces[sku]:
            sellers.setdefault(plain, set()).add(listing_id)
    return {row.id for row in rows if any(len(sellers.get(one, ())) > 1 for one in pieces.get(row.sku_id or 0, ()))}


def _make_durable(
    conn: Connection, on: Occasion, agenda: Agenda, chosen: Sequence[tuple[ListingRow, Plan, int]]
) -> None:
    """R2: what the rows cost is booked on their listings' exposure in the transaction that makes the call durable."""
    alive: dict[int, list[IntentRow]] = {}
    for other, _began_us in outbox.live_rows_of(conn, [row.id for row, _, _ in chosen]):
        alive.setdefault(other.listing_id, []).append(other)
    for position, (row, plan, version) in enumerate(chosen):
        write, have = plan.write, exposure_of(row)
        cost = escrow.cost_of(write.form, write.quantity, write.expected)
        alone = row.id not in alive and (have.dead_us is None or have.dead_us <= on.now_us)
        put_exposure(row, escrow.sent(have, cost))
        agenda.writes.append(write)
        agenda.rows.append(
            IntentRow(
                0, position, row.id, write.form, write.quantity, write.expected, version, _told(row, write), plan.delta,
                plan.unread, cost=cost, alone=int(alone),
            )
        )  # fmt: skip
    listing_rows.save_exposure(conn, [row for row, _, _ in chosen])
    outbox.not_alone(conn, [(other.intent_id, other.position) for some in alive.values() for other in some])
    dead_us = on.now_us + int(on.route.dead_after_seconds * 1e6)
    agenda.intent_id = outbox.add_intent(conn, on.shop.id, on.route.name, on.key, on.now_us, dead_us, agenda.rows)


def _told(row: ListingRow, write: StockWrite) -> int:
    """What the row tells its shop: the target, or 0 where its page is drained first."""
    return 0 if write.form is Form.ABSOLUTE and write.quantity == 0 else row.target or 0


# --- settling ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Settled:
    """What became of a call: rows by outcome, listings now right, and what the targets did."""

    outcomes: dict[str, int] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)
    refreshed: Refreshed = field(default_factory=Refreshed)

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


def settle_call(
    conn: Connection, facts: Facts, shop: ShopFacts, intent_id: int, report: WriteReport, ended_us: int
) -> Settled:
    """Take the report of a call over, row by row. Rows it does not name stay queued, or are read back."""
    rows = {row.position: row for row in outbox.rows_of_intent(conn, intent_id)}
    named = {one.index: one for one in report.rows if one.index in rows}
    waiting = {one.index: one.receipt for one in named.values() if isinstance(one, Pending)}
    settled = {position: row for position, row in rows.items() if position not in waiting}
    listings = listing_rows.listings_by_id(conn, [row.listing_id for row in settled.values()])
    began_us = outbox.began_us(conn, intent_id)
    done = Settled()
    told: list[tuple[int, int, int]] = []
    landed: list[int] = []
    for position, row in settled.items():
        listing, outcome = listings[row.listing_id], named.get(position)
        if isinstance(outcome, Accepted):
            _accepted(conn, listing, row, outcome, began_us, ended_us)
            told.append((row.target, ended_us, row.listing_id))
            if row.quantity:
                landed.append(row.listing_id)
            done.accepted.append(row.listing_id)
            done.count("accepted")
        elif isinstance(outcome, Rejected):
            _rejected(conn, shop, listing, row, outcome, ended_us)
            done.count("rejected")
        else:
            _unreported(conn, listing, row, report, ended_us)
            done.count("unreported")
    listing_rows.save_shown(conn, list(listings.values()))
    listing_rows.save_told(conn, told)
    receipts = [(position, receipt) for position, receipt in waiting.items() if rows[position].receipt != receipt]
    if receipts:
        done.outcomes["pending"] = len(receipts)
    outbox.rows_receipts(conn, intent_id, receipts)
    outbox.rows_done(conn, intent_id, list(settled))
    outbox.set_intent(conn, intent_id, "waiting" if waiting else "done")
    if told:
        shops.set_shop(conn, shop.id, wrote_us=ended_us)
    outbox.hurry(conn, landed)  # a write to 0 that overtook it goes again now
    done.refreshed = refresh_listings(conn, facts, list(listings), ended_us, by_orders=True)
    return done


def _unreported(conn: Connection, listing: ListingRow, row: IntentRow, report: WriteReport, ended_us: int) -> None:
    """A row the report does not name: it was not applied, or nobody can say."""
    if report.unreported is Unreported.UNSURE:
        _doubt(listing, row, ended_us)
        return
    put_exposure(listing, escrow.refused(exposure_of(listing), row.cost))
    if not report.rows:  # nothing at all was said: asking again at once would only repeat it
        _again_later(conn, listing, ended_us, first=1.0)


def _accepted(
    conn: Connection, listing: ListingRow, row: IntentRow, outcome: Accepted, began_us: int, ended_us: int
) -> None:
    form, shown = Form(row.form), shown_of(listing)
    put_exposure(listing, _exposed(exposure_of(listing), row, outcome, began_us, ended_us))
    # A doubt that was dead before this call began can land no more: then this 0 is the last word.
    doubtful = shown.doubt_us is not None and shown.doubt_us > began_us
    zero = form is Form.ABSOLUTE and row.quantity == 0
    if zero and (doubtful or _overtook(conn, listing, row, began_us)):
        # which write lands last is unknown: written again after the dead time, and ever more rarely while it hangs
        until = max(shown.doubt_us or 0, ended_us + OVERTAKEN_US)
        put_shown(listing, fence.doubted(shown, 0, until))
        _again_later(conn, listing, ended_us, first=OVERTAKEN_US / 1e6, longest=OVERTAKEN_AGAIN_SECONDS, least_us=until)
        return
    if form is Form.ABSOLUTE:
        shown = fence.wrote_number(
            shown, row.quantity, unread=row.unread, sold_old=row.sold_old, sold_new=row.sold_new,
            restocked=row.restocked, ended_us=ended_us, began_us=began_us,
        )  # fmt: skip
    elif form in (Form.RELATIVE_REFUSES, Form.COMPARE_AND_SET):
        shown = fence.wrote_change(shown, row.delta)
        if form is Form.COMPARE_AND_SET and row.expected is not None:
            shown = replace(shown, unread=min(shown.unread, row.unread), verify=False)
    elif outcome.quantity_after is not None and outcome.quantity_after > 0:
        shown = fence.wrote_change(shown, row.delta)  # it did not reach the bottom: all of it was taken
    else:  # clamped or silent: only what was really taken counts, so the listing is read back
        shown = replace(fence.wrote_change(shown, max(0, row.delta)), verify=True)
    put_shown(listing, shown)


def _overtook(conn: Connection, listing: ListingRow, row: IntentRow, began_us: int) -> bool:
    """Whether a write to 0 left while another write was on its way, also where both results come at once.

    A lost write that can still land has a doubt of its own, unless it was a 0, too: then either may land last.
    """
    if any(other.intent_id != row.intent_id for other, _ in outbox.live_rows_of(conn, [listing.id])):
        return True
    lost = listing.lost_us is not None and listing.lost_us > began_us
    return not row.alone and not lost


def _exposed(have: Exposure, row: IntentRow, outcome: Accepted, began_us: int, ended_us: int) -> Exposure:
    """R3 and R4: the credit of an accepted change, or the proof that an accepted number is."""
    form = Form(row.form)
    if form is Form.ABSOLUTE or (form is Form.COMPARE_AND_SET and row.expected is None):
        return escrow.accepted_number(have, row.quantity, began_us, ended_us, alone=bool(row.alone))
    return escrow.accepted_change(have, escrow.credit_of(form, row.quantity, row.expected, outcome.quantity_after))


def _rejected(
    conn: Connection, shop: ShopFacts, listing: ListingRow, row: IntentRow, outcome: Rejected, now_us: int
) -> None:
    """Refused for certain: nothing moved. What comes next depends on the reason."""
    shown, reason = shown_of(listing), outcome.reason
    put_exposure(listing, escrow.refused(exposure_of(listing), row.cost))
    if reason in (Reason.STALE, Reason.BELOW_ZERO):
        put_shown(listing, replace(shown, verify=True) if shop.reads_stock else fence.forgotten(shown))
        return
    if reason is Reason.UNKNOWN_LISTING and Form(row.form).is_relative:
        put_shown(listing, replace(fence.forgotten(shown), verify=True))  # no stock record yet: set it absolutely
        return
    text = f"{reason}: {outcome.message}"[:256]
    listing_rows.save_errors(conn, [(text, now_us, listing.id)])
    if reason is Reason.UNKNOWN_LISTING:
        listing_rows.set_fields(conn, [listing.id], state=ListingState.GONE)
        raise_alarm(
            conn, "listing_gone", shop.id, listing.key, f"{shop.name} does not know listing {listing.key}", now_us
        )
        return
    _again_later(conn, listing, now_us)
    raise_alarm(conn, "row_refused", shop.id, listing.key, f"{shop.name} refuses {listing.key}: {text}", now_us)


def _again_later(
    conn: Connection,
    listing: ListingRow,
    now_us: int,
    *,
    first: float = 30.0,
    longest: float = 3600.0,
    least_us: int = 0,
) -> None:
    """Nothing is ever dropped from the queue: a refused row backs off alone."""
    pairs = listing_rows.pairs_by_id(conn, [listing.id])
    attempts = pairs[0][1].attempts + 1 if pairs and pairs[0][1] is not None else 1
    wait = back_off_seconds(attempts, first=first, longest=longest)
    outbox.put_off(conn, [(max(least_us, now_us + int(wait * 1e6)), listing.id)])


def _doubt(listing: ListingRow, row: IntentRow, dead_us: int) -> None:
    put_exposure(listing, escrow.lost(exposure_of(listing), dead_us))  # R7
    if row.quantity == 0 and Form(row.form) is Form.ABSOLUTE:
        return  # a write to 0 is simply sent again
    shown = shown_of(listing)
    rise = max(0, row.delta)
    highest = (shown.believed or 0) + rise if Form(row.form) is not Form.ABSOLUTE else row.quantity + row.unread
    put_shown(listing, fence.doubted(shown, highest, dead_us))


def doubt_call(conn: Connection, facts: Facts, intent_id: int, dead_us: int, now_us: int, note: str) -> Settled:
    """The outcome of a call is unknown: its rows may have been applied, until `dead_us` they still may be."""
    rows = outbox.rows_of_intent(conn, intent_id)
    listings = listing_rows.listings_by_id(conn, [row.listing_id for row in rows])
    for row in rows:
        _doubt(listings[row.listing_id], row, dead_us)
    listing_rows.save_shown(conn, list(listings.values()))
    outbox.set_intent(conn, intent_id, "done", note)
    done = Settled(outcomes={"in_doubt": len(rows)})
    done.refreshed = refresh_listings(conn, facts, list(listings), now_us, by_orders=True)
    return done


def undo_call(
    conn: Connection, facts: Facts, intent_id: int, now_us: int, note: str, *, bisect: bool = False
) -> Settled:
    """Nothing of a call was applied: its rows stay queued. `bisect`: send them in smaller calls.

    Few malls promise that a refused call of several rows left the good ones alone: what they cost stays booked until
    the listing is read back or a later number is proven.
    """
    rows = outbox.rows_of_intent(conn, intent_id)
    listings = listing_rows.listings_by_id(conn, [row.listing_id for row in rows])
    for row in rows:
        listing = listings[row.listing_id]
        known = not bisect or len(rows) == 1
        have = exposure_of(listing)
        put_exposure(listing, escrow.refused(have, row.cost) if known else escrow.lost(have, now_us))
    listing_rows.save_exposure(conn, list(listings.values()))
    outbox.set_intent(conn, intent_id, "done", note)
    if bisect:
        size = smaller_call(len(rows))
        outbox.send_alone(conn, [(size, row.listing_id) for row in rows])
    return Settled(outcomes={"untouched": len(rows)})


def recover(conn: Connection, facts: Facts, shop: ShopFacts, now_us: int) -> int:
    """At start: every call that was under way is in doubt, before the first poll (R10). Returns rows in doubt."""
    doubts = 0
    for intent in outbox.live_intents(conn, shop.id, "open"):
        done = doubt_call(conn, facts, intent.id, max(intent.dead_us, now_us), now_us, "found open at start")
        doubts += done.outcomes["in_doubt"]
    return doubts
