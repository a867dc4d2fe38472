"""Rows whose time is over or wrong: old closed orders (their entries stay), orders overdue to ship, times ahead."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from syncd.model import Source
from syncd.store.orders import chunks
from syncd.store.schema import (
    balance,
    entry,
    intent,
    listing,
    order_line,
    orders,
    outbox,
    shipment,
    shipment_line,
    shop,
)
from syncd.store.shipments import LIVE


def forget_orders(conn: Connection, before_us: int, most: int = 500) -> int:
    """Delete orders closed and not seen since a time; their entries keep the order's number as a note.

    One whose shipment waits for its shop, or for a person, is kept.
    """
    open_parcels = select(shipment.c.order_id).where(LIVE)
    query = (
        select(orders.c.id, orders.c.number)
        .where(orders.c.open == 0, orders.c.seen_us < before_us, orders.c.id.not_in(open_parcels))
        .limit(most)
    )
    old = [(row[0], row[1]) for row in conn.execute(query)]
    for order_id, number in old:
        lines = [row[0] for row in conn.execute(select(order_line.c.id).where(order_line.c.order_id == order_id))]
        for some in chunks(lines):
            conn.execute(update(entry).where(entry.c.line_id.in_(some)).values(line_id=None, note=f"order {number}"))
        parcels = [row[0] for row in conn.execute(select(shipment.c.id).where(shipment.c.order_id == order_id))]
        for some in chunks(parcels):
            conn.execute(delete(shipment_line).where(shipment_line.c.shipment_id.in_(some)))
        conn.execute(delete(shipment).where(shipment.c.order_id == order_id))
        conn.execute(delete(order_line).where(order_line.c.order_id == order_id))
        conn.execute(delete(orders).where(orders.c.id == order_id))
    return len(old)


def open_orders_before(conn: Connection, shop_id: int, placed_us: int, most: int = 500) -> list[int]:
    """Orders of a shop that still hold stock and were placed before a time. A hold is not one of them."""
    query = (
        select(orders.c.id)
        .join(order_line, order_line.c.order_id == orders.c.id)
        .where(orders.c.shop_id == shop_id, orders.c.open == 1, orders.c.placed_us < placed_us)
        .where(orders.c.source > int(Source.STAFF))
        .where((order_line.c.b_held > 0) | (order_line.c.b_allocated > 0))
        .distinct()
        .limit(most)
    )
    return [row[0] for row in conn.execute(query)]


def bring_back(conn: Connection, now_us: int) -> None:
    """The host's clock was set back: no time we wrote may lie ahead of it.

    A watermark or a proof from the future would place sales wrongly, and a wish due in the future would wait.
    """
    ahead = (
        (outbox, ("due_us", "since_us", "not_before_us")),
        (shop, ("watermark_us", "orders_began_us", "read_us", "wrote_us", "checked_us")),
        (listing, ("base_us", "base_from_us", "seen_us", "seen_from_us", "doubt_us", "told_us")),
        (listing, ("lost_us", "proven_us", "proven_from_us")),
        (intent, ("began_us", "dead_us")),
        (balance, ("raised_us",)),
        (orders, ("asked_us",)),
        (shipment, ("not_before_us", "doubt_us", "changed_us")),
    )
    for table, names in ahead:
        for name in names:
            conn.execute(update(table).where(table.c[name] > now_us).values({name: now_us}))
