"""Stock in Yahoo's words: keys, the parallel lists of setStock, its partial answers, getStock, listings, CSV. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from syncd.sdk.channel import Accepted, Form, ListingInfo, Reason, Rejected, StockWrite, Unreported, WriteReport
from syncd.sdk.errors import BrokenAnswer
from syncd_yahoo_shopping.wire import child, children, name_of, read_time, text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PART = re.compile(r"[A-Za-z0-9-]{1,99}")
MAX_QUANTITY = 999_999_999
CSV_ENCODING = "cp932"
CSV_COLUMNS = ("code", "sub-code", "quantity", "mode", "allow-overdraft", "stock-close")

# --- keys ---------------------------------------------------------------------------------------------------


def listing_key(code: str, sub_code: str = "") -> str:
    """The listing key of 商品コード and 個別商品コード: `code`, or `code:sub-code`, as setStock spells it."""
    return f"{code}:{sub_code}" if sub_code else code


def is_listing(listing: str) -> bool:
    """Whether setStock could hold such a key."""
    code, colon, sub_code = listing.partition(":")
    return PART.fullmatch(code) is not None and (not colon or PART.fullmatch(sub_code) is not None)


# --- setStock -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sending:
    """The rows of a call that go out, by index, and those that Yahoo could not hold."""

    rows: Mapping[int, StockWrite]
    refused: tuple[Rejected, ...]

    @property
    def is_relative(self) -> bool:
        return any(row.form.is_relative for row in self.rows.values())


def sending_of(writes: Sequence[StockWrite]) -> Sending:
    """Choose the rows to send. A second row of one listing stays unsent and unreported (st-02103)."""
    rows: dict[int, StockWrite] = {}
    refused: list[Rejected] = []
    taken: set[str] = set()
    for index, write in enumerate(writes):
        if not is_listing(write.listing):
            refused.append(Rejected(index, Reason.INVALID, f"{write.listing!r} is no code and no code:sub-code"))
        elif not write.form.is_relative and not 0 <= write.quantity <= MAX_QUANTITY:
            refused.append(Rejected(index, Reason.INVALID, f"quantity {write.quantity} cannot be set"))
        elif write.listing not in taken:
            taken.add(write.listing)
            rows[index] = write
    return Sending(rows, tuple(refused))


def quantity_text(write: StockWrite) -> str:
    """A plain number sets; a sign makes it a change."""
    return f"{write.quantity:+d}" if write.form.is_relative else str(write.quantity)


def raises(write: StockWrite) -> bool:
    """Whether a row may put units on sale."""
    return write.quantity > 0


def set_stock_form(
    seller_id: str, rows: Iterable[StockWrite], *, overdraft_off: bool = False, release_closed: bool = False
) -> dict[str, str]:
    """The form of setStock: parallel comma lists, each with one value a row."""
    rows = list(rows)
    form = {
        "seller_id": seller_id,
        "item_code": ",".join(row.listing for row in rows),
        "quantity": ",".join(quantity_text(row) for row in rows),
    }
    if overdraft_off:
        form["allow_overdraft"] = ",".join("0" for _ in rows)
    if release_closed and any(raises(row) for row in rows):
        form["stock_close"] = ",".join("0" if raises(row) else "" for row in rows)
    return form


ROW_REASONS = {
    "st-02101": Reason.INVALID,
    "st-02103": Reason.INVALID,
    "st-02104": Reason.INVALID,
    "st-02106": Reason.INVALID,
}


def _refused_row(index: int, code: str, write: StockWrite) -> Rejected:
    below = code == "st-02104" and write.form.is_relative  # nothing else can be wrong with a change of ours
    return Rejected(index, Reason.BELOW_ZERO if below else ROW_REASONS[code], code)


def read_set_stock(root: Element, sending: Sending) -> WriteReport:
    """The report of a setStock answer, whole (200) or partial (207). Raises BrokenAnswer.

    A row that is missing, or fails by any but a documented code of its own, is unsure: ed-10002 says that it was
    written and not read back.
    """
    by_listing = {write.listing: index for index, write in sending.rows.items()}
    told: dict[int, Accepted | Rejected] = {}
    unsure = len(by_listing)
    for result in children(root, "Result"):
        listing = listing_key(text(result, "ItemCode"), text(result, "SubCode"))
        index = by_listing.pop(listing, None)
        if index is None:
            raise BrokenAnswer(f"set_stock: the answer names {listing[:200]!r}, which was not sent or named before")
        code, write = text(result, "ErrorCode"), sending.rows[index]
        if not code:
            told[index] = Accepted(index, _number(text(result, "Quantity")))
        elif code in ROW_REASONS:
            told[index] = _refused_row(index, code, write)
    unsure -= len(told)
    rows = (*sending.refused, *(told[index] for index in sorted(told)))
    return WriteReport(rows, Unreported.UNSURE if unsure else Unreported.UNTOUCHED)


def _number(written: str) -> int | None:
    try:
        return int(written)
    except ValueError:
        return None


# --- getStock -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stock:
    """What getStock tells of one code. `quantity` is None where the item is sold without end."""

    quantity: int | None
    overdraft: bool = False
    updated: datetime | None = None


def read_get_stock(root: Element, asked: Sequence[str]) -> dict[str, Stock]:
    """Listing -> stock of the codes asked for; Status 0 is not found, hence left out. Raises BrokenAnswer."""
    wanted, found, named = set(asked), dict[str, Stock](), set[str]()
    for result in children(root, "Result"):
        listing = listing_key(text(result, "ItemCode"), text(result, "SubCode"))
        if listing not in wanted:
            raise BrokenAnswer(f"get_stock: the answer names {listing[:200]!r}, which was not asked for")
        named.add(listing)
        status = text(result, "Status")
        if status == "0":
            continue
        if status != "1" or child(result, "Quantity") is None:
            raise BrokenAnswer(f"get_stock: {listing} with Status {status[:20]!r}")
        found[listing] = _stock(result, listing)
    if len(named) < len(wanted):
        raise BrokenAnswer(f"get_stock: {len(wanted - named)} of {len(wanted)} codes are missing from the answer")
    return found


def _stock(result: Element, listing: str) -> Stock:
    written, updated = text(result, "Quantity"), text(result, "UpdateTime")
    try:
        quantity = int(written) if written else None
        return Stock(quantity, text(result, "AllowOverdraft") == "1", read_time(updated) if updated else None)
    except ValueError as error:
        raise BrokenAnswer(f"get_stock: {listing}: {error}") from None


# --- listings -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One item as myItemList has it; `quantity` is its own where it has no variants."""

    code: str
    name: str
    quantity: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One 個別商品コード of an item, with the number it shows."""

    code: str
    quantity: str


def read_items(root: Element) -> tuple[list[Item], int]:
    """Items of a page, and how many there are in all. Raises BrokenAnswer."""
    items = [Item(text(one, "ItemCode"), text(one, "Name"), text(one, "Quantity")) for one in children(root, "Result")]
    total = root.get("totalResultsAvailable", "")
    if not total.isdigit() or not all(item.code for item in items):
        raise BrokenAnswer("my_item_list: no totalResultsAvailable, or an item without ItemCode")
    return items, int(total)


def read_variants(root: Element) -> list[Variant]:
    """The variants of an item as getItem has them; none for an item without. Raises BrokenAnswer."""
    result = child(root, "Result")
    if result is None:
        raise BrokenAnswer("get_item: no Result")
    holder = child(result, "SubCodes")
    found = [] if holder is None else [_variant(one) for one in children(holder, "SubCode")]
    if not all(variant.code for variant in found):
        raise BrokenAnswer("get_item: a SubCode without code")
    return found


def _variant(element: Element) -> Variant:
    """Code and quantity stand in attributes or in elements: the fact sheet does not tell."""
    told = {name_of(one).lower(): (one.text or "").strip() for one in element}
    told |= {name.lower(): value.strip() for name, value in element.attrib.items()}
    return Variant(told.get("code", ""), told.get("quantity", ""))


def listings_of(item: Item, variants: Sequence[Variant]) -> Iterator[ListingInfo]:
    """The listings of an item: itself, or its variants. Without a number it is sold without end."""
    for variant in variants or [Variant("", item.quantity)]:
        yield ListingInfo(
            key=listing_key(item.code, variant.code),
            sku=variant.code or item.code,
            name=item.name,
            quantity=_number(variant.quantity),
            counted=_number(variant.quantity) is not None,
        )


# --- stock CSV ----------------------------------------------------------------------------------------------


def stock_csv(rows: Iterable[StockWrite], *, overdraft_off: bool = False, release_closed: bool = False) -> bytes:
    """The rows as a stock CSV (在庫CSV): Shift_JIS, CRLF, the field names first."""
    out = io.StringIO(newline="")
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(CSV_COLUMNS)
    for row in rows:
        code, _, sub_code = row.listing.partition(":")
        sign = "" if not row.form.is_relative else "-" if row.quantity < 0 else "+"
        number = abs(row.quantity) if row.form is not Form.ABSOLUTE else row.quantity
        closed = "0" if release_closed and raises(row) else ""
        lines.writerow([code, sub_code, number, sign, "0" if overdraft_off else "", closed])
    return out.getvalue().encode(CSV_ENCODING)


def receipt_of(write: StockWrite, sent_at: int) -> str:
    """A receipt for a row of an uploaded CSV: what must be seen of it, and since when (seconds)."""
    return f"{write.listing}={write.quantity}@{sent_at}"


def read_receipt(receipt: str) -> tuple[str, int, int]:
    """Listing, number and time of a receipt. Raises ValueError."""
    listing, _, rest = receipt.rpartition("=")
    number, _, sent_at = rest.partition("@")
    return listing, int(number), int(sent_at)
