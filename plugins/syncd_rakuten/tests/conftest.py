"""A mall of ten listings with a channel on it, within the documented rates, on a clock moved by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from syncd.model import OrderState
from syncd.sdk.channel import Channel, Cursor, Form, OrderPage, StockWrite, WriteReport
from syncd.testing.fakes import BudgetLimiter, ManualClock, open_channel, run_until
from syncd.testing.world import TruthOrder, World
from syncd_rakuten.channel import CAPABILITIES, RakutenChannel
from syncd_rakuten.emulator import RakutenEmulator

T = TypeVar("T")


class Mall:
    """One emulated shop, and a channel that behaves as under the core."""

    def __init__(self, shop_settings: dict[str, Any] | None = None, **quirks: str) -> None:
        self.clock = ManualClock()
        self.world = World(self.clock.now)
        self.market = self.world.market("rakuten", visibility_seconds=0)
        self.world.stock("sku", 100_000)
        self.keys = [f"item-{i}/Sku-{i}" for i in range(10)]
        for key in self.keys:
            self.market.offer(key, "sku", shown=500)
        self.emulator = RakutenEmulator(self.world, self.market, self.clock, **quirks)
        self.open_orders: list[str] = []
        self.shop_settings = shop_settings
        self.channel = self.open()
        self.cursor: Cursor | None = None
        self.states: dict[str, OrderState] = {}

    def open(self) -> Channel:
        async def numbers() -> Sequence[str]:
            return list(self.open_orders)

        return open_channel(
            RakutenChannel,
            self.emulator,
            open_orders=numbers,
            limiter=BudgetLimiter(self.clock, CAPABILITIES.budgets),
            shop_settings=self.shop_settings,
        )

    async def run(self, work: Awaitable[T]) -> T:
        return await run_until(self.clock, work)

    async def page(self) -> OrderPage:
        """One fetch, its cursor kept and its states booked as the core would."""
        page = await self.run(self.channel.fetch_orders(self.cursor))
        self.cursor = page.cursor
        for state in page.states:
            self.states[state.number] = state
            held = any(line.counts.held for line in state.lines)
            if held and state.number not in self.open_orders:
                self.open_orders.append(state.number)
            if not held and state.number in self.open_orders:
                self.open_orders.remove(state.number)
        return page

    async def poll(self) -> list[OrderPage]:
        """Fetch until there is no more."""
        pages = [await self.page()]
        while pages[-1].more:
            pages.append(await self.page())
        return pages

    async def poll_for(self, seconds: float) -> list[OrderPage]:
        """Poll every ten seconds for a while."""
        pages: list[OrderPage] = []
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            pages += await self.poll()
            await self.clock.advance(CAPABILITIES.poll_seconds)
        return pages

    def buy(self, units: int = 1, key: int = 0) -> TruthOrder:
        order = self.market.buy({self.keys[key]: units})
        assert order is not None
        return order

    async def write(self, *rows: tuple[str, Form, int], route: str = "bulk") -> WriteReport:
        [chosen] = [one for one in CAPABILITIES.routes if one.name == route]
        return await self.run(self.channel.write_stock([StockWrite(*row) for row in rows], chosen, "key"))


@pytest.fixture
def open_mall() -> Callable[..., Mall]:
    """Opens a mall with quirks."""
    return Mall


@pytest.fixture
def mall() -> Mall:
    return Mall()
