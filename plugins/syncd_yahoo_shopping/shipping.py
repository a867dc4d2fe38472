"""Shipments in Yahoo's words: carrier codes, which parts of an order a parcel holds, the body of the call. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncd.sdk.channel import Carrier, Shipment
from syncd_yahoo_shopping.orders import IN_PROCESS, SHIPPED, Part
from syncd_yahoo_shopping.settings import YahooShoppingSettings
from syncd_yahoo_shopping.wire import JST, tag

OTHER = "1000"
MOST_NUMBERS = 2
CARRIERS: Mapping[Carrier, str] = {Carrier.YAMATO: "1001", Carrier.SAGAWA: "1002"}
"""ShipCompanyCode as far as the fact sheet has it; the settings add to it."""


def carrier_code(carrier: Carrier, added: Mapping[Carrier, str]) -> str:
    """Yahoo's code of a carrier; `other` for one whose code nobody told us."""
    return added.get(carrier) or CARRIERS.get(carrier, OTHER)


@dataclass(frozen=True, slots=True)
class Report:
    """One call that a parcel takes: which order id, and whether all of it has left with that parcel."""

    part: Part
    all_left: bool


def reports_of(parts: Sequence[Part], shipment: Shipment) -> list[Report]:
    """The calls that tell a parcel. Yahoo ships whole orders only.

    The last parcel of an order ships what is still open. One before it ships the parts that were split off for it;
    where there is none, the order is told to be in process (出荷処理中) and bears the number already.
    """
    still_here = [part for part in parts if not part.is_cancelled and not part.left]
    if not shipment.leaves_open:
        return [Report(part, True) for part in still_here]
    left, chosen = Counter({line: units for line, units in shipment.lines.items() if units}), []
    for part in still_here:
        units: Counter[str] = Counter()
        for line in part.lines:
            units[line.listing] += line.quantity
        if units and units <= left:
            left -= units
            chosen.append(Report(part, True))
    holds = [part for part in still_here if any(line.listing in left for line in part.lines)]
    return chosen or [Report(part, False) for part in (holds or still_here)[:1]]


def bears(parts: Sequence[Part], tracking: str) -> bool:
    """Whether an order was told of a parcel with that number already."""
    return bool(tracking) and any(tracking in part.tracking for part in parts)


def ship_body(report: Report, shipment: Shipment, settings: YahooShoppingSettings) -> str:
    """The body of orderShipStatusChange for one order id. IsPointFix: shipping all of it completes the order.

    An order has room for two numbers: those of later parcels are not told.
    """
    numbers = dict.fromkeys(filter(None, (*report.part.tracking, shipment.tracking)))
    tracking = "".join(
        tag(f"ShipInvoiceNumber{place}", number) for place, number in enumerate(list(numbers)[:MOST_NUMBERS], 1)
    )
    ship = (
        tag("ShipStatus", SHIPPED if report.all_left else IN_PROCESS)
        + tag("ShipCompanyCode", carrier_code(shipment.carrier, settings.carrier_codes))
        + (tracking or tag("ShipInvoiceNumberEmptyReason", settings.no_tracking_reason))
        + tag("ShipDate", shipment.shipped_at.astimezone(JST).strftime("%Y%m%d"))
    )
    fixed = tag("IsPointFix", "true" if report.all_left else "false")
    return (
        f"<Req><Target>{tag('OrderId', report.part.number)}{fixed}</Target>"
        f"<Order><Ship>{ship}</Ship></Order>{tag('SellerId', settings.seller_id)}</Req>"
    )
