"""A store of ten listings with a channel on it, within the documented rates, on a clock moved by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from syncd.model import OrderState
from syncd.sdk.channel import Cursor, Form, OrderPage, ShopContext, StockWrite, WriteReport
from syncd.sdk.grants import Grants, MemoryGrants
from syncd.sdk.http import HttpClient
from syncd.sdk.settings import ShopSettings, Writes
from syncd.testing.emulator import EmulatorTransport
from syncd.testing.fakes import BudgetLimiter, ManualClock, run_until, shop_context
from syncd.testing.world import TruthOrder, World
from syncd_yahoo_shopping.channel import YahooShoppingChannel
from syncd_yahoo_shopping.emulator import YahooShoppingEmulator
from syncd_yahoo_shopping.emulator_account import Application
from syncd_yahoo_shopping.settings import YahooShoppingSettings

T = TypeVar("T")


class Recording(EmulatorTransport):
    """Keeps what was sent; `tampering` may put another answer in the place of the real one."""

    def __init__(self, emulator: YahooShoppingEmulator, sent: list[httpx.Request]) -> None:
        super().__init__(emulator.app)
        self.sent = sent
        self.tampering: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        answer = self.tampering(request)
        return answer if answer is not None else await super().handle_async_request(request)


class Mall:
    """One emulated store, and a channel that behaves as under the core."""

    def __init__(
        self,
        *,
        settings: Mapping[str, object] | None = None,
        shop: Mapping[str, object] | None = None,
        grants: Grants | None = None,
        application: Application | None = None,
        seller_id: str = "snbx-emulated",
        clock: ManualClock | None = None,
        limiter: BudgetLimiter | None = None,
        **quirks: Any,
    ) -> None:
        self.clock = clock or ManualClock()
        self.world = World(self.clock.now)
        self.market = self.world.market(seller_id)
        self.world.stock("sku", 100_000)
        self.keys = [f"tee-{i}:tee-{i}-red" if i % 2 else f"mug-{i}" for i in range(10)]
        for key in self.keys:
            self.market.offer(key, "sku", shown=500)
        self.emulator = YahooShoppingEmulator(
            self.world, self.market, self.clock, application=application, seller_id=seller_id, **quirks
        )
        self.settings, self.shop = dict(settings or {}), dict(shop or {})
        self.grants = grants or MemoryGrants()
        self.limiter = limiter or BudgetLimiter(self.clock)
        self.sent: list[httpx.Request] = []
        self.transport = Recording(self.emulator, self.sent)
        self.channel = self.open()
        self.cursor: Cursor | None = None
        self.states: dict[str, OrderState] = {}

    def open(self) -> YahooShoppingChannel:
        """Another object of the same shop, as after a restart."""

        def http(base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
            client = httpx.AsyncClient(transport=self.transport, base_url=base_url, headers=headers, trust_env=False)
            return HttpClient(client, self.clock, self.limiter)

        general = ShopSettings(**{"name": "test", "channel": "yahoo-shopping", "writes": Writes.ON, **self.shop})
        settings = YahooShoppingSettings(**{**self.emulator.settings(), **self.settings})  # type: ignore[arg-type]
        context: ShopContext = replace(shop_context(self.emulator), http=http, grants=self.grants)
        channel = YahooShoppingChannel(general, settings, context)
        self.limiter.budgets = channel.capabilities.budgets
        return channel

    async def run(self, work: Awaitable[T]) -> T:
        return await run_until(self.clock, work)

    async def page(self) -> OrderPage:
        """One fetch, its cursor kept and its states taken over as the core would."""
        page = await self.run(self.channel.fetch_orders(self.cursor))
        self.cursor = page.cursor
        for state in page.states:
            known = self.states.get(state.number)
            if known is None or known.as_of is None or state.as_of is None or state.as_of >= known.as_of:
                self.states[state.number] = state
        return page

    async def poll(self) -> list[OrderPage]:
        """Fetch until there is no more."""
        pages = [await self.page()]
        while pages[-1].more:
            pages.append(await self.page())
        return pages

    async def poll_for(self, seconds: float) -> list[OrderPage]:
        """Poll every 15 seconds for a while."""
        pages: list[OrderPage] = []
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            pages += await self.poll()
            await self.clock.advance(self.channel.capabilities.poll_seconds)
        return pages

    def buy(self, units: int = 1, key: int = 0) -> TruthOrder:
        order = self.market.buy({self.keys[key]: units})
        assert order is not None
        return order

    async def write(self, *rows: tuple[str, Form, int]) -> WriteReport:
        [route] = self.channel.capabilities.routes
        return await self.run(self.channel.write_stock([StockWrite(*row) for row in rows], route, "key"))

    def shown(self, key: int = 0) -> int:
        return self.market.listings[self.keys[key]].shown

    def held(self) -> int:
        """Units that all states hold."""
        return sum(line.counts.held for state in self.states.values() for line in state.lines)

    def calls(self, path: str) -> Sequence[httpx.Request]:
        """What was sent to one path."""
        return [request for request in self.sent if request.url.path.endswith("/" + path)]

    def answer_once(self, path: str, answer: httpx.Response) -> None:
        """Put another answer in the place of the next one of a path."""
        waiting = [answer]

        def tamper(request: httpx.Request) -> httpx.Response | None:
            return waiting.pop() if waiting and request.url.path.endswith("/" + path) else None

        self.transport.tampering = tamper


@pytest.fixture
def open_mall() -> Callable[..., Mall]:
    """Opens a store with settings and quirks."""
    return Mall


@pytest.fixture
def mall() -> Mall:
    return Mall()


@pytest.fixture
def secret() -> Callable[[str], SecretStr]:
    return SecretStr
