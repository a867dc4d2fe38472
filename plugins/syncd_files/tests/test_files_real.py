"""The channel over a real SFTP server and a real directory, with the emulated mall working behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncd.clock import SystemClock
from syncd.sdk.channel import Accepted, Form, Pending, Rejected, ShopContext, StockWrite
from syncd.sdk.errors import InDoubt, SignInRequired
from syncd.sdk.http import HttpClient
from syncd.sdk.settings import ShopSettings
from syncd.sdk.sftp import sftp_opener
from syncd.testing.sftp_server import LOOPBACK, LocalSftpServer
from syncd.testing.world import World
from syncd_files.channel import FilesChannel
from syncd_files.emulator import ORDERS, ORDERS_DONE, STOCK, FilesEmulator
from syncd_files.settings import FilesSettings

pytestmark = [pytest.mark.anyio, pytest.mark.real]


class RealShop:
    """The mall, its server, and the channel."""

    def __init__(self, folder: Path, server: LocalSftpServer, clock: SystemClock) -> None:
        self.clock = clock
        self.world = World(clock.now)
        self.market = self.world.market("mall")
        for key in ("a", "靴～1"):
            self.world.stock(key, 100)
            self.market.offer(key, key, shown=10)
        self.emulator = FilesEmulator(self.world, self.market, clock, folder=folder)
        self.emulator.served_at(LOOPBACK, server.port, server.known_hosts, server.password)
        self.server = server
        self.server.watch.append(self.emulator.saw)
        self.channel = self.opened()

    def opened(self) -> FilesChannel:
        def http(base_url: str, *, headers: object = None) -> HttpClient:
            raise AssertionError("a file channel opens no HTTP client")

        async def open_orders() -> list[str]:
            return []

        context = ShopContext(
            shop="mall", clock=self.clock, http=http, files=sftp_opener(self.clock), open_orders=open_orders
        )
        table = FilesSettings(**self.emulator.settings())  # type: ignore[arg-type]  # validated by the model
        return FilesChannel(ShopSettings(name="mall", channel="files"), table, context)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[RealShop]:
    async with LocalSftpServer(tmp_path) as server:
        real = RealShop(tmp_path, server, SystemClock())
        yield real
        await real.channel.aclose()


async def test_stock_goes_out_and_its_results_come_back(shop: RealShop) -> None:
    [route] = shop.channel.capabilities.routes
    wanted = [("a", 7), ("nobody", 1), ("靴～1", 0)]
    rows = [StockWrite(listing, Form.ABSOLUTE, quantity) for listing, quantity in wanted]
    report = await shop.channel.write_stock(rows, route, "key")
    asked = [row.receipt for row in report.rows if isinstance(row, Pending)]
    assert await shop.channel.collect(asked) == {}
    shop.emulator.settle()
    told = await shop.channel.collect(asked)
    assert [type(told[receipt]) for receipt in asked] == [Accepted, Accepted, Rejected]
    assert [listing.shown for listing in shop.market.listings.values()] == [7, 0]


async def test_orders_come_in_and_are_moved_after_the_acknowledgement(shop: RealShop) -> None:
    order = shop.market.buy({"a": 2, "靴～1": 1})
    assert order is not None
    shop.emulator.settle()
    page = await shop.channel.fetch_orders(None)
    [state] = page.states
    assert [(line.listing, line.ordered) for line in state.lines] == [("a", 2), ("靴～1", 1)]
    assert order.delivered_at is not None
    assert page.acknowledge is not None
    await page.acknowledge()
    assert shop.emulator.tree.names(ORDERS) == []
    assert len(shop.emulator.tree.names(ORDERS_DONE)) == 1


async def test_check_finds_the_folders_and_names_the_account(shop: RealShop) -> None:
    report = await shop.channel.check()
    assert report.account == f"shop@{LOOPBACK}:{shop.server.port}/{STOCK}"


async def test_a_rename_cut_off_is_in_doubt_and_the_next_write_waits_for_the_file(shop: RealShop) -> None:
    [route] = shop.channel.capabilities.routes
    shop.server.cut("rename", "after")
    with pytest.raises(InDoubt):
        await shop.channel.write_stock([StockWrite("a", Form.ABSOLUTE, 7)], route, "key")
    assert shop.emulator.tree.names(STOCK) == ["stock.csv"]
    shop.emulator.settle()
    await shop.channel.write_stock([StockWrite("a", Form.ABSOLUTE, 6)], route, "key")
    shop.emulator.settle()
    assert shop.market.listings["a"].shown == 6


async def test_a_rotated_password_stops_the_shop(shop: RealShop) -> None:
    shop.server.password = "rotated"
    with pytest.raises(SignInRequired):
        await shop.channel.check()
