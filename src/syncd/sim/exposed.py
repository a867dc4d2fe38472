"""Bounds against the truth: shown + sold and not yet booked must never be more than a bound (`core/escrow.py`)."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection, text

from syncd.testing.world import World

BOUNDS = text(
    "SELECT s.name, l.key, l.exposure FROM listing l JOIN shop s ON s.id = l.shop_id WHERE l.exposure IS NOT NULL"
)
BOOKED = text(
    "SELECT s.name, o.number, l.line, l.b_units, l.b_restocked FROM order_line l"
    " JOIN orders o ON o.id = l.order_id JOIN shop s ON s.id = o.shop_id"
)


def underestimated(conn: Connection, world: World) -> list[str]:
    """Listings that can still bring more than their bound."""
    booked = {tuple(row[:3]): (row[3], row[4]) for row in conn.execute(BOOKED)}
    unread: Counter[tuple[str, str]] = Counter()
    for market in world.markets.values():
        for order in market.orders.values():
            for line in order.lines:
                units, back = booked.get((market.name, order.number, line.line), (0, 0))
                unread[market.name, line.listing] += line.ordered - units - max(0, line.restocked - back)
    wrong = []
    for shop, key, bound in conn.execute(BOUNDS):
        shown = world.markets[shop].listings[key].shown
        if shown + unread[shop, key] > bound:
            wrong.append(f"{shop} {key} shows {shown}, sold {unread[shop, key]} unread, bound {bound}")
    return wrong
