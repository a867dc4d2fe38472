"""One kept-alive task per shop: build its channel, check it, run its loops, restart it when its plugin fails.

    loaded ── check ok ──> running <── resume ── paused
      │  └── check failed (again with back-off) ──> failed_check; nobody has signed in yet ──> sign_in_required
      └── settings, account or plugin wrong ──> config_error (until the file is mended and the shop started anew)

A broken shop never cancels a sibling; a fault outside the plugin's calls ends the process on purpose.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import structlog
from sqlalchemy import Connection

from syncd.clock import Wake
from syncd.config import ConfigError, ShopConfig
from syncd.core.retry import back_off_seconds
from syncd.daemon.dispatcher import Dispatcher
from syncd.daemon.hints import Listening
from syncd.daemon.hub import SIGN_IN_AGAIN_SECONDS, Hub, Shop, Status, sign_in_told
from syncd.daemon.intake import Intake
from syncd.daemon.opening import OpenChannel, open_shop
from syncd.daemon.reconcile import Reconcile
from syncd.daemon.running import PluginFault
from syncd.daemon.sending import recover
from syncd.daemon.shipping import Shipping
from syncd.daemon.subscribing import Subscribing
from syncd.model import to_us
from syncd.sdk.channel import CheckReport
from syncd.sdk.errors import ChannelError, SignInRequired
from syncd.sdk.settings import Writes
from syncd.store import outbox, shops
from syncd.store.engine import StoreBusy, StoreFull
from syncd.telemetry import redact

log = structlog.get_logger()
SHOP_DOWN = "shop_down"
FAILING = ("orders_failing", "write_failing", "reconcile_failing", "shipments_failing")
DAY_US = 86_400_000_000
READS_ORDERS = frozenset({"intake", "write"})
STORE_PAUSE_US = 5_000_000
LASTING_US = 300_000_000
"""A shop that ran so long was well; one that fails sooner is restarted more and more rarely."""


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a group of loops: one of our own before one of the plugin's."""
    flat = list(_flat(errors))
    own = [one for one in flat if not isinstance(one, (PluginFault, ChannelError))]
    return (own or flat)[0]


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _flat(one)
    else:
        yield error


