"""Shops without a mall behind them: a channel that gives prepared pages, and the shared parts of a daemon around it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import ClassVar

from syncd.clock import Clock
from syncd.core.policy import AUTO
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.grants import KeptGrants
from syncd.daemon.hub import Hub, Shop
from syncd.daemon.limits import Budgets
from syncd.daemon.running import Running
from syncd.sdk.channel import Capabilities, Channel, CheckReport, Cursor, OrderPage, Restock
from syncd.sdk.settings import ChannelSettings, Writes
from syncd.store import shops, stock
from syncd.store.engine import Store
from syncd.store.vault import Vault
from syncd.telemetry import Metrics


class PreparedPages(Channel):
    """A shop whose whole feed is prepared."""

    slug: ClassVar[str] = "prepared"
    title: ClassVar[str] = "Prepared pages"
    settings_type: ClassVar[type[ChannelSettings]] = ChannelSettings

    def __init__(self, pages: Iterator[OrderPage]) -> None:
        self._pages = pages

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(reads_stock=True, restocks_on_cancel=Restock.YES)

    async def check(self) -> CheckReport:
        return CheckReport("prepared")

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        return next(self._pages)


def hub_of(store: Store, clock: Clock) -> Hub:
    """The shared parts of a daemon over a store, without any loop."""
    return Hub(store, clock, Facts(policy=AUTO), Metrics(clock=clock), Random(1))


def facts_of(shop_id: int, name: str, location: int) -> ShopFacts:
    return ShopFacts(
        id=shop_id, name=name, location_ids=(location,), restocks=Restock.YES, reads_stock=True, writes=Writes.ON
    )


async def shop_of(hub: Hub, name: str, channel: Channel) -> Shop:
    """A shop of the store, taken up by the hub."""
    row = await hub.store.tx(lambda conn: shops.shop_named(conn, name))
    assert row is not None
    places = await hub.store.tx(lambda conn: stock.location_ids(conn, ["main"]))
    facts = hub.facts.shops[row.id] = facts_of(row.id, name, places["main"])
    running = Running(name, channel, hub.clock, hub.metrics)
    limiter = Budgets(hub.clock).limiter()
    grants = KeptGrants(hub.store, hub.clock, Vault.passing()).of(name, row.channel)
    shop = Shop(facts, row.channel, running, channel.capabilities, limiter, 60, 3600, grants)
    hub.shops[row.id] = shop
    return shop
