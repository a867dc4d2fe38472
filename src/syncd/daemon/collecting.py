"""What became of writes: measured when their results are there, at once or asked for later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from syncd.daemon.agenda import Agenda
from syncd.daemon.hub import Hub, Shop
from syncd.daemon.sending import Settled, doubt_call, settle_call
from syncd.model import Lane, from_us
from syncd.sdk.channel import Accepted, Pending, Rejected, WriteReport
from syncd.sdk.errors import InDoubt
from syncd.store import listings as listing_rows
from syncd.store import outbox
from syncd.store.outbox import Intent, IntentRow

log = structlog.get_logger()
ALARM = "results_missing"
COLLECT_SECONDS = 5.0
FIRST_LOOK_SECONDS = 1.0
"""Between two looks at results where a call went out since: a page that is read back right after the write shows what
was written, not yet what was sold from it."""


@dataclass(frozen=True, slots=True)
class Late:
    """A call whose results came later: what its rows had waited for, when it left, what became of it."""

    agenda: Agenda
    began_us: int
    done: Settled


class Results:
    """Results of one shop's calls that come later (`collect` of the channel)."""

    def __init__(self, hub: Hub, shop: Shop) -> None:
        self.hub = hub
        self.shop = shop
        self._again_us = 0
        self._looked_us = 0
        self._asked: dict[int, str] = {}  # the route of each call that was asked about

    def expect(self, report: WriteReport) -> None:
        """A call was made: what of it comes later is looked at soon."""
        if any(isinstance(row, Pending) for row in report.rows):
            self._again_us = min(self._again_us, self._looked_us + int(FIRST_LOOK_SECONDS * 1e6))

    async def collect(self, now_us: int) -> int | None:
        """Ask for results of earlier calls. Returns when to ask again; None when nothing is pending."""
        if not any(route.later for route in self.shop.capabilities.routes):
            return None
        if now_us < self._again_us <= now_us + int(COLLECT_SECONDS * 1e6):
            return self._again_us
        waiting = await self._still_waiting(now_us)
        self._looked_us, self._again_us = now_us, now_us + int(COLLECT_SECONDS * 1e6)
        if not waiting:
            return None
        receipts = [row.receipt for row in waiting if row.receipt is not None]
        with suppress(InDoubt):
            await self._take(waiting, await self.shop.running.collect(receipts))
        return self._again_us

    async def _still_waiting(self, now_us: int) -> list[IntentRow]:
        """Rows whose results are to come. What was asked about and is overdue is given up: it must not stay for good.

        A call is asked about once at least, however old it is: the daemon may have been down.
        """

        def look(conn: Connection) -> tuple[list[IntentRow], list[Intent]]:
            rows = outbox.pending_rows(conn, self.shop.id)
            return rows, outbox.live_intents(conn, self.shop.id, "waiting") if rows else []

        rows, calls = await self.hub.store.tx(look)
        overdue = {one.id for one in calls if one.id in self._asked and self._is_overdue(one, now_us)}
        for call in calls:
            if call.id in overdue:
                await self._give_up(call, sum(row.intent_id == call.id for row in rows))
        self._asked = {one.id: one.route for one in calls if one.id not in overdue}
        return [row for row in rows if row.intent_id in self._asked]

    def _is_overdue(self, call: Intent, now_us: int) -> bool:
        routes = self.shop.capabilities.routes
        waits = [one.longest_wait_seconds for one in routes if one.name == call.route]
        return now_us > (call.began_us + int(waits[0] * 1e6) if waits else call.dead_us)

    async def _give_up(self, call: Intent, rows: int) -> None:
        """A receipt that is never answered: its rows are in doubt and read back, and a person is told."""
        hub, shop, now_us = self.hub, self.shop, self.hub.clock.now_us()
        told = f"call {call.id} ({call.route}, {rows} listings, {from_us(call.began_us).isoformat(timespec='seconds')})"
        text = f"{shop.name} took {told} and never said what became of it: in doubt, to be read back"

        def doubt(conn: Connection) -> Settled:
            hub.raise_alarm(conn, ALARM, shop, call.route, text)
            return doubt_call(conn, hub.facts, call.id, now_us, now_us, "its result never came")

        done = await hub.store.tx(doubt)
        hub.metrics.push_items.labels(shop.name, "in_doubt").inc(done.outcomes["in_doubt"])
        hub.wake_writers(done.refreshed)

    async def _take(self, waiting: Sequence[IntentRow], answers: Mapping[str, Accepted | Rejected]) -> None:
        answered = {row.intent_id for row in waiting if row.receipt in answers}
        for intent_id in sorted(answered):
            rows = [row for row in waiting if row.intent_id == intent_id]
            results = tuple([_result(row, answers.get(row.receipt or "")) for row in rows])
            await self._settle(intent_id, WriteReport(results))

    async def _settle(self, intent_id: int, report: WriteReport) -> None:
        hub, shop, now_us = self.hub, self.shop, self.hub.clock.now_us()

        def settle(conn: Connection) -> Late:
            ended = {one.index for one in report.rows if not isinstance(one, Pending)}
            rows = [row for row in outbox.rows_of_intent(conn, intent_id) if row.position in ended]
            agenda = _waited_for(conn, rows)
            began_us = outbox.began_us(conn, intent_id)
            hub.clear_alarm(conn, ALARM, shop, self._asked[intent_id])
            return Late(agenda, began_us, settle_call(conn, hub.facts, shop.facts, intent_id, report, now_us))

        late = await hub.store.tx(settle)
        measure(hub, shop, late.agenda, late.done, late.began_us, now_us)
        hub.wake_writers(late.done.refreshed)


