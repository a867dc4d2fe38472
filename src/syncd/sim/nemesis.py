"""A seeded play: rough malls, buyers, faults and crashes against the real daemon in virtual time, then the reckoning.

`python -m syncd.sim.nemesis --seed N` plays one seed and prints what came of it; the same seed gives the same trace.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from random import Random

import click
import structlog
from sqlalchemy import text

from syncd.daemon.desk_stock import Item, adjust_stock
from syncd.sim.exposed import underestimated
from syncd.sim.furnishing import furnish
from syncd.sim.loop import VirtualClock, run_virtual
from syncd.sim.reckoning import books, settled_listings
from syncd.sim.rough import (
    CHANNELS,
    DEAD_AFTER_SECONDS,
    KINDS,
    VISIBILITY_SECONDS,
    Nature,
    RoughShop,
)
from syncd.sim.script import (
    BATCH_SECONDS,
    BELOW_ZERO,
    CALL_SECONDS,
    LOOK_SECONDS,
    QUIET_SECONDS,
    Result,
    Script,
    only_crash,
)
from syncd.sim.stage import Part, Stage
from syncd.sim.trial import Crash
from syncd.store.engine import Store
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.world import Market, World


@dataclass(slots=True)
class Play:
    """One play under way."""

    seed: int
    script: Script
    rng: Random
    clock: VirtualClock
    world: World
    store: Store
    parts: dict[str, Part] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stage: Stage | None = None
    running: asyncio.Task[None] | None = None
    dead: bool = False
    crash_at: tuple[str, int] | None = None
    quiet: bool = False
    lines: list[str] = field(default_factory=list)
    opened: dict[str, int] = field(default_factory=dict)

    def trace(self, what: str) -> None:
        self.lines.append(f"{self.clock.now_us()} {what}")

    @property
    def markets(self) -> list[Market]:
        return list(self.world.markets.values())

    def malls(self) -> list[RoughShop]:
        return [part.emulator for part in self.parts.values() if isinstance(part.emulator, RoughShop)]

    # -- life and death of the daemon ----------------------------------------------------------------------

    async def start(self) -> None:
        """Start the daemon over whatever the store holds."""
        self.dead = False
        self.store.crash_point = self._point
        self.crash_at, crash_at = None, self.crash_at
        self.stage = await Stage.open(
            self.world, self.parts, self.clock, store=self.store, seed=self.rng.getrandbits(32), channels=CHANNELS,
            settings={"batch": {"every_seconds": BATCH_SECONDS}, "brake": {"listings": 1000}}, fill=not self.running,
        )  # fmt: skip
        self.crash_at = crash_at
        self.running = asyncio.get_running_loop().create_task(self.stage.daemon.run(signals=False))
        ready = asyncio.get_running_loop().create_task(self.stage.daemon.ready.wait())
        await asyncio.wait({ready, self.running}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        hub = self.stage.daemon.hub
        for shop in hub.shops.values():
            nature = next(one.nature for one in self.malls() if one.market.name == shop.name)
            hub.facts.skew_us[shop.id] = int(abs(nature.habits.skew_seconds) * 1e6)
        self.trace("started")

    def _point(self, name: str) -> None:
        if self.dead:
            raise Crash(name)
        if self.crash_at is not None and self.crash_at[0] == name:
            left = self.crash_at[1] - 1
            self.crash_at = (name, left)
            if left <= 0:
                self.crash_at = None
                self.dead = True
                raise Crash(name)

    async def look_after(self) -> None:
        """After the daemon died as planned, start it again; if it died otherwise, that is a finding."""
        if self.running is None or not (self.dead or self.running.done()):
            return
        await self.kill()
        await self.clock.sleep(self.rng.choice([0.1, 2.0, 6.0]))
        await self.start()

    async def kill(self) -> None:
        """SIGKILL: no task goes on, nothing more is written."""
        assert self.running is not None
        planned, self.dead = self.dead, True
        self.running.cancel()
        await asyncio.wait({self.running})
        self.trace("killed")
        await self._forget_undelivered()
        self.counts["crashes"] += 1
        error = None if self.running.cancelled() else self.running.exception()
        if error is not None and not planned and not only_crash(error):
            self.wrong.append(f"the daemon ended by itself: {error!r}")

    async def _forget_undelivered(self) -> None:
        """What the dead daemon had read and not booked was never delivered."""
        query = text("SELECT s.name, o.number FROM orders o JOIN shop s ON s.id = o.shop_id")
        booked = await self.store.read(lambda conn: {tuple(row) for row in conn.execute(query)})
        for market in self.markets:
            for order in market.orders.values():
                if (market.name, order.number) not in booked:
                    order.delivered_at = None

    # -- what happens ------------------------------------------------------------------------------------------

    async def act(self) -> None:
        """One event by chance."""
        rng, market = self.rng, self.rng.choice(self.markets)
        name, _ = _choose(rng, EVENTS)
        if name in FAULTS and not self.script.faults:
            return
        if name in ("crash", "kill") and not self.script.crashes:
            return
        if name == "hand" and not self.script.hands:
            return
        self.counts[name] += 1
        await EVENTS[name][1](self, market)
        self.trace(f"{name} {market.name}")

    async def buy(self, market: Market) -> None:
        keys = sorted(market.listings)
        lines = {key: self.rng.choice([1, 1, 1, 2, 3]) for key in self.rng.sample(keys, self.rng.choice([1, 1, 2]))}
        self.counts["bought"] += market.buy(lines) is not None

    def _order(self, market: Market, *, held: bool) -> str | None:
        found = [
            order.number for order in market.orders.values()
            if any((line.held if held else line.shipped - line.returned) > 0 for line in order.lines)
        ]  # fmt: skip
        return self.rng.choice(found) if found else None

    async def cancel(self, market: Market) -> None:
        number = self._order(market, held=True)
        if number is not None:
            part = {line.line: 1 for line in market.orders[number].lines} if self.rng.random() < 0.4 else None
            market.cancel(number, part)

    async def ship(self, market: Market) -> None:
        number = self._order(market, held=True)
        if number is not None:
            market.ship(number)

    async def give_back(self, market: Market) -> None:
        if self.kinds[market.name] == "slow":
            return  # found by creation time alone, a closed order is not read again
        number = self._order(market, held=False)
        if number is not None:
            market.give_back(number, {line.line: 1 for line in market.orders[number].lines}, restock=False)

    async def receive(self, market: Market) -> None:
        """Goods arrive, or are found missing (the world believes that only when every write under way is dead)."""
        sku, pieces = self.rng.choice(sorted(self.opened)), self.rng.choice([1, 2, 5, 12, -1, -3])
        if self.stage is None or self.dead or (self.running is not None and self.running.done()):
            return
        hub = self.stage.daemon.hub
        if pieces > 0:
            self.world.receive(sku, pieces)
        else:
            later = DEAD_AFTER_SECONDS + CALL_SECONDS
            asyncio.get_running_loop().call_later(later, self.world.receive, sku, pieces)
        now_us = self.clock.now_us()
        self.crash_at, kept = None, self.crash_at
        done = await self.store.tx(lambda conn: adjust_stock(conn, hub.facts, [Item(sku, pieces)], now_us, "nemesis"))
        self.crash_at = kept
        hub.wake_writers(done.refreshed)

    async def hand(self, market: Market) -> None:
        """Staff types a number into a mall that we can read."""
        if not KINDS[self.kinds[market.name]].get("reads_stock", True):
            return
        key = self.rng.choice(sorted(market.listings))
        market.hand_edit(key, max(0, market.listings[key].shown - self.rng.choice([1, 2])))

    def _fault(self, market: Market, kind: FaultKind, **more: float | int | None) -> None:
        mall = self.parts[market.name].emulator
        operation = self.rng.choice(["orders", "write", "write", "read", "*"])
        times = self.rng.choice([1, 1, 2, 3])
        mall.faults.add(Fault(operation, kind, times=times, **more))  # type: ignore[arg-type]  # by name

    async def lose(self, market: Market) -> None:
        kinds = [FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.GARBAGE, FaultKind.GARBAGE_AFTER]
        self._fault(market, self.rng.choice(kinds))

    async def refuse(self, market: Market) -> None:
        status = self.rng.choice([429, 500, 503])
        self._fault(market, FaultKind.STATUS, status=status, retry_after=self.rng.choice([None, 1.0, 4.0]))

    async def delay(self, market: Market) -> None:
        if self.kinds[market.name] != "tight":  # calls held up on their way arrive in a bunch: no fault of the daemon
            self._fault(market, FaultKind.LATENCY, seconds=self.rng.choice([0.5, 3.0, 30.0]))

    async def late(self, market: Market) -> None:
        """For a while, writes of a mall are lost on their way and land later."""
        nature = self._nature(market)
        nature.late_share = 0.5
        asyncio.get_running_loop().call_later(5.0, self._calm, nature)

    async def maintain(self, market: Market) -> None:
        self._nature(market).closed_until = self.world.now() + timedelta(seconds=self.rng.choice([2.0, 8.0]))

    async def crash(self, market: Market) -> None:
        self.crash_at = (self.rng.choice(["before_commit", "after_commit"]), self.rng.randint(1, 25))

    async def die(self, market: Market) -> None:
        if self.running is not None and not self.running.done():
            self.dead = True

    async def pause(self, market: Market) -> None:
        if self.stage is not None and not self.dead:
            runner = self.stage.daemon.runners[market.name]
            await (runner.resume() if runner.paused else runner.pause())

    def _nature(self, market: Market) -> Nature:
        mall = self.parts[market.name].emulator
        assert isinstance(mall, RoughShop)
        return mall.nature

    @staticmethod
    def _calm(nature: Nature) -> None:
        nature.late_share = 0.0

    # -- the whole -----------------------------------------------------------------------------------------------

    async def run(self) -> Result:
        """Play, fall quiet, reckon."""
        furnish(self)
        await self.start()
        end = self.clock.monotonic() + self.script.seconds
        while self.clock.monotonic() < end:
            await self.clock.sleep(self.rng.expovariate(self.script.orders_a_second * 1.6))
            await self.look_after()
            await self._safely(self.act)
            await self._look_at_bounds()
        await self._calm_all()
        await self._reckon()
        await self._stop()
        digest = hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
        counts = {**self.counts, "orders": sum(len(market.orders) for market in self.markets)}
        return Result(
            self.seed, digest, self.wrong, sorted(self.kinds.values()), counts, self.world.tally["gap_units"]
        )  # fmt: skip

    async def _look_at_bounds(self) -> None:
        """The first time a bound is too low is told; what follows from it is not."""
        if not any(one.startswith("bound") for one in self.wrong):
            found = await self.store.read(lambda conn: underestimated(conn, self.world))
            self.wrong += [f"bound too low at {self.clock.monotonic():.1f}: {one}" for one in found]

    async def _safely(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except Crash:
            self.trace("crashed under an operator's hand")

    async def _calm_all(self) -> None:
        """Faults stop, everybody runs."""
        self.crash_at = None
        for mall in self.malls():
            mall.faults.script.clear()
            mall.nature.late_share, mall.nature.closed_until = 0.0, None
        await self.look_after()
        assert self.stage is not None
        for runner in self.stage.daemon.runners.values():
            if runner.paused:
                await runner.resume()

    async def _reckon(self) -> None:
        """All must be right within QUIET_SECONDS; what was not at the first look may still be on its way."""
        until = self.clock.monotonic() + QUIET_SECONDS
        await self.clock.sleep(VISIBILITY_SECONDS + DEAD_AFTER_SECONDS)
        while (open_things := await self._unfinished()) and self.clock.monotonic() < until:
            await self.clock.sleep(LOOK_SECONDS)
        self.wrong += open_things
        for mall in self.malls():
            if mall.violations and not self.counts["crashes"]:  # a new process does not know what the old one used up
                self.wrong.append(f"{mall.market.name}: {mall.violations} calls beyond the documented rate")
        self.wrong += [f"stale raise: {one}" for one in self.world.stale]
        if self.running is not None and self.running.done():
            self.wrong.append(f"the daemon does not run at the end: {self.running.exception()!r}")

    async def _unfinished(self) -> list[str]:
        for mall in self.malls():
            mall.settle()
        # a mall that counts below zero by itself sells nothing there, as it must
        found = [f"wrong: {one}" for one in self.world.wrong_listings() if not BELOW_ZERO.search(one)]
        found += await self.store.read(lambda conn: books(conn, self.world, self.opened))
        return found + await self.store.read(settled_listings)

    async def _stop(self) -> None:
        assert self.stage is not None
        assert self.running is not None
        self.stage.daemon.stop()
        await asyncio.wait({self.running}, timeout=60)
        if not self.running.done() or self.running.exception() is not None:
            self.wrong.append("the daemon did not stop within 60 s")
            await self.kill()
        await self.store.aclose()


Event = Callable[[Play, Market], Awaitable[None]]
EVENTS: Mapping[str, tuple[float, Event]] = {
    "buy": (60.0, Play.buy), "cancel": (7.0, Play.cancel), "ship": (8.0, Play.ship), "return": (2.0, Play.give_back),
    "receive": (8.0, Play.receive), "hand": (1.5, Play.hand), "lose": (3.0, Play.lose), "refuse": (2.0, Play.refuse),
    "delay": (1.5, Play.delay), "late": (1.5, Play.late), "maintain": (1.0, Play.maintain), "crash": (1.5, Play.crash),
    "kill": (0.8, Play.die), "pause": (0.8, Play.pause),
}  # fmt: skip
FAULTS = frozenset({"lose", "refuse", "delay", "late", "maintain"})


def _choose(rng: Random, events: Mapping[str, tuple[float, Event]]) -> tuple[str, Event]:
    [name] = rng.choices(list(events), [weight for weight, _ in events.values()])
    return name, events[name][1]


def play(seed: int, script: Script | None = None) -> Result:
    """Play one seed in virtual time."""

    async def main() -> Result:
        clock = VirtualClock()
        store = Store.open(None, clock=clock, inline=True)
        rng = Random(seed)  # noqa: S311  # a play must repeat
        return await Play(seed, script or Script(), rng, clock, World(clock.now), store).run()

    return run_virtual(main, seed)


@click.command()
@click.option("--seed", default=1, help="The seed to play.")
@click.option("--runs", default=1, help="How many seeds from there.")
@click.option("--log", "level", default="critical", help="Least severe log line shown.")
def main(seed: int, runs: int, level: str) -> None:
    """Play seeds and print one JSON line each; exit 1 when one was wrong."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(number))
    bad = 0
    for one in range(seed, seed + runs):
        result = play(one)
        bad += not result.good
        click.echo(json.dumps(asdict(result), ensure_ascii=False))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
