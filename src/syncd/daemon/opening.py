"""Build a shop's channel with its seams: limiter, HTTP client, files, open orders. No network yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx
from sqlalchemy import Connection

from syncd.config import ConfigError, ShopConfig, ShopProblem, channel_settings
from syncd.daemon import measured
from syncd.daemon.facts import ShopFacts
from syncd.daemon.grants import KeptGrants, ShopGrants
from syncd.daemon.hub import Hub, Shop
from syncd.daemon.limits import Budgets, ShopLimiter
from syncd.daemon.plugins import Plugins
from syncd.daemon.running import PluginFault, Running
from syncd.sdk.channel import Budget, Capabilities, Channel, Quantity, ShopContext, WriteRoute
from syncd.sdk.files import FilesOpener
from syncd.sdk.http import HttpClient
from syncd.sdk.mail import MailOpener
from syncd.sdk.settings import ChannelSettings, Orders, ShopSettings, Writes
from syncd.store import orders as order_rows
from syncd.store import shops, stock
from syncd.telemetry import redact


class Transports(Protocol):
    """The seam to the network, per shop: None is the real one. Emulators in process give their own."""

    def http(self, shop: str) -> httpx.AsyncBaseTransport | None: ...

    def files(self, shop: str) -> FilesOpener: ...

    def mail(self, shop: str) -> MailOpener: ...


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """How channels are built: known plugins, shared budgets, the seam to the network, kept grants, where pushes go."""

    plugins: Plugins
    budgets: Budgets
    transports: Transports
    grants: KeptGrants
    webhooks_url: str = ""


async def open_shop(hub: Hub, config: ShopConfig, how: OpenChannel) -> Shop:
    """Build a shop's channel and its facts; no network is touched.

    Raises ConfigError or SecondShop for what a person must mend, PluginFault for a bug of the plugin.
    """
    if config.problems:
        raise ConfigError(config.problems)
    shop = config.shop
    channel_type = how.plugins.channels.get(shop.channel)
    if channel_type is None:
        known = ", ".join(sorted(how.plugins.channels)) or "none"
        raise _refused(config, f"no plugin gives channel {shop.channel!r}; known: {known}")
    settings = channel_settings(config, channel_type.settings_type)
    limiter = how.budgets.limiter()

    def row_and_locations(conn: Connection) -> tuple[shops.ShopRow, tuple[int, ...]]:
        row = shops.ensure_shop(conn, shop.name, shop.channel)
        known = stock.location_ids(conn, shop.locations)
        return row, tuple(known[name] for name in shop.locations)

    row, locations = await hub.store.tx(row_and_locations)
    if row.id not in hub.facts.lags:
        kept = await hub.store.tx(lambda conn: (measured.kept(conn, row.id), measured.kept_usual(conn, row.id)))
        hub.facts.lags[row.id], hub.facts.usual[row.id] = kept
    shop_id = row.id

    async def open_orders() -> Sequence[str]:
        return await hub.store.tx(lambda conn: order_rows.open_numbers(conn, shop_id))

    grants = how.grants.of(shop.name, shop.channel)
    context = ShopContext(
        shop=shop.name,
        clock=hub.clock,
        http=_opener(hub, shop, shop_id, limiter, how.transports),
        files=how.transports.files(shop.name),
        open_orders=open_orders,
        grants=grants,
        mail=how.transports.mail(shop.name),
    )
    channel, capabilities = _built(config, channel_type, settings, context)
    how.budgets.declare(limiter, shop.name, shop.channel, capabilities.budgets)
    facts = facts_of(shop, row, locations, capabilities)
    hub.facts.shops[shop_id] = facts
    hub.facts.skew_us.setdefault(shop_id, row.skew_us)
    hub.facts.read_us.setdefault(shop_id, row.read_us)
    operations = sorted({one for budget in capabilities.budgets for one in budget.operations})
    hub.metrics.shop(shop.name, operations=operations, budgets=operations)
    hub.metrics.unfenced.labels(shop.name).set(not facts.reads_orders)
    opened = _shop(hub, shop, channel, capabilities, facts, limiter, grants)
    opened.settings = settings
    return opened


def _refused(config: ShopConfig, text: str) -> ConfigError:
    return ConfigError([ShopProblem(file=config.file, shop=config.name, text=text)])


def _built(
    config: ShopConfig, channel_type: type[Channel], settings: ChannelSettings, context: ShopContext
) -> tuple[Channel, Capabilities]:
    """The channel object and what it declares; whatever else its constructor raises is a bug of that plugin alone."""
    try:
        channel = channel_type(config.shop, settings, context)
        capabilities = channel.capabilities
        wrong = _nonsense(capabilities)
    except ValueError as error:
        raise _refused(config, str(error)) from error
    except Exception as error:
        raise PluginFault(redact(f"{config.name}: cannot be built: {type(error).__name__}: {error}")) from error
    if wrong:
        raise PluginFault(f"{config.name}: declares {wrong}")
    if capabilities.quantity is not Quantity.AVAILABLE:
        raise _refused(config, f"channel {config.shop.channel} shows on-hand numbers, which cannot be written yet")
    return channel, capabilities


def _nonsense(given: object) -> str:
    """What of a plugin's capabilities our own loops could not work with; empty when all is well."""
    if not isinstance(given, Capabilities):
        return "capabilities that are no Capabilities"
    for route in given.routes:
        if not isinstance(route, WriteRoute) or route.max_rows < 1:
            return f"the write route {route!r:.100}"
    for budget in given.budgets:
        if not isinstance(budget, Budget) or min(budget.per_second, budget.burst, budget.margin) <= 0:
            return f"the budget {budget!r:.100}"
    if given.read_rows < 1 or given.poll_seconds <= 0 or given.visibility_seconds < 0:
        return f"read_rows {given.read_rows}, poll_seconds {given.poll_seconds}, visibility {given.visibility_seconds}"
    return ""


