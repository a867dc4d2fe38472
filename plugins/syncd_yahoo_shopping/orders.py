"""Order XML: searches, counts, and one order as orderInfo shows it. Pure. No buyer field is asked for or touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from syncd.sdk.errors import BrokenAnswer
from syncd_yahoo_shopping.stock_wire import listing_key
from syncd_yahoo_shopping.wire import child, children, name_of, read_time, search_time, tag, text, texts

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LIST_FIELDS = "OrderId,Version,OrderTime,LastUpdateTime,OrderStatus,PayStatus,ShipStatus,IsSeen,IsYahooAuctionOrder"
INFO_FIELDS = (
    "OrderId,Version,ParentOrderId,ChildOrderId,OrderStatus,CancelReason,OrderTime,LastUpdateTime,PayStatus,ShipStatus,"
    "ShipDate,ShipInvoiceNumber1,ShipInvoiceNumber2,LineId,ItemId,SubCode,Quantity,OriginalNum,IsYahooAuctionOrder,YahooAuctionId,YahooAuctionMerchantId,"
    "YahooAuctionBidType"
)
GROUPS = ("Ship", "Pay", "Detail", "Seller")
CANCELLED, COMPLETE = 4, 5
IN_PROCESS, SHIPPED = 2, 3
RETURNED_REASON = 110
AUCTION_PREFIX = "auction/"
MOST_UNITS = 1_000_000

# --- searches -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One page of orders placed in a window (seconds since the epoch, both ends inside); `start` counts from 1."""

    begin: int
    end: int
    start: int
    rows: int


