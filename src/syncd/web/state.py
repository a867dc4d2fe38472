"""The daemon's state in words: for /status, /shops and /readyz."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from sqlalchemy import Connection

from syncd.daemon.desk_answers import NotFound, names
from syncd.daemon.hub import Shop, Status
from syncd.model import Lane
from syncd.sdk.channel import Capabilities
from syncd.store import counts as rows
from syncd.store import shipments
from syncd.store.engine import StoreError
from syncd.store.shops import ShopRow, all_shops
from syncd.web.context import WebContext
from syncd.web.models import Health
from syncd.web.shapes import iso, public, quantiles

PING_SECONDS = 2.0


@dataclass(slots=True)
class Known:
    """One shop's row with what waits for it. `oldest_us`: since when the oldest change of each lane waits."""

    row: ShopRow
    waiting: dict[str, int] = field(default_factory=lambda: {lane.name.lower(): 0 for lane in Lane})
    oldest_us: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def known_shops(conn: Connection) -> dict[str, Known]:
    """Every shop ever configured, by name."""
    found = {row.name: Known(row) for row in all_shops(conn)}
    for one in rows.outbox_counts(conn):
        found[one["shop"]].waiting[Lane(one["lane"]).name.lower()] = one["count"]
        found[one["shop"]].oldest_us.append(one["oldest_since_us"])
    for one in rows.shop_counts(conn):
        found[one["shop"]].counts = {name: value for name, value in one.items() if name != "shop"}
    return found


async def status(context: WebContext) -> dict[str, Any]:
    """The whole daemon on one page."""
    store = context.hub.store
    counts = await store.read(rows.status)
    plain = {name: value for name, value in counts.items() if not isinstance(value, list | dict)}
    return {
        "daemon": "not running" if context.offline else "running",
        "version": context.version,
        "started_at": None if context.offline else iso(context.started_us),
        "now": iso(context.hub.clock.now_us()),
        "database": None if store.path is None else str(store.path),
        **plain,
        "alarms": counts["alarms"],
        "stockout_seconds": stockouts(context),
        "shops": await shops(context),
        "outbox": [public(one) for one in counts["outbox"]],
        "shipments": [public(one) for one in await store.read(shipments.waiting)],
        "listings": counts["listings"],
        "late": [*context.stuck(), *context.late()],
        "warnings": [*store.warnings, *context.warnings()],
    }


def stockouts(context: WebContext) -> dict[str, dict[str, float | None]]:
    """p50 and p99 of the stockout's latency, over all shops and by shop."""
    every: dict[float, float] = defaultdict(float)
    by_shop: dict[str, list[tuple[float, float]]] = {}
    for family in context.hub.metrics.stockout_seconds.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                every[bound] += sample.value
                by_shop.setdefault(sample.labels["shop"], []).append((bound, sample.value))
    measured = {shop: quantiles(rows, 0.5, 0.99) for shop, rows in by_shop.items() if any(count for _, count in rows)}
    return {"all": quantiles(every.items(), 0.5, 0.99)} | measured


async def shops(context: WebContext) -> list[dict[str, Any]]:
    """Every shop with how it stands; those whose file is broken too."""
    known = await context.hub.store.read(known_shops)
    drift = _counted(context.hub.metrics.drift_units)
    broken = context.broken_shops()
    found = [summary(context, one, drift.get(one.row.name, 0)) for one in known.values()]
    found += [_broken(name, text) for name, text in broken.items() if name not in known]
    return sorted(found, key=lambda one: str(one["name"]))


async def shop(context: WebContext, name: str) -> dict[str, Any]:
    """One shop in full."""
    known = await context.hub.store.read(known_shops)
    one = known.get(name)
    if one is None:
        broken = context.broken_shops()
        if name in broken:
            return _broken(name, broken[name])
        raise NotFound(f"there is no shop {name}; shops: {names(sorted([*known, *broken]))}", "shop")
    running, settings, row = running_shop(context, name), context.settings_of(name), one.row
    drift = _counted(context.hub.metrics.drift_units)
    return summary(context, one, drift.get(name, 0)) | {
        "account": row.account,
        "key_expires_at": iso(row.key_expires_us),
        "checked_at": iso(row.checked_us),
        "watermark_at": iso(row.watermark_us),
        "skew_seconds": context.hub.facts.skew_us.get(row.id, row.skew_us) / 1e6,
        "locations": None if settings is None else list(settings.locations),
        "poll_seconds": None if running is None else running.poll_seconds,
        "reconcile_seconds": None if running is None else running.reconcile_seconds,
        "capabilities": None if running is None else capabilities(running.capabilities),
    }


