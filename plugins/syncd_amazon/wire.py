"""Listings in JSON: patches out, items and refusals in. Pure; the facts are the fact sheet's and the models'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from syncd.sdk.channel import Reason
from syncd.sdk.errors import BrokenAnswer
from syncd.sdk.http import shown

OWN_CHANNEL = "DEFAULT"
AMAZON_CHANNEL = "AMAZON"
AVAILABILITY = "/attributes/fulfillment_availability"
MAX_QUANTITY = 99_999
READ_ROWS = 20
INCLUDED = "summaries,fulfillmentAvailability"
BUYABLE = "BUYABLE"


class Holder(StrEnum):
    """Who ships a SKU: the seller (出品者出荷), Amazon (FBA), or nobody (a variation's parent)."""

    SELLER = "seller"
    AMAZON = "amazon"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Shelf:
    """One SKU as Amazon shows it: who holds it, and the seller's number. None: no stock is counted for it."""

    sku: str
    holder: Holder
    quantity: int | None = None


# --- out ------------------------------------------------------------------------------------------------------


def availability(quantity: int, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The value of the attribute: the channel code is its selector and must never be missing."""
    return {"fulfillment_channel_code": OWN_CHANNEL, "quantity": quantity, **(options or {})}


def patches(value: Mapping[str, Any], op: str = "merge") -> list[dict[str, Any]]:
    """`merge` keeps what is not named; `replace` would drop the lead time and the restock date."""
    return [{"op": op, "path": AVAILABILITY, "value": [dict(value)]}]


def patch_body(value: Mapping[str, Any], op: str = "merge") -> dict[str, Any]:
    """The body of a patchListingsItem."""
    return {"productType": "PRODUCT", "patches": patches(value, op)}


def search_params(skus: Sequence[str]) -> dict[str, str]:
    """The query of a searchListingsItems for up to 20 SKUs. None of them may hold a comma."""
    return {
        "identifiersType": "SKU",
        "identifiers": ",".join(skus),
        "includedData": INCLUDED,
        "pageSize": str(READ_ROWS),
    }


def fits_a_search(sku: str) -> bool:
    """Whether a SKU can stand in the comma-separated list of a search."""
    return "," not in sku


# --- in -------------------------------------------------------------------------------------------------------


def read_items(body: Any) -> tuple[list[Shelf], str | None]:
    """The items of a search, and the token of its next page. Raises BrokenAnswer."""
    items = body.get("items") if isinstance(body, Mapping) else None
    if not isinstance(items, list):
        raise BrokenAnswer("search_listings: no items in the answer")
    pagination = body.get("pagination") or {}
    token = pagination.get("nextToken") if isinstance(pagination, Mapping) else None
    return [read_item(item) for item in items], token if isinstance(token, str) and token else None


def read_item(item: Any) -> Shelf:
    """One item. An entry of an Amazon channel beside our own still means that Amazon holds the goods."""
    try:
        sku = item["sku"]
        entries = item.get("fulfillmentAvailability") or []
        codes = {str(entry["fulfillmentChannelCode"]): entry.get("quantity") for entry in entries}
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenAnswer(f"an item that cannot be read: {type(error).__name__} {error}") from None
    if not isinstance(sku, str) or not sku:
        raise BrokenAnswer("an item without sku")
    if any(code.startswith(AMAZON_CHANNEL) for code in codes):
        return Shelf(sku, Holder.AMAZON)
    if OWN_CHANNEL not in codes:
        return Shelf(sku, Holder.NOBODY)
    quantity = codes[OWN_CHANNEL]
    if quantity is None:  # documented as optional: a page that sells without one counts none, else it shows 0
        return Shelf(sku, Holder.SELLER, None if _is_buyable(item) else 0)
    if type(quantity) is not int or quantity < 0:
        raise BrokenAnswer(f"an item with quantity {quantity!r:.40}")
    return Shelf(sku, Holder.SELLER, quantity)


def _is_buyable(item: Mapping[str, Any]) -> bool:
    summaries = item.get("summaries")
    if not isinstance(summaries, list):
        return False
    return any(BUYABLE in (one.get("status") or ()) for one in summaries if isinstance(one, Mapping))


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to a patch: its id where it was taken in, else why it was refused."""

    id: str = ""
    reason: Reason | None = None
    message: str = ""


def read_submission(body: Any) -> Submission:
    """What a patch came to. HTTP 200 says nothing: only ACCEPTED is taken in, and warnings do not block."""
    status = body.get("status") if isinstance(body, Mapping) else None
    if status == "ACCEPTED":
        return Submission(id=str(body.get("submissionId") or ""))
    if status != "INVALID":
        raise BrokenAnswer(f"patch_listing: status {status!r:.40}")
    errors = [issue for issue in _issues(body) if issue.get("severity") == "ERROR"]
    told = "; ".join(f"{one.get('code', '')} {one.get('message', '')}" for one in errors)
    return Submission(reason=Reason.INVALID, message=shown(told or "INVALID without an issue"))


def _issues(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    issues = body.get("issues")
    return [issue for issue in issues if isinstance(issue, Mapping)] if isinstance(issues, list) else []
