"""The life of one daemon: its root tasks, when it is ready, its heartbeat, and how it stops.

Root tasks: one runner per shop, housekeeping, heartbeat, http, webhooks, signals. A root task that fails ends the
process on purpose: a half-alive stock daemon oversells silently, and systemd starts it again.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup

from syncd.clock import Wake
from syncd.config import Config, ShopConfig
from syncd.daemon.housekeeping import Housekeeping
from syncd.daemon.hub import Hub
from syncd.daemon.notify import Notifier
from syncd.daemon.opening import OpenChannel
from syncd.daemon.plugins import Plugins
from syncd.daemon.reloading import Reloaded, reload
from syncd.daemon.running import CALL_SECONDS
from syncd.daemon.signing_in import SignIns
from syncd.daemon.supervisor import Runner
from syncd.store.engine import StoreBusy, StoreFull

log = structlog.get_logger()
HEARTBEAT_SECONDS = 5.0
STOP_LOOK_SECONDS = 0.05
STUCK_US = int((CALL_SECONDS + 120) * 1e6)


@dataclass(slots=True)
class Daemon:
    """Everything of one running daemon. `run` is its life."""

    config: Config
    hub: Hub
    runners: dict[str, Runner]
    plugins: Plugins
    how: OpenChannel
    housekeeping: Housekeeping
    notifier: Notifier
    started_at: datetime
    sign_ins: SignIns
    serve_http: Callable[[], Coroutine[Any, Any, None]] | None = None
    reread: Callable[[], Config] = field(init=False)
    """Reads all settings again. Raises ConfigError."""
    reload_shop: Callable[[ShopConfig], ShopConfig] = lambda config: config
    """Reads one shop's file again. Raises ConfigError."""
    serve_webhooks: Callable[[], Coroutine[Any, Any, None]] | None = None
    stop_wake: Wake = field(default_factory=Wake)
    ready: anyio.Event = field(default_factory=anyio.Event)
    listening: anyio.Event = field(default_factory=anyio.Event)
    beats: dict[str, int] = field(default_factory=dict)
    group: TaskGroup | None = None
    reloading: anyio.Lock = field(default_factory=anyio.Lock)

    def __post_init__(self) -> None:
        self.reread = lambda: self.config

    async def run(self, *, signals: bool = True) -> None:
        """From the first check to the last commit. Returns after `stop`."""
        for warning in self.hub.store.warnings:
            log.warning("store_warned", warning=warning)
        async with anyio.create_task_group() as group:
            self.group = group
            for runner in self.runners.values():
                self.start_runner(runner)
            group.start_soon(self._housekeeping, name="housekeeping")
            group.start_soon(self._heartbeat, name="heartbeat")
            if self.serve_http is not None:
                group.start_soon(self.serve_http, name="http")
            if self.serve_webhooks is not None:
                group.start_soon(self.serve_webhooks, name="webhooks")
            if signals:
                group.start_soon(self._signals, name="signals")
            group.start_soon(self._announce, name="announce")
            await self.hub.clock.wait(None, self.stop_wake)
            await self._stop()
            group.cancel_scope.cancel()

    def start_runner(self, runner: Runner) -> None:
        """Make a shop's runner a root task."""
        assert self.group is not None
        self.group.start_soon(self._root, f"shop {runner.name}", runner.run, name=f"shop {runner.name}")

    async def reload(self) -> Reloaded:
        """Take changed settings over, as far as they are right."""
        async with self.reloading:
            done = await reload(self)
        self.notifier.status("the changed settings are wrong, see the log" if done.problem else self._in_a_line())
        return done

    def _in_a_line(self) -> str:
        return f"{len(self.hub.shops)} of {len(self.runners)} shops running"

    async def _root(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A shop's runner ends only at a stop."""
        await run()
        log.info("root_task_ended", task=name)

    async def _announce(self) -> None:
        """Ready once every shop is checked or set aside, and the address is ours."""
        if self.serve_http is not None:
            await self.listening.wait()
        for runner in list(self.runners.values()):
            await runner.settled.wait()
        await self._look()
        self.ready.set()
        self.notifier.ready(self._in_a_line())
        log.info("daemon_ready", shops=len(self.runners), running=len(self.hub.shops))

    async def _housekeeping(self) -> None:
        never = Wake()
        while True:
            self.beats["housekeeping"] = self.hub.clock.now_us()
            await self.hub.clock.wait(await self._look(), never)

    async def _look(self) -> int:
        """A turn of housekeeping. A full disk or a locked database is waited out: writes to 0 must go on leaving."""
        try:
            return await self.housekeeping.turn()
        except (StoreFull, StoreBusy) as error:
            log.error("housekeeping_waits", error=str(error))
            return self.hub.clock.now_us() + int(HEARTBEAT_SECONDS * 1e6)

    async def _heartbeat(self) -> None:
        """Beat only while the loops turn and the store answers; measure the event loop's lag."""
        seconds = min(HEARTBEAT_SECONDS, self.notifier.watchdog_seconds or HEARTBEAT_SECONDS)
        clock = self.hub.clock
        while True:
            before = clock.monotonic()
            await clock.sleep(seconds)
            self.hub.metrics.event_loop_lag_seconds.observe(max(0.0, clock.monotonic() - before - seconds))
            stuck = self.stuck()
            if stuck:
                log.error("loops_stuck", loops=stuck)
                continue
            with suppress(StoreFull, StoreBusy):  # it answers; the shops' loops say what they miss
                await self.hub.store.ping()
            self.notifier.watchdog()

    def stuck(self) -> list[str]:
        """Loops that have not got on for longer than any turn may take."""
        before = self.hub.clock.now_us() - STUCK_US
        turns = [(f"{r.name}/{name}", at) for r in self.runners.values() for name, at in r.progress().items()]
        return [name for name, at in (*turns, *self.beats.items()) if at < before]

    async def _signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
            async for number in received:
                log.info("signal_received", signal=number.name)
                if number is not signal.SIGHUP:
                    self.stop()
                elif self.group is not None:
                    self.group.start_soon(self.reload, name="reload")

    def stop(self) -> None:
        """Ask for a graceful stop."""
        self.stop_wake.set()

    async def _stop(self) -> None:
        """Let open calls end and drain stockouts; what is still open at the limit is in doubt at the next start."""
        seconds = self.config.settings.stop.drain_seconds
        self.notifier.stopping("draining stockouts")
        until_us = self.hub.clock.now_us() + int(seconds * 1e6)
        for runner in self.runners.values():
            runner.stop(until_us)
        while self.hub.clock.now_us() < until_us and any(one.shop is not None for one in self.runners.values()):
            await self.hub.clock.sleep(STOP_LOOK_SECONDS)
        await self.sign_ins.aclose()
        with suppress(StoreFull, StoreBusy):  # only samples are lost
            await self.housekeeping.keep_measured()
        log.info("daemon_stopped", open=[r.name for r in self.runners.values() if r.shop is not None])
