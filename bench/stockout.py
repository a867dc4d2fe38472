"""How fast a stockout reaches every other shop: the real daemon in real time, a store file, malls 50 ms away.

Ten shops of 10,000 SKUs, 20 orders a second, one in twenty sells the last piece. Measured from the end of our request
that first showed the order to the end of the call in which the other shop accepted 0.
"""

from __future__ import annotations

import gc
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio

from bench.filling import fill, listing_key, open_store, sku_code
from bench.neighbours import load, starved_seconds
from bench.report import Grid, Result, share
from bench.watching import ONE_ITEM, RAKUTEN_LIKE, LimitedChannel, LimitedShop, Stockout, Watched, forced_us
from syncd.clock import Clock, SystemClock
from syncd.sim.stage import Part, Stage
from syncd.testing.memory import MemoryShop

SKUS = 10_000
LAST_PIECES = 400
ROUND_TRIP_SECONDS = 0.05
SECONDS = 75.0
ORDERS_A_SECOND = 20
ONE_IN = 20
WARM_UP_SECONDS = 5.0
END_SECONDS = 10.0
BATCH_SECONDS = 60.0
FREE, RAKUTEN, SINGLE = "no limits", "1/s x 400 rows", "2/s x 1 row"
KINDS = {f"shop-{i:02d}": FREE if i < 5 else RAKUTEN if i < 8 else SINGLE for i in range(10)}
LIMITS = {RAKUTEN: RAKUTEN_LIKE, SINGLE: ONE_ITEM}


def pieces() -> list[int]:
    """One piece of the SKUs that will sell out, plenty of the others."""
    return [1] * LAST_PIECES + [1_000] * (SKUS - LAST_PIECES)


def mall(world: Watched, name: str, clock: Clock) -> Part:
    """One shop with all listings, each showing its stock."""
    market = world.market(name)
    for number, count in enumerate(pieces()):
        market.offer(listing_key(number), sku_code(number), shown=count)
    kind = KINDS[name]
    if kind == FREE:
        options = {"max_rows": 100, "read_rows": 1000}
        shop = MemoryShop(world, market, clock, round_trip_seconds=ROUND_TRIP_SECONDS, options=options)
        return Part(shop, settings={"poll_seconds": 1.0})
    limited = LimitedShop(world, market, clock, LIMITS[kind], ROUND_TRIP_SECONDS)
    return Part(limited, LimitedChannel.slug, {"poll_seconds": 2.0})


def run(seconds: float = SECONDS) -> Result:
    """Real time: takes a little longer than `seconds`."""
    with TemporaryDirectory(prefix="bench-") as folder:
        return anyio.run(_run, Path(folder), seconds)


async def _run(folder: Path, seconds: float) -> Result:
    clock = SystemClock()
    world = Watched(clock.now, ROUND_TRIP_SECONDS / 2)
    for number, count in enumerate(pieces()):
        world.stock(sku_code(number), count)
    parts = {name: mall(world, name, clock) for name in KINDS}
    store = open_store(folder / "syncd.sqlite", clock)
    channels = {name: part.channel for name, part in parts.items()}
    await store.tx(lambda conn: fill(conn, channels, pieces(), clock.now_us()))
    settings = {"batch": {"every_seconds": BATCH_SECONDS}, "full_sync": {"at": ""}}
    stage = await Stage.open(
        world, parts, clock, store=store, settings=settings, fill=False, channels={"limited": LimitedChannel}
    )
    gc.collect()
    gc.freeze()  # the malls' hundred thousand listings live in this process only here
    return await _measure(stage, world, clock, seconds)


async def _measure(stage: Stage, world: Watched, clock: Clock, seconds: float) -> Result:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await stage.daemon.ready.wait()
        await read_through(stage, clock)
        began, starved = clock.monotonic(), starved_seconds()
        await buy(world, clock, seconds)
        await clock.sleep(END_SECONDS)
        lost = (starved_seconds() - starved) / (clock.monotonic() - began)
        stage.daemon.stop()
    await stage.aclose()
    return report(world, stage, lost)


async def read_through(stage: Stage, clock: Clock) -> None:
    """Wait until every shop has read all its listings once, as it does at each start."""
    while any(one.reconcile is None or one.reconcile.full for one in stage.daemon.runners.values()):
        await clock.sleep(0.5)
    await clock.sleep(WARM_UP_SECONDS)


async def buy(world: Watched, clock: Clock, seconds: float) -> None:
    """Orders at an even pace; every twentieth takes a last piece, at one shop after the other."""
    rng, names = Random(11), list(world.markets)
    began, last = clock.monotonic(), 0
    for number in range(int(seconds * ORDERS_A_SECOND)):
        await clock.sleep(max(0.0, began + number / ORDERS_A_SECOND - clock.monotonic()))
        if number % ONE_IN == 0 and last < LAST_PIECES:
            world.markets[names[last % len(names)]].buy({listing_key(last): 1})
            last += 1
        else:
            world.markets[rng.choice(names)].buy({listing_key(rng.randrange(LAST_PIECES, SKUS)): 1})


