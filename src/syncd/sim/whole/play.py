"""One seed of the whole layer, from an empty file to the verdict."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from syncd.sim.loop import VirtualClock, run_virtual
from syncd.sim.outcome import Broken, Layer, Outcome
from syncd.sim.whole.bounds import underestimated
from syncd.sim.whole.checks import Books, Judge
from syncd.sim.whole.goods import stock_goods
from syncd.sim.whole.life import Life
from syncd.sim.whole.log import watched_log
from syncd.sim.whole.malls import TIMEOUT_SECONDS, Backdrop, Mall, furnish
from syncd.sim.whole.nemesis import Nemesis
from syncd.sim.whole.rights import Rights
from syncd.sim.whole.scene import Scene, scene_of
from syncd.sim.whole.shoppers import Shoppers
from syncd.sim.whole.staff import Staff
from syncd.sim.whole.trace import Trace
from syncd.sim.whole.witness import Witness

LOOK_SECONDS = 5.0
BOOKS_SECONDS = 120.0
STAFF_ACTS = {"arrive": 10, "miss": 3, "count": 2, "buffer": 3, "type": 2}


def play_whole(seed: int, seconds: float, scene: Scene | None = None) -> Outcome:
    """Play one seed for so long in virtual time, let it fall quiet, and judge it."""

    async def main() -> Outcome:
        clock = VirtualClock()
        with TemporaryDirectory() as folder, watched_log(clock) as leaks:
            return await Play.furnished(seed, scene or scene_of(seed, seconds), clock, Path(folder), leaks).run()

    return run_virtual(main, seed)


@dataclass(order=True, slots=True)
class _Later:
    due: float
    number: int
    act: Callable[[], None] = field(compare=False)


@dataclass(slots=True)
class Play:
    """A play under way. It ends early when a promise is seen to be broken."""

    seed: int
    scene: Scene
    rng: Random
    clock: VirtualClock
    trace: Trace
    world: Witness
    malls: dict[str, Mall]
    life: Life
    judge: Judge
    shoppers: Shoppers
    staff: Staff
    nemesis: Nemesis
    rights: Rights
    leaks: list[str]
    agenda: list[_Later]
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    books: Books = field(default_factory=Books)
    _looked: float = 0.0
    _bounded: float = 0.0

    @classmethod
    def furnished(cls, seed: int, scene: Scene, clock: VirtualClock, folder: Path, leaks: list[str]) -> Play:
        """Everything built, nothing begun."""
        rng = Random(seed)  # noqa: S311  # a play must repeat
        trace = Trace(clock.now_us)
        world = Witness(clock.now, trace)
        goods = stock_goods(world, scene, rng)
        opened = dict(world.on_hand)
        malls = furnish(Backdrop(world, clock, trace, scene, goods, rng))
        settings: dict[str, Any] = {"batch": {"every_seconds": scene.batch_seconds}, "brake": {"listings": 1000}}
        life = Life(folder, clock, world, malls, rng, trace, settings)
        world.cannot_read = life.cannot_read
        agenda: list[_Later] = []
        numbers = itertools.count()

        def later(seconds: float, act: Callable[[], None]) -> None:
            heapq.heappush(agenda, _Later(clock.monotonic() + seconds, next(numbers), act))

        every = list(malls.values())
        shoppers = Shoppers(every, goods, rng, later, scene.orders_a_second, scene.flash_seconds)
        dead = max((mall.dead_seconds for mall in every), default=0.0) + TIMEOUT_SECONDS
        staff = Staff(world, every, goods, life, rng, later, dead)
        nemesis = Nemesis(every, world, life, staff, rng, later, settings)
        judge = Judge(world, malls, life, opened, frozenset(scene.policies))
        start_us = clock.now_us()
        sales = {sku: (start_us + int(a * 1e6), start_us + int(b * 1e6)) for sku, (a, b) in scene.sales.items()}
        rights = Rights(world, life, staff, scene.policies, sales)
        return cls(
            seed, scene, rng, clock, trace, world, malls, life, judge, shoppers, staff, nemesis, rights, leaks, agenda
        )

    async def run(self) -> Outcome:
        await self.life.start()
        await self.rights.say()
        began, scene = self.clock.monotonic(), self.scene
        while (second := self.clock.monotonic() - began) < scene.seconds and not self.broken:
            rates = {
                "visit": self.shoppers.rate(second), "staff": 1 / scene.staff_seconds,
                "trouble": 1 / scene.trouble_seconds, "upheaval": 1 / scene.upheaval_seconds,
            }  # fmt: skip
            await self._wait(self.rng.expovariate(sum(rates.values())))
            [what] = self.rng.choices(list(rates), list(rates.values()))
            await self._event(what, second)
            await self._look()
        if not self.broken:
            await self._fall_quiet()
        await self._end()
        return self._outcome()

    async def _wait(self, seconds: float) -> None:
        """Let time pass; what is due on the way happens in between."""
        until = self.clock.monotonic() + seconds
        while self.agenda and self.agenda[0].due <= until:
            one = heapq.heappop(self.agenda)
            await self.clock.sleep(max(0.0, one.due - self.clock.monotonic()))
            one.act()
        await self.clock.sleep(max(0.0, until - self.clock.monotonic()))

    async def _event(self, what: str, second: float) -> None:
        if what == "visit":
            self.shoppers.visit(second)
        elif what == "staff":
            acts = {name: weight for name, weight in STAFF_ACTS.items() if name != "type" or self.scene.hands}
            [act] = self.rng.choices(list(acts), list(acts.values()))
            await self.staff.act(act)
            self._count(act)
        elif what == "trouble":
            self._count(self.nemesis.trouble())
        else:
            self._count(await self.nemesis.upheaval())
        if not self.life.alive:
            await self._raise_again()

    def _count(self, what: str) -> None:
        self.trace(what)
        self.counts[what.split(" ")[0]] += 1

    async def _raise_again(self) -> None:
        await self.life.look_after()
        await self.rights.say()
        await self.staff.restate_rules()
        await self.staff.repeat()

    async def _look(self) -> None:
        """What must hold after every event, and now and then what the store must hold."""
        for mall in self.malls.values():
            mall.emulator.settle()  # what a mall does by itself it does on time, whoever calls or not
        self.broken += self.judge.at_once() + self.rights.at_once()
        self.broken += [Broken(what=f"a secret in the log: {leak}") for leak in self.leaks]
        if self.clock.monotonic() - self._bounded >= self.scene.bounds_seconds and self.life.alive:
            self._bounded = self.clock.monotonic()
            self.broken += await self.life.read(lambda conn: underestimated(conn, self.world, self.malls))
            self.broken += await self.life.read(self.rights.look)
        if self.clock.monotonic() - self._looked >= BOOKS_SECONDS and self.life.alive:
            self._looked = self.clock.monotonic()
            self.broken += self.judge.rates()
            self.broken += await self.life.read(self.judge.ledger)

    # -- the end -----------------------------------------------------------------------------------------------------

    async def _fall_quiet(self) -> None:
        """Faults stop; within its time every shop must show what it should, and the books must be right."""
        await self.nemesis.relent()
        await self.rights.say()
        await self.staff.restate_rules()
        await self.staff.repeat()
        await self._wait(max((one.due for one in self.agenda), default=0.0) - self.clock.monotonic() + 0.001)
        await self.nemesis.relent()
        began, allowed = self.clock.monotonic(), self.allowed_seconds()
        while (open_things := await self._unfinished()) and self.clock.monotonic() - began < allowed:
            await self.clock.sleep(LOOK_SECONDS)
        self.counts["quiet_seconds"] = round(self.clock.monotonic() - began)
        self.counts["allowed_seconds"] = round(allowed)
        self.broken += open_things
        await self._look()

    def allowed_seconds(self) -> float:
        """2 × (poll + visibility + dead time + batch) of the slowest shop, and what its feed and our sweep add.

        Nothing is given in escrow before each bound is proven, which after a restore takes its time; and a sale is
        drained out after its end.
        """
        batch = float(self.life.settings["batch"]["every_seconds"])
        longest = 0.0
        for shop in self.life.hub.shops.values():
            able, mall = shop.capabilities, self.malls[shop.name]
            dead = max((route.dead_after_seconds for route in able.routes), default=0.0)
            seconds = 2 * (shop.poll_seconds + able.visibility_seconds + dead + batch)
            longest = max(longest, seconds + mall.finds_changes_seconds)
        proving = self.life.unproven_until - self.clock.monotonic() if self.scene.policies or self.scene.sales else 0.0
        facts, ends_us = self.life.hub.facts, max((end for _, end in self.rights.sales.values()), default=0)
        draining = (ends_us + facts.drain_us() - self.life.clock.now_us()) / 1e6 if ends_us else 0.0
        return longest + self.scene.sweep_seconds + max(0.0, proving) + max(0.0, draining)

    async def _unfinished(self) -> list[Broken]:
        found = self.judge.shown()
        self.books = await self.life.read(self.judge.books)
        return [*found, *self.books.broken, *await self.life.read(self.judge.unsettled)]

    async def _end(self) -> None:
        if self.life.alive:
            if self.broken:
                self.books = await self.life.read(self.judge.books)
            await self.life.stop()
            self.broken += self.judge.at_once() if not self.broken else []
        self.counts["crashes"] = self.life.crashes
        self.counts["watched_in_escrow"] = len(self.rights.watched)
        self.counts["sales_begun"] = len(self.rights.begun)
        self.counts["sales_begun_unready"] = len(self.rights.unready)

    def _outcome(self) -> Outcome:
        tally = self.world.tally
        first = next((one.sku for one in self.broken if one.sku is not None), None)
        for name, pieces in sorted(tally.items()):
            if name.startswith(("oversold", "gap")):
                self.counts[name] = pieces
        return Outcome(
            seed=self.seed, layer=Layer.WHOLE, seconds=self.scene.seconds, trace_hash=self.trace.digest,
            orders=sum(len(mall.market.orders) for mall in self.malls.values()),
            lost=self.books.lost, doubled=self.books.doubled, stale_raises=tally["stale_raises"],
            oversold_by_us=tally["oversold_by_us"], oversold_by_channel=tally["oversold_by_channel"],
            converged=not self.broken, broken=tuple(self.broken),
            events=self.trace.events(first) if self.broken else (),
            decisions=tuple(self.world.decisions), counts=dict(sorted(self.counts.items())),
        )  # fmt: skip
