"""The daemon's life in a play: started on a store of its own file, killed, restarted, restored, out of disk.

A crash is that of a process: nothing goes on, nothing more is written, and the file is opened anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from syncd.daemon.building import RESTORED_DEAD_US
from syncd.daemon.hub import Hub
from syncd.sim.loop import VirtualClock
from syncd.sim.rough import CHANNELS
from syncd.sim.stage import Stage
from syncd.sim.trial import Crash
from syncd.sim.whole.malls import Mall
from syncd.sim.whole.trace import Trace
from syncd.store.backup import backup
from syncd.store.engine import Store, StoreClosed, StoreFull, StoreRefused, Sync
from syncd.store.vault import Vault
from syncd.testing.world import World
from syncd_files.emulator import ORDERS, ORDERS_DONE, FilesEmulator

T = TypeVar("T")
BOOKED = text("SELECT s.name, o.number FROM orders o JOIN shop s ON s.id = o.shop_id")
STOP_SECONDS = 60.0


@dataclass(slots=True)
class Life:
    """One daemon over one file. `findings` are ends that nobody planned."""

    folder: Path
    clock: VirtualClock
    world: World
    malls: Mapping[str, Mall]
    rng: Random
    trace: Trace
    settings: dict[str, Any]
    store: Store | None = None
    stage: Stage | None = None
    running: asyncio.Task[None] | None = None
    dead: bool = False
    full: bool = False
    full_us: int = 0
    crash_at: tuple[str, int] | None = None
    crashes: int = 0
    unproven_until: float = 0.0
    findings: list[str] = field(default_factory=list)
    vault: Vault = field(default_factory=Vault.passing)
    _undone: dict[str, set[str]] = field(default_factory=dict)
    _by_hand: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def path(self) -> Path:
        return self.folder / "syncd.sqlite"

    @property
    def hub(self) -> Hub:
        assert self.stage is not None
        return self.stage.daemon.hub

    @property
    def alive(self) -> bool:
        return self.running is not None and not self.running.done() and not self.dead

    # -- starting and ending -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start a daemon over whatever the file holds."""
        first = not self.path.exists()
        self.dead = self.full = False  # somebody made room, or it would not start
        store = self.store = Store.open(self.path, clock=self.clock, inline=True, sync=Sync.OFF)
        await self._forget_undelivered(store)  # a restored file has booked less than the daemon before it
        store.crash_point = self._point
        crash_at, self.crash_at = self.crash_at, None
        parts = {name: mall.part for name, mall in self.malls.items()}
        self.stage = await Stage.open(
            self.world, parts, self.clock, store=store, seed=self.rng.getrandbits(32), channels=CHANNELS,
            settings=self.settings, fill=first, vault=self.vault,
        )  # fmt: skip
        self.crash_at = crash_at
        self.running = asyncio.get_running_loop().create_task(self.stage.daemon.run(signals=False))
        ready = asyncio.get_running_loop().create_task(self.stage.daemon.ready.wait())
        await asyncio.wait({ready, self.running}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        self._tell_skew()
        self.trace("daemon started")

    def _tell_skew(self) -> None:
        """A mall in memory has no Date header; what one would have told is set by hand."""
        for shop in self.hub.shops.values():
            rough = self.malls[shop.name].rough
            if rough is not None:
                self.hub.facts.skew_us[shop.id] = int(abs(rough.nature.habits.skew_seconds) * 1e6)

    async def kill(self, why: str) -> None:
        """SIGKILL."""
        assert self.running is not None
        planned, self.dead = self.dead, True
        self.running.cancel()
        await asyncio.wait({self.running})
        error = None if self.running.cancelled() else self.running.exception()
        if error is not None and not planned and not only_crash(error):
            self.findings.append(f"the daemon ended by itself: {error!r}")
        self.crashes += 1
        await self._close()
        self.trace(f"daemon killed: {why}")

    async def stop(self) -> None:
        """SIGTERM; killed when it does not end in time."""
        assert self.running is not None
        assert self.stage is not None
        self.stage.daemon.stop()
        await asyncio.wait({self.running}, timeout=STOP_SECONDS)
        if not self.running.done():
            if self.crash_at is None and not self.full:
                self.findings.append(f"the daemon did not stop within {STOP_SECONDS:g} s")
            await self.kill("it did not stop")
            return
        error = self.running.exception()
        if error is not None and not self.dead and not only_crash(error):
            self.findings.append(f"the daemon ended by itself: {error!r}")
        await self._close()
        self.trace("daemon stopped")

    async def _close(self) -> None:
        assert self.store is not None
        self.store.crash_point = None
        await self._forget_undelivered(self.store)
        await self.store.aclose()
        self.store = self.stage = self.running = None

    async def _forget_undelivered(self, store: Store) -> None:
        """What the dead daemon had read and not booked was never delivered."""
        booked = await store.read(lambda conn: {tuple(row) for row in conn.execute(BOOKED).all()})
        for mall in self.malls.values():
            for number, order in mall.market.orders.items():
                if (mall.name, mall.number_of(number)) not in booked:
                    mall.market.not_delivered(order)

    def cannot_read(self, name: str) -> bool:
        """Whether a shop's orders are not being taken in now: what its last answer held may never have been whole, or
        could not be kept."""
        if not self.alive or self.stage is None:
            return True
        dispatcher = self.stage.daemon.runners[name].dispatcher
        if dispatcher is None:
            return True
        trouble, kept_us = dispatcher.intake.trouble, self.hub.facts.read_us.get(dispatcher.shop.id, 0)
        return bool(trouble.failing) or trouble.until_us > self.clock.now_us() or kept_us <= self.full_us

    async def look_after(self) -> None:
        """A daemon that died is started again, after a while."""
        if self.alive:
            return
        if self.running is not None:
            await self.kill("it was dead")
        await self.clock.sleep(self.rng.choice([0.1, 2.0, 6.0, 30.0]))
        await self.start()

    # -- what the store does to it -----------------------------------------------------------------------------

    def _point(self, name: str) -> None:
        if self.dead:
            raise Crash(name)
        if self.full and name == "before_commit":
            self.full_us = self.clock.now_us()
            raise StoreFull("the disk is full")
        if self.crash_at is not None and self.crash_at[0] == name:
            left = self.crash_at[1] - 1
            self.crash_at = (name, left) if left > 0 else None
            if left <= 0:
                self.dead = True
                raise Crash(name)

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Let an operator's command run beside everything else; it ends with the daemon it was given to."""
        task = asyncio.get_running_loop().create_task(self._safely(work))
        self._by_hand.add(task)
        task.add_done_callback(self._by_hand.discard)

    @staticmethod
    async def _safely(work: Coroutine[Any, Any, object]) -> None:
        with suppress(Crash, StoreFull, StoreClosed):
            await work

    async def tx(self, fn: Callable[[Connection], T]) -> T:
        """A transaction of a person's hand. Raises StoreFull where there is no room, Crash when the daemon dies."""
        assert self.store is not None
        return await self.store.tx(fn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Look into the store."""
        assert self.store is not None
        return await self.store.read(fn)

    # -- operators' work -----------------------------------------------------------------------------------------

    @property
    def has_backup(self) -> bool:
        return (self.folder / "backup").exists()

    def back_up(self) -> None:
        """Take a backup, as `syncd backup` does."""
        backup(self.path, self.folder / "backup")
        self._undone = {name: set(mall.emulator.tree.names(ORDERS_DONE)) for name, mall in self._file_malls()}
        self.trace("backed up")

    async def restore(self) -> None:
        """Put the newest backup in place of the file, as the handbook says: order files read since lie there again.

        For a while the daemon must think that writes of the time after the backup may still land.
        """
        if self.running is not None:
            await self.kill("to be restored")
        for suffix in ("-wal", "-shm"):
            self.path.with_name(f"{self.path.name}{suffix}").unlink(missing_ok=True)
        fresh = self.folder / "restored"
        fresh.write_bytes((self.folder / "backup").read_bytes())
        fresh.replace(self.path)
        for name, mall in self._file_malls():
            for file in sorted(set(mall.emulator.tree.names(ORDERS_DONE)) - self._undone.get(name, set())):
                mall.emulator.tree.rename(f"{ORDERS_DONE}/{file}", f"{ORDERS}/{file}")
        self.unproven_until = self.clock.monotonic() + RESTORED_DEAD_US / 1e6
        self.trace("restored")

    def _file_malls(self) -> list[tuple[str, Any]]:
        return [(name, mall) for name, mall in self.malls.items() if isinstance(mall.emulator, FilesEmulator)]

    def second_daemon(self) -> None:
        """Somebody starts another daemon on the same file: it must be refused, and the first must not notice."""
        try:
            Store.open(self.path, clock=self.clock, inline=True)
        except StoreRefused:
            return
        self.findings.append("a second daemon was let into the store")


def only_crash(error: BaseException) -> bool:
    """Whether a death was planned and nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(only_crash(one) for one in error.exceptions)
    return isinstance(error, Crash)
