"""How much of a documented rate a backlog uses, and that stockouts pass it by. Virtual time, emulators in process.

Two malls, each beside a seller without limits: one as Rakuten documents it (400 absolute rows at one call a second,
five stock reads a second for the fence), and Shopify's own emulator (compare-and-set, cost points).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio
from sqlalchemy import Connection

from bench.filling import fill, listing_key, sku_code
from bench.report import Grid, Result, share
from bench.watching import RAKUTEN_LIKE, LimitedChannel, LimitedShop, Watched, forced_us
from syncd.clock import Clock
from syncd.model import Lane
from syncd.sim.loop import VirtualClock, run_virtual
from syncd.sim.slow_store import SlowStore
from syncd.sim.stage import Part, Stage
from syncd.store.shops import shop_named
from syncd.testing.emulator import Emulator, RateJudge
from syncd.testing.memory import MemoryShop
from syncd_shopify.emulator import ShopifyEmulator

MALL, SELLER = "mall", "seller"
LAST_PIECES = 30
STOCKOUT_EVERY_SECONDS = 1.37  # no whole multiple of any slot
SHOWN, TARGET = 10, 20
ROUND_TRIP_SECONDS = 0.05
GOAL = 0.95
LEARN_SECONDS = 3.0
POINTS_SLOT_US = 120_000  # an empty bucket fills for so long until it holds the 12 points of a write


@dataclass(slots=True)
class Scene:
    """One mall: how to build it, its key of a number, how many rows wait, and the rate that is judged.

    `transaction_seconds`: how long the store takes for each transaction, one after the other. `poll_seconds`: how often
    the seller's orders are read.
    """

    title: str
    build: Callable[[Watched, Clock], Part]
    key_of: Callable[[int], str]
    rows: int
    judge: Callable[[Emulator], RateJudge]
    transaction_seconds: float = 0.0
    poll_seconds: float = 0.5


@dataclass(slots=True)
class Measured:
    """What a scene came to. `used` is the share of the documented rate while the backlog lasted."""

    seconds: float
    used: float
    violations: int
    stale: int
    latency_ms: list[float]
    forced_ms: list[float]
    missing: int


def rakuten_like(world: Watched, clock: Clock) -> Part:
    shop = LimitedShop(world, world.market(MALL), clock, RAKUTEN_LIKE, ROUND_TRIP_SECONDS)
    return Part(shop, LimitedChannel.slug, {"poll_seconds": 15.0})


def shopify(world: Watched, clock: Clock) -> Part:
    return Part(ShopifyEmulator(world, world.market(MALL), clock, round_trip_seconds=ROUND_TRIP_SECONDS), "shopify")


SCENES = (
    Scene(
        "400 absolute rows at 1 call/s, reads 5/s", rakuten_like, listing_key, 24_000, lambda one: one.rates["write"]
    ),
    Scene(
        "the same, 25 ms a transaction", rakuten_like, listing_key, 24_000, lambda one: one.rates["write"],
        transaction_seconds=0.025, poll_seconds=0.31,
    ),
    Scene(
        "Shopify: compare-and-set, 100 points/s", shopify, lambda number: str(40_000_000 + number), 30_000,
        lambda one: one.rates["points"],
    ),
)  # fmt: skip


def run() -> Result:
    """Both malls, one after the other."""
    result = Result("rate", "a backlog of batch rows against documented rates, in virtual time")
    grid = Grid("", ("mall", "rows", "seconds", "share used", "stockouts p50 / p99 ms", "forced p99 ms", "violations"))
    for scene in SCENES:
        found = run_virtual(partial(_run, scene))
        p50, p99 = (share(found.latency_ms, q) for q in (0.5, 0.99))
        forced = share(found.forced_ms, 0.99)
        grid.add(
            scene.title, f"{scene.rows:,}", f"{found.seconds:.1f}", f"{found.used:.1%}", f"{p50:.0f} / {p99:.0f}",
            f"{forced:.0f}", found.violations,
        )  # fmt: skip
        result.goal(f"{scene.title}: >= 95 % of the rate", f"{found.used:.1%}", met=found.used >= GOAL)
        result.goal(f"{scene.title}: never more", f"{found.violations} violations", met=found.violations == 0)
        result.goal(f"{scene.title}: no stale raise", str(found.stale), met=found.stale == 0)
        text = f"{scene.title}: stockouts keep their slot (p99 <= forced + 300 ms)"
        met = found.missing == 0 and p99 <= forced + 300
        result.goal(text, f"{p99:.0f} ms, forced {forced:.0f} ms, {found.missing} missing", met=met)
        result.numbers[f"{scene.title}: share"] = found.used
    result.grids.append(grid)
    return result


async def _run(scene: Scene) -> Measured:
    return await measure(scene, await furnish(scene, VirtualClock()))


async def furnish(scene: Scene, clock: Clock) -> Stage:
    """The mall and its seller with all goods, the mall's rows waiting in the batch lane."""
    world = Watched(clock.now, ROUND_TRIP_SECONDS / 2)
    counts = [1] * LAST_PIECES + [TARGET] * scene.rows
    seller = Part(_seller(world, clock), settings={"poll_seconds": scene.poll_seconds})
    parts = {SELLER: seller, MALL: scene.build(world, clock)}
    for number, count in enumerate(counts):
        world.stock(sku_code(number), count)
        world.markets[SELLER].offer(listing_key(number), sku_code(number), shown=count)
        world.markets[MALL].offer(scene.key_of(number), sku_code(number), shown=min(SHOWN, count))
    settings = {"full_sync": {"at": ""}, "batch": {"every_seconds": 86_400}}
    store = SlowStore.open(None, clock=clock, inline=True)
    stage = await Stage.open(
        world, parts, clock, store=store, settings=settings, fill=False, channels={"limited": LimitedChannel}
    )
    channels = {name: part.channel for name, part in parts.items()}

    def key_of(name: str, number: int) -> str:
        return scene.key_of(number) if name == MALL else listing_key(number)

    def prepare(conn: Connection) -> None:
        fill(conn, channels, counts, clock.now_us(), key_of)
        _let_wait(conn, clock.now_us())

    await store.tx(prepare)
    store.each_seconds = scene.transaction_seconds
    return stage


