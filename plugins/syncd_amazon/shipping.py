"""Shipments out by confirmShipment (出荷通知): one parcel of one order a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncd.sdk.channel import Accepted, Carrier, Reason, Rejected, Shipment
from syncd.sdk.errors import BrokenAnswer
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.orders import one_order
from syncd_amazon.wire_orders import INCLUDED, PENDING, RELEASED, read_order, status_of, write_time

CARRIER_NAMES: Mapping[Carrier, str] = {
    Carrier.YAMATO: "ヤマト運輸",
    Carrier.SAGAWA: "佐川急便",
    Carrier.JAPAN_POST: "日本郵便",
    Carrier.SEINO: "西濃運輸",
    Carrier.FUKUYAMA: "福山通運",
    Carrier.MEITETSU: "名鉄運輸",
    Carrier.TONAMI: "トナミ運輸",
    Carrier.SAGAWA_GLOBAL: "SGHグローバル・ジャパン",
    Carrier.ECOHAI: "エコ配",
    Carrier.DHL: "DHL",
    Carrier.FEDEX: "FedEx",
    Carrier.UPS: "UPS",
    Carrier.USPS: "USPS",
}
OTHER_CODE = "Other"
"""The list of Japanese carrier codes is not confirmed; `Other` with a name is taken for every carrier."""


class Shipper:
    """Reports parcels. The order is read first: for what is left to ship, and for the parcels it has already."""

    def __init__(self, api: AmazonApi, marketplace: str) -> None:
        self._api = api
        self._marketplace = marketplace

    async def send(self, index: int, shipment: Shipment) -> Accepted | Rejected:
        """Report one parcel; one that the order bears already is accepted as it is."""
        try:
            order = one_order(await self._api.get_order(shipment.order, INCLUDED))
            if bears(order, shipment.tracking):
                return Accepted(index)
            body = self._body(order, shipment)
        except RequestRefused as error:
            return Rejected(index, Reason.INVALID, str(error))
        except ValueError as error:
            return Rejected(index, Reason.INVALID, str(error))
        try:
            await self._api.confirm_shipment(shipment.order, body)
        except RequestRefused as error:
            return Rejected(index, Reason.INVALID, str(error))
        return Accepted(index)

    def _body(self, order: Mapping[str, Any], shipment: Shipment) -> dict[str, Any]:
        """The request. Raises ValueError for a parcel that must not be reported."""
        lines = shipped_lines(order, shipment)
        carrier = shipment.carrier_name or CARRIER_NAMES.get(shipment.carrier, "")
        if not carrier or not shipment.tracking:
            raise ValueError("Amazon asks for a carrier's name and a tracking number")
        detail = {
            "packageReferenceId": next_reference(order),
            "carrierCode": OTHER_CODE,
            "carrierName": carrier,
            "trackingNumber": shipment.tracking,
            "shipDate": write_time(shipment.shipped_at),
            "orderItems": [{"orderItemId": line, "quantity": units} for line, units in lines.items()],
        }
        return {"marketplaceId": self._marketplace, "packageDetail": detail}


def shipped_lines(order: Mapping[str, Any], shipment: Shipment) -> dict[str, int]:
    """Units per line of the parcel. Raises ValueError (Unreadable is one) where there is nothing that may leave."""
    status = status_of(order)
    if status == PENDING or status in RELEASED:
        raise ValueError(f"the order is {status}: it must not be shipped")
    left = {line.line: line.counts.held for line in read_order(order).lines}
    lines = dict(shipment.lines) or {line: units for line, units in left.items() if units}
    wrong = [line for line, units in lines.items() if not 0 < units <= left.get(line, 0)]
    if wrong or not lines:
        raise ValueError(f"not so many units are left to ship: lines {', '.join(wrong) or 'none'}")
    return lines


def bears(order: Mapping[str, Any], tracking: str) -> bool:
    """Whether a parcel with this tracking number was reported before: a repeat must never become a second one."""
    return bool(tracking) and any(parcel.get("trackingNumber") == tracking for parcel in _parcels(order))


def next_reference(order: Mapping[str, Any]) -> str:
    """A number no parcel of the order bears yet, as text: an unquoted one fails."""
    used = [str(parcel.get("packageReferenceId", "")) for parcel in _parcels(order)]
    return str(1 + max((int(one) for one in used if one.isascii() and one.isdigit()), default=0))


def _parcels(order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parcels = order.get("packages") or []
    if not isinstance(parcels, list) or not all(isinstance(parcel, Mapping) for parcel in parcels):
        raise BrokenAnswer("get_order: packages that cannot be read")
    return parcels
