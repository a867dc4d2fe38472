"""One mall beside a seller without limits: the daemon over both, a store filled in bulk, and what is noted of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import anyio
from sqlalchemy import Connection

from bench.channels.malls import ROUND_TRIP_SECONDS, Mall
from bench.filling import fill, listing_key, sku_code
from bench.watching import Stockout, Watched
from syncd.clock import Clock
from syncd.model import Lane
from syncd.sdk.channel import Form
from syncd.sim.stage import Part, Stage
from syncd.store.engine import Store
from syncd.store.shops import shop_named
from syncd.testing.emulator import Emulator
from syncd.testing.memory import MemoryShop
from syncd.testing.world import Market, TruthListing, TruthOrder

MALL, SELLER = "mall", "seller"
LAST_PIECES = 30
SHOWN, TARGET = 10, 20
UNEVEN = 13.7  # slots between two stockouts: at every place between two calls
LOOK_SECONDS = 0.1
SETTLE_SECONDS = 300.0
SELLER_POLL_SECONDS = 3.1  # a stockout counts from the answer that shows it, however long after the sale


class Noted(Watched):
    """Also notes when each listing came to show what it must, and how many orders of the mall were read."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.now, ROUND_TRIP_SECONDS / 2)
        self.right_us: dict[str, int] = {}
        self.read_us: dict[str, int] = {}

    def note_delivered(self, market: Market, order: TruthOrder) -> None:
        super().note_delivered(market, order)
        if market.name == MALL:
            self.read_us[order.number] = self._answered_us()

    def judge_write(
        self,
        market: Market,
        listing: TruthListing,
        form: Form,
        before: int,
        expected: int | None,
        sent: tuple[datetime, datetime | None] | None = None,
    ) -> None:
        super().judge_write(market, listing, form, before, expected, sent)
        if market.name == MALL and listing.shown == TARGET:
            self.right_us[listing.key] = self._answered_us()


@dataclass(slots=True)
class Scene:
    """A running daemon over one mall and its seller."""

    mall: Mall
    stage: Stage
    world: Noted
    rows: int
    sold: int = 0
    calls: list[tuple[int, str]] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return self.stage.clock

    @property
    def emulator(self) -> Emulator:
        return self.stage.parts[MALL].emulator

    def calls_between(self, begin_us: int, end_us: int) -> list[str]:
        return [operation for at, operation in self.calls if begin_us <= at < end_us]

    async def sell_out(self, every_seconds: float) -> None:
        """Last pieces sell at the seller, one after the other, until none is left."""
        while self.sold < LAST_PIECES:
            self.world.markets[SELLER].buy({listing_key(self.sold): 1})
            self.sold += 1
            await self.clock.sleep(every_seconds)

    def stockouts(self) -> list[Stockout]:
        return list(self.world.stockouts.values())

    async def rest(self) -> None:
        """Return once what the daemon reads at a start is read, and the buckets are as full as they get."""
        reconcile = self.stage.daemon.runners[MALL].reconcile
        assert reconcile is not None  # its shop runs
        await self.clock.sleep(SETTLE_SECONDS)
        while reconcile.full:
            await self.clock.sleep(SETTLE_SECONDS)

    async def waiting(self) -> int:
        """How many listings of the mall wait for a number."""
        query = "SELECT count(*) FROM outbox WHERE shop_id = (SELECT id FROM shop WHERE name = 'mall')"
        return int(await self.stage.store.read(lambda conn: conn.exec_driver_sql(query).scalar_one()))

    async def fall_behind(self, first: int, count: int) -> None:
        """So many listings, from a number on, show less than they must from now on; all that waits is due at once."""
        now_us, numbers = self.clock.now_us(), range(LAST_PIECES + first, LAST_PIECES + first + count)
        for number in numbers:
            self.world.markets[MALL].listings[self.mall.key_of(number)].shown = SHOWN
        await self.stage.store.tx(lambda conn: _let_wait(conn, now_us, numbers))
        self.stage.daemon.hub.wake([shop.id for shop in self.stage.daemon.hub.shops.values() if shop.name == MALL])


@asynccontextmanager
async def running(mall: Mall, rows: int, clock: Clock) -> AsyncIterator[Scene]:
    """The daemon over a mall with so many listings beside the last pieces, all of them right."""
    world = Noted(clock)
    part = mall.part(world, world.market(MALL), clock)
    seller = Part(_seller(world, clock), settings={"poll_seconds": SELLER_POLL_SECONDS})
    counts = [1] * LAST_PIECES + [TARGET] * rows
    _offer(world, mall, counts)
    store = Store.open(None, clock=clock, inline=True)
    settings = {"full_sync": {"at": ""}, "batch": {"every_seconds": 86_400}}
    stage = await Stage.open(world, {SELLER: seller, MALL: part}, clock, store=store, settings=settings, fill=False)
    await store.tx(lambda conn: _fill(conn, mall, counts, clock.now_us()))
    scene = Scene(mall, stage, world, rows)
    part.emulator.on_call = lambda operation: scene.calls.append((clock.now_us(), operation))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await stage.daemon.ready.wait()
        yield scene
        stage.daemon.stop()
    await stage.aclose()


def _seller(world: Noted, clock: Clock) -> MemoryShop:
    return MemoryShop(world, world.market(SELLER), clock, round_trip_seconds=ROUND_TRIP_SECONDS)


def _offer(world: Noted, mall: Mall, counts: list[int]) -> None:
    for number, count in enumerate(counts):
        world.stock(sku_code(number), count)
        world.markets[MALL].offer(mall.key_of(number), sku_code(number), shown=count)
        if number < LAST_PIECES:
            world.markets[SELLER].offer(listing_key(number), sku_code(number), shown=count)


def _fill(conn: Connection, mall: Mall, counts: list[int], now_us: int) -> None:
    def key_of(name: str, number: int) -> str:
        return mall.key_of(number) if name == MALL else listing_key(number)

    fill(conn, {MALL: mall.slug, SELLER: "memory"}, counts, now_us, key_of)
    conn.exec_driver_sql("UPDATE listing SET exposure = believed")  # proven on the quiet days before
    seller = shop_named(conn, SELLER)
    assert seller is not None
    conn.exec_driver_sql("DELETE FROM listing WHERE shop_id = ? AND sku_id > ?", (seller.id, LAST_PIECES))


def _let_wait(conn: Connection, now_us: int, numbers: range) -> None:
    mine = "shop_id = (SELECT id FROM shop WHERE name = 'mall') AND sku_id > ? AND sku_id <= ?"
    ids = (numbers.start, numbers.stop)  # those of SKUs begin at 1
    # Told right before: an answer of a reading still on its way tells nothing of these.
    shown = f"believed = {SHOWN}, exposure = {SHOWN}, told = {SHOWN}, told_us = {now_us - 1}"
    conn.exec_driver_sql(f"UPDATE listing SET {shown} WHERE {mine}", ids)
    conn.exec_driver_sql(
        f"INSERT INTO outbox (listing_id, shop_id, lane, due_us, since_us) "
        f"SELECT id, shop_id, {int(Lane.BATCH)}, {now_us}, {now_us} FROM listing WHERE {mine}",
        ids,
    )