def _seller(world: Watched, clock: Clock) -> MemoryShop:
    options = {"max_rows": 100, "read_rows": 1000}
    return MemoryShop(world, world.market(SELLER), clock, round_trip_seconds=ROUND_TRIP_SECONDS, options=options)


def _let_wait(conn: Connection, now_us: int) -> None:
    """The mall shows less than it must: every row but the last pieces waits in the batch lane."""
    shop = shop_named(conn, MALL)
    assert shop is not None
    behind = "shop_id = ? AND target = ?"
    conn.exec_driver_sql(f"UPDATE listing SET believed = {SHOWN}, told = {SHOWN} WHERE {behind}", (shop.id, TARGET))
    conn.exec_driver_sql(
        f"INSERT INTO outbox (listing_id, shop_id, lane, due_us, since_us) "
        f"SELECT id, shop_id, {int(Lane.BATCH)}, {now_us}, {now_us} FROM listing WHERE {behind}",
        (shop.id, TARGET),
    )


async def measure(scene: Scene, stage: Stage) -> Measured:
    """Let the backlog go out while last pieces sell; ends the stage."""
    mall, world, clock = stage.parts[MALL].emulator, stage.world, stage.clock
    assert isinstance(world, Watched)
    judge = scene.judge(mall)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await stage.daemon.ready.wait()
        if isinstance(mall, ShopifyEmulator):
            mall.points.drain(clock.monotonic())  # what the bucket holds at the start is no rate
            await clock.sleep(LEARN_SECONDS)  # the first refusal tells us that it is empty: not our excess
        refused = mall.violations
        group.start_soon(_sell_out, world, clock)
        began, before, waiting = clock.monotonic(), judge.taken, await _waiting(stage)
        while waiting > scene.rows * 0.02:
            await clock.sleep(0.25)
            waiting = await _waiting(stage)
        seconds, used = clock.monotonic() - began, judge.taken - before
        await clock.sleep(20.0)
        stage.daemon.stop()
    await stage.aclose()
    stockouts = list(world.stockouts.values())
    forced = (
        forced_us(stockouts, mall) if isinstance(mall, LimitedShop) else dict.fromkeys(world.stockouts, POINTS_SLOT_US)
    )
    taken = [
        (one.accepted_us[MALL] - one.known_us, forced.get(one.sku, 0)) for one in stockouts if MALL in one.accepted_us
    ]
    return Measured(
        seconds, used / (seconds * judge.per_second), mall.violations - refused, world.tally["stale_raises"],
        [late / 1e3 for late, _ in taken], [wait / 1e3 for _, wait in taken], len(stockouts) - len(taken),
    )  # fmt: skip


async def _waiting(stage: Stage) -> int:
    query = f"SELECT count(*) FROM outbox WHERE lane = {int(Lane.BATCH)}"
    return int(await stage.store.read(lambda conn: conn.exec_driver_sql(query).scalar_one()))


async def _sell_out(world: Watched, clock: Clock) -> None:
    for number in range(LAST_PIECES):
        world.markets[SELLER].buy({listing_key(number): 1})
        await clock.sleep(STOCKOUT_EVERY_SECONDS)
