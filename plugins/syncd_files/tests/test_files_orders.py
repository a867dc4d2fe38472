"""Orders in: whole files only, each told once, moved only after they are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from syncd.model import EPOCH
from syncd.sdk.channel import Cursor, OrderPage
from syncd.sdk.errors import BrokenAnswer, Unavailable
from syncd.sdk.settings import ShopSettings
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import START, ManualClock, run_until, shop_context
from syncd.testing.files import MemoryTree
from syncd.testing.world import World
from syncd_files.channel import FilesChannel
from syncd_files.emulator import ORDERS, ORDERS_BAD, ORDERS_DONE, FilesEmulator
from syncd_files.incoming import FILES_A_PAGE
from syncd_files.settings import FilesSettings

pytestmark = pytest.mark.anyio

HEADER = "番号,品番,数\r\n"


def rows(*orders: tuple[str, str, int | str]) -> bytes:
    return (HEADER + "".join(f"{number},{key},{units}\r\n" for number, key, units in orders)).encode("cp932")


@dataclass
class Folder:
    """A folder filled by hand, and the channel that reads it; `cursor` is what the core has stored."""

    emulator: FilesEmulator
    changes: dict[str, Any]
    channel: FilesChannel
    cursor: Cursor | None = None
    told: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def opened(cls, **orders: Any) -> Folder:
        clock = ManualClock()
        world = World(clock.now)
        emulator = FilesEmulator(world, world.market("mall"), clock)
        changes: dict[str, Any] = {
            "pattern": "*.csv",
            "columns": {"order": "番号", "listing": "品番", "quantity": "数"},
            "statuses": {},
            "stable_seconds": 10,
            **orders,
        }
        return cls(emulator, changes, _channel(emulator, changes))

    @property
    def tree(self) -> MemoryTree:
        assert isinstance(self.emulator.tree, MemoryTree)
        return self.emulator.tree

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.emulator.clock, ManualClock)
        return self.emulator.clock

    def put(self, name: str, content: bytes) -> None:
        self.tree.write(f"{ORDERS}/{name}", content)

    def lying(self, folder: str = ORDERS) -> list[str]:
        return self.tree.names(folder)

    async def page(self) -> OrderPage:
        """One page from the stored cursor; nothing is stored."""
        cursor = None if self.cursor is None else json.loads(json.dumps(self.cursor))
        return await run_until(self.clock, self.channel.fetch_orders(cursor))

    async def poll(self, *, acknowledge: bool = True, after: float = 0) -> OrderPage:
        """One poll as the core makes it, `after` seconds later."""
        await self.clock.advance(after)
        page = await self.page()
        self.cursor = page.cursor
        self.told += [(state.number, line.ordered) for state in page.states for line in state.lines]
        if acknowledge and page.acknowledge is not None:
            await run_until(self.clock, page.acknowledge())
        return page


def _channel(emulator: FilesEmulator, orders: dict[str, Any]) -> FilesChannel:
    table = emulator.settings()
    assert isinstance(table["orders"], dict)
    table["orders"] = {**table["orders"], **orders}
    shop = ShopSettings(name="mall", channel="files")
    return FilesChannel(shop, FilesSettings(**table), shop_context(emulator))


async def test_a_file_is_taken_when_it_lay_unchanged_for_ten_seconds() -> None:
    folder = Folder.opened()
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    await folder.poll(after=9)
    assert folder.told == []
    await folder.poll(after=1)
    assert folder.told == [("A", 1)]
    assert folder.lying() == []
    [kept] = folder.lying(ORDERS_DONE)
    assert kept.startswith("o-")
    assert kept.endswith(".csv")


async def test_a_file_that_grows_is_left_alone_until_it_is_whole() -> None:
    folder = Folder.opened()
    whole = rows(("A", "x", 12), ("B", "x", 34))
    for end in (len(whole) // 2, len(whole) - 3, len(whole)):
        folder.put("o.csv", whole[:end])
        await folder.poll(after=8)
    assert folder.told == []
    await folder.poll(after=10)
    assert folder.told == [("A", 12), ("B", 34)]


async def test_stability_is_kept_over_a_restart() -> None:
    folder = Folder.opened()
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    folder.channel = _channel(folder.emulator, folder.changes)
    await folder.poll(after=10)
    assert folder.told == [("A", 1)]


async def test_with_a_trailer_a_whole_file_is_taken_at_once() -> None:
    folder = Folder.opened(trailer="END")
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    await folder.poll(after=1000)
    assert folder.told == []
    folder.put("o.csv", rows(("A", "x", 1)) + b"END,,\r\n")
    await folder.poll()
    assert folder.told == [("A", 1)]


async def test_a_trailer_that_never_comes_is_a_problem() -> None:
    folder = Folder.opened(trailer="END")
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    page = await folder.poll(after=3601)
    assert [problem.where for problem in page.problems] == ["o.csv"]
    assert "END never came" in page.problems[0].what
    assert len(folder.lying(ORDERS_BAD)) == 1


async def test_only_names_of_the_pattern_are_order_files() -> None:
    folder = Folder.opened(pattern="order_*.csv", stable_seconds=0)
    for name in ("stock.csv", "order_1.csv.part", "order_1.txt"):
        folder.put(name, rows(("A", "x", 1)))
    await folder.poll()
    assert folder.told == []
    assert len(folder.lying()) == 3


# --- crashes and dry run ------------------------------------------------------------------------------------


async def test_a_crash_before_the_commit_tells_the_same_again() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1)))
    lost = await folder.page()
    again = await folder.poll()
    assert again.states == lost.states != ()


async def test_a_crash_after_the_commit_only_moves_the_file() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll(acknowledge=False)
    folder.channel = _channel(folder.emulator, folder.changes)
    page = await folder.poll()
    assert page.states == ()
    assert folder.lying() == []
    assert folder.told == [("A", 1)]


async def test_in_dry_run_nothing_is_told_twice_and_nothing_moves() -> None:
    folder = Folder.opened(stable_seconds=0)
    for n in range(3):
        folder.put(f"{n}.csv", rows((f"A{n}", "x", 1)))
        for _ in range(3):
            await folder.poll(acknowledge=False, after=15)
    assert folder.told == [("A0", 1), ("A1", 1), ("A2", 1)]
    assert len(folder.lying()) == 3
    assert folder.emulator.calls["read"] == 3


async def test_the_cursor_holds_only_what_lies_there() -> None:
    folder = Folder.opened(stable_seconds=0)
    for n in range(5):
        folder.put(f"{n}.csv", rows((f"A{n}", "x", 1)))
    page = await folder.poll()
    assert len(page.cursor["files"]) == 5
    page = await folder.poll()
    assert page.cursor["files"] == {}


async def test_an_idle_poll_leaves_the_cursor_as_it_is() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1)))
    first = await folder.poll(acknowledge=False)
    second = await folder.poll(acknowledge=False, after=60)
    assert second.cursor == first.cursor


# --- names and contents that come again ---------------------------------------------------------------------


async def test_an_old_name_with_new_content_is_a_new_file() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    folder.put("o.csv", rows(("B", "x", 2)))
    await folder.poll(after=15)
    assert folder.told == [("A", 1), ("B", 2)]
    assert len(folder.lying(ORDERS_DONE)) == 2


async def test_a_file_replaced_before_the_acknowledgement_is_not_moved_unread() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1)))
    page = await folder.poll(acknowledge=False)
    await folder.clock.advance(1)
    folder.put("o.csv", rows(("B", "x", 2)))
    assert page.acknowledge is not None
    await run_until(folder.clock, page.acknowledge())
    assert folder.lying() == ["o.csv"]
    await folder.poll()
    assert folder.told == [("A", 1), ("B", 2)]


async def test_a_file_that_was_only_touched_is_not_told_again() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll(acknowledge=False)
    await folder.clock.advance(60)
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    assert folder.told == [("A", 1)]
    assert folder.lying() == []


async def test_states_come_oldest_first_with_the_time_of_their_file() -> None:
    folder = Folder.opened(stable_seconds=0, name_time="%Y%m%d%H%M%S.csv", zone="UTC")
    folder.put("20261120100000.csv", rows(("A", "x", 2)))
    folder.put("20261120090000.csv", rows(("A", "x", 1)))
    folder.put("other.csv", rows(("A", "x", 3)))
    page = await folder.poll()
    assert folder.told == [("A", 1), ("A", 2), ("A", 3)]
    assert [state.as_of for state in page.states] == [START - timedelta(hours=15), START - timedelta(hours=14), START]


async def test_read_files_may_be_deleted() -> None:
    folder = Folder.opened(stable_seconds=0, after_reading="delete", processed_folder=None)
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    assert folder.lying() == folder.lying(ORDERS_DONE) == []


async def test_a_backlog_comes_in_pages() -> None:
    folder = Folder.opened(stable_seconds=0)
    for n in range(FILES_A_PAGE + 5):
        folder.put(f"{n:03d}.csv", rows((f"A{n}", "x", 1)))
    assert (await folder.poll()).more
    assert not (await folder.poll()).more
    assert len(folder.told) == FILES_A_PAGE + 5


# --- what cannot be believed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "注文番号,品番,数\r\nA,x,1\r\n".encode("cp932"),
        "番号,品番,数\r\nA,靴,1\r\n".encode(),
        "番号,品番,数\r\nA,x\r\n".encode("cp932"),
        "番号,品番,数\r\nA,x,-1\r\n".encode("cp932"),
        b"",
    ],
    ids=["header", "encoding", "fields", "quantity", "empty"],
)
async def test_a_file_that_cannot_be_believed_is_a_problem_and_put_aside(content: bytes) -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("bad.csv", content)
    folder.put("good.csv", rows(("B", "x", 1)))
    page = await folder.poll()
    assert [problem.where for problem in page.problems] == ["bad.csv"]
    assert folder.told == [("B", 1)]
    assert [name.startswith("bad-") for name in folder.lying(ORDERS_BAD)] == [True]
    assert (await folder.poll()).problems == ()


async def test_one_bad_order_does_not_spoil_the_file() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1), ("B", "x", "many"), ("B", "y", 1), ("C", "x", 3)))
    page = await folder.poll()
    assert folder.told == [("A", 1), ("C", 3)]
    assert ["order B" in problem.what for problem in page.problems] == [True]
    assert len(folder.lying(ORDERS_BAD)) == 1


async def test_a_bad_file_in_dry_run_is_told_once() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("bad.csv", b"")
    problems = [len((await folder.poll(acknowledge=False, after=15)).problems) for _ in range(3)]
    assert problems == [1, 0, 0]
    assert folder.lying() == ["bad.csv"]


async def test_a_file_beyond_the_cap_is_never_fetched() -> None:
    folder = Folder.opened(stable_seconds=0, max_bytes=20)
    folder.put("big.csv", rows(("A", "x", 1), ("B", "x", 1)))
    page = await folder.poll()
    assert "larger than 20 bytes" in page.problems[0].what
    assert folder.emulator.calls["read"] == 0


@pytest.mark.parametrize("kind", [FaultKind.CUT_OFF, FaultKind.GARBAGE])
async def test_a_file_that_arrives_broken_leaves_the_cursor(kind: FaultKind) -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(*((f"A{n}", "x", 1) for n in range(9))))
    folder.emulator.faults.add(Fault("read", kind))
    with pytest.raises(BrokenAnswer):
        await folder.poll()
    await folder.poll()
    assert len(folder.told) == 9


async def test_a_file_that_always_arrives_broken_holds_up_no_other() -> None:
    folder = Folder.opened(stable_seconds=0)
    for n in range(3):
        folder.put(f"{n}.csv", rows((f"A{n}", "x", 1)))
    folder.emulator.faults.add(Fault("read", FaultKind.CUT_OFF))
    assert (await folder.poll()).more
    assert folder.told == [("A1", 1), ("A2", 1)]
    folder.emulator.faults.add(Fault("read", FaultKind.CUT_OFF))
    with pytest.raises(BrokenAnswer, match=r"0\.csv"):
        await folder.poll()
    assert folder.lying() == ["0.csv"]


async def test_many_unfinished_files_do_not_hide_a_whole_one() -> None:
    folder = Folder.opened(trailer="END")
    for n in range(FILES_A_PAGE + 5):
        folder.put(f"{n:03d}.csv", rows((f"A{n}", "x", 1)))
    folder.put("999.csv", rows(("B", "x", 1)) + b"END,,\r\n")
    assert not (await folder.poll()).more
    assert folder.told == [("B", 1)]


async def test_a_lost_acknowledgement_is_made_good_by_the_next() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("o.csv", rows(("A", "x", 1)))
    folder.emulator.faults.add(Fault("rename", FaultKind.LOST_BEFORE))
    with pytest.raises(Unavailable):
        await folder.poll()
    await folder.poll()
    assert folder.lying() == []
    assert folder.told == [("A", 1)]


async def test_a_file_taken_away_by_another_hand_is_forgotten() -> None:
    folder = Folder.opened()
    folder.put("o.csv", rows(("A", "x", 1)))
    await folder.poll()
    folder.tree.remove(f"{ORDERS}/o.csv")
    page = await folder.poll(after=10)
    assert (page.states, page.cursor["files"]) == ((), {})


# --- how far orders are known -------------------------------------------------------------------------------


async def test_the_watermark_stands_still_while_a_file_is_not_read() -> None:
    folder = Folder.opened(visibility_seconds=60)
    assert (await folder.poll()).seen_until is None
    folder.put("o.csv", rows(("A", "x", 1)))
    held = await folder.poll(after=15)
    assert held.seen_until == START - timedelta(seconds=60)
    assert (await folder.poll(after=10)).seen_until is None


async def test_after_a_start_with_an_unread_file_nothing_is_known() -> None:
    folder = Folder.opened()
    folder.put("o.csv", rows(("A", "x", 1)))
    assert (await folder.poll()).seen_until == EPOCH


async def test_the_watermark_stands_still_while_a_bad_file_lies_there() -> None:
    folder = Folder.opened(stable_seconds=0)
    folder.put("bad.csv", b"")
    seen: Sequence[object] = [(await folder.poll(acknowledge=False, after=15)).seen_until for _ in range(2)]
    assert seen == [EPOCH, EPOCH]
    await folder.poll()
    assert (await folder.poll()).seen_until is None
