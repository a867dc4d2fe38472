"""The crowd in virtual time: seeded, with a long tail, a flash sale, cancels and shipments."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from syncd.sdk.channel import Form
from syncd.sim.crowd import BUNDLE, FLASH, PACK, PACKED, Crowd, Flash, Habits, fill_shelves, stock_goods
from syncd.sim.served import WatchedWorld, quantile
from syncd.sim.stalls import plain_key
from syncd.testing.fakes import ManualClock, run_until

pytestmark = pytest.mark.anyio


def fair(seed: int, *, shops: int = 2, habits: Habits | None = None) -> tuple[WatchedWorld, Crowd, ManualClock]:
    clock, rng = ManualClock(), Random(seed)
    world = WatchedWorld(clock.now)
    visits = stock_goods(world, rng)
    for number in range(shops):
        fill_shelves(world, world.market(f"shop-{number}", visibility_seconds=1), plain_key, rng)
    return world, Crowd(world, visits, clock, rng, habits), clock


def sold(world: WatchedWorld) -> list[tuple[str, str, int]]:
    return [
        (order.number, line.listing, line.ordered)
        for market in world.markets.values()
        for order in market.orders.values()
        for line in order.lines
    ]


async def test_the_same_seed_buys_the_same_and_another_seed_does_not() -> None:
    baskets = []
    for seed in (1, 1, 2):
        world, crowd, clock = fair(seed)
        await run_until(clock, crowd.run(30.0))
        baskets.append(sold(world))
    assert baskets[0] == baskets[1]
    assert baskets[0] != baskets[2]
    assert len(baskets[0]) > 50


async def test_the_flash_sale_brings_most_of_its_buyers_for_one_sku() -> None:
    world, crowd, clock = fair(3, habits=Habits(flash=Flash(after_seconds=10.0, per_second=30.0)))
    await run_until(clock, crowd.run(10.0))
    before = sum(listing == FLASH for _, listing, _ in sold(world))
    await run_until(clock, crowd_again(crowd))
    after = Counter(listing for _, listing, _ in sold(world))
    assert before < 5
    assert after[FLASH] > 15
    assert world.free_pieces()[FLASH] <= 0


async def crowd_again(crowd: Crowd) -> None:
    """Twenty more seconds, the flash sale among them."""
    crowd.stopped = False
    await crowd.run(20.0)


async def test_some_orders_are_cancelled_and_some_are_shipped() -> None:
    world, crowd, clock = fair(4)
    await run_until(clock, crowd.run(60.0))
    lines = [line for market in world.markets.values() for order in market.orders.values() for line in order.lines]
    assert sum(line.cancelled > 0 for line in lines) > 2
    assert sum(line.shipped > 0 for line in lines) > 5
    assert sum(line.held > 0 for line in lines) > len(lines) / 2


async def test_a_stopped_crowd_lets_nobody_in() -> None:
    world, crowd, clock = fair(5)
    crowd.stop()
    await run_until(clock, crowd.run(None))
    assert sold(world) == []


def test_every_shop_offers_the_bundle_and_one_sku_in_packs_and_all_numbers_are_right() -> None:
    world, _, _ = fair(6, shops=4)
    for market in world.markets.values():
        assert {BUNDLE, FLASH, PACKED, plain_key(0, PACKED, PACK)} <= market.listings.keys()
    assert world.wrong_listings() == []


async def test_a_stockout_is_timed_from_the_visible_order_to_the_other_shops_zero() -> None:
    world, _, clock = fair(7)
    one, other = world.markets.values()
    assert one.buy({FLASH: world.on_hand[FLASH]}) is not None
    await clock.advance(4.0)
    other.write(FLASH, Form.ABSOLUTE, 5)
    assert world.latencies == {}
    other.write(FLASH, Form.ABSOLUTE, 0)
    assert world.latencies == {other.name: [3.0]}


async def test_a_shop_that_sold_its_own_last_piece_or_got_goods_back_is_not_timed() -> None:
    world, _, clock = fair(8)
    one, other = world.markets.values()
    assert one.buy({FLASH: world.on_hand[FLASH]}) is not None
    world.receive(FLASH, 10)
    await clock.advance(4.0)
    other.write(FLASH, Form.ABSOLUTE, 0)
    assert world.latencies == {}


def test_a_quantile_is_one_of_the_numbers() -> None:
    numbers = [float(number) for number in range(1, 101)]
    assert (quantile(numbers, 0.5), quantile(numbers, 0.99), quantile([7.0], 0.99)) == (50.0, 99.0, 7.0)
    assert quantile([], 0.5) is None
