"""Shopify's JSON <-> the model for stock, listings and errors. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncd.sdk.channel import Form, ListingInfo, Reason, Rejected, StockWrite
from syncd.sdk.errors import BrokenAnswer

INVENTORY_ITEM = "gid://shopify/InventoryItem/"
MAX_QUANTITY = 1_000_000_000
KEYS = uuid.UUID("6d1f6c0a-5b4e-5c5e-9b38-0f7f2d0f4c1e")  # namespace of our idempotency keys

REASONS = {
    "CHANGE_FROM_QUANTITY_STALE": Reason.STALE,
    "COMPARE_QUANTITY_STALE": Reason.STALE,
    "INVALID_INVENTORY_ITEM": Reason.UNKNOWN_LISTING,
    "INVALID_QUANTITY_NEGATIVE": Reason.INVALID,
    "INVALID_QUANTITY_TOO_HIGH": Reason.INVALID,
    "INVALID_QUANTITY_TOO_LOW": Reason.INVALID,
    "NON_MUTABLE_INVENTORY_ITEM": Reason.NOT_WRITABLE,
}
NOT_STOCKED = "ITEM_NOT_STOCKED_AT_LOCATION"  # up to 2026-07
ROW_CODES = REASONS.keys() | {NOT_STOCKED}


# --- ids ----------------------------------------------------------------------------------------------------


def tail(gid: str) -> str:
    """The last part of a global id: 30322695 of gid://shopify/InventoryItem/30322695."""
    return gid.rsplit("/", 1)[-1].split("?", 1)[0]


def item_gid(listing: str) -> str:
    """The global id of a listing key."""
    return INVENTORY_ITEM + listing


def is_item(listing: str) -> bool:
    """Whether a listing key can be an inventory item at all."""
    return listing.isascii() and listing.isdigit()


def idempotency_key(*parts: str) -> str:
    """A UUID that follows from the core's key of the call, as Shopify demands a UUID."""
    return str(uuid.uuid5(KEYS, "\n".join(parts)))


# --- errors and cost ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """One of the top-level `errors`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer says about points."""

    requested: float
    maximum: float | None = None
    available: float | None = None
    restore_rate: float | None = None

    @property
    def wait_seconds(self) -> float | None:
        """Seconds until a refused call fits: (requested − available) / restore rate."""
        if self.available is None or not self.restore_rate:
            return None
        return max(0.0, (self.requested - self.available) / self.restore_rate)


def read_failures(body: Mapping[str, Any]) -> tuple[Failure, ...]:
    """The top-level errors of an answer; a bare text is one error without a code."""
    errors = body.get("errors")
    if not errors:
        return ()
    if not isinstance(errors, Sequence) or isinstance(errors, str):
        return (Failure("", str(errors)),)
    found = []
    for error in errors:
        known = error if isinstance(error, Mapping) else {"message": str(error)}
        extensions = known.get("extensions")
        code = extensions.get("code") if isinstance(extensions, Mapping) else None
        found.append(Failure(str(code or ""), str(known.get("message", ""))))
    return tuple(found)


