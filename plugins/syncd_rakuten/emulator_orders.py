"""The order half of the emulator: searchOrder and getOrder over a `Market`. Every field of a buyer is a placeholder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from syncd.testing.world import Market, TruthLine, TruthOrder
from syncd_rakuten.wire import JST, order_time

TIME_PATTERN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0900")
LONGEST_WINDOW = timedelta(days=63)
REACH = timedelta(days=730)
MOST_RESULTS = 15_000
MOST_ROWS = 1000
MOST_ORDERS = 100
BASKET = 10_000_001
STATUSES = frozenset({100, 200, 300, 400, 500, 600, 700, 800, 900})

Result = tuple[int, dict[str, Any]]


def progress_of(order: TruthOrder) -> int:
    """The status of an order: scripted by a test (`extra["orderProgress"]`), else from its counts."""
    scripted = order.extra.get("orderProgress")
    if isinstance(scripted, int):
        return scripted
    shipped = sum(line.shipped for line in order.lines)
    if all(line.ordered == line.cancelled for line in order.lines):
        return 900
    if shipped and all(line.returned == line.shipped for line in order.lines):
        return 900
    if shipped and all(line.held <= 0 for line in order.lines):
        return 500
    return 300 if shipped or order.extra.get("confirmed") else 100


def parcels_of(order: TruthOrder) -> list[dict[str, Any]]:
    """The parcels that an order bears, as rows of ShippingModelList with their destination."""
    parcels = order.extra.setdefault("shipping", [])
    assert isinstance(parcels, list)
    return parcels


def baskets_of(order: TruthOrder) -> dict[int, list[str]]:
    """The destinations of an order and the lines that go there; a test may script them (`extra["baskets"]`)."""
    scripted = order.extra.get("baskets")
    where = scripted if isinstance(scripted, Mapping) else {}
    found: dict[int, list[str]] = {}
    for line in order.lines:
        found.setdefault(int(where.get(line.line, BASKET)), []).append(line.line)
    return found


class OrderDesk:
    """Answers order calls as (status, body)."""

    def __init__(self, market: Market, quirk: Mapping[str, str], began: Callable[[], datetime]) -> None:
        self.market = market
        self.quirk = quirk
        self.began = began
        self._first_page_began = began()

    # -- searchOrder ---------------------------------------------------------------------------------------

    def search(self, body: Any) -> Result:
        """Order numbers in a window of one kind of time. Codes but 009, 011, 101 and 102 are stand-ins."""
        query = body if isinstance(body, Mapping) else {}
        for name in ("dateType", "startDatetime", "endDatetime"):
            if query.get(name) is None:
                return self._search_error("009", f"{name} is mandatory.")
        if not all(TIME_PATTERN.fullmatch(str(query[name])) for name in ("startDatetime", "endDatetime")):
            return self._search_error("011", "startDatetime / endDatetime: format is wrong.")
        start, end = (datetime.fromisoformat(query[name]) for name in ("startDatetime", "endDatetime"))
        statuses = query.get("orderProgressList") or []
        paging = query.get("PaginationRequestModel") or {}
        rows, page = paging.get("requestRecordsAmount", 30), paging.get("requestPage", 1)
        if query["dateType"] not in range(1, 7) or not STATUSES.issuperset(statuses):
            return self._search_error("012", "dateType / orderProgressList: value is wrong.")
        if end < start or end - start > LONGEST_WINDOW or start < self.market.world.now() - REACH:
            return self._search_error("013", "The period is out of range.")
        if not 1 <= rows <= MOST_ROWS or page < 1 or (page - 1) * rows >= MOST_RESULTS:
            return self._search_error("014", "PaginationRequestModel: out of range.")
        newest_first = any(sort.get("sortDirection") == 2 for sort in paging.get("SortModelList") or ())
        hits = self._hits(query["dateType"], start, end, frozenset(statuses))
        hits.sort(key=lambda order: (order.placed_at, order.number), reverse=newest_first)
        self._note_read(query, end, page, rows, len(hits))
        return self._page_of(hits[:MOST_RESULTS], len(hits), page, rows)

    def _hits(self, date_type: int, start: datetime, end: datetime, statuses: frozenset[int]) -> list[TruthOrder]:
        found: list[TruthOrder] = []
        for order in self.market.visible_orders():
            moment = self._moment(order, date_type)
            if moment is None or not start <= moment <= end:
                continue
            if moment == end and self.quirk["window_end"] == "exclusive":
                continue
            if not statuses or progress_of(order) in statuses:
                found.append(order)
        return found

    def _moment(self, order: TruthOrder, date_type: int) -> datetime | None:
        """The time a search by that kind compares, to the second."""
        moment: datetime | None = order.placed_at
        if date_type in (4, 5):
            moment = self._left_at(order)
        return None if moment is None else moment.replace(microsecond=0)

    def _note_read(self, query: Mapping[str, Any], end: datetime, page: int, rows: int, total: int) -> None:
        """Tell the judge when a search over the newest orders has been answered whole."""
        if page == 1:
            self._first_page_began = self.began()
        newest = query["dateType"] == 1 and not query.get("orderProgressList")
        if newest and end >= self._first_page_began.replace(microsecond=0) and page * rows >= total:
            self.market.read_orders_began(self._first_page_began)

    def _page_of(self, hits: list[TruthOrder], total: int, page: int, rows: int) -> Result:
        part = hits[(page - 1) * rows : page * rows]
        code = "101" if hits else "102"
        return 200, {
            "orderNumberList": [order.number for order in part],
            "MessageModelList": [message_of("INFO", f"ORDER_EXT_API_SEARCH_ORDER_INFO_{code}")],
            "PaginationResponseModel": {
                "totalRecordsAmount": total if hits else None,
                "totalPages": -(-min(total, MOST_RESULTS) // rows) if hits else None,
                "requestPage": page if hits else None,
            },
        }

    @staticmethod
    def _search_error(code: str, message: str) -> Result:
        return 400, {
            "orderNumberList": None,
            "MessageModelList": [message_of("ERROR", f"ORDER_EXT_API_SEARCH_ORDER_ERROR_{code}", message)],
            "PaginationResponseModel": None,
        }

    # -- getOrder ------------------------------------------------------------------------------------------

    def get(self, body: Any) -> Result:
        """Up to 100 orders as they are now; one that cannot be given is only named, or not even that."""
        query = body if isinstance(body, Mapping) else {}
        numbers, version = query.get("orderNumberList"), query.get("version")
        if not isinstance(numbers, list) or not numbers or version is None:
            return self._get_error("009", "orderNumberList and version are mandatory.")
        if len(numbers) > MOST_ORDERS or version not in range(3, 11):
            return self._get_error("012", "orderNumberList / version: out of range.")
        now = self.market.world.now()
        visible = {order.number: order for order in self.market.visible_orders() if now - order.placed_at <= REACH}
        given = [visible[number] for number in numbers if number in visible and not visible[number].extra.get("unread")]
        told = {order.number for order in given}
        messages = [message_of("INFO", "ORDER_EXT_API_GET_ORDER_INFO_101")]
        if self.quirk["missing_order"] == "warned":
            messages += [
                {**message_of("WARNING", "ORDER_EXT_API_GET_ORDER_WARNING_101"), "orderNumber": number}
                for number in numbers
                if number not in told
            ]
        self.market.delivered(order.number for order in given)
        return 200, {
            "MessageModelList": messages,
            "OrderModelList": [self.model(order, version) for order in given],
            "version": version,
        }

    def model(self, order: TruthOrder, version: int) -> dict[str, Any]:
        """One order in the shape of getOrder, cut to what has to do with stock, plus the usual traps."""
        progress = progress_of(order)
        left_at = self._left_at(order)
        return {
            "orderNumber": order.number,
            "orderProgress": progress,
            "subStatusId": None,
            "orderDatetime": _stamp(order.placed_at),
            "shopOrderCfmDatetime": None if progress == 100 else _stamp(order.placed_at),
            "orderFixDatetime": None,
            "shippingCmplRptDatetime": None if left_at is None else _stamp(left_at),
            "orderType": 1,
            "rakutenConfirmFlag": 0,
            "cautionDisplayType": 0,
            "modifyFlag": 0,
            "totalPrice": -9999,
            "requestPrice": -9999,
            "OrdererModel": {"familyName": "入力待ち", "zipCode1": "999", "emailAddress": "buyer-canary"},
            "PackageModelList": [
                {
                    "basketId": basket,
                    "SenderModel": {"familyName": "入力待ち", "zipCode1": "999"},
                    "ItemModelList": self._items(order, lines, progress, version),
                    "ShippingModelList": [_parcel(one) for one in parcels_of(order) if one["basketId"] == basket],
                }
                for basket, lines in baskets_of(order).items()
            ],
            "ChangeReasonModelList": self._change_reasons(order, progress),
        }

    def _items(self, order: TruthOrder, lines: list[str], progress: int, version: int) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        for line in (one for one in order.lines if one.line in lines):
            removed = progress != 900 and line.ordered == line.cancelled
            if not removed or self.quirk["removed_line"] == "flagged":
                items.append(self._item(order, line, progress, version, removed))
        return items

    def _item(self, order: TruthOrder, line: TruthLine, progress: int, version: int, removed: bool) -> dict[str, Any]:
        manage_number, variant_id = line.listing.split("/")
        listing = self.market.listings.get(line.listing)
        left = line.ordered - line.cancelled
        item: dict[str, Any] = {
            "itemDetailId": int(line.line) if line.line.isdigit() else line.line,
            "itemName": line.listing,
            "itemId": 1,
            "itemNumber": manage_number,
            "manageNumber": manage_number,
            "price": -9999,
            "units": line.ordered if progress == 900 or removed else left,
            "selectedChoice": None,
            "inventoryType": 0 if listing is not None and not listing.counted else 1,
            "restoreInventoryFlag": self._restore_flag(line),
            "deleteItemFlag": 1 if removed else 0,
        }
        if version >= 7:
            sku = "" if listing is None else listing.sku
            known = {"variantId": variant_id, "merchantDefinedSkuId": sku, "skuInfo": ""}
            item["SkuModelList"] = [] if order.extra.get("before_sku") else [known]
        return item

    def _restore_flag(self, line: TruthLine) -> int:
        if self.quirk["restore_flag"] == "item_setting":
            return 0
        if line.cancelled or line.returned:
            return 1 if line.restocked else 2
        return 1 if self.market.restocks_on_cancel else 2

    @staticmethod
    def _left_at(order: TruthOrder) -> datetime | None:
        """When the shipment was reported: the first time anybody asked after it."""
        if not any(line.shipped for line in order.lines) or any(line.held > 0 for line in order.lines):
            return None
        moment = order.extra.setdefault("left_at", order.updated_at)
        return moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment)).astimezone(UTC)

    @staticmethod
    def _change_reasons(order: TruthOrder, progress: int) -> list[dict[str, Any]]:
        scripted = order.extra.get("change_reasons")
        if isinstance(scripted, list):
            return scripted
        stamp = _stamp(order.updated_at)
        if progress == 900:
            detail = 2 if any(line.returned for line in order.lines) else 1
            return [{"changeType": 2, "changeReasonDetail": detail, "changeCmplDatetime": stamp}]
        if any(line.cancelled for line in order.lines):
            return [{"changeType": 6, "changeReasonDetail": 1, "changeCmplDatetime": stamp}]
        return []

    @staticmethod
    def _get_error(code: str, message: str) -> Result:
        return 400, {
            "MessageModelList": [message_of("ERROR", f"ORDER_EXT_API_GET_ORDER_ERROR_{code}", message)],
            "OrderModelList": None,
            "version": None,
        }


def message_of(kind: str, code: str, message: str = "") -> dict[str, Any]:
    return {"messageType": kind, "messageCode": code, "message": message or code}


def _parcel(parcel: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ShippingModelList."""
    fields = ("shippingDetailId", "shippingNumber", "deliveryCompany", "shippingDate")
    return {name: parcel.get(name) for name in fields}


def _stamp(moment: datetime) -> str:
    return order_time(moment.astimezone(JST))
