"""Write a shop's stock: the next call in the next free slot, stockouts first, batch rows riding free."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

import anyio
import structlog
from sqlalchemy import Connection

from syncd.clock import Wake
from syncd.core.planner import READ_HOLDS_US, next_tick_us
from syncd.daemon.agenda import Agenda, Due, Occasion
from syncd.daemon.collecting import Results, measure
from syncd.daemon.departure import Departure
from syncd.daemon.findings import Found, take_reading
from syncd.daemon.hub import Hub, Shop, Trouble
from syncd.daemon.intake import Intake, note_drift
from syncd.daemon.limits import slot_of_call, urgency
from syncd.daemon.running import PluginFault
from syncd.daemon.sending import Settled, doubt_call, plan_again, plan_call, settle_call, undo_call
from syncd.model import Lane
from syncd.sdk.channel import Form, Reason, Rejected, StockWrite, WriteReport, WriteRoute
from syncd.sdk.errors import CallRefused, ChannelError, InDoubt
from syncd.store import outbox
from syncd.store.engine import Priority, StoreBusy, StoreFull

T = TypeVar("T")
log = structlog.get_logger()
LEAD_SECONDS = 0.25
"""A fenced or rare call is prepared from so long before its slot."""
REPEATS = 2
ROWS_A_TRANSACTION = 250
MOST_COUNTED = 20_000
SETTLE_AGAIN_SECONDS = 2.0


class Reading(Generic[T]):
    """A read that goes on beside its loop. What it came to is told at its end, a failure, too."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self.ended = False
        self._read = read
        self._found: list[T] = []
        self._failed: Exception | None = None

    async def run(self, wake: Wake) -> None:
        """Read, then wake the loop."""
        try:
            self._found.append(await self._read())
        except Exception as error:  # noqa: BLE001  # raised by `result`, where the loop takes it
            self._failed = error
        self.ended = True
        wake.set()

    def result(self) -> T:
        """What was read. Raises what the read raised."""
        if self._failed is not None:
            raise self._failed
        return self._found[0]


