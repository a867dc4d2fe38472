"""Prometheus metrics on a registry of their own. Labels come from closed sets: never a SKU, an order or a text.

Every label set is made at the start with 0, or absence would look like health. Times are exported as time
stamps, not ages; 0 there means "never" (or, for the outbox, "nothing waits"), NaN "not known".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import product

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from syncd.clock import Clock, SystemClock
from syncd.model import Lane
from syncd.telemetry.kinds import Counter, Gauge, Histogram

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

SHOP_STATES = ("loaded", "config_error", "failed_check", "running", "paused", "closed", "sign_in_required")
LANES = tuple(lane.name.lower() for lane in Lane)
HTTP_OUTCOMES = ("2xx", "3xx", "4xx", "5xx", "throttled", "unreachable", "timeout", "broken", "error")
CALLS = (
    "check",
    "fetch_orders",
    "acknowledge",
    "write_stock",
    "read_stock",
    "collect",
    "list_listings",
    "set_listing_options",
    "send_shipments",
    "sign_in_page",
    "sign_in",
    "register_webhooks",
    "receive",
    "aclose",
)
CALL_OUTCOMES = (
    "ok",
    "try_again",
    "throttled",
    "unavailable",
    "in_doubt",
    "call_refused",
    "sign_in_required",
    "closed",
    "broken_answer",
    "hung",
    "fault",
)
PUSH_OUTCOMES = ("accepted", "rejected", "pending", "unreported", "in_doubt", "untouched")
ORDER_OUTCOMES = ("new", "changed", "same", "older")
SHIPMENT_OUTCOMES = ("accepted", "refused", "in_doubt", "queued")
SHIPMENT_STATES = ("queued", "sent", "in_doubt", "refused")
HOOK_OUTCOMES = ("taken", "repeated", "idle", "forged", "failed", "throttled", "too_large", "cut_off")
SUCCESS_OPS = ("orders", "write")
DRIFT_DIRECTIONS = ("up", "down")  # the shop shows more or less than believed

REQUEST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STOCKOUT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
INGEST_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
DAY_SECONDS = 86_400


def call_outcome(error: BaseException) -> str:
    """The outcome label of a plugin call that raised: its nearest class with a label, or else `fault`.

    By class name, so that a plugin's own subclass of a channel error opens no label of its own.
    """
    for kind in type(error).__mro__:
        outcome = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        if outcome in CALL_OUTCOMES:
            return outcome
    return "fault"


class Metrics:
    """Every metric of one daemon, as attributes. Two in one process do not meet."""

    def __init__(self, *, version: str = "", clock: Clock | None = None) -> None:
        # Process-wide by the library's design: `_created` series would double the number of series.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self._clock = clock or SystemClock()
        self._shops: set[str] = set()
        self._expiries: dict[str, datetime] = {}
        self._make_traffic()
        self._make_latencies()
        self._make_shop_gauges()
        self._make_process_gauges()
        self.build_info.labels(version).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _make_traffic(self) -> None:
        counter = self._counter
        self.http_requests = counter("syncd_http_requests_total", "Requests to shops.", "shop", "op", "outcome")
        self.plugin_calls = counter("syncd_plugin_calls_total", "Calls of plugins.", "shop", "call", "outcome")
        self.orders_ingested = counter("syncd_orders_ingested_total", "Orders booked for the first time.", "shop")
        self.order_states = counter("syncd_order_states_total", "Order states read, by use.", "shop", "outcome")
        self.push_items = counter("syncd_push_items_total", "Listings written, by answer.", "shop", "outcome")
        self.shipments = counter("syncd_shipments_total", "Shipments told, by answer.", "shop", "outcome")
        self.webhooks = counter("syncd_webhooks_total", "Pushes from shops.", "shop", "outcome")
        self.negative_exposure = counter(
            "syncd_negative_exposure_total", "Listings found to have sold more than they were given.", "shop"
        )
        self.late_orders = counter("syncd_late_orders_total", "Orders found after the watermark passed them.", "shop")
        self.drift_units = counter("syncd_drift_units_total", "Units by which shops differed from believed.", "shop")
        self.drift_listings = counter(
            "syncd_drift_listings_total", "Listings showing more or less than believed.", "shop", "direction"
        )

    def _make_latencies(self) -> None:
        histogram = self._histogram
        self.request_seconds = histogram(
            "syncd_request_seconds", "Time of a request to a shop.", REQUEST_BUCKETS, "shop", "op"
        )
        self.stockout_seconds = histogram(
            "syncd_stockout_seconds",
            "From the end of the request that first could show the order to acceptance by this shop.",
            STOCKOUT_BUCKETS,
            "shop",
        )
        self.push_seconds = histogram(
            "syncd_push_seconds", "From a change to its acceptance by the shop.", STOCKOUT_BUCKETS, "shop", "lane"
        )
        self.order_ingest_seconds = histogram(
            "syncd_order_ingest_seconds", "From placed (or first visible) to booked.", INGEST_BUCKETS, "shop"
        )
        self.order_visibility_seconds = histogram(
            "syncd_order_visibility_seconds", "From accepted to readable at the shop, at least.", INGEST_BUCKETS, "shop"
        )
        self.order_poll_seconds = histogram(
            "syncd_order_poll_seconds", "From readable at the shop to read, at most.", INGEST_BUCKETS, "shop"
        )
        self.push_queue_seconds = histogram(
            "syncd_push_queue_seconds", "From a change that cannot wait to its call.", STOCKOUT_BUCKETS, "shop"
        )
        self.push_apply_seconds = histogram(
            "syncd_push_apply_seconds", "From that call to its acceptance.", STOCKOUT_BUCKETS, "shop"
        )
        self.commit_seconds = histogram("syncd_commit_seconds", "Time of one commit of the store.", COMMIT_BUCKETS)
        self.event_loop_lag_seconds = histogram(
            "syncd_event_loop_lag_seconds", "How late the event loop runs what is due.", LAG_BUCKETS
        )

    def _make_shop_gauges(self) -> None:
        gauge = self._gauge
        self.outbox_rows = gauge("syncd_outbox_rows", "Changes that wait.", "shop", "lane")
        self.outbox_oldest = gauge(
            "syncd_outbox_oldest_timestamp_seconds", "Since when the oldest change waits; 0: none.", "shop", "lane"
        )
        self.shipments_open = gauge("syncd_shipments_open", "Shipments that their shop has not taken.", "shop", "state")
        self.shipments_oldest = gauge(
            "syncd_shipments_oldest_timestamp_seconds", "Since when the oldest of them waits; 0: none.", "shop", "state"
        )
        self.returns_waiting = gauge("syncd_returns_waiting", "Returned units that wait to be inspected.", "shop")
        self.last_success = gauge(
            "syncd_shop_last_success_timestamp_seconds", "Last good order read or write; 0: never.", "shop", "op"
        )
        self.order_watermark = gauge(
            "syncd_order_watermark_timestamp_seconds", "Orders are read up to here; 0: never read.", "shop"
        )
        self.doubts = gauge("syncd_doubts", "Listings whose last write is in doubt.", "shop")
        self.exposure_unknown = gauge(
            "syncd_exposure_unknown_listings", "Listings of ours of which nobody knows what they can sell.", "shop"
        )
        self.exposure_limbo = gauge(
            "syncd_exposure_limbo_listings", "Listings with a lost write that is not proven yet.", "shop"
        )
        self.intents_open = gauge("syncd_intents_open", "Calls made and not settled.", "shop")
        self.credential_expiry_timestamp = gauge(
            "syncd_credential_expiry_timestamp_seconds", "When the shop's key dies; NaN: not known.", "shop"
        )
        self.credential_expiry_days = gauge(
            "syncd_credential_expiry_days", "Days until the shop's key dies; NaN: not known.", "shop"
        )
        self.shop_state = gauge("syncd_shop_state", "1 for the state the shop is in, else 0.", "shop", "state")
        self.unbooked_lines = gauge("syncd_unbooked_lines", "Order lines of unknown listings.", "shop")
        self.held_listings = gauge("syncd_held_listings", "Listings held by the brake.", "shop")
        self.writing = gauge("syncd_shop_writing", "1 where stock is really written: started, and running.", "shop")
        self.unfenced = gauge("syncd_unfenced", "1 where raises are written without reading orders first.", "shop")
        self.budget_ratio = gauge("syncd_budget_ratio", "Share of a rate budget that is left.", "shop", "budget")

    def _make_process_gauges(self) -> None:
        gauge = self._gauge
        self.oversold_skus = gauge("syncd_oversold_skus", "SKUs whose free stock is below zero.")
        self.oversold_pieces = gauge("syncd_oversold_pieces", "Pieces missing over all oversold SKUs.")
        self.escrow_skus = gauge("syncd_escrow_skus", "SKUs in escrow.")
        self.escrow_unguaranteed_skus = gauge(
            "syncd_escrow_unguaranteed_skus", "SKUs in escrow that can be oversold now all the same."
        )
        self.alarms = gauge("syncd_alarms", "Open alarms.", "kind")
        self.wal_bytes = gauge("syncd_wal_bytes", "Size of the store's write-ahead log.")
        self.disk_free_bytes = gauge("syncd_disk_free_bytes", "Free space where the store lies.")
        self.backup_last_success = gauge(
            "syncd_backup_last_success_timestamp_seconds", "Last good `syncd backup`; 0: never."
        )
        self.build_info = gauge("syncd_build_info", "1, labelled with the running version.", "version")

    def shop(self, name: str, *, operations: Iterable[str] = (), budgets: Iterable[str] = ()) -> None:
        """Make every label set of a shop. Again with more operations or budgets adds those; values stay."""
        self._shops.add(name)
        operations = tuple(operations)
        self._make(name, self.http_requests, operations, HTTP_OUTCOMES)
        self._make(name, self.request_seconds, operations)
        self._make(name, self.budget_ratio, budgets)
        self._make(name, self.plugin_calls, CALLS, CALL_OUTCOMES)
        self._make(name, self.order_states, ORDER_OUTCOMES)
        self._make(name, self.webhooks, HOOK_OUTCOMES)
        self._make(name, self.push_items, PUSH_OUTCOMES)
        self._make(name, self.drift_listings, DRIFT_DIRECTIONS)
        self._make(name, self.last_success, SUCCESS_OPS)
        self._make(name, self.shipments, SHIPMENT_OUTCOMES)
        self._make(name, self.shipments_open, SHIPMENT_STATES)
        self._make(name, self.shipments_oldest, SHIPMENT_STATES)
        self._make(name, self.shop_state, SHOP_STATES)
        by_lane: tuple[MetricWrapperBase, ...] = (self.push_seconds, self.outbox_rows, self.outbox_oldest)
        for metric in by_lane:
            self._make(name, metric, LANES)
        for metric in self.collectors():
            if tuple(metric._labelnames) == ("shop",):  # noqa: SLF001  # the library tells them nowhere else
                metric.labels(name)
        self.credential_expiry(name, self._expiries.get(name))

    @staticmethod
    def _make(shop: str, metric: MetricWrapperBase, *sets: Iterable[str]) -> None:
        for values in product(*sets):
            metric.labels(shop, *values)

    def forget_shop(self, name: str) -> None:
        """Drop every label set of a shop that is no longer configured."""
        self._shops.discard(name)
        self._expiries.pop(name, None)
        for metric in self.collectors():
            if "shop" in metric._labelnames:  # noqa: SLF001  # the library tells them nowhere else
                metric.remove_by_labels({"shop": name})

    def set_shop_state(self, shop: str, state: str) -> None:
        """The shop is in this state and no other. Raises ValueError for a state that is none."""
        if state not in SHOP_STATES:
            raise ValueError(f"no shop state: {state}")
        for each in SHOP_STATES:
            self.shop_state.labels(shop, each).set(each == state)

    def credential_expiry(self, shop: str, moment: datetime | None) -> None:
        """When the shop's key dies; None where that is not known or never."""
        if moment is None:
            self._expiries.pop(shop, None)
            self.credential_expiry_timestamp.labels(shop).set(float("nan"))
            self.credential_expiry_days.labels(shop).set(float("nan"))
        else:
            self._expiries[shop] = moment
            self.credential_expiry_timestamp.labels(shop).set(moment.timestamp())

    def alarm_kinds(self, kinds: Iterable[str]) -> None:
        """Make the label set of every kind of alarm there is."""
        for kind in kinds:
            self.alarms.labels(kind)

    def collectors(self) -> tuple[MetricWrapperBase, ...]:
        """Every metric of syncd's own."""
        return tuple(value for value in vars(self).values() if isinstance(value, MetricWrapperBase))

    def render(self) -> tuple[bytes, str]:
        """What /metrics answers: the body and its content type."""
        for shop, moment in self._expiries.items():
            days = (moment - self._clock.now()).total_seconds() / DAY_SECONDS
            self.credential_expiry_days.labels(shop).set(days)
        return generate_latest(self.registry), CONTENT_TYPE
