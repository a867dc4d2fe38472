"""Rows of shipments: parcels booked here, and where each stands with its shop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, insert, select, text, update

from syncd.model import ShipmentState
from syncd.store.fast import Prepared
from syncd.store.orders import chunks
from syncd.store.schema import order_line, orders, shipment, shipment_line, shop

LIVE = text("state IN ('queued', 'sent', 'in_doubt', 'refused')")  # the partial index's own words
MOST_LOOKED_AT = 500


@dataclass(slots=True)
class ShipmentRow:
    """One row of `shipment`."""

    id: int
    shop_id: int
    order_id: int
    parcel: str
    carrier: str
    carrier_name: str
    tracking: str
    shipped_us: int
    state: str
    note: str
    whole: int
    alone: int
    attempts: int
    not_before_us: int
    doubt_us: int
    created_us: int
    changed_us: int
    who: str


@dataclass(frozen=True, slots=True)
class ParcelLine:
    """What of an order line is in a shipment, and what is shipped of that line in all."""

    shipment_id: int
    line_id: int
    line: str
    listing: str
    units: int
    expected: int
    ordered: int
    cancelled: int
    own_shipped: int
    shop_shipped: int

    @property
    def arrived(self) -> bool:
        """Whether the shop shows these units as shipped."""
        return self.shop_shipped >= self.expected


COLUMNS = tuple(field.name for field in fields(ShipmentRow))
_rows = select(*(shipment.c[name] for name in COLUMNS))
_lines = select(
    shipment_line.c.shipment_id, shipment_line.c.line_id, order_line.c.line, order_line.c.listing,
    shipment_line.c.units, shipment_line.c.expected, order_line.c.ordered, order_line.c.cancelled,
    order_line.c.own_shipped, order_line.c.shop_shipped,
).join(order_line, order_line.c.id == shipment_line.c.line_id)  # fmt: skip


def add(conn: Connection, made: Sequence[tuple[Mapping[str, Any], Mapping[int, int]]]) -> list[int]:
    """Keep new shipments, each with its units per order line; returns their ids. The one writer gives them out."""
    last = conn.execute(select(func.max(shipment.c.id))).scalar() or 0
    ids = [last + number for number in range(1, len(made) + 1)]
    if made:
        conn.execute(insert(shipment), [{**values, "id": one} for one, (values, _) in zip(ids, made, strict=True)])
        lines = [
            {"shipment_id": one, "line_id": line, "units": units}
            for one, (_, inside) in zip(ids, made, strict=True)
            for line, units in inside.items()
        ]
        conn.execute(insert(shipment_line), lines)
    return ids


def parcels_of(conn: Connection, order_ids: Sequence[int]) -> set[tuple[int, str]]:
    """The parcels that are booked for these orders: (order, parcel)."""
    found: set[tuple[int, str]] = set()
    for some in chunks(order_ids):
        query = select(shipment.c.order_id, shipment.c.parcel).where(shipment.c.order_id.in_(some))
        found.update((row[0], row[1]) for row in conn.execute(query))
    return found


def by_id(conn: Connection, shipment_id: int) -> ShipmentRow | None:
    """A shipment."""
    row = conn.execute(_rows.where(shipment.c.id == shipment_id)).first()
    return None if row is None else ShipmentRow(*row)


def lines_of(conn: Connection, ids: Sequence[int]) -> dict[int, list[ParcelLine]]:
    """What is in these shipments, by shipment."""
    found: dict[int, list[ParcelLine]] = {}
    for some in chunks(ids):
        for row in conn.execute(_lines.where(shipment_line.c.shipment_id.in_(some)).order_by(shipment_line.c.line_id)):
            found.setdefault(row[0], []).append(ParcelLine(*tuple(row)))
    return found


_of_shop = shipment.c.shop_id == bindparam("b_shop")
_queued = shipment.c.state == ShipmentState.QUEUED
_busy = select(shipment.c.order_id).where(
    _of_shop, LIVE, shipment.c.state.in_((ShipmentState.SENT, ShipmentState.IN_DOUBT))
)
_first = select(func.min(shipment.c.id)).where(_of_shop, LIVE, _queued).group_by(shipment.c.order_id)
_due = Prepared(
    _rows.where(
        shipment.c.id.in_(_first), shipment.c.order_id.not_in(_busy), shipment.c.not_before_us <= bindparam("b_now")
    )
    .order_by(shipment.c.alone.desc(), shipment.c.id)
    .limit(bindparam("b_most")),
    "b_shop", "b_now", "b_most",
)  # fmt: skip
_live = Prepared(
    _rows.where(_of_shop, LIVE, shipment.c.state == bindparam("b_state"))
    .order_by(shipment.c.id)
    .limit(MOST_LOOKED_AT),
    "b_shop", "b_state",
)  # fmt: skip
_next_due = Prepared(select(func.min(shipment.c.not_before_us)).where(_of_shop, LIVE, _queued), "b_shop")


def due(conn: Connection, shop_id: int, now_us: int, most: int) -> list[ShipmentRow]:
    """The next shipments to send: the oldest of each order, where no other of that order is under way or in doubt.

    One that a refused call held is sent by itself.
    """
    rows = [ShipmentRow(*row) for row in _due.all(conn, (shop_id, now_us, most))]
    return rows[:1] if rows and rows[0].alone else rows


def live(conn: Connection, shop_id: int, state: ShipmentState) -> list[ShipmentRow]:
    """A shop's shipments in a state that is not over, oldest first."""
    return [ShipmentRow(*row) for row in _live.all(conn, (shop_id, state))]


