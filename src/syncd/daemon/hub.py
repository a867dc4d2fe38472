"""What the loops share: store, clock, facts, metrics, and the shops that run. Also where alarms and wake-ups go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

import structlog
from sqlalchemy import Connection

from syncd.clock import Clock, Wake
from syncd.core.retry import CLOSED_CIRCUIT, Circuit
from syncd.daemon.answers import Answers
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.grants import ShopGrants
from syncd.daemon.limits import ShopLimiter
from syncd.daemon.running import Running
from syncd.daemon.targets import Refreshed
from syncd.model import to_us
from syncd.sdk.channel import Capabilities
from syncd.sdk.errors import ChannelError, Closed, SignInRequired, Throttled
from syncd.sdk.settings import ChannelSettings, Writes
from syncd.store.engine import Store
from syncd.store.shops import clear_alarm, raise_alarm
from syncd.telemetry import Metrics, redact

log = structlog.get_logger()
CLOSED_SECONDS = 300.0
SIGN_IN_AGAIN_SECONDS = 900.0


class Status(StrEnum):
    """How a shop's plugin stands."""

    LOADED = "loaded"
    CONFIG_ERROR = "config_error"
    FAILED_CHECK = "failed_check"
    RUNNING = "running"
    PAUSED = "paused"
    CLOSED = "closed"
    SIGN_IN_REQUIRED = "sign_in_required"


@dataclass(slots=True)
class Shop:
    """One running shop: its channel, its limits, and the flags that wake its loops."""

    facts: ShopFacts
    channel: str
    running: Running
    capabilities: Capabilities
    limiter: ShopLimiter
    poll_seconds: float
    reconcile_seconds: float
    grants: ShopGrants
    key_told: datetime | None = None  # the key's end as the newest check told it
    status: Status = Status.LOADED
    intake_wake: Wake = field(default_factory=Wake)
    write_wake: Wake = field(default_factory=Wake)
    reconcile_wake: Wake = field(default_factory=Wake)
    shipment_wake: Wake = field(default_factory=Wake)
    stopping: bool = False
    signed_out: bool = False
    settings: ChannelSettings | None = None
    """The channel's own table as it was read, keys included; to notice a change."""
    orders_hinted: bool = False  # a push woke the intake
    unsettled: bool = False  # the last order read proved more listings than its transaction settled
    hinted: dict[str, None] = field(default_factory=dict)  # listings that a push says to read, oldest first

    @property
    def id(self) -> int:
        return self.facts.id

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def writes(self) -> bool:
        """Whether stock is really written, and what was read acknowledged."""
        return self.facts.writes is Writes.ON

    @property
    def key_ends(self) -> datetime | None:
        """When this shop's key dies: the end that its check told, or of the sign-in it lives on, whichever is first."""
        ends = (self.key_told, self.grants.signed_in_until)
        return min((end for end in ends if end is not None), default=None)

    def take_key_end(self, told: datetime | None) -> None:
        """Keep the end that a check told. The sign-in's own is known live: it moves when anybody signs in again."""
        until = self.grants.signed_in_until
        same = told is not None and until is not None and abs(told - until) < timedelta(seconds=1)
        self.key_told = None if same else told

    def wake_all(self) -> None:
        for wake in (self.intake_wake, self.write_wake, self.reconcile_wake, self.shipment_wake):
            wake.set()


@dataclass(slots=True)
class Hub:
    """The shared parts of a running daemon."""

    store: Store
    clock: Clock
    facts: Facts
    metrics: Metrics
    rng: Random
    shops: dict[int, Shop] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    set_backs: int = 0  # how often the host's clock was set back

    def wake_writers(self, refreshed: Refreshed) -> None:
        """Strictly after the commit: the writers of shops with a new stockout."""
        self.wake(refreshed.stockouts)

    def wake(self, shop_ids: Iterable[int]) -> None:
        """Wake these shops' writers."""
        for shop_id in shop_ids:
            shop = self.shops.get(shop_id)
            if shop is not None:
                shop.write_wake.set()

    def raise_alarm(self, conn: Connection, kind: str, shop: Shop | None, subject: str, text: str) -> None:
        """Open or repeat an alarm; the first time it is logged. In a transaction."""
        shop_id, text = None if shop is None else shop.id, redact(text)
        if raise_alarm(conn, kind, shop_id, subject, text, self.clock.now_us()):
            log.warning("alarm_raised", kind=kind, shop=None if shop is None else shop.name, text=text)

    def clear_alarm(self, conn: Connection, kind: str, shop: Shop | None, subject: str = "") -> None:
        """Close an alarm. In a transaction."""
        shop_id = None if shop is None else shop.id
        if clear_alarm(conn, kind, shop_id, subject, self.clock.now_us()):
            log.info("alarm_cleared", kind=kind, shop=None if shop is None else shop.name)