def list_body(query: ListQuery, seller_id: str) -> str:
    """The body of orderList, oldest order first: new orders then move no page."""
    window = tag("OrderTimeFrom", search_time(query.begin)) + tag("OrderTimeTo", search_time(query.end))
    return (
        "<Req><Search>"
        + tag("Result", query.rows)
        + tag("Start", query.start)
        + tag("Sort", "+order_time")
        + f"<Condition>{window}</Condition>"
        + tag("Field", LIST_FIELDS)
        + "</Search>"
        + tag("SellerId", seller_id)
        + "</Req>"
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One order in a list. `mark` moves with every change; times in seconds since the epoch."""

    number: str
    mark: str
    placed: int
    updated: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list: its orders, and how many there are in all."""

    rows: tuple[Row, ...]
    total: int


def read_list(root: Element) -> Listed:
    """A page of orderList. Raises BrokenAnswer."""
    search = child(root, "Result", "Search")
    if search is None:
        raise BrokenAnswer("order_list: no Search in the answer")
    try:
        total = int(text(search, "TotalCount"))
        return Listed(tuple(_row(order) for order in children(search, "OrderInfo")), total)
    except ValueError as error:
        raise BrokenAnswer(f"order_list: {error}") from None


def _row(order: Element) -> Row:
    number = text(order, "OrderId")
    if not number:
        raise ValueError("an order without OrderId")
    placed = int(read_time(text(order, "OrderTime")).timestamp())
    told = text(order, "LastUpdateTime")
    updated = int(read_time(told).timestamp()) if told else placed
    status, ship_status = _int(order, "OrderStatus", -1), _int(order, "ShipStatus", 0)
    is_open = status not in (CANCELLED, COMPLETE) and ship_status < SHIPPED
    return Row(number, f"{text(order, 'Version')}@{updated}.{status}.{ship_status}", placed, updated, is_open)


def read_counts(root: Element) -> dict[str, int]:
    """The numbers of orderCount. Raises BrokenAnswer."""
    count = child(root, "Result", "Count")
    if count is None:
        raise BrokenAnswer("order_count: no Count in the answer")
    return {name_of(one): int(told) for one in count if (told := (one.text or "").strip()).isdigit()}


# --- one order ----------------------------------------------------------------------------------------------


def info_body(number: str, seller_id: str) -> str:
    """The body of orderInfo."""
    return (
        f"<Req><Target>{tag('OrderId', number)}{tag('Field', INFO_FIELDS)}</Target>{tag('SellerId', seller_id)}</Req>"
    )


@dataclass(frozen=True, slots=True)
class PartLine:
    """One Item of an order. `original` is what was ordered at first, where told."""

    listing: str
    quantity: int
    original: int | None = None

    @property
    def units(self) -> int:
        """Units it is about; a cancelled order may come back with quantity 0."""
        return self.quantity or self.original or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One order id as Yahoo shows it: a whole order, or a part of one that was split."""

    number: str
    status: int
    lines: tuple[PartLine, ...]
    cancel_reason: int = 0
    ship_status: int = 0
    placed_at: datetime | None = None
    as_of: datetime | None = None
    shipped_at: datetime | None = None
    parent: str = ""
    parts: tuple[str, ...] = ()
    auction_id: str = ""
    is_auction: bool = False
    tracking: tuple[str, ...] = ()

    @property
    def left(self) -> bool:
        """Whether its goods have left. A return is one of goods that left, whatever the status says by then."""
        returned = self.status == CANCELLED and self.cancel_reason == RETURNED_REASON
        return self.ship_status >= SHIPPED or self.status == COMPLETE or returned

    @property
    def is_cancelled(self) -> bool:
        return self.status == CANCELLED


def read_info(root: Element, number: str, bidding_types: frozenset[str]) -> Part:
    """One order of orderInfo. Raises BrokenAnswer when it is not the one asked for, ValueError when not understood."""
    order = child(root, "Result", "OrderInfo")
    if order is None:
        raise BrokenAnswer("order_info: no OrderInfo in the answer")
    if text(order, "OrderId") != number:
        raise BrokenAnswer(f"order_info: asked for {number}, given {text(order, 'OrderId')[:64]!r}")
    status = _int(order, "OrderStatus", None)
    lines = tuple(_lines(order, bidding_types))
    if not lines and status != CANCELLED:
        raise ValueError("no Item")
    placed, updated, version = _field(order, "OrderTime"), _field(order, "LastUpdateTime"), _int(order, "Version", 0)
    as_of = read_time(updated or placed) if updated or placed else None
    return Part(
        number=number,
        status=status,
        lines=lines,
        cancel_reason=_int(order, "CancelReason", 0),
        ship_status=_int(order, "ShipStatus", 0),
        placed_at=read_time(placed) if placed else None,
        as_of=as_of and as_of + timedelta(microseconds=min(max(version, 0), 999_999)),  # order within one second
        shipped_at=_shipped_at(_field(order, "ShipDate"), as_of),
        parent=_field(order, "ParentOrderId"),
        parts=tuple(dict.fromkeys(texts(order, "ChildOrderId"))),
        auction_id=_field(order, "YahooAuctionId"),
        is_auction=_field(order, "IsYahooAuctionOrder").lower() == "true",
        tracking=tuple(filter(None, (_field(order, f"ShipInvoiceNumber{place}") for place in (1, 2)))),
    )


def _lines(order: Element, bidding_types: frozenset[str]) -> Iterator[PartLine]:
    for item in children(order, "Item"):
        quantity, original = _int(item, "Quantity", None), _int(item, "OriginalNum", 0)
        if not 0 <= quantity <= MOST_UNITS or not 0 <= original <= MOST_UNITS:
            raise ValueError(f"{quantity} units")
        yield PartLine(_listing_of(order, item, bidding_types), quantity, original or None)


def _listing_of(order: Element, item: Element, bidding_types: frozenset[str]) -> str:
    """A line's listing. What was won by bidding (競売) has no stock record: it goes by the auction's own code."""
    code, merchant = text(item, "ItemId"), _field(order, "YahooAuctionMerchantId")
    bidding = _field(order, "YahooAuctionBidType") in bidding_types
    if _field(order, "IsYahooAuctionOrder").lower() == "true" and merchant and (bidding or not code):
        return AUCTION_PREFIX + merchant
    return listing_key(code, text(item, "SubCode")) if code else f"?{text(item, 'LineId')}"


def _field(order: Element, name: str) -> str:
    """A field of an order, which stands in the order itself or in one of its groups."""
    return text(order, name) or next((told for group in GROUPS if (told := text(order, group, name))), "")


def _int(element: Element, name: str, default: int | None) -> int:
    told = _field(element, name)
    if not told:
        if default is None:
            raise ValueError(f"no {name}")
        return default
    return int(told)


def _shipped_at(day: str, as_of: datetime | None) -> datetime | None:
    """The latest time that goods of a ship date (a mere day) can have left."""
    if not day:
        return None
    try:
        ends = read_time(f"{day[:10]}T23:59:59")
    except ValueError:
        return None
    return ends if as_of is None else min(ends, as_of)
