"""Shipments out: look at what the order still has to ship, then tell the parcel, one call a location.

`fulfillmentCreate` is not idempotent, so nothing is told before the order was read: what it bears under this tracking
number already is not told again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncd.sdk.channel import Accepted, Reason, Rejected, Shipment
from syncd.sdk.errors import BrokenAnswer, CallRefused, ChannelError, InDoubt
from syncd.sdk.http import shown
from syncd_shopify.admin import AdminApi
from syncd_shopify.documents import MORE_TO_SHIP, SHIP, TO_SHIP, TO_SHIP_LINES, Document
from syncd_shopify.wire import read_page, read_user_errors
from syncd_shopify.wire_shipments import NotShippable, ToShip, plan, read_parts, read_told

ORDER = "gid://shopify/Order/"
MOST_PAGES = 50


class Shipping:
    """Tells shipments of one shop."""

    def __init__(self, api: AdminApi, *, notify: bool) -> None:
        self._api = api
        self._notify = notify

    async def send(self, index: int, shipment: Shipment) -> Accepted | Rejected:
        """Tell one parcel. Raises InDoubt where a part of it may have been told."""
        if not (shipment.order.isascii() and shipment.order.isdigit()):
            return Rejected(index, Reason.OTHER, f"{shipment.order} is no number of an order")
        order = await self._order(shipment.order)
        if order is None:
            return Rejected(index, Reason.OTHER, "the shop knows no such order, or does not show it any more")
        try:
            inputs = plan(shipment, order, notify=self._notify)
        except NotShippable as error:
            return Rejected(index, Reason.OTHER, str(error))
        for number, fulfillment in enumerate(inputs):
            try:
                refused = await self._tell(fulfillment)
            except CallRefused as error:
                refused = str(error)
            except ChannelError as error:
                if number == 0 or isinstance(error, InDoubt):
                    raise
                raise InDoubt(f"{number} of {len(inputs)} locations were told, then: {error}") from error
            if refused:
                part = f"{number} of {len(inputs)} locations were told, then: " if number else ""
                return Rejected(index, Reason.OTHER, f"{part}{refused}")
        return Accepted(index)

    async def _tell(self, fulfillment: Mapping[str, Any]) -> str:
        """One fulfillmentCreate; returns why it was refused."""
        data = await self._api.run(SHIP, {"f": fulfillment})
        payload = data.get("fulfillmentCreate")
        if not isinstance(payload, Mapping):
            raise BrokenAnswer("Ship: no fulfillmentCreate in the answer")
        errors = read_user_errors(payload, "Ship")
        if not errors and not isinstance(payload.get("fulfillment"), Mapping):
            raise BrokenAnswer("Ship: neither a fulfillment nor an error")
        return shown("; ".join(one.message or "refused" for one in errors))

    async def _order(self, number: str) -> ToShip | None:
        data = await self._api.run(TO_SHIP, {"id": ORDER + number})
        node = data.get("order")
        if node is None:
            return None
        try:
            orders = await self._all(MORE_TO_SHIP, "fulfillmentOrders", node)
            whole = [
                {**one, "lineItems": {"nodes": await self._all(TO_SHIP_LINES, "lineItems", one)}} for one in orders
            ]
            return ToShip(read_parts(whole), read_told(node["fulfillments"]), node["cancelledAt"] is not None)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokenAnswer(f"ToShip: {type(error).__name__}: {error}") from None

    async def _all(self, document: Document, connection: str, owner: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """All nodes of a connection whose first page is there."""
        nodes, after = read_page(owner[connection], document.name)
        for _ in range(MOST_PAGES):
            if after is None:
                return nodes
            data = await self._api.run(document, {"id": owner["id"], "after": after, "inner": 50})
            more, after = read_page(data["node"][connection], document.name)
            nodes = [*nodes, *more]
        raise BrokenAnswer(f"{document.name}: pages without end")
