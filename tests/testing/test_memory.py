"""The memory shop: the reference channel that the core's own tests, benches and fuzzers stand on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Carrier, Channel, Form, Pending, Shipment, StockWrite, Webhook
from syncd.sdk.errors import InDoubt, Throttled, Unavailable
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import ManualClock, RecordingLimiter, open_channel, run_until
from syncd.testing.memory import MARKETS, MemoryChannel, MemoryShop
from syncd.testing.world import World

pytestmark = pytest.mark.anyio


def opened(*, round_trip_seconds: float = 0.0, **options: Any) -> tuple[MemoryShop, Channel, ManualClock]:
    clock = ManualClock()
    world = World(clock.now)
    world.stock("TEE", 10)
    market = world.market("corner")
    market.offer("tee", "TEE", shown=10)
    shop = MemoryShop(world, market, clock, round_trip_seconds=round_trip_seconds, options=options)
    return shop, open_channel(MemoryChannel, shop, shop="corner"), clock


def row(quantity: int) -> StockWrite:
    return StockWrite("tee", Form.ABSOLUTE, quantity)


async def test_a_shop_is_found_by_its_markets_name() -> None:
    shop, channel, _ = opened()
    assert MARKETS["corner"] is shop
    assert (await channel.check()).account == "memory:corner"


async def test_a_call_takes_its_round_trip_on_the_clock() -> None:
    _, channel, clock = opened(round_trip_seconds=0.4)
    await run_until(clock, channel.read_stock(["tee"]))
    assert clock.monotonic() == pytest.approx(0.4)


async def test_faults_hit_by_the_operations_name() -> None:
    shop, channel, _ = opened()
    [route] = channel.capabilities.routes
    shop.faults.add(Fault("write", FaultKind.LOST_AFTER))
    assert await channel.read_stock(["tee"]) == {"tee": 10}
    with pytest.raises(InDoubt):
        await channel.write_stock([row(4)], route, "k1")
    assert await channel.read_stock(["tee"]) == {"tee": 4}
    shop.faults.add(Fault("read", FaultKind.STATUS, status=429, retry_after=3.0))
    with pytest.raises(Throttled) as raised:
        await channel.read_stock(["tee"])
    assert raised.value.after_seconds == 3.0


async def test_a_slow_answer_is_given_up_after_the_shops_time_limit() -> None:
    shop, channel, clock = opened()
    shop.faults.add(Fault("read", FaultKind.LATENCY, seconds=120.0))
    with pytest.raises(Unavailable):
        await run_until(clock, channel.read_stock(["tee"]))
    assert clock.monotonic() == 30.0


async def test_each_call_waits_for_its_budget() -> None:
    shop, _, _ = opened(per_second=2.0)
    limiter = RecordingLimiter()
    channel = open_channel(MemoryChannel, shop, limiter=limiter)
    await channel.read_stock(["tee"])
    assert limiter.acquired == [("read", 1.0)]
    with pytest.raises(Throttled):
        await channel.fetch_orders(None)
    assert [operation for operation, _ in limiter.refused] == ["orders"]
    assert shop.violations == 1


async def test_later_results_come_when_the_mall_is_done() -> None:
    _, channel, clock = opened(later=True, later_seconds=30.0)
    [route] = channel.capabilities.routes
    report = await channel.write_stock([row(3)], route, "k1")
    [pending] = report.rows
    assert isinstance(pending, Pending)
    assert await channel.collect([pending.receipt]) == {}
    await clock.advance(30)
    assert await channel.collect([pending.receipt]) == {pending.receipt: Accepted(0, 3)}


async def test_an_order_shows_only_once_it_is_visible() -> None:
    shop, channel, clock = opened(visibility_seconds=90.0)
    shop.market.visibility = timedelta(seconds=90)
    order = shop.market.buy({"tee": 2})
    assert order is not None
    first = await channel.fetch_orders(None)
    assert first.states == ()
    await clock.advance(90)
    [state] = (await channel.fetch_orders(first.cursor)).states
    assert (state.number, state.lines[0].ordered, order.delivered_at) == (order.number, 2, clock.now())


async def test_a_shipment_takes_the_order_off_the_shelf() -> None:
    shop, channel, clock = opened()
    order = shop.market.buy({"tee": 1})
    assert order is not None
    await channel.send_shipments([Shipment(order.number, Carrier.YAMATO, "1234", clock.now())])
    assert order.lines[0].shipped == 1


async def test_a_push_must_be_signed() -> None:
    _, channel, _ = opened()
    hint = await channel.receive(Webhook({"x-key": "memory-key-0001"}, b"tee"))
    assert (hint.orders, hint.listings) == (True, ("tee",))
    with pytest.raises(ValueError, match="signature"):
        await channel.receive(Webhook({}, b"tee"))


async def test_a_whole_trade_leaves_no_wrong_number() -> None:
    shop, channel, _ = opened()
    [route] = channel.capabilities.routes
    shop.market.buy({"tee": 3})
    await channel.fetch_orders(None)
    await channel.read_stock(["tee"])
    await channel.write_stock([row(7)], route, "k1")
    assert shop.world.wrong_listings() == []
    assert shop.world.stale == []
