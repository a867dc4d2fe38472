"""The emulated mall behaves as its quirks say, and the channel lives with each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.sdk.channel import Accepted, Form, Pending, StockWrite
from syncd.sdk.errors import ChannelError
from syncd.sdk.files import FilesAddress
from syncd.testing.fakes import ManualClock, open_channel, run_until
from syncd.testing.world import Market, World
from syncd_files.channel import FilesChannel
from syncd_files.emulator import ERRORS, ORDERS, PROCESSED, STOCK, FilesEmulator

pytestmark = pytest.mark.anyio

STOCK_HEADER = "コントロールカラム,商品コード,在庫数\r\n"


class Mall:
    """A mall with two listings, 100 pieces each, and its clock."""

    def __init__(self, *, export_seconds: float = 0, folder: Path | None = None, **quirks: str) -> None:
        self.clock = ManualClock()
        self.world = World(self.clock.now)
        self.market: Market = self.world.market("mall")
        for key in ("a", "b"):
            self.world.stock(key, 100)
            self.market.offer(key, key, shown=10)
        self.emulator = FilesEmulator(
            self.world, self.market, self.clock, export_seconds=export_seconds, folder=folder, **quirks
        )
        self.tree = self.emulator.tree

    def upload(self, rows: str, *, header: str = STOCK_HEADER) -> None:
        self.tree.write(f"{STOCK}/stock.csv", (header + rows).encode("cp932"))
        self.emulator.settle()

    async def later(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.emulator.settle()

    def shown(self) -> tuple[int, int]:
        return self.market.listings["a"].shown, self.market.listings["b"].shown

    def errors(self) -> str:
        return "".join(self.tree.read(f"{ERRORS}/{name}").decode("cp932") for name in self.tree.names(ERRORS))


async def test_a_file_lies_there_for_a_while_before_it_is_imported() -> None:
    mall = Mall(consumes="after_a_while")
    mall.upload("u,a,5\r\n")
    await mall.later(4.9)
    assert mall.shown() == (10, 10)
    await mall.later(116)
    assert mall.shown() == (5, 10)
    assert mall.tree.names(STOCK) == []


async def test_a_mall_may_never_import() -> None:
    mall = Mall(consumes="never")
    mall.upload("u,a,5\r\n")
    await mall.later(86_400)
    assert mall.tree.names(STOCK) == ["stock.csv"]


async def test_taken_in_files_may_be_moved() -> None:
    mall = Mall(taken_in="is_moved")
    mall.upload("u,a,5\r\n")
    assert mall.tree.names(PROCESSED) == ["stock.csv"]


async def test_rows_are_refused_one_by_one_with_line_key_and_reason() -> None:
    mall = Mall()
    mall.upload("u,a,5\r\nu,nobody,1\r\nu,b,many\r\nd,b,0\r\nu,b\r\nu,b,6\r\n")
    assert mall.shown() == (5, 6)
    lines = [row.split(",")[0] for row in mall.errors().splitlines()[1:]]
    assert lines == ['"3"', '"4"', '"5"', '"6"']


async def test_errors_may_be_told_nowhere() -> None:
    mall = Mall(errors="told_nowhere")
    mall.upload("u,nobody,1\r\n")
    assert mall.errors() == ""
    assert "results" not in str(mall.emulator.settings()["stock"])


async def test_one_bad_row_may_refuse_the_whole_file() -> None:
    mall = Mall(refuses="whole_file")
    mall.upload("u,a,5\r\nu,nobody,1\r\n")
    assert mall.shown() == (10, 10)


@pytest.mark.parametrize(("header", "taken"), [("by_text", 5), ("exact", 10)])
async def test_an_unknown_column_is_ignored_or_refused(header: str, taken: int) -> None:
    mall = Mall(header=header)
    mall.upload("x,u,a,5\r\n", header="備考," + STOCK_HEADER)
    assert mall.shown()[0] == taken


async def test_a_half_width_bracket_makes_another_column() -> None:
    mall = Mall()
    mall.upload("u,a,5\r\n", header=STOCK_HEADER.replace("在庫数", "在庫数(個)"))
    assert mall.shown()[0] == 10
    assert "項目名" in mall.errors()


async def test_a_wrong_charset_is_refused() -> None:
    mall = Mall(charset="utf-8-sig")
    mall.upload("u,a,5\r\n")
    assert mall.shown()[0] == 10


@pytest.mark.parametrize(("half_files", "shown"), [("waits_for_the_end", (10, 10)), ("imported", (1, 10))])
async def test_a_file_written_straight_to_its_name_may_be_read_half(half_files: str, shown: tuple[int, int]) -> None:
    mall = Mall(half_files=half_files)
    mall.upload("u,a,1")  # of 12
    assert mall.shown() == shown
    await mall.later(601)
    assert mall.tree.names(STOCK) == []


async def test_temporary_names_are_not_looked_at() -> None:
    mall = Mall()
    mall.tree.write(f"{STOCK}/stock.csv.tmp", (STOCK_HEADER + "u,a,5\r\n").encode("cp932"))
    await mall.later(60)
    assert mall.shown()[0] == 10


async def test_orders_are_exported_at_fixed_times_and_visible_only_then() -> None:
    mall = Mall(export_seconds=300)
    await mall.clock.advance(10)
    order = mall.market.buy({"a": 1})
    assert order is not None
    await mall.later(289)
    assert mall.tree.names(ORDERS) == []
    await mall.later(1)
    assert len(mall.tree.names(ORDERS)) == 1
    assert order.visible_at == mall.clock.now()


async def test_changed_orders_are_exported_again() -> None:
    mall = Mall()
    order = mall.market.buy({"a": 2})
    assert order is not None
    await mall.later(1)
    mall.market.ship(order.number)
    await mall.later(1)
    first, second = (mall.tree.read(f"{ORDERS}/{name}").decode("cp932") for name in mall.tree.names(ORDERS))
    assert "新規受付" in first
    assert "出荷済" in second


async def test_an_order_file_may_lie_there_half_written() -> None:
    mall = Mall(order_files="written_in_place")
    channel = open_channel(FilesChannel, mall.emulator)
    mall.market.buy({"a": 2})
    mall.emulator.settle()
    [name] = mall.tree.names(ORDERS)
    half = len(mall.tree.read(f"{ORDERS}/{name}"))
    cursor, states, waited = None, [], 0
    while not states:
        page = await run_until(mall.clock, channel.fetch_orders(cursor))
        assert page.problems == ()
        cursor, states = page.cursor, list(page.states)
        waited += 1
        await mall.clock.advance(4)
    assert len(mall.tree.read(f"{ORDERS}/{name}")) > half
    assert waited >= 4


async def test_orders_count_as_read_only_when_every_file_was_read() -> None:
    mall = Mall()
    channel = open_channel(FilesChannel, mall.emulator)
    await run_until(mall.clock, channel.fetch_orders(None))
    before = mall.market.orders_read_at
    assert before == mall.clock.now()
    order = mall.market.buy({"a": 2})
    assert order is not None
    await mall.later(5)
    files = mall.emulator.open_files(channel_address(mall.emulator))
    await run_until(mall.clock, files.list_files(ORDERS))
    assert mall.market.orders_read_at == before
    assert order.delivered_at is None
    await run_until(mall.clock, channel.fetch_orders(None))
    assert mall.market.orders_read_at == order.delivered_at == mall.clock.now()


def channel_address(emulator: FilesEmulator) -> FilesAddress:
    return FilesAddress(host="h", port=22, user="shop", known_hosts="x", password=emulator.password)


async def test_the_same_mall_works_over_a_real_directory(tmp_path: Path) -> None:
    mall = Mall(folder=tmp_path)
    channel = open_channel(FilesChannel, mall.emulator)
    order = mall.market.buy({"a": 2})
    assert order is not None
    page = await run_until(mall.clock, channel.fetch_orders(None))
    assert [state.number for state in page.states] == [order.number]
    assert page.acknowledge is not None
    await run_until(mall.clock, page.acknowledge())
    [route] = channel.capabilities.routes
    await run_until(mall.clock, channel.write_stock([StockWrite("b", Form.ABSOLUTE, 3)], route, "k"))
    assert [path.name for path in (tmp_path / STOCK).glob("*.csv")] == ["stock.csv"]
    mall.emulator.settle()
    assert mall.shown() == (8, 3)
    assert not list((tmp_path / ORDERS).glob("*.csv"))


async def test_a_raise_is_judged_by_the_read_before_it_was_sent() -> None:
    """A file is imported minutes after it was sent: the judge goes by the time of the upload."""
    mall = Mall(consumes="after_a_while")
    channel = open_channel(FilesChannel, mall.emulator)
    [route] = channel.capabilities.routes
    await run_until(mall.clock, channel.fetch_orders(None))
    await run_until(mall.clock, channel.write_stock([StockWrite("a", Form.ABSOLUTE, 90)], route, "k"))
    await mall.later(120)
    assert mall.shown()[0] == 90
    assert mall.world.tally["stale_raises"] == 0
    await run_until(mall.clock, channel.write_stock([StockWrite("a", Form.ABSOLUTE, 95)], route, "k"))
    await mall.later(120)
    assert mall.world.tally["stale_raises"] == 1


@pytest.mark.parametrize(
    "quirk", [f"{name}={value}" for name, values in FilesEmulator.quirks.items() for value in values]
)
async def test_a_number_is_accepted_only_when_it_is_shown(quirk: str) -> None:
    name, value = quirk.split("=")
    mall = Mall(**{name: value})
    channel = open_channel(FilesChannel, mall.emulator)
    [route] = channel.capabilities.routes
    report = await run_until(mall.clock, channel.write_stock([StockWrite("a", Form.ABSOLUTE, 3)], route, "k"))
    asked = [row.receipt for row in report.rows if isinstance(row, Pending)]
    accepted: list[Accepted] = []
    for _ in range(4):
        await mall.later(60)
        try:
            told = await run_until(mall.clock, channel.collect(asked))
        except ChannelError:
            continue
        accepted += [row for row in told.values() if isinstance(row, Accepted)]
    assert bool(accepted) == (mall.shown()[0] == 3) == (value != "never")
