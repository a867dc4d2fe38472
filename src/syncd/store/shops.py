"""Rows of shops, alarms and the audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from syncd.store.fast import Prepared
from syncd.store.schema import alarm, audit, orders, shop


@dataclass(frozen=True, slots=True)
class ShopRow:
    """One row of `shop`."""

    id: int
    name: str
    channel: str
    account: str | None
    cursor: str | None
    watermark_us: int
    orders_began_us: int
    read_us: int
    wrote_us: int
    skew_us: int
    paused: int
    started: int
    status: str
    status_text: str
    key_expires_us: int | None
    checked_us: int


_columns = tuple(shop.c[name] for name in ShopRow.__dataclass_fields__)
_by_id = Prepared(select(*_columns).where(shop.c.id == bindparam("b_id")), "b_id")
_by_name = Prepared(select(*_columns).where(shop.c.name == bindparam("b_name")), "b_name")
_every = Prepared(select(*_columns).order_by(shop.c.id))
_same_alarm = update(alarm).where(
    alarm.c.kind == bindparam("b_kind"),
    alarm.c.subject == bindparam("b_subject"),
    alarm.c.cleared_us.is_(None),
    alarm.c.shop_id.is_not_distinct_from(bindparam("b_shop")),
)
_clear = Prepared(
    _same_alarm.values(cleared_us=bindparam("v_us")), "b_kind", "b_subject", "b_shop", "v_us"
)  # fmt: skip
_raise_again = Prepared(
    _same_alarm.values(count=alarm.c.count + 1, last_us=bindparam("v_us"), text=bindparam("v_text")),
    "b_kind", "b_subject", "b_shop", "v_us", "v_text",
)  # fmt: skip
_raise = Prepared(insert(alarm), "kind", "shop_id", "subject", "text", "since_us", "last_us")
_open_of = Prepared(
    select(alarm.c.kind, alarm.c.subject).where(
        alarm.c.kind.in_(bindparam("kinds", expanding=True)),
        alarm.c.shop_id == bindparam("b_shop"),
        alarm.c.cleared_us.is_(None),
    ),
    "b_shop", each="kinds",
)  # fmt: skip
_audit = Prepared(insert(audit), "at_us", "who", "action", "detail")
_set: dict[tuple[str, ...], Prepared] = {}
"""Updates of a shop by the columns they set; a handful of them, many times a second."""


BACKUP_MADE = "backup_made"


class SecondShop(ValueError):
    """Two shop files talk to one account; the second is refused."""


def all_shops(conn: Connection) -> list[ShopRow]:
    """Every shop ever configured."""
    return [ShopRow(*row) for row in _every.all(conn)]


def shop_named(conn: Connection, name: str) -> ShopRow | None:
    """The shop of a name."""
    rows = _by_name.all(conn, (name,))
    return ShopRow(*rows[0]) if rows else None


def shop_row(conn: Connection, shop_id: int) -> ShopRow:
    """The shop of an id. It exists."""
    [row] = _by_id.all(conn, (shop_id,))
    return ShopRow(*row)


def ensure_shop(conn: Connection, name: str, channel: str) -> ShopRow:
    """The row of a shop file, created when new. A file that changed its channel gets a row of its own name."""
    row = shop_named(conn, name)
    if row is None:
        conn.execute(insert(shop).values(name=name, channel=channel))
        return ensure_shop(conn, name, channel)
    if row.channel != channel:
        raise SecondShop(f"shop {name} was a {row.channel} shop; give the {channel} shop a file name of its own")
    return row


def claim_account(conn: Connection, shop_id: int, account: str, in_use: Sequence[str]) -> int:
    """Bind a shop to the mall's own id and return the row that holds its orders.

    A renamed file finds its old row again: the row's name follows. `in_use` are the names of all shop files;
    an account that another of them holds raises SecondShop.
    """
    row = shop_row(conn, shop_id)
    if row.account == account:
        return shop_id
    other = conn.execute(select(*_columns).where(shop.c.channel == row.channel, shop.c.account == account)).first()
    if other is None:
        if row.account is not None:
            raise SecondShop(
                f"shop {row.name} was account {row.account}, now {account}: give the new account a file of its own"
            )
        conn.execute(update(shop).where(shop.c.id == shop_id).values(account=account))
        return shop_id
    known = ShopRow(*other)
    if known.name in in_use:
        raise SecondShop(f"shop {row.name} and shop {known.name} are the same account {account}; remove one file")
    if conn.execute(select(func.count()).where(orders.c.shop_id == shop_id)).scalar():
        raise SecondShop(f"shop {row.name} has orders of its own and account {account} belongs to {known.name}")
    conn.execute(delete(alarm).where(alarm.c.shop_id == shop_id))
    conn.execute(delete(shop).where(shop.c.id == shop_id))
    conn.execute(update(shop).where(shop.c.id == known.id).values(name=row.name))
    return known.id


def set_shop(conn: Connection, shop_id: int, **values: Any) -> None:
    """Set columns of a shop."""
    names = tuple(values)
    prepared = _set.get(names)
    if prepared is None:
        bound: dict[str, Any] = {name: bindparam(f"v_{name}") for name in names}
        statement = update(shop).where(shop.c.id == bindparam("b_id")).values(**bound)
        prepared = _set[names] = Prepared(statement, *(f"v_{name}" for name in names), "b_id")
    prepared.one(conn, (*values.values(), shop_id))


def save_cursor(conn: Connection, shop_id: int, cursor: Mapping[str, Any]) -> None:
    """Move the order feed on; in the transaction that books its states."""
    set_shop(conn, shop_id, cursor=json.dumps(cursor, separators=(",", ":"), sort_keys=True))


def raise_alarm(conn: Connection, kind: str, shop_id: int | None, subject: str, text: str, now_us: int) -> bool:
    """Open an alarm or count it again; True when it is new."""
    text = text[:512]
    if _raise_again.one(conn, (kind, subject, shop_id, now_us, text)):
        return False
    _raise.one(conn, (kind, shop_id, subject, text, now_us, now_us))
    return True


def clear_alarm(conn: Connection, kind: str, shop_id: int | None, subject: str, now_us: int) -> bool:
    """Close an alarm; True when one was open."""
    return bool(_clear.one(conn, (kind, subject, shop_id, now_us)))


def clear_alarms(conn: Connection, kind: str, now_us: int) -> None:
    """Close every alarm of a kind."""
    conn.execute(update(alarm).where(alarm.c.kind == kind, alarm.c.cleared_us.is_(None)).values(cleared_us=now_us))


def open_alarms(conn: Connection, kind: str, shop_id: int) -> set[str]:
    """What the open alarms of a kind are about, at a shop."""
    query = select(alarm.c.subject).where(
        alarm.c.kind == kind, alarm.c.shop_id == shop_id, alarm.c.cleared_us.is_(None)
    )
    return {row[0] for row in conn.execute(query)}


def open_of(conn: Connection, shop_id: int, kinds: Sequence[str]) -> set[tuple[str, str]]:
    """The open alarms of a shop that are of these kinds: (kind, what it is about)."""
    return {(row[0], row[1]) for row in _open_of.of(conn, kinds, (shop_id,))}


def last_audit_us(conn: Connection, action: str) -> int:
    """When something was last done; 0 for never."""
    return int(conn.execute(select(func.max(audit.c.at_us)).where(audit.c.action == action)).scalar() or 0)


def write_audit(conn: Connection, who: str, action: str, detail: Mapping[str, Any], now_us: int) -> None:
    """Keep who changed what, before and after."""
    text = json.dumps(detail, ensure_ascii=False, default=str, separators=(",", ":"))
    _audit.one(conn, (now_us, who, action, text[:4096]))
