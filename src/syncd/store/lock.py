"""The two files beside a database: `.lock` says which process has it open, `.boot` which database it was.

syncd.db        the rows
syncd.db.lock   flock'ed by the one daemon (or command) that has it open; its process id inside
syncd.db.boot   the random id that the newest opening wrote here and into the database, and the file's inode
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection

BOOT = "boot"
RESTORED = "restored"


class LockHeld(Exception):
    """Another process has the store open, or its lock cannot be taken at all."""


class FileLock:
    """Exclusive until released or until the process ends, however it ends."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file

    @classmethod
    def take(cls, database: Path) -> FileLock:
        """Take the lock of a database at once, or raise LockHeld with the holder's process id and the way out."""
        path = beside(database, "lock")
        try:
            file = path.open("a+", encoding="ascii")
        except OSError as error:
            raise LockHeld(f"{database} cannot be opened here: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise LockHeld(
                f"{database} is in use by process {holder}. Ask that daemon through its admin API, or stop it first "
                f"(systemctl stop syncd). The lock goes with the process: {path} never needs to be deleted."
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        return cls(path, file)

    def release(self) -> None:
        """Let go. The file stays: removing it could take away the lock of a process that just opened it."""
        with suppress(OSError):
            self._file.truncate(0)
        self._file.close()


def beside(database: Path, suffix: str) -> Path:
    """The side file of a database."""
    return database.with_name(f"{database.name}.{suffix}")


def renew_boot(conn: Connection, database: Path) -> bool:
    """Give the database and its side file a new boot id; True while it counts as restored.

    It does when it is not the database that was open here last: its id differs from the side file's, or the side
    file names another inode. It stays so, through any number of starts, until `forget_restored`.
    """
    conn.exec_driver_sql("BEGIN IMMEDIATE")
    known = _value(conn, BOOT)
    if known is not None and read_boot(database) != (known, _inode(database)):
        _put(conn, RESTORED, "1")
    fresh = secrets.token_hex(8)
    _put(conn, BOOT, fresh)
    restored = _value(conn, RESTORED) is not None
    conn.commit()
    # The id must stand in the file itself, not in its log alone: `drop_foreign_log` compares the file's.
    [busy, *_] = conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    if not busy:  # else a stranger reads: the old side file stays, and the next start reads every shop back
        write_boot(database, fresh)
    return restored


def drop_foreign_log(database: Path) -> bool:
    """Remove a write-ahead log that was left by another database; True when there was one.

    A killed daemon leaves its log behind. A backup put into the place of its database does not belong to it: SQLite
    would play the old log into the new file and mix both. Call it with the lock held, before the file is opened.
    """
    known = read_boot(database)
    log = database.with_name(f"{database.name}-wal")
    if known is None or not log.exists() or _boot_in_file(database) in (None, known[0]):
        return False
    for tail in ("-wal", "-shm"):
        database.with_name(f"{database.name}{tail}").unlink(missing_ok=True)
    return True


def _boot_in_file(database: Path) -> str | None:
    """The boot id in the database file itself, its log left aside; None where none can be read."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?immutable=1", uri=True)) as raw:
            row = raw.execute("SELECT value FROM meta WHERE key = ?", (BOOT,)).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else str(row[0])


def forget_restored(conn: Connection) -> None:
    """Take the mark off: in the same transaction that made every believed number unknown."""
    conn.exec_driver_sql(f"DELETE FROM meta WHERE key = '{RESTORED}'")  # noqa: S608  # a constant


def read_boot(database: Path) -> tuple[str, int] | None:
    """The boot id and inode in the side file; None where there is none that can be read."""
    try:
        boot, inode = beside(database, "boot").read_text(encoding="ascii").split()
        return boot, int(inode)
    except (OSError, ValueError):
        return None


def write_boot(database: Path, boot: str) -> None:
    """Replace the side file, durably. Strictly after the commit: a crash between the two only costs a re-check."""
    target = beside(database, "boot")
    fresh = beside(database, "boot.new")
    with fresh.open("w", encoding="ascii") as file:
        file.write(f"{boot} {_inode(database)}\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)


def _inode(database: Path) -> int:
    return database.stat().st_ino


def _value(conn: Connection, key: str) -> str | None:
    row = conn.exec_driver_sql("SELECT value FROM meta WHERE key = ?", (key,)).first()
    return None if row is None else str(row[0])


def _put(conn: Connection, key: str, value: str) -> None:
    conn.exec_driver_sql("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
