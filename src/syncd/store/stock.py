"""Rows of SKUs, bundles, locations, balances and rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, case, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from syncd.store.fast import Prepared
from syncd.store.schema import balance, location, part, rule, sku


@dataclass(slots=True)
class BalanceRow:
    """Balance of one SKU at one location, with the times of its opening, count and newest raise."""

    on_hand: int = 0
    ordered: int = 0
    allocated: int = 0
    opened_us: int = 0
    counted_us: int = 0
    raised_us: int = 0


def _add_balance(dialect: str) -> Insert:
    construct = sqlite.insert if dialect == "sqlite" else postgresql.insert
    names = ("sku_id", "location_id", "on_hand", "ordered", "allocated", "raised_us")
    statement = construct(balance).values({name: bindparam(name) for name in names})
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["sku_id", "location_id"],
        set_={
            "on_hand": balance.c.on_hand + new.on_hand,
            "ordered": balance.c.ordered + new.ordered,
            "allocated": balance.c.allocated + new.allocated,
            "raised_us": case((new.raised_us > balance.c.raised_us, new.raised_us), else_=balance.c.raised_us),
        },
    )


_add = Prepared(_add_balance, "sku_id", "location_id", "on_hand", "ordered", "allocated", "raised_us")
_ids: BindParameter[Any] = bindparam("ids", expanding=True)
_balances = Prepared(
    select(
        balance.c.sku_id,
        balance.c.location_id,
        balance.c.on_hand,
        balance.c.ordered,
        balance.c.allocated,
        balance.c.opened_us,
        balance.c.counted_us,
        balance.c.raised_us,
    ).where(balance.c.sku_id.in_(_ids)),
    each="ids",
)
_parts_down = Prepared(
    select(part.c.bundle_id, part.c.part_id, part.c.pieces).where(part.c.bundle_id.in_(_ids)), each="ids"
)
_rules = Prepared(
    select(rule.c.name, rule.c.shop_id, rule.c.sku_id, rule.c.value).where(rule.c.sku_id.in_(_ids)), each="ids"
)
_narrow_rules = Prepared(select(rule.c.sku_id).where(rule.c.sku_id > 0).limit(1))
_ids_of = Prepared(select(sku.c.code, sku.c.id).where(sku.c.code.in_(bindparam("codes", expanding=True))), each="codes")
_codes_of = Prepared(select(sku.c.id, sku.c.code).where(sku.c.id.in_(_ids)), each="ids")
_parts_up = Prepared(select(part.c.bundle_id).where(part.c.part_id.in_(_ids)), each="ids")


def add_to_balances(conn: Connection, rows: Sequence[tuple[int, int, int, int, int, int]]) -> None:
    """Add (sku, location, on hand, ordered, allocated, raised_us) to the balances."""
    if rows:
        _add.many(conn, list(rows))


def load_balances(conn: Connection, sku_ids: Sequence[int]) -> dict[int, dict[int, BalanceRow]]:
    """Balances by SKU and location; a SKU that never moved is missing."""
    found: dict[int, dict[int, BalanceRow]] = {}
    for row in _balances.of(conn, sku_ids):
        found.setdefault(row[0], {})[row[1]] = BalanceRow(*row[2:])
    return found


def mark_baseline(conn: Connection, sku_id: int, location_id: int, *, opened_us: int | None, counted_us: int) -> None:
    """Remember when a SKU was opened or counted at a location. The balance row exists."""
    values: dict[str, int] = {"counted_us": counted_us}
    if opened_us is not None:
        values["opened_us"] = opened_us
    conn.execute(
        balance.update().where(balance.c.sku_id == sku_id, balance.c.location_id == location_id).values(values)
    )


def parts_below(conn: Connection, sku_ids: Iterable[int]) -> dict[int, dict[int, int]]:
    """The bundle graph below these SKUs: bundle -> {part: pieces}."""
    graph: dict[int, dict[int, int]] = {}
    todo = sorted(set(sku_ids))
    while todo:
        below: set[int] = set()
        for bundle_id, part_id, pieces in _parts_down.of(conn, todo):
            graph.setdefault(bundle_id, {})[part_id] = pieces
            below.add(part_id)
        todo = sorted(below - graph.keys())
    return graph


def bundles_above(conn: Connection, sku_ids: Iterable[int]) -> set[int]:
    """These SKUs and every bundle that contains one of them, however deep."""
    known = set(sku_ids)
    todo = sorted(known)
    while todo:
        above = {row[0] for row in _parts_up.of(conn, todo)}
        todo = sorted(above - known)
        known |= above
    return known


def sku_ids(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """Ids of known SKU codes."""
    return {row[0]: row[1] for row in _ids_of.of(conn, codes)}


def sku_codes(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Codes of SKU ids."""
    return {row[0]: row[1] for row in _codes_of.of(conn, ids)}


def add_skus(conn: Connection, rows: Sequence[tuple[str, str]], now_us: int) -> dict[str, int]:
    """Create SKUs (code, name) that are not known yet; return the ids of all of them."""
    known = sku_ids(conn, [code for code, _ in rows])
    fresh = {code: name for code, name in rows if code not in known}
    if fresh:
        conn.execute(insert(sku), [{"code": c, "name": n, "created_us": now_us} for c, n in fresh.items()])
        known |= sku_ids(conn, list(fresh))
    return known


def set_parts(conn: Connection, bundle_id: int, parts: Mapping[int, int]) -> None:
    """Make a SKU a bundle of these parts, or a plain SKU when empty. The caller has checked for cycles."""
    conn.execute(delete(part).where(part.c.bundle_id == bundle_id))
    if parts:
        conn.execute(
            insert(part), [{"bundle_id": bundle_id, "part_id": p, "pieces": n} for p, n in sorted(parts.items())]
        )


def all_parts(conn: Connection) -> dict[str, dict[str, int]]:
    """The whole bundle graph by SKU code."""
    inner = sku.alias("inner_sku")
    query = (
        select(sku.c.code, inner.c.code, part.c.pieces)
        .join(part, part.c.bundle_id == sku.c.id)
        .join(inner, inner.c.id == part.c.part_id)
    )
    graph: dict[str, dict[str, int]] = {}
    for bundle, code, pieces in conn.execute(query).all():
        graph.setdefault(bundle, {})[code] = pieces
    return graph


def location_ids(conn: Connection, names: Sequence[str]) -> dict[str, int]:
    """Ids of locations, created where they are new."""
    known = {row[0]: row[1] for row in conn.execute(select(location.c.name, location.c.id)).all()}
    for name in names:
        if name not in known:
            known[name] = int(conn.execute(insert(location).values(name=name).returning(location.c.id)).scalar_one())
    return known


def load_rules(conn: Connection, sku_ids: Sequence[int]) -> dict[tuple[str, int, int], int]:
    """Rules of these SKUs and of every wider scope: (rule, shop or 0, SKU or 0) -> value."""
    found: dict[tuple[str, int, int], int] = {}
    narrow = bool(_narrow_rules.all(conn))  # most stores have none for single SKUs: no need to ask for each
    for name, shop_id, sku_id, value in _rules.of(conn, [0, *(sku_ids if narrow else ())]):
        found[name, shop_id, sku_id] = value
    return found


def set_rule(conn: Connection, name: str, shop_id: int, sku_id: int, value: int | None) -> None:
    """Set a rule for a scope (0 = every), or take it away with None."""
    conn.execute(delete(rule).where(rule.c.name == name, rule.c.shop_id == shop_id, rule.c.sku_id == sku_id))
    if value is not None:
        conn.execute(insert(rule).values(name=name, shop_id=shop_id, sku_id=sku_id, value=value))
