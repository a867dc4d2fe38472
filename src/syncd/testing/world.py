"""The truth that all emulators share: what was really sold, really shown, and when it could be seen.

A `Market` is one account on one mall. Its emulator is a protocol skin over it: reads call `visible_orders` and
`shows`, writes call `write`. The world judges from outside, knowing what the daemon cannot: stale raises
(promise 4 of the design), units sold in the gap between read and write, and oversold pieces.
Synchronous, no I/O; time comes from the function it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from syncd.sdk.channel import Form, Reason
from syncd.testing.blame import Blame, Blames
from syncd.testing.truth import Refusal as Refusal
from syncd.testing.truth import Sent as Sent
from syncd.testing.truth import TruthLine as TruthLine
from syncd.testing.truth import TruthListing as TruthListing
from syncd.testing.truth import TruthOrder as TruthOrder

READ_IS_FRESH = timedelta(seconds=2)


class Market:
    """One account on one mall: listings, orders, and the mall's own way of counting.

    `skew` is how far its clock is ahead of ours: it stamps orders by it. `visible_after` draws how long one order
    takes to show; without it each takes `visibility`, the bound. `oversells_for` makes it a mall that sells below
    zero by itself: a checkout begun so shortly before a listing sold out settles too, and the page goes on to show 0.
    `sent` is set by an emulator while it applies a write that was held up on its way. `hides_changed`: its feed is so
    far behind the present that it shows a changed order again only after that time.
    """

    def __init__(
        self, world: World, name: str, *, visibility: timedelta, restocks_on_cancel: bool, floor: int = 0
    ) -> None:
        self.world = world
        self.name = name
        self.visibility = visibility
        self.restocks_on_cancel = restocks_on_cancel
        self.floor = floor
        self.skew = timedelta()
        self.visible_after: Callable[[], timedelta] | None = None
        self.oversells_for = timedelta()
        self.hides_changed = timedelta()
        self.sent: Sent | None = None
        self.listings: dict[str, TruthListing] = {}
        self.orders: dict[str, TruthOrder] = {}
        self.orders_read_at: datetime | None = None  # begin of the last whole order read
        self.next_number = 1
        self.tally: Counter[str] = Counter()
        self.watchers: list[Callable[[str], None]] = []

    # -- the mall's side ---------------------------------------------------------------------------------

    def offer(self, key: str, sku: str, *, shown: int, pack: int = 1, counted: bool = True) -> TruthListing:
        """Put a listing on sale."""
        listing = TruthListing(key, sku, pack, shown, counted, updated_at=self.world.now())
        self.listings[key] = listing
        self.world.sellers.setdefault(sku, []).append((self, listing))
        return listing

    def buy(self, lines: Mapping[str, int], *, number: str | None = None) -> TruthOrder | None:
        """A buyer's order; None when a listing shows too little. Takes the mall's own number down."""
        now = self.world.now()
        if not all(self._sells(self.listings[key], units, now) for key, units in lines.items()):
            self.tally["refused_buyers"] += 1
            return None
        if number is None:
            number = f"{self.name}-{self.next_number:07d}"
        self.next_number += 1
        truth_lines = [TruthLine(str(i + 1), key, units) for i, (key, units) in enumerate(lines.items())]
        delay = self.visibility if self.visible_after is None else self.visible_after()
        order = TruthOrder(number, truth_lines, now + self.skew, now, now + self.skew)
        for line in truth_lines:
            self._take_down(self.listings[line.listing], line.ordered, now)
        self._shows_from(order, now + delay)
        self.orders[number] = order
        self.tally["orders_placed"] += 1
        self.world.note_sale(self, order)
        for watcher in self.watchers:
            watcher(number)
        return order

    def _sells(self, listing: TruthListing, units: int, now: datetime) -> bool:
        """Whether a checkout of so many units settles."""
        if not listing.counted or listing.shown >= units:
            return True
        return listing.sold_out_at is not None and now - listing.sold_out_at <= self.oversells_for

    def _take_down(self, listing: TruthListing, units: int, now: datetime) -> None:
        if not listing.counted:
            return
        beyond = units - max(0, listing.shown)
        if beyond > 0:
            self.world.broke(listing, beyond, Blame.CHANNEL)
        elif beyond == 0:
            listing.sold_out_at = now
        listing.shown -= min(units, max(0, listing.shown))
        listing.updated_at = now

    def cancel(self, number: str, units: Mapping[str, int] | None = None) -> None:
        """Cancel an unshipped order, or so many units of its lines (line -> units)."""
        order = self.orders[number]
        now = self.world.now()
        for line in order.lines:
            taken = min(line.held, line.held if units is None else units.get(line.line, 0))
            line.cancelled += taken
            self._put_back(line, taken if self.restocks_on_cancel else 0, now)
        if all(line.held == 0 and not line.shipped for line in order.lines):
            order.cancelled_at = now + self.skew
        self._changed(order, now)

    def ship(self, number: str, units: Mapping[str, int] | None = None, *, tracking: str = "") -> None:
        """Ship all that an order still holds, or so many units of its lines (line -> units)."""
        order = self.orders[number]
        for line in order.lines:
            line.shipped += min(line.held, line.held if units is None else units.get(line.line, 0))
        if tracking:
            order.parcels.append(tracking)
        self._changed(order, self.world.now())

    def give_back(self, number: str, units: Mapping[str, int], *, restock: bool) -> None:
        """The buyer returns shipped goods."""
        order = self.orders[number]
        now = self.world.now()
        for line in order.lines:
            taken = min(line.shipped - line.returned, units.get(line.line, 0))
            line.returned += taken
            self._put_back(line, taken if restock else 0, now)
        self._changed(order, now)

    def hand_edit(self, key: str, shown: int) -> None:
        """Staff types a number into the mall's back office."""
        listing = self.listings[key]
        if shown > listing.shown:
            self.world.broke(listing, shown - listing.shown, Blame.HAND)
        listing.shown = shown
        listing.updated_at = self.world.now()

    def _put_back(self, line: TruthLine, units: int, now: datetime) -> None:
        listing = self.listings[line.listing]
        line.restocked += units
        if units and listing.counted:
            listing.shown += units
            listing.updated_at = now

    def _shows_from(self, order: TruthOrder, moment: datetime) -> None:
        """The feed shows an order from then on: late, where that is beyond the bound."""
        order.visible_at = max(order.visible_at, moment)
        if not order.late and order.visible_at - (order.placed_at - self.skew) > self.visibility:
            order.late = True
            for line in order.lines:
                self.world.broke(self.listings[line.listing], line.ordered, Blame.LATE)

    def _changed(self, order: TruthOrder, now: datetime) -> None:
        order.updated_at = max(now + self.skew, order.updated_at + timedelta(microseconds=1))
        if order.delivered_at is None and self.hides_changed:
            self._shows_from(order, now + self.hides_changed)
        self.world.note_change(self, order)
        for watcher in self.watchers:
            watcher(order.number)

    # -- the daemon's side, through the emulator -------------------------------------------------------

    def visible_orders(self, now: datetime | None = None) -> list[TruthOrder]:
        """Orders that the feed shows by now, oldest first."""
        now = now or self.world.now()
        return [order for order in self.orders.values() if order.visible_at <= now]

    def delivered(self, numbers: Iterable[str]) -> None:
        """An answer that shows these orders is leaving."""
        now = self.world.now()
        for number in numbers:
            order = self.orders.get(number)
            if order is not None and order.delivered_at is None:
                order.delivered_at = now
                self.world.note_delivered(self, order)

    def not_delivered(self, order: TruthOrder) -> None:
        """What held this order was lost on its way, or with the daemon."""
        order.delivered_at = None
        if self.hides_changed:
            self._shows_from(order, order.updated_at - self.skew + self.hides_changed)

    def read_orders_began(self, began: datetime) -> None:
        """A read that shows all orders visible at `began` is being answered."""
        self.orders_read_at = began

    def sent_now(self, keys: Iterable[str] | None = None) -> Sent:
        """This moment (when a call left that was held up), and which reads of these listings, or all, came before."""
        if self.sent is not None:
            return self.sent
        known = self.listings if keys is None else [key for key in keys if key in self.listings]
        numbers = {key: self.listings[key].read_at for key in known}
        unread = frozenset(name for name in self.world.markets if self.world.cannot_read(name))
        return Sent(self.world.now(), numbers, self.orders_read_at, unread)

    def shows(self, key: str, began: datetime | None = None) -> TruthListing | None:
        """What a stock read returns for a listing; None where the mall does not know it."""
        listing = self.listings.get(key)
        if listing is None or not listing.exists:
            return None
        listing.read_at = began or self.world.now()
        return listing

    def write(
        self, key: str, form: Form, quantity: int, expected: int | None = None, *, sent: Sent | None = None
    ) -> int:
        """Apply one row and return the number shown after it. Raises Refusal; judges what it leaves.

        A mall that takes a file in later than it was sent says when that was and which read came before it.
        """
        listing = self.listings.get(key)
        if listing is None or not listing.exists:
            raise Refusal(Reason.UNKNOWN_LISTING, key)
        before = listing.shown
        after = quantity
        if form is Form.COMPARE_AND_SET and expected is not None and before != expected:
            self.tally["stale_refused"] += 1
            raise Refusal(Reason.STALE, f"{key} shows {before}, not {expected}")
        if form.is_relative:
            after = before + quantity
            if after < self.floor and form is Form.RELATIVE_REFUSES:
                raise Refusal(Reason.BELOW_ZERO, key)
            if form is Form.RELATIVE_CLAMPS:
                after = max(self.floor, after)
        listing.shown = after
        listing.updated_at = self.world.now()
        self.tally["rows_written"] += 1
        self.world.judge_write(self, listing, form, before, expected, sent or self.sent)
        return after


