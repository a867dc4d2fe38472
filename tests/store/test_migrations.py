"""The migrated database is the schema's, its frozen SQL is up to date, and an upgrade is all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.dialects.postgresql.base import PGDialect

from syncd.clock import SystemClock
from syncd.store import migrations
from syncd.store.engine import Store
from syncd.store.migrations import freeze
from syncd.store.schema import metadata

pytestmark = pytest.mark.anyio


def shape(conn: Connection) -> dict[str, object]:
    """Tables, columns, keys and indexes as SQLite itself reports them."""
    seen = inspect(conn)
    found: dict[str, object] = {}
    for table in sorted(seen.get_table_names()):
        if table == "alembic_version":
            continue
        found[table] = {
            "columns": [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)],
            "key": seen.get_pk_constraint(table),
            "foreign": sorted(str(key) for key in seen.get_foreign_keys(table)),
            "unique": sorted(str(unique) for unique in seen.get_unique_constraints(table)),
            "indexes": conn.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? ORDER BY name", (table,)
            ).all(),
            "strict": conn.exec_driver_sql("SELECT strict FROM pragma_table_list WHERE name = ?", (table,)).scalar(),
        }
    return found


async def test_the_migrated_database_is_the_one_of_the_schema() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        metadata.create_all(conn)
        wanted = shape(conn)
    engine.dispose()
    store = Store.open(None, clock=SystemClock())
    migrated = await store.read(shape)
    await store.aclose()
    assert migrated.keys() == wanted.keys()
    for table, expected in wanted.items():
        assert str(migrated[table]).split() == str(expected).split(), f"{table}: renew with {freeze.__name__}"


@pytest.mark.parametrize("dialect", freeze.DIALECTS, ids=lambda each: each.name)
def test_the_frozen_sql_is_what_the_schema_gives(dialect: PGDialect) -> None:
    frozen = (migrations.HERE / "versions" / f"v0001_first.{dialect.name}.sql").read_text(encoding="utf-8")
    assert frozen == "\n\n".join(freeze.statements(dialect)) + "\n", f"renew with python -m {freeze.__name__}"


def test_the_newest_number_is_that_of_the_newest_revision() -> None:
    revisions = sorted((migrations.HERE / "versions").glob("v[0-9]*.py"))
    assert int(revisions[-1].name[1:5]) == migrations.NEWEST == len(revisions)


async def test_a_new_file_is_marked_as_ours_with_its_number(path: Path) -> None:
    store = Store.open(path, clock=SystemClock(), inline=True)
    marks = await store.read(
        lambda conn: [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("application_id", "user_version")]
    )
    await store.aclose()
    assert marks == [migrations.APPLICATION_ID, migrations.NEWEST]


async def test_an_upgrade_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = migrations.run_alembic

    def fails(conn: Connection) -> None:
        run(conn)
        raise OSError("power")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "run_alembic", fails)
        with pytest.raises(OSError, match="power"):
            Store.open(path, clock=SystemClock())
    store = Store.open(path, clock=SystemClock(), inline=True)
    assert await store.read(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM orders").scalar()) == 0
    await store.aclose()


@pytest.mark.parametrize(
    ("version", "at_risk"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 0), False),
    ],
)
def test_sqlite_versions_with_the_wal_reset_race_are_named(version: tuple[int, ...], at_risk: bool) -> None:
    assert (migrations.wal_reset_risk(version) is not None) == at_risk
