"""Backups of a store that is in use: a whole, checked copy appears under its name at once, or not at all."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread

from syncd.store.engine import StoreBroken, StoreError, StoreRefused
from syncd.store.lock import BOOT
from syncd.store.migrations import APPLICATION_ID, NEWEST

BUSY_SECONDS = 5.0


def backup(database: Path, target: Path) -> int:
    """Copy a store into a file that a later `Store.open` recognises as restored; returns its size in bytes.

    Works while a daemon writes: it sees the state of one moment. Blocks (a million entries: a second or two), so
    a daemon calls it in a thread. An older file of the same name is replaced only when the new one is proven.
    Raises StoreError: the disk full, the copy damaged, no store there. Then nothing is left behind.
    """
    fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    try:
        _copy(database, fresh)
        _seal(fresh)
        _sync(fresh)
        fresh.replace(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"no backup of {database} was made: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return target.stat().st_size


async def backup_beside(database: Path, target: Path) -> int:
    """The same as `backup`, in a thread of its own: the event loop goes on. A cancellation waits for its end."""
    return await anyio.to_thread.run_sync(backup, database, target)


def check(path: Path) -> int:
    """Prove that a file is a whole store that this syncd can open; returns its schema number.

    Reads every page, changes nothing. Raises StoreRefused (not ours, or newer) or StoreBroken.
    """
    try:
        with closing(_open(path, "ro")) as conn:
            if _pragma(conn, "application_id") != APPLICATION_ID:
                raise StoreRefused(f"{path} is not a store of syncd")
            version: int = _pragma(conn, "user_version")
            if version > NEWEST:
                raise StoreRefused(f"{path} has schema {version}; this syncd knows up to {NEWEST}")
            verdict = _pragma(conn, "integrity_check(1)")
    except sqlite3.Error as error:
        raise StoreBroken(f"{path} cannot be read: {error}") from error
    if verdict != "ok":
        raise StoreBroken(f"{path} is damaged: {verdict}")
    return version


def _copy(database: Path, fresh: Path) -> None:
    with closing(_open(database, "rw")) as conn:  # "rw": a reader of a WAL file needs its index, which it may make
        conn.execute("PRAGMA wal_autocheckpoint = 0")  # the writer alone checkpoints
        conn.execute("VACUUM INTO ?", (str(fresh),))


def _seal(fresh: Path) -> None:
    """Take the boot id out of the copy, so that it fits no side file, and prove the copy."""
    with closing(_open(fresh, "rw")) as conn:
        conn.execute("UPDATE meta SET value = 'backup' WHERE key = ?", (BOOT,))
        verdict = _pragma(conn, "quick_check(1)")
    if verdict != "ok":
        raise StoreBroken(f"the copy was damaged ({verdict}); check the disk")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _pragma(conn: sqlite3.Connection, name: str) -> Any:
    return conn.execute(f"PRAGMA {name}").fetchone()[0]


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
