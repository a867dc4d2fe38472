"""Changed orders by `lastUpdatedAfter`: one search every three minutes is all that Amazon's rate lasts for.

Beside these the burst of 20 is there for writes that must read first; what is left of it is kept for a sweep's pages.

The cursor: `after` (from where this sweep searches), `token` (the next page) and when it was `given`, `began` (when its
first page was asked for) and `before` (up to where that looked: two minutes earlier, as a rule), and `first` (the
first sweep of all asks for open orders).
The next sweep begins at `before` less the overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from syncd.clock import Clock
from syncd.model import OrderState
from syncd.sdk.channel import Cursor, OrderPage, Problem
from syncd.sdk.errors import BrokenAnswer
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.sales import Sales
from syncd_amazon.settings import AmazonSettings, Preorders
from syncd_amazon.wire_orders import (
    BEFORE_RELEASE,
    INCLUDED,
    OPEN,
    Unreadable,
    is_ours,
    read_order,
    read_orders,
    read_time,
    status_of,
    write_time,
)

LAG = timedelta(minutes=2)
CLOCKS_APART = timedelta(seconds=10)
POLL_SECONDS = 200.0
REST_SHARE = 0.95
"""A search sooner after the last than this share of what one costs (170 seconds by the published plan) …"""
KEPT_SEARCHES = 10.0
"""… is answered from that one once no more than these are left, or where a hint asked: else fences, polls and hints
would empty the bucket."""
BACK = timedelta(days=90)
TOKEN_LIFE = timedelta(hours=23)
ORDERS_PAGE = 100
CURSOR_VERSION = 1
HINTED_PAGE = 10
MOST_HINTED = 300
"""Hints kept at once; at 0.5 calls a second more are better left to the sweep."""


def visibility_seconds(overlap_minutes: int) -> float:
    """The longest until an accepted order is sure to be read: Amazon's two minutes and what we reach back for."""
    return LAG.total_seconds() + overlap_minutes * 60


