"""Stock out: one file at a time, zeros first, nothing lost when the server or we stop in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Form, Pending, Reason, Rejected, StockWrite, WriteReport
from syncd.sdk.errors import BrokenAnswer, InDoubt, SignInRequired, Throttled, TryAgain, Unavailable
from syncd.sdk.settings import ShopSettings
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import ManualClock, run_until, shop_context
from syncd.testing.files import MemoryTree
from syncd.testing.world import World
from syncd_files.channel import FilesChannel
from syncd_files.emulator import ERRORS, PROCESSED, REFUSED, STOCK, FilesEmulator
from syncd_files.settings import FilesSettings

pytestmark = pytest.mark.anyio


@dataclass
class Shop:
    """An emulated mall with three listings, and the channel in front of it."""

    emulator: FilesEmulator
    changes: dict[str, Any]
    channel: FilesChannel

    @classmethod
    def opened(cls, *, stock: dict[str, Any] | None = None, consume_seconds: float | None = 60, **quirks: str) -> Shop:
        clock = ManualClock()
        world = World(clock.now)
        market = world.market("mall")
        for key in ("a-1", "b-2", "靴～3"):
            world.stock(key, 1000)
            market.offer(key, key, shown=50)
        emulator = FilesEmulator(world, market, clock, consume_seconds=consume_seconds, **quirks)
        changes = stock or {}
        return cls(emulator, changes, _channel(emulator, changes))

    @property
    def tree(self) -> MemoryTree:
        assert isinstance(self.emulator.tree, MemoryTree)
        return self.emulator.tree

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.emulator.clock, ManualClock)
        return self.emulator.clock

    def restarted(self) -> None:
        self.channel = _channel(self.emulator, self.changes)

    async def write(self, *rows: tuple[str, int]) -> WriteReport:
        [route] = self.channel.capabilities.routes
        wanted = [StockWrite(listing, Form.ABSOLUTE, quantity) for listing, quantity in rows]
        return await run_until(self.clock, self.channel.write_stock(wanted, route, "key"))

    async def later(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.emulator.settle()

    def shown(self) -> list[int]:
        return [listing.shown for listing in self.emulator.market.listings.values()]

    def fail(self, operation: str, kind: FaultKind, **other: Any) -> None:
        self.emulator.faults.add(Fault(operation, kind, **other))


def _channel(emulator: FilesEmulator, stock: dict[str, Any]) -> FilesChannel:
    table = emulator.settings()
    assert isinstance(table["stock"], dict)
    table["stock"] = {**table["stock"], **stock}
    shop = ShopSettings(name="mall", channel="files")
    return FilesChannel(shop, FilesSettings(**table), shop_context(emulator))


def receipts(report: WriteReport) -> list[str]:
    return [row.receipt for row in report.rows if isinstance(row, Pending)]


def indexes(report: WriteReport, kind: type) -> list[int]:
    return sorted(row.index for row in report.rows if isinstance(row, kind))


async def test_rows_are_pending_until_the_file_has_vanished() -> None:
    shop = Shop.opened()
    report = await shop.write(("a-1", 7), ("b-2", 0))
    asked = receipts(report)
    assert asked == [f"stock.csv#{n}#1795219200000000#{key}" for n, key in ((1, "b-2"), (2, "a-1"))]
    assert await shop.channel.collect(asked) == {}
    assert shop.shown() == [50, 50, 50]
    await shop.later(60)
    assert {type(row) for row in (await shop.channel.collect(asked)).values()} == {Accepted}
    assert shop.shown() == [7, 0, 50]


async def test_zeros_come_first_in_the_file() -> None:
    shop = Shop.opened()
    await shop.write(("a-1", 7), ("b-2", 0), ("靴～3", 0))
    lines = shop.tree.read(f"{STOCK}/stock.csv").decode("cp932").split("\r\n")
    assert [line.split(",")[1] for line in lines[1:4]] == ['"b-2"', '"靴～3"', '"a-1"']


async def test_wave_dash_in_a_key_reaches_its_listing_in_either_form() -> None:
    shop = Shop.opened(consume_seconds=0)
    await shop.write(("靴\u301c3", 4))
    await shop.later(1)
    assert shop.shown() == [50, 50, 4]


async def test_nothing_is_sent_while_the_mailbox_is_busy() -> None:
    shop = Shop.opened()
    await shop.write(("a-1", 7))
    with pytest.raises(Throttled, match=r"stock/stock\.csv has not been taken in") as busy:
        await shop.write(("a-1", 5))
    assert busy.value.after_seconds == 5
    assert shop.tree.names(STOCK) == ["stock.csv"]
    await shop.later(60)
    await shop.write(("a-1", 5))
    await shop.later(60)
    assert shop.shown()[0] == 5


async def test_the_text_says_since_when_the_import_may_be_stuck() -> None:
    shop = Shop.opened(consume_seconds=10**9)
    asked = receipts(await shop.write(("a-1", 7)))
    await shop.later(31 * 60)
    with pytest.raises(TryAgain, match="lies there for 31 min") as stuck:
        await shop.write(("a-1", 5))
    assert not isinstance(stuck.value, Throttled)
    with pytest.raises(TryAgain, match="stuck"):
        await shop.channel.collect(asked)
    assert "stuck" in (await shop.channel.check()).warnings[0]


@pytest.mark.parametrize(("wait_while", "busy"), [("folder_not_empty", True), ("same_name", False)])
async def test_a_foreign_file_holds_us_up_only_where_the_folder_must_be_empty(wait_while: str, busy: bool) -> None:
    shop = Shop.opened(stock={"wait_while": wait_while})
    shop.tree.write(f"{STOCK}/item.csv", b"another system's")
    if busy:
        with pytest.raises(TryAgain, match=r"item\.csv"):
            await shop.write(("a-1", 7))
    else:
        await shop.write(("a-1", 7))
    assert shop.tree.read(f"{STOCK}/item.csv") == b"another system's"


async def test_names_with_a_time_need_not_wait() -> None:
    shop = Shop.opened(stock={"wait_while": "never"}, names="with_time")
    first = receipts(await shop.write(("a-1", 7)))
    second = receipts(await shop.write(("a-1", 5)))
    assert shop.tree.names(STOCK) == ["stock20261121090000.csv", "stock20261121090001.csv"]
    await shop.later(60)
    told = await shop.channel.collect([*first, *second])
    assert len(told) == 2
    assert shop.shown()[0] == 5


async def test_a_key_that_cannot_be_written_does_not_stop_the_others() -> None:
    shop = Shop.opened(consume_seconds=0)
    report = await shop.write(("a-1", 7), ("😀", 1), ("b-2", -1), ("", 3), ("b-2", 6))
    assert indexes(report, Rejected) == [1, 2, 3]
    assert {row.reason for row in report.rows if isinstance(row, Rejected)} == {Reason.INVALID}
    await shop.later(1)
    assert shop.shown()[:2] == [7, 6]


async def test_a_file_without_a_row_is_never_sent() -> None:
    shop = Shop.opened()
    report = await shop.write(("😀", 1))
    assert indexes(report, Rejected) == [0]
    assert shop.tree.names(STOCK) == []


async def test_rows_beyond_max_rows_stay_queued() -> None:
    shop = Shop.opened(stock={"max_rows": 2})
    report = await shop.write(("a-1", 1), ("b-2", 2), ("靴～3", 0))
    assert indexes(report, Pending) == [0, 1]


async def test_refused_rows_are_told_with_their_reason() -> None:
    shop = Shop.opened()
    asked = receipts(await shop.write(("a-1", 7), ("nobody", 3), ("b-2", 9)))
    await shop.later(60)
    told = await shop.channel.collect(asked)
    outcomes = {text.rsplit("#", 1)[1]: row for text, row in told.items()}
    assert isinstance(outcomes["a-1"], Accepted)
    assert isinstance(outcomes["b-2"], Accepted)
    refused = outcomes["nobody"]
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.message) == (Reason.UNKNOWN_LISTING, "商品がありません")


async def test_the_errors_of_an_older_file_are_not_those_of_a_newer_one() -> None:
    shop = Shop.opened()
    first = receipts(await shop.write(("late", 7)))
    await shop.later(60)
    shop.emulator.world.stock("late", 100)
    shop.emulator.market.offer("late", "late", shown=0)
    await shop.later(60)
    second = receipts(await shop.write(("late", 7)))
    assert isinstance((await shop.channel.collect([*first, *second]))[first[0]], Rejected)
    await shop.later(60)
    told = await shop.channel.collect([*first, *second])
    assert isinstance(told[first[0]], Rejected)
    assert isinstance(told[second[0]], Accepted)


async def test_results_are_waited_for_after_the_file_has_gone() -> None:
    shop = Shop.opened()
    table = shop.emulator.settings()["stock"]
    assert isinstance(table, dict)
    shop.changes = {"results": {**table["results"], "wait_seconds": 30}}
    shop.restarted()
    asked = receipts(await shop.write(("a-1", 7)))
    await shop.later(60)
    assert await shop.channel.collect(asked) == {}
    await shop.later(30)
    assert len(await shop.channel.collect(asked)) == 1


async def test_a_result_file_that_cannot_be_read_leaves_the_rows_open() -> None:
    shop = Shop.opened()
    asked = receipts(await shop.write(("nobody", 7)))
    await shop.later(60)
    [name] = shop.tree.names(ERRORS)
    shop.tree.write(f"{ERRORS}/{name}", b"<html>")
    with pytest.raises(BrokenAnswer, match="stay open"):
        await shop.channel.collect(asked)


async def test_a_file_refused_as_a_whole_rejects_every_row() -> None:
    shop = Shop.opened(refuses="whole_file")
    asked = receipts(await shop.write(("a-1", 7), ("nobody", 3)))
    await shop.later(60)
    told = await shop.channel.collect(asked)
    assert [type(row) for row in told.values()] == [Rejected, Rejected]
    assert shop.tree.names(REFUSED) == ["stock.csv"]
    assert shop.shown()[0] == 50


async def test_a_file_counts_as_taken_in_only_in_the_processed_folder() -> None:
    shop = Shop.opened(taken_in="is_moved")
    asked = receipts(await shop.write(("a-1", 7)))
    await shop.later(60)
    shop.tree.rename(f"{PROCESSED}/stock.csv", f"{ERRORS}/elsewhere")
    assert await shop.channel.collect(asked) == {}
    shop.tree.rename(f"{ERRORS}/elsewhere", f"{PROCESSED}/20261121_stock.csv")
    assert len(await shop.channel.collect(asked)) == 1


async def test_done_at_upload_accepts_at_once() -> None:
    shop = Shop.opened(stock={"done": "uploaded", "results": None})
    report = await shop.write(("a-1", 7), ("b-2", 0))
    assert indexes(report, Accepted) == [0, 1]
    assert not shop.channel.capabilities.routes[0].later


async def test_receipts_survive_a_restart() -> None:
    shop = Shop.opened()
    asked = receipts(await shop.write(("a-1", 7), ("nobody", 1)))
    shop.restarted()
    assert await shop.channel.collect(asked) == {}
    await shop.later(60)
    assert [type(row) for row in (await shop.channel.collect(asked)).values()] == [Accepted, Rejected]


async def test_a_newer_upload_of_the_name_proves_that_the_older_one_went() -> None:
    shop = Shop.opened()
    first = receipts(await shop.write(("a-1", 7)))
    await shop.later(60)
    second = receipts(await shop.write(("a-1", 5)))
    told = await shop.channel.collect([*first, *second])
    assert list(told) == first


# --- trouble ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER])
async def test_a_lost_rename_is_in_doubt(kind: FaultKind) -> None:
    shop = Shop.opened()
    shop.fail("rename", kind)
    with pytest.raises(InDoubt):
        await shop.write(("a-1", 7))
    assert shop.tree.names(STOCK) == (["stock.csv.tmp"] if kind is FaultKind.LOST_BEFORE else ["stock.csv"])


@pytest.mark.parametrize("kind", [FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.STATUS])
async def test_a_lost_write_under_the_temporary_name_changed_nothing(kind: FaultKind) -> None:
    shop = Shop.opened()
    shop.fail("write", kind)
    with pytest.raises(Unavailable):
        await shop.write(("a-1", 7))
    await shop.later(600)
    assert shop.shown()[0] == 50


async def test_a_half_written_file_is_never_renamed() -> None:
    shop = Shop.opened()
    shop.fail("write", FaultKind.CUT_OFF)
    with pytest.raises(BrokenAnswer, match="of 59 bytes"):
        await shop.write(("a-1", 7))
    assert shop.tree.names(STOCK) == ["stock.csv.tmp"]
    await shop.write(("a-1", 7))
    assert shop.tree.names(STOCK) == ["stock.csv"]


@pytest.mark.parametrize("half_files", ["waits_for_the_end", "imported"])
async def test_without_rename_a_half_written_file_is_in_doubt(half_files: str) -> None:
    shop = Shop.opened(rename="missing", half_files=half_files)
    shop.fail("write", FaultKind.CUT_OFF)
    with pytest.raises(InDoubt, match="bytes"):
        await shop.write(("a-1", 7), ("b-2", 9))
    await shop.later(60)
    assert shop.shown()[0] in (7, 50)
    assert shop.shown()[1] == 50


async def test_without_rename_a_listing_that_fails_after_the_write_is_in_doubt() -> None:
    shop = Shop.opened(rename="missing")
    shop.fail("list", FaultKind.LOST_BEFORE, skip=1)
    with pytest.raises(InDoubt):
        await shop.write(("a-1", 7))


@pytest.mark.parametrize("taken_in", ["vanishes", "is_moved"])
async def test_a_file_taken_in_before_its_time_was_seen_is_found_again_with_its_refused_rows(taken_in: str) -> None:
    """Whole seed 13: the write ended in the next second, and the file in the processed folder looked too old."""
    shop = Shop.opened(rename="missing", taken_in=taken_in, consume_seconds=0)
    shop.emulator.round_trip_seconds = 1.0
    report = await shop.write(("a-1", 7), ("nobody", 1))
    told = await run_until(shop.clock, shop.channel.collect(receipts(report)))
    assert [type(row) for row in told.values()] == [Accepted, Rejected]


async def test_what_a_crash_left_is_cleared_but_only_under_our_names() -> None:
    shop = Shop.opened(names="with_time")
    for name in ("stock20261120000000.csv.tmp", "item.csv.tmp", "stock.csv.tmp"):
        shop.tree.write(f"{STOCK}/{name}", b"x")
    await shop.write(("a-1", 7))
    assert shop.tree.names(STOCK) == ["item.csv.tmp", "stock.csv.tmp", "stock20261121090000.csv"]


async def test_a_missing_folder_does_not_make_the_core_search_for_a_bad_row() -> None:
    shop = Shop.opened(stock={"folder": "moved/away"})
    with pytest.raises(Unavailable, match="no folder moved/away"):
        await shop.write(("a-1", 7))
    with pytest.raises(Unavailable, match="no folder moved/away"):
        await shop.channel.check()


async def test_a_dead_key_stops_everything_and_writes_nothing() -> None:
    shop = Shop.opened()
    asked = receipts(await shop.write(("a-1", 7)))
    shop.emulator.key_works = False
    for work in (shop.write(("a-1", 5)), shop.channel.collect(asked), shop.channel.check()):
        with pytest.raises(SignInRequired):
            await work


async def test_check_names_the_account() -> None:
    report = await Shop.opened().channel.check()
    assert (report.account, report.warnings) == ("shop@sftp.mall.example:22/stock", ())


async def test_only_absolute_rows_are_declared() -> None:
    channel = Shop.opened().channel
    assert channel.capabilities.routes[0].forms == {Form.ABSOLUTE}
    assert channel.capabilities.routes[0].dead_after_seconds == 900
