"""The listings half of the emulator: items, searches and patches over a `Market`; numbers take time to show."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from syncd.sdk.channel import Form
from syncd.testing.world import Market, Sent, TruthListing
from syncd_amazon.options import LEAD_ATTRIBUTE, RESTOCK_ATTRIBUTE

Result = tuple[int, dict[str, Any] | None]
MOST_IDENTIFIERS = 20
MOST_LISTED = 1000
CHANNELS = frozenset({"DEFAULT", "AMAZON_JP"})


@dataclass(order=True, slots=True)
class Landing:
    """A value that was taken in and shows from `due` on."""

    due: datetime
    order: int
    sku: str = field(compare=False)
    value: Mapping[str, Any] = field(compare=False)
    op: str = field(compare=False)
    sent: Sent = field(compare=False)


def refused(code: str, message: str, status: int = 400) -> Result:
    """A refusal in the API's shape."""
    return status, {"errors": [{"code": code, "message": message, "details": ""}]}


class ListingDesk:
    """Answers listing calls as (status, body). `fba`: SKUs that Amazon holds. `options`: lead times and the like."""

    def __init__(
        self, market: Market, quirk: Mapping[str, str], began: Callable[[], datetime], marketplace: str
    ) -> None:
        self.market = market
        self.quirk = quirk
        self.began = began
        self.marketplace = marketplace
        self.fba: set[str] = set()
        self.parents: set[str] = set()
        self.options: dict[str, dict[str, Any]] = {}
        self.fba_touched = 0
        self.lost = 0
        self._landings: list[Landing] = []
        self._numbers = itertools.count(1)

    # -- stock in ------------------------------------------------------------------------------------------

    def get(self, sku: str, query: Mapping[str, str]) -> Result:
        listing = self._find(sku)
        if listing is None:
            return refused("NOT_FOUND", f"SKU '{sku}' not found in marketplace.", 404)
        return 200, self.item(listing, query.get("includedData", "summaries").split(","))

    def search(self, query: Mapping[str, str]) -> Result:
        """Items by SKU, or all of them in pages, at most 1,000."""
        size = int(query.get("pageSize", "10"))
        identifiers = query.get("identifiers")
        if not 1 <= size <= MOST_IDENTIFIERS or (identifiers is not None and query.get("identifiersType") != "SKU"):
            return refused("BAD_REQUEST", "Invalid input")
        if identifiers is None:
            found = [one for one in self.market.listings.values() if one.exists][:MOST_LISTED]
        else:
            wanted = identifiers.split(",")
            if len(wanted) > MOST_IDENTIFIERS:
                return refused("BAD_REQUEST", "At most 20 identifiers.")
            found = [one for sku in dict.fromkeys(wanted) if (one := self._find(sku)) is not None]
        start = int(query.get("pageToken", "0"))
        part = found[start : start + size]
        included = query.get("includedData", "summaries").split(",")
        body: dict[str, Any] = {
            "numberOfResults": len(found),
            "items": [self.item(listing, included) for listing in part],
        }
        if start + size < len(found):
            body["pagination"] = {"nextToken": str(start + size)}
        return 200, body

    def _find(self, sku: str) -> TruthListing | None:
        return self.market.shows(sku, self.began())

    def item(self, listing: TruthListing, included: list[str]) -> dict[str, Any]:
        """One item with the parts asked for."""
        item: dict[str, Any] = {"sku": listing.key}
        if "summaries" in included:
            item["summaries"] = [self._summary(listing)]
        if "attributes" in included:
            item["attributes"] = {"fulfillment_availability": self._attribute(listing)}
        if "fulfillmentAvailability" in included:
            item["fulfillmentAvailability"] = self._availability(listing)
        return item

    def _summary(self, listing: TruthListing) -> dict[str, Any]:
        sells = listing.key in self.fba or not listing.counted or listing.shown > 0
        return {
            "marketplaceId": self.marketplace,
            "asin": "B000EXAMPL",
            "productType": "PRODUCT",
            "conditionType": "new_new",
            "status": ["BUYABLE", "DISCOVERABLE"] if sells else ["DISCOVERABLE"],
            "itemName": listing.key,
            "createdDate": "2026-01-05T00:00:00Z",
            "lastUpdatedDate": stamp(listing.updated_at or self.market.world.now()),
        }

    def _availability(self, listing: TruthListing) -> list[dict[str, Any]]:
        if listing.key in self.parents:
            return []
        if listing.key in self.fba:
            return [{"fulfillmentChannelCode": "AMAZON_JP", "quantity": 3}]
        entry: dict[str, Any] = {"fulfillmentChannelCode": "DEFAULT"}
        if listing.counted and (listing.shown or self.quirk["zero_quantity"] == "given"):
            entry["quantity"] = listing.shown
        return [entry]

    def _attribute(self, listing: TruthListing) -> list[dict[str, Any]]:
        if listing.key in self.fba or listing.key in self.parents:
            return []
        kept = self.options.get(listing.key, {})
        return [{"fulfillment_channel_code": "DEFAULT", "quantity": listing.shown, **kept}]

    # -- stock out -----------------------------------------------------------------------------------------

    def patch(self, sku: str, body: Any) -> Result:
        """Take a patch in. An unknown SKU is taken in, too."""
        if not isinstance(body, Mapping) or not body.get("productType") or not body.get("patches"):
            return refused("InvalidInput", "productType and patches are required.")
        number = next(self._numbers)
        answer = {"sku": sku, "submissionId": f"f1dc2914-75dd-11ea-bc55-{number:012d}"}
        value, op, wrong = self.understood(body["patches"])
        if wrong:
            issue = {
                "code": "90000900",
                "message": wrong,
                "severity": "ERROR",
                "attributeNames": ["fulfillment_availability"],
                "categories": ["INVALID_ATTRIBUTE"],
            }
            return 200, {**answer, "status": "INVALID", "issues": [issue]}
        self.take_in(sku, value, op, self.market.sent_now([sku]), self.market.world.now())
        return 200, {**answer, "status": "ACCEPTED", "issues": []}

    def understood(self, patches: Any) -> tuple[Mapping[str, Any], str, str]:
        """The one value of a patch and its op, or what is wrong with it."""
        [patch] = patches if isinstance(patches, list) and len(patches) == 1 else [{}]
        values = patch.get("value")
        if patch.get("path") != "/attributes/fulfillment_availability" or not isinstance(values, list) or not values:
            return {}, "", "Only one patch of fulfillment_availability is emulated."
        value, op = values[0], patch.get("op")
        if op not in ("merge", "replace"):
            return {}, "", f"op {op} is not supported."
        if value.get("fulfillment_channel_code") not in CHANNELS:
            return {}, "", "Invalid parameters provided."
        quantity = value.get("quantity")
        if type(quantity) is not int or quantity < 0:
            return {}, "", "quantity is required."
        restock = value.get(RESTOCK_ATTRIBUTE)
        if restock is not None and ("T" in restock) is not (self.quirk["restock_date"] == "datetime"):
            return {}, "", "restock_date has the wrong format."
        return value, op, ""

    def take_in(self, sku: str, value: Mapping[str, Any], op: str, sent: Sent, now: datetime) -> None:
        """A value that Amazon has accepted shows at once, or after the time of the switch `shown_after`."""
        due = now + timedelta(seconds=float(self.quirk["shown_after"]))
        landing = Landing(due, next(self._numbers), sku, value, op, sent)
        if due <= now and sent.at == now:
            self._land(landing)
        else:
            heapq.heappush(self._landings, landing)

    def settle(self) -> None:
        """Show what is due by now."""
        while self._landings and self._landings[0].due <= self.market.world.now():
            self._land(heapq.heappop(self._landings))

    def _land(self, landing: Landing) -> None:
        listing = self.market.listings.get(landing.sku)
        if listing is None or not listing.exists:
            self.lost += 1
            return
        if landing.sku in self.fba:
            self.fba_touched += 1
            return
        named = {name: landing.value[name] for name in (LEAD_ATTRIBUTE, RESTOCK_ATTRIBUTE) if name in landing.value}
        kept = self.options.get(landing.sku, {}) if landing.op == "merge" else {}
        self.options[landing.sku] = {**kept, **named}
        self.market.write(landing.sku, Form.ABSOLUTE, int(landing.value["quantity"]), sent=landing.sent)


def stamp(moment: datetime) -> str:
    """A time as Amazon writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