def sign_in_told(shop: Shop, error: SignInRequired) -> str:
    """Why a shop lets us no longer in, and what a person does about it."""
    command = f"syncd shops sign-in {shop.name}"
    if not shop.capabilities.signs_in or command in str(error):
        return str(error)
    return f"{error}; sign in with: {command}"


class Trouble:
    """Failures of one loop of one shop: back-off, alarms when it begins and ends, sign-in and maintenance."""

    def __init__(self, hub: Hub, shop: Shop, loop: str) -> None:
        self.hub = hub
        self.shop = shop
        self.kind = f"{loop}_failing"
        self.circuit: Circuit = CLOSED_CIRCUIT
        self.alarmed = False
        self.failing = ""  # the kind of failure that was told last
        self.set_backs = hub.set_backs

    @property
    def until_us(self) -> int:
        """Nothing is tried before. A time of a clock that was set back since is void."""
        if self.set_backs != self.hub.set_backs:
            self.set_backs, self.circuit = self.hub.set_backs, CLOSED_CIRCUIT
        return self.circuit.until_us

    async def met(self, error: ChannelError) -> None:
        """Note a failed call and how long to wait; tell people when it lasts."""
        now_us = self.hub.clock.now_us()
        if isinstance(error, Closed):
            until = to_us(error.until) if error.until else now_us + int(CLOSED_SECONDS * 1e6)
            self.circuit = self.circuit.waits(until)
            self.shop.status = Status.CLOSED
        elif isinstance(error, SignInRequired):
            self.shop.signed_out = True
            self.shop.status = Status.SIGN_IN_REQUIRED
            self.circuit = self.circuit.waits(now_us + int(SIGN_IN_AGAIN_SECONDS * 1e6))
            await self._alarm("sign_in_required", SignInRequired(sign_in_told(self.shop, error)))
        elif isinstance(error, Throttled):
            after = error.after_seconds if error.after_seconds is not None else 2.0
            self.circuit = self.circuit.waits(now_us + int(after * 1e6))
        else:
            self.circuit = self.circuit.failed(now_us, jitter=self.hub.rng.random() * 0.2)
        self._tell(type(error).__name__, str(error))
        if self.circuit.is_open and not self.alarmed:
            await self._alarm(self.kind, error)

    def _tell(self, kind: str, text: str) -> None:
        """The first failure of a kind is logged, the rest (and all throttling) counted."""
        if kind != Throttled.__name__ and kind != self.failing:
            self.failing = kind
            log.info("call_failed", shop=self.shop.name, loop=self.kind, error=f"{kind}: {text}")

    async def _alarm(self, kind: str, error: ChannelError) -> None:
        self.alarmed = True
        text = f"{self.shop.name}: {type(error).__name__}: {error}"
        await self.hub.store.tx(lambda conn: self.hub.raise_alarm(conn, kind, self.shop, "", text))

    async def over(self) -> None:
        """A call succeeded."""
        if self.circuit is CLOSED_CIRCUIT and not self.alarmed and not self.shop.signed_out:
            return
        self.circuit = CLOSED_CIRCUIT
        if self.failing:
            log.info("call_succeeded_again", shop=self.shop.name, loop=self.kind, after=self.failing)
            self.failing = ""
        if self.shop.status in (Status.CLOSED, Status.SIGN_IN_REQUIRED):
            self.shop.status = Status.RUNNING
        if self.alarmed or self.shop.signed_out:
            self.alarmed = self.shop.signed_out = False
            await self.hub.store.tx(self._clear)

    def _clear(self, conn: Connection) -> None:
        self.hub.clear_alarm(conn, self.kind, self.shop)
        self.hub.clear_alarm(conn, "sign_in_required", self.shop)
