"""Shipments in Yahoo's words: carrier codes, which parts of an order a parcel holds, the body of the call. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from syncd.sdk.channel import Carrier, Shipment
from syncd_yahoo_shopping.orders import Part
from syncd_yahoo_shopping.settings import YahooShoppingSettings
from syncd_yahoo_shopping.wire import JST, tag

OTHER = "1000"
CARRIERS: Mapping[Carrier, str] = {Carrier.YAMATO: "1001", Carrier.SAGAWA: "1002"}
"""ShipCompanyCode as far as the fact sheet has it; the settings add to it."""


def carrier_code(carrier: Carrier, added: Mapping[Carrier, str]) -> str:
    """Yahoo's code of a carrier; `other` for one whose code nobody told us."""
    return added.get(carrier) or CARRIERS.get(carrier, OTHER)


def parts_to_ship(parts: Sequence[Part], lines: Mapping[str, int]) -> list[Part]:
    """The open parts that a parcel with these units holds; with no lines, every open part.

    Yahoo ships whole orders. Raises ValueError when the units are not those of whole parts.
    """
    still_here = [part for part in parts if not part.is_cancelled and not part.left]
    if not lines:
        return still_here
    left, chosen = Counter({line: units for line, units in lines.items() if units}), []
    for part in still_here:
        units: Counter[str] = Counter()
        for line in part.lines:
            units[line.listing] += line.quantity
        if units and units <= left:
            left -= units
            chosen.append(part)
    if left or not chosen:
        raise ValueError("Yahoo! ships whole orders: split the order there first, or report it when all of it left")
    return chosen


def ship_body(number: str, shipment: Shipment, settings: YahooShoppingSettings) -> str:
    """The body of orderShipStatusChange for one order id. IsPointFix: shipping may complete the order."""
    tracking = (
        tag("ShipInvoiceNumber1", shipment.tracking)
        if shipment.tracking
        else tag("ShipInvoiceNumberEmptyReason", settings.no_tracking_reason)
    )
    ship = (
        tag("ShipStatus", 3)
        + tag("ShipCompanyCode", carrier_code(shipment.carrier, settings.carrier_codes))
        + tracking
        + tag("ShipDate", shipment.shipped_at.astimezone(JST).strftime("%Y%m%d"))
    )
    return (
        f"<Req><Target>{tag('OrderId', number)}{tag('IsPointFix', 'true')}</Target>"
        f"<Order><Ship>{ship}</Ship></Order>{tag('SellerId', settings.seller_id)}</Req>"
    )
