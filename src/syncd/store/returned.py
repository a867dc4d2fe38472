"""Returned goods (返品) that nobody has decided about yet: rows of order lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from syncd.store.schema import order_line, orders, shop

UNDECIDED = text("order_line.returned > order_line.accepted_back + order_line.rejected_back")
_units = order_line.c.returned - order_line.c.accepted_back - order_line.c.rejected_back


def undecided(conn: Connection, shop_ids: Sequence[int], *, limit: int, after_id: int = 0) -> list[dict[str, Any]]:
    """Lines of these shops with returned units that wait for a person, oldest first; `reason` where it is known."""
    query = (
        select(
            order_line.c.id, shop.c.name.label("shop"), orders.c.shop_id, orders.c.number.label("order"),
            order_line.c.line, order_line.c.listing, order_line.c.returned,
            order_line.c.accepted_back.label("accepted"), order_line.c.rejected_back.label("rejected"),
            order_line.c.return_reason.label("reason"),
            _units.label("units"), order_line.c.shipped,
        )
        .join(orders, orders.c.id == order_line.c.order_id)
        .join(shop, shop.c.id == orders.c.shop_id)
        .where(UNDECIDED, orders.c.shop_id.in_(shop_ids), order_line.c.id > after_id)
        .order_by(order_line.c.id)
        .limit(limit)
    )  # fmt: skip
    return [dict(row) for row in conn.execute(query).mappings()]


def waiting(conn: Connection) -> list[tuple[int, str, int]]:
    """Undecided units by shop and reason."""
    query = (
        select(orders.c.shop_id, order_line.c.return_reason, func.sum(_units))
        .join(orders, orders.c.id == order_line.c.order_id)
        .where(UNDECIDED)
        .group_by(orders.c.shop_id, order_line.c.return_reason)
    )
    return [(row[0], row[1], int(row[2])) for row in conn.execute(query)]
