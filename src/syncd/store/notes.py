"""Small notes under a name, in the table `meta`."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from syncd.store.schema import meta


def read(conn: Connection, key: str) -> str | None:
    """The note of a name; None where there is none."""
    found = conn.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    return None if found is None else str(found)


def write(conn: Connection, key: str, value: str) -> None:
    """Write a note over the one of before."""
    conn.execute(delete(meta).where(meta.c.key == key))
    conn.execute(insert(meta).values(key=key, value=value))
