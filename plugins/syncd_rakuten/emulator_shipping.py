"""The shipping half of the emulator's order desk: confirmOrder and updateOrderShipping. Codes it is not told are
stand-ins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from syncd.testing.world import Market, TruthOrder
from syncd_rakuten.emulator_orders import baskets_of, message_of, parcels_of, progress_of

MOST_ROWS = 20
MOST_NUMBERS = 100
LONGEST_NUMBER = 120
COMPANIES = range(1000, 1032)
DATE = re.compile(r"\d{4}-\d\d-\d\d")
SHIPPABLE = frozenset({300, 500, 600, 700})

Result = tuple[int, dict[str, Any]]


class ShippingDesk:
    """Answers shipping calls as (status, body)."""

    def __init__(self, market: Market, quirk: Mapping[str, str]) -> None:
        self.market = market
        self.quirk = quirk
        self._next_id = 1

    def confirm(self, body: Any) -> Result:
        """confirmOrder: 100 -> 300, or 200 while Rakuten looks at the order."""
        numbers = body.get("orderNumberList") if isinstance(body, Mapping) else None
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= MOST_NUMBERS:
            return self._error("CONFIRM_ORDER", "009", "orderNumberList is mandatory, at most 100.")
        messages = []
        for number in numbers:
            order = self.market.orders.get(number)
            if order is None or progress_of(order) != 100:
                text = "The order cannot be confirmed."
                messages.append(
                    {**message_of("ERROR", "ORDER_EXT_API_CONFIRM_ORDER_ERROR_002", text), "orderNumber": number}
                )
                continue
            order.extra["confirmed"] = True
            if self.quirk["confirmed_order"] == "processed_first":
                order.extra["orderProgress"] = 200
            messages.append({**message_of("INFO", "ORDER_EXT_API_CONFIRM_ORDER_INFO_101"), "orderNumber": number})
        return 200, {"MessageModelList": messages}

    def update(self, body: Any) -> Result:
        """updateOrderShipping: add, change or delete the parcels of one order; all rows of a call or none."""
        query = body if isinstance(body, Mapping) else {}
        order = self.market.orders.get(str(query.get("orderNumber")))
        if order is None:
            return self._error("UPDATE_ORDERSHIPPING", "012", "The order does not exist.")
        if progress_of(order) not in SHIPPABLE:
            return self._error("UPDATE_ORDERSHIPPING", "021", f"Not in status {progress_of(order)}.")
        rows = [
            (int(basket.get("basketId", 0)), row)
            for basket in query.get("BasketidModelList") or ()
            for row in basket.get("ShippingModelList") or ()
        ]
        parcels = parcels_of(order)
        if not rows:
            return self._error("UPDATE_ORDERSHIPPING", "009", "ShippingModelList is mandatory.")
        for number, (basket, row) in enumerate(rows, 1):
            if wrong := self._wrong(order, parcels, basket, row):
                code, text = wrong
                return self._error("UPDATE_ORDERSHIPPING", code, text, dataNumber=number)
        told = [self._apply(order, parcels, number, basket, row) for number, (basket, row) in enumerate(rows, 1)]
        self._ship_if_all_left(order, parcels)
        return 200, {"MessageModelList": told}

    @staticmethod
    def _wrong(
        order: TruthOrder, parcels: list[dict[str, Any]], basket: int, row: Mapping[str, Any]
    ) -> tuple[str, str] | None:
        known = {parcel["shippingDetailId"] for parcel in parcels}
        if basket not in baskets_of(order):
            return "013", "basketId does not exist."
        if "shippingDetailId" in row and row["shippingDetailId"] not in known:
            return "014", "shippingDetailId does not exist."
        company = row.get("deliveryCompany")
        if company is not None and (not str(company).isdigit() or int(company) not in COMPANIES):
            return "015", "deliveryCompany is no code."
        if len(str(row.get("shippingNumber") or "")) > LONGEST_NUMBER:
            return "016", "shippingNumber is too long."
        date = row.get("shippingDate")
        if date and not _is_date(date):
            return "011", "shippingDate: format is wrong."
        if "shippingDetailId" not in row and sum(parcel["basketId"] == basket for parcel in parcels) >= MOST_ROWS:
            return "017", f"At most {MOST_ROWS} parcels a destination."
        return None

    def _apply(
        self, order: TruthOrder, parcels: list[dict[str, Any]], number: int, basket: int, row: Mapping[str, Any]
    ) -> dict[str, Any]:
        given = {
            key: value for key, value in row.items() if key in ("deliveryCompany", "shippingNumber", "shippingDate")
        }
        if "shippingDetailId" not in row:
            parcel = {"shippingDetailId": self._next_id, "basketId": basket, **given}
            self._next_id += 1
            parcels.append(parcel)
            order.parcels.append(str(given.get("shippingNumber") or ""))
            return self._told("101", number, parcel)
        [parcel] = [one for one in parcels if one["shippingDetailId"] == row["shippingDetailId"]]
        if row.get("shippingDeleteFlag") == 1:
            parcels.remove(parcel)
            return self._told("103", number, parcel)
        parcel |= given
        return self._told("102", number, parcel)

    @staticmethod
    def _told(code: str, number: int, parcel: Mapping[str, Any]) -> dict[str, Any]:
        told = message_of("INFO", f"ORDER_EXT_API_UPDATE_ORDERSHIPPING_INFO_{code}")
        return {**told, "dataNumber": number, "shippingDetailId": parcel["shippingDetailId"]}

    def _ship_if_all_left(self, order: TruthOrder, parcels: list[dict[str, Any]]) -> None:
        """An order is shipped when each of its destinations has a parcel, and every parcel its date."""
        served = {parcel["basketId"] for parcel in parcels}
        if served >= set(baskets_of(order)) and all(parcel.get("shippingDate") for parcel in parcels):
            order.extra.pop("orderProgress", None)
            self.market.ship(order.number)

    def _error(self, call: str, code: str, text: str, **more: Any) -> Result:
        """A refusal. Only the 400 of a wrong format is documented."""
        status = 400 if code == "011" else int(self.quirk["refusal_status"])
        return status, {
            "MessageModelList": [{**message_of("ERROR", f"ORDER_EXT_API_{call}_ERROR_{code}", text), **more}]
        }


def _is_date(text: object) -> bool:
    if not DATE.fullmatch(str(text)):
        return False
    try:
        datetime.fromisoformat(str(text))
    except ValueError:
        return False
    return True
