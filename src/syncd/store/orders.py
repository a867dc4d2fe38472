"""Rows of orders, their lines and the ledger's entries. Loaded as small mutable rows, written back in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from sqlalchemy import Connection, bindparam, func, insert, literal_column, select, update

from syncd.model import Source
from syncd.store.fast import Prepared
from syncd.store.schema import entry, order_line, orders

CHUNK = 500
STAFF = int(Source.STAFF)
NO_STOCK = "-"
"""Frozen pieces of a line that holds nothing: its listing is not counted."""


@dataclass(slots=True)
class OrderRow:
    """One row of `orders`."""

    id: int
    shop_id: int
    number: str
    placed_us: int | None
    as_of_us: int
    source: int
    opened: int
    shipped_us: int | None
    open: int
    first_us: int
    seen_us: int
    asked_us: int = 0
    label: str = ""
    ends_hold: str = ""


@dataclass(slots=True)
class LineRow:
    """One row of `order_line`."""

    id: int
    order_id: int
    line: str
    listing: str
    listing_id: int | None
    location_id: int | None
    ordered: int = 0
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    restocked: int | None = None
    pieces: str = ""
    booking: int = 0
    b_held: int = 0
    b_allocated: int = 0
    b_gone: int = 0
    b_restocked: int = 0
    b_units: int = 0
    ignored: int = 0
    own_shipped: int = 0
    shop_shipped: int = 0
    accepted_back: int = 0
    rejected_back: int = 0
    return_reason: str = ""


def freeze(pieces: Mapping[int, int]) -> str:
    """Pieces per SKU as they are kept on a line."""
    return ",".join(f"{sku}:{count}" for sku, count in pieces.items())


def thaw(text: str) -> dict[int, int]:
    """The frozen pieces of a line."""
    if text in ("", NO_STOCK):
        return {}
    return {int(sku): int(count) for sku, _, count in (one.partition(":") for one in text.split(","))}


ORDER_COLUMNS = tuple(field.name for field in fields(OrderRow))
LINE_COLUMNS = tuple(field.name for field in fields(LineRow))
ENTRY_COLUMNS = (
    "at_us", "sku_id", "location_id", "kind", "on_hand", "ordered", "allocated", "line_id", "booking", "key", "who",
    "note",
)  # fmt: skip

EntryRow = tuple[int, int, int, str, int, int, int, int | None, int, str | None, str, str]

_insert_order = Prepared(insert(orders).values({name: bindparam(name) for name in ORDER_COLUMNS}), *ORDER_COLUMNS)
_update_order = Prepared(
    update(orders)
    .where(orders.c.id == bindparam("b_id"))
    .values({name: bindparam(name) for name in ORDER_COLUMNS if name not in ("id", "shop_id", "number", "first_us")}),
    *(name for name in ORDER_COLUMNS if name not in ("id", "shop_id", "number", "first_us")),
    "b_id",
)
_insert_line = Prepared(insert(order_line).values({name: bindparam(name) for name in LINE_COLUMNS}), *LINE_COLUMNS)
_CHANGING = tuple(name for name in LINE_COLUMNS if name not in ("id", "order_id", "line"))
_update_line = Prepared(
    update(order_line)
    .where(order_line.c.id == bindparam("b_id"))
    .values({name: bindparam(f"v_{name}") for name in _CHANGING}),
    *(f"v_{name}" for name in _CHANGING),
    "b_id",
)
_insert_entry = Prepared(insert(entry).values({name: bindparam(name) for name in ENTRY_COLUMNS}), *ENTRY_COLUMNS)

_orders_by_number = Prepared(
    select(*(orders.c[name] for name in ORDER_COLUMNS))
    .where(orders.c.shop_id == bindparam("b_shop"))
    .where(orders.c.number.in_(bindparam("numbers", expanding=True))),
    "b_shop", each="numbers",
)  # fmt: skip
_orders_by_id = Prepared(
    select(*(orders.c[name] for name in ORDER_COLUMNS)).where(orders.c.id.in_(bindparam("ids", expanding=True))),
    each="ids",
)
_lines_of = Prepared(
    select(*(order_line.c[name] for name in LINE_COLUMNS))
    .where(order_line.c.order_id.in_(bindparam("ids", expanding=True)))
    .order_by(order_line.c.id),
    each="ids",
)


_open_numbers = Prepared(
    select(orders.c.number)
    .where(orders.c.shop_id == bindparam("b_shop"), orders.c.open == 1, orders.c.source > STAFF)
    .order_by(orders.c.id)
    .limit(bindparam("b_most")),
    "b_shop", "b_most",
)  # fmt: skip
_unbooked_units = Prepared(
    select(orders.c.shop_id, order_line.c.listing, func.sum(order_line.c.ordered - order_line.c.cancelled))
    .join(order_line, order_line.c.order_id == orders.c.id)
    .where(literal_column("order_line.pieces = ''"))  # the partial index's own words
    .where(order_line.c.listing.in_(bindparam("keys", expanding=True)))
    .group_by(orders.c.shop_id, order_line.c.listing),
    each="keys",
)
_last_order = Prepared(select(func.max(orders.c.id)))
_last_line = Prepared(select(func.max(order_line.c.id)))
T = TypeVar("T")


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterable[Sequence[T]]:
    """The items in runs short enough for one IN list."""
    return (items[i : i + size] for i in range(0, len(items), size))


def load_orders(conn: Connection, shop_id: int, numbers: Sequence[str]) -> dict[str, OrderRow]:
    """Known orders of a shop by number."""
    return {row[2]: OrderRow(*row) for row in _orders_by_number.of(conn, numbers, (shop_id,))}


def load_orders_by_id(conn: Connection, ids: Sequence[int]) -> dict[int, OrderRow]:
    """Orders by row id."""
    return {row[0]: OrderRow(*row) for row in _orders_by_id.of(conn, ids)}


def load_lines(conn: Connection, order_ids: Sequence[int]) -> dict[int, list[LineRow]]:
    """Lines of orders, by order id."""
    found: dict[int, list[LineRow]] = {}
    for row in _lines_of.of(conn, order_ids):
        found.setdefault(row[1], []).append(LineRow(*row))
    return found


def next_ids(conn: Connection) -> tuple[int, int]:
    """The next free ids of orders and lines; good for this transaction, which is the only writer."""
    [[last_order]], [[last_line]] = _last_order.all(conn), _last_line.all(conn)
    return (last_order or 0) + 1, (last_line or 0) + 1


def _order_values(row: OrderRow) -> tuple[object, ...]:
    return (
        row.id, row.shop_id, row.number, row.placed_us, row.as_of_us, row.source, row.opened, row.shipped_us,
        row.open, row.first_us, row.seen_us, row.asked_us, row.label, row.ends_hold,
    )  # fmt: skip


def _line_values(row: LineRow) -> tuple[object, ...]:
    return (
        row.listing, row.listing_id, row.location_id, row.ordered, row.cancelled, row.shipped, row.returned,
        row.restocked, row.pieces, row.booking, row.b_held, row.b_allocated, row.b_gone, row.b_restocked,
        row.b_units, row.ignored, row.own_shipped, row.shop_shipped, row.accepted_back, row.rejected_back,
        row.return_reason,
    )  # fmt: skip


def save_orders(conn: Connection, new: Sequence[OrderRow], changed: Sequence[OrderRow]) -> None:
    """Write order rows."""
    if new:
        _insert_order.many(conn, [_order_values(row) for row in new])
    if changed:
        _update_order.many(
            conn,
            [
                (row.placed_us, row.as_of_us, row.source, row.opened, row.shipped_us, row.open, row.seen_us,
                 row.asked_us, row.label, row.ends_hold, row.id)
                for row in changed
            ],
        )  # fmt: skip


def save_lines(conn: Connection, new: Sequence[LineRow], changed: Sequence[LineRow]) -> None:
    """Write order lines."""
    if new:
        _insert_line.many(conn, [(row.id, row.order_id, row.line, *_line_values(row)) for row in new])
    if changed:
        _update_line.many(conn, [(*_line_values(row), row.id) for row in changed])


def add_entries(conn: Connection, rows: Sequence[EntryRow]) -> None:
    """Append to the ledger. A repeated (line, booking, SKU) or (key, SKU) raises IntegrityError."""
    if rows:
        _insert_entry.many(conn, list(rows))


def unbooked_lines_of(conn: Connection, shop_id: int, listings: Sequence[str]) -> list[int]:
    """Ids of the orders of a shop whose lines for these listing keys could not be booked yet."""
    found: set[int] = set()
    for some in chunks(listings):
        query = (
            select(order_line.c.order_id)
            .join(orders, orders.c.id == order_line.c.order_id)
            .where(orders.c.shop_id == shop_id, order_line.c.pieces == "", order_line.c.listing.in_(some))
        )
        found.update(row[0] for row in conn.execute(query).all())
    return sorted(found)


def unbooked_units(conn: Connection, listings: Sequence[str]) -> list[tuple[int, str, int]]:
    """Units on lines that could not be booked: (shop, listing's key, units), for these keys on any shop."""
    return [(row[0], row[1], row[2]) for row in _unbooked_units.of(conn, listings)]


def open_numbers(conn: Connection, shop_id: int, most: int = 100_000) -> list[str]:
    """Numbers of a shop's orders that still hold stock, wait for a mapping, or were shipped here and do not show it
    yet; oldest first. Without holds: no shop could show them.
    """
    return [row[0] for row in _open_numbers.all(conn, (shop_id, most))]


def hold_numbers(conn: Connection, shop_id: int) -> list[str]:
    """Numbers of a shop's holds that still hold stock."""
    query = select(orders.c.number).where(orders.c.shop_id == shop_id, orders.c.open == 1, orders.c.source == STAFF)
    return [row[0] for row in conn.execute(query.order_by(orders.c.id)).all()]


def holding(conn: Connection, shop_id: int, line: str, before_us: int) -> list[str]:
    """Numbers of a shop's holds whose line of that name still holds units and that did not change since a time."""
    query = (
        select(orders.c.number)
        .join(order_line, order_line.c.order_id == orders.c.id)
        .where(orders.c.shop_id == shop_id, orders.c.open == 1, orders.c.source == STAFF, orders.c.seen_us < before_us)
        .where(order_line.c.line == line, order_line.c.b_held > 0)
    )
    return [row[0] for row in conn.execute(query.order_by(orders.c.id)).all()]


def numbers_ending(conn: Connection, shop_id: int, hold: str) -> list[str]:
    """Numbers of a shop's orders that took the place of a hold."""
    query = select(orders.c.number).where(orders.c.shop_id == shop_id, orders.c.ends_hold == hold)
    return [row[0] for row in conn.execute(query.where(orders.c.ends_hold != "").order_by(orders.c.id)).all()]
