"""Rows of grants: what authorization servers gave us, sealed. Nothing here holds a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from syncd.store.schema import grant


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One row of `grant`. `sealed` opens only with a key that the store does not hold."""

    channel: str
    name: str
    sealed: str
    ends_us: int | None
    signed_in_until_us: int | None
    saved_us: int


_columns = tuple(grant.c[name] for name in GrantRow.__dataclass_fields__)


def load_grant(conn: Connection, channel: str, name: str) -> GrantRow | None:
    """The grant of a name, if there is one."""
    row = conn.execute(select(*_columns).where(grant.c.channel == channel, grant.c.name == name)).first()
    return None if row is None else GrantRow(*row)


def save_grant(conn: Connection, row: GrantRow) -> None:
    """Keep a grant in the place of the one before."""
    conn.execute(delete(grant).where(grant.c.channel == row.channel, grant.c.name == row.name))
    values = {name: getattr(row, name) for name in GrantRow.__dataclass_fields__}
    conn.execute(insert(grant).values(values))


def reseal_grants(conn: Connection, reseal: Callable[[str], str | None]) -> int:
    """Seal every grant anew; those for which `reseal` gives None are left as they are. Returns how many are left."""
    left = 0
    for channel, name, sealed in conn.execute(select(grant.c.channel, grant.c.name, grant.c.sealed)).all():
        fresh = reseal(sealed)
        left += fresh is None
        if fresh is not None and fresh != sealed:
            same = (grant.c.channel == channel, grant.c.name == name)
            conn.execute(update(grant).where(*same).values(sealed=fresh))
    return left
