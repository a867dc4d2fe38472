"""Calls out and answers in: the queue of each shop, what may be written now, and what an answer proves.

The order of things is the daemon's: plan by promise 4, guard and book (R1, R2), send, settle by the answer (R3, R4)
or by its loss (R7). `Wire` says how long everything takes; a rougher wire loses answers (`rough.py`).
"""

from __future__ import annotations

import random
from enum import Enum
from itertools import islice

from syncd.core import escrow, fence, planner
from syncd.core.planner import Evidence, Need, Plan
from syncd.core.policy import Mode
from syncd.core.values import replace
from syncd.model import Lane
from syncd.sdk.capabilities import Form
from syncd.sdk.channel import Accepted, Reason, Rejected, StockWrite
from syncd.sim.core.assumptions import CALL_SECONDS, COLLECT_SECONDS, READ_SECONDS, SECOND_US, ShopModel
from syncd.sim.core.calendar import Rank
from syncd.sim.core.keeper import MOST, Keeper
from syncd.sim.core.rows import Call, Listing, Row, Shop

CALL_US = int(CALL_SECONDS * SECOND_US)
READ_US = int(READ_SECONDS * SECOND_US)
COLLECT_US = int(COLLECT_SECONDS * SECOND_US)
OVERTAKEN_US = 2 * SECOND_US
SCARCE_SECONDS = 0.2
NEVER_US = 2**62
AGAIN_US = 30 * SECOND_US
STALE_AFTER_US = 300 * SECOND_US
Numbers = dict[int, int]


class Ending(Enum):
    """How a call ended for us."""

    ANSWERED = "answered"
    LOST = "lost"
    REFUSED = "refused"  # for certain, before anything changed


