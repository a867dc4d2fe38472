"""Shipments -> fulfillments: what of an order can still be shipped, and which calls a parcel takes. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.sdk.channel import Carrier, Shipment
from syncd_shopify.wire import tail
from syncd_shopify.wire_orders import FAILED_FULFILLMENTS

SHIPPABLE = frozenset({"OPEN", "IN_PROGRESS"})
COMPANIES = {  # spelled as Shopify's own list has them, or buyers get no link; トナミ運輸 is not on it
    Carrier.TONAMI: "トナミ運輸",
    Carrier.YAMATO: "Yamato (JA)",
    Carrier.SAGAWA: "Sagawa (JA)",
    Carrier.SAGAWA_GLOBAL: "Sagawa (JA)",
    Carrier.JAPAN_POST: "Japan Post (JA)",
    Carrier.SEINO: "西濃運輸",
    Carrier.FUKUYAMA: "福山通運",
    Carrier.MEITETSU: "名鉄運輸",
    Carrier.ECOHAI: "エコ配",
    Carrier.DHL: "DHL Express",
    Carrier.FEDEX: "FedEx",
    Carrier.UPS: "UPS",
    Carrier.USPS: "USPS",
}


class NotShippable(Exception):
    """The shop cannot take this shipment; the text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """Units of an order line that one fulfillment order of a location still has to ship."""

    fulfillment_order: str
    status: str
    location: str
    item: str  # the fulfillment order's own line
    line: str  # the order's line, as the order's state names it
    remaining: int


@dataclass(frozen=True, slots=True)
class ToShip:
    """An order as far as shipping goes. `told`: units by line of the parcels it bears, by tracking number."""

    parts: tuple[Part, ...]
    told: Mapping[str, Counter[str]]
    cancelled: bool


def read_parts(orders: Iterable[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Parts of fulfillment orders whose inner pages are all there. Raises KeyError or TypeError for a broken one."""
    return tuple(
        Part(
            fulfillment_order=one["id"],
            status=one["status"],
            location=((one["assignedLocation"] or {}).get("location") or {}).get("id", ""),
            item=item["id"],
            line=tail(item["lineItem"]["id"]),
            remaining=int(item["remainingQuantity"]),
        )
        for one in orders
        for item in one["lineItems"]["nodes"]
    )


def read_told(fulfillments: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Units by line of each tracking number; fulfillments that failed ship nothing."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for one in fulfillments:
        if one["status"] in FAILED_FULFILLMENTS:
            continue
        for tracking in one["trackingInfo"]:
            for part in one["fulfillmentLineItems"]["nodes"]:
                told[tracking["number"] or ""][tail(part["lineItem"]["id"])] += int(part["quantity"] or 0)
    return told


def plan(shipment: Shipment, order: ToShip, *, notify: bool) -> list[dict[str, Any]]:
    """The FulfillmentInputs that tell a parcel, one a location; none where the order bears it already.

    What was told under the same number is taken off first, so that a repeat after a lost answer, or after the first of
    two locations, tells only the rest. Raises NotShippable.
    """
    told = order.told.get(shipment.tracking, Counter()) if shipment.tracking else Counter[str]()
    if order.cancelled:
        raise NotShippable("the order is cancelled")
    open_parts = [part for part in order.parts if part.status in SHIPPABLE and part.remaining > 0]
    if shipment.lines:
        wanted = Counter({line: units - told[line] for line, units in shipment.lines.items() if units > told[line]})
        taken = _take(open_parts, wanted, order.parts)
    else:
        taken = [(part, part.remaining) for part in open_parts]
        if not taken and not told:
            raise NotShippable(_nothing(order.parts))
    by_location: dict[str, list[tuple[Part, int]]] = defaultdict(list)
    for part, units in taken:
        by_location[part.location].append((part, units))
    return [_fulfillment(shipment, some, notify=notify) for some in by_location.values()]


def _take(parts: Sequence[Part], wanted: Mapping[str, int], every: Sequence[Part]) -> list[tuple[Part, int]]:
    taken = []
    for line, units in wanted.items():
        left = units
        for part in parts:
            if part.line == line and left > 0:
                taken.append((part, min(left, part.remaining)))
                left -= min(left, part.remaining)
        if left > 0:
            why = "" if units > left else f"; {_nothing([one for one in every if one.line == line])}"
            raise NotShippable(f"line {line}: {units} to ship, {units - left} can be{why}")
    return taken


def _nothing(parts: Sequence[Part]) -> str:
    """Why nothing can be shipped."""
    waiting = sorted({part.status for part in parts if part.remaining > 0})
    return f"the fulfillment order is {', '.join(waiting)}" if waiting else "nothing of it is left to ship"


def _fulfillment(shipment: Shipment, taken: Sequence[tuple[Part, int]], *, notify: bool) -> dict[str, Any]:
    orders: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for part, units in taken:
        orders[part.fulfillment_order].append({"id": part.item, "quantity": units})
    company = COMPANIES.get(shipment.carrier, shipment.carrier_name)
    tracking = {name: value for name, value in (("company", company), ("number", shipment.tracking)) if value}
    return {
        "notifyCustomer": notify,
        **({"trackingInfo": tracking} if tracking else {}),
        "lineItemsByFulfillmentOrder": [
            {"fulfillmentOrderId": gid, "fulfillmentOrderLineItems": items} for gid, items in orders.items()
        ],
    }
