"""The emulator's orders: refunds and fulfillments written as the market changes, the search index, and the JSON.

Units refunded, shipped and returned come from the market's truth; each change writes one refund or fulfillment.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from syncd.testing.world import Market, TruthLine, TruthOrder
from syncd_shopify.wire_orders import read_time, write_time

ORDER_BASE = 5_400_000_000_000
SEARCH = re.compile(r"updated_at:>='([^']+)'")
WINDOW = timedelta(days=60)  # without the scope read_all_orders
DIGITS = re.compile(r"(\d+)$")


class BadCall(Exception):
    """The call is refused as a whole, with a code of the top-level errors."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def order_id(number: str) -> str:
    """The numeric id under which the emulator shows an order of the market: ids on Shopify are numbers."""
    if number.isdigit():
        return number
    found = DIGITS.search(number)
    return str(ORDER_BASE + (int(found.group(1)) if found else binascii.crc32(number.encode())))


def line_gid(order: TruthOrder, line: TruthLine) -> str:
    return f"gid://shopify/LineItem/{order_id(order.number)}{order.lines.index(line):03d}"


@dataclass(slots=True)
class Refund:
    """One refund: (line, units, restockType, restocked)."""

    gid: str
    made_at: datetime
    parts: list[tuple[str, int, str, bool]]


@dataclass(slots=True)
class Fulfillment:
    """One shipment: (line, units), and what buyers are told of the parcel."""

    gid: str
    made_at: datetime
    parts: list[tuple[str, int]]
    tracking: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """What Shopify has written about one order so far."""

    refunds: list[Refund] = field(default_factory=list)
    fulfillments: list[Fulfillment] = field(default_factory=list)
    known: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    indexed: list[tuple[datetime, datetime]] = field(default_factory=list)  # (written at, updated_at)


