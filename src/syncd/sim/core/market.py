"""The truth: what each page shows, what was sold and is still there, and when each order can be read.

The daemon sees of it only what shops show: feeds of orders, numbers, answers to writes.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush

from syncd.sdk.capabilities import Form
from syncd.sdk.channel import Accepted, Reason, Rejected, StockWrite
from syncd.sim.core.assumptions import LATE_SHARE, SECOND_US, ShopModel


class Order:
    """One accepted order of one line. What it says can be read later than what happened."""

    __slots__ = ("as_of_us", "back", "cancelled", "listing", "number", "placed_us", "units")

    def __init__(self, number: int, listing: int, units: int, placed_us: int) -> None:
        self.number, self.listing, self.units, self.placed_us = number, listing, units, placed_us
        self.as_of_us, self.cancelled, self.back = placed_us, 0, 0  # times by the shop's clock


State = tuple[Order, int, int, int]
"""An order as its shop shows it at one time: the order, cancelled, put back on sale, as of."""


class Market:
    """Every shop's pages and feeds. Listings and SKUs are numbered; `left` is what is really there of a SKU."""

    def __init__(self, shops: tuple[ShopModel, ...], stock: tuple[int, ...], shown: list[int], seed: int) -> None:
        self.shops = shops
        self.left = list(stock)
        self.page = shown
        self.unbooked = [0] * len(shown)
        self.feeds: list[list[tuple[int, int, State]]] = [[] for _ in shops]
        self.orders = 0
        self.demanded = [0] * len(stock)
        self.accepted = [0] * len(stock)
        self.oversold = 0
        self.refused_in_stock = 0
        self.newest: Order | None = None
        self.skew_us = [0] * len(shops)
        self.grain_us = 1
        self._states = 0
        self._chance = [random.Random(f"visible {seed} {shop.name}") for shop in shops]  # noqa: S311  # a play must repeat

    def buy(self, sku: int, shop: int, listing: int, now_us: int) -> int | None:
        """A buyer comes. Returns when the order can be read; None when the page says sold out."""
        self.demanded[sku] += 1
        if self.page[listing] <= 0:
            self.refused_in_stock += self.left[sku] > 0
            return None
        return self.accept(sku, shop, listing, 1, now_us)

    def accept(self, sku: int, shop: int, listing: int, units: int, now_us: int) -> int:
        """The shop takes an order, whatever it shows."""
        self.page[listing] -= units
        self.left[sku] -= units
        self.oversold += min(units, max(0, -self.left[sku]))
        self.accepted[sku] += units
        self.unbooked[listing] += units
        self.orders += 1
        order = Order(self.orders, listing, units, self.stamp(shop, now_us))
        self.newest = order
        return self.show(shop, order, now_us + self.delay_us(shop))

    def stamp(self, shop: int, now_us: int) -> int:
        """A time by the shop's own clock, in whole grains."""
        theirs = now_us + self.skew_us[shop]
        return theirs - theirs % self.grain_us

    def cancel(self, shop: int, order: Order, back: int, now_us: int) -> int:
        """All of an order is cancelled; so many units go back on the page. Returns when that can be read."""
        order.cancelled, order.back, order.as_of_us = order.units, back, self.stamp(shop, now_us)
        self.page[order.listing] += back
        self.unbooked[order.listing] -= back
        return self.show(shop, order, now_us + self.delay_us(shop))

    def show(self, shop: int, order: Order, visible_us: int) -> int:
        """Have the order, as it is now, readable from that time on."""
        self._states += 1
        state = (order, order.cancelled, order.back, order.as_of_us)
        heappush(self.feeds[shop], (visible_us, self._states, state))
        return visible_us

    def delay_us(self, shop: int) -> int:
        """How long it takes until a change of an order can be read."""
        model, chance = self.shops[shop], self._chance[shop]
        low, high = model.visible
        if model.latest > high and chance.random() < LATE_SHARE:
            low, high = high, model.latest
        return int((low + (high - low) * chance.random()) * SECOND_US)

    def read_orders(self, shop: int, now_us: int) -> list[State]:
        """States that became readable since the last call."""
        feed = self.feeds[shop]
        found = []
        while feed and feed[0][0] <= now_us:
            found.append(heappop(feed)[2])
        return found

    def write(self, listing: int, row: StockWrite, position: int) -> Accepted | Rejected:
        """A row takes effect, or is refused, as its form says."""
        page = self.page[listing]
        if row.form is Form.ABSOLUTE:
            self.page[listing] = row.quantity
        elif row.form is Form.COMPARE_AND_SET:
            if page != row.expected:
                return Rejected(position, Reason.STALE)
            self.page[listing] = row.quantity
        elif page + row.quantity < 0 and row.form is Form.RELATIVE_REFUSES:
            return Rejected(position, Reason.BELOW_ZERO)
        else:
            self.page[listing] = max(0, page + row.quantity)
            return Accepted(position, self.page[listing])
        return Accepted(position)