def read_cost(body: Mapping[str, Any]) -> Cost | None:
    """The cost report of an answer; None where it has none."""
    extensions = body.get("extensions")
    cost = extensions.get("cost") if isinstance(extensions, Mapping) else None
    if not isinstance(cost, Mapping) or (requested := _number(cost.get("requestedQueryCost"))) is None:
        return None
    status = cost.get("throttleStatus")
    told = status if isinstance(status, Mapping) else {}
    return Cost(
        requested,
        _number(told.get("maximumAvailable")),
        _number(told.get("currentlyAvailable")),
        _number(told.get("restoreRate")),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


# --- stock out ----------------------------------------------------------------------------------------------


def refused_here(rows: Sequence[StockWrite]) -> tuple[Rejected, ...]:
    """Rows that must not be sent: no inventory item's number, below zero, or above what Shopify takes."""
    found = []
    for index, row in enumerate(rows):
        if not is_item(row.listing):
            found.append(Rejected(index, Reason.UNKNOWN_LISTING, f"{row.listing} is no inventory item's number"))
        elif not 0 <= row.quantity <= MAX_QUANTITY:
            found.append(Rejected(index, Reason.INVALID, f"{row.quantity} is not between 0 and {MAX_QUANTITY}"))
    return tuple(found)


def set_variables(rows: Sequence[StockWrite], location: str, key: str) -> dict[str, Any]:
    """Variables of SetAvailable. `changeFromQuantity` is always there: null is a plain set, leaving it out an error."""
    push = idempotency_key(key)
    return {
        "key": push,
        "input": {
            "name": "available",
            "reason": "correction",
            "referenceDocumentUri": f"gid://syncd/Push/{push}",
            "quantities": [
                {
                    "inventoryItemId": item_gid(row.listing),
                    "locationId": location,
                    "quantity": row.quantity,
                    "changeFromQuantity": row.expected if row.form is Form.COMPARE_AND_SET else None,
                }
                for row in rows
            ],
        },
    }


@dataclass(frozen=True, slots=True)
class UserError:
    """One of `userErrors`; `index` is the row that its field names."""

    code: str
    message: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class SetAnswer:
    """Answer of SetAvailable. `changed`: inventory item -> number after it, None where not told.

    `applied`: there is an adjustment group, so something was changed; without one nothing was.
    """

    errors: tuple[UserError, ...]
    changed: Mapping[str, int | None]
    applied: bool = True


def read_set_answer(data: Mapping[str, Any], count: int) -> SetAnswer:
    """The answer to a set of `count` rows. Raises BrokenAnswer where it names a row that was not sent."""
    payload = data.get("inventorySetQuantities")
    if not isinstance(payload, Mapping):
        raise BrokenAnswer("SetAvailable: no inventorySetQuantities in the answer")
    errors = read_user_errors(payload, "SetAvailable")
    if count == 1:  # of one row every row's error speaks, whether its field says so or not
        errors = tuple(replace(one, index=0) if one.index is None and one.code in ROW_CODES else one for one in errors)
    if any(error.index is not None and error.index >= count for error in errors):
        raise BrokenAnswer("SetAvailable: userErrors name a row that was not sent")
    group = payload.get("inventoryAdjustmentGroup")
    changes = group.get("changes") if isinstance(group, Mapping) else None
    changed: dict[str, int | None] = {}
    for change in changes or ():
        item = change.get("item") if isinstance(change, Mapping) else None
        if isinstance(item, Mapping):
            after = change.get("quantityAfterChange")
            changed[tail(str(item.get("id")))] = after if isinstance(after, int) else None
    return SetAnswer(errors, changed, group is not None)


def read_user_errors(payload: Mapping[str, Any], operation: str) -> tuple[UserError, ...]:
    """The userErrors of a mutation. Raises BrokenAnswer where there is no list of them."""
    errors = payload.get("userErrors")
    if not isinstance(errors, Sequence) or isinstance(errors, str) or not all(isinstance(e, Mapping) for e in errors):
        raise BrokenAnswer(f"{operation}: no userErrors in the answer")
    return tuple(
        UserError(str(one.get("code") or ""), str(one.get("message") or ""), _row(one.get("field"))) for one in errors
    )


def _row(path: object) -> int | None:
    """The row that a field path names: the first number in it, ["input", "quantities", "0", …]."""
    if not isinstance(path, Sequence) or isinstance(path, str):
        return None
    return next((int(str(part)) for part in path if str(part).isascii() and str(part).isdigit()), None)


# --- stock in -----------------------------------------------------------------------------------------------


def read_levels(data: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, int | None]:
    """Numbers by listing key; `asked` is global id -> key. Untracked is None; unknown and not stocked are left out."""
    nodes = data.get("nodes")
    if not isinstance(nodes, list):
        raise BrokenAnswer("Levels: no nodes in the answer")
    found: dict[str, int | None] = {}
    for node in nodes:
        if not isinstance(node, Mapping) or node.get("id") not in asked:
            continue
        key = asked[str(node["id"])]
        if node.get("tracked") is False:
            found[key] = None
        elif (number := available(node)) is not None:
            found[key] = number
    return found


def available(item: Mapping[str, Any]) -> int | None:
    """The sellable number of an inventory item at the location; None where it is not stocked there."""
    level = item.get("inventoryLevel")
    if level is None:
        return None
    try:
        numbers = {one["name"]: one["quantity"] for one in level["quantities"]}
        number = numbers["available"]
    except (KeyError, TypeError):
        raise BrokenAnswer("an inventory level without an available quantity") from None
    if not isinstance(number, int) or isinstance(number, bool):
        raise BrokenAnswer("an available quantity that is no whole number")
    return number


def read_page(connection: Any, operation: str) -> tuple[list[Mapping[str, Any]], str | None]:
    """Nodes of a connection, and where its next page begins; None after the last."""
    try:
        nodes, page = connection["nodes"], connection["pageInfo"]
        after = page["endCursor"] if page["hasNextPage"] else None
    except (KeyError, TypeError):
        raise BrokenAnswer(f"{operation}: a page without nodes or pageInfo") from None
    if not isinstance(nodes, list) or not all(isinstance(node, Mapping) for node in nodes):
        raise BrokenAnswer(f"{operation}: a page whose nodes are no objects")
    if page["hasNextPage"] and not (isinstance(after, str) and after):
        raise BrokenAnswer(f"{operation}: a next page without a cursor")
    return nodes, after


def read_variant(node: Mapping[str, Any]) -> ListingInfo:
    """One listing of a variant. Raises BrokenAnswer where it has no inventory item.

    One that sells on at 0 (inventoryPolicy CONTINUE) keeps no stock that would stop anybody, like an untracked one.
    """
    item = node.get("inventoryItem")
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
        raise BrokenAnswer("Variants: a variant without an inventory item")
    counted = item.get("tracked") is not False and node.get("inventoryPolicy") != "CONTINUE"
    repeats = item.get("duplicateSkuCount")
    repeated = isinstance(repeats, int) and repeats > 0 and bool(node.get("sku"))
    return ListingInfo(
        key=tail(item["id"]),
        sku=str(node.get("sku") or ""),
        name=str(node.get("displayName") or ""),
        jan=str(node.get("barcode") or ""),
        quantity=available(item) if counted else None,
        counted=counted,
        problem=f"{repeats} other items have the same SKU: map it by its key" if repeated else "",
    )