def _result(row: IntentRow, answer: Accepted | Rejected | None) -> Accepted | Rejected | Pending:
    """The answer about a row, by its place in its call."""
    if isinstance(answer, Accepted):
        return Accepted(row.position, answer.quantity_after)
    if isinstance(answer, Rejected):
        return Rejected(row.position, answer.reason, answer.message)
    return Pending(row.position, row.receipt or "")


def _waited_for(conn: Connection, rows: Sequence[IntentRow]) -> Agenda:
    """Lane and age of the wishes that these rows answer; one that has changed since has another call to come."""
    versions = {row.listing_id: row.version for row in rows}
    agenda = Agenda()
    for row, wish in listing_rows.pairs_by_id(conn, list(versions)):
        if wish is not None and wish.version == versions[row.id]:
            agenda.lanes[row.id], agenda.since_us[row.id] = wish.lane, wish.since_us
    return agenda


def measure(hub: Hub, shop: Shop, agenda: Agenda, done: Settled, began_us: int, ended_us: int) -> None:
    """Count a call's rows by outcome, and how long each accepted one took since its cause was known."""
    metrics, name = hub.metrics, shop.name
    for outcome, count in done.outcomes.items():
        metrics.push_items.labels(name, outcome).inc(count)
    for listing_id in done.accepted:
        lane = Lane(agenda.lanes.get(listing_id, Lane.BATCH))
        since_us = agenda.since_us.get(listing_id, began_us)
        seconds = max(0.0, (ended_us - since_us) / 1e6)
        if lane in (Lane.STOCKOUT, Lane.LOW):
            _note_lags(hub, shop, began_us - since_us, ended_us - began_us)
        if lane is Lane.STOCKOUT:
            metrics.stockout_seconds.labels(name).observe(seconds)
        metrics.push_seconds.labels(name, lane.name.lower()).observe(seconds)
    metrics.last_success.labels(name, "write").set(ended_us / 1e6)
    if refused := done.outcomes.get("rejected", 0):
        log.info("rows_refused", shop=name, rows=refused)


def _note_lags(hub: Hub, shop: Shop, queued_us: int, applied_us: int) -> None:
    """Of a change that cannot wait: how long it waited for its call, and how long the call took."""
    lags, metrics = hub.facts.lags_of(shop.id), hub.metrics
    queued, applied = max(0.0, queued_us / 1e6), max(0.0, applied_us / 1e6)
    lags.queue.add(queued)
    lags.apply.add(applied)
    metrics.push_queue_seconds.labels(shop.name).observe(queued)
    metrics.push_apply_seconds.labels(shop.name).observe(applied)