class Wire:
    """When a call takes effect and when we hear of it. Each shop's delays are drawn from its own seed."""

    def __init__(self, shops: tuple[ShopModel, ...], seed: int) -> None:
        self._chance = [random.Random(f"wire {seed} {shop.name}") for shop in shops]  # noqa: S311  # a play must repeat

    def times(self, shop: Shop, now_us: int) -> tuple[int, int]:
        """(takes effect, answered)."""
        applies = shop.model.applies
        if applies is None:
            return now_us + CALL_US // 2, now_us + CALL_US
        low, high = applies
        effect_us = now_us + int((low + (high - low) * self._chance[shop.index].random()) * SECOND_US)
        return effect_us, -(-effect_us // COLLECT_US) * COLLECT_US

    def fate(self, shop: Shop, now_us: int) -> tuple[int | None, int, Ending]:
        """(takes effect, ended, how it ended for us). A calm wire answers every call."""
        effect_us, answer_us = self.times(shop, now_us)
        return effect_us, answer_us, Ending.ANSWERED


class Writer:
    """The writing loops of all shops."""

    def __init__(self, keeper: Keeper, wire: Wire) -> None:
        self.keeper, self.calendar, self.market, self.wire = keeper, keeper.calendar, keeper.market, wire
        self.habit, self.bounds = keeper.habit, keeper.habit.bounds
        self.gap_us = [int(SECOND_US / shop.model.calls) for shop in keeper.shops]
        self.upload_us = [int(shop.model.uploads * SECOND_US) for shop in keeper.shops]
        self.clog = [0] * len(keeper.shops)
        self.clog_us = 0
        self.calls = 0
        keeper.wake = self.wake

    def clog_all(self, rows: int, now_us: int) -> None:
        """So many other rows of every shop want to go with the next batch."""
        self.clog = [rows] * len(self.clog)
        self.clog_us = planner.next_tick_us(now_us, self.keeper.batch_us)
        for shop in self.keeper.shops:
            self._at(shop, self.clog_us)

    # -- the queue ---------------------------------------------------------------------------------------------

    def wake(self, shop: Shop) -> None:
        """Something waits for this shop: have it looked at when it is due and a call may leave."""
        due_us = NEVER_US
        if shop.stockout:
            due_us = next(iter(shop.stockout.values())).due_us
        if shop.batch:
            due_us = min(due_us, next(iter(shop.batch.values())).due_us)
        if self.clog[shop.index]:
            due_us = min(due_us, self.clog_us)
        if due_us is not NEVER_US:
            self._at(shop, due_us)

    def _at(self, shop: Shop, due_us: int) -> None:
        when_us = max(due_us, self.calendar.now_us)
        if not self.habit.instant:
            when_us = max(when_us, shop.slot_us)
            every = self.upload_us[shop.index]
            when_us = -(-when_us // every) * every if every else when_us
        if not self.calendar.now_us <= shop.dispatch_us <= when_us:
            shop.dispatch_us = when_us
            self.calendar.at(when_us, Rank.DISPATCH, self.dispatch, shop)

    def dispatch(self, shop: Shop) -> None:
        """Make the next call: stockouts first, then what is due, then rows that ride free."""
        now = self.calendar.now_us
        if not 0 < shop.dispatch_us <= now:
            return  # another turn was faster
        shop.dispatch_us = 0
        rows: list[Row] = []
        to_read: list[Listing] = []
        for listing, plan in self._plans(shop, self._choose(shop, now), now, {}):
            if plan is Need.STOCK_READ:
                to_read.append(listing)
            elif isinstance(plan, Plan):
                self._take(listing, plan, now, rows)
            else:
                self._wait(listing, plan)
        if rows:
            self._send(shop, rows, now)
        if to_read:  # rows that need a read are written right after it; meanwhile they are no more in the queue
            for listing in to_read:
                self.keeper.drop_wish(listing)
            shop.slot_us = max(shop.slot_us, now + self.gap_us[shop.index])
            self.calendar.at(now + READ_US, Rank.WATCH, self._read_and_send, (shop, to_read, now))
        self.wake(shop)

    def _choose(self, shop: Shop, now: int) -> list[Listing]:
        most = shop.model.rows
        rows = [one for one in islice(shop.stockout.values(), most) if one.due_us <= now]
        rides = not rows or shop.model.calls * SCARCE_SECONDS <= 1.0
        if self.clog[shop.index] and now >= self.clog_us and rides and len(rows) < most:
            others = min(self.clog[shop.index], most - len(rows))
            self.clog[shop.index] -= others
            most -= others
            shop.slot_us = now + self.gap_us[shop.index]
        if rides and len(rows) < most and self.habit.fenced:
            rows += islice(shop.batch.values(), most - len(rows))
        elif rides and len(rows) < most:
            rows += [one for one in islice(shop.batch.values(), most - len(rows)) if one.due_us <= now]
        return rows

    def _wait(self, listing: Listing, need: Need | None) -> None:
        """A row that cannot go now leaves the queue; what it waits for brings it back."""
        self.keeper.drop_wish(listing)
        if need in (Need.ORDER_READ, Need.STOCK_READ):
            wait_us = max(SECOND_US, self.keeper.poll_us[listing.shop.index])
            self.calendar.at(self.calendar.now_us + wait_us, Rank.SETTLE, self._back, listing)
        elif need is Need.DOUBT:
            self.keeper.follow_up(listing)

    def _back(self, listing: Listing) -> None:
        self.keeper.refresh(listing.sku)

    # -- planning ----------------------------------------------------------------------------------------------

    def _plan(self, listing: Listing, now: int, number: int | None) -> Plan | Need | None:
        """What to write of a listing now; None while an earlier write of it is open."""
        model, shown, target = listing.shop.model, listing.shown, listing.target
        if listing.calls and not self._may_overtake(listing):
            return None
        if not self.habit.fenced:
            believed = shown.believed or 0
            if believed == target:
                return Need.NOTHING
            return Plan(StockWrite(listing.name, Form.ABSOLUTE, target), target - believed)
        raised_us = listing.sku.raised_us
        seen = Evidence(now, model.reads > 0, True, listing.shop.polled_us, raised_us, number, now)
        return planner.plan_write(listing.name, target, shown, model.forms, seen)

    def _plans(
        self, shop: Shop, listings: list[Listing], now: int, numbers: Numbers
    ) -> list[tuple[Listing, Plan | Need | None]]:
        """What to write of each, all from one view of the rows; orders are read first where one needs it."""
        plans = [(listing, self._plan(listing, now, numbers.get(listing.index))) for listing in listings]
        unread = shop.polled_us < now and shop.opens_us <= now
        if unread and any(plan is Need.ORDER_READ for _, plan in plans):
            self.keeper.poll(shop)
            plans = [(listing, self._plan(listing, now, numbers.get(listing.index))) for listing in listings]
        return plans

    @staticmethod
    def _may_overtake(listing: Listing) -> bool:
        """A write to 0 overtakes an open write, but not another write to 0 (R9)."""
        return listing.target == 0 and not any(
            row.plan.write.form is Form.ABSOLUTE and row.plan.write.quantity == 0 for row in listing.calls
        )

    def _take(self, listing: Listing, plan: Plan, now: int, rows: list[Row]) -> None:
        """Guard the row and book it before it leaves (R1, R2)."""
        write = plan.write
        cost = 0
        if self.bounds:
            cost = escrow.cost_of(write.form, write.quantity, write.expected)
            if cost and listing.sku.decision.mode is Mode.ESCROW and not self._may_raise(listing, cost):
                self._put_off(listing, now + AGAIN_US)  # a credit may bring rights, a read a feed that is not stale
                return
            listing.exposure = escrow.sent(listing.exposure, cost)
        alone = not listing.calls and max(listing.shown.doubt_us or 0, listing.exposure.dead_us or 0) <= now
        for other in listing.calls:
            other.alone = False
        since_us = listing.since_us if listing.lane is not None else now
        row = Row(listing, plan, listing.target, cost, now, since_us, listing.lane or Lane.BATCH, alone)
        listing.calls.append(row)
        self.keeper.drop_wish(listing)
        rows.append(row)

    def _may_raise(self, listing: Listing, cost: int) -> bool:
        sku, shop = listing.sku, listing.shop
        if escrow.feed_is_stale(self.keeper.polled_us(shop), self.calendar.now_us, STALE_AFTER_US):
            return False  # R12
        holdings = [escrow.Holding(one.exposure.bound) for one in sku.listings]
        left = escrow.rights_left(sku.free - sku.decision.reserve, holdings)
        return left is not None and left >= cost

    # -- sending -----------------------------------------------------------------------------------------------

    def _read_and_send(self, asked: tuple[Shop, list[Listing], int]) -> None:
        """The fence: the shop's own numbers, right before the write."""
        shop, listings, _began_us = asked
        now = self.calendar.now_us
        if shop.opens_us > now:
            for listing in listings:
                self._put_off(listing, shop.opens_us)
            return
        free = [listing for listing in listings if not listing.calls]
        numbers = {listing.index: self.market.page[listing.index] for listing in free}
        for listing in free:
            self._seen(listing, numbers[listing.index], now)
        for listing in free:  # whatever wished for them meanwhile is served now
            self.keeper.drop_wish(listing)
        rows: list[Row] = []
        for listing, plan in self._plans(shop, free, now, numbers):
            if isinstance(plan, Plan):
                self._take(listing, plan, now, rows)
            else:
                self._wait(listing, plan)
        if rows:
            self._send(shop, rows, now)
        for listing in listings:
            if listing.calls and listing.lane is None and not any(row.began_us == now for row in listing.calls):
                self.keeper.refresh(listing.sku)  # another call was faster
        self.wake(shop)

    def _seen(self, listing: Listing, number: int, now: int) -> None:
        """A fenced read tells as much as any other; the units that are missing were sold unread."""
        shown = listing.shown
        if shown.believed is None or shown.verify or number > shown.believed or shown.in_doubt:
            listing.shown = fence.read(shown, number, now, now).shown
            if self.bounds:
                listing.exposure = escrow.read(listing.exposure, number, now, now)
            self.keeper.follow_up(listing)
        elif self.habit.low and shown.believed - number != listing.found:
            missing = shown.believed - number
            listing.sku.found += missing - listing.found
            listing.found, listing.found_us = missing, now
            if missing:
                self.keeper.settle_later(listing, now)
            self.keeper.refresh(listing.sku)

    def _send(self, shop: Shop, rows: list[Row], now: int) -> Call:
        call = Call(shop, rows, now)
        self.calls += 1
        self.keeper.pushes += len(rows)
        shop.slot_us = now + self.gap_us[shop.index]
        effect_us, ended_us, ending = self.wire.fate(shop, now)
        if effect_us is not None:
            self.calendar.at(effect_us, Rank.APPLY, self._apply, call)
        if ending is Ending.ANSWERED:
            self.calendar.at(ended_us, Rank.ANSWER, self._answer, call)
        else:
            self.calendar.at(ended_us, Rank.ANSWER, self._lost if ending is Ending.LOST else self._refused, call)
        return call

    def _apply(self, call: Call) -> None:
        for position, row in enumerate(call.rows):
            if row.outcome is None:
                row.outcome = self.market.write(row.listing.index, row.plan.write, position)

    def _answer(self, call: Call) -> None:
        if call.crashed:
            return
        now, shop = self.calendar.now_us, call.shop
        for row in call.rows:
            listing = row.listing
            listing.calls.remove(row)
            if self.bounds and row.lane is Lane.STOCKOUT:
                shop.lags.queue.add((row.began_us - row.since_us) / 1e6)
                shop.lags.apply.add((now - row.began_us) / 1e6)
            if isinstance(row.outcome, Rejected):
                self._rejected(row, row.outcome)
            elif row.outcome is not None:
                self._accepted(row, row.outcome, now)
            self.keeper.follow_up(listing)
            self.keeper.answered(listing)
        self.wake(shop)

    def _accepted(self, row: Row, outcome: Accepted, now: int) -> None:
        listing, write = row.listing, row.plan.write
        shown, form = listing.shown, write.form
        listing.told_us = now
        if self.bounds:
            self._credit(row, outcome, now)
        if form is Form.ABSOLUTE and write.quantity == 0 and not row.alone:
            # which write landed last is unknown: written again after the dead time
            until_us = max(shown.doubt_us or 0, listing.exposure.dead_us or 0, now + OVERTAKEN_US)
            listing.shown = fence.doubted(shown, 0, until_us)
            self._put_off(listing, until_us)
            return
        if form is Form.ABSOLUTE:
            listing.shown = fence.wrote_number(
                shown, write.quantity, unread=row.plan.unread, sold_old=row.sold_old, sold_new=row.sold_new,
                restocked=row.back, ended_us=now, began_us=row.began_us,
            )  # fmt: skip
            return
        if form is Form.RELATIVE_CLAMPS and not outcome.quantity_after and row.plan.delta < 0:
            listing.shown = replace(shown, verify=True)
            return
        shown = fence.wrote_change(shown, row.plan.delta)
        if form is Form.COMPARE_AND_SET:
            shown = replace(shown, unread=min(shown.unread, row.plan.unread), verify=False)
        listing.shown = shown

    def _credit(self, row: Row, outcome: Accepted, now: int) -> None:
        listing, write = row.listing, row.plan.write
        if write.form is Form.ABSOLUTE:
            listing.exposure = escrow.accepted_number(
                listing.exposure, write.quantity, row.began_us, now, alone=row.alone
            )
            return
        credit = escrow.credit_of(write.form, write.quantity, write.expected, outcome.quantity_after)
        listing.exposure = escrow.accepted_change(listing.exposure, credit)

    def _rejected(self, row: Row, outcome: Rejected) -> None:
        """Refused for certain: nothing moved."""
        listing = row.listing
        if self.bounds:
            listing.exposure = escrow.refused(listing.exposure, row.cost)
        if outcome.reason in (Reason.STALE, Reason.BELOW_ZERO):
            reads = listing.shop.model.reads
            listing.shown = replace(listing.shown, verify=True) if reads else fence.forgotten(listing.shown)

    def _refused(self, call: Call) -> None:
        """Throttled, or closed: nothing of it changed, and its rows stay wished for."""
        if call.crashed:
            return
        for row in call.rows:
            row.listing.calls.remove(row)
            if self.bounds:
                row.listing.exposure = escrow.refused(row.listing.exposure, row.cost)
            self._put_off(row.listing, max(call.shop.opens_us, self.calendar.now_us + SECOND_US))

    def _lost(self, call: Call) -> None:
        if not call.crashed:
            self.doubt(call)

    def doubt(self, call: Call) -> None:
        """The answer is lost: its rows may have happened, and until the dead time they still may (R7, R10)."""
        now = self.calendar.now_us
        dead_us = now + int(call.shop.model.dead_after * SECOND_US)
        for row in call.rows:
            listing, write = row.listing, row.plan.write
            listing.calls.remove(row)
            if self.bounds:
                listing.exposure = escrow.lost(listing.exposure, dead_us)
            absolute = write.form is Form.ABSOLUTE
            if not absolute or write.quantity:
                highest = (listing.shown.believed or 0) + max(0, row.plan.delta)
                highest = write.quantity + row.plan.unread if absolute else highest
                listing.shown = fence.doubted(listing.shown, min(highest, MOST), dead_us)
            self.keeper.follow_up(listing)
            self._put_off(listing, now + SECOND_US)

    def _put_off(self, listing: Listing, until_us: int) -> None:
        """Not before that time."""
        listing.not_before_us = until_us
        self.keeper.drop_wish(listing)
        self.calendar.at(until_us, Rank.SETTLE, self._back, listing)
