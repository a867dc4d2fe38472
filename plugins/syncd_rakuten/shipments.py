"""A shipment -> what updateOrderShipping takes, by the order as getOrder shows it. Pure.

Rakuten knows parcels by destination (basketId), not by line, and an order as shipped or not: so a parcel that leaves
something of its destination for a later one goes without its date, and the last one dates them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.sdk.channel import Carrier, Shipment
from syncd_rakuten.orders import CANCELLED, CHANGING, lines_by_package
from syncd_rakuten.wire import JST

CODES: Mapping[Carrier, str] = {
    Carrier.YAMATO: "1001",
    Carrier.SAGAWA: "1002",
    Carrier.JAPAN_POST: "1003",
    Carrier.SEINO: "1004",
    Carrier.FUKUYAMA: "1006",
    Carrier.MEITETSU: "1031",
}
OTHER = "1000"
"""Every carrier whose code the fact sheet does not give; Rakuten takes codes, never names."""
UNCONFIRMED = 100
PROCESSED_BY_RAKUTEN = 200
MOST_ROWS = 20
LONGEST_NUMBER = 120
WHY_NOT = {
    400: "a change of the order is awaiting its fix (変更確定待ち): fix it in RMS, then syncd shipments retry",
    800: "a cancel is awaiting its fix (キャンセル確定待ち): decide it in RMS",
    CANCELLED: "the order is cancelled",
}


class CannotShip(ValueError):
    """Rakuten would not take this shipment; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a destination: a new parcel, or a parcel known to Rakuten by its id."""

    basket: int
    fields: Mapping[str, Any]


def company_of(carrier: Carrier) -> str:
    """Rakuten's code of a carrier."""
    return CODES.get(carrier, OTHER)


def rows_of(model: Mapping[str, Any], shipment: Shipment) -> tuple[Row, ...]:
    """What must be sent so that the order bears the shipment; nothing when it does already. Raises CannotShip."""
    progress = int(model["orderProgress"])
    if progress in CHANGING or progress == CANCELLED:
        raise CannotShip(WHY_NOT[progress])
    if len(shipment.tracking) > LONGEST_NUMBER:
        raise CannotShip(f"a tracking number has at most {LONGEST_NUMBER} characters here")
    packages = {int(package["basketId"]): package for package in model["PackageModelList"] or ()}
    found: list[Row] = []
    for basket in _baskets(model, shipment):
        found += _rows_of_package(packages[basket], basket, shipment, complete=basket not in _open(model, shipment))
    return tuple(found)


def body_of(order: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The body of updateOrderShipping."""
    baskets: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        baskets.setdefault(row.basket, []).append(row.fields)
    models = [{"basketId": basket, "ShippingModelList": some} for basket, some in baskets.items()]
    return {"orderNumber": order, "BasketidModelList": models}


def _baskets(model: Mapping[str, Any], shipment: Shipment) -> list[int]:
    """The destinations that a shipment goes to: those of its lines, or all."""
    inside = list(lines_by_package(model))
    if not shipment.lines:
        return list(dict.fromkeys(basket for basket, _ in inside))
    found = list(dict.fromkeys(basket for basket, line in inside if line in shipment.lines))
    if unknown := shipment.lines.keys() - {line for _, line in inside}:
        raise CannotShip(f"the order has no line {', '.join(sorted(unknown))}")
    return found


def _open(model: Mapping[str, Any], shipment: Shipment) -> set[int]:
    """The destinations of which something leaves later."""
    return {basket for basket, line in lines_by_package(model) if shipment.leaves_open.get(line)}


def _rows_of_package(package: Mapping[str, Any], basket: int, shipment: Shipment, *, complete: bool) -> Iterator[Row]:
    known = [row for row in package.get("ShippingModelList") or () if row]
    date = shipment.shipped_at.astimezone(JST).strftime("%Y-%m-%d")
    company = company_of(shipment.carrier)
    same = [row for row in known if _is_same(row, company, shipment.tracking)]
    if not same:
        if len(known) >= MOST_ROWS:
            raise CannotShip(f"the destination has {MOST_ROWS} parcels already, the most Rakuten takes")
        fields = {"deliveryCompany": company, "shippingNumber": shipment.tracking}
        yield Row(basket, {**fields, **({"shippingDate": date} if complete else {})})
    for row in known if complete else ():
        if not row.get("shippingDate"):  # a field left out stays as it is
            yield Row(basket, {"shippingDetailId": row["shippingDetailId"], "shippingDate": date})


def _is_same(row: Mapping[str, Any], company: str, tracking: str) -> bool:
    return str(row.get("deliveryCompany") or "") == company and str(row.get("shippingNumber") or "") == tracking
