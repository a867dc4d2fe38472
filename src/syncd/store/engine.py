"""The store: one writer connection in one thread, waiting functions in one commit, readers beside it."""

from __future__ import annotations

import asyncio
import heapq
import sqlite3
import threading
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, TypeVar

import anyio
from sqlalchemy import Connection, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from syncd.clock import Clock
from syncd.store import lock, migrations

T = TypeVar("T")
GROUP_LIMIT = 64
GROUP_SECONDS = 0.05
BUSY_SECONDS = 5.0
STATEMENTS = 512
READERS = 4
SAFE = ("trusted_schema = OFF", "mmap_size = 0")
ROOMY = ("cache_size = -65536", "wal_autocheckpoint = 4000")  # else the rows of one booking spill from the cache
WRITER_PRAGMAS = ("journal_mode = WAL", "cell_size_check = ON", *ROOMY, *SAFE)
READER_PRAGMAS = ("query_only = ON", "wal_autocheckpoint = 0", *SAFE)


class StoreError(Exception):
    """The store cannot do this."""


class StoreRefused(StoreError):
    """The file is not ours to open: nothing was touched."""


class StoreFull(StoreError):
    """The disk is full: nothing of this function was kept. Free space, then repeat."""


class StoreBusy(StoreError):
    """Another process held the write lock too long: nothing of this function was kept. Repeat."""


class StoreBroken(StoreError):
    """The file is damaged or unreadable. Stop, restore a backup, start again."""


class StoreClosed(StoreError):
    """The store is closed or closing."""


class Sync(StrEnum):
    """What a commit outlives: a power cut, or only the death of the process (in simulations)."""

    FULL = "FULL"
    OFF = "OFF"


class Priority(IntEnum):
    """Who goes first among waiting functions: bookings and stockouts, then the rest, then long chunks."""

    URGENT = 0
    NORMAL = 1
    BACKGROUND = 2


LAST = len(Priority)


class _Job:
    """One waiting function, its place in the queue and its outcome."""

    __slots__ = ("done", "error", "fn", "loop", "priority", "result")

    def __init__(self, fn: Callable[[Connection], Any]) -> None:
        self.fn = fn
        self.priority = 0
        self.result: Any = None
        self.error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.done: asyncio.Future[None] | None = None


