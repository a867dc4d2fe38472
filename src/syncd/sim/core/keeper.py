"""The daemon's decisions over rows in memory: orders in, exposures, modes, targets, wishes.

Each function is what the daemon does in one transaction, with the same pure functions. `Desk` is what they all
work on; writes are planned and answered in `writing.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from syncd.core import escrow, fence, planner
from syncd.core.demand import Seller, blind_seconds, expected_blind, seen, weights
from syncd.core.fence import GRAIN_US
from syncd.core.ledger import booked_now, changes, is_older
from syncd.core.policy import Kind, Mode, decide, next_change_us
from syncd.core.shares import UnderWay, goals, holder, shares
from syncd.model import Counts, Lane, Returns, Source
from syncd.sim.core.assumptions import SECOND_US, WATCH_SECONDS, WATCH_SHARE
from syncd.sim.core.calendar import Calendar, Rank
from syncd.sim.core.habits import Habit
from syncd.sim.core.market import Market, State
from syncd.sim.core.rows import Books, Line, Listing, Shop, Sku

MOST = 99_999
SOON_US = 5 * SECOND_US
MEASURE_EVERY = 16


class Keeper:
    """What is held, and what is decided. Every method is one turn at one moment of the calendar."""

    def __init__(self, calendar: Calendar, market: Market, habit: Habit, skus: list[Sku], shops: list[Shop]) -> None:
        self.calendar, self.market, self.habit = calendar, market, habit
        self.skus, self.shops = skus, shops
        self.listings = [listing for sku in skus for listing in sku.listings]
        self.books = Books()
        self.margin_us = GRAIN_US
        self.batch_us = int(habit.batch * SECOND_US)
        self.stockout_us = int(habit.stockouts * SECOND_US)
        self.poll_us = [int(self._poll_seconds(shop) * SECOND_US) for shop in shops]
        self.bound_us = [int(shop.model.bound * SECOND_US) for shop in shops]
        self.drain_us = max(self.bound_us) + 2 * max(self.poll_us) + 300 * SECOND_US
        self.wake: Callable[[Shop], None] = lambda shop: None
        self.pushes = 0
        for shop in shops:
            shop.blind = blind_seconds(shop.lags, shop.assumed)

    def _poll_seconds(self, shop: Shop) -> float:
        if self.habit.instant:
            return 0.0
        return shop.model.poll if self.habit.polls is None else self.habit.polls

    # -- orders ------------------------------------------------------------------------------------------------

    def expect(self, shop: Shop, visible_us: int) -> None:
        """Something becomes readable then: the next poll finds it. Polls that find nothing cost nothing here."""
        self.calendar.at(self.poll_after(shop, visible_us), Rank.POLL, self.poll, shop)

    def poll_after(self, shop: Shop, at_us: int) -> int:
        """The first poll of a shop at or after that time."""
        every = self.poll_us[shop.index]
        return at_us if not every else -(-at_us // every) * every

    def polled_us(self, shop: Shop) -> int:
        """When the newest whole read of a shop's orders began."""
        every, now = self.poll_us[shop.index], self.calendar.now_us
        if shop.opens_us > now:
            now = min(now, shop.shut_us)
        return max(shop.polled_us, now if not every else now // every * every)

    def watermark_us(self, shop: Shop) -> int:
        """Every order accepted before that time is booked, if V holds."""
        return self.polled_us(shop) - self.bound_us[shop.index] - self.margin_us

    def poll(self, shop: Shop) -> None:
        """Read and book what is new."""
        now = self.calendar.now_us
        if shop.opens_us > now:
            self.calendar.at(shop.opens_us, Rank.POLL, self.poll, shop)
            return
        before_us, shop.polled_us = shop.polled_us, now
        touched: dict[int, Sku] = {}
        for state in self.market.read_orders(shop.index, now):
            self._book(shop, state, before_us, touched)
        for sku in touched.values():
            self.refresh(sku)

    def _book(self, shop: Shop, state: State, before_us: int, touched: dict[int, Sku]) -> None:
        """One state, in one transaction: idempotent, older ones ignored (R5)."""
        order, cancelled, back, as_of_us = state
        line, lines = self.books.lines.get(order.number), self.books.lines
        new = line is None
        if line is None:
            lines[order.number] = line = Line(as_of_us)
        elif is_older(as_of_us, Source.API, line.as_of_us, Source.API):
            self.books.older += 1
            return
        booked = booked_now(Counts(order.units, cancelled), opened=False, returns=Returns.NEVER, ignored=0)
        returned = back - line.back
        if booked == line.booked and not returned and not new:
            self.books.same += 1
            return
        listing = self.listings[order.listing]
        for change in changes({listing.sku.index: 1}, line.booked, booked, inside_opening={}):
            listing.sku.free += change.free
        freed = cancelled - line.cancelled
        line.as_of_us, line.booked, line.cancelled, line.back = as_of_us, booked, cancelled, back
        touched[listing.sku.index] = listing.sku
        if new:
            self._sold(shop, listing, order.units, order.placed_us, before_us)
        if freed:
            self._cancelled(shop, listing, freed, returned, as_of_us)

    def _sold(self, shop: Shop, listing: Listing, units: int, placed_us: int, before_us: int) -> None:
        """An own sale: beliefs, bounds, demand and what read-back had found of it (R5)."""
        now, margin = self.calendar.now_us, self.margin_us
        self.market.unbooked[listing.index] -= units
        listing.shown = fence.sold(listing.shown, units, placed_us, placed_us, margin)
        for row in listing.calls:
            old = placed_us < row.began_us - margin
            row.sold_old += units if old else 0
            row.sold_new += 0 if old else units
        if listing.found and placed_us <= listing.found_us:
            known = min(units, listing.found)
            listing.found -= known
            listing.sku.found -= known
        if listing.shown.verify:
            self.look_again(listing, now + SOON_US)
        if self.habit.bounds:
            listing.exposure = escrow.sold(listing.exposure, units, placed_us, placed_us, margin)
            listing.demand = seen(listing.demand, units, now)
            shop.demand = seen(shop.demand, units, now)
            self._measure(shop, placed_us, before_us)

    def _measure(self, shop: Shop, placed_us: int, before_us: int) -> None:
        """What part of the delay was the shop's, what part was ours, as far as one can tell them apart."""
        from_us = max(before_us, placed_us)
        shop.lags.visibility.add((from_us - placed_us) / 1e6)
        shop.lags.poll.add((self.calendar.now_us - from_us) / 1e6)
        shop.measured += 1
        if shop.measured % MEASURE_EVERY == 0:
            shop.blind = blind_seconds(shop.lags, shop.assumed)

    def _cancelled(self, shop: Shop, listing: Listing, units: int, back: int, as_of_us: int) -> None:
        """Units were cancelled; `back` of them the shop put on sale again (R6). Where nobody knows, all may be."""
        now = self.calendar.now_us
        listing.sku.raised_us = now
        self.market.unbooked[listing.index] += back
        told = units if shop.restocks is None else back
        if not told:
            return
        sure = shop.restocks is not None
        listing.shown = fence.restocked(listing.shown, told, as_of_us, as_of_us, self.margin_us, certain=sure)
        for row in listing.calls:
            row.back += told
        if listing.shown.verify:
            self.look_again(listing, now + SOON_US)
        if self.habit.bounds:
            listing.exposure = escrow.put_back(listing.exposure, told)

    # -- modes and targets ---------------------------------------------------------------------------------------

    def refresh(self, sku: Sku) -> None:
        """Decide how the SKU is shown, bring targets and wishes in line. Level-triggered: asked after any change."""
        now = self.calendar.now_us
        before = sku.decision
        m = self._expected(sku, now) if sku.policy.kind is Kind.AUTO else 0.0
        sku.decision = decide(sku.policy, sku.free - sku.found, m, now, before, drain_us=self.drain_us)
        if sku.decision.mode is not before.mode or sku.decision.reserve != before.reserve:
            sku.changed_us = now
        if sku.decision.mode is Mode.ESCROW:
            self._share_out(sku, now)
        else:
            for listing in sku.listings:  # what read-back found on a page is taken off the others only
                shown = sku.decision.shown(sku.free - sku.found + listing.found)
                listing.target = planner.finish(shown, sku.index, 0, 1, MOST, {})
        for listing in sku.listings:
            self._wish(listing, now)
        if sku.decision.watched and not before.watched and self.habit.low:
            for listing in sku.listings:
                self.watch(listing, now)
        if sku.policy.kind is Kind.AUTO or sku.policy.sale_from_us is not None:
            self._set_timer(sku, now)

    def _expected(self, sku: Sku, now_us: int) -> float:
        sellers = [Seller(one.demand, one.shop.blind) for one in sku.listings if one.demand.at_us]
        return expected_blind(sellers, now_us) if sellers else 0.0

    def _set_timer(self, sku: Sku, now_us: int) -> None:
        when_us = next_change_us(sku.policy, now_us, sku.decision, drain_us=self.drain_us)
        if when_us is not None and not now_us < sku.timer_us <= when_us:
            sku.timer_us = when_us
            self.calendar.at(when_us, Rank.TIMER, self._timer, sku)

    def _timer(self, sku: Sku) -> None:
        if 0 < sku.timer_us <= self.calendar.now_us:
            sku.timer_us = 0
            self.refresh(sku)

    def _share_out(self, sku: Sku, now_us: int) -> None:
        """Escrow: each listing shows its share; rights move in the demarcation order."""
        total = sku.free - sku.decision.reserve
        by = weights(
            {one.index: one.demand for one in sku.listings},
            {one.index: one.shop.demand.day for one in sku.listings},
            now_us,
        )
        holders = {
            one.index: holder(one.shown, one.exposure, one.shop.model.forms, self._under_way(one))
            for one in sku.listings
        }
        aims = goals(total, shares(total, by), holders)
        for one in sku.listings:
            one.target = aims[one.index]

    @staticmethod
    def _under_way(listing: Listing) -> UnderWay | None:
        if not listing.calls:
            return None
        plan = listing.calls[-1].plan
        return UnderWay(plan.write.form, plan.write.quantity, plan.delta)

    def _wish(self, listing: Listing, now_us: int) -> None:
        """Bring one listing's place in the queue in line with target and belief."""
        shop, shown = listing.shop, listing.shown
        if listing.not_before_us > now_us or not planner.needs_push(listing.target, shown):
            if listing.lane is not None:
                self.drop_wish(listing)
            return
        lane = planner.lane_of(listing.target, None, shown)
        decision = listing.sku.decision
        if self.habit.instant or decision.mode is Mode.ESCROW or (self.habit.low and decision.jumps):
            lane = Lane.STOCKOUT
        if listing.lane is lane:
            return
        if listing.lane is not None:
            self.drop_wish(listing)
        else:
            listing.since_us = now_us
        listing.lane = lane
        if lane is Lane.STOCKOUT:
            every = self.stockout_us
            listing.due_us = now_us if not every else -(-now_us // every) * every
            shop.stockout[listing.index] = listing
        else:
            # what the batch's own poll finds goes with that batch
            every = self.batch_us
            on_tick = self.habit.polls is not None and now_us % every == 0
            listing.due_us = now_us if on_tick else planner.next_tick_us(now_us, every)
            shop.batch[listing.index] = listing
        self.wake(shop)

    @staticmethod
    def drop_wish(listing: Listing) -> None:
        """The listing shows what it must, or its wish goes."""
        listing.shop.stockout.pop(listing.index, None)
        listing.shop.batch.pop(listing.index, None)
        listing.lane = None

    def answered(self, listing: Listing) -> None:
        """A write or a proof of the listing was settled: its wish follows; in escrow, rights may have come free."""
        if listing.sku.decision.mode is Mode.ESCROW or listing.found:
            self.refresh(listing.sku)
        else:
            self._wish(listing, self.calendar.now_us)

    # -- read-back -------------------------------------------------------------------------------------------------

    def watch_us(self, shop: Shop) -> int:
        """How often each watched listing of a shop is read, by what its calls allow."""
        model = shop.model
        return int(max(WATCH_SECONDS, shop.watched / model.reads / (model.calls * WATCH_SHARE)) * SECOND_US)

    def sold_unseen(self, listing: Listing) -> None:
        """The page changed and nobody told us: where it is watched, the next turn of reads will find it.

        Reads that find nothing new cost nothing here, though each shop's pace allows for them.
        """
        if self.habit.low and listing.sku.decision.watched:
            self.watch(listing, self.calendar.now_us)

    def watch(self, listing: Listing, from_us: int) -> None:
        """Have the listing read in the shop's next turn."""
        if listing.shop.model.reads and not listing.watch_us:
            every = self.watch_us(listing.shop)
            listing.watch_us = (from_us // every + 1) * every
            self.calendar.at(listing.watch_us, Rank.WATCH, self._watched, listing)

    def _watched(self, listing: Listing) -> None:
        """A number was read in a turn: what is missing against belief was sold unread."""
        now, shown = self.calendar.now_us, listing.shown
        listing.watch_us = 0
        if listing.shop.opens_us > now or listing.calls or shown.in_doubt or shown.believed is None:
            self.watch(listing, now)  # nobody knows what the page showed first
            return
        number = self.market.page[listing.index]
        if number > shown.believed:
            self._read(listing, number)
            return
        missing = shown.believed - number
        if missing != listing.found:
            listing.sku.found += missing - listing.found
            listing.found, listing.found_us = missing, now
            if missing:
                self.settle_later(listing, now)
            self.refresh(listing.sku)

    # -- proofs and doubts -------------------------------------------------------------------------------------------

    def settle_later(self, listing: Listing, proven_us: int) -> None:
        """Look at a proof again when the watermark can have passed it."""
        shop, now = listing.shop, self.calendar.now_us
        ripe_us = proven_us + self.bound_us[shop.index] + self.margin_us + 1
        due_us = self.poll_after(shop, max(ripe_us, shop.opens_us))
        if due_us <= now:  # the feed lags: a poll is still to come
            due_us = self.poll_after(shop, now + SECOND_US)
        if not 0 < listing.settle_us <= due_us:
            listing.settle_us = due_us
            self.calendar.at(due_us, Rank.SETTLE, self._settle, listing)

    def _settle(self, listing: Listing) -> None:
        """The barrier (R4, R8), and the fence's own settlement of reads and of unread units."""
        if not 0 < listing.settle_us <= self.calendar.now_us:
            return  # another turn was faster
        listing.settle_us = 0
        watermark_us, shown = self.watermark_us(listing.shop), listing.shown
        if shown.seen is not None and shown.seen_us <= watermark_us:
            listing.shown = fence.settle(shown).shown
        elif shown.unread and shown.base_us <= watermark_us:
            listing.shown = fence.expire(shown).shown
            for row in listing.calls:
                row.sold_old += row.plan.unread
        if self.habit.bounds:
            listing.exposure = escrow.barrier(listing.exposure, watermark_us)
        stale_find = listing.found and listing.found_us <= watermark_us
        if stale_find:  # every order from before it is booked: what still seems missing was no sale
            listing.sku.found -= listing.found
            listing.found = 0
        self.follow_up(listing)
        if stale_find:
            self.refresh(listing.sku)
        else:
            self.answered(listing)

    def follow_up(self, listing: Listing) -> None:
        """Whatever of a listing still waits for something gets its time."""
        shown, have = listing.shown, listing.exposure
        waits = [at for at, is_so in (
            (shown.seen_us, shown.seen is not None), (shown.base_us, shown.unread > 0),
            (have.proven_us, self.habit.bounds and have.proven is not None), (listing.found_us, listing.found > 0),
        ) if is_so]  # fmt: skip
        if waits:
            self.settle_later(listing, min(waits))
        now = self.calendar.now_us
        if shown.doubt_us is not None and shown.seen is None:
            self.look_again(listing, max(now, shown.doubt_us) + 1)
        elif self.habit.bounds and (have.dead_us is not None or (not have.is_known and have.proven is None)):
            self.look_again(listing, max(now, have.dead_us or 0) + 1)
        elif shown.verify and shown.seen is None:
            self.look_again(listing, now + SOON_US)

    def look_again(self, listing: Listing, at_us: int) -> None:
        """Read the listing's number back then (or forget it, where nothing can be read)."""
        if not listing.again_us:
            listing.again_us = at_us
            self.calendar.at(at_us, Rank.WATCH, self._again, listing)

    def _again(self, listing: Listing) -> None:
        listing.again_us = 0
        now, shown = self.calendar.now_us, listing.shown
        if listing.calls or listing.shop.opens_us > now:
            self.look_again(listing, max(listing.shop.opens_us, now + SOON_US))
            return
        dead_us = max(shown.doubt_us or 0, listing.exposure.dead_us or 0)
        if dead_us > now:
            self.look_again(listing, dead_us + 1)
        elif listing.shop.model.reads:
            self._read(listing, self.market.page[listing.index])
        elif shown.in_doubt or shown.believed is None or shown.verify or listing.exposure.dead_us is not None:
            listing.shown = fence.Shown(base_us=now)  # nothing can be read here: written anew, from nothing known
            self.refresh(listing.sku)

    def sweep(self, shop: Shop) -> None:
        """The slow read of a whole shop: finds what a hand changed."""
        if shop.model.reads and shop.opens_us <= self.calendar.now_us:
            for listing in shop.listings:
                number, have = self.market.page[listing.index], listing.exposure
                differs = number != listing.shown.believed or (have.bound != number and have.proven is None)
                if differs and not listing.calls and not listing.shown.in_doubt:
                    self._read(listing, number)

    def received(self, sku: Sku, pieces: int) -> None:
        """Goods arrived, or were counted to be missing."""
        sku.free += pieces
        if pieces > 0:
            sku.raised_us = self.calendar.now_us
        self.refresh(sku)

    def _read(self, listing: Listing, number: int) -> None:
        """A read with no write under way: drift, doubts, limbo (R8, R11)."""
        now = self.calendar.now_us
        listing.shown = fence.read(listing.shown, number, now, now).shown
        if self.habit.bounds:
            listing.exposure = escrow.read(listing.exposure, number, now, now)
        self.follow_up(listing)
        self.refresh(listing.sku)
