"""Orders of the API 2026-01-01 -> order states. Pure. Buyer and recipient are never asked for, and never touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from syncd.model import LineState, OrderState
from syncd.sdk.errors import BrokenAnswer

INCLUDED = "FULFILLMENT,CANCELLATION,PACKAGES"
BY_AMAZON = "AMAZON"
OPEN = "PENDING_AVAILABILITY,PENDING,UNSHIPPED,PARTIALLY_SHIPPED"
BEFORE_RELEASE = "PENDING_AVAILABILITY"
PENDING = "PENDING"
HELD = frozenset({BEFORE_RELEASE, PENDING, "UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED"})
RELEASED = frozenset({"CANCELLED", "UNFULFILLABLE"})


class Unreadable(ValueError):
    """An order that cannot be understood. It is kept for a person."""


def read_time(text: Any) -> datetime:
    """An aware time. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("no time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text[:40]}")
    return moment


def write_time(moment: datetime) -> str:
    """A time as the API takes it; fractions are kept where there are some."""
    grain = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=grain).replace("+00:00", "Z")


def read_orders(body: Any) -> tuple[list[Mapping[str, Any]], str | None, datetime | None]:
    """The orders of a search, its next page's token, and the time up to which it looked. Raises BrokenAnswer."""
    orders = body.get("orders") if isinstance(body, Mapping) else None
    if not isinstance(orders, list) or not all(isinstance(order, Mapping) for order in orders):
        raise BrokenAnswer("search_orders: no orders in the answer")
    pagination = body.get("pagination") or {}
    token = pagination.get("nextToken") if isinstance(pagination, Mapping) else None
    try:
        before = None if body.get("lastUpdatedBefore") is None else read_time(body["lastUpdatedBefore"])
    except ValueError as error:
        raise BrokenAnswer(f"search_orders: lastUpdatedBefore: {error}") from None
    return orders, token if isinstance(token, str) and token else None, before


def is_ours(order: Mapping[str, Any]) -> bool:
    """Whether the seller ships it. What Amazon ships from its own stock does not touch ours."""
    fulfillment = order.get("fulfillment")
    return not isinstance(fulfillment, Mapping) or fulfillment.get("fulfilledBy") != BY_AMAZON


def status_of(order: Mapping[str, Any]) -> str:
    """The fulfilment status. Raises Unreadable."""
    fulfillment = order.get("fulfillment")
    status = fulfillment.get("fulfillmentStatus") if isinstance(fulfillment, Mapping) else None
    if status not in HELD | RELEASED:
        raise Unreadable(f"unknown fulfillmentStatus {status!r:.40}")
    return str(status)


def read_order(order: Mapping[str, Any]) -> OrderState:
    """One order as Amazon shows it now. Raises Unreadable."""
    try:
        status = status_of(order)
        lines = tuple(_lines(order["orderItems"], status))
        return OrderState(
            number=_text(order["orderId"]),
            lines=lines,
            as_of=read_time(order["lastUpdatedTime"]),
            placed_at=read_time(order["createdTime"]),
            shipment_opened=any(line.shipped for line in lines),
            shipped_at=_shipped_at(order) if any(line.shipped for line in lines) else None,
        )
    except Unreadable:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__} {error}") from None


def _lines(items: Any, status: str) -> Iterator[LineState]:
    used: set[str] = set()
    for item in items:
        line = _text(item["orderItemId"])
        while line in used:
            line += "+"
        used.add(line)
        yield _line(item, line, status)


def _line(item: Mapping[str, Any], line: str, status: str) -> LineState:
    """A line's counts. A buyer's request to cancel changes none: Amazon holds the stock until the seller cancels.

    A cancelled order may show its quantities or 0: what is neither shipped nor still to ship is cancelled.
    """
    ordered, shipped = _count(item["quantityOrdered"]), 0
    left: int | None = None
    fulfillment = item.get("fulfillment") or {}
    if fulfillment.get("quantityFulfilled") is not None:
        shipped = _count(fulfillment["quantityFulfilled"])
    if fulfillment.get("quantityUnfulfilled") is not None:
        left = _count(fulfillment["quantityUnfulfilled"])
    if status in RELEASED:
        left = 0
    elif left is None:
        left = 0 if status == "SHIPPED" else ordered - shipped
    if status == "SHIPPED" and not fulfillment:
        shipped = ordered
    ordered = max(ordered, shipped + left)
    product = item.get("product") or {}
    listing = product.get("sellerSku") or f"?{product.get('asin') or line}"
    cancelled = ordered - shipped - left
    return LineState(
        line=line,
        listing=_text(listing),
        ordered=ordered,
        cancelled=cancelled,
        shipped=shipped,
        restocked=None if cancelled else 0,
    )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise Unreadable(f"a quantity of {value!r:.40}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Unreadable(f"an id that is {value!r:.40}")
    return value


def _shipped_at(order: Mapping[str, Any]) -> datetime | None:
    """When the last parcel left, where the packages tell."""
    times = [read_time(one["shipTime"]) for one in order.get("packages") or () if one.get("shipTime")]
    return max(times, default=None)
