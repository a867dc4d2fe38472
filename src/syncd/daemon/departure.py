"""When a call towards a scarce shop leaves: in its slot, with every stockout that is known by then.

Where calls are far apart, a stockout that just misses one waits a whole slot for the next. So the slot is taken first,
the plan is made right before it, answers that are being booked are waited for, and a stockout that came after the plan
takes the call back once more. All this may use a small share of the time, so that a backlog keeps its rate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from syncd.core.budget import Bucket
from syncd.core.planner import READ_IS_FRESH_US
from syncd.daemon.agenda import Agenda
from syncd.daemon.hub import Hub, Shop
from syncd.daemon.limits import Slot, urgency
from syncd.sdk.channel import WriteRoute

SCARCE_SECONDS = 0.2
"""Calls that are this far apart are scarce."""
PATIENCE_SECONDS = 0.1
"""Longest a call that could leave waits for answers that are being booked …"""
PATIENCE_SHARE = 0.03
"""… and the share of all time that such waits may take."""
LONGEST_PLAN_SECONDS = 0.2
READS_COST = 50.0
"""The reads for rows that ride with a stockout may cost so much of a bucket that they share with its call."""


class Departure:
    """The last moments of one shop's calls."""

    def __init__(self, hub: Hub, shop: Shop) -> None:
        self.hub = hub
        self.shop = shop
        self._patience = Bucket(PATIENCE_SHARE, PATIENCE_SECONDS, at=hub.clock.monotonic())
        self._plan_seconds = 0.0

    def scarce(self, route: WriteRoute) -> bool:
        """Whether this shop's calls are so far apart that missing one hurts."""
        return self.shop.limiter.seconds_each(route.operation, route.cost(1)) >= SCARCE_SECONDS

    def undisturbed(self, route: WriteRoute) -> bool:
        """Whether the reads before this shop's call take nothing of what it leaves by."""
        if self.shop.capabilities.read_operation == route.operation:
            return False
        return self.shop.limiter.undisturbed(route.operation, route.cost(route.max_rows), READS_COST)

    def planned(self, seconds: float) -> None:
        """So long a plan took: the next is begun so much before its slot."""
        self._plan_seconds = min(LONGEST_PLAN_SECONDS, max(seconds, self._plan_seconds * 0.8))

    def wait_seconds(self, route: WriteRoute, rows: int) -> float:
        """Seconds until a call of so many rows must be planned to leave in its slot."""
        wait = self.shop.limiter.ready_in(route.operation, route.cost(min(max(1, rows), route.max_rows)))
        return max(0.0, wait - self._plan_seconds if self.scarce(route) else wait)

    def in_time(self, route: WriteRoute, rows: int, began_us: int) -> bool:
        """Whether what was read from then on is still fresh in the slot to come."""
        at_us = self.hub.clock.now_us() + int(self.wait_seconds(route, rows) * 1e6)
        return at_us < began_us + READ_IS_FRESH_US

    async def near(self, route: WriteRoute, rows: int) -> None:
        """Return when it is time to plan a call of so many rows."""
        await self.hub.clock.sleep(self.wait_seconds(route, rows))

    async def leave(
        self, route: WriteRoute, agenda: Agenda, again: Callable[[Agenda], Awaitable[Agenda]]
    ) -> tuple[Agenda, Slot | None]:
        """Wait for the slot of a call that is durable. Returns the call as it leaves now, and its slot.

        `again` plans it anew with what came since. Without a slot nothing of it can leave any more.
        """
        slot = None
        while agenda.intent_id is not None and slot is None:
            slot = await self._slot_or_news(route, agenda)
            if slot is None:
                agenda = await again(agenda)
        if slot is None:
            return agenda, None
        try:
            agenda = await self._last_look(agenda, again)
            if agenda.too_late(self.hub.clock.now_us()):
                agenda = await again(agenda)
        except BaseException:
            slot.give_back()
            raise
        if agenda.intent_id is None:
            slot.give_back()
            return agenda, None
        return agenda, slot

    async def _slot_or_news(self, route: WriteRoute, agenda: Agenda) -> Slot | None:
        """The slot; None when a stockout came first: then the call may carry it, and wait in a better place."""
        slot: Slot | None = None
        cost, token = route.cost(len(agenda.rows)), urgency.set(int(agenda.lane))
        try:
            async with anyio.create_task_group() as group:
                if not agenda.full:
                    group.start_soon(self._news, group.cancel_scope)
                slot = await self.shop.limiter.reserve(route.operation, cost)
                group.cancel_scope.cancel()
        except BaseException:
            if slot is not None:  # cancelled from outside in the same moment: a slot must not stay held
                slot.give_back()
            raise
        finally:
            urgency.reset(token)
        return slot

    async def _news(self, waiting: anyio.CancelScope) -> None:
        await self.shop.write_wake.wait()
        self.shop.write_wake.set()  # kept for the turn to come
        waiting.cancel()

    async def _last_look(self, agenda: Agenda, again: Callable[[Agenda], Awaitable[Agenda]]) -> Agenda:
        """The slot is there: wait for what is being booked, and take it along."""
        clock = self.hub.clock
        while agenda.intent_id is not None and not agenda.full:
            began = clock.monotonic()
            left = self._patience.left(began)
            if left <= 0:
                break
            await self.hub.answers.quiet(clock, left)
            news = self.shop.write_wake.is_set()
            if news:
                agenda = await again(agenda)
            ended = clock.monotonic()
            self._patience.take(ended - began, ended)
            if not news:
                break
        return agenda