def _shop(
    hub: Hub, shop: ShopSettings, channel: Channel, capabilities: Capabilities, facts: ShopFacts,
    limiter: ShopLimiter, grants: ShopGrants,
) -> Shop:  # fmt: skip
    return Shop(
        facts=facts,
        channel=shop.channel,
        running=Running(shop.name, channel, hub.clock, hub.metrics),
        capabilities=capabilities,
        limiter=limiter,
        poll_seconds=shop.poll_seconds or capabilities.poll_seconds,
        reconcile_seconds=shop.reconcile_seconds,
        grants=grants,
    )


def _first(set_seconds: float | None, own_seconds: float) -> float:
    """A setting of the shop, or where it is not set the channel's own."""
    return own_seconds if set_seconds is None else set_seconds


def facts_of(
    shop: ShopSettings, row: shops.ShopRow, locations: tuple[int, ...], capabilities: Capabilities
) -> ShopFacts:
    """What bookings and plans must know of a shop."""
    started = row.started and shop.writes is not Writes.OFF
    return ShopFacts(
        id=row.id,
        name=shop.name,
        location_ids=locations,
        ships=shop.ships,
        returns=shop.returns,
        restocks=capabilities.restocks_on_cancel,
        most=capabilities.max_quantity,
        visibility_us=int(_first(shop.visibility_seconds, capabilities.visibility_seconds) * 1e6),
        reads_orders=capabilities.reads_orders and shop.orders is Orders.ON,
        reads_stock=capabilities.reads_stock,
        writes=Writes.ON if started else shop.writes,
        hand_edits=shop.hand_edits,
        folds_keys=not capabilities.listing_case_sensitive,
        returns_by_reason=shop.returns_by_reason,
        takes_shipments=capabilities.takes_shipments,
        forms=frozenset().union(*(route.forms for route in capabilities.routes)),
        dead_after_us=int(max((route.dead_after_seconds for route in capabilities.routes), default=0.0) * 1e6),
        poll_us=int((shop.poll_seconds or capabilities.poll_seconds) * 1e6),
        shows_shipments=capabilities.shows_shipments and shop.ships == "reported",
    )


def _opener(
    hub: Hub, shop: ShopSettings, shop_id: int, limiter: ShopLimiter, transports: Transports
) -> Callable[..., HttpClient]:
    def observe(*, operation: str, outcome: str, seconds: float, skew_us: int | None) -> None:
        hub.metrics.http_requests.labels(shop.name, operation, outcome).inc()
        hub.metrics.request_seconds.labels(shop.name, operation).observe(seconds)
        if skew_us:
            hub.facts.skew_us[shop_id] = max(hub.facts.skew_us.get(shop_id, 0), abs(skew_us))

    def open_client(base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        client = httpx.AsyncClient(
            base_url=base_url,
            headers=dict(headers or {}),
            timeout=None,  # noqa: S113  # the limit is ours, on the Clock, in HttpClient.send
            follow_redirects=False,
            trust_env=True,
            transport=transports.http(shop.name),
        )
        return HttpClient(client, hub.clock, limiter, observe, shop.timeout_seconds)

    return open_client
