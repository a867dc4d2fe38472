"""The emulator's pushes: subscriptions, deliveries with their signature, retries, and their end after eight failures.

Nothing is sent by itself: `deliver` sends what is due through a function the test gives. A delivery that fails is
due again, eight times over four hours, with its first body and id; eight in a row delete the subscription.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from syncd.testing.world import Market
from syncd_shopify.emulator_orders import order_id
from syncd_shopify.wire_hooks import signature
from syncd_shopify.wire_orders import write_time

RETRIES = 8
RETRY_EVERY = timedelta(minutes=30)  # eight of them are the four hours of the documents
PREFIX = {"x_shopify": "X-Shopify-", "shopify": "Shopify-"}
PAGE = 100
TOPICS = {
    "ORDERS_CREATE": "orders/create",
    "ORDERS_UPDATED": "orders/updated",
    "INVENTORY_LEVELS_UPDATE": "inventory_levels/update",
}


@dataclass(slots=True)
class Subscription:
    """One subscription of the app."""

    gid: str
    topic: str
    uri: str
    fields: tuple[str, ...]
    failures: int = 0


@dataclass(slots=True)
class Push:
    """One delivery; the same headers and bytes on every retry."""

    subscription: Subscription
    headers: dict[str, str]
    body: bytes
    due: datetime
    tries: int = 0


Send = Callable[[Push], Awaitable[int]]
"""Sends a push and returns the status of the answer; 0 for none."""


@dataclass(slots=True)
class Pushing:
    """The subscriptions of one shop and what is under way."""

    market: Market
    secret: str
    shop: str
    location: str
    header_style: str
    subscriptions: list[Subscription] = field(default_factory=list)
    queue: list[Push] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _seen: set[str] = field(default_factory=set)
    _told: dict[str, int] = field(default_factory=dict)

    def watch(self) -> None:
        """Notice every order from now on."""
        self._seen = set(self.market.orders)
        self.market.watchers.append(self.order_changed)

    # -- the API ---------------------------------------------------------------------------------------------

    def listed(self, after: str | None) -> dict[str, Any]:
        begin = 0 if after is None else int(after)
        nodes = [
            {"id": one.gid, "topic": one.topic, "uri": one.uri} for one in self.subscriptions[begin : begin + PAGE]
        ]
        end = begin + len(nodes)
        page = {"hasNextPage": end < len(self.subscriptions), "endCursor": str(end) if nodes else None}
        return {"pageInfo": page, "nodes": nodes}

    def add(self, topic: str, hook: Mapping[str, Any]) -> dict[str, Any]:
        uri = str(hook.get("uri", ""))
        if not uri.startswith("https://"):
            return _refused(["webhookSubscription", "uri"], "Address protocol http:// is not supported")
        if any((one.topic, one.uri) == (topic, uri) for one in self.subscriptions):
            return _refused(["webhookSubscription", "uri"], "Address for this topic has already been taken")
        gid = f"gid://shopify/WebhookSubscription/{next(self._numbers)}"
        self.subscriptions.append(Subscription(gid, topic, uri, tuple(hook.get("includeFields") or ())))
        return {"webhookSubscription": {"id": gid}, "userErrors": []}

    def drop(self, gid: str) -> dict[str, Any]:
        known = [one for one in self.subscriptions if one.gid == gid]
        self.subscriptions = [one for one in self.subscriptions if one.gid != gid]
        errors = [] if known else [{"field": ["id"], "message": "Webhook subscription does not exist"}]
        return {"deletedWebhookSubscriptionId": gid if known else None, "userErrors": errors}

    # -- what happens in the shop --------------------------------------------------------------------------------

    def order_changed(self, number: str) -> None:
        """Topic by topic, as one action causes them: the event id is the same, the push's own id is not."""
        order, event = self.market.orders[number], f"event-{next(self._numbers)}"
        body = {
            "id": int(order_id(number)),
            "admin_graphql_api_id": f"gid://shopify/Order/{order_id(number)}",
            "updated_at": write_time(order.updated_at),
            "customer": {"email": "buyer-canary@example.com"},
        }
        new = number not in self._seen
        self._seen.add(number)
        for topic in ("ORDERS_CREATE", "ORDERS_UPDATED") if new else ("ORDERS_UPDATED",):
            self._push(topic, body, event)
        self.levels_changed({line.listing for line in order.lines})

    def levels_changed(self, keys: Iterable[str]) -> None:
        """A push for each of these numbers on sale that was told as another; our own writes cause them too."""
        if not any(one.topic == "INVENTORY_LEVELS_UPDATE" for one in self.subscriptions):
            return
        for key in sorted(keys):
            listing = self.market.listings[key]
            if listing.shown == self._told.get(key):
                continue
            self._told[key] = listing.shown
            body = {
                "inventory_item_id": int(key),
                "location_id": int(self.location.rsplit("/", 1)[-1]),
                "available": listing.shown if listing.counted else None,
                "updated_at": write_time(self.market.world.now()),
                "admin_graphql_api_id": f"gid://shopify/InventoryLevel/1{key}?inventory_item_id={key}",
            }
            self._push("INVENTORY_LEVELS_UPDATE", body, f"event-{next(self._numbers)}")

    def _push(self, topic: str, body: Mapping[str, Any], event: str) -> None:
        now = self.market.world.now()
        for one in self.subscriptions:
            if one.topic != topic:
                continue
            shown = {name: value for name, value in body.items() if not one.fields or name in one.fields}
            raw = json.dumps(shown, separators=(",", ":")).encode()
            named = {
                "Topic": TOPICS[topic],
                "Hmac-Sha256": signature(raw, self.secret),
                "Shop-Domain": self.shop,
                "API-Version": "2026-10",
                "Webhook-Id": f"push-{next(self._numbers)}",
                "Event-Id": event,
                "Triggered-At": write_time(now),
            }
            prefix = PREFIX[self.header_style]
            headers = {"Content-Type": "application/json", **{prefix + name: value for name, value in named.items()}}
            self.queue.append(Push(one, headers, raw, now))

    # -- deliveries ----------------------------------------------------------------------------------------------

    async def deliver(self, send: Send) -> int:
        """Send all that is due, once each; returns how many were taken."""
        taken, now = 0, self.market.world.now()
        for push in [one for one in self.queue if one.due <= now]:
            status = await send(push)
            if 200 <= status < 300:
                push.subscription.failures = 0
                self.queue.remove(push)
                taken += 1
                continue
            push.tries += 1
            push.due = now + RETRY_EVERY
            push.subscription.failures += 1
            if push.tries > RETRIES:
                self.queue.remove(push)
            if push.subscription.failures >= RETRIES and push.subscription in self.subscriptions:
                self.subscriptions.remove(push.subscription)
        return taken


def _refused(path: list[str], message: str) -> dict[str, Any]:
    return {"webhookSubscription": None, "userErrors": [{"field": path, "message": message}]}
