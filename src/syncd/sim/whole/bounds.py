"""Bounds against the truth: shown + sold and not yet booked must never be more than a bound (`core/escrow.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection, text

from syncd.sim.outcome import Broken
from syncd.sim.whole.malls import Mall
from syncd.testing.blame import Blame
from syncd.testing.world import TruthLine, World

BOUNDS = text(
    "SELECT s.name, l.key, l.exposure FROM listing l JOIN shop s ON s.id = l.shop_id WHERE l.exposure IS NOT NULL"
)
BOOKED = text(
    "SELECT s.name, o.number, l.listing, SUM(l.b_units), SUM(l.b_restocked) FROM order_line l"
    " JOIN orders o ON o.id = l.order_id JOIN shop s ON s.id = o.shop_id GROUP BY 1, 2, 3"
)
BREAKERS = frozenset({Blame.CHANNEL, Blame.HAND, Blame.LATE})
"""Who sells or raises what no bound can know of."""


def _to_come(line: TruthLine, booked: int) -> int:
    """Units of a line that are not booked and will be: what was cancelled and not put back is nobody's any more."""
    unbooked = line.ordered - booked
    return unbooked - min(max(0, unbooked), max(0, line.cancelled - line.restocked))


def underestimated(conn: Connection, world: World, malls: Mapping[str, Mall]) -> list[Broken]:
    """Listings that can still bring more than their bound, though nobody broke a condition for their pieces."""
    booked = {tuple(row[:3]): (row[3], row[4]) for row in conn.execute(BOOKED).all()}
    unread: Counter[tuple[str, str]] = Counter()
    for mall in malls.values():
        for order in mall.market.orders.values():
            number = mall.number_of(order.number)
            for line in order.lines:
                units, back = booked.get((mall.name, number, line.listing), (0, 0))
                unread[mall.name, line.listing] += _to_come(line, units) - max(0, line.restocked - back)
    found = []
    for shop, key, bound in conn.execute(BOUNDS).all():
        listing = world.markets[shop].listings[key]
        sold = unread[shop, key]
        skus = sorted(world.pieces(listing.sku))
        if listing.shown + sold > bound and not any(world.blames.broken_by(sku, BREAKERS) for sku in skus):
            what = f"bound too low: {shop} {key} shows {listing.shown}, sold {sold} unread, bound {bound}"
            found.append(Broken(what=what, sku=skus[0]))
    return found
