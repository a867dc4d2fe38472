"""What a push from a shop does: verified by its plugin, told apart from repeats, then a hint that wakes a loop.

Nothing is ever taken from a push itself: the orders or the numbers are read. So a lost push costs one poll interval,
a repeated one costs nothing, and a false one cannot change stock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from syncd.core.budget import Bucket
from syncd.daemon.hub import Hub, Shop
from syncd.daemon.running import ForgedWebhook, PluginFault
from syncd.daemon.supervisor import Runner
from syncd.sdk.channel import Hint, Webhook
from syncd.sdk.errors import ChannelError

log = structlog.get_logger()
PUSHES_PER_SECOND = 50.0
PUSHES_AT_ONCE = 500.0
RECEIVE_SECONDS = 2.0
KNOWN_IDS = 4096
"""Pushes a shop's repeats are told apart from. They are forgotten at a restart: a repeat then costs one poll."""
MOST_HINTED = 5000


class HookOutcome(StrEnum):
    """What became of a push; the label of its metric."""

    TAKEN = "taken"
    REPEATED = "repeated"
    IDLE = "idle"  # the shop does not run; its start reads everything anyway
    FORGED = "forged"  # its signature does not hold
    FAILED = "failed"  # the plugin failed at it
    THROTTLED = "throttled"
    TOO_LARGE = "too_large"
    CUT_OFF = "cut_off"  # its body did not arrive whole, or not in time


@dataclass(slots=True)
class _Sender:
    """What is kept of one shop's pushes."""

    bucket: Bucket
    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    failing: bool = False

    def knows(self, webhook_id: str) -> bool:
        """Whether it came before; an id once told is known from now on."""
        if not webhook_id:
            return False
        known = webhook_id in self.ids
        self.ids[webhook_id] = None
        if len(self.ids) > KNOWN_IDS:
            self.ids.popitem(last=False)
        return known


@dataclass(slots=True)
class Hooks:
    """Takes pushes for every shop."""

    hub: Hub
    runners: Mapping[str, Runner]
    _senders: dict[str, _Sender] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Whether there is such a shop and its channel pushes at all, as far as that can be told now."""
        runner = self.runners.get(name)
        return runner is not None and (runner.shop is None or runner.shop.capabilities.publishes_webhooks)

    def wait_seconds(self, name: str) -> float:
        """0 when another push of this shop may be looked at now, which counts it; else how long to wait."""
        now, bucket = self.hub.clock.monotonic(), self._sender(name).bucket
        wait = bucket.ready_at(1.0, now) - now
        if wait <= 0:
            bucket.take(1.0, now)
        return max(0.0, wait)

    async def take(self, name: str, webhook: Webhook) -> HookOutcome:
        """Verify a push and wake what it hints at. Raises nothing but cancellation."""
        runner = self.runners.get(name)  # its file may have gone while the body came in
        shop = None if runner is None else runner.shop
        if shop is None:
            return HookOutcome.IDLE
        sender = self._sender(name)
        try:
            with self.hub.clock.limit(RECEIVE_SECONDS):
                hint = await shop.running.receive(webhook)
        except ForgedWebhook:
            return HookOutcome.FORGED
        except (ChannelError, PluginFault, TimeoutError) as error:
            if not sender.failing:
                log.error("webhook_failed", shop=name, error=str(error), exc_info=isinstance(error, PluginFault))
            sender.failing = True
            return HookOutcome.FAILED
        sender.failing = False
        if sender.knows(hint.id):
            return HookOutcome.REPEATED
        wake(shop, hint)
        return HookOutcome.TAKEN

    def reply(self, name: str) -> str:
        """What a shop wants to read in answer to a push that was taken; mostly nothing."""
        runner = self.runners.get(name)
        shop = None if runner is None else runner.shop
        return "" if shop is None else shop.capabilities.webhook_reply

    def count(self, name: str, outcome: HookOutcome) -> None:
        self.hub.metrics.webhooks.labels(name, outcome.value).inc()

    def _sender(self, name: str) -> _Sender:
        known = self._senders.get(name)
        if known is None:
            now = self.hub.clock.monotonic()
            known = self._senders[name] = _Sender(Bucket(PUSHES_PER_SECOND, PUSHES_AT_ONCE, at=now))
        return known


def wake(shop: Shop, hint: Hint) -> None:
    """Have the shop's loops read what a hint names. Beyond a bound, listings are left to the sweep."""
    if hint.orders:
        shop.orders_hinted = True
        shop.intake_wake.set()
    if hint.listings and shop.facts.reads_stock:
        room = MOST_HINTED - len(shop.hinted)
        shop.hinted.update(dict.fromkeys(shop.facts.key(key) for key in hint.listings[: max(0, room)]))
        shop.reconcile_wake.set()
