"""Pushes: their signature, what they point at, and which subscriptions a shop should have. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.sdk.channel import Hint, Webhook
from syncd_shopify.wire import tail

ORDER_TOPICS = ("ORDERS_CREATE", "ORDERS_UPDATED")
"""ORDERS_UPDATED comes with every payment, edit, cancel, refund and fulfillment of an order too."""
STOCK_TOPICS = ("INVENTORY_LEVELS_UPDATE",)
ORDER_FIELDS = ("id", "admin_graphql_api_id", "updated_at")
STOCK_FIELDS = ("inventory_item_id", "location_id", "available", "updated_at")
STOCK_TOPIC = "inventory_levels/update"
ORDER_PREFIXES = ("orders/", "refunds/", "fulfillments/")
PREFIXES = ("x-shopify-", "shopify-")  # names without X- belong to a preview product: the sheet says accept both


@dataclass(frozen=True, slots=True)
class Subscription:
    """One push that the shop has agreed to. The API shows those of our own app only."""

    gid: str
    topic: str
    uri: str


def signature(body: bytes, secret: str) -> str:
    """base64 of HMAC-SHA256 over the body as it came."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode("ascii")


def read_push(webhook: Webhook, secret: str, shop: str, location: str) -> Hint:
    """Verify a push, before anything of it is read. Raises ValueError for a signature or a shop that is not ours.

    One app may serve several shops under one secret: a genuine push of another shop is not ours.
    """
    given = _header(webhook.headers, "hmac-sha256")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), signature(webhook.body, secret).encode()):
        raise ValueError("the signature does not hold")
    if _header(webhook.headers, "shop-domain").lower() != shop:
        raise ValueError("a push of another shop")
    topic, own_id = _header(webhook.headers, "topic").lower(), _header(webhook.headers, "webhook-id")
    if topic.startswith(ORDER_PREFIXES):
        return Hint(orders=True, id=own_id)
    if topic == STOCK_TOPIC:
        return Hint(listings=_listings(webhook.body, location), id=own_id)
    return Hint(id=own_id)


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((headers[prefix + name] for prefix in PREFIXES if prefix + name in headers), "")


def _listings(body: bytes, location: str) -> tuple[str, ...]:
    """The inventory item of a level at our location. What cannot be read names none; the sweep finds it."""
    try:
        level = json.loads(body)
        here = str(level["location_id"]) == tail(location)
        item = str(level["inventory_item_id"])
    except (ValueError, KeyError, TypeError):
        return ()
    return (item,) if here and item.isascii() and item.isdigit() else ()


def topics(*, stock: bool) -> tuple[str, ...]:
    """What a shop should push."""
    return ORDER_TOPICS + (STOCK_TOPICS if stock else ())


def hook_input(topic: str, address: str) -> dict[str, Any]:
    """A subscription. Of an order only its id and time are asked for: no buyer's data comes to us at all."""
    fields = STOCK_FIELDS if topic in STOCK_TOPICS else ORDER_FIELDS
    return {"uri": address, "format": "JSON", "includeFields": list(fields)}


def read_subscriptions(nodes: Iterable[Mapping[str, Any]]) -> list[Subscription]:
    """Subscriptions of a page; one that is no https address (Pub/Sub, EventBridge) has its own uri too."""
    return [Subscription(str(one.get("id")), str(one.get("topic")), str(one.get("uri") or "")) for one in nodes]


def plan(known: Sequence[Subscription], wanted: Sequence[str], address: str) -> tuple[list[str], list[Subscription]]:
    """Topics to add, and subscriptions to take away: those of this shop's path that go elsewhere, and repeats.

    A subscription of another program that shares the app goes to another path and is left alone.
    """
    path = address[address.index("/webhooks/") :]
    ours = [one for one in known if one.uri.endswith(path)]
    kept: set[str] = set()
    gone: list[Subscription] = []
    for one in ours:
        good = one.uri == address and one.topic in wanted and one.topic not in kept
        if good:
            kept.add(one.topic)
        else:
            gone.append(one)
    return [topic for topic in wanted if topic not in kept], gone
