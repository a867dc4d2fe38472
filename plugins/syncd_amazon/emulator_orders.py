"""The order half of the emulator: searchOrders, getOrder and confirmShipment over a `Market`. No buyer is made up."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from syncd.testing.world import Market, TruthLine, TruthOrder
from syncd_amazon.emulator_listings import Result, refused, stamp

LAG = timedelta(minutes=2)
TOKEN_LIFE = timedelta(hours=24)
MOST_PAGE = 100
OWN_PARAMETERS = frozenset({"paginationToken"})
SHIPPABLE = frozenset({"UNSHIPPED", "PARTIALLY_SHIPPED"})


def order_id(number: str) -> str:
    """The number of an order as Amazon spells it: three groups of digits."""
    if re.fullmatch(r"\d{3}-\d{7}-\d{7}", number):
        return number
    digits = re.sub(r"\D", "", number)
    n = int(digits) if digits and number.endswith(digits) else zlib.crc32(number.encode())
    return f"250-{n // 10_000_000 % 10_000_000:07d}-{n % 10_000_000:07d}"


def status_of(order: TruthOrder) -> str:
    """The status of an order: scripted by a test (`extra["fulfillmentStatus"]`), else from its counts."""
    scripted = order.extra.get("fulfillmentStatus")
    shipped = sum(line.shipped for line in order.lines)
    held = any(line.held > 0 for line in order.lines)
    if not shipped and not held:
        return "CANCELLED"
    if isinstance(scripted, str) and held:
        return scripted
    if shipped:
        return "PARTIALLY_SHIPPED" if held else "SHIPPED"
    return "UNSHIPPED"


class OrderDesk:
    """Answers order calls as (status, body)."""

    def __init__(
        self, market: Market, quirk: Mapping[str, str], began: Callable[[], datetime], marketplace: str
    ) -> None:
        self.market = market
        self.lag = LAG
        self.quirk = quirk
        self.began = began
        self.marketplace = marketplace

    # -- searchOrders --------------------------------------------------------------------------------------

    def search(self, query: Mapping[str, str]) -> Result:
        """Orders by change time, up to two minutes (`lag`) ago by Amazon's clock. The next page goes on behind the
        last order shown."""
        now = self.market.world.now() + self.market.skew
        asked = {name: value for name, value in query.items() if name not in OWN_PARAMETERS}
        try:
            size = int(asked.get("maxResultsPerPage", str(MOST_PAGE)))
            after = datetime.fromisoformat(asked["lastUpdatedAfter"])
            given = asked.get("lastUpdatedBefore")
            place = self._place(query.get("paginationToken"), asked, now)
        except (KeyError, ValueError) as error:
            return refused("InvalidInput", f"Invalid Input {error}")
        before = now - self.lag if given is None else datetime.fromisoformat(given)
        if "createdAfter" in asked or not 1 <= size <= MOST_PAGE or before > now - self.lag:
            return refused("InvalidInput", "Invalid Input")
        if place:
            before = datetime.fromisoformat(place["before"])
        hits = self._hits(asked, after, before, place.get("behind"))
        part = hits[:size]
        began = datetime.fromisoformat(place["began"]) if place else self.began()
        body: dict[str, Any] = {
            "orders": [self.order(order, asked.get("includedData", "").split(",")) for order in part],
            "pagination": {},
            "lastUpdatedBefore": stamp(before),
        }
        if len(hits) > size:
            last = self._key(part[-1])
            token = {"behind": last, "before": before.isoformat(), "began": began.isoformat(), "asked": asked}
            body["pagination"] = {"nextToken": _sealed({**token, "given": now.isoformat()})}
        self.market.delivered(order.number for order in part)
        if len(hits) <= size:
            self.market.read_orders_began(began)
        return 200, body

    def _place(self, token: str | None, asked: Mapping[str, str], now: datetime) -> dict[str, Any]:
        """Where a token goes on. Raises ValueError for one that is dead or comes with another question."""
        if token is None:
            return {}
        place: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token))
        if place["asked"] != asked or now - datetime.fromisoformat(place["given"]) > TOKEN_LIFE:
            raise ValueError("paginationToken")
        return place

    def _hits(
        self, asked: Mapping[str, str], after: datetime, before: datetime, behind: list[str] | None
    ) -> list[TruthOrder]:
        statuses = set(filter(None, asked.get("fulfillmentStatuses", "").split(",")))
        newest_first = self.quirk["order_sort"] == "newest_first"
        found = []
        for order in self.market.visible_orders():
            if not after <= order.updated_at <= before or (statuses and status_of(order) not in statuses):
                continue
            if asked.get("fulfilledBy") == "MERCHANT" and order.extra.get("fulfilledBy") == "AMAZON":
                continue
            key = self._key(order)
            if behind is None or (key < behind if newest_first else key > behind):
                found.append(order)
        return sorted(found, key=self._key, reverse=newest_first)

    @staticmethod
    def _key(order: TruthOrder) -> list[str]:
        return [order.updated_at.isoformat(timespec="microseconds"), order.number]

    # -- one order -----------------------------------------------------------------------------------------

    def find(self, number: str) -> TruthOrder | None:
        return next((one for one in self.market.visible_orders() if order_id(one.number) == number), None)

    def get(self, number: str, query: Mapping[str, str]) -> Result:
        order = self.find(number)
        if order is None:
            return refused("NotFound", "Not found", 404)
        self.market.delivered([order.number])
        return 200, {"order": self.order(order, query.get("includedData", "").split(","))}

    def order(self, order: TruthOrder, included: list[str]) -> dict[str, Any]:
        """One order in the shape of 2026-01-01, cut to what has to do with stock."""
        status = status_of(order)
        shown: dict[str, Any] = {
            "orderId": order_id(order.number),
            "createdTime": stamp(order.placed_at),
            "lastUpdatedTime": order.updated_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "programs": [],
            "associatedOrders": order.extra.get("associatedOrders", []),
            "salesChannel": {"channelName": "AMAZON", "marketplaceId": self.marketplace},
            "orderItems": [self._item(order, line, status, included) for line in order.lines],
        }
        if "FULFILLMENT" in included:
            by = order.extra.get("fulfilledBy", "MERCHANT")
            shown["fulfillment"] = {"fulfillmentStatus": status, "fulfilledBy": by}
        if "PACKAGES" in included:
            shown["packages"] = order.extra.get("packages", [])
        return shown

    def _item(self, order: TruthOrder, line: TruthLine, status: str, included: list[str]) -> dict[str, Any]:
        kept = line.ordered if self.quirk["cancelled_quantity"] == "kept" else line.ordered - line.cancelled
        item: dict[str, Any] = {
            "orderItemId": line_id(order, line),
            "quantityOrdered": kept,
            "product": {"asin": "B000EXAMPL", "title": line.listing, "sellerSku": line.listing},
        }
        if "FULFILLMENT" in included:
            item["fulfillment"] = {"quantityFulfilled": line.shipped, "quantityUnfulfilled": max(0, line.held)}
        if "CANCELLATION" in included:
            item["cancellation"] = self._cancellation(order, line)
        return item

    @staticmethod
    def _cancellation(order: TruthOrder, line: TruthLine) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if order.extra.get("cancel_requested"):
            told["cancellationRequest"] = {"requester": "BUYER", "cancelReason": "ORDERED_BY_MISTAKE"}
        if line.cancelled:
            told["cancellationExecution"] = {"cancelledBy": "SELLER", "cancelReason": "BUYER_CANCELLED"}
        return told

    def request_cancel(self, number: str) -> None:
        """The buyer asks for a cancel: a request, and nothing more."""
        order = self.market.orders[number]
        order.extra["cancel_requested"] = True
        self._touch(order)

    def _touch(self, order: TruthOrder) -> None:
        order.updated_at = max(self.market.world.now(), order.updated_at + timedelta(microseconds=1))
        self.market.world.note_change(self.market, order)

    # -- confirmShipment -----------------------------------------------------------------------------------

    def confirm(self, number: str, body: Any) -> Result:
        """Take a parcel in. The same reference again edits the parcel."""
        order = self.find(number)
        detail = body.get("packageDetail") if isinstance(body, Mapping) else None
        if order is None or not isinstance(detail, Mapping) or body.get("marketplaceId") != self.marketplace:
            return refused("InvalidInput", "Invalid Input")
        reference = detail.get("packageReferenceId")
        if not isinstance(reference, str) or not re.fullmatch(r"[1-9]\d*", reference):
            return refused("InvalidInput", "packageReferenceId must be a positive number, as text.")
        needed = ("carrierCode", "trackingNumber", "shipDate", "orderItems")
        known_code = self.quirk["carrier_codes"] == "any" or detail.get("carrierCode") == "Other"
        if not all(detail.get(name) for name in needed) or not known_code:
            return refused("InvalidInput", f"{', '.join(needed)} are required.")
        if detail["carrierCode"] == "Other" and not detail.get("carrierName"):
            return refused("InvalidInput", "carrierName is required for Other.")
        return self._shipped(order, reference, detail)

    def _shipped(self, order: TruthOrder, reference: str, detail: Mapping[str, Any]) -> Result:
        parcels: list[dict[str, Any]] = list(order.extra.get("packages", []))  # type: ignore[call-overload]
        before = next((one for one in parcels if one["packageReferenceId"] == reference), None)
        if before is None and status_of(order) not in SHIPPABLE:
            return refused("InvalidInput", "The order cannot be shipped.")
        units = {item["orderItemId"]: item["quantity"] for item in detail["orderItems"]}
        old = {} if before is None else {item["orderItemId"]: item["quantity"] for item in before["packageItems"]}
        lines = {line_id(order, line): line for line in order.lines}
        if any(name not in lines or lines[name].held + old.get(name, 0) < count for name, count in units.items()):
            return refused("InvalidInput", "quantity")
        parcel = {
            "packageReferenceId": reference,
            "carrier": detail.get("carrierName", detail["carrierCode"]),
            "shipTime": detail["shipDate"],
            "trackingNumber": detail["trackingNumber"],
            "packageStatus": {"status": "SHIPPED"},
            "packageItems": [{"orderItemId": name, "quantity": count} for name, count in units.items()],
        }
        order.extra["packages"] = [*(one for one in parcels if one is not before), parcel]
        if before is None:
            shipped = {lines[name].line: count for name, count in units.items()}
            self.market.ship(order.number, shipped, tracking=str(detail["trackingNumber"]))
            return 204, None
        for name, line in lines.items():  # an edit: the same parcel with other contents
            line.shipped += units.get(name, 0) - old.get(name, 0)
        self._touch(order)
        return 204, None


def line_id(order: TruthOrder, line: TruthLine) -> str:
    """The order item's id."""
    return f"{int(order_id(order.number).replace('-', '')) % 10**11:011d}{int(line.line):03d}"


def _sealed(token: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode()
