"""A small stage in virtual time for one test: memory malls, one daemon that can be killed and started again.

@virtual
async def test_…() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5}) as trial:
        trial.buy("a", "S1")
        await trial.run(10)
        assert trial.wrong() == []
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import text

from syncd.daemon.desk_stock import Item, adjust_stock
from syncd.sdk.channel import Channel
from syncd.sim.loop import VirtualClock, run_virtual
from syncd.sim.reckoning import books
from syncd.sim.stage import Part, Stage
from syncd.store.engine import Store
from syncd.store.vault import Vault
from syncd.testing.memory import MemoryShop
from syncd.testing.world import TruthOrder, World

OPTIONS: Mapping[str, Any] = {"visibility_seconds": 0.0, "dead_after_seconds": 10.0, "poll_seconds": 2.0}
SHOP: Mapping[str, Any] = {"poll_seconds": 2.0, "timeout_seconds": 5.0, "reconcile_seconds": 30.0}
BATCH_SECONDS = 5.0


class Crash(BaseException):
    """The process dies here."""


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in virtual time, its logs silenced."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with silenced():
            run_virtual(lambda: test(*args, **kwargs))

    return run


@contextmanager
def silenced() -> Iterator[None]:
    """Without logs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()


@dataclass(slots=True)
class Trial:
    """Malls, goods and a daemon. Every listing is named like its SKU."""

    clock: VirtualClock
    world: World
    store: Store
    parts: dict[str, Part]
    opened: dict[str, int]
    settings: dict[str, Any] = field(default_factory=dict)
    channels: Mapping[str, type[Channel]] = field(default_factory=dict)
    stage: Stage | None = None
    task: asyncio.Task[None] | None = None
    dead: bool = False
    vault: Vault = field(default_factory=Vault.passing)

    @classmethod
    @asynccontextmanager
    async def of(
        cls,
        malls: Mapping[str, Mapping[str, Any]],
        goods: Mapping[str, int],
        *,
        shops: Mapping[str, Mapping[str, Any]] | None = None,
        settings: Mapping[str, Any] | None = None,
        channels: Mapping[str, type[Channel]] | None = None,
        shop_type: type[MemoryShop] = MemoryShop,
        path: Path | None = None,
        start: bool = True,
    ) -> AsyncIterator[Trial]:
        """Malls by name with their options, goods with their pieces. Runs from the start unless told otherwise.

        The store is in memory, or in a file at `path`.
        """
        clock = VirtualClock()
        world = World(clock.now)
        for sku, pieces in goods.items():
            world.stock(sku, pieces)
        parts = {}
        for name, options in malls.items():
            values = {**OPTIONS, **options}
            market = world.market(name, visibility_seconds=values["visibility_seconds"])
            for sku, pieces in goods.items():
                market.offer(sku, sku, shown=pieces)
            shop = shop_type(world, market, clock, round_trip_seconds=0.05, options=values)
            more = {**SHOP, **(shops or {}).get(name, {})}
            parts[name] = Part(shop, more.pop("channel", "memory"), more)
        store = Store.open(path, clock=clock, inline=True)
        trial = cls(clock, world, store, parts, dict(goods), dict(settings or {}), dict(channels or {}))
        if start:
            await trial.start()
        try:
            yield trial
        finally:
            await trial.kill()
            await trial.store.aclose()

    async def start(self, *, ready: bool = True) -> None:
        """Start a daemon over whatever the store holds."""
        self.dead, self.store.crash_point = False, None
        known = await self.rows("SELECT id FROM shop")
        settings = {"batch": {"every_seconds": BATCH_SECONDS}, **self.settings}
        self.stage = await Stage.open(
            self.world, self.parts, self.clock, store=self.store, settings=settings, channels=self.channels,
            fill=not known, vault=self.vault,
        )  # fmt: skip
        self.task = asyncio.get_running_loop().create_task(self.stage.daemon.run(signals=False))
        if ready:
            await self.stage.daemon.ready.wait()

    async def kill(self) -> None:
        """SIGKILL: no task goes on and nothing more is written."""
        if self.task is None:
            return
        self.store.crash_point = _die
        self.task.cancel()
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.exception()
        self.task, self.store.crash_point = None, None

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def restore(self, copy: Path) -> None:
        """Die, put a backup in the place of the store's file as the handbook says, and start again."""
        path = self.store.path
        assert path is not None
        await self.kill()
        await self.store.aclose()
        _put_in_place(copy, path)
        self.store = Store.open(path, clock=self.clock, inline=True)
        await self.start()

    def crash_when(self, reached: Callable[[str], bool]) -> None:
        """Die at the first point of the store that fits; from then on the store takes nothing more."""

        def point(name: str) -> None:
            if not self.dead and not reached(name):
                return
            self.dead = True
            raise Crash(name)

        self.store.crash_point = point

    async def run(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.sleep(seconds)

    async def run_until(self, done: Callable[[], bool], *, within: float = 60.0, step: float = 0.01) -> float:
        """Let time pass until it is so; returns how long it took. AssertionError when it takes too long."""
        began = self.clock.monotonic()
        while not done():
            assert self.clock.monotonic() - began < within, f"not so within {within:g} s"
            await self.clock.sleep(step)
        return self.clock.monotonic() - began

    # -- looking and acting ------------------------------------------------------------------------------------

    def mall(self, name: str) -> MemoryShop:
        mall = self.parts[name].emulator
        assert isinstance(mall, MemoryShop)
        return mall

    def shows(self, name: str, key: str) -> int:
        """What the mall's page shows."""
        return self.world.markets[name].listings[key].shown

    def buy(self, name: str, key: str, units: int = 1) -> TruthOrder:
        order = self.world.markets[name].buy({key: units})
        assert order is not None, f"{name} shows too little of {key}"
        return order

    async def receive(self, sku: str, pieces: int) -> None:
        """Goods arrive, or are found missing; the daemon is told at once."""
        assert self.stage is not None
        hub, now_us = self.stage.daemon.hub, self.clock.now_us()
        self.world.receive(sku, pieces)
        done = await self.store.tx(lambda conn: adjust_stock(conn, hub.facts, [Item(sku, pieces)], now_us, "trial"))
        hub.wake_writers(done.refreshed)

    def wrong(self) -> list[str]:
        """Listings that show another number than they must, and stale raises."""
        return self.world.wrong_listings() + self.world.stale

    async def books(self) -> list[str]:
        """What of orders and ledger disagrees with the truth."""
        return await self.store.read(lambda conn: books(conn, self.world, self.opened))

    async def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        return await self.store.read(lambda conn: [tuple(row) for row in conn.execute(text(query), values)])

    async def alarms(self) -> set[str]:
        """Kinds of the alarms that are open."""
        return {row[0] for row in await self.rows("SELECT kind FROM alarm WHERE cleared_us IS NULL")}


def _put_in_place(copy: Path, path: Path) -> None:
    fresh = path.with_name("restored")
    fresh.write_bytes(copy.read_bytes())
    fresh.replace(path)


def _die(name: str) -> None:
    raise Crash(name)
