"""Amazon under the whole daemon, in virtual time: patches, feeds, slow pages, and what each of them costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random

import anyio
import pytest

from syncd.sim.loop import VirtualClock
from syncd.sim.stage import Part, Stage
from syncd.sim.trial import virtual
from syncd.testing.memory import MemoryShop
from syncd.testing.world import Market, World
from syncd_amazon.emulator import AmazonEmulator

AMAZON, SELLER = "amazon-main", "seller"


@dataclass(slots=True)
class Malls:
    """An Amazon account and a seller beside it that sell the same goods, under one daemon."""

    clock: VirtualClock
    world: World
    emulator: AmazonEmulator
    stage: Stage

    @property
    def amazon(self) -> Market:
        return self.world.markets[AMAZON]

    @property
    def seller(self) -> Market:
        return self.world.markets[SELLER]

    def shown(self, number: int) -> int:
        return self.amazon.listings[f"A-{number}"].shown

    async def until(self, done: object, within: float) -> float:
        """Let time pass until it is so; gives how long it took."""
        began = self.clock.monotonic()
        assert callable(done)
        while not done():
            assert self.clock.monotonic() - began < within, f"not so within {within:g} s: {self.emulator.calls}"
            await self.clock.sleep(1)
        return self.clock.monotonic() - began

    def assert_no_harm(self) -> None:
        assert self.world.stale == []
        assert self.emulator.violations == 0
        assert self.emulator.listings.fba_touched == 0


@asynccontextmanager
async def malls(pieces: list[int], *, shown: int | None = None, **quirks: str) -> AsyncIterator[Malls]:
    """Both, with so many pieces of each SKU; Amazon shows as many or `shown`."""
    clock = VirtualClock()
    world = World(clock.now)
    amazon, seller = world.market(AMAZON), world.market(SELLER)
    for i, count in enumerate(pieces):
        world.stock(f"S{i}", count)
        amazon.offer(f"A-{i}", f"S{i}", shown=count if shown is None else shown)
        seller.offer(f"M-{i}", f"S{i}", shown=count)
    emulator = AmazonEmulator(world, amazon, clock, round_trip_seconds=0.2, **quirks)
    shop = MemoryShop(world, seller, clock, round_trip_seconds=0.05, options={"visibility_seconds": 1.0})
    parts = {AMAZON: Part(emulator, "amazon"), SELLER: Part(shop, settings={"poll_seconds": 10})}
    stage = await Stage.open(world, parts, clock, settings={"full_sync": {"at": ""}})

    async def background() -> None:
        while True:
            await clock.sleep(1)
            emulator.settle()

    async with anyio.create_task_group() as group:
        group.start_soon(partial(stage.daemon.run, signals=False))
        group.start_soon(background)
        try:
            yield Malls(clock, world, emulator, stage)
        finally:
            group.cancel_scope.cancel()
    await stage.aclose()


async def trade(on: Malls, seconds: float, rng: Random) -> None:
    """Buyers at both, cancels and shipments."""
    until = on.clock.monotonic() + seconds
    while on.clock.monotonic() < until:
        await on.clock.sleep(rng.expovariate(1 / 20))
        market = rng.choice((on.amazon, on.seller))
        chance = rng.random()
        if chance < 0.8:
            market.buy({rng.choice(list(market.listings)): rng.randint(1, 2)})
        elif market.orders:
            number = rng.choice(list(market.orders))
            (market.cancel if chance < 0.9 else market.ship)(number)


@pytest.mark.parametrize("shown_after", ["0", pytest.param("800", marks=pytest.mark.long)])
@virtual
async def test_trade_at_both_ends_with_every_number_right_and_no_stale_raise(shown_after: str) -> None:
    rng = Random(7)
    async with malls([rng.randint(1, 30) for _ in range(12)], shown_after=shown_after) as on:
        await trade(on, 1500, rng)
        await on.until(lambda: not on.world.wrong_listings(), within=7200)
        on.assert_no_harm()


@virtual
async def test_a_few_numbers_go_by_patch_and_many_by_one_feed() -> None:
    async with malls([20] * 1000, shown=10) as on:
        await on.until(lambda: {on.shown(i) for i in range(1000)} == {20}, within=1800)
        assert on.emulator.calls["create_feed"] == 1
        patched = on.emulator.calls["patch_listing"]
        assert patched < 200, "only what was known before the batch's turn had enough for a feed"
        on.seller.buy({"M-1": 3})
        await on.until(lambda: on.shown(1) == 17, within=900)
        assert on.emulator.calls["create_feed"] == 1
        assert on.emulator.calls["patch_listing"] == patched + 1
        on.assert_no_harm()


@pytest.mark.long
@virtual
async def test_a_stockout_overtakes_a_feed_that_hangs() -> None:
    async with malls([20] * 900, shown=10) as on:
        on.emulator.files.hang = timedelta(minutes=10)
        await on.until(lambda: on.emulator.calls["create_feed"] == 1, within=1800)
        number = next(i for i in range(900) if on.shown(i) == 10)
        on.seller.buy({f"M-{number}": 20})
        assert await on.until(lambda: on.shown(number) == 0, within=60) < 20
        await on.until(lambda: on.shown(number) == 20, within=900)  # the old feed lands at last
        await on.until(lambda: on.shown(number) == 0, within=30)
        on.world.stale.clear()
