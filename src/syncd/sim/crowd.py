"""Goods and buyers: a catalogue with hot, middle and long-tail SKUs, and a seeded crowd with one flash sale.

Time comes from a Clock and chance from a seeded Random, so the crowd buys alike in the demo and in virtual time.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from syncd.clock import Clock
from syncd.testing.world import Market, TruthOrder, World

FLASH = "FLASH-01"
BUNDLE = "SET-01"
BUNDLE_PARTS: Mapping[str, int] = {"HOT-01": 1, "MID-01": 2}
PACKED, PACK = "MID-02", 3
SHARE_OF_SHOPS = 0.75
"""Chance that one shop sells one SKU of the long tail."""

KeyOf = Callable[[int, str, int], str]
"""A shop's way to name a listing, of its running number, its SKU and its pack size."""


@dataclass(frozen=True, slots=True)
class Range:
    """A group of SKUs: how many, how much of each lies there, and how often buyers look for one."""

    name: str
    skus: int
    least: int
    most: int
    visits: float


RANGES = (
    Range("HOT", 4, 40, 70, visits=6.0),
    Range("MID", 16, 8, 20, visits=2.0),
    Range("TAIL", 40, 1, 4, visits=0.6),
)
FLASH_PIECES = 30


def stock_goods(world: World, rng: Random) -> dict[str, float]:
    """Put the goods into the warehouse. Returns how often buyers look for each SKU, bundles included."""
    visits: dict[str, float] = {}
    for group in RANGES:
        for number in range(1, group.skus + 1):
            sku = f"{group.name}-{number:02}"
            world.stock(sku, rng.randint(group.least, group.most))
            visits[sku] = group.visits
    world.stock(FLASH, FLASH_PIECES)
    world.bundle(BUNDLE, BUNDLE_PARTS)
    return {**visits, FLASH: 1.0, BUNDLE: 2.0}


def fill_shelves(world: World, market: Market, key_of: KeyOf, rng: Random) -> None:
    """Offer the goods at one shop: all but some of the long tail, the bundle, and one SKU in packs too."""
    numbers = itertools.count(1)

    def offer(sku: str, pack: int = 1) -> None:
        listing = market.offer(key_of(next(numbers), sku, pack), sku, shown=0, pack=pack)
        listing.shown = world.should_show(listing)

    for sku in (*world.on_hand, *world.parts):
        if not sku.startswith("TAIL") or rng.random() < SHARE_OF_SHOPS:
            offer(sku)
    offer(PACKED, PACK)


@dataclass(frozen=True, slots=True)
class Flash:
    """A flash sale: it begins after so many seconds (and again so much later), lasts so long, and brings so many
    buyers a second.
    """

    after_seconds: float
    again_seconds: float = 120.0
    lasts_seconds: float = 5.0
    per_second: float = 8.0
    sku: str = FLASH

    def is_on(self, second: float) -> bool:
        """Whether it runs, so long after the crowd came."""
        return 0 <= second % self.again_seconds - self.after_seconds < self.lasts_seconds


@dataclass(frozen=True, slots=True)
class Habits:
    """How the crowd behaves."""

    per_second: float = 4.0
    two_units: float = 0.15
    two_lines: float = 0.1
    cancels: float = 0.06
    ships: float = 0.15
    flash: Flash = Flash(after_seconds=15.0)


@dataclass(order=True, slots=True)
class _Later:
    """A change of an order that comes when its time has come."""

    due: float
    number: int
    act: Callable[[], None] = field(compare=False)


class Crowd:
    """Buyers at all shops. `run` buys until stopped; `step` is one visit. `shares` says how many come to which shop."""

    def __init__(
        self,
        world: World,
        visits: Mapping[str, float],
        clock: Clock,
        rng: Random,
        habits: Habits | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.world = world
        self.clock = clock
        self.rng = rng
        self.habits = habits or Habits()
        self.stopped = False
        self.flash_on = False
        self._visits = visits
        self._later: list[_Later] = []
        self._numbers = itertools.count()
        self._markets = list(world.markets.values())
        self._shares = [1.0 if shares is None else shares[market.name] for market in self._markets]
        self._shelves = {market.name: self._shelf(market) for market in world.markets.values()}

    def _shelf(self, market: Market) -> tuple[list[str], list[float]]:
        """A shop's listings and how much buyers like each."""
        keys = list(market.listings)
        return keys, [self._visits[market.listings[key].sku] / market.listings[key].pack for key in keys]

    async def run(self, seconds: float | None) -> None:
        """Buy for so long, or until `stop`. Changes that are not due by then never come."""
        began = self.clock.monotonic()
        while not self.stopped:
            now = self.clock.monotonic() - began
            if seconds is not None and now >= seconds:
                break
            flash = self.habits.flash
            self.flash_on = flash.is_on(now)
            rate = self.habits.per_second + (flash.per_second if self.flash_on else 0.0)
            await self.clock.sleep(self.rng.expovariate(rate))
            self.step()
        self.flash_on = False
        self.stopped = True

    def stop(self) -> None:
        """Let no one in any more."""
        self.stopped = True

    def step(self) -> TruthOrder | None:
        """One buyer comes; changes of earlier orders that are due come first. None when the shelf was empty."""
        now = self.clock.monotonic()
        while self._later and self._later[0].due <= now:
            heapq.heappop(self._later).act()
        [market] = self.rng.choices(self._markets, self._shares)
        order = market.buy(self._basket(market))
        if order is not None:
            self._plan_changes(market, order)
        return order

    def _basket(self, market: Market) -> dict[str, int]:
        flash = self.habits.flash
        if self.flash_on and self.rng.random() < flash.per_second / (flash.per_second + self.habits.per_second):
            wanted = [key for key, listing in market.listings.items() if listing.sku == flash.sku]
        else:
            lines = 2 if self.rng.random() < self.habits.two_lines else 1
            wanted = self._choose(market, lines)
        return {key: 2 if self.rng.random() < self.habits.two_units else 1 for key in wanted}

    def _choose(self, market: Market, lines: int) -> list[str]:
        keys, likes = self._shelves[market.name]
        return self.rng.choices(keys, likes, k=lines)

    def _plan_changes(self, market: Market, order: TruthOrder) -> None:
        chance = self.rng.random()
        if chance < self.habits.cancels:
            self._at(self.rng.uniform(2.0, 10.0), lambda: market.cancel(order.number))
        elif chance < self.habits.cancels + self.habits.ships:
            self._at(self.rng.uniform(3.0, 12.0), lambda: market.ship(order.number))

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, _Later(self.clock.monotonic() + seconds, next(self._numbers), act))
