"""Rows of stances: how a SKU is shown now by its policy. A SKU without a row is mirrored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from syncd.store.fast import Prepared
from syncd.store.orders import chunks
from syncd.store.schema import listing, stance


@dataclass(frozen=True, slots=True)
class StanceRow:
    """One row of `stance`, but for its SKU."""

    mode: str = "mirror"
    reserve: int = 0
    jumps: int = 0
    watched: int = 0
    since_us: int = 0
    sale: int = 0
    next_us: int | None = None
    blind: float = 0.0


NAMES = tuple(field.name for field in fields(StanceRow))
_columns = tuple(stance.c[name] for name in NAMES)


def _upsert(dialect: str) -> Insert:
    construct = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = construct(stance).values({name: bindparam(name) for name in ("sku_id", *NAMES)})
    return statement.on_conflict_do_update(
        index_elements=["sku_id"], set_={name: statement.excluded[name] for name in NAMES}
    )


_put = Prepared(_upsert, "sku_id", *NAMES)
_any = Prepared(select(stance.c.sku_id).limit(1))
_of = Prepared(
    select(stance.c.sku_id, *_columns).where(stance.c.sku_id.in_(bindparam("ids", expanding=True))), each="ids"
)

_due = Prepared(
    select(stance.c.sku_id)
    .where((stance.c.next_us <= bindparam("b_now")) | (stance.c.mode == "escrow"))
    .order_by(stance.c.sku_id)
    .limit(bindparam("b_most")),
    "b_now", "b_most",
)  # fmt: skip
_in_escrow = Prepared(select(stance.c.sku_id).where(stance.c.mode == "escrow"))
_watched = Prepared(
    select(listing.c.id, listing.c.key)
    .join(stance, stance.c.sku_id == listing.c.sku_id)
    .where(listing.c.shop_id == bindparam("b_shop"), listing.c.state == "ours", listing.c.id > bindparam("b_after"))
    .where(stance.c.watched == 1)
    .order_by(listing.c.id)
    .limit(bindparam("b_most")),
    "b_shop", "b_after", "b_most",
)  # fmt: skip


def any_stance(conn: Connection) -> bool:
    """Whether any SKU is shown otherwise than mirrored."""
    return bool(_any.all(conn))


def load_stances(conn: Connection, sku_ids: Sequence[int]) -> dict[int, StanceRow]:
    """Stances of these SKUs; those without a row are missing."""
    if not any_stance(conn):
        return {}
    return {row[0]: StanceRow(*row[1:]) for row in _of.of(conn, sku_ids)}


def save_stances(conn: Connection, rows: Mapping[int, StanceRow | None]) -> None:
    """Write stances by SKU; None takes one away."""
    _put.many(conn, [(sku, *astuple(row)) for sku, row in sorted(rows.items()) if row is not None])
    gone = [sku for sku, row in rows.items() if row is None]
    for some in chunks(gone):
        conn.execute(delete(stance).where(stance.c.sku_id.in_(some)))


def due_stances(conn: Connection, now_us: int, most: int = 500) -> list[int]:
    """SKUs whose stance time alone may change by now, and those in escrow: they are looked at again and again."""
    return [row[0] for row in _due.all(conn, (now_us, most))]


def in_escrow(conn: Connection) -> list[int]:
    """Every SKU in escrow."""
    return [row[0] for row in _in_escrow.all(conn)]


def watched_listings(conn: Connection, shop_id: int, after_id: int, most: int) -> list[tuple[int, str]]:
    """Listings (id, key) of a shop whose SKU is watched, in the order of their ids."""
    return [(row[0], row[1]) for row in _watched.all(conn, (shop_id, after_id, most))]
