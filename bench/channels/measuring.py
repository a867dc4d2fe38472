"""Three measurements of a channel: listings pushed, orders read, and a plain script that makes a call for each item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from bench.channels.limits import ALLOWED, Allowed
from bench.channels.malls import ROUND_TRIP_SECONDS, Mall
from bench.channels.scene import LAST_PIECES, LOOK_SECONDS, MALL, SHOWN, TARGET, UNEVEN, Scene, running
from syncd.daemon.hub import Shop
from syncd.sdk.channel import Form, StockWrite, WriteRoute
from syncd.sdk.errors import Throttled
from syncd.sim.loop import VirtualClock

KNOWN_FIRST = 1000
"""So many listings are pushed before: Amazon's plugin learns from a report, once, which SKUs are not ours to write."""
LONGEST = 6.0
"""A measurement is given up after so many times what is allowed, and an hour."""
TAIL_SECONDS = 120.0
"""Longest that results are waited for once every listing is right: Amazon's pages are read back for 15 minutes."""


@dataclass(slots=True)
class Outcome:
    """What one measurement came to. `late_ms`: of each stockout, beyond the moment it was known."""

    done: int
    seconds: float
    calls: Counter[str]
    late_ms: list[float]
    missing: int
    stale: int
    violations: int


async def push(mall: Mall, rows: int) -> Outcome:
    """So many listings show too little; from the moment that this is known until the last of them is right."""
    clock, allowed = VirtualClock(), ALLOWED[mall.slug]
    async with running(mall, rows + KNOWN_FIRST, clock) as scene:
        world = scene.world
        await scene.fall_behind(0, KNOWN_FIRST)
        await _until(scene, lambda: len(world.right_us) >= KNOWN_FIRST, 3600.0)
        await scene.rest()
        done_before, began_us = len(world.right_us), clock.now_us()
        async with anyio.create_task_group() as group:
            group.start_soon(scene.sell_out, _pause(allowed))
            await scene.fall_behind(KNOWN_FIRST, rows)
            await _until(scene, lambda: len(world.right_us) >= rows + done_before, _longest(allowed.push(rows)))
            ended_us = max(world.right_us.values(), default=began_us)
            await _results_are_in(scene)
            calls = Counter(scene.calls_between(began_us, clock.now_us()))
            group.cancel_scope.cancel()
        return await _outcome(scene, allowed, len(world.right_us) - done_before, began_us, ended_us, calls)


async def read(mall: Mall, orders: int) -> Outcome:
    """So many new orders, each of a listing of its own; from the first call that could show them to the last read."""
    clock, allowed = VirtualClock(), ALLOWED[mall.slug]
    async with running(mall, orders, clock) as scene:
        world, market = scene.world, scene.world.markets[MALL]
        await scene.rest()
        visible_us = clock.now_us() + int(market.visibility.total_seconds() * 1e6)
        for number in range(orders):
            market.buy({mall.key_of(LAST_PIECES + number): 1})
        await clock.sleep(market.visibility.total_seconds())
        async with anyio.create_task_group() as group:
            group.start_soon(scene.sell_out, _pause(allowed))
            await _until(scene, lambda: len(world.read_us) >= orders, _longest(allowed.read(orders)))
            group.cancel_scope.cancel()
        began_us = next(
            (at for at, operation in scene.calls if at >= visible_us and operation in mall.order_calls), visible_us
        )
        ended_us = max(world.read_us.values(), default=began_us)
        calls = Counter(one for one in scene.calls_between(began_us, ended_us) if one in mall.order_calls)
        return await _outcome(scene, allowed, len(world.read_us), began_us, ended_us, calls)


async def plain(mall: Mall, items: int) -> Outcome:
    """A script: for each changed item one call, as fast as the documented rate allows, and nothing else.

    It uses the plugin's own client, so that it obeys the same rates; it has no queue, no fence and no memory.
    """
    clock = VirtualClock()
    async with running(mall, items, clock) as scene:
        await scene.rest()
        for number in range(items):
            scene.world.markets[MALL].listings[mall.key_of(LAST_PIECES + number)].shown = SHOWN
        shop = next(shop for shop in scene.stage.daemon.hub.shops.values() if shop.name == MALL)
        route = next(route for route in shop.capabilities.routes if route.name == mall.plain_route)
        form = Form.COMPARE_AND_SET if Form.COMPARE_AND_SET in route.forms else Form.ABSOLUTE
        began_us = clock.now_us()
        for number in range(items):
            expected = SHOWN if form is Form.COMPARE_AND_SET else None
            row = StockWrite(mall.key_of(LAST_PIECES + number), form, TARGET, expected)
            while (wait := await _refused_for(shop, row, route, f"plain-{number}")) > 0:
                await clock.sleep(wait)
        await _until(scene, lambda: len(scene.world.right_us) >= items, 3600.0)
        ended_us = max(scene.world.right_us.values(), default=began_us)
        calls = Counter({route.operation: items})
        return await _outcome(scene, ALLOWED[mall.slug], len(scene.world.right_us), began_us, ended_us, calls)


def _pause(allowed: Allowed) -> float:
    """Between two stockouts: no whole number of slots, and more than a second."""
    return UNEVEN * max(0.1, allowed.slot_seconds)


async def _refused_for(shop: Shop, row: StockWrite, route: WriteRoute, key: str) -> float:
    """Write one row; seconds until it may be tried again where the shop is not ready, 0 where it took it."""
    try:
        await shop.running.write_stock([row], route, key)
    except Throttled as error:
        return error.after_seconds or 1.0
    return 0.0


def _longest(seconds: float) -> float:
    return LONGEST * seconds + 3600.0


async def _until(scene: Scene, holds: Callable[[], bool], seconds: float) -> None:
    """Return once it holds or the time is over."""
    ends = scene.clock.monotonic() + seconds
    while not holds() and scene.clock.monotonic() < ends:
        scene.emulator.settle()  # what is due shows when it is due, not when somebody asks
        await scene.clock.sleep(LOOK_SECONDS)


async def _results_are_in(scene: Scene) -> None:
    ends = scene.clock.monotonic() + TAIL_SECONDS
    while await scene.waiting() and scene.clock.monotonic() < ends:
        await scene.clock.sleep(5.0)


async def _outcome(
    scene: Scene, allowed: Allowed, done: int, began_us: int, ended_us: int, calls: Counter[str]
) -> Outcome:
    """What came of it, once the last stockout had its time to land."""
    rest = 2 * allowed.slot_seconds + allowed.stockout_takes_seconds + 5.0
    await scene.clock.sleep(rest)
    scene.emulator.settle()
    stockouts = scene.stockouts()
    landed = [one.accepted_us[MALL] - one.known_us for one in stockouts if MALL in one.accepted_us]
    shown = allowed.stockout_takes_seconds * 1e3
    return Outcome(
        done, (ended_us - began_us) / 1e6, calls, [us / 1e3 - shown for us in landed], len(stockouts) - len(landed),
        scene.world.tally["stale_raises"], scene.emulator.violations,
    )  # fmt: skip


def slot_ms(allowed: Allowed) -> float:
    """One call slot of a channel, and the way there and back."""
    return (allowed.slot_seconds + ROUND_TRIP_SECONDS) * 1e3