class Store:
    """Rows of one shop owner. `tx` writes, `read` reads; both take ONE plain function of a Core connection.

    A function must not commit, roll back, await, or touch the network. `warnings` are sentences for the operator.
    `restored` is True while a restored backup waits to be dealt with: then no believed number may be trusted.
    """

    def __init__(self, path: Path | None, clock: Clock, inline: bool, held: lock.FileLock | None) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.restored = False
        self.crash_point: Callable[[str], None] | None = None
        self.commit_seconds: Callable[[float], None] | None = None
        self._clock = clock
        self._held = held
        self._raw = sqlite3.connect(
            path or ":memory:", timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False,
            cached_statements=STATEMENTS,
        )  # fmt: skip
        self._engine = create_engine("sqlite+pysqlite://", creator=lambda: self._raw, poolclass=StaticPool)
        self._conn = self._engine.connect()
        self._closed = False
        self._queue: list[tuple[int, int, _Job]] = []
        self._count = 0
        self._changed = threading.Condition()
        self._readers: AsyncEngine | None = None
        self._reading: set[asyncio.Task[Any]] = set()
        self._thread: threading.Thread | None = None
        if not inline and path is not None:
            self._readers = _reader_engine(path)
            self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)

    @classmethod
    def open(cls, path: Path | None, *, clock: Clock, inline: bool = False, sync: Sync = Sync.FULL) -> Store:
        """Open the store and bring it to the newest schema; None makes one in memory, always inline.

        Inline: functions run at once in the caller, without a thread, for simulation. Blocks until checked.
        Raises StoreRefused or StoreBroken, with a sentence that says what to do.
        """
        held = store = None
        try:
            held = None if path is None else lock.FileLock.take(path)
            dropped = path is not None and lock.drop_foreign_log(path)
            store = cls(path, clock, inline, held)
            store._prepare(sync)
            if dropped:
                store.warnings.append(f"{path}-wal belonged to another database and was removed: a backup was restored")
        except BaseException as error:
            if store is not None:
                store._shut()
            if held is not None:
                held.release()
            raise _named(error) from error
        if store._thread is not None:
            store._thread.start()
        return store

    async def tx(self, fn: Callable[[Connection], T], *, priority: Priority = Priority.NORMAL) -> T:
        """Run a function between BEGIN IMMEDIATE and a durable COMMIT, and return what it returns.

        All of it is kept, or nothing: whatever it raises is raised here, and harms no neighbour of the same commit.
        First in, first out within a priority. Once called it runs: a cancellation is delivered after the commit
        (the task's own `cancel()` as CancelledError from here, a cancel scope's at the caller's next await).
        """
        if self._closed:
            raise StoreClosed("the store is closed")
        job = _Job(fn)
        if self._thread is None:
            self._group(job, lambda _least: None)
            await anyio.lowlevel.cancel_shielded_checkpoint()
        else:
            await self._put(job, priority)
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a function that only reads, in one snapshot, beside the writer; a write in it raises.

        Shielded like `tx`: a cancelled caller waits for its end.
        """
        if self._closed:
            raise StoreClosed("the store is closed")
        if self._readers is None:
            result = self._read_inline(fn)
            await anyio.lowlevel.cancel_shielded_checkpoint()
            return result
        reading = asyncio.create_task(_read(self._readers, fn))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        await _finished(reading)
        return reading.result()

    async def ping(self) -> None:
        """Return when the writer answers and can take the write lock; writes nothing. The caller sets the limit."""
        await self.tx(lambda _conn: None, priority=Priority.URGENT)

    async def aclose(self) -> None:
        """Finish every waiting function, checkpoint, close all connections, end the thread. Twice is harmless."""
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            if self._reading:
                await asyncio.wait(self._reading)
            if self._readers is not None:
                await self._readers.dispose()
            if self._thread is None:
                self._shut()
            else:
                await self._put(_Job(lambda _conn: None), LAST)
                self._thread.join()
        if self._held is not None:
            self._held.release()

    def _prepare(self, sync: Sync) -> None:
        conn = self._conn
        if reason := migrations.refusal(conn):
            raise StoreRefused(f"{self.path}: {reason}")
        for pragma in (*WRITER_PRAGMAS, f"synchronous = {sync}"):
            conn.exec_driver_sql(f"PRAGMA {pragma}")
        if damage := migrations.damage(conn):
            raise StoreBroken(f"{self.path} is damaged ({damage}); restore the newest backup")
        migrations.upgrade(conn)
        conn.exec_driver_sql("PRAGMA foreign_keys = ON")
        if self.path is not None:
            self.restored = lock.renew_boot(conn, self.path)
        if risk := migrations.wal_reset_risk(sqlite3.sqlite_version_info):
            self.warnings.append(risk)

    def _shut(self) -> None:
        """Checkpoint and close the writer's connection; an error of the checkpoint loses nothing."""
        try:
            if self.path is not None and self._closed:
                self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            self.warnings.append(f"the last checkpoint failed: {error}")
        self._conn.close()
        self._engine.dispose()
        self._raw.close()
        self._closed = True

    async def _put(self, job: _Job, place: int) -> None:
        """Queue a function for the thread and wait for its end."""
        job.priority, job.loop = place, asyncio.get_running_loop()
        job.done = job.loop.create_future()
        with self._changed:
            self._count += 1
            heapq.heappush(self._queue, (place, self._count, job))
            self._changed.notify()
        await _finished(job.done)

    def _work(self) -> None:
        """The writer thread: groups until the job that `aclose` put behind all others."""
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                place, _, job = heapq.heappop(self._queue)
            if place == LAST:
                self._shut()
                _deliver([job])
                return
            _deliver(self._group(job, self._next))

    def _next(self, least: int = Priority.BACKGROUND) -> _Job | None:
        """The next waiting function of at least this urgency."""
        with self._changed:
            return heapq.heappop(self._queue)[2] if self._queue and self._queue[0][0] <= least else None

    def _group(self, first: _Job, more: Callable[[int], _Job | None]) -> list[_Job]:
        """Run a function and those that wait behind it in one commit; returns all that are answered now."""
        group = [first]
        try:
            self._fill(group, more)
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the callers, not to this thread
            self._roll_back()
            for job in group:
                job.error = job.error or _named(error)
        return group

    def _fill(self, group: list[_Job], more: Callable[[int], _Job | None]) -> None:
        """The first needs no savepoint: nothing is before it that its rollback could harm."""
        self._point("before_begin")
        try:
            self._raw.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            group.extend(iter(lambda: more(Priority.BACKGROUND), None))  # nobody else would get in either
            raise
        began = self._clock.monotonic()
        if not self._run(group[0]):
            self._roll_back()
            return
        while len(group) < GROUP_LIMIT and self._clock.monotonic() - began < GROUP_SECONDS:
            job = more(group[-1].priority)  # an urgent one is not made to wait for a less urgent one
            if job is None:
                break
            group.append(job)
            self._run_in_savepoint(job)
        self._commit()

    def _run(self, job: _Job) -> bool:
        try:
            job.result = job.fn(self._conn)
            if not self._raw.in_transaction:
                raise StoreError("a function of the store must not commit or roll back")
        except BaseException as error:  # noqa: BLE001  # raised again in the caller
            job.error = _named(error)
        return job.error is None

    def _run_in_savepoint(self, job: _Job) -> None:
        self._raw.execute("SAVEPOINT one")
        good = self._run(job)
        if job.error is not None and not self._raw.in_transaction:
            raise job.error  # SQLite may end the whole transaction on a full disk: the neighbours hear the same
        if not good:
            self._raw.execute("ROLLBACK TO one")
        self._raw.execute("RELEASE one")

    def _commit(self) -> None:
        self._point("before_commit")
        began = self._clock.monotonic()
        self._conn.commit()  # ends Core's own notion of a transaction, if a statement began one
        if self._raw.in_transaction:
            self._raw.commit()
        if self.commit_seconds is not None:
            self.commit_seconds(self._clock.monotonic() - began)
        self._point("after_commit")

    def _roll_back(self) -> None:
        self._conn.rollback()
        if self._raw.in_transaction:
            self._raw.rollback()

    def _point(self, name: str) -> None:
        if self.crash_point is not None:
            self.crash_point(name)

    def _read_inline(self, fn: Callable[[Connection], T]) -> T:
        """Given up at its end: `PRAGMA query_only` would make every statement be compiled anew."""
        changes = self._raw.total_changes
        self._raw.execute("BEGIN")
        try:
            result = fn(self._conn)
        except DBAPIError as error:
            raise _named(error, reading=True) from error
        finally:
            self._roll_back()
        if self._raw.total_changes != changes:
            raise StoreError("a function given to read() must not write")
        return result


