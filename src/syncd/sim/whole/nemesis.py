"""Everything that may go wrong at once: the malls' faults, and what befalls the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from syncd.sim.whole.life import Life
from syncd.sim.whole.malls import Mall
from syncd.sim.whole.staff import Staff
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.world import World

LOSSES = (FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.GARBAGE, FaultKind.GARBAGE_AFTER, FaultKind.CUT_OFF)
LATE_SECONDS = (0.5, 12.0)
SILENT_SECONDS = (60.0, 300.0)
CLOSED_SECONDS = (2.0, 8.0, 60.0, 240.0)
OPERATIONS = {
    "rakuten": ("search_order", "get_order", "bulk_upsert", "bulk_upsert", "bulk_get", "*"),
    "shopify": ("graphql", "*"),
    "files": ("list", "read", "write", "rename", "*"),
    "yahoo-shopping": ("order_list", "order_info", "set_stock", "set_stock", "get_stock", "*"),
    "amazon": ("search_orders", "patch_listing", "patch_listing", "search_listings", "*"),
}
ROUGH_OPERATIONS = ("orders", "write", "write", "read", "*")
WRITES = {
    "rakuten": "bulk_upsert", "shopify": "graphql", "yahoo-shopping": "set_stock", "amazon": "patch_listing"
}  # fmt: skip


@dataclass(slots=True)
class Nemesis:
    """Chooses what goes wrong. `later(seconds, act)` undoes it when its time is over."""

    malls: list[Mall]
    world: World
    life: Life
    staff: Staff
    rng: Random
    later: Callable[[float, Callable[[], None]], object]
    settings: dict[str, object]

    # -- the malls -----------------------------------------------------------------------------------------------

    def trouble(self) -> str:
        """One fault at one mall. Returns its name."""
        mall = self.rng.choice(self.malls)
        acts = {
            "lose": self.lose, "refuse": self.refuse, "delay": self.delay, "late": self.late, "close": self.close,
            "kill_key": self.kill_key, "fall_silent": self.fall_silent, "pause": self.pause,
        }  # fmt: skip
        name = self.rng.choices(list(acts), [6, 4, 3, 4, 2, 1, 1, 1])[0]
        acts[name](mall)
        return f"{name} {mall.name}"

    def _fault(
        self, mall: Mall, kind: FaultKind, *, seconds: float = 0.0, status: int = 500, after: float | None = None
    ) -> None:
        operation = self.rng.choice(OPERATIONS.get(mall.kind, ROUGH_OPERATIONS))
        times = self.rng.choice([1, 1, 2, 3])
        mall.emulator.faults.add(Fault(operation, kind, times=times, seconds=seconds, status=status, retry_after=after))

    def lose(self, mall: Mall) -> None:
        """Answers are lost before or after their effect, or are not what they should be."""
        self._fault(mall, self.rng.choice(LOSSES))

    def refuse(self, mall: Mall) -> None:
        """The mall says no for a moment: too fast, or broken."""
        self._fault(
            mall, FaultKind.STATUS, status=self.rng.choice([429, 500, 503]), after=self.rng.choice([None, 1.0, 4.0])
        )

    def delay(self, mall: Mall) -> None:
        """Calls are held up on their way. Where they then arrive in a bunch, beyond the rate, is no fault of ours."""
        if mall.kind not in ("tight", "rakuten", "yahoo-shopping", "amazon", "files"):
            self._fault(mall, FaultKind.LATENCY, seconds=self.rng.choice([0.5, 3.0, 30.0]))

    def late(self, mall: Mall) -> None:
        """Writes are given up by us and land later."""
        if mall.rough is not None:
            nature = mall.rough.nature
            nature.late_share = 0.5

            def calm() -> None:
                nature.late_share = 0.0

            self.later(5.0, calm)
        elif mall.kind in WRITES:
            seconds = self.rng.uniform(*LATE_SECONDS)
            mall.emulator.faults.add(Fault(WRITES[mall.kind], FaultKind.LATE, times=2, seconds=seconds))

    def close(self, mall: Mall) -> None:
        """Maintenance."""
        seconds = self.rng.choice(CLOSED_SECONDS)
        if mall.rough is not None:
            mall.rough.nature.closed_until = self.world.now() + timedelta(seconds=seconds)
            return
        mall.emulator.maintenance = True

        def open_again() -> None:
            mall.emulator.maintenance = False

        self.later(seconds, open_again)

    def kill_key(self, mall: Mall) -> None:
        """The key dies; somebody renews it and says so."""
        mall.emulator.key_works = False
        self.later(self.rng.choice([5.0, 60.0]), lambda: self.renew(mall))

    def renew(self, mall: Mall) -> None:
        mall.emulator.key_works = True
        if self.life.alive and self.life.stage is not None:
            self.life.run(self.life.stage.daemon.runners[mall.name].resume())

    def fall_silent(self, mall: Mall) -> None:
        """HTTP is fine, and for a while new orders do not show in the feed."""
        before, until = (
            mall.market.visible_after,
            self.world.now() + timedelta(seconds=self.rng.uniform(*SILENT_SECONDS)),
        )

        def held_back() -> timedelta:
            usual = mall.market.visibility if before is None else before()
            longest = until - self.world.now()
            return max(usual, longest if mall.finds_late else min(longest, mall.market.visibility))

        mall.market.visible_after = held_back

        def speak() -> None:
            mall.market.visible_after = before

        self.later((until - self.world.now()).total_seconds(), speak)

    def pause(self, mall: Mall) -> None:
        """A person pauses the shop, and takes it up again."""
        if self.life.alive and self.life.stage is not None:
            self.life.run(self.life.stage.daemon.runners[mall.name].pause())
            self.later(self.rng.choice([5.0, 60.0]), lambda: self.renew(mall))

    # -- the daemon ------------------------------------------------------------------------------------------------

    async def upheaval(self) -> str:
        """Something befalls the daemon. Returns its name."""
        acts = {
            "crash": self.crash, "kill": self.kill, "restart": self.restart, "fill_disk": self.fill_disk,
            "back_up": self.back_up, "restore": self.restore, "second_daemon": self.second_daemon,
        }  # fmt: skip
        name = self.rng.choices(list(acts), [6, 3, 3, 2, 3, 2, 1])[0]
        await acts[name]()
        return name

    async def crash(self) -> None:
        """At one of the next commits, before or after it."""
        self.life.crash_at = (self.rng.choice(["before_commit", "after_commit"]), self.rng.randint(1, 25))

    async def kill(self) -> None:
        if self.life.alive:
            self.life.dead = True
            await self.life.kill("nemesis")

    async def restart(self) -> None:
        """A clean stop, and a start with other settings."""
        if not self.life.alive:
            return
        await self.life.stop()
        self.settings["batch"] = {"every_seconds": self.rng.choice([10.0, 30.0, 90.0])}
        mall = self.rng.choice(self.malls)
        mall.part.settings = {**mall.part.settings, "poll_seconds": self.rng.choice(mall.polls)}

    async def fill_disk(self) -> None:
        """Nothing can be kept for a while."""
        self.life.full = True
        self.later(self.rng.choice([1.0, 8.0, 30.0]), self._make_room)

    def _make_room(self) -> None:
        self.life.full = False

    async def back_up(self) -> None:
        if self.life.alive:
            self.life.back_up()

    async def restore(self) -> None:
        if self.life.alive and self.life.has_backup:
            await self.life.restore()
            self.staff.after_restore()

    async def second_daemon(self) -> None:
        if self.life.alive:
            self.life.second_daemon()

    # -- the end of it -----------------------------------------------------------------------------------------------

    async def relent(self) -> None:
        """All faults stop; what was closed opens, every shop runs."""
        self.life.crash_at, self.life.full = None, False
        for mall in self.malls:
            mall.emulator.faults.script.clear()
            mall.emulator.maintenance, mall.emulator.key_works = False, True
            if mall.rough is not None:
                mall.rough.nature.late_share, mall.rough.nature.closed_until = 0.0, None
        await self.life.look_after()
        assert self.life.stage is not None
        for runner in self.life.stage.daemon.runners.values():
            if runner.paused or runner.status != "running":
                await runner.resume()