class OrderBook:
    """The orders of one shop as the Admin API shows them."""

    def __init__(self, market: Market, quirk: Mapping[str, str], location: str) -> None:
        self._market = market
        self._quirk = quirk
        self._location = location
        self._lag = timedelta(seconds=float(quirk["index_lag_seconds"]))
        self._records: dict[str, Record] = {}
        self.window: timedelta | None = WINDOW
        self.next_tracking: dict[str, str] = {}
        self.newest = ""
        for number in market.orders:
            self.note(number)
        market.watchers.append(self.note)

    # -- written as the market changes -------------------------------------------------------------------------

    def note(self, number: str) -> None:
        """An order is new or has changed: write its refund or fulfillment, and index it."""
        order, now = self._market.orders[number], self._market.world.now()
        record = self._records.setdefault(number, Record())
        if not record.indexed and self._lag:
            order.visible_at = max(order.visible_at, now + self._lag)
        record.indexed.append((now, order.updated_at))
        refunded: list[tuple[str, int, str, bool]] = []
        shipped: list[tuple[str, int]] = []
        for line in order.lines:
            gid = line_gid(order, line)
            before = record.known.get(line.line, (0, 0, 0, 0))
            after = (line.cancelled, line.shipped, line.returned, line.restocked)
            cancelled, sent, returned, restocked = (b - a for a, b in zip(before, after, strict=True))
            record.known[line.line] = after
            shipped += [(gid, sent)] if sent else []
            if cancelled and (order.cancelled_at is not None or self._quirk["edit_writes_refund"] == "yes"):
                refunded += _parts(gid, cancelled, min(cancelled, restocked), "CANCEL")
            refunded += _parts(gid, returned, max(0, restocked - cancelled), "RETURN")
        own = order_id(number)
        if refunded:
            record.refunds.append(Refund(f"gid://shopify/Refund/{own}{len(record.refunds)}", now, refunded))
        if shipped:
            gid = f"gid://shopify/Fulfillment/{own}{len(record.fulfillments)}"
            record.fulfillments.append(Fulfillment(gid, now, shipped, self.next_tracking))
            self.next_tracking, self.newest = {}, gid

    # -- the search ----------------------------------------------------------------------------------------------

    def search(self, variables: Mapping[str, Any], now: datetime) -> tuple[dict[str, Any], list[str], datetime | None]:
        """A page of orders, the market's numbers in it, and on the last page when the read of all pages began."""
        match = SEARCH.fullmatch(str(variables["q"]))
        if match is None:
            raise BadCall("INVALID_FIELD_ARGUMENTS", f"cannot search for {variables['q']}")
        first, after = variables["first"], variables["after"]
        if not isinstance(first, int) or not 1 <= first <= 250:
            raise BadCall("INVALID_FIELD_ARGUMENTS", "first must be between 1 and 250")
        since, began, place = write_time(read_time(match.group(1))), now, ("", "")
        if after is not None:
            place, began = _read_cursor(after)
        found = sorted(
            (
                (moment, order_id(order.number).zfill(20), order)
                for order in self._market.visible_orders(now)
                if self.reaches(order, now) and (moment := self._indexed(order, now)) >= since
            ),
            key=lambda one: one[:2],
        )
        rest = [one for one in found if one[:2] > place]
        shown, more = rest[:first], len(rest) > first
        cursor = _write_cursor(shown[-1][:2], began) if shown else None
        page = {
            "pageInfo": {"hasNextPage": more, "endCursor": cursor},
            "nodes": [self.node(one[2], variables["inner"]) for one in shown],
        }
        return page, [one[2].number for one in shown], None if more else began

    def reaches(self, order: TruthOrder, now: datetime) -> bool:
        """Whether the app may see an order of that age."""
        return self.window is None or now - order.placed_at <= self.window

    def aged(self, gids: Sequence[str], now: datetime) -> list[dict[str, Any] | None]:
        """`nodes(ids)` of orders: null for what does not exist, or is too old for the app."""
        known = {f"gid://shopify/Order/{order_id(one.number)}": one for one in self._market.orders.values()}
        return [
            {"id": gid, "createdAt": write_time(known[gid].placed_at)}
            if gid in known and self.reaches(known[gid], now)
            else None
            for gid in gids
        ]

    def _indexed(self, order: TruthOrder, now: datetime) -> str:
        """The update time that the search index knows by now, in whole seconds."""
        if not self._lag:
            return write_time(order.updated_at)
        known = [updated for written, updated in self._records[order.number].indexed if written + self._lag <= now]
        return write_time(known[-1] if known else self._records[order.number].indexed[0][1])

    # -- JSON --------------------------------------------------------------------------------------------------

    def node(self, order: TruthOrder, inner: int) -> dict[str, Any]:
        """One order with the first pages of its connections."""
        record = self._records[order.number]
        return {
            "id": f"gid://shopify/Order/{order_id(order.number)}",
            "name": f"#{order_id(order.number)[-6:]}",
            "createdAt": write_time(order.placed_at),
            "updatedAt": write_time(order.updated_at),
            "cancelledAt": None if order.cancelled_at is None else write_time(order.cancelled_at),
            "test": bool(order.extra.get("test", False)),
            "displayFulfillmentStatus": _status(order),
            "lineItems": page_of(self._lines(order), None, inner),
            "refunds": [
                {"id": one.gid, "refundLineItems": page_of(self._refund_lines(one), None, inner)}
                for one in record.refunds
            ],
            "fulfillments": [
                {
                    "id": one.gid,
                    "status": "SUCCESS",
                    "createdAt": write_time(one.made_at),
                    "fulfillmentLineItems": page_of(_shipped_lines(one), None, inner),
                }
                for one in record.fulfillments
            ],
        }

    def fulfillments(self, order: TruthOrder) -> list[dict[str, Any]]:
        """What of an order was shipped, with the parcels' numbers."""
        return [
            {
                "id": one.gid,
                "status": "SUCCESS",
                "trackingInfo": [{"number": one.tracking["number"]}] if one.tracking.get("number") else [],
                "fulfillmentLineItems": page_of(_shipped_lines(one), None, 100),
            }
            for one in self._records[order.number].fulfillments
        ]

    def told_of(self, number: str) -> list[dict[str, str]]:
        """What buyers are told of each parcel of an order."""
        return [one.tracking for one in self._records[number].fulfillments]

    def rest(self, connection: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """A further page of a connection of one node; None where there is no such node."""
        gid, after, inner = variables["id"], variables["after"], variables["inner"]
        for number, record in self._records.items():
            order = self._market.orders[number]
            if connection == "lineItems" and gid == f"gid://shopify/Order/{order_id(number)}":
                return {connection: page_of(self._lines(order), after, inner)}
            for refund in record.refunds:
                if connection == "refundLineItems" and gid == refund.gid:
                    return {connection: page_of(self._refund_lines(refund), after, inner)}
            for fulfillment in record.fulfillments:
                if connection == "fulfillmentLineItems" and gid == fulfillment.gid:
                    return {connection: page_of(_shipped_lines(fulfillment), after, inner)}
        return None

    def _lines(self, order: TruthOrder) -> list[dict[str, Any]]:
        counts_refunded = self._quirk["unfulfilled_counts_refunded"] == "yes"
        lines = []
        for line in order.lines:
            listing = self._market.listings[line.listing]
            unfulfilled = line.ordered - line.shipped - (0 if counts_refunded else line.cancelled)
            item = {"id": f"gid://shopify/InventoryItem/{line.listing}", "tracked": listing.counted}
            variant = {"id": f"gid://shopify/ProductVariant/{line.listing}", "inventoryItem": item}
            lines.append(
                {
                    "id": line_gid(order, line),
                    "sku": listing.sku,
                    "quantity": line.ordered,
                    "currentQuantity": line.ordered - line.cancelled - line.returned,
                    "unfulfilledQuantity": unfulfilled,
                    "variant": variant if listing.exists else None,
                }
            )
        return lines

    def _refund_lines(self, refund: Refund) -> list[dict[str, Any]]:
        return [
            {
                "quantity": units,
                "restockType": kind,
                "restocked": restocked,
                "location": {"id": self._location} if restocked else None,
                "lineItem": {"id": line},
            }
            for line, units, kind, restocked in refund.parts
        ]


def _shipped_lines(fulfillment: Fulfillment) -> list[dict[str, Any]]:
    return [{"quantity": units, "lineItem": {"id": line}} for line, units in fulfillment.parts]


def _parts(line: str, units: int, restocked: int, kind: str) -> list[tuple[str, int, str, bool]]:
    """Refund lines for units of which so many came back on sale."""
    parts = [(line, restocked, kind, True), (line, units - restocked, "NO_RESTOCK", False)]
    return [part for part in parts if part[1] > 0]


def _status(order: TruthOrder) -> str:
    sums: Counter[str] = Counter()
    for line in order.lines:
        sums.update(held=line.held, shipped=line.shipped)
    if not sums["shipped"]:
        return "IN_PROGRESS" if order.extra.get("in_progress") else "UNFULFILLED"
    return "PARTIALLY_FULFILLED" if sums["held"] else "FULFILLED"


def page_of(nodes: Sequence[dict[str, Any]], after: str | None, first: int) -> dict[str, Any]:
    if not isinstance(first, int) or not 1 <= first <= 250:
        raise BadCall("INVALID_FIELD_ARGUMENTS", "first must be between 1 and 250")
    begin = 0 if after is None else int(after)
    end = begin + first
    page = {"hasNextPage": end < len(nodes), "endCursor": str(min(end, len(nodes))) if nodes else None}
    return {"pageInfo": page, "nodes": list(nodes[begin:end])}


def _write_cursor(place: tuple[str, str], began: datetime) -> str:
    return base64.b64encode(json.dumps([*place, began.isoformat()]).encode()).decode()


def _read_cursor(cursor: object) -> tuple[tuple[str, str], datetime]:
    try:
        moment, last, began = json.loads(base64.b64decode(str(cursor), validate=True))
        return (moment, last), datetime.fromisoformat(began)
    except (ValueError, binascii.Error):
        raise BadCall("INVALID_FIELD_ARGUMENTS", "Invalid cursor for current pagination sort.") from None
