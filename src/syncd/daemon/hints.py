"""What a hint does: it wakes a loop that reads. And the loop that fetches hints where they wait in a queue."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import structlog

from syncd.daemon.hub import Hub, Shop
from syncd.sdk.channel import Hint
from syncd.sdk.errors import ChannelError, SignInRequired

log = structlog.get_logger()
MOST_HINTED = 5000
KNOWN_IDS = 4096
"""Hints of a shop that repeats are told apart from. They are forgotten at a restart: a repeat then costs one poll."""
ALARM = "hints_missing"
LOOK_US = 60_000_000
PAUSE_US = 200_000
AGAIN_US = 30_000_000
LONGEST_US = 3_600_000_000
FAILURES_TOLD = 3
"""A wait that is cut off now and then is no news; so many in a row are."""


@dataclass(slots=True)
class KnownIds:
    """The newest ids, to tell repeats apart."""

    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def knows(self, hint_id: str) -> bool:
        """Whether it came before; an id once told is known from now on."""
        if not hint_id:
            return False
        known = hint_id in self.ids
        self.ids[hint_id] = None
        if len(self.ids) > KNOWN_IDS:
            self.ids.popitem(last=False)
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


@dataclass(slots=True)
class Listening:
    """The loop of one shop whose hints wait in a queue. What fails here costs the shop its hints, nothing else."""

    hub: Hub
    shop: Shop
    known: KnownIds = field(default_factory=KnownIds)
    failures: int = 0

    async def turn(self) -> int | None:
        """Fetch hints once and take them. Returns when to listen again; None where there is no queue."""
        if not self.shop.capabilities.listens:
            return None
        if not self.shop.writes:  # a dry run takes nothing out of a queue and subscribes to nothing
            return self.hub.clock.now_us() + LOOK_US
        try:
            await self._take()
        except ChannelError as error:
            return await self._failed(error)
        if self.failures >= FAILURES_TOLD:
            await self.hub.store.tx(lambda conn: self.hub.clear_alarm(conn, ALARM, self.shop))
        self.failures = 0
        return self.hub.clock.now_us() + PAUSE_US

    async def _take(self) -> None:
        page = await self.shop.running.listen()
        for hint in page.hints:
            if not self.known.knows(hint.id):
                wake(self.shop, hint)
        await self.shop.running.acknowledge(page)  # strictly after the loops were woken

    async def _failed(self, error: ChannelError) -> int:
        self.failures = (
            self.failures + 1 if not isinstance(error, SignInRequired) else max(self.failures + 1, FAILURES_TOLD)
        )
        if self.failures >= FAILURES_TOLD:
            text = f"{self.shop.name}: no hints, so it is only polled: {type(error).__name__}: {error}"
            await self.hub.store.tx(lambda conn: self.hub.raise_alarm(conn, ALARM, self.shop, "", text))
        wait_us = min(LONGEST_US, AGAIN_US << min(self.failures - 1, 8))
        return self.hub.clock.now_us() + wait_us
