"""RMS JSON <-> model for keys, times, errors, stock and listings. Pure; the facts are the fact sheet's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

from syncd.sdk.channel import Accepted, Form, ListingInfo, Reason, Rejected, StockWrite, Unreported, WriteReport
from syncd.sdk.errors import BrokenAnswer

JST = timezone(timedelta(hours=9), "JST")
ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,32}")
ROW_PATTERN = re.compile(r"inventories\[(\d+)\]")

# --- keys ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """Rakuten's own key of a SKU: 商品管理番号 (folded to lower case) and SKU管理番号 (kept as it is)."""

    manage_number: str
    variant_id: str

    @property
    def listing(self) -> str:
        return f"{self.manage_number}/{self.variant_id}"


def listing_key(manage_number: str, variant_id: str) -> str:
    """The listing key of a SKU as every part of the API spells it."""
    return Pair(manage_number.lower(), variant_id).listing


def pair_of(listing: str) -> Pair:
    """The pair of a listing key. Raises ValueError for a key that Rakuten could not hold."""
    manage_number, slash, variant_id = listing.partition("/")
    if not slash or not ID_PATTERN.fullmatch(manage_number) or not ID_PATTERN.fullmatch(variant_id):
        raise ValueError(
            f"{listing!r} is not manageNumber/variantId, each of up to 32 letters, digits, hyphens or underscores"
        )
    return Pair(manage_number.lower(), variant_id)


# --- times --------------------------------------------------------------------------------------------------


def order_time(moment: datetime) -> str:
    """A time as the order API takes it: exactly `+0900`, no colon, no fraction."""
    return moment.astimezone(JST).strftime("%Y-%m-%dT%H:%M:%S+0900")


def read_time(text: str) -> datetime:
    """An aware time of any of Rakuten's spellings; without a zone it is Japan's. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=JST)


def end_of_day(day: date) -> datetime:
    """The last second of a day in Japan: when a licence key dies."""
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=JST)


def expiry_of(body: Any) -> datetime:
    """When the licence key dies. Raises ValueError when the answer does not say."""
    text = body.get("expiryDate") if isinstance(body, Mapping) else None
    if not isinstance(text, str):
        raise ValueError("no expiryDate")
    return end_of_day(date.fromisoformat(text)) if len(text) == len("2026-11-21") else read_time(text)


# --- errors -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error of an answer, whatever its shape. `row` where it names a row of a bulk call."""

    code: str
    message: str = ""
    row: int | None = None

    def __str__(self) -> str:
        return f"{self.code} {self.message}".strip()


def complaints_of(body: Any) -> tuple[Complaint, ...]:
    """The errors in an answer of any of the three shapes: `errors[]`, `MessageModelList[]`, `Results{}`."""
    if not isinstance(body, Mapping):
        return ()
    found = [_stock_complaint(entry) for entry in _entries(body, "errors")]
    found += [
        Complaint(str(entry.get("messageCode", "")), str(entry.get("message", "")))
        for entry in _entries(body, "MessageModelList")
        if entry.get("messageType") == "ERROR"
    ]
    results = body.get("Results")
    if isinstance(results, Mapping) and results.get("errorCode"):
        found.append(Complaint(str(results["errorCode"]), str(results.get("message", ""))))
    return tuple(found)


