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


@pytest.fixture
async def killed(path: Path, tmp_path: Path) -> Path:
    """A store as SIGKILL leaves it, its last changes in the log alone; `one.db` is a backup from before them."""
    store = open_inline(path)
    await store.tx(note)
    backup(path, tmp_path / "one.db")
    for _ in range(40):
        await store.tx(note)
    left = tmp_path / "left" / path.name
    left.parent.mkdir()
    for tail in ("", "-wal", ".boot"):
        shutil.copyfile(f"{path}{tail}", f"{left}{tail}")
    await store.aclose()
    assert left.with_name(f"{left.name}-wal").stat().st_size > 0
    return left


async def test_a_backup_in_the_place_of_a_killed_store_is_not_mixed_with_the_log_left_behind(
    killed: Path, tmp_path: Path
) -> None:
    shutil.copyfile(tmp_path / "one.db", killed)
    store = open_inline(killed)
    assert store.restored
    assert any("belonged to another database and was removed" in one for one in store.warnings)
    assert await store.tx(actions) == ["noted"]
    await store.aclose()
    check(killed)


async def test_a_killed_store_keeps_what_only_its_log_holds(killed: Path) -> None:
    store = open_inline(killed)
    assert len(await store.tx(actions)) == 41
    assert not any("another database" in one for one in store.warnings)
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