def next_due_us(conn: Connection, shop_id: int) -> int | None:
    """When the next queued shipment may be sent; None when none waits."""
    [[moment]] = _next_due.all(conn, (shop_id,))
    return None if moment is None else int(moment)


def set_state(conn: Connection, ids: Sequence[int], state: ShipmentState, now_us: int, **more: object) -> None:
    """Move shipments on."""
    for some in chunks(ids):
        conn.execute(update(shipment).where(shipment.c.id.in_(some)).values(state=state, changed_us=now_us, **more))


def accepted_units(conn: Connection, line_ids: Sequence[int]) -> dict[int, int]:
    """Units per order line that its shop has taken in by shipments of ours."""
    found: dict[int, int] = {}
    for some in chunks(line_ids):
        query = (
            select(shipment_line.c.line_id, func.sum(shipment_line.c.units))
            .join(shipment, shipment.c.id == shipment_line.c.shipment_id)
            .where(shipment_line.c.line_id.in_(some), shipment.c.state == ShipmentState.ACCEPTED)
            .group_by(shipment_line.c.line_id)
        )
        found.update((row[0], int(row[1])) for row in conn.execute(query))
    return found


def expect(conn: Connection, shipment_id: int, line_id: int, units: int) -> None:
    """Remember what its shop shows of a line once it took the shipment in."""
    conn.execute(
        update(shipment_line)
        .where(shipment_line.c.shipment_id == shipment_id, shipment_line.c.line_id == line_id)
        .values(expected=units)
    )


def asked_us(conn: Connection, order_ids: Sequence[int]) -> dict[int, int]:
    """When the newest request began that showed each order."""
    found: dict[int, int] = {}
    for some in chunks(order_ids):
        query = select(orders.c.id, orders.c.asked_us).where(orders.c.id.in_(some))
        found.update((row[0], row[1]) for row in conn.execute(query))
    return found


def numbers(conn: Connection, order_ids: Sequence[int]) -> dict[int, str]:
    """The numbers of orders."""
    found: dict[int, str] = {}
    for some in chunks(order_ids):
        query = select(orders.c.id, orders.c.number).where(orders.c.id.in_(some))
        found.update((row[0], row[1]) for row in conn.execute(query))
    return found


def follow_lines(conn: Connection, renamed: Iterable[tuple[int, int]]) -> None:
    """A stronger source named order lines anew: what was shipped of the old ones was of the new ones."""
    for old, new in renamed:
        conn.execute(update(shipment_line).where(shipment_line.c.line_id == old).values(line_id=new))


# --- to look at -----------------------------------------------------------------------------------------------


def listed(
    conn: Connection,
    *,
    shop_name: str | None = None,
    state: str | None = None,
    number: str | None = None,
    limit: int,
    before_id: int,
) -> list[dict[str, Any]]:
    """Shipments with their `lines`, newest first."""
    hidden = ("shop_id", "order_id", "parcel", "alone", "whole")
    found: Select[Any] = (
        select(shop.c.name.label("shop"), orders.c.number.label("order"),
               *(column for column in shipment.c if column.name not in hidden))
        .join(shop, shop.c.id == shipment.c.shop_id)
        .join(orders, orders.c.id == shipment.c.order_id)
        .where(shipment.c.id < before_id)
        .order_by(shipment.c.id.desc())
        .limit(limit)
    )  # fmt: skip
    if shop_name is not None:
        found = found.where(shop.c.name == shop_name)
    if state is not None:
        found = found.where(shipment.c.state == state)
    if number is not None:
        found = found.where(orders.c.number == number)
    rows = [dict(row) for row in conn.execute(found).mappings()]
    inside = lines_of(conn, [row["id"] for row in rows])
    for row in rows:
        lines = inside.get(row["id"], ())
        row["lines"] = [{"line": one.line, "listing": one.listing, "units": one.units} for one in lines]
    return rows


WAITING = ("shop", "state", "count", "since_us")
_waiting = Prepared(
    select(
        shop.c.name, shipment.c.state, func.count(),
        func.min(case((_queued, shipment.c.created_us), else_=shipment.c.changed_us)),
    )
    .select_from(shipment)
    .join(shop, shop.c.id == shipment.c.shop_id)
    .where(LIVE)
    .group_by(shop.c.name, shipment.c.state)
)  # fmt: skip


def waiting(conn: Connection) -> list[dict[str, Any]]:
    """Per shop and state that waits for the shop or for a person: how many, and since when the oldest."""
    return [dict(zip(WAITING, row, strict=True)) for row in _waiting.all(conn)]