# --- what came of it --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Pairs:
    """Latencies and forced waits in milliseconds, from one kind of shop to another."""

    latency: list[float]
    forced: list[float]

    @property
    def beyond(self) -> list[float]:
        return [one - wait for one, wait in zip(self.latency, self.forced, strict=True)]


def report(world: Watched, stage: Stage, lost: float) -> Result:
    stockouts = list(world.stockouts.values())
    waits = {
        name: forced_us(stockouts, part.emulator) if isinstance(part.emulator, LimitedShop) else {}
        for name, part in stage.parts.items()
    }
    result = Result("stockout", f"{len(stockouts)} stockouts in {ORDERS_A_SECOND} orders/s, 10 shops x {SKUS:,} SKUs")
    by_kind = Grid(
        "milliseconds by kind of shop", ("from", "to", "n", "p50", "p99", "max", "forced p99", "beyond forced p99")
    )
    kinds = list(dict.fromkeys(KINDS.values()))
    for source in kinds:
        for target in kinds:
            pairs = _pairs(stockouts, waits, of_kind(source), of_kind(target))
            by_kind.add(
                source, target, len(pairs.latency), *(f"{share(pairs.latency, q):.0f}" for q in (0.5, 0.99, 1.0)),
                f"{share(pairs.forced, 0.99):.0f}", f"{share(pairs.beyond, 0.99):.0f}",
            )  # fmt: skip
    result.grids += [by_kind, _matrix(stockouts, waits)]
    _judge(result, stockouts, waits, stage)
    result.notes.append(f"{load()}; the process waited {lost:.0%} of the time for a processor that other programs held")
    return result


def of_kind(kind: str) -> set[str]:
    return {name for name, one in KINDS.items() if one == kind}


def _pairs(
    stockouts: list[Stockout], waits: dict[str, dict[str, int]], sellers: Collection[str], shops: Collection[str]
) -> Pairs:
    pairs = Pairs([], [])
    for one in stockouts:
        for shop, accepted_us in one.accepted_us.items():
            if shop != one.seller and one.seller in sellers and shop in shops:
                pairs.latency.append((accepted_us - one.known_us) / 1e3)
                pairs.forced.append(waits[shop].get(one.sku, 0) / 1e3)
    return pairs


def _matrix(stockouts: list[Stockout], waits: dict[str, dict[str, int]]) -> Grid:
    grid = Grid("p50 / max in milliseconds, from row to column", ("", *(name[-2:] for name in KINDS)))
    for seller in KINDS:
        cells = []
        for shop in KINDS:
            times = _pairs(stockouts, waits, {seller}, {shop}).latency
            cells.append(f"{share(times, 0.5):.0f} / {share(times, 1.0):.0f}" if times else "")
        grid.add(f"{seller[-2:]} ({KINDS[seller]})", *cells)
    return grid


def _judge(result: Result, stockouts: list[Stockout], waits: dict[str, dict[str, int]], stage: Stage) -> None:
    free = _pairs(stockouts, waits, of_kind(FREE), of_kind(FREE))
    p50, p99 = share(free.latency, 0.5), share(free.latency, 0.99)
    result.goal("between shops without limits: p50 <= 200 ms", f"{p50:.0f} ms", met=p50 <= 200)
    result.goal("between shops without limits: p99 <= 500 ms", f"{p99:.0f} ms", met=p99 <= 500)
    result.numbers |= {"free_p50_ms": p50, "free_p99_ms": p99}
    for kind in (RAKUTEN, SINGLE):
        some = _pairs(stockouts, waits, KINDS, of_kind(kind))
        p99, forced = share(some.latency, 0.99), share(some.forced, 0.99)
        text = f"to shops with {kind}: p99 <= forced slots ({forced:.0f} ms) + 300 ms"
        result.goal(
            text,
            f"{p99:.0f} ms; each beyond its own forced wait: p99 {share(some.beyond, 0.99):.0f} ms",
            met=p99 <= forced + 300,
        )
        result.numbers[f"{kind}_p99_ms"], result.numbers[f"{kind}_forced_p99_ms"] = p99, forced
    wanted = len(stockouts) * (len(KINDS) - 1)
    taken = sum(len(one.accepted_us.keys() - {one.seller}) for one in stockouts)
    result.goal("every other shop took every stockout in", f"{taken} of {wanted}", met=taken == wanted)
    broken = sum(part.emulator.violations for part in stage.parts.values())
    result.goal("documented rates never exceeded", f"{broken} violations", met=broken == 0)
    stale = stage.world.tally["stale_raises"]
    result.goal("no stale raise", str(stale), met=stale == 0)
