"""What must be looked at again and again: gauges, limits of silence, overdue shipments, the daily full sync."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from syncd.config import Settings
from syncd.daemon import measured
from syncd.daemon.booking import book_overdue
from syncd.daemon.desk_policies import count_unguaranteed
from syncd.daemon.desk_returns import inspects, waiting_units
from syncd.daemon.holds import tell_of_waiting
from syncd.daemon.hub import Hub, Shop, Status
from syncd.daemon.moves import NEGATIVE
from syncd.daemon.supervisor import Runner
from syncd.daemon.targets import refresh_due
from syncd.model import Lane, ShipmentState, from_us, to_us
from syncd.store import cleaning, counts, outbox, returned, shipments, shops
from syncd.store.engine import Priority
from syncd.store.listings import alarmed_no_longer
from syncd.telemetry.metrics import SHIPMENT_STATES

log = structlog.get_logger()
EVERY_SECONDS = 10.0
HOUR_US = 3_600_000_000
SET_BACK_US = 5_000_000
WARN_DAYS = (14, 7, 3, 1)
SILENCES = (
    "orders_silent", "writes_silent", "stockout_late", "push_late", "watermark_stands", "doubt_old", "shipment_late",
)  # fmt: skip
KEY_EXPIRES = "key_expires"
KEPT_INTENTS_US = 7 * 24 * HOUR_US
ALARM_KINDS = (
    "brake", "hand_edit", "listing_gone", "listing_not_counted", "row_refused", "unbooked_line", "unreadable",
    "orders_failing", "write_failing", "reconcile_failing", "sign_in_required", "shop_down", "orders_silent",
    "writes_silent", "stockout_late", "push_late", "doubt_old", "watermark_stands", KEY_EXPIRES, "oversold",
    "late_orders", "listing_problem", "shipments_failing", "shipment_refused", "shipment_late",
    "shop_file_misnamed", "webhooks_missing", "hints_missing", "hold_waits", "results_missing", NEGATIVE,
)  # fmt: skip


@dataclass(slots=True)
class Housekeeping:
    """The loop of the whole daemon. `turn` looks once."""

    hub: Hub
    settings: Settings
    runners: Mapping[str, Runner]
    disk: Callable[[], tuple[int, int]]
    next_hour_us: int = 0
    next_full_us: int | None = None
    late: list[str] = field(default_factory=list)
    offset_us: int | None = None
    doubts: dict[str, int] = field(default_factory=dict)  # shop -> when its oldest doubt could be read back
    parcels: dict[str, int] = field(default_factory=dict)  # shop -> since when its oldest shipment waits

    async def turn(self) -> int:
        """Look once; returns when to look again. `late` names what is late, for readiness."""
        now_us = self.hub.clock.now_us()
        await self._watch_clock(now_us)
        status, rows = await self.gauges()
        by_name = {row.name: row for row in rows}
        waiting = {(one["shop"], one["lane"]): one for one in status["outbox"]}
        late: list[str] = []
        for name, runner in list(self.runners.items()):
            row = by_name.get(name)
            if row is not None:
                late += await self._limits(runner, row, waiting, now_us)
            elif not runner.paused:
                late.append(f"{name}: {runner.now_status()}: {runner.text}")
        if status["oversold_skus"]:
            late.append(f"{status['oversold_skus']} SKUs are oversold")
        await self.hub.store.tx(lambda conn: self._oversold(conn, status["oversold_skus"]))
        self.late = late
        if now_us >= self.next_hour_us:
            await self._hourly(now_us)
            self.next_hour_us = now_us + HOUR_US
        self.hub.wake_writers(await self.hub.store.tx(lambda conn: refresh_due(conn, self.hub.facts, now_us)))
        await self._watch_escrow(now_us)
        self._full_sync(now_us)
        return now_us + int(EVERY_SECONDS * 1e6)

    async def gauges(self) -> tuple[Mapping[str, Any], list[shops.ShopRow]]:
        """Bring the gauges that are read from the store up to date; also right before a scrape."""
        status = await self.hub.store.read(counts.status)
        rows = await self.hub.store.read(shops.all_shops)
        self._gauges(status, rows)
        await self._return_gauges()
        self._shipment_gauges(await self.hub.store.read(shipments.waiting))
        return status, rows

    async def _watch_clock(self, now_us: int) -> None:
        """Notice when the host's clock was set back, and take every time that now lies ahead back with it."""
        steady_us = int(self.hub.clock.monotonic() * 1e6)
        before_us, self.offset_us = self.offset_us, now_us - steady_us
        if before_us is None or self.offset_us > before_us - SET_BACK_US:
            return
        log.warning("clock_set_back", seconds=round((before_us - self.offset_us) / 1e6))
        await self.hub.store.tx(lambda conn: cleaning.bring_back(conn, now_us))
        self.hub.set_backs += 1
        for shop in self.hub.shops.values():
            shop.wake_all()

    async def _watch_escrow(self, now_us: int) -> None:
        """Count what is in escrow and can be oversold all the same; end the alarms of bounds that hold again."""
        hub = self.hub
        escrowed, broken = await hub.store.read(lambda conn: count_unguaranteed(conn, hub.facts, now_us))
        hub.metrics.escrow_skus.set(escrowed)
        hub.metrics.escrow_unguaranteed_skus.set(broken)
        over = await hub.store.read(partial(alarmed_no_longer, kind=NEGATIVE))
        if over:
            await hub.store.tx(lambda conn: [shops.clear_alarm(conn, NEGATIVE, *one, now_us) for one in over])

    def _oversold(self, conn: Connection, skus: int) -> None:
        if skus:
            text = f"{skus} SKUs are oversold (売り越し); see: syncd orders --short"
            self.hub.raise_alarm(conn, "oversold", None, "", text)
        else:
            self.hub.clear_alarm(conn, "oversold", None)

    # -- gauges ------------------------------------------------------------------------------------------------

    def _gauges(self, status: Mapping[str, Any], rows: list[shops.ShopRow]) -> None:
        metrics = self.hub.metrics
        names = set(self.runners)
        for name in names:
            for lane in Lane:
                metrics.outbox_rows.labels(name, lane.name.lower()).set(0)
                metrics.outbox_oldest.labels(name, lane.name.lower()).set(0)
        for one in status["outbox"]:
            if one["shop"] in names:
                labels = (one["shop"], Lane(one["lane"]).name.lower())
                metrics.outbox_rows.labels(*labels).set(one["count"])
                metrics.outbox_oldest.labels(*labels).set(one["oldest_since_us"] / 1e6)
        for row in rows:
            if row.name in names:
                metrics.order_watermark.labels(row.name).set(row.watermark_us / 1e6)
        self.doubts = {one["shop"]: one["oldest_doubt_us"] for one in status["per_shop"] if one["oldest_doubt_us"]}
        for each in status["per_shop"]:
            if each["shop"] in names:
                metrics.doubts.labels(each["shop"]).set(each["doubts"])
                metrics.held_listings.labels(each["shop"]).set(each["held"])
                metrics.unbooked_lines.labels(each["shop"]).set(each["unbooked_lines"])
                metrics.intents_open.labels(each["shop"]).set(each["open_intents"])
                metrics.exposure_unknown.labels(each["shop"]).set(each["unknown_exposures"])
                metrics.exposure_limbo.labels(each["shop"]).set(each["limbo_exposures"])
        for kind in ALARM_KINDS:
            metrics.alarms.labels(kind).set(status["alarms"].get(kind, 0))
        metrics.oversold_skus.set(status["oversold_skus"])
        metrics.oversold_pieces.set(status["oversold_pieces"])
        for name, runner in self.runners.items():
            metrics.set_shop_state(name, runner.now_status())
            metrics.writing.labels(name).set(runner.shop is not None and runner.shop.writes)
        for shop in self.hub.shops.values():
            for operation, left in shop.limiter.left().items():
                metrics.budget_ratio.labels(shop.name, operation).set(left)
        wal, free = self.disk()
        metrics.wal_bytes.set(wal)
        metrics.disk_free_bytes.set(free)

    async def _return_gauges(self) -> None:
        facts = self.hub.facts
        asked = any(
            inspects(shop) for shop in facts.shops.values()
        )  # elsewhere what came back stays undecided for good
        waiting = waiting_units(facts, await self.hub.store.read(returned.waiting)) if asked else {}
        for shop_id, shop in facts.shops.items():
            self.hub.metrics.returns_waiting.labels(shop.name).set(waiting.get(shop_id, 0))

    def _shipment_gauges(self, waiting: Sequence[Mapping[str, Any]]) -> None:
        metrics = self.hub.metrics
        known = {(one["shop"], one["state"]): one for one in waiting}
        self.parcels = {}
        for name in self.runners:
            for state in SHIPMENT_STATES:
                one = known.get((name, state))
                metrics.shipments_open.labels(name, state).set(0 if one is None else one["count"])
                metrics.shipments_oldest.labels(name, state).set(0 if one is None else one["since_us"] / 1e6)
                if one is not None and state != ShipmentState.REFUSED:  # those have an alarm of their own
                    self.parcels[name] = min(self.parcels.get(name, one["since_us"]), one["since_us"])

    # -- limits of silence (promise 8) -----------------------------------------------------------------------

    async def _limits(
        self, runner: Runner, row: shops.ShopRow, waiting: Mapping[tuple[str, int], Mapping[str, Any]], now_us: int
    ) -> list[str]:
        """Raise and clear the alarms of one shop's silence; returns what is late."""
        shop = None if runner.paused else runner.shop
        found = dict(self._silences(shop, row, waiting, now_us)) if shop is not None else {}
        row = await self._key_moved(runner.shop, row)
        expiry = self._expiry(row, now_us, signs_in=runner.shop is not None and runner.shop.capabilities.signs_in)
        await self.hub.store.tx(partial(self._tell, row=row, found=found, expiry=expiry, now_us=now_us))
        if runner.paused:
            return []
        if shop is None:
            return [f"{row.name}: {runner.now_status()}: {runner.text}"]
        return list(found.values())

    @staticmethod
    def _tell(
        conn: Connection, row: shops.ShopRow, found: Mapping[str, str], expiry: tuple[int, str] | None, now_us: int
    ) -> None:
        """Open the alarms of what is late, close those of what no longer is."""
        told = shops.open_of(conn, row.id, (*SILENCES, KEY_EXPIRES))
        for kind in SILENCES:
            if kind in found:
                shops.raise_alarm(conn, kind, row.id, "", found[kind], now_us)
            elif (kind, "") in told:
                shops.clear_alarm(conn, kind, row.id, "", now_us)
        for days in WARN_DAYS:
            if expiry is not None and expiry[0] == days:
                if shops.raise_alarm(conn, KEY_EXPIRES, row.id, str(days), expiry[1], now_us):
                    log.warning("key_expires", shop=row.name, days=days)
            elif (KEY_EXPIRES, str(days)) in told:
                shops.clear_alarm(conn, KEY_EXPIRES, row.id, str(days), now_us)

    def _silences(
        self, shop: Shop, row: shops.ShopRow, waiting: Mapping[tuple[str, int], Mapping[str, Any]], now_us: int
    ) -> list[tuple[str, str]]:
        limits, name = self.settings.limits, row.name
        silent: list[tuple[str, str]] = []
        if shop.facts.reads_orders and shop.status is not Status.CLOSED:
            allowed = max(limits.order_read_seconds, 5 * shop.poll_seconds)
            age = (now_us - max(row.read_us, row.checked_us)) / 1e6
            if age > allowed:
                silent.append(("orders_silent", f"{name}: no good order read for {age:.0f} s"))
            stands = (now_us - row.watermark_us) / 1e6 - shop.facts.visibility_us / 1e6
            if row.watermark_us and stands > limits.watermark_seconds + allowed:
                silent.append(("watermark_stands", f"{name}: order watermark stands still for {stands:.0f} s"))
        if not shop.writes:
            return silent
        oldest_us = self.doubts.get(name)
        if oldest_us is not None and (age := (now_us - oldest_us) / 1e6) > limits.doubt_seconds:
            silent.append(("doubt_old", f"{name}: a write is in doubt for {age:.0f} s beyond its time"))
        oldest_us = self.parcels.get(name)
        if oldest_us is not None and (age := (now_us - oldest_us) / 1e6) > limits.shipment_seconds:
            silent.append(("shipment_late", f"{name}: a shipment waits or is in doubt for {age:.0f} s"))
        for lane, kind, seconds in (
            (Lane.STOCKOUT, "stockout_late", limits.stockout_seconds),
            (Lane.BATCH, "push_late", limits.oldest_push_seconds),
        ):
            one = waiting.get((name, int(lane)))
            if one is not None and (age := (now_us - one["oldest_since_us"]) / 1e6) > seconds:
                silent.append(
                    (kind, f"{name}: {one['count']} {lane.name.lower()} changes wait, the oldest {age:.0f} s")
                )
        if any(key[0] == name for key in waiting) and (now_us - row.wrote_us) / 1e6 > limits.write_seconds:
            oldest = min(one["oldest_since_us"] for key, one in waiting.items() if key[0] == name)
            if (now_us - oldest) / 1e6 > limits.write_seconds:
                silent.append(("writes_silent", f"{name}: no good write for {(now_us - row.wrote_us) / 1e6:.0f} s"))
        return silent

    async def _key_moved(self, shop: Shop | None, row: shops.ShopRow) -> shops.ShopRow:
        """A sign-in or a renewal moves the key's end between two daily checks; so does another shop's."""
        ends_us = row.key_expires_us if shop is None else _us(shop.key_ends)
        if ends_us == row.key_expires_us:
            return row
        await self.hub.store.tx(lambda conn: shops.set_shop(conn, row.id, key_expires_us=ends_us))
        self.hub.metrics.credential_expiry(row.name, None if ends_us is None else from_us(ends_us))
        return replace(row, key_expires_us=ends_us)

    @staticmethod
    def _expiry(row: shops.ShopRow, now_us: int, *, signs_in: bool) -> tuple[int, str] | None:
        """The warning a key's end is due, if any: 14, 7, 3 or 1 days before."""
        if row.key_expires_us is None:
            return None
        left = (row.key_expires_us - now_us) / 1e6 / 86_400
        due = [days for days in WARN_DAYS if left <= days]
        if not due:
            return None
        what, ends = ("sign-in", "ends") if signs_in else ("key", "dies")
        ends = ends if left > 0 else "ended"
        told = f"{row.name}: its {what} {ends} on {from_us(row.key_expires_us):%Y-%m-%d %H:%M} UTC"
        return min(due), f"{told}; renew it with: syncd shops sign-in {row.name}" if signs_in else told

    # -- now and then -------------------------------------------------------------------------------------------

    async def _hourly(self, now_us: int) -> None:
        store = self.hub.store
        await self.keep_measured()
        await store.tx(lambda conn: outbox.forget_done(conn, now_us - KEPT_INTENTS_US), priority=Priority.BACKGROUND)
        days = self.settings.retention.orders_days
        await store.tx(
            lambda conn: cleaning.forget_orders(conn, now_us - days * 24 * HOUR_US), priority=Priority.BACKGROUND
        )
        for shop in list(self.hub.shops.values()):
            await store.tx(partial(tell_of_waiting, shop=shop.facts, now_us=now_us), priority=Priority.BACKGROUND)
            if shop.facts.ships.startswith("after "):
                await self._ship_overdue(shop, now_us)

    async def keep_measured(self) -> None:
        """Keep what was measured of the shops; also called at a stop."""
        lags, usual = dict(self.hub.facts.lags), dict(self.hub.facts.usual)

        def keep(conn: Connection) -> None:
            measured.keep(conn, lags)
            measured.keep_usual(conn, usual)

        await self.hub.store.tx(keep, priority=Priority.BACKGROUND)

    async def _ship_overdue(self, shop: Shop, now_us: int) -> None:
        days = int(shop.facts.ships.removeprefix("after "))

        def ship(conn: Connection) -> int:
            ids = cleaning.open_orders_before(conn, shop.id, now_us - days * 24 * HOUR_US)
            if ids:
                book_overdue(conn, self.hub.facts, shop.facts, ids, now_us)
            return len(ids)

        while await self.hub.store.tx(ship, priority=Priority.BACKGROUND):
            pass

    def _full_sync(self, now_us: int) -> None:
        at = self.settings.full_sync.time_of_day
        if at is None:
            return
        if self.next_full_us is None:
            self.next_full_us = next_time_us(now_us, at.hour, at.minute, self.settings.full_sync.zone)
        if now_us >= self.next_full_us:
            self.next_full_us = next_time_us(now_us, at.hour, at.minute, self.settings.full_sync.zone)
            log.info("full_sync_started", shops=len(self.hub.shops))
            for runner in self.runners.values():
                if runner.reconcile is not None:
                    runner.reconcile.start_full_sync()


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def next_time_us(now_us: int, hour: int, minute: int, zone: str) -> int:
    """The next time a clock on the wall of that zone shows so."""
    here: datetime = from_us(now_us).astimezone(ZoneInfo(zone))
    due = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return to_us(due if due > here else due + timedelta(days=1))