def running_shop(context: WebContext, name: str) -> Shop | None:
    """The loaded shop of a name."""
    return next((one for one in context.hub.shops.values() if one.name == name), None)


def _broken(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "channel": None, "status": Status.CONFIG_ERROR.value, "status_text": text}


def state_of(context: WebContext, one: Known) -> str:
    """How a shop stands, in one word: the loaded shop knows it best."""
    running = running_shop(context, one.row.name)
    if one.row.paused:
        return Status.PAUSED.value
    told = context.status_of(one.row.name)
    if running is None or context.offline:
        return told or one.row.status
    return running.status.value


def summary(context: WebContext, one: Known, drift: int) -> dict[str, Any]:
    """One shop in a line."""
    row, now_us = one.row, context.hub.clock.now_us()
    facts, counts = context.hub.facts.shops.get(row.id), dict(one.counts)
    return {
        "name": row.name,
        "channel": row.channel,
        "status": state_of(context, one),
        "status_text": context.broken_shops().get(row.name, row.status_text),
        "orders": None if facts is None else ("on" if facts.reads_orders else "off"),
        "writes": None if facts is None else facts.writes.value,
        "started": bool(row.started),
        "paused": bool(row.paused),
        "last_order_read": iso(row.read_us),
        "last_write": iso(row.wrote_us),
        "oldest_push": iso(min(one.oldest_us, default=0)),
        "oldest_doubt": iso(counts.pop("oldest_doubt_us", 0)),
        "lag_seconds": round((now_us - row.watermark_us) / 1e6, 3) if row.watermark_us else None,
        "outbox": one.waiting,
        **counts,
        "drift": drift,
    }


def _counted(metric: MetricWrapperBase) -> dict[str, int]:
    """A counter by shop, without making a label set."""
    samples: Iterable[Any] = (sample for family in metric.collect() for sample in family.samples)
    return {one.labels["shop"]: int(one.value) for one in samples if one.name.endswith("_total")}


def capabilities(has: Capabilities) -> dict[str, Any]:
    """What a shop can do, for people who wonder why."""
    routes = [
        {"name": one.name, "forms": sorted(one.forms), "max_rows": one.max_rows, "later": one.later,
         "dead_after_seconds": one.dead_after_seconds}
        for one in has.routes
    ]  # fmt: skip
    plain = (
        "visibility_seconds", "poll_seconds", "shows_cancels", "shows_shipments", "reads_orders", "reads_stock",
        "publishes_webhooks", "listens", "takes_shipments", "lists_listings", "signs_in", "max_quantity",
        "listing_case_sensitive",
    )  # fmt: skip
    return {
        "quantity": has.quantity.value,
        "order_filter": has.order_filter.value,
        "restocks_on_cancel": has.restocks_on_cancel.value,
        "routes": routes,
        **{name: getattr(has, name) for name in plain},
        "listing_options": sorted(has.listing_options),
    }


async def health(context: WebContext) -> Health:
    """Whether the daemon can do its work: its loops turn and the database answers. A late shop is only named."""
    hub, core = context.hub, [*context.stuck()]
    known: dict[str, Known] = {}
    began = hub.clock.monotonic()
    try:
        with hub.clock.limit(PING_SECONDS):
            await hub.store.ping()
            known = await hub.store.read(known_shops)
    except TimeoutError:
        core.append(f"the database: no answer within {PING_SECONDS:.0f} s")
    except StoreError as error:
        core.append(f"the database: {error}")
    late = [*context.late()]
    return Health(
        status="not ready" if core else "late" if late else "ok",
        late=core + late,
        shops=dict.fromkeys(context.broken_shops(), Status.CONFIG_ERROR.value)
        | {name: state_of(context, one) for name, one in known.items()},
        database_seconds=round(hub.clock.monotonic() - began, 6),
        at=hub.clock.now(),
    )
