"""What `check` finds out about a shop, as sentences for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from syncd.sdk.errors import BrokenAnswer
from syncd_shopify.wire import tail
from syncd_shopify.wire_orders import read_time

SUPPORTED_MONTHS = 12
WARN_BEFORE = timedelta(days=60)
LEAVES_SOON = timedelta(days=53)
ALL_ORDERS = "read_all_orders"
SCOPES = {
    "read_products": "listings cannot be read",
    "read_inventory": "stock cannot be read",
    "write_inventory": "stock cannot be written",
    "read_locations": "the location cannot be read",
    "read_orders": "orders cannot be read",
    "read_merchant_managed_fulfillment_orders": "shipments cannot be told",
    "write_merchant_managed_fulfillment_orders": "shipments cannot be told",
}


def read_nodes(connection: Any, what: str) -> list[Mapping[str, Any]]:
    """The nodes of a connection. Raises BrokenAnswer where there are none."""
    nodes = connection.get("nodes") if isinstance(connection, Mapping) else None
    return [one for one in read_list(nodes, what) if isinstance(one, Mapping)]


def read_list(value: Any, what: str) -> list[Any]:
    """A list. Raises BrokenAnswer for anything else."""
    if not isinstance(value, list):
        raise BrokenAnswer(f"Shop: no list of {what} in the answer")
    return value


def read_scopes(data: Mapping[str, Any]) -> tuple[str, ...]:
    """What the app may do."""
    installed = data.get("currentAppInstallation")
    scopes = installed.get("accessScopes") if isinstance(installed, Mapping) else None
    return tuple(str(one.get("handle")) for one in read_list(scopes, "accessScopes") if isinstance(one, Mapping))


def version_ends(version: str) -> datetime:
    """Until when a version is supported at least: 12 months from its release, the first of its month at 17:00 UTC."""
    year, month = (int(part) for part in version.split("-"))
    ends = date(year + SUPPORTED_MONTHS // 12, month, 1)
    return datetime(ends.year, ends.month, ends.day, 17, tzinfo=UTC)


def of_version(version: str, served: str | None, now: datetime) -> list[str]:
    """Whether the version is out of support, or soon will be."""
    if served is not None and served != version:
        return [f"API version {version} is out of support: Shopify answers as {served}"]
    ends = version_ends(version)
    if now < ends - WARN_BEFORE:
        return []
    return [f"API version {version} is supported until {ends:%Y-%m-%d} only: set api_version to a newer one"]


def of_locations(location: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> list[str]:
    """Stock that is not sold, and stock at other places that is: the storefront adds all of them up."""
    told = []
    name = tail(str(location.get("id")))
    if location.get("isActive") is not True:
        told.append(f"location {name} is not active: its stock is not sold")
    elif location.get("fulfillsOnlineOrders") is False:
        told.append(f"location {name} does not fulfil online orders: its stock is not sold online")
    stray = sorted(
        f"{one.get('name')} ({tail(str(one.get('id')))})"
        for one in others
        if one.get("id") != location.get("id") and one.get("isActive") and one.get("fulfillsOnlineOrders")
    )
    if stray:
        told.append(f"stock at {', '.join(stray)} is sold online too, and syncd does not write it")
    return told


def of_scopes(granted: Sequence[str]) -> list[str]:
    """Rights the app lacks. The right to write something holds the right to read it."""
    has = {*granted, *(one.replace("write_", "read_", 1) for one in granted if one.startswith("write_"))}
    return [f"the app lacks the scope {scope}: {what}" for scope, what in SCOPES.items() if scope not in has]


def of_old_orders(asked: Sequence[str], nodes: Sequence[Any], granted: Sequence[str], now: datetime) -> list[str]:
    """Open orders that the shop shows no more, and those that will leave its window of 60 days within a week."""
    gone = [number for number, node in zip(asked, nodes, strict=False) if not isinstance(node, Mapping)]
    told = []
    if gone:
        told.append(
            f"{len(gone)} open orders can no longer be read ({', '.join(gone[:5])}): close them with syncd orders"
            " close, or get the scope read_all_orders"
        )
    if ALL_ORDERS in granted:
        return told
    old = [
        tail(str(node.get("id")))
        for node in nodes
        if isinstance(node, Mapping) and now - read_time(node.get("createdAt")) > LEAVES_SOON
    ]
    if old:
        told.append(
            f"{len(old)} open orders are almost 60 days old ({', '.join(old[:5])}): the app will not see their changes"
            " after that; ship or close them, or get the scope read_all_orders"
        )
    return told
