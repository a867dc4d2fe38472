"""Listings that a mall takes without having them, or cannot even be told, under the whole daemon in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from sqlalchemy import text

from syncd.sim.loop import VirtualClock
from syncd.sim.stage import Part, Stage
from syncd.sim.trial import virtual
from syncd.testing.emulator import Emulator
from syncd.testing.memory import MemoryShop
from syncd.testing.world import Market, World
from syncd_files.emulator import FilesEmulator
from syncd_rakuten.emulator import RakutenEmulator


@asynccontextmanager
async def beside(made: type[Emulator], channel: str, keys: dict[str, str]) -> AsyncIterator[tuple[Stage, Market]]:
    """A mall with listings (key -> SKU) of five pieces beside a seller of the same goods, under one daemon."""
    clock = VirtualClock()
    world = World(clock.now)
    mall, seller = world.market("mall"), world.market("seller")
    for key, sku in keys.items():
        world.stock(sku, 5)
        mall.offer(key, sku, shown=5)
        seller.offer(sku, sku, shown=5)
    emulator: Any = made(world, mall, clock)
    table = getattr(emulator, "settings", dict)() or {"shop_url": "mall"}
    shop = MemoryShop(world, seller, clock, options={"visibility_seconds": 0.0})
    settings = {"poll_seconds": 5, "reconcile_seconds": 30}
    parts = {"mall": Part(emulator, channel, settings, table), "seller": Part(shop, settings=settings)}
    batch = {"batch": {"every_seconds": 10}, "full_sync": {"at": ""}}
    stage = await Stage.open(world, parts, clock, settings=batch)

    async def background() -> None:
        while True:
            await clock.sleep(1)
            emulator.settle()

    async with anyio.create_task_group() as group:
        group.start_soon(partial(stage.daemon.run, signals=False))
        group.start_soon(background)
        await stage.daemon.ready.wait()
        try:
            yield stage, seller
        finally:
            group.cancel_scope.cancel()
    await stage.aclose()


async def rows(stage: Stage, query: str) -> list[tuple[Any, ...]]:
    return await stage.store.read(lambda conn: [tuple(row) for row in conn.execute(text(query))])


@virtual
async def test_a_204_that_proves_nothing_is_found_out_by_reading() -> None:
    """Rakuten takes a number for a listing that was deleted; without the read-back it would count as shown there."""
    async with beside(RakutenEmulator, "rakuten", {"mug/red": "red", "mug/blue": "blue"}) as (stage, seller):
        await stage.daemon.hub.clock.sleep(20)
        del stage.world.markets["mall"].listings["mug/red"]
        seller.buy({"red": 2})
        await stage.daemon.hub.clock.sleep(120)
        assert await rows(stage, "SELECT key, state FROM listing WHERE shop_id = 1 ORDER BY key") == [
            ("mug/blue", "ours"), ("mug/red", "gone")
        ]  # fmt: skip
        alarms = "SELECT kind, subject FROM alarm WHERE cleared_us IS NULL"
        assert await rows(stage, alarms) == [("listing_gone", "mug/red")]


@virtual
async def test_a_key_that_the_file_cannot_hold_is_told_and_holds_nobody_up() -> None:
    """cp932 has no such sign: a stand-in would name another listing, or nobody's."""
    async with beside(FilesEmulator, "files", {"cup-☕": "cup", "mug": "mug"}) as (stage, seller):
        await stage.daemon.hub.clock.sleep(20)
        seller.buy({"cup": 5})
        seller.buy({"mug": 5})
        await stage.daemon.hub.clock.sleep(300)
        mall = stage.world.markets["mall"]
        assert {key: one.shown for key, one in mall.listings.items()} == {"cup-☕": 5, "mug": 0}
        [(kind, subject, sentence)] = await rows(
            stage, "SELECT kind, subject, text FROM alarm WHERE cleared_us IS NULL"
        )
        assert (kind, subject) == ("row_refused", "cup-☕")
        assert "the key cannot be written in cp932" in sentence
