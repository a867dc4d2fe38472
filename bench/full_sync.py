"""A full sync of very large shops: how long it computes, how much memory it takes, and that stockouts pass it by.

The daemon runs in a child process of its own, over a store filled by the parent; its malls cost no memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio
from anyio.abc import TaskGroup

from bench.filling import fill, listing_key, open_store
from bench.flat import FlatChannel, FlatShop
from bench.neighbours import starved_seconds
from bench.report import Grid, Result, share
from syncd.clock import Clock, SystemClock
from syncd.config import Config, Settings, ShopConfig
from syncd.daemon.building import build, prepare
from syncd.daemon.life import Daemon
from syncd.daemon.plugins import Plugins
from syncd.sdk.settings import ShopSettings
from syncd.sim.stage import InProcess

SKUS = 100_000
SHOPS = 5
SHOWN = 100
LAST_PIECES = 200
DRIFTED = 1_000
STOCKOUT_EVERY_SECONDS = 0.5
NAMES = [f"shop-{i:02d}" for i in range(SHOPS)]
GOAL_SECONDS = 60.0
GOAL_MB = 600.0
GIVE_UP_SECONDS = 150.0


def run() -> Result:
    """Fill a store, then measure in a child."""
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "syncd.sqlite"
        anyio.run(_fill, path)
        command = [sys.executable, "-m", "bench.full_sync", str(path)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    return _result(json.loads(done.stdout.splitlines()[-1]))


def _pieces() -> list[int]:
    return [1] * LAST_PIECES + [SHOWN] * (SKUS - LAST_PIECES)


async def _fill(path: Path) -> None:
    clock = SystemClock()
    store = open_store(path, clock)
    await store.tx(lambda conn: fill(conn, dict.fromkeys(NAMES, FlatChannel.slug), _pieces(), clock.now_us()))
    await store.aclose()


def _result(found: dict[str, float]) -> Result:
    result = Result("full_sync", f"{SKUS:,} SKUs x {SHOPS} shops, {DRIFTED:,} listings of each shop differ")
    seconds, megabytes = found["seconds"], found["megabytes"]
    took = f"{seconds:.1f} s" if found["finished"] else f"not done after {seconds:.0f} s"
    result.goal(f"computed within {GOAL_SECONDS:.0f} s", took, met=seconds <= GOAL_SECONDS)
    result.goal(f"at most {GOAL_MB:.0f} MB resident", f"{megabytes:.0f} MB", met=megabytes <= GOAL_MB)
    p50, p99, missing = found["p50_ms"], found["p99_ms"], int(found["missing"])
    result.goal("a stockout meanwhile: p50 <= 200 ms", f"{p50:.0f} ms", met=p50 <= 200)
    text = f"{p99:.0f} ms of {found['stockouts']:.0f} pairs, {missing} missing"
    result.goal("a stockout meanwhile: p99 <= 500 ms", text, met=p99 <= 500 and not missing)
    grid = Grid("the child process", ("wall s", "CPU s", "waited for a processor s", "listings/s", "resident MB"))
    starved = found["starved"]
    rate = f"{SKUS * SHOPS / seconds:,.0f}" if found["finished"] else "not done"
    grid.add(f"{seconds:.1f}", f"{found['cpu']:.1f}", f"{starved:.1f}", rate, f"{megabytes:.0f}")
    result.grids.append(grid)
    result.numbers = found
    return result


# --- the child --------------------------------------------------------------------------------------------------


async def _child(path: Path) -> None:
    clock = SystemClock()
    store = open_store(path, clock)
    FlatChannel.shops = {name: FlatShop(SHOWN) for name in NAMES}
    for shop in FlatChannel.shops.values():
        shop.apart = {listing_key(i): 1 for i in range(LAST_PIECES)}
    shops = tuple(
        ShopConfig(ShopSettings(name=name, channel=FlatChannel.slug, writes="on"), {}, Path(f"{name}.toml"), "")
        for name in NAMES
    )
    settings = Settings(state_dir=path.parent, full_sync={"at": ""})
    config = Config(Path("bench.toml"), settings, shops, ())
    plugins = Plugins({FlatChannel.slug: FlatChannel}, [])
    daemon = build(config, store, clock=clock, plugins=plugins, transports=InProcess({}), rng=Random(1))
    await prepare(daemon)
    for shop in FlatChannel.shops.values():
        shop.apart |= {listing_key(LAST_PIECES + i): SHOWN + 5 for i in range(DRIFTED)}
    async with anyio.create_task_group() as group:
        found = await _measure(daemon, clock, group)
        daemon.stop()
    await store.aclose()
    found["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


async def _synced(daemon: Daemon, clock: Clock) -> None:
    while any(one.reconcile is None or one.reconcile.full for one in daemon.runners.values()):
        await clock.sleep(0.05)


async def _measure(daemon: Daemon, clock: Clock, root: TaskGroup) -> dict[str, float]:
    """The full sync that every start begins, of all shops at once; a stockout every half second beside it."""
    began, starved = clock.monotonic(), starved_seconds()
    before = resource.getrusage(resource.RUSAGE_SELF)
    root.start_soon(lambda: daemon.run(signals=False))
    await daemon.ready.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(_sell_out, clock)
        with anyio.move_on_after(GIVE_UP_SECONDS) as limit:
            await _synced(daemon, clock)
        group.cancel_scope.cancel()
    seconds, after = clock.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    starved = starved_seconds() - starved
    await clock.sleep(5.0)
    late = _latencies()
    return {
        "seconds": seconds, "finished": not limit.cancelled_caught, "starved": starved,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "stockouts": len(late), "missing": sum(one is None for one in late),
        **{f"p{q:.0%}_ms".replace("%", ""): share([one for one in late if one is not None], q) for q in (0.5, 0.99)},
    }  # fmt: skip


async def _sell_out(clock: Clock) -> None:
    for number in range(LAST_PIECES):
        key = listing_key(number)
        FlatChannel.shops[NAMES[number % SHOPS]].sell(key, clock)
        await clock.sleep(STOCKOUT_EVERY_SECONDS)


def _latencies() -> list[float | None]:
    """Milliseconds of each pair: known at one shop, accepted at another; None where it never was."""
    found: list[float | None] = []
    for seller, shop in FlatChannel.shops.items():
        for key, known_us in shop.known_us.items():
            for other, mall in FlatChannel.shops.items():
                if other != seller:
                    at = mall.zero_us.get(key)
                    found.append(None if at is None else (at - known_us) / 1e3)
    return found


if __name__ == "__main__":
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    anyio.run(_child, Path(sys.argv[1]))
