"""What goes wrong in a play: calls that are lost or refused, and hands, cancels, receipts and crashes at random times.

All from the seed. After `calm_us` nothing goes wrong any more, so that everything must come to rest.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from syncd.sim.core.assumptions import BEGIN_US, SECOND_US, ShopModel
from syncd.sim.core.calendar import Halting, Rank
from syncd.sim.core.keeper import Keeper
from syncd.sim.core.market import Order
from syncd.sim.core.oracle import JudgedMarket, JudgedWriter
from syncd.sim.core.rows import Shop
from syncd.sim.core.writing import CALL_US, Ending, Wire

TIMEOUT_US = 30 * SECOND_US
LOST_BEFORE, LOST_AFTER, LANDS_LATE, REFUSED = 0.01, 0.01, 0.005, 0.01
CANCELLED, REPEATED = 0.05, 0.03
HOUR_US = 3600 * SECOND_US


class RoughWire(Wire):
    """Loses answers before and after the effect, lands calls late, refuses some."""

    def __init__(self, shops: tuple[ShopModel, ...], seed: int, calm_us: int) -> None:
        super().__init__(shops, seed)
        self.calm_us = calm_us
        self._faults = random.Random(f"faults {seed}")  # noqa: S311  # a play must repeat

    def fate(self, shop: Shop, now_us: int) -> tuple[int | None, int, Ending]:
        effect_us, answer_us, _ = super().fate(shop, now_us)
        if shop.opens_us > now_us:
            return None, now_us + CALL_US, Ending.REFUSED
        draw = self._faults.random() if now_us < self.calm_us else 1.0
        if draw < LOST_BEFORE:
            return None, now_us + TIMEOUT_US, Ending.LOST
        if draw < LOST_BEFORE + LOST_AFTER:
            return effect_us, now_us + TIMEOUT_US, Ending.LOST
        if draw < LOST_BEFORE + LOST_AFTER + LANDS_LATE:
            late_us = TIMEOUT_US + int(self._faults.random() * 0.9 * shop.model.dead_after * SECOND_US)
            return now_us + late_us, now_us + TIMEOUT_US, Ending.LOST
        if draw < LOST_BEFORE + LOST_AFTER + LANDS_LATE + REFUSED:
            return None, now_us + CALL_US, Ending.REFUSED
        return effect_us, answer_us, Ending.ANSWERED


class Nemesis:
    """Hands, cancels, receipts, maintenance, crashes: each a Poisson stream of its own."""

    def __init__(
        self, seed: int, calm_us: int, calendar: Halting, keeper: Keeper, writer: JudgedWriter, market: JudgedMarket
    ) -> None:
        self.chance = random.Random(f"nemesis {seed}")  # noqa: S311  # a play must repeat
        self.calm_us, self.calendar, self.keeper, self.writer, self.market = calm_us, calendar, keeper, writer, market
        self.orders: list[Order] = []
        self.counts = dict.fromkeys(("cancels", "receipts", "missing", "edits", "shut", "crashes", "below_zero"), 0)

    def begin(self) -> None:
        """Have each kind of trouble come at its own pace, in times an hour."""
        streams: tuple[tuple[float, Callable[[], None]], ...] = (
            (12.0, self._receipt), (0.5, self._missing), (1.0, self._edit), (2.0, self._maintenance),
            (1.0, self._crash), (1.0, self._sell_below_zero),
        )  # fmt: skip
        for per_hour, act in streams:
            self._next((per_hour, act))

    def _next(self, stream: tuple[float, Callable[[], None]]) -> None:
        when_us = self.calendar.now_us + int(self.chance.expovariate(stream[0]) * HOUR_US)
        if when_us < self.calm_us:
            self.calendar.at(when_us, Rank.WORLD, self._happen, stream)

    def _happen(self, stream: tuple[float, Callable[[], None]]) -> None:
        stream[1]()
        self._next(stream)

    def bought(self, shop: int, order: Order) -> None:
        """A new order: it may be cancelled later, and a shop may show it again."""
        if self.chance.random() < CANCELLED:
            after_us = int(self.chance.uniform(1, 1800) * SECOND_US)
            self.calendar.at(self.calendar.now_us + after_us, Rank.WORLD, self._cancel, (shop, order))
        if self.chance.random() < REPEATED:
            again_us = self.calendar.now_us + int(self.chance.uniform(0, 900) * SECOND_US) + self.market.delay_us(shop)
            self.market.show(shop, order, again_us)
            self.keeper.expect(self.keeper.shops[shop], again_us)

    def _cancel(self, what: tuple[int, Order]) -> None:
        shop, order = what
        row = self.keeper.shops[shop]
        restocks = self.chance.random() < 0.5 if row.restocks is None else row.restocks
        self.counts["cancels"] += 1
        sku = self.keeper.listings[order.listing].sku.index
        self.market.left[sku] += order.units
        visible_us = self.market.cancel(shop, order, order.units if restocks else 0, self.calendar.now_us)
        self.market.trace.note(sku, f"cancelled {order.units} of {self.keeper.listings[order.listing].name}")
        self.keeper.expect(row, visible_us)

    def _receipt(self) -> None:
        sku = self.chance.randrange(len(self.keeper.skus))
        pieces = self.chance.randint(1, 40)
        self.counts["receipts"] += 1
        self.market.left[sku] += pieces
        self.market.trace.note(sku, f"{pieces} pieces arrived")
        self._told(sku, pieces)

    def _missing(self) -> None:
        """Pieces vanish; a count finds it minutes later. Condition (iv) is broken for so many units."""
        sku = self.chance.randrange(len(self.keeper.skus))
        pieces = min(self.chance.randint(1, 3), max(0, self.market.left[sku]))
        self.counts["missing"] += 1
        self.market.left[sku] -= pieces
        self.market.allowed[sku] += pieces
        self.market.trace.note(sku, f"{pieces} pieces vanished")
        self._told(sku, -pieces, self.chance.uniform(0, 600))

    def _told(self, sku: int, pieces: int, after_seconds: float = 0.0) -> None:
        """The daemon is told through its API, when it is alive."""
        when_us = self.calendar.now_us + int(after_seconds * SECOND_US)
        self.calendar.at(when_us, Rank.POLL, self._tell, (sku, pieces))

    def _tell(self, what: tuple[int, int]) -> None:
        self.keeper.received(self.keeper.skus[what[0]], what[1])

    def _edit(self) -> None:
        """Staff type another number into a mall's back office. Conditions (ii) is broken where it is higher."""
        readable = [one for one in self.keeper.listings if one.shop.model.reads]
        listing = self.chance.choice(readable)
        self.counts["edits"] += 1
        number = max(0, self.market.page[listing.index] + self.chance.randint(-5, 3))
        self.market.edit(listing.sku.index, listing.index, number)

    def _sell_below_zero(self) -> None:
        """A shop takes an order although it shows nothing. Condition (i) is broken."""
        empty = [one for one in self.keeper.listings if one.shop.model.reads and self.market.page[one.index] == 0]
        if not empty:
            return
        listing = self.chance.choice(empty)
        self.counts["below_zero"] += 1
        shop = listing.shop
        visible_us = self.market.accept(listing.sku.index, shop.index, listing.index, 1, self.calendar.now_us)
        self.keeper.expect(shop, visible_us)

    def _maintenance(self) -> None:
        shop = self.chance.choice(self.keeper.shops)
        if shop.opens_us <= self.calendar.now_us:
            self.counts["shut"] += 1
            shop.shut_us = self.calendar.now_us
            shop.opens_us = self.calendar.now_us + int(self.chance.uniform(30, 900) * SECOND_US)

    def _crash(self) -> None:
        self.counts["crashes"] += 1
        self.calendar.dead_until_us = self.calendar.now_us + int(self.chance.uniform(1, 90) * SECOND_US)
        self.writer.crash()
        self.calendar.at(self.calendar.dead_until_us, Rank.TIMER, self._restart, None)

    def _restart(self, _: None) -> None:
        """The queue is derived from rows: every SKU is looked at."""
        for sku in self.keeper.skus:
            self.keeper.refresh(sku)
        for listing in self.keeper.listings:
            self.keeper.follow_up(listing)


def begin_us(seconds: float) -> int:
    """A time of the play."""
    return BEGIN_US + int(seconds * SECOND_US)
