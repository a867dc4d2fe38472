"""Shipments (出荷) as staff book them: on hand goes down and the hold ends, once, before any shop is told.

Every parcel of a request is booked in one transaction, or none: the first pass finds every mistake, the second books.
A parcel (order, carrier and tracking number) that is booked already is left out, so that a file may come twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection

from syncd.daemon.booking import LineWork, book_lines
from syncd.daemon.desk_answers import Conflict, Done, Mistake, Mistakes, NotFound, Refused, audit, meant, shop_facts
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.shipping import REFUSED, subject
from syncd.model import ShipmentState, Source
from syncd.sdk.channel import Carrier
from syncd.sdk.settings import Writes
from syncd.store import orders as order_rows
from syncd.store import shipments
from syncd.store.orders import LineRow
from syncd.store.shipments import ShipmentRow
from syncd.store.shops import clear_alarm

LONGEST = 120
AHEAD_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ShipmentItem:
    """One parcel of one order. `lines` gives units per line or listing, None for all that is left of it; empty means
    all that is unshipped of the order.
    """

    shop: str
    order: str
    carrier: Carrier
    tracking: str = ""
    shipped_us: int | None = None
    lines: Mapping[str, int | None] = field(default_factory=dict)
    carrier_name: str = ""


@dataclass(slots=True)
class _Parcel:
    """A parcel that can be booked: the units it takes of each line."""

    shop: ShopFacts
    order_id: int
    item: ShipmentItem
    parcel: str
    shipped_us: int
    units: dict[str, int]
    whole: bool


def book_shipments(conn: Connection, facts: Facts, items: Sequence[ShipmentItem], now_us: int, who: str) -> Done:
    """Book parcels, all or none. Raises Mistakes, which names every one that cannot be."""
    done, by_shop = Done(), dict[int, list[_Parcel]]()
    for item, parcel in zip(items, _parcels(conn, facts, items, now_us), strict=True):
        if isinstance(parcel, str):
            done.skipped.append({"shop": item.shop, "order": item.order, "why": parcel})
        else:
            by_shop.setdefault(parcel.shop.id, []).append(parcel)
    for shop_id, parcels in by_shop.items():
        shop = facts.shops[shop_id]
        _book(conn, facts, shop, parcels, now_us, who, done)
        if why := why_not_sent(shop):
            done.notes.append(f"{len(parcels)} shipments of {shop.name} are booked here only: it {why}")
    if done.changes:
        audit(conn, who, "shipments_booked", done.changes, now_us)
    return done


def why_not_sent(shop: ShopFacts) -> str:
    """Why a shop is not told of shipments; empty where it is."""
    if not shop.takes_shipments:
        return "takes no shipments from us: report them there"
    return "" if shop.writes is Writes.ON else f'has writes = "{shop.writes}": report them there'


def _parcels(conn: Connection, facts: Facts, items: Sequence[ShipmentItem], now_us: int) -> list[_Parcel | str]:
    """For each item the parcel to book, or why there is nothing to book."""
    wrong: list[Mistake] = []
    found: list[_Parcel | str] = []
    known = {name: _Orders(conn, shop_facts(facts, name), items) for name in dict.fromkeys(one.shop for one in items)}
    for index, item in enumerate(items):
        try:
            found.append(known[item.shop].parcel(item, now_us))
        except Refused as error:
            wrong.append(Mistake(index, error.where, str(error)))
    if wrong:
        raise Mistakes(wrong)
    return found


class _Orders:
    """The orders of one shop that a request names, and what is left to ship of each line as its items go by."""

    def __init__(self, conn: Connection, shop: ShopFacts, items: Sequence[ShipmentItem]) -> None:
        self.shop = shop
        self.rows = order_rows.load_orders(conn, shop.id, [one.order for one in items if one.shop == shop.name])
        lines = order_rows.load_lines(conn, [row.id for row in self.rows.values()])
        self.lines = {name: lines.get(row.id, []) for name, row in self.rows.items()}
        self.left = {
            line.id: max(0, line.ordered - line.cancelled - line.shipped) for some in lines.values() for line in some
        }
        self.booked = shipments.parcels_of(conn, [row.id for row in self.rows.values()])

    def parcel(self, item: ShipmentItem, now_us: int) -> _Parcel | str:
        """What to book; a sentence where it is booked already. Raises Refused with the field that is wrong."""
        shipped_us = now_us if item.shipped_us is None else item.shipped_us
        self._check(item, shipped_us, now_us)
        row = self.rows.get(item.order)
        if row is not None and row.source == Source.STAFF:
            raise Conflict(f"{item.order} is a hold: what takes its place is shipped", "order")
        if row is None:
            raise NotFound(f"{self.shop.name} has no order {item.order}{meant(item.order, list(self.rows))}", "order")
        parcel = f"{item.carrier}:{item.carrier_name}:{item.tracking}" if item.tracking else f"at {shipped_us}"
        if (row.id, parcel) in self.booked:
            return "booked already"
        units = self._units(item)
        every = {line.line: self.left[line.id] for line in self.lines[item.order] if self.left[line.id]}
        for line in self.lines[item.order]:
            self.left[line.id] -= units.get(line.line, 0)
        self.booked.add((row.id, parcel))
        return _Parcel(self.shop, row.id, item, parcel, shipped_us, units, units == every)

    @staticmethod
    def _check(item: ShipmentItem, shipped_us: int, now_us: int) -> None:
        for name, text in (("tracking", item.tracking), ("carrier_name", item.carrier_name)):
            if len(text) > LONGEST or not text.isprintable():
                raise Refused(f"{text[:40]!r} must be up to {LONGEST} printable characters", name)
        if item.carrier is Carrier.OTHER and not item.carrier_name:
            raise Refused("the carrier is other: name it (carrier_name)", "carrier_name")
        if shipped_us > now_us + AHEAD_US:
            raise Refused("shipped more than a day from now: that is a typing error", "shipped_at")

    def _units(self, item: ShipmentItem) -> dict[str, int]:
        """Units per line that this parcel takes."""
        lines = self.lines[item.order]
        if not item.lines:
            units = {line.line: self.left[line.id] for line in lines if self.left[line.id]}
            if not units:
                raise Conflict(f"order {item.order} has nothing left to ship", "order")
            return units
        units = {}
        for name, count in item.lines.items():
            line = self._line(item.order, name)
            left = self.left[line.id] - units.get(line.line, 0)
            more = left if count is None else count
            if more < 1 or more > left:
                raise Conflict(
                    f"order {item.order}: {left} of {name} are left to ship, not {more}", f"lines[{name}].units"
                )
            units[line.line] = units.get(line.line, 0) + more
        return units

    def _line(self, order: str, name: str) -> LineRow:
        """The line that a person means by its name or by its listing."""
        lines = self.lines[order]
        same = [line for line in lines if line.line == name]
        same = same or [line for line in lines if line.listing == self.shop.key(name) and line.ordered]
        if len(same) != 1:
            many = "several lines of" if same else "no line"
            has = ", ".join(f"{line.line} ({line.listing})" for line in lines)
            raise NotFound(f"order {order} has {many} {name}; its lines: {has}", f"lines[{name}].line")
        return same[0]


def _book(
    conn: Connection, facts: Facts, shop: ShopFacts, parcels: Sequence[_Parcel], now_us: int, who: str, done: Done
) -> None:
    """The ledger first, in one go, then the rows that tell the shop; all in the transaction at hand."""
    units: dict[int, dict[str, int]] = {}
    left_us: dict[int, int] = {}
    for parcel in parcels:
        of_order = units.setdefault(parcel.order_id, {})
        for name, count in parcel.units.items():
            of_order[name] = of_order.get(name, 0) + count
        left_us[parcel.order_id] = max(left_us.get(parcel.order_id, 0), parcel.shipped_us)
    work: dict[int, LineWork] = {
        order: {name: partial(_ship, units=count) for name, count in some.items()} for order, some in units.items()
    }
    done.refreshed.add(book_lines(conn, facts, shop, work, now_us, left_us).refreshed)
    found = order_rows.load_lines(conn, list(units))
    lines = {order: {line.line: line for line in some} for order, some in found.items()}
    made = [(_row(one, now_us, who), {lines[one.order_id][n].id: u for n, u in one.units.items()}) for one in parcels]
    for number, one in zip(shipments.add(conn, made), parcels, strict=True):
        done.changes += [
            {"shop": shop.name, "order": one.item.order, "line": name, "listing": lines[one.order_id][name].listing,
             "units": count, "carrier": str(one.item.carrier), "tracking": one.item.tracking,
             "state": str(_state(shop)), "shipment": number}
            for name, count in one.units.items()
        ]  # fmt: skip


def _state(shop: ShopFacts) -> ShipmentState:
    return ShipmentState.NOT_SENT if why_not_sent(shop) else ShipmentState.QUEUED


def _row(parcel: _Parcel, now_us: int, who: str) -> dict[str, object]:
    """The row by which the shop is told."""
    item, why = parcel.item, why_not_sent(parcel.shop)
    return {
        "shop_id": parcel.shop.id, "order_id": parcel.order_id, "parcel": parcel.parcel, "carrier": str(item.carrier),
        "carrier_name": item.carrier_name, "tracking": item.tracking, "shipped_us": parcel.shipped_us,
        "state": _state(parcel.shop), "note": f"{parcel.shop.name} {why}" if why else "", "whole": int(parcel.whole),
        "created_us": now_us, "changed_us": now_us, "who": who,
    }  # fmt: skip


def _ship(line: LineRow, *, units: int) -> None:
    line.own_shipped = line.shipped + units


def _take_back(line: LineRow, *, units: int) -> None:
    line.own_shipped = max(0, line.own_shipped - units)


# --- what a person decides about one shipment -------------------------------------------------------------------


def retry(conn: Connection, facts: Facts, shipment_id: int, now_us: int, who: str) -> Done:
    """Send a shipment once more that was refused, is in doubt, or was not sent."""
    row, shop, number = _known(conn, facts, shipment_id)
    if row.state not in (ShipmentState.REFUSED, ShipmentState.IN_DOUBT, ShipmentState.NOT_SENT):
        raise Conflict(f"shipment {shipment_id} is {row.state}: there is nothing to send again", "id")
    if why := why_not_sent(shop):
        raise Conflict(f"{shop.name} {why}", "id")
    return _move(conn, shop, row, number, ShipmentState.QUEUED, now_us, who, "shipment_retried")


def settle(conn: Connection, facts: Facts, shipment_id: int, now_us: int, who: str) -> Done:
    """Say that the shop has a shipment: somebody entered it there, or sees it there."""
    row, shop, number = _known(conn, facts, shipment_id)
    if row.state not in (ShipmentState.REFUSED, ShipmentState.IN_DOUBT, ShipmentState.NOT_SENT):
        raise Conflict(f"shipment {shipment_id} is {row.state}: nothing is open about it", "id")
    return _move(conn, shop, row, number, ShipmentState.ACCEPTED, now_us, who, "shipment_settled")


def withdraw(conn: Connection, facts: Facts, shipment_id: int, now_us: int, who: str) -> Done:
    """Take a shipment back that never left: its pieces are on hand and held again. Not once the shop may know it."""
    row, shop, number = _known(conn, facts, shipment_id)
    if row.state not in (ShipmentState.QUEUED, ShipmentState.REFUSED, ShipmentState.NOT_SENT):
        raise Conflict(f"shipment {shipment_id} is {row.state}: its shop may know it; correct it there", "id")
    lines = shipments.lines_of(conn, [row.id]).get(row.id, [])
    work: LineWork = {one.line: partial(_take_back, units=one.units) for one in lines}
    booked = book_lines(conn, facts, shop, {row.order_id: work}, now_us)
    done = _move(
        conn, shop, row, number, ShipmentState.WITHDRAWN, now_us, who, "shipment_withdrawn",
        parcel=f"withdrawn {row.id}",
    )  # fmt: skip
    done.refreshed.add(booked.refreshed)
    return done


def _known(conn: Connection, facts: Facts, shipment_id: int) -> tuple[ShipmentRow, ShopFacts, str]:
    row = shipments.by_id(conn, shipment_id)
    if row is None or row.shop_id not in facts.shops:
        raise NotFound(f"there is no shipment {shipment_id} of a running shop; see: syncd shipments", "id")
    return row, facts.shops[row.shop_id], shipments.numbers(conn, [row.order_id])[row.order_id]


def _move(
    conn: Connection, shop: ShopFacts, row: ShipmentRow, number: str, state: ShipmentState, now_us: int, who: str,
    action: str, **more: object,
) -> Done:  # fmt: skip
    shipments.set_state(conn, [row.id], state, now_us, note="", not_before_us=0, attempts=0, **more)
    clear_alarm(conn, REFUSED, shop.id, subject(number, row.id), now_us)
    change = {"shop": shop.name, "order": number, "shipment": row.id, "before": row.state, "after": str(state)}
    audit(conn, who, action, [change], now_us)
    return Done([change])
