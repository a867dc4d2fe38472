"""What must hold: after every event what is cheap to see, now and then the books, at the end everything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from syncd.sim.outcome import Broken
from syncd.sim.whole.life import Life
from syncd.sim.whole.malls import Mall
from syncd.sim.whole.witness import Witness
from syncd.testing.truth import TruthListing

LINES = text(
    "SELECT s.name, o.number, l.listing, l.ordered, l.cancelled, l.shipped, l.returned, l.pieces"
    " FROM order_line l JOIN orders o ON o.id = l.order_id JOIN shop s ON s.id = o.shop_id"
)
BALANCES = text("SELECT s.code, s.id, b.on_hand, b.ordered, b.allocated FROM balance b JOIN sku s ON s.id = b.sku_id")
ENTRIES = text("SELECT sku_id, SUM(on_hand), SUM(ordered), SUM(allocated) FROM entry GROUP BY sku_id")
UNSETTLED = text(
    "SELECT s.name, l.key, k.code, l.target, l.believed, l.unread, l.doubt_us FROM listing l"
    " JOIN shop s ON s.id = l.shop_id JOIN sku k ON k.id = l.sku_id"
    " WHERE l.believed IS NOT l.target OR l.doubt_us IS NOT NULL"
)
LIVE = text("SELECT s.name, i.key, i.state FROM intent i JOIN shop s ON s.id = i.shop_id WHERE i.state <> 'done'")
BELOW_ZERO = re.compile(r"shows -\d+, rule chain gives 0$")
Counts = tuple[int, int, int]
"""Units of an order and listing: held or gone (ordered less cancelled), shipped, returned."""


@dataclass(slots=True)
class Books:
    """What of the orders and the ledger disagrees with the truth."""

    lost: int = 0
    doubled: int = 0
    broken: list[Broken] = field(default_factory=list)


@dataclass(slots=True)
class Judge:
    """Compares the daemon's store with what really happened. `opened` was there at the start, `unlike` are SKUs whose
    pages may show less than the rule chain gives.
    """

    world: Witness
    malls: Mapping[str, Mall]
    life: Life
    opened: Mapping[str, int]
    unlike: frozenset[str] = frozenset()

    # -- after every event -------------------------------------------------------------------------------------

    def at_once(self) -> list[Broken]:
        """What can be seen from outside at any time."""
        found = [
            Broken(what=f"stale raise: {what}", sku=sku)
            for what, sku in zip(self.world.stale, self.world.stale_skus, strict=True)
        ]
        return found + [Broken(what=what) for what in self.life.findings]

    def rates(self) -> list[Broken]:
        """Calls beyond a documented rate; a new process does not know what the one before it used up."""
        if self.life.crashes:
            return []
        return [
            Broken(what=f"{mall.name}: {mall.emulator.violations} calls beyond the documented rate")
            for mall in self.malls.values()
            if mall.emulator.violations
        ]

    def ledger(self, conn: Connection) -> list[Broken]:
        """Ledger sum = balance, at any time."""
        sums = {row[0]: tuple(row[1:]) for row in conn.execute(ENTRIES).all()}
        found = []
        for code, sku_id, *balance in conn.execute(BALANCES).all():
            on_hand, ordered, allocated = sums.get(sku_id, (0, 0, 0))
            expected = [self.opened.get(code, 0) + on_hand, ordered, allocated]
            if balance != expected:
                found.append(Broken(what=f"{code}: balance {balance}, its entries say {expected}", sku=code))
        return found

    # -- at the end ----------------------------------------------------------------------------------------------

    def books(self, conn: Connection) -> Books:
        """Each accepted order booked once, and free stock what it must be."""
        found = Books(broken=self.ledger(conn))
        booked = _booked(conn)
        for key, truth in self._orders():
            row = booked.pop(key, (0, 0, 0))
            if row == truth:
                continue
            name, number, listing = key
            found.lost += row[0] < truth[0]
            found.doubled += row[0] > truth[0]
            sku = self._sku(name, listing)
            found.broken.append(Broken(what=f"{name} {number} {listing}: booked {row}, truth {truth}", sku=sku))
        for key, row in booked.items():
            if row[0]:
                found.doubled += 1
                found.broken.append(Broken(what=f"invented: {' '.join(key)}"))
        found.broken += self._free(conn)
        return found

    def _orders(self) -> Iterator[tuple[tuple[str, str, str], Counts]]:
        for mall in self.malls.values():
            for order in mall.market.visible_orders():
                number = mall.number_of(order.number)
                for line in order.lines:
                    truth = (line.ordered - line.cancelled, line.shipped, line.returned)
                    yield (mall.name, number, line.listing), truth

    def _sku(self, name: str, listing: str) -> str:
        return self._least(self.world.markets[name].listings[listing].sku)

    def _least(self, sku: str) -> str:
        """One plain SKU for a listing, to follow it by."""
        return min(self.world.pieces(sku))

    def _free(self, conn: Connection) -> list[Broken]:
        taken: Counter[str] = Counter()
        for mall in self.malls.values():
            for order in mall.market.orders.values():
                for line in order.lines:
                    listing = mall.market.listings[line.listing]
                    taken.update(self.world.pieces(listing.sku, (line.ordered - line.cancelled) * listing.pack))
        found = []
        for code, _, on_hand, ordered, allocated in conn.execute(BALANCES).all():
            free, truth = on_hand - ordered - allocated, self.world.on_hand[code] - taken[code]
            if free != truth:
                found.append(Broken(what=f"{code}: free {free}, truth {truth}", sku=code))
        return found

    def unsettled(self, conn: Connection) -> list[Broken]:
        """Listings that are not believed to show their target, doubts, and calls that are not done."""
        rows = [
            Broken(what=f"not settled: {name} {key} (target, believed, unread, doubt) {state}", sku=self._least(sku))
            for name, key, sku, *state in conn.execute(UNSETTLED).all()
        ]
        return rows + [Broken(what=f"open call: {tuple(row)}") for row in conn.execute(LIVE).all()]

    def shown(self) -> list[Broken]:
        """Listings whose page shows another number than the rule chain gives, or more than a policy allows."""
        for mall in self.malls.values():
            mall.emulator.settle()
        found = []
        for wrong in self.world.wrong_listings():
            name, key = wrong.split(" ")[:2]
            # A mall that counts below zero by itself sells nothing there, as it must.
            if not BELOW_ZERO.search(wrong) and not self._keeps_back(self.world.markets[name].listings[key]):
                found.append(Broken(what=f"wrong: {wrong}", sku=self._sku(name, key)))
        return found

    def _keeps_back(self, listing: TruthListing) -> bool:
        """Whether a page shows less than the rule chain gives because a policy wants it."""
        inside = {listing.sku, *self.world.pieces(listing.sku)}
        return not inside.isdisjoint(self.unlike) and listing.shown < self.world.should_show(listing)


def _booked(conn: Connection) -> dict[tuple[str, str, str], Counts]:
    """Booked units by shop, order and listing. A line that is not booked counts as nothing."""
    booked: dict[tuple[str, str, str], Counts] = {}
    for name, number, listing, ordered, cancelled, shipped, returned, pieces in conn.execute(LINES).all():
        held, left, back = booked.get((name, number, listing), (0, 0, 0))
        if pieces:
            held, left, back = held + ordered - cancelled, left + shipped, back + returned
        booked[name, number, listing] = (held, left, back)
    return booked
