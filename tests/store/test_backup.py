"""Backups of a running store, and that a restored one is recognised until someone has dealt with it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from syncd.clock import SystemClock
from syncd.store.backup import backup, check
from syncd.store.engine import Store, StoreBroken, StoreError, StoreRefused
from syncd.store.lock import beside, forget_restored
from syncd.store.schema import audit

pytestmark = pytest.mark.anyio


def note(conn: Connection) -> None:
    conn.execute(insert(audit).values(at_us=1, action="noted"))


def actions(conn: Connection) -> list[str]:
    return list(conn.execute(select(audit.c.action)).scalars())


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def open_inline(path: Path) -> Store:
    return Store.open(path, clock=SystemClock(), inline=True)


async def test_a_backup_of_a_running_store_is_whole_and_leaves_nothing_beside_it(
    store: Store, path: Path, tmp_path: Path
) -> None:
    await store.tx(note)
    target = tmp_path / "kept" / "one.db"
    target.parent.mkdir()
    assert backup(path, target) == target.stat().st_size
    await store.tx(note)
    assert check(target) == 1
    assert names_in(target.parent) == {"one.db"}
    copy = open_inline(target)
    assert await copy.read(actions) == ["noted"]
    await copy.aclose()


async def test_a_failing_backup_keeps_the_older_one(store: Store, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "one.db"
    backup(path, target)
    before = target.read_bytes()
    with pytest.raises(StoreError, match="no backup of"):
        backup(tmp_path / "nowhere.db", target)
    assert target.read_bytes() == before
    assert names_in(tmp_path) == {"one.db"} | {f"syncd.db{tail}" for tail in ("", "-wal", "-shm", ".lock", ".boot")}
    await store.ping()


async def test_a_store_that_was_only_closed_is_not_restored(path: Path) -> None:
    for _ in range(3):
        store = open_inline(path)
        assert not store.restored
        await store.aclose()


async def test_a_restored_backup_is_recognised_until_it_was_dealt_with(path: Path, tmp_path: Path) -> None:
    store = open_inline(path)
    backup(path, tmp_path / "one.db")
    await store.aclose()
    shutil.copyfile(tmp_path / "one.db", path)
    crashed = open_inline(path)
    assert crashed.restored
    await crashed.aclose()
    again = open_inline(path)
    assert again.restored, "a start that did not deal with it changes nothing"
    await again.tx(forget_restored)
    await again.aclose()
    store = open_inline(path)
    assert not store.restored
    await store.aclose()


async def test_a_plain_copy_of_the_same_run_is_recognised_by_its_inode(path: Path, tmp_path: Path) -> None:
    await open_inline(path).aclose()
    shutil.copyfile(path, tmp_path / "copy.db")
    (tmp_path / "copy.db").replace(path)
    store = open_inline(path)
    assert store.restored
    await store.aclose()


async def test_a_database_that_lost_its_side_file_counts_as_restored(path: Path) -> None:
    await open_inline(path).aclose()
    beside(path, "boot").unlink()
    store = open_inline(path)
    assert store.restored
    await store.aclose()


def test_a_check_names_what_is_wrong(path: Path) -> None:
    sqlite3.connect(path).close()
    path.write_bytes(b"")
    with pytest.raises(StoreRefused, match="not a store of syncd"):
        check(path)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(StoreBroken, match="cannot be read"):
        check(path)
