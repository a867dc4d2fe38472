"""One listing on one mall with its true number, and a keeper who only sees what a daemon can see.

The mall sells, cancels and shows its orders late, with stamps of whole seconds by a clock of its own. The keeper
polls, reads, writes and settles by the rules of `core/fence.py`, in the order in which the daemon calls them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from syncd.core import fence
from syncd.core.fence import GRAIN_US, Shown
from syncd.core.planner import Evidence, Plan, plan_write
from syncd.sdk.channel import Form

SECOND = 1_000_000
VISIBLE = 30 * SECOND
DEAD = 60 * SECOND
LONGEST_CALL = 50 * SECOND
BEGIN = 1_700_000_000 * SECOND


@dataclass(slots=True)
class Order:
    """One order of one line. `at` is true time; what the keeper sees are the stamps."""

    at: int
    units: int
    visible: int
    placed: int | None
    as_of: int
    cancelled: int = 0
    back: int = 0
    changed_visible: int = 0
    before_change: tuple[int, int, int] | None = None  # as it was shown before: cancelled, back, as_of
    known_as_of: int | None = None
    booked: int = 0
    booked_back: int = 0
    wiped: bool = False  # an absolute write put its units back on the page unread

    def seen_at(self, now: int) -> tuple[int, int, int] | None:
        """(cancelled, back, as_of) as the mall shows it now."""
        if now < self.visible:
            return None
        if self.before_change is not None and now < self.changed_visible:
            return self.before_change
        return self.cancelled, self.back, self.as_of


@dataclass(slots=True)
class Call:
    """A write under way."""

    plan: Plan
    began: int
    applied: bool | None = None  # None: not yet; False: refused
    sold_old: int = 0
    sold_new: int = 0
    restocked: int = 0


@dataclass(slots=True)
class Mall:
    """The truth and the keeper's belief. `stamps` 0 means to the microsecond."""

    page: int
    forms: frozenset[Form]
    reads_stock: bool = True
    skew: int = 0
    stamps: int = SECOND
    dated: bool = True
    now: int = BEGIN
    skew_bound: int = 0
    orders: list[Order] = field(default_factory=list)
    shown: Shown = field(default_factory=Shown)
    watermark: int = 0
    whole: int = 0
    told: int = 0
    raised: int = 0
    call: Call | None = None
    late: Call | None = None  # given up, may still be applied
    drifts: list[int] = field(default_factory=list)

    @property
    def margin(self) -> int:
        return self.skew_bound + GRAIN_US

    def stamp(self, at: int) -> int:
        theirs = at + self.skew
        return theirs - theirs % self.stamps if self.stamps else theirs

    # -- the mall ------------------------------------------------------------------------------------------

    def sell(self, units: int, late: int) -> None:
        units = min(units, self.page)
        if units:
            self.page -= units
            stamp = self.stamp(self.now)
            placed = stamp if self.dated else None
            self.orders.append(Order(self.now, units, self.now + late, placed, stamp))

    def cancel(self, which: int, late: int, *, restock: bool) -> None:
        open_orders = [one for one in self.orders if not one.cancelled]
        if not open_orders:
            return
        order = open_orders[which % len(open_orders)]
        order.before_change = (0, 0, order.as_of)
        order.cancelled, order.back = order.units, order.units if restock else 0
        order.as_of, order.changed_visible = self.stamp(self.now), self.now + late
        self.page += order.back

    def apply(self, call: Call) -> None:
        """The write takes effect, or is refused."""
        write = call.plan.write
        stale = write.form is Form.COMPARE_AND_SET and self.page != write.expected
        if stale or (write.form.is_relative and self.page + write.quantity < 0):
            call.applied = False
        else:
            call.applied = True
            self.page = self.page + write.quantity if write.form.is_relative else write.quantity
            if write.form is Form.ABSOLUTE:
                for order in self.orders:
                    order.wiped = order.wiped or order.booked < order.units

    # -- the keeper ----------------------------------------------------------------------------------------

    def poll(self) -> None:
        for order in self.orders:
            seen = order.seen_at(self.now)
            if seen is not None:
                self._book(order, *seen)
        self.whole = self.now
        self.watermark = max(self.watermark, self.now - VISIBLE - self.margin)
        self._settle()

    def _book(self, order: Order, _cancelled: int, back: int, as_of: int) -> None:
        sold, returned = order.units - order.booked, back - order.booked_back
        new = order.known_as_of is None
        earliest, latest = (self.watermark if order.known_as_of is None else order.known_as_of), as_of
        if new and order.placed is not None:
            earliest, latest = max(self.watermark, order.placed), order.placed
        order.known_as_of = as_of
        if not sold and not returned:
            return
        order.booked, order.booked_back = order.units, back
        if returned:
            self.shown = fence.restocked(self.shown, returned, earliest, as_of, self.margin, certain=True)
        if sold:
            self.shown = fence.sold(self.shown, sold, earliest, latest, self.margin)
        if self.call is not None:
            old = sold if latest < self.call.began - self.margin else 0
            self.call.sold_old += old
            self.call.sold_new += sold - old
            self.call.restocked += returned

    def _settle(self) -> None:
        shown = self.shown
        if shown.seen is not None and shown.seen_us <= self.watermark:
            finding = fence.settle(shown)
        elif shown.unread and shown.base_us <= self.watermark:
            finding = fence.expire(shown)
        else:
            return
        self.shown = finding.shown
        self._note(finding.drift)
        if self.call is not None:
            self.call.sold_old += self.call.plan.unread

    def _note(self, drift: int) -> None:
        if drift:
            self.drifts.append(drift)

    def read(self) -> int | None:
        """A stock read, unless a write may be under way."""
        if not self.reads_stock or self.call is not None or self.told >= self.now:
            return None
        if self.shown.doubt_us is not None and self.shown.doubt_us > self.now:
            return None
        before, number = self.shown, self.page
        finding = fence.read(before, number, self.now)
        self._note(finding.drift)
        self.shown = finding.shown
        quiet = not (before.unread or before.slack or before.verify or before.in_doubt)
        if number == before.believed and quiet:
            self.shown = replace(self.shown, seen=None)
        return number

    def begin(self, target: int) -> None:
        """Read what the fence asks for, and send."""
        if self.call is not None or self.late is not None:
            return
        self.poll()
        number = self.read()
        evidence = Evidence(self.now, self.reads_stock, True, self.whole, self.raised, number, self.now)
        made = plan_write("mug", target, self.shown, self.forms, evidence)
        if isinstance(made, Plan):
            self.call = Call(made, self.now)

    def answer(self) -> None:
        """The answer of the write under way arrives; it takes effect now at the latest."""
        call = self.call
        if call is None:
            return
        if call.applied is None:
            self.apply(call)
        self.call, write, shown = None, call.plan.write, self.shown
        if not call.applied:
            self.shown = replace(shown, verify=True) if self.reads_stock else fence.forgotten(shown)
            return
        self.told = self.now
        if write.form is Form.ABSOLUTE:
            self.shown = fence.wrote_number(
                shown, write.quantity, unread=call.plan.unread, sold_old=call.sold_old, sold_new=call.sold_new,
                restocked=call.restocked, ended_us=self.now, began_us=call.began,
            )  # fmt: skip
            return
        self.shown = fence.wrote_change(shown, call.plan.delta)
        if write.form is Form.COMPARE_AND_SET:
            self.shown = replace(self.shown, unread=min(self.shown.unread, call.plan.unread), verify=False)

    def lose(self) -> None:
        """The answer never comes; the write may have been applied, or is later."""
        call = self.call
        if call is None:
            return
        write, believed = call.plan.write, self.shown.believed or 0
        absolute = write.form is Form.ABSOLUTE
        highest = write.quantity + call.plan.unread if absolute else believed + max(0, call.plan.delta)
        self.shown = fence.doubted(self.shown, highest, self.now + DEAD)
        self.call, self.late = None, call if call.applied is None else None

    def land(self) -> None:
        """A write that was given up is applied after all."""
        if self.late is not None and self.shown.doubt_us is not None and self.now < self.shown.doubt_us:
            self.apply(self.late)
        self.late = None

    def wait(self, us: int) -> None:
        if self.call is not None and self.now + us - self.call.began > LONGEST_CALL:
            self.answer()  # a call takes no longer
        self.now += us
        doubt_us = self.shown.doubt_us
        if self.late is not None and doubt_us is not None and self.now >= doubt_us:
            self.late = None  # too old to be applied
        if doubt_us is not None and self.now >= doubt_us and not self.reads_stock:
            self.shown = Shown(base_us=self.now)

    # -- what must hold ------------------------------------------------------------------------------------

    @property
    def exposure(self) -> int:
        """What the page shows and has sold unread, without the units that an absolute write wiped out unseen."""
        kept = sum(one.units - one.booked for one in self.orders if not one.wiped)
        wiped = sum(one.units - one.booked for one in self.orders if one.wiped)
        back = sum(one.back - one.booked_back for one in self.orders)
        return self.page + kept + min(wiped, self.shown.unread) - back

    def believes_enough(self) -> bool:
        """The invariant. While a write is open or in doubt, nothing is written up, and it need not hold."""
        shown = self.shown
        if shown.believed is None or self.call is not None or shown.in_doubt:
            return True
        return shown.believed >= self.exposure

    def come_to_rest(self) -> None:
        """Everything is answered, booked, read and settled."""
        self.answer()
        for _ in range(2):
            self.wait(1000 * SECOND)
            self.poll()
            self.read()
            self.wait(1000 * SECOND)
            self.poll()
