"""A host's clock that is set forward or back strands nothing."""

from datetime import timedelta

import anyio
import pytest

from syncd.daemon.desk_stock import Item, adjust_stock
from syncd.sim.stage import Part, Stage
from syncd.testing.fakes import ManualClock
from syncd.testing.memory import MemoryShop
from syncd.testing.world import World

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("hours", [-5, 5])
async def test_changes_are_pushed_within_a_batch_after_the_clock_was_set(hours: int) -> None:
    clock = ManualClock()
    world = World(clock.now)
    world.stock("tea", 9)
    parts = {}
    for name in ("left", "right"):
        market = world.market(name, visibility_seconds=1)
        market.offer("T", "tea", shown=9)
        parts[name] = Part(MemoryShop(world, market, clock), settings={"poll_seconds": 2})
    stage = await Stage.open(world, parts, clock, settings={"batch": {"every_seconds": 60}})
    hub = stage.daemon.hub

    async def adjust(by: int) -> None:
        world.receive("tea", by)
        await stage.store.tx(
            lambda conn: adjust_stock(conn, hub.facts, [Item("tea", by)], clock.now_us(), "test", "moved")
        )

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await clock.advance(20)
        await adjust(-2)  # waits for a batch of the old time
        clock.set_wall(clock.now() + timedelta(hours=hours))
        await clock.advance(100)
        assert world.wrong_listings() == []
        await adjust(4)
        await clock.advance(100)
        assert world.wrong_listings() == []
        assert hub.set_backs == (hours < 0)
        stage.daemon.stop()
        await clock.advance(5)
    await stage.aclose()
