"""Take a shop's orders in: one page, one transaction, then the acknowledgement, then the writers' wake-up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import anyio
import structlog
from sqlalchemy import Connection

from syncd.daemon.booking import Booking, book_page
from syncd.daemon.findings import Found, settle_due
from syncd.daemon.hub import Hub, Shop, Trouble
from syncd.model import to_us
from syncd.sdk.channel import OrderPage
from syncd.sdk.errors import ChannelError
from syncd.store import shops
from syncd.store.engine import Priority

log = structlog.get_logger()
GAP_SECONDS = 1.0
"""Shortest time between two reads that a hint can bring about: pushes come in heaps."""


class Intake:
    """The order loop of one shop. `turn` polls once and says when to poll again."""

    def __init__(self, hub: Hub, shop: Shop) -> None:
        self.hub = hub
        self.shop = shop
        self.trouble = Trouble(hub, shop, "orders")
        self._lock = anyio.Lock()
        self._began_us: int | None = None
        self._rests_until = 0.0
        self.page_us: int | None = None
        """When the read under way last booked a page; None between reads."""

    async def turn(self) -> int | None:
        """Poll once. Returns when to poll again; None when this shop's orders are not taken in."""
        if not self.shop.facts.reads_orders:
            return None
        now_us = self.hub.clock.now_us()
        if self.trouble.until_us > now_us:
            return self.trouble.until_us
        rest = self._rests_until - self.hub.clock.monotonic()
        if self.shop.orders_hinted and rest > 0:
            return now_us + int(rest * 1e6) + 1
        self.shop.orders_hinted = False
        self._rests_until = self.hub.clock.monotonic() + GAP_SECONDS
        try:
            await self.poll()
        except ChannelError as error:
            await self.trouble.met(error)
            return max(self.trouble.until_us, self.hub.clock.now_us() + 1)
        return now_us + int(self.shop.poll_seconds * 1e6)

    async def poll(self) -> None:
        """Read all that is new, page by page. Also called by the dispatcher when a write needs it (the fence)."""
        async with self._lock:
            more = True
            try:
                while more and not self.shop.stopping:
                    more = await self._page()
                    self.page_us = self.hub.clock.now_us()
            finally:
                self.page_us = None
            await self.trouble.over()

    async def _page(self) -> bool:
        hub, shop = self.hub, self.shop
        row = await hub.store.tx(lambda conn: shops.shop_row(conn, shop.id))
        cursor = None if row.cursor is None else json.loads(row.cursor)
        began_us = hub.clock.now_us()
        if self._began_us is None:
            self._began_us = began_us
        page = await shop.running.fetch_orders(cursor)
        answered_us = hub.clock.now_us()
        whole_us = self._whole_us(page, answered_us)
        with hub.answers.booking() if page.states else nullcontext():
            booked, found = await hub.store.tx(
                partial(self._book, page=page, began_us=began_us, answered_us=answered_us, whole_us=whole_us),
                priority=Priority.URGENT,
            )
            hub.wake_writers(booked.refreshed)
            hub.wake_writers(found.refreshed)
        if found.more:
            shop.unsettled = True
            shop.reconcile_wake.set()
        if shop.writes:  # strictly after the commit, and never in dry run
            await shop.running.acknowledge(page)
        self._measure(page, booked, found)
        self._note_lags(booked.placed_us, row.orders_began_us or began_us, answered_us)
        hub.facts.read_us[shop.id] = answered_us
        if not page.more:
            self._began_us = None
        return page.more

    def _whole_us(self, page: OrderPage, answered_us: int) -> int | None:
        """Begin of the read that has now shown every order visible at that time; None in the middle of one."""
        if page.seen_until is not None:
            return min(answered_us, to_us(page.seen_until) + int(self.shop.capabilities.visibility_seconds * 1e6))
        return None if page.more else self._began_us

    def _book(
        self, conn: Connection, page: OrderPage, began_us: int, answered_us: int, whole_us: int | None
    ) -> tuple[Booking, Found]:
        hub, shop, now_us = self.hub, self.shop, self.hub.clock.now_us()
        row = shops.shop_row(conn, shop.id)
        booked = book_page(
            conn, hub.facts, shop.facts, page.states,
            began_us=began_us, answered_us=answered_us, watermark_us=row.watermark_us, now_us=now_us,
        )  # fmt: skip
        shops.save_cursor(conn, shop.id, page.cursor)
        for problem in page.problems:
            hub.raise_alarm(conn, "unreadable", shop, problem.where, f"{shop.name}: {problem.where}: {problem.what}")
        if booked.late:
            text = f"{shop.name}: {booked.late} orders showed up after the time up to which all were held to be known"
            hub.raise_alarm(conn, "late_orders", shop, "", text)
        values: dict[str, int] = {"read_us": now_us, "skew_us": hub.facts.skew_us.get(shop.id, 0)}
        found = Found()
        if whole_us is not None:
            margin = hub.facts.margin_us(shop.id)
            watermark_us = max(row.watermark_us, whole_us - shop.facts.visibility_us - margin)
            values |= {"watermark_us": watermark_us, "orders_began_us": max(row.orders_began_us, whole_us)}
            found = settle_due(conn, hub.facts, shop.facts, watermark_us, now_us)
        shops.set_shop(conn, shop.id, **values)
        return booked, found

    def _note_lags(self, placed: Sequence[int], before_us: int, answered_us: int) -> None:
        """Of each new order: how long it was hidden for certain, and how long it may have waited for this read."""
        lags, metrics, name = self.hub.facts.lags_of(self.shop.id), self.hub.metrics, self.shop.name
        for placed_us in placed:
            hidden_us = max(0, before_us - placed_us)
            waited = (answered_us - placed_us - hidden_us) / 1e6
            lags.visibility.add(hidden_us / 1e6)
            lags.poll.add(waited)
            metrics.order_visibility_seconds.labels(name).observe(hidden_us / 1e6)
            metrics.order_poll_seconds.labels(name).observe(max(0.0, waited))

    def _measure(self, page: OrderPage, booked: Booking, found: Found) -> None:
        metrics, name, now_us = self.hub.metrics, self.shop.name, self.hub.clock.now_us()
        for outcome, count in booked.outcomes.items():
            metrics.order_states.labels(name, outcome).inc(count)
        metrics.orders_ingested.labels(name).inc(len(booked.new_orders))
        metrics.late_orders.labels(name).inc(booked.late)
        metrics.negative_exposure.labels(name).inc(booked.negative)
        for placed_us in booked.placed_us:
            metrics.order_ingest_seconds.labels(name).observe(max(0.0, (now_us - placed_us) / 1e6))
        metrics.last_success.labels(name, "orders").set(now_us / 1e6)
        note_drift(self.hub, self.shop, found)
        if booked.new_orders or page.problems:
            log.debug("orders_booked", shop=name, new=len(booked.new_orders), problems=len(page.problems))


def note_drift(hub: Hub, shop: Shop, found: Found) -> None:
    """Count drift that a read or a settlement found."""
    for direction, count in found.drift.items():
        hub.metrics.drift_listings.labels(shop.name, direction).inc(count)
    if found.units:
        hub.metrics.drift_units.labels(shop.name).inc(found.units)
        log.info("drift_found", shop=shop.name, listings=sum(found.drift.values()), units=found.units)