def _entries(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = body.get(name)
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


def _stock_complaint(entry: Mapping[str, Any]) -> Complaint:
    metadata = entry.get("metadata")
    path = metadata.get("propertyPath") if isinstance(metadata, Mapping) else None
    match = ROW_PATTERN.search(path) if isinstance(path, str) else None
    return Complaint(
        str(entry.get("code", "")), str(entry.get("message", "")), None if match is None else int(match.group(1))
    )


REASONS = {
    "IE0001": Reason.INVALID,
    "IE0002": Reason.INVALID,
    "IE0003": Reason.INVALID,
    "IE0004": Reason.INVALID,
    "IE0117": Reason.BELOW_ZERO,
    "IE0118": Reason.INVALID,
    "IE0121": Reason.NOT_WRITABLE,
    "IE0500": Reason.UNKNOWN_LISTING,
    "IE1102": Reason.INVALID,
    "IE1105": Reason.NOT_WRITABLE,
    "GE0014": Reason.UNKNOWN_LISTING,
}


def refusal(index: int, complaint: Complaint) -> Rejected:
    """A complaint about a row as the core reads it."""
    return Rejected(index, REASONS.get(complaint.code, Reason.OTHER), str(complaint))


# --- stock --------------------------------------------------------------------------------------------------


def stock_row(write: StockWrite) -> dict[str, Any]:
    """One row of a bulk-upsert. Raises ValueError for a key that Rakuten could not hold."""
    pair = pair_of(write.listing)
    mode = "RELATIVE" if write.form is Form.RELATIVE_REFUSES else "ABSOLUTE"
    return {
        "manageNumber": pair.manage_number,
        "variantId": pair.variant_id,
        "mode": mode,
        "quantity": write.quantity,
    }


def stock_rows(writes: Sequence[StockWrite]) -> tuple[dict[int, dict[str, Any]], list[Rejected]]:
    """The rows to send by index, and those that need not be sent because Rakuten cannot hold their key.

    A second row of the same pair stays unsent and unreported: one call takes each pair once (IE1102).
    """
    rows: dict[int, dict[str, Any]] = {}
    rejected: list[Rejected] = []
    taken: set[tuple[str, str]] = set()
    for index, write in enumerate(writes):
        try:
            row = stock_row(write)
        except ValueError as error:
            rejected.append(Rejected(index, Reason.INVALID, str(error)))
            continue
        pair = (row["manageNumber"], row["variantId"])
        if pair not in taken:
            taken.add(pair)
            rows[index] = row
    return rows, rejected


def refused_rows(complaints: Sequence[Complaint], sent: Sequence[int]) -> WriteReport | None:
    """The report of a refused call by the rows its errors name; None when they name none.

    Nothing says whether the valid rows of a refused call were applied (fact sheet, not confirmed), so the
    others are UNSURE. The only row of a call is named by any error.
    """
    named: dict[int, Rejected] = {}
    for complaint in complaints:
        row = 0 if complaint.row is None and len(sent) == 1 else complaint.row
        if row is not None and row < len(sent):
            named.setdefault(sent[row], refusal(sent[row], complaint))
    if not named:
        return None
    return WriteReport(tuple(named[index] for index in sorted(named)), Unreported.UNSURE)


def accepted_rows(sent: Sequence[int], rejected: Sequence[Rejected]) -> WriteReport:
    """The report of a call that answered 204: every row that was sent is taken."""
    return WriteReport((*rejected, *(Accepted(index) for index in sent)))


def stock_query(pairs: Sequence[Pair]) -> dict[str, Any]:
    """The body of a bulk-get."""
    return {"inventories": [{"manageNumber": pair.manage_number, "variantId": pair.variant_id} for pair in pairs]}


@dataclass(frozen=True, slots=True)
class StockRecord:
    """A stock record: the number shown, and when the record was made, where told."""

    quantity: int
    created: datetime | None = None


def records_in(body: Any) -> dict[str, StockRecord]:
    """Every stock record of an answer by its listing key as Rakuten spells it. Raises BrokenAnswer."""
    try:
        return {
            listing_key(row["manageNumber"], row["variantId"]): StockRecord(
                int(row["quantity"]), read_time(row["created"]) if row.get("created") else None
            )
            for row in body["inventories"]
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenAnswer(f"bulk_get: {type(error).__name__} {error}") from None


def stock_records(body: Any, pairs: Sequence[Pair]) -> dict[str, StockRecord]:
    """Listing -> stock record, for the pairs asked. Raises BrokenAnswer.

    One page says that variantId is folded in 2.0, so a row is matched by its exact spelling, else without case.
    """
    exact = {pair.listing: pair.listing for pair in pairs}
    folded = {pair.listing.lower(): pair.listing for pair in pairs}
    asked = ((exact.get(key) or folded.get(key.lower()), record) for key, record in records_in(body).items())
    return {listing: record for listing, record in asked if listing is not None}


# --- lead times (version 2.1) ---------------------------------------------------------------------------------

LEAD_TIMES = {
    "normal_delivery_time_id": "normalDeliveryTimeId",
    "back_order_delivery_time_id": "backOrderDeliveryTimeId",
}
SHIP_FROM = "ship_from_ids"
LISTING_OPTIONS = frozenset({*LEAD_TIMES, SHIP_FROM})


def lead_times_of(body: Any, pair: Pair) -> dict[str, Any] | None:
    """Lead times and ship-from ids of a SKU in a 2.1 bulk-get; None where it is not there. Raises BrokenAnswer."""
    try:
        for row in body["inventories"]:
            if listing_key(row["manageNumber"], row["variantId"]).lower() == pair.listing.lower():
                return {name: row[name] for name in ("operationLeadTime", "shipFromIds") if row.get(name)}
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenAnswer(f"bulk_get: {type(error).__name__} {error}") from None
    return None


def with_options(fields: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """What 2.1 shall keep once these options are set; an empty text takes one away. Raises ValueError."""
    unknown = options.keys() - LISTING_OPTIONS
    if unknown:
        raise ValueError(
            f"Rakuten has no option {', '.join(sorted(unknown))}; it has {', '.join(sorted(LISTING_OPTIONS))}"
        )
    times = dict(fields.get("operationLeadTime") or {})
    ships = list(fields.get("shipFromIds") or ())
    for name, text in options.items():
        if name == SHIP_FROM:
            ships = [_id_of(name, one) for one in text.split(",")] if text else []
        elif text:
            times[LEAD_TIMES[name]] = _id_of(name, text)
        else:
            times.pop(LEAD_TIMES[name], None)
    return {**({"operationLeadTime": times} if times else {}), **({"shipFromIds": ships} if ships else {})}


def _id_of(name: str, text: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise ValueError(f"{name}: {text.strip()!r} should be the id that RMS gives it, a number")
    return int(text)


# --- listings -----------------------------------------------------------------------------------------------


def listings_of(body: Any) -> Iterator[ListingInfo]:
    """Every SKU in a page of items/search, without its number. Raises BrokenAnswer.

    A deleted item comes with its manageNumber only and yields nothing.
    """
    try:
        for result in body["results"]:
            item = result.get("item")
            if item:
                yield from _variants_of(item)
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenAnswer(f"items_search: {type(error).__name__} {error}") from None


def listings_of_item(item: Any) -> dict[str, ListingInfo]:
    """The SKUs of one item as items.get gives it, by listing key. Raises BrokenAnswer."""
    try:
        return {info.key: info for info in _variants_of(item)}
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenAnswer(f"items_get: {type(error).__name__} {error}") from None


def _variants_of(item: Mapping[str, Any]) -> Iterator[ListingInfo]:
    unlimited = bool(item.get("unlimitedInventoryFlag"))
    for variant_id, variant in (item.get("variants") or {}).items():
        choices = " ".join(str(value) for value in (variant.get("selectorValues") or {}).values())
        yield ListingInfo(
            key=listing_key(item["manageNumber"], variant_id),
            sku=str(variant.get("merchantDefinedSkuId") or ""),
            name=f"{item.get('title') or ''} {choices}".strip(),
            jan=str((variant.get("articleNumber") or {}).get("value") or ""),
            # A back order item (在庫切れ時の注文受付) sells on at 0: its number stops nobody.
            counted=not unlimited and not variant.get("backOrderFlag"),
        )
