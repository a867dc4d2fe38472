"""Brings a database to the newest schema: one numbered Alembic revision a file in `versions/`, run by code.

The revision's number is also SQLite's `user_version`, so a database already at the newest needs no Alembic. A
revision is never changed once released; until then `python -m syncd.store.migrations.freeze` renews the first one.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

NEWEST = 1
APPLICATION_ID = 0x73796364  # "sycd"
HERE = Path(__file__).parent


def refusal(conn: Connection) -> str | None:
    """Why this SQLite file must not be touched; None for ours and for an empty one."""
    application = _pragma(conn, "application_id")
    if application != APPLICATION_ID:
        found = conn.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        if found or application:
            return "it is the database of another program; name another file"
    version = _pragma(conn, "user_version")
    if version > NEWEST:
        return (
            f"its schema is number {version}, this syncd knows up to {NEWEST}; "
            "start the newer syncd again, or restore the backup made before the upgrade"
        )
    return None


def damage(conn: Connection) -> str | None:
    """What SQLite's quick_check finds broken in the file; None if nothing."""
    verdict = conn.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    return None if verdict == "ok" else str(verdict)


def wal_reset_risk(version: tuple[int, ...]) -> str | None:
    """A warning for an SQLite with the WAL-reset race between two connections (3.7.0 to 3.51.2); else None."""
    backport = (version[:2] == (3, 50) and version >= (3, 50, 7)) or (version[:2] == (3, 44) and version >= (3, 44, 6))
    if version < (3, 7, 0) or version >= (3, 51, 3) or backport:
        return None
    name = ".".join(map(str, version))
    return f"SQLite {name} has a rare WAL-reset corruption race, fixed in 3.51.3, 3.50.7 and 3.44.6: upgrade it"


def upgrade(conn: Connection) -> bool:
    """Bring an SQLite database to the newest schema in one transaction; True if anything was done.

    Called with no transaction open and foreign keys off. A crash within leaves the old schema.
    """
    if _pragma(conn, "user_version") == NEWEST:
        return False
    conn.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        run_alembic(conn)
        conn.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        conn.exec_driver_sql(f"PRAGMA user_version = {NEWEST}")
    except BaseException:
        conn.rollback()
        raise
    conn.commit()
    return True


def run_alembic(conn: Connection) -> None:
    """Run the missing revisions on this connection, in the transaction that is open on it."""
    from alembic import command  # only here: its import costs more than a whole start without it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def _pragma(conn: Connection, name: str) -> int:
    return int(conn.exec_driver_sql(f"PRAGMA {name}").scalar_one())
