"""The judge of the core layer: it knows the truth, and watches every sale, every write and every effect.

Checked at each of them, for the listing or the SKU concerned:

- a bound covers what its listing can still bring us: shown + sold and not booked <= bound;
- a SKU whose bounds together stay within its free stock is never oversold, however late anything is read;
- no stale raise (promise 4): no write leaves a page above what the rule chain gives with what we could know.

What a hand or a shop breaks is allowed for, unit by unit, and no more: `allowed`.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from operator import itemgetter

from syncd.core.policy import Mode
from syncd.sdk.capabilities import Form
from syncd.sdk.channel import Accepted, Rejected, StockWrite
from syncd.sim.core.assumptions import BEGIN_US, ShopModel
from syncd.sim.core.calendar import Calendar
from syncd.sim.core.keeper import Keeper
from syncd.sim.core.market import Market, State
from syncd.sim.core.rows import Call, Listing, Row, Shop, Sku
from syncd.sim.core.writing import Wire, Writer
from syncd.sim.outcome import Broken

KEPT = 60
MOST_BROKEN = 50


class Trace:
    """Everything that happened, as a hash; the last events of each SKU in words."""

    def __init__(self, calendar: Calendar, skus: int) -> None:
        self.calendar = calendar
        self.hash = sha256()
        self.last: list[deque[str]] = [deque(maxlen=KEPT) for _ in range(skus)]
        self.decisions: list[str] = []

    def note(self, sku: int, text: str) -> None:
        line = f"{(self.calendar.now_us - BEGIN_US) / 1e6:.3f} {text}"
        self.hash.update(line.encode())
        self.last[sku].append(line)


class JudgedMarket(Market):
    """The truth, with an eye on what the daemon holds."""

    def __init__(
        self, shops: tuple[ShopModel, ...], stock: tuple[int, ...], shown: list[int], seed: int, trace: Trace
    ) -> None:
        super().__init__(shops, stock, shown, seed)
        self.trace = trace
        self.skus: list[Sku] = []
        self.listings: list[Listing] = []
        self.allowed = [0] * len(stock)
        self.edited = [0] * len(shown)
        self.set_us = [0] * len(shown)  # when an absolute number last took effect, by the shop's clock
        self.by_channel = 0
        self.broken: list[Broken] = []

    def fail(self, sku: int, what: str) -> None:
        if len(self.broken) < MOST_BROKEN:
            self.broken.append(Broken(what=what, sku=f"sku-{sku}"))
        self.trace.note(sku, f"BROKEN {what}")

    def accept(self, sku: int, shop: int, listing: int, units: int, now_us: int) -> int:
        row = self.skus[sku]
        bounds = [one.exposure.bound for one in row.listings]
        known = [bound for bound in bounds if bound is not None and bound >= 0]
        covered = len(known) == len(bounds) and sum(known) + self.allowed[sku] <= row.free
        before, page = self.oversold, self.page[listing]
        visible_us = super().accept(sku, shop, listing, units, now_us)
        over = self.oversold - before
        self.trace.note(sku, f"sold {units} {self.listings[listing].name} shows {page}, {self.left[sku]} left")
        if page < units:
            self.by_channel += min(over, units - max(0, page))
            self.page[listing] = 0
            self.allowed[sku] += units - max(0, page)
            self.edited[listing] += units - max(0, page)
        elif over and covered:
            self.fail(sku, f"oversold {over} on {self.listings[listing].name} although all was booked before")
        self.check_bound(listing)
        return visible_us

    def check_bound(self, listing: int) -> None:
        """The invariant of escrow, for one listing."""
        one = self.listings[listing]
        bound = one.exposure.bound
        exposure = self.page[listing] + self.unbooked[listing]
        if bound is not None and exposure > bound + self.edited[listing]:
            self.fail(one.sku.index, f"{one.name} can bring {exposure}, its bound is {bound}: {one.exposure}")

    def write(self, listing: int, row: StockWrite, position: int) -> Accepted | Rejected:
        before = self.page[listing]
        outcome = super().write(listing, row, position)
        if row.form is Form.ABSOLUTE:
            self.set_us[listing] = self.stamp(self.listings[listing].shop.index, self.trace.calendar.now_us)
        result = f"{before} -> {self.page[listing]}" if isinstance(outcome, Accepted) else str(outcome.reason)
        self.trace.note(self.listings[listing].sku.index, f"applied {row.listing} {row.form} {row.quantity}: {result}")
        self.check_bound(listing)
        return outcome

    def edit(self, sku: int, listing: int, number: int) -> None:
        """A hand in the back office."""
        rise = max(0, number - self.page[listing])
        self.allowed[sku] += rise
        self.edited[listing] += rise
        self.page[listing] = number
        self.trace.note(sku, f"a hand set {self.listings[listing].name} to {number}")


class JudgedWriter(Writer):
    """Tells every decision, and judges what each may leave on its page."""

    def __init__(self, keeper: Keeper, wire: Wire, market: JudgedMarket) -> None:
        super().__init__(keeper, wire)
        self.judge, self.trace = market, market.trace
        self.stale = 0
        self.out: list[Call] = []

    def _send(self, shop: Shop, rows: list[Row], now: int) -> Call:
        for row in rows:
            listing, write = row.listing, row.plan.write
            text = f"{write.listing} {write.form} {write.quantity}"
            self.trace.note(listing.sku.index, f"sent {text}, {listing.sku.free} free, {listing.exposure.bound} bound")
            self.trace.decisions.append(f"{(now - BEGIN_US) / 1e6:.1f} {text}")
            page, limit = self.market.page[listing.index], self._may_show(listing, now)
            after = page + write.quantity if write.form.is_relative else write.quantity
            if write.form is Form.COMPARE_AND_SET and write.expected != page:
                continue  # refused as stale
            if after > max(page, limit) and not self._was_edited(listing):
                self.stale += 1
                self.judge.fail(listing.sku.index, f"stale raise of {listing.name} to {after}, {limit} was known")
        call = super()._send(shop, rows, now)
        self.out = [one for one in self.out if one.rows[0] in one.rows[0].listing.calls]
        self.out.append(call)
        return call

    def _was_edited(self, listing: Listing) -> bool:
        """A hand's number cannot be told from belief before it is read."""
        return self.judge.edited[listing.index] > 0

    def _may_show(self, listing: Listing, now: int) -> int:
        """What the chain gives with every own order that can be read now, and every other shop's that was read.

        Not counted are units that an absolute write wiped out unseen (sold between its read and its effect): no
        number tells of them, only their order, at the shop's next poll.
        """
        sku, feed, lines = listing.sku, self.market.feeds[listing.shop.index], self.keeper.books.lines
        newest: dict[int, State] = {}
        for visible_us, _, state in feed:
            order = state[0]
            if visible_us > now or order.listing != listing.index or order.number in lines:
                continue
            if order.placed_us > self.judge.set_us[listing.index]:
                newest[order.number] = max(newest.get(order.number, state), state, key=itemgetter(3))
        own = sum(order.units - cancelled for order, cancelled, *_ in newest.values())
        reserve = 0 if sku.decision.mode is Mode.ESCROW else sku.decision.reserve
        return max(0, sku.free - own - reserve)

    def crash(self) -> None:
        """The daemon dies: every call that is out is in doubt before anything else happens (R10)."""
        for call in self.out:
            if not call.crashed and any(row in row.listing.calls for row in call.rows):
                self.doubt(call)
                call.crashed = True
        self.out = []
