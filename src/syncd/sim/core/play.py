"""One seed of the core layer: six shops, twenty SKUs under every policy, rough hours, then rest, then the reckoning."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from syncd.core import escrow
from syncd.core.fence import GRAIN_US
from syncd.core.policy import AUTO, Kind, Mode, Policy
from syncd.sim.core.assumptions import BATCH_SECONDS, SECOND_US, SHOPS
from syncd.sim.core.buyers import Sale, poisson
from syncd.sim.core.calendar import Halting, Rank
from syncd.sim.core.cells import lay_out
from syncd.sim.core.habits import Habit
from syncd.sim.core.keeper import Keeper
from syncd.sim.core.oracle import JudgedMarket, JudgedWriter, Trace
from syncd.sim.core.rough import Nemesis, RoughWire, begin_us
from syncd.sim.core.rows import Listing, Shop, Sku
from syncd.sim.outcome import Broken, Layer, Outcome

SWEEP_SECONDS = 900.0
SETTLED_SECONDS = 2 * max(
    shop.poll + shop.bound + shop.dead_after + BATCH_SECONDS + shop.uploads + (shop.applies or (0.0, 0.0))[1]
    for shop in SHOPS
)
"""Twice poll, visibility, dead time and batch of the slowest shop."""
REST_SECONDS = SETTLED_SECONDS + 2 * SWEEP_SECONDS  # fmt: skip
"""And two sweeps, which find what hands changed."""
SKEW_US = 900_000
POLICIES = (AUTO, AUTO, AUTO, Policy(Kind.MIRROR), Policy(Kind.MIRROR, 2), Policy(Kind.ESCROW), Policy(Kind.ESCROW))


@dataclass(frozen=True, slots=True)
class Crowd:
    """How one kind of SKU sells in a play: how many SKUs, their stock, buyers an hour each."""

    skus: int
    stock: tuple[int, int]
    per_hour: float


CROWDS = (Crowd(7, (1, 4), 1.0), Crowd(6, (10, 60), 6.0), Crowd(5, (50, 250), 30.0))
FLASHES, FLASH_STOCK, FLASH_PER_SECOND, FLASH_SECONDS = 2, (60, 200), 0.4, 600.0
MANY = 0.1
"""One order in ten is for two or three units."""


def play_core(seed: int, seconds: float = 21_600.0) -> Outcome:
    """Play one seed for so many virtual seconds of trouble, then let everything come to rest."""
    return Play(seed, seconds).run()


class Play:
    """Everything of one seed."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.seed, self.seconds = seed, seconds
        self.chance = random.Random(f"play {seed}")  # noqa: S311  # a play must repeat
        stock, policies, self.sales = self._goods()
        _, skus, shops, shown = lay_out(stock, policies, SHOPS)
        self.calendar = Halting(begin_us(0))
        self.trace = Trace(self.calendar, len(stock))
        self.market = JudgedMarket(SHOPS, stock, shown, seed, self.trace)
        habit = Habit(name="play", low=True, bounds=True)
        self.keeper = Keeper(self.calendar, self.market, habit, skus, shops)
        self.market.skus, self.market.listings = skus, self.keeper.listings
        self._give_traits(shops)
        wire = RoughWire(SHOPS, seed, begin_us(seconds))
        self.writer = JudgedWriter(self.keeper, wire, self.market)
        self.nemesis = Nemesis(seed, begin_us(seconds), self.calendar, self.keeper, self.writer, self.market)

    def _give_traits(self, shops: list[Shop]) -> None:
        """Clocks that are off, stamps of whole seconds, shops that put cancelled units back and shops that do not."""
        self.keeper.margin_us = GRAIN_US + SKEW_US
        self.market.grain_us = SECOND_US
        self.market.skew_us = [self.chance.randint(-SKEW_US, SKEW_US) for _ in shops]
        for shop in shops:
            shop.restocks = self.chance.choice((True, False, None))

    def _goods(self) -> tuple[tuple[int, ...], list[Policy], list[Sale]]:
        stock: list[int] = []
        policies: list[Policy] = []
        sales: list[Sale] = []
        for crowd in CROWDS:
            for _ in range(crowd.skus):
                sku = len(stock)
                stock.append(self.chance.randint(*crowd.stock))
                policies.append(self.chance.choice(POLICIES))
                sales += self._buyers(sku, crowd.per_hour / 3600, 0.0, self.seconds)
        for _ in range(FLASHES):
            sku, after = len(stock), self.chance.uniform(0.2, 0.8) * max(0.0, self.seconds - FLASH_SECONDS)
            stock.append(self.chance.randint(*FLASH_STOCK))
            sale = Policy(sale_from_us=begin_us(after), sale_until_us=begin_us(after + FLASH_SECONDS))
            policies.append(self.chance.choice((sale, AUTO, Policy(Kind.ESCROW))))
            sales += self._buyers(sku, FLASH_PER_SECOND, after, min(FLASH_SECONDS, self.seconds))
        sales.sort()
        return tuple(stock), policies, sales

    def _buyers(self, sku: int, per_second: float, after: float, seconds: float) -> Iterator[Sale]:
        shares = [shop.share for shop in SHOPS]
        for _ in range(poisson(self.chance, per_second * seconds)):
            [shop] = self.chance.choices(range(len(SHOPS)), shares)
            yield begin_us(after + self.chance.random() * seconds), sku, shop

    # -- the hours ---------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Trouble, rest, reckoning."""
        for sku in self.keeper.skus:
            self.keeper.refresh(sku)
        for shop in self.keeper.shops:
            self._sweep(shop)
        self.nemesis.begin()
        for at, sku_index, shop_index in self.sales:
            self.calendar.run_to(at)
            self._buy(sku_index, shop_index, at)
        self.calendar.run_to(begin_us(self.seconds + REST_SECONDS))
        return self._outcome()

    def _sweep(self, shop: Shop) -> None:
        self.keeper.sweep(shop)
        self.calendar.at(self.calendar.now_us + int(SWEEP_SECONDS * SECOND_US), Rank.WATCH, self._sweep, shop)

    def _buy(self, sku: int, shop: int, at: int) -> None:
        market, keeper = self.market, self.keeper
        index = sku * len(SHOPS) + shop
        units = self.chance.randint(2, 3) if self.chance.random() < MANY else 1
        if market.page[index] < units:
            return
        visible_us = market.accept(sku, shop, index, units, at)
        assert market.newest is not None
        keeper.expect(keeper.shops[shop], visible_us)
        keeper.sold_unseen(keeper.listings[index])
        self.nemesis.bought(shop, market.newest)

    # -- the reckoning -------------------------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        market, books = self.market, self.keeper.books
        lost = market.orders - len(books.lines)
        doubled = 0
        for sku in self.keeper.skus:
            if sku.free != market.left[sku.index]:
                doubled += 1
                market.fail(sku.index, f"free stock is {sku.free}, the truth {market.left[sku.index]}")
        unsettled = [text for listing in self.keeper.listings if (text := self._unsettled(listing))]
        concerned = market.broken[0].sku if market.broken else None
        return Outcome(
            seed=self.seed, layer=Layer.CORE, seconds=self.seconds, trace_hash=self.trace.hash.hexdigest(),
            orders=market.orders, lost=lost, doubled=doubled, stale_raises=self.writer.stale,
            oversold_by_us=market.oversold - market.by_channel, oversold_by_channel=market.by_channel,
            converged=not unsettled, broken=(*market.broken, *(Broken(what=text) for text in unsettled)),
            events=tuple(self.trace.last[int(concerned.removeprefix("sku-"))]) if concerned else (),
            decisions=tuple(self.trace.decisions),
            counts={**self.nemesis.counts, "pushes": self.keeper.pushes, "calls": self.writer.calls},
        )  # fmt: skip

    def _unsettled(self, listing: Listing) -> str:
        """Why a listing did not come to rest; empty if it did, or if its SKU's mode or reserve changed lately."""
        if self.calendar.now_us - listing.sku.changed_us < SETTLED_SECONDS * SECOND_US:
            return ""
        shown, page, have = listing.shown, self.market.page[listing.index], listing.exposure
        if listing.calls or shown.in_doubt or listing.lane is not None:
            return f"{listing.name} did not come to rest: {shown}, lane {listing.lane}, calls {len(listing.calls)}"
        if not shown.believed == listing.target == page:
            return f"{listing.name} shows {page}, believed {shown.believed}, target {listing.target}"
        exact = have.bound == page if listing.shop.model.reads else (have.bound or 0) >= page
        if have.standing is not escrow.Standing.SETTLED or not exact:
            return f"{listing.name} shows {page}, its bound is {have}"
        return self._wrong_target(listing.sku, page)

    def _wrong_target(self, sku: Sku, page: int) -> str:
        if sku.decision.mode is Mode.ESCROW:
            total = sum(self.market.page[one.index] for one in sku.listings)
            return f"sku-{sku.index} shows {total} in all, {sku.free} are free" if total > max(0, sku.free) else ""
        wanted = sku.decision.shown(sku.free)
        return f"sku-{sku.index} shows {page}, the chain gives {wanted}" if page != wanted else ""
