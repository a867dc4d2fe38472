"""Malls that are watched: when each stockout could be known, when each other shop took it in, and which calls left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from syncd.clock import Clock
from syncd.model import SECOND_US, to_us
from syncd.sdk.channel import Budget, Capabilities, Form
from syncd.sdk.errors import Throttled
from syncd.testing.emulator import RateJudge
from syncd.testing.memory import MemoryChannel, MemoryShop
from syncd.testing.world import Market, TruthListing, TruthOrder, World

T = TypeVar("T")


@dataclass(slots=True)
class Stockout:
    """One SKU sold out at one shop: end of our request that first showed it, and when each other shop accepted 0."""

    sku: str
    seller: str
    known_us: int
    accepted_us: dict[str, int] = field(default_factory=dict)


class Watched(World):
    """Notes stockouts. The way back of an answer is added to both ends of what is measured."""

    def __init__(self, now: Callable[[], datetime], back_seconds: float) -> None:
        super().__init__(now)
        self.back_us = int(back_seconds * SECOND_US)
        self.stockouts: dict[str, Stockout] = {}

    def _answered_us(self) -> int:
        return to_us(self.now()) + self.back_us

    def note_delivered(self, market: Market, order: TruthOrder) -> None:
        for line in order.lines:
            sku = market.listings[line.listing].sku
            seller, last = self.sold_out_at.get(sku, ("", None))
            if last is order:
                self.stockouts[sku] = Stockout(sku, seller, self._answered_us())

    def judge_write(
        self,
        market: Market,
        listing: TruthListing,
        form: Form,
        before: int,
        expected: int | None,
        sent: tuple[datetime, datetime | None] | None = None,
    ) -> None:
        super().judge_write(market, listing, form, before, expected, sent)
        stockout = self.stockouts.get(listing.sku)
        if stockout is not None and listing.shown == 0:
            stockout.accepted_us.setdefault(market.name, self._answered_us())


@dataclass(frozen=True, slots=True)
class Limits:
    """Documented rates of a mall: calls a second by operation, and rows a write call takes."""

    calls: Mapping[str, float]
    rows: int
    read_rows: int = 1000


# rakuten: one write a second of 400 rows, five reads a second; orders one call a second
RAKUTEN_LIKE = Limits({"orders": 1.0, "write": 1.0, "read": 5.0}, rows=400)
ONE_ITEM = Limits({"orders": 1.0, "write": 2.0, "read": 5.0}, rows=1)


class LimitedShop(MemoryShop):
    """A memory shop with a documented rate for each operation. Notes when each write left our side."""

    def __init__(self, world: World, market: Market, clock: Clock, limits: Limits, round_trip_seconds: float) -> None:
        options: dict[str, Any] = {"max_rows": limits.rows, "read_rows": limits.read_rows}
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, options=options)
        self.limits = limits
        self.rates = {name: RateJudge(rate) for name, rate in limits.calls.items()}
        self.left_us: list[int] = []

    async def serve(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        if operation == "write":
            self.left_us.append(self.clock.now_us())
        return await super().serve(operation, answer, effect=effect)

    def _admit(self, operation: str) -> None:
        """Each operation has a rate of its own here."""
        every, self.rates = self.rates, {}
        try:
            super()._admit(operation)
        finally:
            self.rates = every
        now = self.clock.monotonic()
        if not every[operation].admit(now):
            raise Throttled(f"{operation}: too fast", after_seconds=every[operation].wait_seconds(now))


class LimitedChannel(MemoryChannel):
    """The memory channel, declaring the documented rates of its mall."""

    slug: ClassVar[str] = "limited"
    title: ClassVar[str] = "Limited shop in memory"

    @property
    def capabilities(self) -> Capabilities:
        shop = self.shop
        assert isinstance(shop, LimitedShop)
        budgets = tuple(Budget(name, frozenset({name}), rate) for name, rate in shop.limits.calls.items())
        return replace(super().capabilities, budgets=budgets)


def forced_us(stockouts: list[Stockout], shop: LimitedShop) -> dict[str, int]:
    """The wait that a mall's documented rate forces on each stockout, whatever we do, by SKU.

    From the moment it is known: until a slot is free after the call that left before, and behind the stockouts that
    were known earlier and had not left yet.
    """
    every = int(SECOND_US / shop.limits.calls["write"])
    mine = sorted((one for one in stockouts if one.seller != shop.market.name), key=lambda one: one.known_us)
    found: dict[str, int] = {}
    slots: dict[int, int] = {}  # begin of a slot -> stockouts in it
    left, last = iter([*shop.left_us, 2**62]), 0
    coming = next(left)
    for one in mine:
        while coming <= one.known_us:
            last, coming = coming, next(left)
        slot = max(one.known_us, last + every)
        busy = [at for at in slots if at > slot - every]
        while busy and slots[max(busy)] >= shop.limits.rows:
            slot, busy = max(busy) + every, []
        at = max(busy, default=slot)
        slots[at] = slots.get(at, 0) + 1
        found[one.sku] = max(0, at - one.known_us)
    return found
