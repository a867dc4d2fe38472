"""One shop on the emulator, for the tests of this plugin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import pytest

from syncd.sdk.channel import Form, OrderPage, ShopContext, StockWrite, WriteReport
from syncd.sdk.http import HttpClient
from syncd.sdk.settings import ShopSettings
from syncd.testing.emulator import EmulatorTransport
from syncd.testing.fakes import ManualClock, RecordingLimiter, run_until
from syncd.testing.world import Market, World
from syncd_shopify.channel import SET, ShopifyChannel
from syncd_shopify.emulator import ShopifyEmulator
from syncd_shopify.settings import ShopifySettings

T = TypeVar("T")
A, B, C = "30322695", "30322696", "30322697"


@dataclass
class Shop:
    """A shop with three listings, 50 shown each."""

    clock: ManualClock
    world: World
    market: Market
    emulator: ShopifyEmulator
    limiter: RecordingLimiter
    channel: ShopifyChannel
    context: ShopContext
    open_orders: list[str]
    sent: list[httpx.Request] = field(default_factory=list)

    async def run(self, work: Awaitable[T]) -> T:
        return await run_until(self.clock, work)

    async def write(self, *rows: StockWrite, key: str = "key-1") -> WriteReport:
        return await self.run(self.channel.write_stock(rows, SET, key))

    async def sweep(self, cursor: Mapping[str, Any] | None = None) -> list[OrderPage]:
        """All pages of one poll."""
        pages: list[OrderPage] = []
        while not pages or pages[-1].more:
            pages.append(await self.run(self.channel.fetch_orders(cursor)))
            cursor = pages[-1].cursor
        return pages

    def shown(self, key: str) -> int:
        return self.market.listings[key].shown


class _Recording(EmulatorTransport):
    """Keeps what was sent."""

    def __init__(self, emulator: ShopifyEmulator, sent: list[httpx.Request]) -> None:
        super().__init__(emulator.app)
        self._sent = sent

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._sent.append(request)
        return await super().handle_async_request(request)


def open_shop(*, signs_in: str = "token", api_version: str = "2026-10", **quirks: str) -> Shop:
    clock = ManualClock()
    world = World(clock.now)
    market = world.market("test")
    for i, key in enumerate((A, B, C)):
        world.stock(f"SKU-{i}", 1000)
        market.offer(key, f"SKU-{i}", shown=50)
    emulator = ShopifyEmulator(world, market, clock, **quirks)
    emulator.signs_in = signs_in
    limiter = RecordingLimiter()
    sent: list[httpx.Request] = []

    def http(base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        transport = _Recording(emulator, sent)
        client = httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, trust_env=False)
        return HttpClient(client, clock, limiter)

    numbers: list[str] = []

    async def open_orders() -> list[str]:
        return numbers

    def no_files(address: object) -> Any:
        raise AssertionError("Shopify has no files")

    context = ShopContext(shop="test", clock=clock, http=http, files=no_files, open_orders=open_orders)
    settings = ShopifySettings(**{**emulator.settings(), "api_version": api_version})
    channel = ShopifyChannel(ShopSettings(name="test", channel="shopify"), settings, context)
    return Shop(clock, world, market, emulator, limiter, channel, context, numbers, sent)


@pytest.fixture
def shop_of() -> Callable[..., Shop]:
    """Opens a shop; switches of the emulator by name."""
    return open_shop


@pytest.fixture
def swap() -> Callable[[str, int, int], StockWrite]:
    """A compare-and-set row: listing, from, to."""
    return lambda listing, was, to: StockWrite(listing, Form.COMPARE_AND_SET, to, was)


@pytest.fixture
def plain() -> Callable[[str, int], StockWrite]:
    """A plain set row."""
    return lambda listing, to: StockWrite(listing, Form.ABSOLUTE, to)
