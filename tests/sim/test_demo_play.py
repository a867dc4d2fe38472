"""The demo's five shops and its crowd in virtual time: the same malls, limits and waits, without sockets."""

from __future__ import annotations

from functools import partial
from random import Random

import anyio
import pytest

from syncd.sim.crowd import Crowd, fill_shelves, stock_goods
from syncd.sim.loop import VirtualClock
from syncd.sim.served import WatchedWorld
from syncd.sim.settings_files import shop_values, with_values
from syncd.sim.stage import Part, Stage
from syncd.sim.stalls import BATCH_SECONDS, STALLS, VISIBLE_AFTER_SECONDS, Ground
from syncd.sim.trial import virtual
from syncd.testing.emulator import Emulator

SEEDS = (29, *(pytest.param(seed, marks=pytest.mark.long) for seed in (3, 9, 10, 11, 15)))
"""Each of these once ended with a stale raise, or with a number of Amazon's that stayed wrong."""


@pytest.mark.parametrize("seed", SEEDS)
@virtual
async def test_after_a_flash_sale_every_shop_is_right_within_half_a_minute_and_nothing_was_raised_stale(
    seed: int,
) -> None:
    clock, rng = VirtualClock(), Random(seed)
    world = WatchedWorld(clock.now)
    visits = stock_goods(world, rng)
    emulators: dict[str, Emulator] = {}
    parts: dict[str, Part] = {}
    for name, stall in STALLS.items():
        market = world.market(name, visibility_seconds=VISIBLE_AFTER_SECONDS)
        fill_shelves(world, market, stall.key_of, rng)
        emulator = emulators[name] = stall.open(Ground(world, clock, None, seed), market)
        table = with_values(emulator.settings(), stall.table)
        parts[name] = Part(emulator, stall.channel, {**shop_values(stall), "writes": "on"}, table)
    settings = {"full_sync": {"at": ""}, "batch": {"every_seconds": BATCH_SECONDS}}
    stage = await Stage.open(world, parts, clock, settings=settings)
    crowd = Crowd(world, visits, clock, rng, shares={name: stall.buyers for name, stall in STALLS.items()})

    async def work() -> None:
        while True:
            await clock.sleep(0.2)
            for emulator in emulators.values():
                emulator.settle()

    async with anyio.create_task_group() as group:
        group.start_soon(partial(stage.daemon.run, signals=False))
        group.start_soon(work)
        await clock.sleep(15)
        await crowd.run(45.0)
        began = clock.monotonic()
        while world.wrong_listings() and clock.monotonic() - began < 30:
            await clock.sleep(1)
        group.cancel_scope.cancel()
    await stage.aclose()
    assert world.wrong_listings() == []
    assert world.stale == []
    assert {name: emulator.violations for name, emulator in emulators.items() if emulator.violations} == {}
    assert min(len(seconds) for seconds in world.latencies.values()) > 2
