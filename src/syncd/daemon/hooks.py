"""What a push from a shop does: verified by its plugin, told apart from repeats, then a hint that wakes a loop.

Nothing is ever taken from a push itself: the orders or the numbers are read. So a lost push costs one poll interval,
a repeated one costs nothing, and a false one cannot change stock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from syncd.core.budget import Bucket
from syncd.daemon.hints import KnownIds, wake
from syncd.daemon.hub import Hub
from syncd.daemon.running import ForgedWebhook, PluginFault
from syncd.daemon.supervisor import Runner
from syncd.sdk.channel import Webhook
from syncd.sdk.errors import ChannelError

log = structlog.get_logger()
PUSHES_PER_SECOND = 50.0
PUSHES_AT_ONCE = 500.0
RECEIVE_SECONDS = 2.0


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
    ids: KnownIds = field(default_factory=KnownIds)
    failing: bool = False


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
        if sender.ids.knows(hint.id):
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
