"""One commit for many, isolation among neighbours, cancellation, order, and what happens when it goes wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.util import await_only

from syncd.clock import SystemClock
from syncd.store.engine import (
    Priority,
    Store,
    StoreBroken,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreRefused,
)
from syncd.store.lock import FileLock
from syncd.store.schema import audit, entry

pytestmark = pytest.mark.anyio


def note(action: str) -> Callable[[Connection], str]:
    def write(conn: Connection) -> str:
        conn.execute(insert(audit).values(at_us=1, action=action))
        return action

    return write


def actions(conn: Connection) -> list[str]:
    return list(conn.execute(select(audit.c.action).order_by(audit.c.id)).scalars())


class Gate:
    """Holds the writer thread inside a function until opened, so that others wait behind it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.entered = asyncio.Event()
        self.opened = threading.Event()

    def __call__(self, _conn: Connection) -> None:
        self._loop.call_soon_threadsafe(self.entered.set)
        assert self.opened.wait(10)


async def behind_gate(store: Store, *calls: Callable[[], object]) -> list[object]:
    """Start the calls in order while the writer is held, then let all of them run in one group."""
    gate = Gate()
    tasks = [asyncio.ensure_future(store.tx(gate))]
    await gate.entered.wait()
    for call in calls:
        tasks.append(asyncio.ensure_future(call()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
    gate.opened.set()
    return (await asyncio.gather(*tasks, return_exceptions=True))[1:]


async def test_a_function_is_kept_and_its_result_returned(store: Store) -> None:
    assert await store.tx(note("one")) == "one"
    assert await store.read(actions) == ["one"]


async def test_a_function_that_raises_keeps_nothing_and_hurts_no_neighbour(store: Store) -> None:
    def bad(conn: Connection) -> None:
        note("bad")(conn)
        raise ValueError("mine")

    commits: list[float] = []
    store.commit_seconds = commits.append
    outcome = await behind_gate(store, lambda: store.tx(note("a")), lambda: store.tx(bad), lambda: store.tx(note("b")))
    assert outcome[0] == "a"
    assert isinstance(outcome[1], ValueError)
    assert outcome[2] == "b"
    assert await store.read(actions) == ["a", "b"]
    assert len(commits) == 1, "they shared one commit"


async def test_a_lone_function_that_raises_keeps_nothing(store: Store) -> None:
    def bad(conn: Connection) -> None:
        note("bad")(conn)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await store.tx(bad)
    assert await store.read(actions) == []
    await store.tx(note("next"))
    assert await store.read(actions) == ["next"]


async def test_functions_run_in_the_order_they_came(store: Store) -> None:
    names = [f"{number:02}" for number in range(40)]
    await behind_gate(store, *[lambda name=name: store.tx(note(name)) for name in names])
    assert await store.read(actions) == names


async def test_an_urgent_function_goes_before_waiting_chunks_and_waits_for_none_of_them(store: Store) -> None:
    commits: list[float] = []
    store.commit_seconds = commits.append
    await behind_gate(
        store,
        lambda: store.tx(note("chunk"), priority=Priority.BACKGROUND),
        lambda: store.tx(note("normal")),
        lambda: store.tx(note("urgent"), priority=Priority.URGENT),
    )
    assert await store.read(actions) == ["urgent", "normal", "chunk"]
    assert len(commits) == 3, "the urgent one joined the running group, then each less urgent one got its own"


async def test_a_task_cancelled_while_waiting_hears_it_after_the_commit(store: Store) -> None:
    gate = Gate()
    first = asyncio.ensure_future(store.tx(gate))
    second = asyncio.ensure_future(store.tx(note("kept")))
    await gate.entered.wait()
    second.cancel()
    await asyncio.sleep(0)
    assert not second.done()
    gate.opened.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await store.read(actions) == ["kept"]


async def test_a_cancelled_scope_still_gets_the_result_and_stops_at_the_next_await(store: Store) -> None:
    seen: list[str] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        seen.append(await store.tx(note("kept")))
        await anyio.lowlevel.checkpoint()
        seen.append("not reached")
    assert seen == ["kept"]
    assert await store.read(actions) == ["kept"]


async def test_a_cancelled_read_ends_and_leaves_its_connection_usable(store: Store) -> None:
    for _ in range(10):
        reading = asyncio.ensure_future(store.read(actions))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert await asyncio.gather(*[store.read(actions) for _ in range(10)]) == [[]] * 10


async def test_a_read_sees_one_moment_while_the_writer_goes_on(store: Store) -> None:
    entered, written = asyncio.Event(), asyncio.Event()

    def twice(conn: Connection) -> tuple[list[str], list[str]]:
        first = actions(conn)
        entered.set()
        await_only(written.wait())
        return first, actions(conn)

    reading = asyncio.ensure_future(store.read(twice))
    await entered.wait()
    await store.tx(note("later"))
    written.set()
    assert await reading == ([], [])
    assert await store.read(actions) == ["later"]


async def test_a_read_must_not_write(store: Store) -> None:
    with pytest.raises(StoreError, match="must not write"):
        await store.read(note("no"))
    memory = Store.open(None, clock=SystemClock())
    with pytest.raises(StoreError, match="must not write"):
        await memory.read(note("no"))
    assert await memory.tx(note("yes")) == "yes"
    await memory.aclose()


async def test_a_function_must_not_commit(store: Store) -> None:
    def commits(conn: Connection) -> None:
        note("x")(conn)
        conn.commit()

    with pytest.raises(StoreError, match="must not commit"):
        await store.tx(commits)
    await store.tx(note("next"))
    assert "next" in await store.read(actions)


async def test_foreign_keys_are_enforced(store: Store) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await store.tx(lambda conn: conn.execute(insert(entry).values(at_us=1, sku_id=7, location_id=7, kind="x")))
    assert await store.read(lambda conn: conn.execute(select(func.count()).select_from(entry)).scalar_one()) == 0


async def test_every_safety_setting_is_on(store: Store) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check", "busy_timeout")

    def settings(conn: Connection) -> list[object]:
        return [conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    assert await store.tx(settings) == ["wal", 2, 1, 0, 1, 5000]


async def test_a_full_disk_is_named_and_nothing_of_the_group_is_half_kept(store: Store) -> None:
    await store.tx(note("before"))

    def limit(conn: Connection) -> None:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await store.tx(limit)
    with pytest.raises(StoreFull, match="disk is full"):
        await store.tx(note("x" * 1_000_000))
    outcome = await behind_gate(store, lambda: store.tx(note("y" * 1_000_000)), lambda: store.ping())
    assert isinstance(outcome[0], StoreFull)
    await store.tx(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    await store.tx(note("after"))
    assert await store.read(actions) == ["before", "after"]


async def test_a_lock_held_by_another_program_is_named(store: Store, path: Path) -> None:
    await store.tx(lambda conn: conn.exec_driver_sql("PRAGMA busy_timeout = 1"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="write lock"):
        await store.tx(note("x"))
    other.rollback()
    other.close()
    assert await store.tx(note("x")) == "x"


@pytest.mark.parametrize(("point", "kept"), [("before_begin", []), ("before_commit", []), ("after_commit", ["x"])])
@pytest.mark.parametrize("inline", [True, False])
async def test_a_crash_keeps_what_was_committed_and_no_more(
    path: Path, point: str, kept: list[str], inline: bool
) -> None:
    class Crash(BaseException):
        pass

    def crash(name: str) -> None:
        if name == point:
            raise Crash

    store = Store.open(path, clock=SystemClock(), inline=inline)
    store.crash_point = crash
    with pytest.raises(Crash):
        await store.tx(note("x"))
    store.crash_point = None
    assert await store.read(actions) == kept
    await store.aclose()


async def test_a_failing_commit_reaches_every_caller_of_the_group(store: Store) -> None:
    def fails(name: str) -> None:
        if name == "before_commit":
            raise OSError("gone")

    store.crash_point = fails
    outcome = await behind_gate(store, lambda: store.tx(note("a")), lambda: store.tx(note("b")))
    assert [type(each) for each in outcome] == [OSError, OSError]
    store.crash_point = None
    assert await store.read(actions) == []


async def test_a_second_opener_is_refused_with_the_holders_process(store: Store, path: Path) -> None:
    with pytest.raises(StoreRefused, match=r"in use by process \d+.*systemctl stop"):
        Store.open(path, clock=SystemClock())
    assert await store.tx(note("unharmed")) == "unharmed"


def test_a_file_of_another_program_is_refused_untouched(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="another program"):
        Store.open(path, clock=SystemClock())
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await Store.open(path, clock=SystemClock()).aclose()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreRefused, match="schema is number 99"):
        Store.open(path, clock=SystemClock())


def test_a_place_that_cannot_hold_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot be opened"):
        Store.open(tmp_path / "nowhere" / "syncd.db", clock=SystemClock())
    (tmp_path / "folder.db").mkdir()
    for _ in range(2):
        with pytest.raises(StoreBroken, match="unable to open"):
            Store.open(tmp_path / "folder.db", clock=SystemClock())


def test_a_damaged_file_is_named(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreBroken, match="damaged"):
        Store.open(path, clock=SystemClock())
    FileLock.take(path).release()


async def test_closing_finishes_what_waits_and_refuses_what_comes_later(path: Path) -> None:
    store = Store.open(path, clock=SystemClock())
    waiting = [asyncio.ensure_future(store.tx(note(str(number)))) for number in range(100)]
    reading = asyncio.ensure_future(store.read(actions))
    await asyncio.sleep(0)
    await store.aclose()
    assert [await each for each in waiting] == [str(number) for number in range(100)]
    assert isinstance(await reading, list)
    with pytest.raises(StoreClosed):
        await store.tx(note("late"))
    assert threading.active_count() == 1
    assert not path.with_name("syncd.db-wal").exists()


async def test_the_watchdog_is_answered(store: Store) -> None:
    await store.ping()
    memory = Store.open(None, clock=SystemClock())
    await memory.ping()
    await memory.tx(note("a"))
    assert await memory.read(actions) == ["a"]
    await memory.aclose()
