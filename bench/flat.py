"""A shop of any size that costs no memory: every listing shows the same, but for those that are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from syncd.clock import Clock
from syncd.model import LineState, OrderState
from syncd.sdk.channel import (
    Capabilities,
    Channel,
    CheckReport,
    Cursor,
    Form,
    OrderPage,
    Restock,
    ShopContext,
    StockWrite,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.settings import ChannelSettings, ShopSettings

ROUND_TRIP_SECONDS = 0.05
READ_ROWS = 1000
ROUTE = WriteRoute("stock", "write", frozenset({Form.ABSOLUTE}), max_rows=400)


class FlatShop:
    """The mall: what its listings show, orders that wait to be read, and when each listing was told 0."""

    def __init__(self, shown: int) -> None:
        self.shown = shown
        self.apart: dict[str, int] = {}
        self.waiting: list[OrderState] = []
        self.known_us: dict[str, int] = {}
        self.zero_us: dict[str, int] = {}
        self.number = 0

    def sell(self, key: str, clock: Clock) -> None:
        """A buyer takes the last piece."""
        self.number += 1
        self.apart[key] = 0
        at = clock.now()
        lines = (LineState(line="1", listing=key, ordered=1),)
        self.waiting.append(OrderState(number=f"order-{self.number}", lines=lines, as_of=at, placed_at=at))


class FlatChannel(Channel):
    """Reads and writes a `FlatShop` of the same name, one round trip a call."""

    slug: ClassVar[str] = "flat"
    title: ClassVar[str] = "Flat shop"
    settings_type: ClassVar[type[ChannelSettings]] = ChannelSettings
    shops: ClassVar[dict[str, FlatShop]] = {}

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        self.name, self.clock = shop.name, context.clock
        self.shop = self.shops[shop.name]

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            routes=(ROUTE,), reads_stock=True, read_rows=READ_ROWS, poll_seconds=0.5, visibility_seconds=0.0,
            restocks_on_cancel=Restock.YES,
        )  # fmt: skip

    async def check(self) -> CheckReport:
        return CheckReport(self.name)

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        await self.clock.sleep(ROUND_TRIP_SECONDS / 2)
        states, self.shop.waiting = tuple(self.shop.waiting), []
        await self.clock.sleep(ROUND_TRIP_SECONDS / 2)
        for state in states:
            self.shop.known_us[state.lines[0].listing] = self.clock.now_us()
        return OrderPage(states=states, cursor={})

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        await self.clock.sleep(ROUND_TRIP_SECONDS)
        return {key: self.shop.apart.get(key, self.shop.shown) for key in listings}

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        await self.clock.sleep(ROUND_TRIP_SECONDS)
        for row in rows:
            self.shop.apart[row.listing] = row.quantity
            if row.quantity == 0:
                self.shop.zero_us.setdefault(row.listing, self.clock.now_us())
        return WriteReport.all_accepted(len(rows))