async def _read(readers: AsyncEngine, fn: Callable[[Connection], T]) -> T:
    try:
        async with readers.connect() as conn:
            return await conn.run_sync(fn)
    except DBAPIError as error:
        raise _named(error, reading=True) from error


async def _finished(future: asyncio.Future[Any]) -> None:
    """Wait for the end whatever cancels meanwhile; then raise the cancellation."""
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # seen: the cancellation hides it
        raise cancelled


def _deliver(jobs: list[_Job]) -> None:
    """Wake the callers, by one call into each loop; one that is gone has no caller left."""
    for loop in {job.loop for job in jobs}:
        mine = [job.done for job in jobs if job.loop is loop and job.done is not None]
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_settle, mine)


def _settle(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


def _named(error: BaseException, *, reading: bool = False) -> BaseException:
    """An SQLite error as the StoreError that says what to do; everything else as it is."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, lock.LockHeld):
        return StoreRefused(str(error))
    if not isinstance(cause, sqlite3.Error):
        return error
    primary = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(f"the disk is full, nothing was written ({cause})")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"another process holds the write lock for over {BUSY_SECONDS:.0f} s ({cause})")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return StoreBroken(f"the database cannot be read or is damaged ({cause}); check the disk, restore a backup")
    if primary == sqlite3.SQLITE_READONLY:
        if reading:
            return StoreError(f"a function given to read() must not write ({cause})")
        return StoreBroken(f"the database cannot be written ({cause}); check owner and mount")
    return error


def _reader_engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", pool_size=READERS, max_overflow=0, connect_args={"timeout": BUSY_SECONDS}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None
        for pragma in READER_PRAGMAS:
            dbapi.cursor().execute(f"PRAGMA {pragma}")

    @event.listens_for(engine.sync_engine, "begin")
    def _began(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN")

    return engine
