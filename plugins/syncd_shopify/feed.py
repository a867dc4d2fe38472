"""The order feed: one page a call, sorted by update time, with an overlap for what the search index shows late.

The cursor: `since` (from where this sweep searches), `after` (Shopify's page cursor inside the sweep), `began`
(our clock at the sweep's first page) and `high` (the newest update time seen in it). The next sweep searches from
the earlier of `began` and `high`, less the overlap: a long sweep cannot walk past orders that were indexed late.
Once an hour (`deep_at`) a sweep reaches further back, for an index that lags far beyond what is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from syncd.clock import Clock
from syncd.sdk.channel import Cursor, OrderPage, Problem
from syncd.sdk.errors import BrokenAnswer
from syncd_shopify.admin import AdminApi, TooCostly
from syncd_shopify.documents import ORDER_LINES, ORDERS, REFUND_LINES, SHIPPED_LINES, Document
from syncd_shopify.wire import read_page, tail
from syncd_shopify.wire_orders import Unreadable, changed_since, read_order, read_time, write_time

OVERLAP = timedelta(minutes=5)  # the sheet does not confirm how far the search index lags
DEEP_EVERY = timedelta(hours=1)
DEEP_OVERLAP = timedelta(hours=2)
WINDOW = timedelta(days=60)  # older orders need the scope read_all_orders
FIRST_PAGE = 25
INNER_PAGE = 20
MOST_INNER_PAGES = 100


class OrderFeed:
    """Reads the orders of one shop. Keeps only how large a page may be; the cursor holds the rest."""

    def __init__(self, api: AdminApi, clock: Clock, location: str, visibility: timedelta) -> None:
        self._api = api
        self._clock = clock
        self._location = location
        self._visibility = visibility
        self._first = FIRST_PAGE

    async def fetch(self, cursor: Cursor | None) -> OrderPage:
        """The next page of states. Test orders are skipped; an unreadable order is a problem, not the end."""
        place = self._place(cursor)
        data = await self._page(place)
        nodes, after = read_page(data.get("orders"), "Orders")
        states, problems = [], []
        for node in nodes:
            if node.get("test") is True:
                continue
            try:
                whole = await self._complete(node)
                states.append(read_order(whole, self._location))
            except Unreadable as error:
                problems.append(Problem(f"order {tail(str(node.get('id')))} {node.get('name', '')}", str(error)))
        high = _newest(nodes, place["high"])
        return OrderPage(
            states=tuple(states),
            cursor=_next(place, after, high),
            more=after is not None,
            seen_until=None if after is not None else read_time(place["began"]) - self._visibility,
            problems=tuple(problems),
        )

    def _place(self, cursor: Cursor | None) -> dict[str, Any]:
        if cursor is not None and cursor["after"] is not None:
            return dict(cursor)
        now = self._clock.now()
        place = {"after": None, "began": write_time(now), "high": None, "deep_at": write_time(now)}
        if cursor is None:
            return {**place, "since": write_time(now - WINDOW)}
        since = read_time(cursor["since"])
        if now - read_time(cursor["deep_at"]) >= DEEP_EVERY:
            return {**place, "since": write_time(min(since, now - DEEP_OVERLAP))}
        return {**place, "since": write_time(since), "deep_at": cursor["deep_at"]}

    async def _page(self, place: Mapping[str, Any]) -> Mapping[str, Any]:
        """One page; halved until Shopify takes its cost. The smaller size is kept."""
        search = changed_since(read_time(place["since"]))
        while True:
            variables = {"first": self._first, "after": place["after"], "q": search, "inner": INNER_PAGE}
            try:
                return await self._api.run(ORDERS, variables)
            except TooCostly as error:
                if self._first == 1:
                    raise BrokenAnswer(f"a page of one order is too costly: {error}") from None
                self._first //= 2

    async def _complete(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """The order with all inner pages followed."""
        lines = await self._all(ORDER_LINES, "lineItems", node)
        refunds = [
            {**one, "refundLineItems": await self._all(REFUND_LINES, "refundLineItems", one)}
            for one in _parts(node, "refunds")
        ]
        fulfillments = [
            {**one, "fulfillmentLineItems": await self._all(SHIPPED_LINES, "fulfillmentLineItems", one)}
            for one in _parts(node, "fulfillments")
        ]
        return {**node, "lineItems": lines, "refunds": refunds, "fulfillments": fulfillments}

    async def _all(self, document: Document, connection: str, owner: Mapping[str, Any]) -> dict[str, Any]:
        """All nodes of an inner connection. What fails on the network is raised: this order must not be passed by."""
        try:
            gid = owner["id"]
            nodes, after = read_page(owner[connection], document.name)
        except (BrokenAnswer, KeyError) as error:
            raise Unreadable(f"{connection}: {error}") from None
        for _ in range(MOST_INNER_PAGES):
            if after is None:
                return {"nodes": nodes}
            data = await self._api.run(document, {"id": gid, "after": after, "inner": INNER_PAGE})
            rest = data.get("node")
            if rest is None:
                raise Unreadable(f"{document.name}: gone while its pages were read")
            if not isinstance(rest, Mapping):
                raise BrokenAnswer(f"{document.name}: a node that is no object")
            more, after = read_page(rest.get(connection), document.name)
            nodes = [*nodes, *more]
        raise Unreadable(f"{document.name}: pages without end")


def _parts(node: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Refunds or fulfillments of an order."""
    parts = node.get(name)
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise Unreadable(f"no list of {name}")
    return parts


def _newest(nodes: list[Mapping[str, Any]], high: str | None) -> str | None:
    """The newest update time of a page. Raises BrokenAnswer where one cannot be read: the cursor stays."""
    try:
        times = [read_time(node["updatedAt"]) for node in nodes]
    except (KeyError, ValueError) as error:
        raise BrokenAnswer(f"Orders: an order without updatedAt ({error})") from None
    if high is not None:
        times.append(read_time(high))
    return write_time(max(times)) if times else None


def _next(place: Mapping[str, Any], after: str | None, high: str | None) -> dict[str, Any]:
    if after is not None:
        return {**place, "after": after, "high": high}
    since = read_time(place["since"])
    if high is not None:
        since = max(since, min(read_time(high), read_time(place["began"])) - OVERLAP)
    return {"since": write_time(since), "after": None, "began": None, "high": None, "deep_at": place["deep_at"]}