@dataclass(slots=True)
class Runner:
    """Keeps one shop alive. `settled` is set once the shop was checked for the first time, well or not."""

    hub: Hub
    config: ShopConfig
    open_channel: OpenChannel
    all_names: tuple[str, ...]
    status: Status = Status.LOADED
    text: str = ""
    shop: Shop | None = None
    dispatcher: Dispatcher | None = None
    reconcile: Reconcile | None = None
    settled: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    command: Wake = field(default_factory=Wake)
    reload: Callable[[ShopConfig], ShopConfig] = lambda config: config
    turns: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    stopping: bool = False
    drain_until_us: int = 0
    failures: int = 0
    running_since_us: int = 0

    @property
    def name(self) -> str:
        return self.config.name

    def now_status(self) -> Status:
        """The status people see: the shop's own while it runs."""
        return self.shop.status if self.shop is not None and self.status is Status.RUNNING else self.status

    async def run(self) -> None:
        """Until stopped. Raises only for faults of our own."""
        try:
            while not self.stopping:
                await self._live()
        finally:
            self.ended.set()

    async def _live(self) -> None:
        """One attempt and the wait for the next. A full disk or a locked database is waited out."""
        try:
            wait = await self._once()
        except (StoreFull, StoreBusy) as error:
            log.error("store_failed", shop=self.name, loop="start", error=str(error))
            wait = STORE_PAUSE_US / 1e6
        until = None if wait is None else self.hub.clock.now_us() + int(wait * 1e6)
        await self.hub.clock.wait(until, self.command)

    async def _once(self) -> float | None:
        """Stand while paused, else run the shop. Returns seconds until the next time; None to wait for a person."""
        if not self.paused:
            return await self._attempt()
        await self._stand(Status.PAUSED, "paused by a person")
        self.settled.set()
        return None

    async def _attempt(self) -> float | None:
        """Build, check and run the shop once. Returns seconds until the next attempt; None to wait for a person."""
        shop: Shop | None = None
        settled = True
        try:
            self.config = self.reload(self.config)
            shop = await open_shop(self.hub, self.config, self.open_channel)
            report = await shop.running.check()
            settled = await self._accept(shop, report)
            if settled and not self.paused:  # a pause may have come during the check
                await self._run_loops(shop)
            return 0.0
        except (ConfigError, shops.SecondShop) as error:
            await self._stand(Status.CONFIG_ERROR, str(error))
            log.error("shop_set_aside", shop=self.name, problem=self.text)
            return None
        except (ChannelError, PluginFault) as error:
            if isinstance(error, SignInRequired) and shop is not None and shop.capabilities.signs_in:
                await self._stand(Status.SIGN_IN_REQUIRED, sign_in_told(shop, error))
                return SIGN_IN_AGAIN_SECONDS
            lasted = self.shop is not None and self.hub.clock.now_us() - self.running_since_us > LASTING_US
            self.failures = 1 if lasted else self.failures + 1
            await self._stand(Status.FAILED_CHECK, f"{type(error).__name__}: {error}")
            log.error("shop_failed", shop=self.name, error=self.text, exc_info=isinstance(error, PluginFault))
            return back_off_seconds(self.failures)
        finally:
            if settled:
                self.settled.set()
            self.shop = self.dispatcher = self.reconcile = None
            if shop is not None:
                self.hub.shops.pop(shop.id, None)
                with anyio.CancelScope(shield=True):
                    await shop.running.aclose()

    async def _accept(self, shop: Shop, report: CheckReport) -> bool:
        """The check succeeded: bind the account, mark what was under way as in doubt, remember the key's end.

        False when the file was renamed and the account's old row took the name: build the shop again on it.
        """

        def accept(conn: Connection) -> bool:
            claimed = shops.claim_account(conn, shop.id, report.account, self.all_names)
            if claimed != shop.id:
                self.paused = bool(shops.shop_row(conn, claimed).paused)  # a pause is kept over a rename
                return False
            recover(conn, self.hub.facts, shop.facts, self.hub.clock.now_us())
            self._keep_check(conn, shop, report)
            for kind in (SHOP_DOWN, "sign_in_required", *FAILING):
                self.hub.clear_alarm(conn, kind, shop)  # what still fails says so again
            self.hub.clear_alarm(conn, SHOP_DOWN, None, self.name)
            return True

        if not await self.hub.store.tx(accept):
            self.hub.facts.shops.pop(shop.id, None)
            log.info("shop_renamed", shop=self.name, account=report.account)
            return False
        self.hub.metrics.credential_expiry(self.name, shop.key_ends)
        for warning in report.warnings:
            log.warning("shop_warned", shop=self.name, warning=warning)
        return True

    def _keep_check(self, conn: Connection, shop: Shop, report: CheckReport) -> None:
        shop.take_key_end(report.key_expires_at)
        expires = None if shop.key_ends is None else to_us(shop.key_ends)
        text = "; ".join(report.warnings)
        shops.set_shop(
            conn, shop.id, status=Status.RUNNING, status_text=text, key_expires_us=expires,
            checked_us=self.hub.clock.now_us(),
        )  # fmt: skip

    async def _run_loops(self, shop: Shop) -> None:
        """Run the shop's loops until it is paused or stopped, or its plugin fails."""
        intake = Intake(self.hub, shop)
        self.dispatcher = Dispatcher(self.hub, shop, intake)
        self.reconcile = Reconcile(self.hub, shop, self.dispatcher)
        self.reconcile.start_full_sync(push=False)
        shipping = Shipping(self.hub, shop)
        subscribing = Subscribing(self.hub, shop, self.open_channel.webhooks_url)
        self.hub.shops[shop.id] = self.shop = shop
        self.status, self.text, self.running_since_us = Status.RUNNING, "", self.hub.clock.now_us()
        shop.status = Status.RUNNING
        self.settled.set()
        log.info("shop_running", shop=self.name, writes=shop.facts.writes)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep, "intake", intake.turn, shop.intake_wake)
                group.start_soon(self._keep, "reconcile", self.reconcile.turn, shop.reconcile_wake)
                group.start_soon(self._keep, "shipments", shipping.turn, shop.shipment_wake)
                group.start_soon(self._keep, "check", partial(self._daily_check, shop), Wake())
                group.start_soon(self._keep, "webhooks", subscribing.turn, Wake())
                if shop.capabilities.listens:
                    group.start_soon(self._keep, "hints", Listening(self.hub, shop).turn, Wake())
                await self._keep_writing(shop, self.dispatcher)
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise first_of(errors) from errors

    async def _keep(self, name: str, turn: Callable[[], Awaitable[int | None]], wake: Wake) -> None:
        while True:
            await self.hub.clock.wait(await self._turn(name, turn), wake)

    async def _turn(self, name: str, turn: Callable[[], Awaitable[int | None]]) -> int | None:
        """One turn of a loop. A full disk or a locked database is waited out; nothing was half-applied."""
        self.turns[name] = self.hub.clock.now_us()
        try:
            return await turn()
        except (StoreFull, StoreBusy) as error:
            log.error("store_failed", shop=self.name, loop=name, error=str(error))
            return self.hub.clock.now_us() + STORE_PAUSE_US
        finally:
            self.turns.pop(name, None)

    def progress(self) -> dict[str, int]:
        """When each loop under way last got on. A long order read gets on page by page; the writer may wait for it."""
        page_us = None if self.dispatcher is None else self.dispatcher.intake.page_us
        if page_us is None:
            return dict(self.turns)
        return {name: max(at, page_us) if name in READS_ORDERS else at for name, at in self.turns.items()}

    async def _keep_writing(self, shop: Shop, dispatcher: Dispatcher) -> None:
        """The writer's loop. A stop lets the call under way finish, and drains stockouts as long as it may."""
        while not shop.stopping:
            until = await self._turn("write", dispatcher.turn)
            if not shop.stopping:
                await self.hub.clock.wait(until, shop.write_wake)
        if self.drain_until_us:
            await dispatcher.drain(self.drain_until_us)

    async def _daily_check(self, shop: Shop) -> int | None:
        """Check the key once a day; its end is told 14, 7, 3 and 1 days before."""
        row = await self.hub.store.tx(lambda conn: shops.shop_row(conn, shop.id))
        due_us = row.checked_us + DAY_US
        now_us = self.hub.clock.now_us()
        if now_us < due_us:
            return due_us
        try:
            report = await shop.running.check()
        except ChannelError as error:
            log.warning("check_failed", shop=self.name, error=str(error))
            return now_us + DAY_US // 24
        await self.hub.store.tx(lambda conn: self._keep_check(conn, shop, report))
        self.hub.metrics.credential_expiry(self.name, shop.key_ends)
        return now_us + DAY_US

    async def _stand(self, status: Status, text: str) -> None:
        """The shop does not run; keep why, for people."""
        self.status, self.text = status, redact(text)[:512]

        def keep(conn: Connection) -> None:
            row = shops.shop_named(conn, self.name)
            if row is not None:
                shops.set_shop(conn, row.id, status=status, status_text=self.text)
            if status is not Status.PAUSED:
                kind = "sign_in_required" if status is Status.SIGN_IN_REQUIRED else SHOP_DOWN
                shop_id, subject = (None, self.name) if row is None else (row.id, "")
                told = f"{self.name}: {status}: {self.text}"
                if shops.raise_alarm(conn, kind, shop_id, subject, told, self.hub.clock.now_us()):
                    log.warning("alarm_raised", kind=kind, shop=self.name, text=told)

        await self.hub.store.tx(keep)

    # -- what people and the app ask for ---------------------------------------------------------------

    async def pause(self) -> None:
        """Stop the shop's loops after the call under way; kept over restarts."""
        await self._set(paused=1)
        self.paused = True
        self._stop_loops()

    async def resume(self) -> None:
        """Run again, or anew: the shop's file and its keys are read again. Also tries a failed check at once."""
        await self._set(paused=0)
        self.paused, self.failures = False, 0
        self._stop_loops()

    def reread(self, config: ShopConfig) -> None:
        """Run anew with this file, which was changed; a pause stays."""
        self.config, self.failures = config, 0
        self._stop_loops()

    async def start_writing(self) -> None:
        """A person says: write for real. Raises ValueError where the shop's file says off."""
        if self.reload(self.config).shop.writes is Writes.OFF:
            raise ValueError(f'shop {self.name} has writes = "off" in {self.config.file}; change it there first')
        await self._set(started=1, paused=0)
        await self._wait_anew()
        self.paused = False
        if self.shop is not None:
            self.shop.facts = replace(self.shop.facts, writes=Writes.ON)
            self.hub.facts.shops[self.shop.id] = self.shop.facts
            self.shop.wake_all()
        self.command.set()

    async def _wait_anew(self) -> None:
        """What was only shown so far waits from now on, or the first stockouts would look days late."""
        now_us = self.hub.clock.now_us()

        def wait(conn: Connection) -> None:
            row = shops.shop_named(conn, self.name)
            if row is not None and (self.shop is None or not self.shop.writes):
                outbox.wait_anew(conn, row.id, now_us)

        await self.hub.store.tx(wait)

    async def _set(self, **values: int) -> None:
        def change(conn: Connection) -> None:
            row = shops.shop_named(conn, self.name)
            if row is None and not self.config.problems:  # of a file that was never read nothing is kept
                row = shops.ensure_shop(conn, self.name, self.config.shop.channel)
            if row is not None:
                shops.set_shop(conn, row.id, **values)

        await self.hub.store.tx(change)

    def stop(self, drain_until_us: int) -> None:
        """Stop for good, draining due stockouts until then."""
        self.stopping, self.drain_until_us = True, drain_until_us
        self._stop_loops()

    def _stop_loops(self) -> None:
        if self.shop is not None:
            self.shop.stopping = True
            self.shop.wake_all()
        self.command.set()
