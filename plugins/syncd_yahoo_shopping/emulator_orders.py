"""The order half of the emulator: counts, lists, details, splits and shipments over a `Market`.

Every buyer field is a placeholder. Tests may script an order through its `extra` (`OrderStatus`, `ShipStatus`,
`CancelReason`, `auction` with id, merchant id and bid type), split it, and take orders out of sight (`removed`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from syncd.testing.world import Market, TruthLine, TruthOrder
from syncd_yahoo_shopping.emulator_stock import StockDesk
from syncd_yahoo_shopping.emulator_xml import Answer, element, error, group, result_set, stamp
from syncd_yahoo_shopping.wire import child, read_time, text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

DAY = timedelta(days=1)
SHIP_FIELDS = (
    "ShipStatus",
    "ShipCompanyCode",
    "ShipInvoiceNumber1",
    "ShipInvoiceNumber2",
    "ShipInvoiceNumberEmptyReason",
    "ShipDate",
)
DIGITS = re.compile(r"\d{14}")


@dataclass(slots=True)
class Split:
    """An order made of units of another one."""

    number: str
    root: TruthOrder
    units: dict[str, int]
    placed_at: datetime
    changed_at: datetime
    cancelled: bool = False
    shipped: bool = False


@dataclass(slots=True)
class Shown:
    """One order id as the mall shows it: status, and its lines as (line, listing, quantity, original)."""

    number: str
    root: TruthOrder
    placed_at: datetime
    changed_at: datetime
    status: int
    ship_status: int
    cancel_reason: int
    lines: list[tuple[str, str, int, int]]
    parent: str = ""
    children: list[str] = field(default_factory=list)


class OrderDesk:
    """Answers order calls as (status, XML)."""

    def __init__(
        self, market: Market, quirk: Mapping[str, str], began: Callable[[], datetime], seller_id: str, stock: StockDesk
    ) -> None:
        self.market = market
        self.quirk = quirk
        self.began = began
        self.seller_id = seller_id
        self.stock = stock
        self.splits: dict[str, Split] = {}
        self.removed: set[str] = set()
        self.versions: Counter[str] = Counter()
        self.sent: list[dict[str, str]] = []  # shipments reported
        self.tracking: dict[str, list[str]] = {}
        self._first_page_began = began()
        market.watchers.append(self._changed)

    def _changed(self, number: str) -> None:
        self.versions[number] += 1
        for split in self.splits.values():
            if split.root.number == number:
                self.versions[split.number] += 1
                split.changed_at = split.root.updated_at
                whole = all(line.ordered == line.cancelled for line in split.root.lines)
                split.cancelled = split.cancelled or whole  # cancelled with all of it

    # -- what happens at the mall --------------------------------------------------------------------------

    def split(self, number: str, units: Mapping[str, int]) -> str:
        """Move units of an order's lines into an order of its own."""
        root = self.market.orders[number]
        now = self.market.world.now()
        made = f"{number}-{1 + sum(one.root is root for one in self.splits.values())}"
        placed = root.placed_at if self.quirk["split_order_time"] == "parent" else now
        self.splits[made] = Split(made, root, dict(units), placed, now)
        root.updated_at = max(now, root.updated_at + timedelta(microseconds=1))
        self._changed(number)
        return made

    def cancel_part(self, number: str) -> None:
        """Cancel an order that was split off."""
        split = self.splits[number]
        split.cancelled = True
        self.market.cancel(split.root.number, split.units)

    def ship_part(self, number: str) -> None:
        """Ship an order that was split off."""
        split = self.splits[number]
        split.shipped = True
        self.market.ship(split.root.number, split.units)

    def cancel_out_of_stock(self, number: str) -> None:
        """The shop cancels for want of stock: the mall closes the stock of what was in the order (在庫クローズ)."""
        self.market.orders[number].extra["CancelReason"] = 220
        self.market.cancel(number)
        for line in self.market.orders[number].lines:
            self.stock.close(line.listing)

    # -- what is shown -------------------------------------------------------------------------------------

    def shown(self) -> dict[str, Shown]:
        """Every order id in sight, oldest first."""
        found: list[Shown] = []
        for order in self.market.visible_orders():
            parts = [one for one in self.splits.values() if one.root is order]
            found.append(self._root(order, parts))
            found += [self._part(one) for one in parts]
        found = [one for one in found if one.number not in self.removed]
        found.sort(key=lambda one: (one.placed_at, one.number))
        return {one.number: one for one in found}

    def _root(self, order: TruthOrder, parts: list[Split]) -> Shown:
        lines, held, kept, gone = [], 0, 0, 0
        for line in order.lines:
            moved = sum(one.units.get(line.line, 0) for one in parts)
            freed = line.cancelled - sum(one.units.get(line.line, 0) for one in parts if one.cancelled)
            left = line.shipped - sum(one.units.get(line.line, 0) for one in parts if one.shipped)
            units = line.ordered - moved
            held, kept, gone = held + units - freed - left, kept + units - freed, gone + left
            if units or not parts:
                lines.append((line, units, freed))
        returned = bool(gone) and sum(line.returned for line in order.lines) >= gone
        status, ship_status, reason = self._statuses(order, kept, held, gone, returned)
        cancelled = status == 4
        shown = [row for row in (self._line(*one, cancelled, bool(parts)) for one in lines) if row is not None]
        return Shown(
            order.number, order, order.placed_at, order.updated_at, status, ship_status, reason, shown,
            children=[one.number for one in parts],
        )  # fmt: skip

    def _statuses(self, order: TruthOrder, kept: int, held: int, gone: int, returned: bool) -> tuple[int, int, int]:
        status, ship_status, reason = 2, 1, 0
        if kept == 0:
            status, reason = 4, 100
        elif returned:
            status, ship_status, reason = 4, int(self.quirk["return_ship_status"]), 110
        elif gone and held <= 0:
            status, ship_status = 5, 3
        told = (status, ship_status, reason)
        names = ("OrderStatus", "ShipStatus", "CancelReason")
        status, ship_status, reason = (_scripted(order, name, one) for name, one in zip(names, told, strict=True))
        return status, ship_status, reason

    def _line(
        self, line: TruthLine, units: int, freed: int, cancelled: bool, was_split: bool
    ) -> tuple[str, str, int, int] | None:
        original = units if was_split and self.quirk["split_original"] == "reset" else line.ordered
        if cancelled:
            quantity = units if self.quirk["cancelled_quantity"] == "kept" else 0
        elif units == freed and self.quirk["removed_line"] == "gone":
            return None
        else:
            quantity = units - freed
        return line.line, line.listing, quantity, original if self.quirk["original_num"] == "given" else 0

    def _part(self, split: Split) -> Shown:
        listings = {line.line: line.listing for line in split.root.lines}
        kept = not split.cancelled or self.quirk["cancelled_quantity"] == "kept"
        lines = [
            (str(place), listings[line], units if kept else 0, units if self.quirk["original_num"] == "given" else 0)
            for place, (line, units) in enumerate(split.units.items(), 1)
        ]
        gone = split.shipped or all(line.held <= 0 for line in split.root.lines)
        status, ship_status = (4, 1) if split.cancelled else (5, 3) if gone else (2, 1)
        return Shown(
            split.number, split.root, split.placed_at, split.changed_at, status, ship_status,
            100 if split.cancelled else 0, lines, parent=split.root.number,
        )  # fmt: skip

    # -- orderCount and orderList --------------------------------------------------------------------------

    def count(self, seller_id: str | None) -> Answer:
        """How many orders are in which state."""
        if seller_id != self.seller_id:
            return self._failed(400, "od90101", "sellerId")
        orders = list(self.shown().values())
        counts = {
            "NewOrder": sum(one.status == 2 and self.versions[one.number] == 1 for one in orders),
            "NewReserve": sum(one.status == 1 for one in orders),
            "WaitPayment": 0,
            "WaitShipping": sum(one.status == 2 and one.ship_status == 1 for one in orders),
            "Shipping": sum(one.status == 2 and one.ship_status == 2 for one in orders),
            "Holding": sum(one.status == 3 for one in orders),
        }
        inner = group("Count", [element(name, number) for name, number in counts.items()])
        return 200, result_set([group("Result", [element("Status", "OK"), inner])])

    def find(self, request: Element) -> Answer:
        """Orders in a window of order time."""
        search, condition = child(request, "Search"), child(request, "Search", "Condition")
        if search is None or condition is None or text(request, "SellerId") != self.seller_id:
            return self._failed(400, "od90101", "Search, Condition or SellerId")
        window = [text(condition, name) for name in ("OrderTimeFrom", "OrderTimeTo")]
        if not text(search, "Field") or not all(DIGITS.fullmatch(one) for one in window):
            return self._failed(400, "od90101", "Field or OrderTime")
        begin, end = (read_time(one) for one in window)
        rows, start = int(text(search, "Result") or "10"), int(text(search, "Start") or "1")
        if rows < 1 or start < 1 or end < begin or self._is_too_much(rows, end - begin):
            return self._failed(400, "od90101", "Result, Start or the window")
        if self.quirk["list_limits"] == "clamped_at_100":
            rows = min(rows, 100)
        hits = [one for one in self.shown().values() if self._is_inside(one.placed_at, begin, end)]
        if text(search, "Sort") == "-order_time":
            hits.reverse()
        part = hits[start - 1 : start - 1 + rows]
        self._note_read(start, start - 1 + len(part) >= len(hits), end)
        inner = [element("TotalCount", len(hits)), *(self._row(one) for one in part)]
        return 200, result_set([group("Result", [element("Status", "OK"), group("Search", inner)])])

    def _is_too_much(self, rows: int, span: timedelta) -> bool:
        limits = self.quirk["list_limits"]
        return (limits == "refused_above_500" and rows > 500) or (limits == "week_at_most" and span > 7 * DAY)

    def _is_inside(self, placed_at: datetime, begin: datetime, end: datetime) -> bool:
        moment = placed_at.replace(microsecond=0)
        return begin <= moment < end or (moment == end and self.quirk["window_end"] == "inclusive")

    def _note_read(self, start: int, last: bool, end: datetime) -> None:
        """Tell the judge when a list that reaches to the present was answered whole."""
        if start == 1:
            self._first_page_began = self.began()
        if last and end >= self._first_page_began.replace(microsecond=0):
            self.market.read_orders_began(self._first_page_began)

    def _row(self, one: Shown) -> str:
        return group("OrderInfo", self._head(one) + [element("PayStatus", 1), element("ShipStatus", one.ship_status)])

    def _head(self, one: Shown) -> list[str]:
        version = self.versions[one.number] or 1
        untouched = version == 1 and self.quirk["update_of_new"] == "empty"
        return [
            element("OrderId", one.number),
            element("Version", version),
            element("OrderTime", stamp(one.placed_at)),
            element("LastUpdateTime", "" if untouched else stamp(one.changed_at)),
            element("OrderStatus", one.status),
            element("IsSeen", "false" if version == 1 else "true"),
            element("IsYahooAuctionOrder", "true" if _auction(one) else "false"),
        ]

    # -- orderInfo -----------------------------------------------------------------------------------------

    def info(self, request: Element) -> Answer:
        """One order as it is now."""
        number = text(request, "Target", "OrderId")
        if text(request, "SellerId") != self.seller_id or not text(request, "Target", "Field"):
            return self._failed(400, "od90101", "SellerId or Field")
        one = self.shown().get(number)
        if one is None:
            return self._failed(404, "od91801", "OrderId")
        self.market.delivered([one.root.number])
        order = group("OrderInfo", [*self._head(one), *self._family(one), *self._details(one)])
        return 200, result_set([group("Result", [element("Status", "OK"), order])])

    def _family(self, one: Shown) -> list[str]:
        children = one.children if self.quirk["children"] == "repeated" else [",".join(one.children)]
        return [element("ParentOrderId", one.parent), *(element("ChildOrderId", name) for name in children)]

    def _details(self, one: Shown) -> list[str]:
        auction, numbers = _auction(one), self.tracking.get(one.number, [])
        left = stamp(one.changed_at)[:10] if one.ship_status >= 3 else ""
        items = [
            group("Item", [
                element("LineId", line), element("ItemId", "" if auction.get("bare") else listing.partition(":")[0]),
                element("SubCode", listing.partition(":")[2]), element("Title", "品"), element("Quantity", quantity),
                *([element("OriginalNum", original)] if original else []), element("UnitPrice", 1000),
            ])
            for line, listing, quantity, original in one.lines
        ]  # fmt: skip
        return [
            element("CancelReason", one.cancel_reason or ""),
            group("Pay", [element("PayStatus", 1)]),
            group("Ship", [
                element("ShipStatus", one.ship_status), element("ShipDate", left),
                element("ShipLastName", "buyer-canary"),
                *(element(f"ShipInvoiceNumber{place}", number) for place, number in enumerate(numbers, 1)),
            ]),
            *items,
            element("YahooAuctionId", auction.get("id", "")),
            element("YahooAuctionMerchantId", auction.get("merchant_id", "")),
            element("YahooAuctionBidType", auction.get("bid_type", "")),
        ]  # fmt: skip

    # -- orderShipStatusChange -----------------------------------------------------------------------------

    def ship(self, request: Element) -> Answer:
        """Take a shipment in; it completes the order."""
        number = text(request, "Target", "OrderId")
        one = self.shown().get(number)
        ship = child(request, "Order", "Ship")
        if one is None or ship is None:
            return self._failed(404, "od91801", "OrderId")
        told = {name: value for name in SHIP_FIELDS if (value := text(ship, name))}
        completes = told.get("ShipStatus") == "3"
        fixed = text(request, "Target", "IsPointFix") == "true"
        if one.status in (3, 4, 5) or one.ship_status >= 3 or completes is not fixed:
            return self._failed(400, "", f"Cannot Be Operated : {number} OrderStatus")
        if told.get("ShipStatus") not in ("2", "3") or not {*SHIP_FIELDS[2:5]} & told.keys():
            return self._failed(400, "od90101", "Ship")
        self.sent.append({"OrderId": number, **told})
        self._note_parcels(one, [told.get(name, "") for name in SHIP_FIELDS[2:4]])
        if completes:
            one.root.extra.pop("ShipStatus", None)
            self._left(one)
        else:
            one.root.extra["ShipStatus"] = 2
        inner = [element("Status", "OK"), element("Warning")]
        return 200, result_set([group("Result", inner)])

    def _note_parcels(self, one: Shown, numbers: list[str]) -> None:
        known = self.tracking.get(one.number, [])
        self.tracking[one.number] = [number for number in numbers if number]
        for number in numbers:
            if number and number not in known:
                self.market.ship(one.root.number, {}, tracking=number)

    def _left(self, one: Shown) -> None:
        if one.parent:
            self.ship_part(one.number)
        elif not one.children:
            self.market.ship(one.number)
        else:
            self.market.ship(one.number, {line: quantity for line, _, quantity, _ in one.lines})

    def _failed(self, status: int, code: str, message: str) -> Answer:
        """An error of the order API; its shape is not recorded."""
        if self.quirk["order_errors"] == "error":
            return error(status, code, message)
        inner = element("Code", code) + element("Message", message)
        return status, result_set([group("Result", [element("Status", "NG"), f"<Error>{inner}</Error>"])])


def _scripted(order: TruthOrder, name: str, told: int) -> int:
    scripted: Any = order.extra.get(name)
    return scripted if isinstance(scripted, int) else told


def _auction(one: Shown) -> dict[str, str]:
    auction: Any = one.root.extra.get("auction")
    return auction if isinstance(auction, dict) else {}
