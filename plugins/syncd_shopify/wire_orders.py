"""Shopify's orders -> order states, and the search text of the feed. Pure. No buyer data is asked for or kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from syncd.model import LineState, OrderState
from syncd_shopify.counts import LineFacts, read_counts
from syncd_shopify.wire import tail

FAILED_FULFILLMENTS = frozenset({"CANCELLED", "ERROR", "FAILURE"})
OPENED = frozenset({"IN_PROGRESS", "PENDING_FULFILLMENT"})


class Unreadable(Exception):
    """One order cannot be read. It is kept as a problem for a person; the feed goes on."""


def read_time(value: object) -> datetime:
    """An aware UTC time of ISO 8601 text. Raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("no time")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def write_time(moment: datetime) -> str:
    """A time as Shopify writes it, whole seconds: 2026-11-21T03:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def changed_since(moment: datetime) -> str:
    """The search text for orders changed at or after a time. Cancelled and closed ones come too."""
    return f"updated_at:>='{write_time(moment)}'"


def read_order(node: Mapping[str, Any], location: str, *, complete: bool = True) -> OrderState:
    """One order whose inner pages are all there. Raises Unreadable where a needed field is missing.

    The number is the numeric id: the name (#1001) follows a format that the shop may change, the id never.
    """
    try:
        shipped, shipped_at = _fulfilled(node["fulfillments"])
        refunded = _refunded(node["refunds"], location)
        cancelled = node["cancelledAt"] is not None
        lines = tuple(_line(line, shipped, refunded, cancelled=cancelled) for line in node["lineItems"]["nodes"])
        return OrderState(
            number=tail(node["id"]),
            lines=lines,
            as_of=read_time(node["updatedAt"]),
            complete=complete,
            placed_at=read_time(node["createdAt"]),
            shipment_opened=node["displayFulfillmentStatus"] in OPENED,
            shipped_at=shipped_at,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def _line(
    line: Mapping[str, Any], shipped: Counter[str], refunded: Mapping[str, Counter[str]], *, cancelled: bool
) -> LineState:
    of_line = refunded.get(line["id"], Counter())
    counts, restocked = read_counts(
        LineFacts(
            quantity=_whole(line["quantity"]),
            current=_whole(line["currentQuantity"]),
            unfulfilled=_whole(line["unfulfilledQuantity"]),
            fulfilled=shipped[line["id"]],
            refunded_unshipped=of_line["CANCEL"],
            refunded_returned=of_line["RETURN"],
            refunded_open=of_line["OTHER"],
            restocked=of_line["restocked"],
            order_cancelled=cancelled,
        )
    )
    return LineState(
        line=tail(line["id"]),
        listing=_listing(line),
        ordered=counts.ordered,
        cancelled=counts.cancelled,
        shipped=counts.shipped,
        returned=counts.returned,
        restocked=restocked,
    )


def _listing(line: Mapping[str, Any]) -> str:
    """The inventory item's number; a custom item or a deleted product has none, then "?" and the best name."""
    item = (line["variant"] or {}).get("inventoryItem")
    if item is not None:
        return tail(item["id"])
    return "?" + (line["sku"] or f"line-{tail(line['id'])}")


def _fulfilled(fulfillments: list[Mapping[str, Any]]) -> tuple[Counter[str], datetime | None]:
    """Units shipped by line, and when the last of them left."""
    units: Counter[str] = Counter()
    times = []
    for one in fulfillments:
        if one["status"] in FAILED_FULFILLMENTS:
            continue
        times.append(read_time(one["createdAt"]))
        for part in one["fulfillmentLineItems"]["nodes"]:
            units[part["lineItem"]["id"]] += _whole(part["quantity"] or 0)
    return units, max(times, default=None)


def _refunded(refunds: list[Mapping[str, Any]], location: str) -> dict[str, Counter[str]]:
    """Refunded units by line and by what became of the goods; `restocked` counts those back on sale with us.

    Goods put back at another location than ours do not raise the number that we write.
    """
    found: dict[str, Counter[str]] = {}
    for refund in refunds:
        for part in refund["refundLineItems"]["nodes"]:
            units = _whole(part["quantity"])
            of_line = found.setdefault(part["lineItem"]["id"], Counter())
            kind = part["restockType"]
            of_line[kind if kind in ("CANCEL", "RETURN") else "OTHER"] += units
            place = part["location"]
            if part["restocked"] and (place is None or place["id"] == location):
                of_line["restocked"] += units
    return found


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a quantity that is no whole number")
    return value