class World:
    """All markets over one stock of goods, and the judge of what the daemon does."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.markets: dict[str, Market] = {}
        self.on_hand: dict[str, int] = {}
        self.parts: dict[str, dict[str, int]] = {}  # bundle -> {part: pieces}
        self.sellers: dict[str, list[tuple[Market, TruthListing]]] = {}
        self.held_back: Counter[str] = Counter()
        self.tally: Counter[str] = Counter()
        self.stale: list[str] = []
        self.blames = Blames()
        self.cannot_read: Callable[[str], bool] = lambda market: False  # its last answer may not have been believed
        self.sold_out_at: dict[str, tuple[str, TruthOrder]] = {}
        self._taken: Counter[str] = Counter()
        self._counted: dict[tuple[str, str], Counter[str]] = {}
        self._orders_of: dict[str, list[tuple[Market, TruthOrder]]] = {}

    def market(
        self, name: str, *, visibility_seconds: float = 0.0, restocks_on_cancel: bool = True, floor: int = 0
    ) -> Market:
        """Open an account on a mall."""
        market = Market(
            self,
            name,
            visibility=timedelta(seconds=visibility_seconds),
            restocks_on_cancel=restocks_on_cancel,
            floor=floor,
        )
        self.markets[name] = market
        return market

    def stock(self, sku: str, pieces: int) -> None:
        """Say how many pieces are physically there, before any order."""
        self.on_hand[sku] = pieces

    def receive(self, sku: str, pieces: int) -> None:
        """Goods arrive (or, negative, are found missing). Tell the daemon yourself."""
        self.on_hand[sku] += pieces
        if pieces < 0:
            self.blames.broke(sku, -pieces, Blame.MISSING, self.now())

    def broke(self, listing: TruthListing, units: int, blame: Blame) -> None:
        """Somebody else broke a condition of the guarantee by so many units of a listing."""
        for sku, pieces in self.pieces(listing.sku, units * listing.pack).items():
            self.blames.broke(sku, pieces, blame, self.now())

    def bundle(self, sku: str, parts: Mapping[str, int]) -> None:
        """Say what a bundle is made of."""
        self.parts[sku] = dict(parts)

    def pieces(self, sku: str, units: int = 1) -> Counter[str]:
        """Plain SKUs in so many of a SKU, bundles taken apart."""
        if sku not in self.parts:
            return Counter({sku: units})
        total: Counter[str] = Counter()
        for part, count in self.parts[sku].items():
            total += self.pieces(part, units * count)
        return total

    def _pieces_of(self, market: Market, order: TruthOrder) -> Counter[str]:
        total: Counter[str] = Counter()
        for line in order.lines:
            listing = market.listings[line.listing]
            total.update(self.pieces(listing.sku, (line.ordered - line.cancelled) * listing.pack))
        return total

    def free(self, taken: Mapping[str, int]) -> Callable[[str], int]:
        """Free pieces of a plain SKU given what orders took."""
        return lambda sku: self.on_hand.get(sku, 0) - taken.get(sku, 0) - self.held_back[sku]

    def there_are(self, sku: str) -> int:
        """Pieces of a plain SKU that no order has taken, read or not."""
        return self.on_hand.get(sku, 0) - self._taken[sku]

    def should_show(self, listing: TruthListing, taken: Mapping[str, int] | None = None) -> int:
        """What the rule chain gives for a listing when exactly those pieces are taken (all orders if None)."""
        free = self.free(self._taken if taken is None else taken)

        def number(sku: str) -> int:
            parts = self.parts.get(sku)
            return free(sku) if parts is None else min(number(part) // count for part, count in parts.items())

        return max(0, number(listing.sku) // listing.pack)

    # -- the judge -----------------------------------------------------------------------------------------

    def note_sale(self, market: Market, order: TruthOrder) -> None:
        """Count an accepted order, and what of it was oversold: pieces that were not there."""
        pieces_of = self._pieces_of(market, order)
        self._counted[market.name, order.number] = pieces_of
        for sku, pieces in pieces_of.items():
            self._orders_of.setdefault(sku, []).append((market, order))
            free = self.on_hand.get(sku, 0) - self._taken[sku]
            self._taken[sku] += pieces
            self._oversold(sku, min(pieces, pieces - free))
            if 0 < free <= pieces:
                self.sold_out_at[sku] = (market.name, order)

    def _oversold(self, sku: str, pieces: int) -> None:
        """Count pieces sold that are not there, and whose fault they are."""
        if pieces > 0:
            self.tally["oversold"] += pieces
            for blame, count in self.blames.of(sku, pieces, self.now()).items():
                self.tally[f"oversold_by_{blame}"] += count

    def note_change(self, market: Market, order: TruthOrder) -> None:
        """Count a changed order anew."""
        key = (market.name, order.number)
        before, after = self._counted.get(key, Counter()), self._pieces_of(market, order)
        self._taken.subtract(before)
        self._taken.update(after)
        for sku in after.keys() - before.keys():
            self._orders_of.setdefault(sku, []).append((market, order))
        self._counted[key] = after

    def note_delivered(self, market: Market, order: TruthOrder) -> None:
        """An order reached the daemon; benches and the demo override or read `delivered_at`."""

    def judge_write(
        self,
        market: Market,
        listing: TruthListing,
        form: Form,
        before: int,
        expected: int | None,
        sent: Sent | None = None,
    ) -> None:
        """Count a stale raise: a number above 0 beyond what the rule chain gives with every own order that
        was visible, and every other shop's order delivered 2 s earlier, when the read before it began; or a
        raise whose read began over 2 s before it. Units sold between read and write are `gap_units`.
        """
        after = listing.shown
        swapped = form is Form.COMPARE_AND_SET and expected is not None
        lowers = (form.is_relative or swapped) and after <= before  # goes at once, and never shows more
        if after <= 0 or not listing.counted or lowers:
            return
        sent = sent or market.sent_now([listing.key])
        reads = [
            t for t in (sent.numbers.get(listing.key), sent.orders) if t is not None and sent.at - t <= READ_IS_FRESH
        ]
        if not swapped and not reads:
            self._stale(market, listing, f"{before} -> {after} without a read in the last 2 s")
            return
        began = max(reads, default=sent.at)
        known = began - READ_IS_FRESH
        orders_at = sent.orders if sent.orders in reads else began

        def seen(other: Market, order: TruthOrder) -> bool:
            if other is market and not order.late:  # a sale of another listing shows in no stock read of this one
                own = all(line.listing == listing.key for line in order.lines)
                return order.visible_at <= (began if own else orders_at or began)
            return order.delivered_at is not None and order.delivered_at <= known and other.name not in sent.unread

        skus = set(self.pieces(listing.sku))
        allowed = self.should_show(listing, self._taken_of(skus, seen))
        if after > allowed:
            self._stale(market, listing, f"{before} -> {after}, rule chain gives {allowed}")
            return
        own = self._taken_of(skus, lambda other, order: seen(other, order) or other is market)
        self.tally["gap_units"] += max(0, min(after, allowed) - max(0, self.should_show(listing, own)))

    def _taken_of(self, skus: set[str], include: Callable[[Market, TruthOrder], bool]) -> Counter[str]:
        """Pieces of these SKUs taken by the orders that `include` admits."""
        total: Counter[str] = Counter()
        for sku in skus:
            for market, order in self._orders_of.get(sku, ()):
                if include(market, order):
                    total[sku] += self._counted[market.name, order.number][sku]
        return total

    def _stale(self, market: Market, listing: TruthListing, what: str) -> None:
        self.tally["stale_raises"] += 1
        self.stale.append(f"{self.now().isoformat()} {market.name} {listing.key}: {what}")

    def wrong_listings(self) -> list[str]:
        """Listings that show another number than the rule chain gives with every order."""
        return [
            f"{market.name} {listing.key} shows {listing.shown}, rule chain gives {self.should_show(listing)}"
            for market in self.markets.values()
            for listing in market.listings.values()
            if listing.counted and listing.exists and listing.shown != self.should_show(listing)
        ]
