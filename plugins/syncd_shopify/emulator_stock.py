"""The emulator's inventory: inventorySetQuantities with its run-time rules, activation, levels and variants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from syncd.sdk.channel import Form
from syncd.testing.world import Market
from syncd_shopify.emulator_orders import BadCall
from syncd_shopify.wire import INVENTORY_ITEM, MAX_QUANTITY, item_gid

REASONS = frozenset(
    {
        "correction",
        "cycle_count_available",
        "damaged",
        "movement_created",
        "movement_updated",
        "movement_received",
        "movement_canceled",
        "other",
        "promotion",
        "quality_control",
        "received",
        "reservation_created",
        "reservation_updated",
        "reservation_deleted",
        "restock",
        "safety_stock",
        "shrinkage",
    }
)
MOST_ROWS = 250
ROW_FIELDS = {"inventoryItemId", "locationId", "quantity", "changeFromQuantity"}
INPUT_FIELDS = {"name", "reason", "referenceDocumentUri", "quantities"}
UserErrorList = list[dict[str, Any]]


class Inventory:
    """The stock of one shop at one location. `not_stocked` and `bundles` hold item numbers, set by tests."""

    def __init__(self, market: Market, quirk: Mapping[str, str], location: str) -> None:
        self._market = market
        self._quirk = quirk
        self._location = location
        self.location_active = True
        self.not_stocked: set[str] = set()
        self.sells_on: set[str] = set()
        self.bundles: set[str] = set()
        self.other_places: list[dict[str, Any]] = []
        self.changed: Callable[[list[str]], None] = lambda _keys: None

    # -- inventorySetQuantities ----------------------------------------------------------------------------------

    def set_quantities(self, given: Mapping[str, Any], version: str, now: datetime) -> dict[str, Any]:
        """The payload. One bad row fails the call as a whole, unless the switch `bad_line` says otherwise."""
        self._check_input(given, version)
        refused = self._refused_input(given)
        rows = given["quantities"]
        named = Counter(row["inventoryItemId"] for row in rows)
        for index, row in enumerate(rows):
            refused += self._refused_row(index, row, named, version, given["name"])
        bad = {error["row"] for error in refused}
        if refused and (None in bad or self._quirk["bad_line"] == "fails_all"):
            return {"inventoryAdjustmentGroup": None, "userErrors": _told(refused, self._quirk["error_field"])}
        changes = [self._apply(row, given["name"]) for index, row in enumerate(rows) if index not in bad]
        group = {"id": f"gid://shopify/InventoryAdjustmentGroup/{int(now.timestamp() * 1e6)}", "changes": changes}
        shown = group if changes else None
        return {"inventoryAdjustmentGroup": shown, "userErrors": _told(refused, self._quirk["error_field"])}

    @staticmethod
    def _check_input(given: Mapping[str, Any], version: str) -> None:
        if not given.keys() <= INPUT_FIELDS or not {"name", "reason", "quantities"} <= given.keys():
            raise BadCall("INVALID_VARIABLE", f"InventorySetQuantitiesInput with {sorted(given)}")
        if len(given["quantities"]) > MOST_ROWS:
            raise BadCall("MAX_INPUT_SIZE_EXCEEDED", f"The input array size is greater than {MOST_ROWS}.")
        for row in given["quantities"]:
            missing = ROW_FIELDS - row.keys()
            if row.keys() - ROW_FIELDS or missing - {"changeFromQuantity"}:
                raise BadCall("INVALID_VARIABLE", f"InventoryQuantityInput with {sorted(row)}")
            if missing and version >= "2026-04":
                text = "InventoryQuantityInput must include the following argument: changeFromQuantity."
                raise BadCall("INVALID_FIELD_ARGUMENTS", text)
            expected = row.get("changeFromQuantity")
            if not isinstance(row["quantity"], int) or not (expected is None or isinstance(expected, int)):
                raise BadCall("INVALID_VARIABLE", "a quantity that is no Int")

    @staticmethod
    def _refused_input(given: Mapping[str, Any]) -> UserErrorList:
        refused = []
        if given["name"] not in ("available", "on_hand"):
            refused.append(_error(None, "name", "INVALID_NAME"))
        if given["reason"] not in REASONS:
            refused.append(_error(None, "reason", "INVALID_REASON"))
        if "://" not in given.get("referenceDocumentUri", "a://b"):
            refused.append(_error(None, "referenceDocumentUri", "INVALID_REFERENCE_DOCUMENT"))
        return refused

    def _refused_row(
        self, index: int, row: Mapping[str, Any], named: Mapping[str, int], version: str, name: str
    ) -> UserErrorList:
        key = str(row["inventoryItemId"]).removeprefix(INVENTORY_ITEM)
        listing = self._market.listings.get(key)
        expected = row.get("changeFromQuantity")
        if row["locationId"] != self._location:
            return [_error(index, "locationId", "INVALID_LOCATION")]
        if listing is None or not listing.exists or row["inventoryItemId"] != item_gid(key):
            return [_error(index, "inventoryItemId", "INVALID_INVENTORY_ITEM")]
        if named[row["inventoryItemId"]] > 1:
            return [_error(index, "inventoryItemId", "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR")]
        if key in self.bundles:
            return [_error(index, "inventoryItemId", "NON_MUTABLE_INVENTORY_ITEM")]
        if row["quantity"] < 0:
            return [_error(index, "quantity", "INVALID_QUANTITY_NEGATIVE")]
        if row["quantity"] > MAX_QUANTITY:
            return [_error(index, "quantity", "INVALID_QUANTITY_TOO_HIGH")]
        if key in self.not_stocked and version <= "2026-07":
            return [_error(index, "locationId", "ITEM_NOT_STOCKED_AT_LOCATION")]
        if expected is not None and expected != listing.shown + (self.committed(key) if name == "on_hand" else 0):
            self._market.tally["stale_refused"] += 1
            return [_error(index, "changeFromQuantity", "CHANGE_FROM_QUANTITY_STALE")]
        return []

    def committed(self, key: str) -> int:
        """Units of an item in open orders."""
        return sum(line.held for order in self._market.orders.values() for line in order.lines if line.listing == key)

    def _apply(self, row: Mapping[str, Any], name: str) -> dict[str, Any]:
        key = str(row["inventoryItemId"]).removeprefix(INVENTORY_ITEM)
        expected = row.get("changeFromQuantity")
        form = Form.ABSOLUTE if expected is None else Form.COMPARE_AND_SET
        before = self._market.listings[key].shown
        # What is on hand holds the units of open orders too: a sellable number written there sells less.
        committed = self.committed(key) if name == "on_hand" else 0
        expected = None if expected is None else expected - committed
        after = self._market.write(key, form, row["quantity"] - committed, expected)
        self.not_stocked.discard(key)
        self.changed([key])
        return {
            "name": name,
            "delta": after - before,
            "quantityAfterChange": after if self._quirk["quantity_after"] == "filled" else None,
            "item": {"id": row["inventoryItemId"]},
            "location": {"id": row["locationId"]},
        }

    # -- the rest ------------------------------------------------------------------------------------------------

    def activate(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """inventoryActivate without quantities: the level exists then and keeps its number."""
        key = str(variables["item"]).removeprefix(INVENTORY_ITEM)
        if key not in self._market.listings or variables["loc"] != self._location:
            error = {"field": ["inventoryItemId"], "message": "The product couldn't be stocked."}
            return {"inventoryLevel": None, "userErrors": [error]}
        self.not_stocked.discard(key)
        return {"inventoryLevel": {"id": self._level_gid(key)}, "userErrors": []}

    def levels(self, variables: Mapping[str, Any], now: datetime) -> list[dict[str, Any] | None]:
        """`nodes(ids)`: null for what does not exist."""
        ids = variables["ids"]
        if len(ids) > MOST_ROWS:
            raise BadCall("MAX_INPUT_SIZE_EXCEEDED", f"The input array size is greater than {MOST_ROWS}.")
        return [self._item(str(gid).removeprefix(INVENTORY_ITEM), variables["loc"], now) for gid in ids]

    def variants(self, variables: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """A page of productVariants by id."""
        keys = sorted((key for key, one in self._market.listings.items() if one.exists), key=int)
        after, first = variables["after"], variables["first"]
        rest = [key for key in keys if after is None or int(key) > int(after)]
        nodes = [
            {
                "id": f"gid://shopify/ProductVariant/{key}",
                "sku": self._market.listings[key].sku,
                "barcode": None,
                "displayName": f"Item {key}",
                "inventoryPolicy": "CONTINUE" if key in self.sells_on else "DENY",
                "inventoryItem": {
                    **(self._item(key, variables["loc"], now, read=False) or {}),
                    "duplicateSkuCount": self._repeats(key),
                },
            }
            for key in rest[:first]
        ]
        page = {"hasNextPage": len(rest) > first, "endCursor": rest[:first][-1] if rest else None}
        return {"pageInfo": page, "nodes": nodes}

    def _item(self, key: str, location: object, now: datetime, *, read: bool = True) -> dict[str, Any] | None:
        """One inventory item; `read` lets the judge know that its number is being read for a write."""
        listing = self._market.shows(key, now) if read else self._market.listings.get(key)
        if listing is None:
            return None
        level = None
        if location == self._location and key not in self.not_stocked:
            level = {"quantities": [{"name": "available", "quantity": listing.shown}]}
        return {"id": item_gid(key), "tracked": listing.counted, "inventoryLevel": level}

    def _repeats(self, key: str) -> int:
        """Other items of the same SKU."""
        sku = self._market.listings[key].sku
        return sum(one.sku == sku for other, one in self._market.listings.items() if other != key)

    def locations(self) -> list[dict[str, Any]]:
        return [self.location(), *self.other_places]

    def location(self) -> dict[str, Any]:
        return {"id": self._location, "name": "Tokyo", "isActive": self.location_active, "fulfillsOnlineOrders": True}

    @staticmethod
    def _level_gid(key: str) -> str:
        return f"gid://shopify/InventoryLevel/1{key}?inventory_item_id={key}"


def _error(row: int | None, name: str, code: str) -> dict[str, Any]:
    return {"row": row, "name": name, "code": code}


def _told(refused: UserErrorList, shape: str) -> UserErrorList:
    """userErrors as answered; how `field` spells the row is a switch."""
    told = []
    for error in refused:
        row = [] if error["row"] is None else ["quantities", str(error["row"])]
        field: list[str] | None = ["input", *row, error["name"]]
        if shape == "short":
            field = [*row, error["name"]]
        elif shape == "none":
            field = None
        told.append({"code": error["code"], "field": field, "message": error["code"].replace("_", " ").capitalize()})
    return told