class OrderReader:
    """Reads the orders of one account. Keeps when it searched last; the cursor holds the rest."""

    def __init__(self, api: AmazonApi, settings: AmazonSettings, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._overlap = timedelta(minutes=settings.overlap_minutes)
        self._preorders = settings.preorders
        self._rested: tuple[Mapping[str, Any], float, datetime | None] | None = None
        self.sales = Sales()
        self._hinted: dict[str, None] = {}
        self._after_hints = False
        self.looked_until = 0.0
        """Up to when the last whole read looked, in seconds since the epoch."""

    def remember(self, number: str) -> None:
        """Read this order with the next page. A hint only: what is lost with it, the sweep finds."""
        self._hinted[number] = None
        if len(self._hinted) > MOST_HINTED:
            self._hinted.pop(next(iter(self._hinted)))

    async def page(self, cursor: Cursor | None) -> OrderPage:
        """The next page of states; an order that cannot be read is a problem, not the end."""
        if self._hinted and cursor is not None:
            return await self._named(cursor)
        place = self._place(cursor)
        hinted, self._after_hints = self._after_hints, False
        if self._rested is not None and cursor is not None and dict(cursor) == self._rested[0]:
            _, at, seen_until = self._rested
            if self._rests(at, hinted=hinted):
                return OrderPage(states=(), cursor=cursor, seen_until=seen_until)
        began, now = self._clock.monotonic(), self._clock.now()
        orders, token, before = await self._search(place)
        states, problems = self._states(orders)
        self.sales.note(states, now.timestamp())
        if place["before"] is None:
            place |= {"began": write_time(now), "before": write_time(min(before or now - LAG, now))}
        if token is not None:
            following = {**place, "token": token, "given": write_time(now)}
            return OrderPage(states=states, cursor=following, more=True, problems=problems)
        self.looked_until = read_time(place["before"]).timestamp()
        seen_until = seen_up_to(read_time(place["before"]), place.get("began")) - self._overlap
        rest = self._at_rest(max(seen_until, read_time(place["after"])))
        self._rested = (rest, began, seen_until)
        return OrderPage(states=states, cursor=rest, seen_until=seen_until, problems=problems)

    def _rests(self, at: float, *, hinted: bool) -> bool:
        """Whether the search that was made then is good enough for now."""
        if self._clock.monotonic() - at >= REST_SHARE / self._api.per_second("search_orders"):
            return False
        return hinted or self._api.spare("search_orders") < KEPT_SEARCHES + 1

    async def _named(self, cursor: Cursor) -> OrderPage:
        """The orders that hints named, a few a page. They prove nothing about the others: the cursor stays."""
        self._after_hints = True
        orders: list[Mapping[str, Any]] = []
        for number in list(self._hinted)[:HINTED_PAGE]:
            self._hinted.pop(number, None)
            try:
                orders.append(one_order(await self._api.get_order(number, INCLUDED)))
            except RequestRefused:  # not there yet, or never was
                continue
        states, problems = self._states(orders)
        self.sales.note(states, self._clock.now().timestamp())
        return OrderPage(states=states, cursor=cursor, more=True, problems=problems)

    def _place(self, cursor: Cursor | None) -> dict[str, Any]:
        """Where to read on. A token that has lived too long is dropped: its sweep begins anew."""
        if cursor is None or cursor.get("version") != CURSOR_VERSION:
            return {**self._at_rest(self._clock.now() - BACK), "first": True}
        place = dict(cursor)
        if place["token"] is not None and self._clock.now() - read_time(place["given"]) > TOKEN_LIFE:
            place |= {"token": None, "given": None, "began": None, "before": None}
        return place

    @staticmethod
    def _at_rest(after: datetime) -> dict[str, Any]:
        return {
            "version": CURSOR_VERSION,
            "after": write_time(after),
            "token": None,
            "given": None,
            "began": None,
            "before": None,
            "first": False,
        }

    async def _search(self, place: dict[str, Any]) -> tuple[list[Mapping[str, Any]], str | None, datetime | None]:
        params = {
            "lastUpdatedAfter": place["after"],
            "maxResultsPerPage": str(ORDERS_PAGE),
            "includedData": INCLUDED,
        }
        if place["first"]:
            params["fulfillmentStatuses"] = OPEN
        if place["token"] is None:
            return read_orders(await self._api.search_orders(params))
        try:
            return read_orders(await self._api.search_orders({**params, "paginationToken": place["token"]}))
        except RequestRefused:  # the token is dead: the sweep begins anew
            place |= {"token": None, "given": None, "began": None, "before": None}
        return read_orders(await self._api.search_orders(params))

    def _states(self, orders: list[Mapping[str, Any]]) -> tuple[tuple[OrderState, ...], tuple[Problem, ...]]:
        states: list[OrderState] = []
        problems: list[Problem] = []
        for order in orders:
            if not is_ours(order):
                continue
            try:
                if self._preorders is Preorders.WAIT and status_of(order) == BEFORE_RELEASE:
                    continue
                states.append(read_order(order))
            except Unreadable as error:
                problems.append(Problem(f"order {order.get('orderId', '?')!s:.40}", str(error)))
        return tuple(states), tuple(problems)


def seen_up_to(before: datetime, began: str | None) -> datetime:
    """Up to when by our clock a search that began then has looked, if it looked up to `before` by Amazon's.

    Both clocks tell of the same moment; where they are further apart than clocks are, it looked less far.
    """
    nearest = before if began is None else read_time(began) - LAG
    return nearest if before >= nearest - CLOCKS_APART else before


def one_order(body: Any) -> Mapping[str, Any]:
    """The order of a getOrder. Raises BrokenAnswer."""
    order = body.get("order") if isinstance(body, Mapping) else None
    if not isinstance(order, Mapping):
        raise BrokenAnswer("get_order: no order in the answer")
    return order
