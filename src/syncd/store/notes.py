"""Small notes under a name, in the table `meta`."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, insert, select

from syncd.store.fast import Prepared
from syncd.store.schema import meta

_read = Prepared(select(meta.c.value).where(meta.c.key == bindparam("b_key")), "b_key")
_delete = Prepared(delete(meta).where(meta.c.key == bindparam("b_key")), "b_key")
_insert = Prepared(insert(meta), "key", "value")


def read(conn: Connection, key: str) -> str | None:
    """The note of a name; None where there is none."""
    rows = _read.all(conn, (key,))
    return None if not rows or rows[0][0] is None else str(rows[0][0])


def write(conn: Connection, key: str, value: str) -> None:
    """Write a note over the one of before."""
    _delete.one(conn, (key,))
    _insert.one(conn, (key, value))
