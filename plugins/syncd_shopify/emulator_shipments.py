"""The emulator's fulfillment orders: one a location, what each still has to ship, and fulfillmentCreate.

`held_back` are orders whose fulfillment orders are ON_HOLD; `split` gives the lines (by number) that a second location
ships; both are set by tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from syncd.testing.world import Market, TruthLine, TruthOrder
from syncd_shopify.emulator_orders import OrderBook, line_gid, order_id, page_of

OTHER_LOCATION = "gid://shopify/Location/655441491"


@dataclass(slots=True)
class FulfillmentDesk:
    """Ships the orders of one shop."""

    market: Market
    orders: OrderBook
    location: str
    held_back: set[str] = field(default_factory=set)
    split: dict[str, set[str]] = field(default_factory=dict)
    refusal: str = ""

    def order(self, gid: str) -> dict[str, Any] | None:
        """`order(id)` with what is to ship; None where there is none such."""
        found = self._found(gid)
        if found is None:
            return None
        return {
            "id": gid,
            "cancelledAt": None if found.cancelled_at is None else "2026-11-21T00:00:00Z",
            "fulfillments": self.orders.fulfillments(found),
            "fulfillmentOrders": page_of(self._nodes(found), None, 20),
        }

    def rest(self, gid: str, name: str, after: str, inner: int) -> dict[str, Any] | None:
        """A further page inside an order or a fulfillment order."""
        if name == "fulfillmentOrders":
            found = self._found(gid)
            return None if found is None else {name: page_of(self._nodes(found), after, inner)}
        for order in self.market.orders.values():
            for place in (self.location, OTHER_LOCATION):
                if gid == _gid(order, place):
                    return {name: page_of(self._items(order, place), after, inner)}
        return None

    def create(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """fulfillmentCreate: all of it or nothing; one location a call."""
        if self.refusal:
            return _refused(self.refusal)
        asked: dict[str, Counter[str]] = {}
        places = set()
        for one in given["lineItemsByFulfillmentOrder"]:
            order, place = self._place_of(one["fulfillmentOrderId"])
            if order is None:
                return _refused("Fulfillment order does not exist.")
            if order.number in self.held_back or order.cancelled_at is not None:
                return _refused("Fulfillment order is not in a fulfillable state.")
            places.add(place)
            items = {item["id"]: item for item in self._items(order, place)}
            for wish in one["fulfillmentOrderLineItems"]:
                item = items.get(wish["id"])
                if item is None or not 0 < wish["quantity"] <= item["remainingQuantity"]:
                    return _refused("Invalid fulfillment order line item quantity requested.")
                line = next(x for x in order.lines if line_gid(order, x) == item["lineItem"]["id"])
                asked.setdefault(order.number, Counter())[line.line] += wish["quantity"]
        if len(places) != 1:
            return _refused("Fulfillment orders must be assigned to the same location.")
        for number, units in asked.items():
            self.orders.next_tracking = dict(given.get("trackingInfo") or {})
            self.market.ship(number, units, tracking=self.orders.next_tracking.get("number", ""))
        return {"fulfillment": {"id": self.orders.newest, "status": "SUCCESS"}, "userErrors": []}

    def _found(self, gid: str) -> TruthOrder | None:
        return next((one for one in self.market.orders.values() if gid.endswith(f"/{order_id(one.number)}")), None)

    def _place_of(self, gid: str) -> tuple[TruthOrder | None, str]:
        for order in self.market.orders.values():
            for place in (self.location, OTHER_LOCATION):
                if gid == _gid(order, place):
                    return order, place
        return None, ""

    def _lines(self, order: TruthOrder, place: str) -> list[TruthLine]:
        apart = self.split.get(order.number, set())
        return [line for line in order.lines if (line.line in apart) is (place == OTHER_LOCATION)]

    def _items(self, order: TruthOrder, place: str) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{_gid(order, place).replace('FulfillmentOrder', 'FulfillmentOrderLineItem')}{line.line}",
                "remainingQuantity": line.held,
                "lineItem": {"id": line_gid(order, line)},
            }
            for line in self._lines(order, place)
        ]

    def _nodes(self, order: TruthOrder) -> list[dict[str, Any]]:
        nodes = []
        for place in (self.location, OTHER_LOCATION):
            items = self._items(order, place)
            if not items:
                continue
            held = sum(item["remainingQuantity"] for item in items)
            status = "OPEN" if held else "CLOSED"
            if held and order.number in self.held_back:
                status = "ON_HOLD"
            nodes.append(
                {
                    "id": _gid(order, place),
                    "status": status,
                    "assignedLocation": {"location": {"id": place}},
                    "lineItems": page_of(items, None, 50),
                }
            )
        return nodes


def _gid(order: TruthOrder, place: str) -> str:
    return f"gid://shopify/FulfillmentOrder/{1 if place != OTHER_LOCATION else 2}{order_id(order.number)}"


def _refused(message: str) -> dict[str, Any]:
    return {"fulfillment": None, "userErrors": [{"field": ["fulfillment"], "message": message}]}
