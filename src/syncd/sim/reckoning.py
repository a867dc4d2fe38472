"""The daemon's books against the truth of a trial: nothing lost, nothing doubled, sums that agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection, text

from syncd.testing.world import World

LINES = text(
    "SELECT s.name, o.number, l.line, l.ordered, l.cancelled, l.shipped, l.returned, l.pieces"
    " FROM order_line l JOIN orders o ON o.id = l.order_id JOIN shop s ON s.id = o.shop_id"
)
BALANCES = text("SELECT s.code, s.id, b.on_hand, b.ordered, b.allocated FROM balance b JOIN sku s ON s.id = b.sku_id")
ENTRIES = text("SELECT sku_id, SUM(on_hand), SUM(ordered), SUM(allocated) FROM entry GROUP BY sku_id")


def books(conn: Connection, world: World, opened: Mapping[str, int]) -> list[str]:
    """What of the orders, the ledger and the balances disagrees with the world; `opened` was there at the start."""
    return [*_orders(conn, world), *_sums(conn, world, opened)]


def _orders(conn: Connection, world: World) -> list[str]:
    """Every visible order booked once, with its counts."""
    wrong: list[str] = []
    booked = {row[:3]: row[3:] for row in map(tuple, conn.execute(LINES))}
    for market in world.markets.values():
        for order in market.visible_orders():
            for line in order.lines:
                row = booked.pop((market.name, order.number, line.line), None)
                truth = (line.ordered, line.cancelled, line.shipped, line.returned)
                if row is None:
                    wrong.append(f"lost: {market.name} {order.number} line {line.line}")
                elif row[:4] != truth or not row[4]:
                    wrong.append(f"booked {row}, truth {truth}: {market.name} {order.number} line {line.line}")
    return wrong + [f"invented: {key}" for key in booked]


def _sums(conn: Connection, world: World, opened: Mapping[str, int]) -> list[str]:
    """Ledger sum = balance, and free stock = what is there less what orders took."""
    wrong: list[str] = []
    sums = {row[0]: tuple(row[1:]) for row in conn.execute(ENTRIES)}
    taken: Counter[str] = Counter()
    for market in world.markets.values():
        for order in market.orders.values():
            for line in order.lines:
                listing = market.listings[line.listing]
                taken.update(world.pieces(listing.sku, (line.ordered - line.cancelled) * listing.pack))
    for code, sku_id, on_hand, ordered, allocated in conn.execute(BALANCES):
        entered = sums.get(sku_id, (0, 0, 0))
        if (on_hand, ordered, allocated) != (opened.get(code, 0) + entered[0], entered[1], entered[2]):
            wrong.append(f"{code}: balance {(on_hand, ordered, allocated)}, entries say {entered}")
        free = on_hand - ordered - allocated
        if free != world.on_hand[code] - taken[code]:
            wrong.append(f"{code}: free {free}, truth {world.on_hand[code] - taken[code]}")
    return wrong