class Dispatcher:
    """The writing loop of one shop. `turn` makes at most one call, and those of stockouts that overtake its reads."""

    def __init__(self, hub: Hub, shop: Shop, intake: Intake) -> None:
        self.hub = hub
        self.shop = shop
        self.intake = intake
        self.trouble = Trouble(hub, shop, "write")
        self.departure = Departure(hub, shop)
        self._results = Results(hub, shop)
        self._overtaken = False  # stockouts left while something was read for the batch call to be planned

    async def turn(self) -> int | None:
        """Make the next call if one is due. Returns when to look again."""
        shop, now_us = self.shop, self.hub.clock.now_us()
        if not shop.writes or not shop.capabilities.routes or shop.stopping:
            return None
        if self.trouble.until_us > now_us:
            return self.trouble.until_us
        try:
            collect_us = await self._results.collect(now_us)
            due = await self._due(now_us)
            if not due.rows:
                tick_us = next_tick_us(now_us, self.hub.facts.batch_us)  # new batch rows wake nobody: look at the tick
                return _earliest(_earliest(due.next_us, collect_us), tick_us)
            route = self._route(due)
            wait = shop.limiter.ready_in(route.operation, route.cost(min(due.count, route.max_rows)))
            early = self.departure.scarce(route) or (shop.facts.reads_stock and not due.urgent)
            lead = LEAD_SECONDS if early else 0.0
            if wait > lead:
                return now_us + int((wait - lead) * 1e6) + 1
            again_us = await self._call(route, due, early=wait > 0)
            return again_us if collect_us is None else min(again_us, collect_us)
        except ChannelError as error:
            await self.trouble.met(error)
            return self.trouble.until_us
        except StoreFull:
            await self._zeros_without_store()
            raise

    async def _zeros_without_store(self) -> None:
        """The disk is full: nothing can be made durable, so only writes to 0 leave (they are safe to repeat)."""
        now_us = self.hub.clock.now_us()
        route = self._route(Due({Lane.STOCKOUT: 1}))
        pairs = await self.hub.store.read(
            lambda conn: outbox.candidates(
                conn, self.shop.id, now_us, lane=Lane.STOCKOUT, due_us=now_us, most=route.max_rows
            )
        )
        if pairs and Form.ABSOLUTE in route.forms:
            rows = [StockWrite(row.key, Form.ABSOLUTE, 0) for row, _ in pairs]
            await self.shop.running.write_stock(rows, route, f"{self.shop.id}-{now_us:x}-full")

    async def drain(self, until_us: int) -> None:
        """Write due stockouts until none is left or the time is over; for a graceful stop."""
        self.shop.stopping = False
        while self.hub.clock.now_us() < until_us and self.shop.writes and self.shop.capabilities.routes:
            due = await self._due(self.hub.clock.now_us())
            if not due.urgent:
                break
            try:
                again_us = await self._call(self._route(due), due, early=False)
            except (ChannelError, PluginFault):
                break
            if again_us > self.hub.clock.now_us():
                break  # nothing could be sent: what is due waits for orders still to come
        self.shop.stopping = True

    async def _due(self, now_us: int) -> Due:
        lanes = [int(lane) for lane in Lane]
        rows, next_us = await self.hub.store.tx(
            lambda conn: outbox.due_rows(conn, self.shop.id, now_us, lanes, MOST_COUNTED), priority=Priority.URGENT
        )
        return Due(rows, next_us)

    def _route(self, due: Due) -> WriteRoute:
        """The route that finishes what is due soonest."""
        count = max(1, due.rows.get(Lane.STOCKOUT, 0) if due.urgent else due.count)
        return min(
            self.shop.capabilities.routes, key=lambda route: (self._finish_seconds(route, count), -route.max_rows)
        )

    def _finish_seconds(self, route: WriteRoute, rows: int) -> float:
        calls = -(-rows // route.max_rows)
        first = self.shop.limiter.ready_in(route.operation, route.cost(min(rows, route.max_rows)))
        rest = (calls - 1) * self.shop.limiter.seconds_each(route.operation, route.cost(route.max_rows))
        return first + rest + route.settle_seconds

    async def _call(self, route: WriteRoute, due: Due, *, early: bool) -> int:
        """Plan, read what must be read, make durable, write, settle. Returns when to look again.

        While a rare slot is still to come, what rides with stockouts is read for, too.
        """
        scarce = self.departure.scarce(route)
        if due.urgent and not (early and scarce and due.riders(route.max_rows) and self.departure.undisturbed(route)):
            agenda = await self._stockouts(route, due)
            overtaken = False
        else:
            agenda = await self._with_riders(route, due, early=early and scarce)
            overtaken = self._overtaken
        if agenda.intent_id is None and overtaken:  # what was read for it has grown old
            return self.hub.clock.now_us()
        if agenda.intent_id is None:  # what is due waits for orders still to come, or for a write under way
            return self.hub.clock.now_us() + int(min(30.0, max(1.0, self.shop.poll_seconds)) * 1e6)
        await self._leave(route, agenda)
        return self.hub.clock.now_us()

    async def _stockouts(self, route: WriteRoute, due: Due) -> Agenda:
        """Stockouts, and what rides with them unread."""
        await self.departure.near(route, due.rows[Lane.STOCKOUT])
        return await self._plan(route, urgent=True)

    async def _with_riders(self, route: WriteRoute, due: Due, *, early: bool) -> Agenda:
        """Whatever is due, read for as far as it must be. A read that fails keeps no stockout."""
        self._overtaken = False
        agenda = await self._plan(route, urgent=False, early=early)
        if agenda.intent_id is None and (agenda.need_stock or agenda.need_orders):
            try:
                return await self._read_and_plan(route, agenda, due)
            except ChannelError:
                if not due.urgent:
                    raise
                return await self._stockouts(route, due)
        if agenda.later:
            await self.departure.near(route, due.count)
            return await self._plan(route, urgent=False, final=True)
        return agenda

    async def _leave(self, route: WriteRoute, agenda: Agenda) -> None:
        """Make the call, in a slot taken before it where slots are rare."""
        slot = None
        if self.departure.scarce(route):
            agenda, slot = await self.departure.leave(route, agenda, self._plan_again)
            if slot is None:
                return
        lane, held = urgency.set(int(agenda.lane)), slot_of_call.set(slot)
        try:
            await self._send(route, agenda)
        finally:
            urgency.reset(lane)
            slot_of_call.reset(held)
            if slot is not None:
                slot.give_back()  # unless the call has used it

    async def _plan(
        self, route: WriteRoute, *, urgent: bool, final: bool = False, early: bool = False,
        numbers: Mapping[int, int] | None = None, began_us: int = 0, until_us: int = 0,
    ) -> Agenda:  # fmt: skip
        hub = self.hub
        on = Occasion(
            shop=self.shop.facts, route=route, now_us=hub.clock.now_us(), key=self._key(), urgent=urgent, final=final,
            early=early, riders=self.departure.scarce(route), numbers=numbers or {}, numbers_began_us=began_us,
            until_us=until_us,
        )  # fmt: skip
        return await self._planned(lambda conn: plan_call(conn, hub.facts, on))

    async def _plan_again(self, agenda: Agenda) -> Agenda:
        now_us, key = self.hub.clock.now_us(), self._key()
        try:
            return await self._planned(lambda conn: plan_again(conn, self.hub.facts, agenda, now_us, key))
        except (StoreFull, StoreBusy):
            return agenda  # it is durable: it leaves as it is

    async def _planned(self, plan: Callable[[Connection], Agenda]) -> Agenda:
        self.shop.write_wake.clear()  # the plan sees what was committed until here; what wakes from now on may be new
        began = self.hub.clock.monotonic()
        agenda = await self.hub.store.tx(plan, priority=Priority.URGENT)
        self.departure.planned(self.hub.clock.monotonic() - began)
        return agenda

    def _key(self) -> str:
        return f"{self.shop.id}-{self.hub.clock.now_us():x}-{self.hub.rng.getrandbits(48):012x}"

    async def _read_and_plan(self, route: WriteRoute, agenda: Agenda, due: Due) -> Agenda:
        """The fence: orders first where needed, then the shop's own numbers right before the write.

        Stockouts do not wait for either. Nothing is planned when they took the slot that this was read for.
        """
        began_us, rows, polled = self.hub.clock.now_us(), due.count, agenda.need_orders
        if polled:
            await self._beside(self.intake.poll, self._look_us(route, due))
            in_time = self.departure.in_time(route, rows, began_us)
            if self._overtaken and not in_time:
                return Agenda()
            agenda = await self._plan(route, urgent=False, early=self.departure.scarce(route) and in_time)
            if agenda.intent_id is not None:
                return agenda
        if agenda.need_stock:
            began_us = self.hub.clock.now_us()
        numbers: dict[int, int] = {}
        if agenda.need_stock:
            numbers = await self._beside(partial(self._numbers, agenda.need_stock), self._look_us(route, due))
        # The rows are chosen when the slot is there, so that a stockout of the meantime still gets a place.
        until_us = 0
        if self.departure.in_time(route, rows, began_us):
            until_us = began_us + READ_HOLDS_US
            await self.departure.near(route, rows)
        elif self._overtaken:
            return Agenda()
        final = partial(
            self._plan, route, urgent=False, final=True, numbers=numbers, began_us=began_us, until_us=until_us
        )
        agenda = await final()
        if agenda.intent_id is None and agenda.need_orders and not polled:
            # only its number told that a row rises, and what rises needs the orders, too
            await self._beside(self.intake.poll, self._look_us(route, due))
            if self._overtaken and not self.departure.in_time(route, rows, began_us):
                return Agenda()
            agenda = await final()
        return agenda

    def _look_us(self, route: WriteRoute, due: Due) -> int | None:
        """When what is read for others must be left behind, or looked past."""
        if not due.urgent:
            return due.next_us
        return self.hub.clock.now_us() + int(self.departure.wait_seconds(route, due.rows[Lane.STOCKOUT]) * 1e6) + 1

    async def _numbers(self, asked: Sequence[tuple[int, str]]) -> dict[int, int]:
        """The shop's numbers of these listings, read in calls of its own size."""
        numbers: dict[int, int] = {}
        for start in range(0, len(asked), self.shop.capabilities.read_rows):
            numbers |= (await self.read(asked[start : start + self.shop.capabilities.read_rows])).numbers
        return numbers

    async def _beside(self, read: Callable[[], Awaitable[T]], look_us: int | None) -> T:
        """Read what only batch rows need, to its end: an answer on its way must be booked. Stockouts do not wait.

        They are looked for when they wake this shop's writer, and at `look_us`.
        """
        reading = Reading(read)
        async with anyio.create_task_group() as group:
            group.start_soon(reading.run, self.shop.write_wake)
            while not reading.ended:
                await self.hub.clock.wait(look_us, self.shop.write_wake)
                if not reading.ended:
                    look_us = await self._overtake()
        return reading.result()

    async def _overtake(self) -> int | None:
        """Make the call of the stockouts that are due, if any. Returns when to look again."""
        if self.shop.stopping or not self.shop.writes:
            return None  # a stop drains them
        try:
            if self.trouble.until_us > self.hub.clock.now_us():
                return self.trouble.until_us
            due = await self._due(self.hub.clock.now_us())
            if not due.urgent:
                return due.next_us
            route = self._route(due)
            wait = self.departure.wait_seconds(route, due.rows[Lane.STOCKOUT])
            if wait > 0:  # until then the read may end, and the batch call takes them along
                return self.hub.clock.now_us() + int(wait * 1e6) + 1
            self._overtaken = True
            return await self._call(route, Due({Lane.STOCKOUT: due.rows[Lane.STOCKOUT]}), early=False)
        except ChannelError as error:
            await self.trouble.met(error)
            return self.trouble.until_us
        except (StoreFull, StoreBusy) as error:
            log.error("stockout_waits", shop=self.shop.name, error=str(error))
            if isinstance(error, StoreFull):
                with suppress(ChannelError):
                    await self._zeros_without_store()
            return self.hub.clock.now_us() + int(SETTLE_AGAIN_SECONDS * 1e6)

    async def read(self, asked: Sequence[tuple[int, str]], priority: Priority = Priority.NORMAL) -> Found:
        """Read the shop's numbers of these listings and take over what they tell.

        One call, but short transactions: a large answer must not hold a stockout up.
        """
        hub, shop = self.hub, self.shop
        began_us = hub.clock.now_us()
        answer = await shop.running.read_stock([key for _, key in asked])
        ended_us = hub.clock.now_us()
        every = Found()
        for start in range(0, len(asked), ROWS_A_TRANSACTION):
            take = partial(
                take_reading, facts=hub.facts, shop=shop.facts, asked=asked[start : start + ROWS_A_TRANSACTION],
                answer=answer, began_us=began_us, ended_us=ended_us,
            )  # fmt: skip
            found = await hub.store.tx(take, priority=priority)
            hub.wake_writers(found.refreshed)
            every.add(found)
        note_drift(hub, shop, every)
        return every

    # -- one call --------------------------------------------------------------------------------------------

    async def _send(self, route: WriteRoute, agenda: Agenda) -> None:
        """Write and settle. Whatever happens, the intent is settled, in doubt, or found open at the next start."""
        hub, intent_id = self.hub, agenda.intent_id
        assert intent_id is not None
        began_us = hub.clock.now_us()
        try:
            report = await self._write(route, agenda, began_us)
        except (InDoubt, PluginFault) as error:
            dead_us = hub.clock.now_us() + int(route.dead_after_seconds * 1e6)
            note = str(error)
            await self._settle(partial(doubt_call, facts=hub.facts, intent_id=intent_id, dead_us=dead_us, note=note))
            raise
        except CallRefused as error:
            if len(agenda.rows) == 1:
                report = WriteReport((Rejected(0, Reason.OTHER, str(error)),))
            else:
                note = str(error)
                await self._settle(partial(undo_call, facts=hub.facts, intent_id=intent_id, note=note, bisect=True))
                log.info("call_bisected", shop=self.shop.name, rows=len(agenda.rows), error=str(error))
                return
        except ChannelError as error:
            await self._settle(partial(undo_call, facts=hub.facts, intent_id=intent_id, note=str(error)))
            raise
        ended_us = hub.clock.now_us()
        done = await self._keep(lambda conn: settle_call(conn, hub.facts, self.shop.facts, intent_id, report, ended_us))
        measure(hub, self.shop, agenda, done, began_us, ended_us)
        self._results.expect(report)
        hub.wake_writers(done.refreshed)
        await self.trouble.over()

    async def _write(self, route: WriteRoute, agenda: Agenda, began_us: int) -> WriteReport:
        """One call; repeated under its key while the shop promises to apply that once."""
        repeat = 0
        while True:
            try:
                return await self.shop.running.write_stock(agenda.writes, route, agenda.key)
            except InDoubt:
                repeat += 1
                alive_us = began_us + int(route.key_life_seconds * 1e6)
                if repeat > REPEATS or self.hub.clock.now_us() + int(repeat * 1e6) >= alive_us:
                    raise
                await self.hub.clock.sleep(float(repeat))

    async def _settle(self, settle: partial[Settled]) -> None:
        done = await self._keep(lambda conn: settle(conn, now_us=self.hub.clock.now_us()))
        for outcome, count in done.outcomes.items():
            self.hub.metrics.push_items.labels(self.shop.name, outcome).inc(count)

    async def _keep(self, settle: Callable[[Connection], Settled]) -> Settled:
        """Settle a call that was made, however long the disk stays full: what we know of it must not be lost."""
        while True:
            try:
                return await self.hub.store.tx(settle, priority=Priority.URGENT)
            except (StoreFull, StoreBusy) as error:
                log.error("settling_waits", shop=self.shop.name, error=str(error))
                await self.hub.clock.sleep(SETTLE_AGAIN_SECONDS)


def _earliest(one: int | None, other: int | None) -> int | None:
    times = [time for time in (one, other) if time is not None]
    return min(times) if times else None
