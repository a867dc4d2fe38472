"""What people and programs ask to see: functions that only read, for the admin API, the console and the CLI.

Each returns plain dicts in a few queries, however many rows. Pages: `limit` rows behind an id (`after_id`, oldest
first; `before_id`, newest first). Names of shops and codes of SKUs, never our ids, but for `id`, the page's mark.
Constants of partial indexes are literals: with a bound value SQLite plans the statement anew at each run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    func,
    literal_column,
    or_,
    select,
    text,
    union,
)

from syncd.model import Source
from syncd.store.orders import chunks
from syncd.store.schema import (
    alarm,
    audit,
    balance,
    entry,
    intent,
    intent_row,
    listing,
    location,
    order_line,
    orders,
    outbox,
    part,
    shop,
    sku,
)

Report = list[dict[str, Any]]
PAGE = 100
NEWEST = 2**62
ONE: ColumnElement[int] = literal_column("1")
DONE: ColumnElement[str] = literal_column("'done'")
NOTHING: ColumnElement[str] = literal_column("''")

_free = balance.c.on_hand - balance.c.allocated - balance.c.ordered
_held_line = order_line.c.b_held > literal_column("0")
doubtful = text("(listing.verify = 1 OR listing.doubt_us IS NOT NULL) AND listing.doubt_us IS NOT NULL")
_in_id_order: ColumnElement[int] = literal_column("+listing.shop_id")  # not by the (shop, key) index, then sorted
wrong = union(select(outbox.c.listing_id), select(listing.c.id).where(doubtful))


def sku_list(conn: Connection, query: str = "", *, limit: int = PAGE, after_id: int = 0) -> Report:
    """SKUs whose code or name contains the query, with their stock summed over locations."""
    page = select(sku.c.id, sku.c.code, sku.c.name).where(sku.c.id > after_id).order_by(sku.c.id).limit(limit)
    if query:
        page = page.where(_contains(query, sku.c.code, sku.c.name))
    some = page.subquery()
    sums = [func.coalesce(func.sum(balance.c[name]), 0).label(name) for name in ("on_hand", "ordered", "allocated")]
    bundle = select(part.c.part_id).where(part.c.bundle_id == some.c.id).exists()
    found = (
        select(some.c.id, some.c.code, some.c.name, bundle.label("bundle"), *sums)
        .outerjoin(balance, balance.c.sku_id == some.c.id)
        .group_by(some.c.id, some.c.code, some.c.name)
        .order_by(some.c.id)
    )
    return [_with_free(row) for row in rows_of(conn, found)]


def stock_rows(conn: Connection, codes: Sequence[str] | None = None, *, limit: int = PAGE, after_id: int = 0) -> Report:
    """SKUs with stock per location, their parts if they are bundles, and the bundles they are part of.

    Given codes: those that exist, all of them. Else: a page of all SKUs.
    """
    head = select(sku.c.id, sku.c.code, sku.c.name).order_by(sku.c.id)
    if codes is None:
        found = rows_of(conn, head.where(sku.c.id > after_id).limit(limit))
    else:
        found = [row for some in chunks(codes) for row in rows_of(conn, head.where(sku.c.code.in_(some)))]
    by_id = {row["id"]: row | {"locations": [], "parts": {}, "part_of": {}} for row in found}
    for some in chunks(list(by_id)):
        _add_locations(conn, by_id, some)
        _add_bundles(conn, by_id, some)
    for row in by_id.values():
        for name in ("on_hand", "ordered", "allocated", "free"):
            row[name] = sum(each[name] for each in row["locations"])
    return list(by_id.values())


def _add_locations(conn: Connection, by_id: dict[int, dict[str, Any]], ids: Sequence[int]) -> None:
    query = (
        select(balance, location.c.name.label("location"))
        .join(location, location.c.id == balance.c.location_id)
        .where(balance.c.sku_id.in_(ids))
        .order_by(balance.c.sku_id, balance.c.location_id)
    )
    for row in rows_of(conn, query):
        del row["location_id"]
        by_id[row.pop("sku_id")]["locations"].append(_with_free(row))


def _add_bundles(conn: Connection, by_id: dict[int, dict[str, Any]], ids: Sequence[int]) -> None:
    below = select(part.c.bundle_id, sku.c.code, part.c.pieces).join(sku, sku.c.id == part.c.part_id)
    for bundle_id, code, pieces in conn.execute(below.where(part.c.bundle_id.in_(ids)).order_by(sku.c.code)):
        by_id[bundle_id]["parts"][code] = pieces
    above = select(part.c.part_id, sku.c.code, part.c.pieces).join(sku, sku.c.id == part.c.bundle_id)
    for part_id, code, pieces in conn.execute(above.where(part.c.part_id.in_(ids)).order_by(sku.c.code)):
        by_id[part_id]["part_of"][code] = pieces


def listing_rows(
    conn: Connection,
    *,
    shop_name: str | None = None,
    query: str = "",
    state: str | None = None,
    wrong_only: bool = False,
    limit: int = PAGE,
    after_id: int = 0,
) -> Report:
    """Listings with what they must show and are believed to show; `query` looks in key, name and SKU code.

    Wrong: something waits to be written to it, or its last write is in doubt.
    """
    columns = [column for column in listing.c if column.name not in ("shop_id", "sku_id")]
    wish = [outbox.c.lane, outbox.c.due_us, outbox.c.since_us, outbox.c.attempts, outbox.c.not_before_us]
    found = (
        select(shop.c.name.label("shop"), sku.c.code.label("sku"), *columns, *wish)
        .join(shop, shop.c.id == listing.c.shop_id)
        .outerjoin(sku, sku.c.id == listing.c.sku_id)
        .outerjoin(outbox, outbox.c.listing_id == listing.c.id)
        .where(listing.c.id > after_id)
        .order_by(listing.c.id)
        .limit(limit)
    )
    if shop_name is not None:
        found = found.where(_in_id_order == _shop(shop_name))
    if query:
        found = found.where(_contains(query, listing.c.key, listing.c.name, sku.c.code))
    if state is not None:
        found = found.where(listing.c.state == state)
    if wrong_only:
        found = found.where(listing.c.id.in_(wrong))
    return rows_of(conn, found)


def orders_rows(
    conn: Connection,
    *,
    shop_name: str | None = None,
    open_only: bool = False,
    number: str | None = None,
    source: Source | None = None,
    limit: int = PAGE,
    before_id: int = NEWEST,
) -> Report:
    """Orders, newest first, each with its `lines`; `pieces` of a line are SKU code -> pieces a unit."""
    found = (
        select(shop.c.name.label("shop"), *_but(orders, "shop_id"))
        .join(shop, shop.c.id == orders.c.shop_id)
        .where(orders.c.id < before_id)
        .order_by(orders.c.id.desc())
        .limit(limit)
    )
    if shop_name is not None:
        found = found.where(orders.c.shop_id == _shop(shop_name))
    if open_only:
        found = found.where(orders.c.open == ONE)
    if source is not None:
        found = found.where(orders.c.source == int(source))
    if number is not None:  # a shop at a time: the unique index begins with the shop
        found = found.where(orders.c.number == number, orders.c.shop_id.in_(select(shop.c.id)))
    by_id = {row["id"]: row | {"lines": []} for row in rows_of(conn, found)}
    for line in _lines(conn, list(by_id)):
        by_id[line.pop("order_id")]["lines"].append(line)
    return list(by_id.values())


def _lines(conn: Connection, order_ids: Sequence[int]) -> Report:
    query = select(*_but(order_line, "id", "listing_id", "location_id"), location.c.name.label("location")).outerjoin(
        location, location.c.id == order_line.c.location_id
    )
    lines: Report = []
    for some in chunks(order_ids):
        lines += rows_of(conn, query.where(order_line.c.order_id.in_(some)).order_by(order_line.c.id))
    frozen = [pieces_of(line["pieces"]) for line in lines]
    codes = _codes(conn, (each for pieces in frozen for each in pieces))
    for line, pieces in zip(lines, frozen, strict=True):
        line["booked"] = bool(pieces)
        line["pieces"] = {codes[each]: count for each, count in pieces.items()}
    return lines


def short_orders(conn: Connection, *, limit: int = PAGE) -> Report:
    """The orders that are short: for each oversold SKU the newest that hold it, until the deficit is covered.

    `pieces` is how many pieces of the SKU the order cannot get.
    """
    missing = {row["sku_id"]: -row["free"] for row in rows_of(conn, oversold())}
    codes = _codes(conn, missing)
    when = func.coalesce(orders.c.placed_us, orders.c.first_us)
    columns = (orders.c.id, shop.c.name, orders.c.number, when, order_line.c.line, order_line.c.pieces)
    held = (
        select(*columns, order_line.c.b_held)
        .select_from(order_line)
        .join(orders, orders.c.id == order_line.c.order_id)
        .join(shop, shop.c.id == orders.c.shop_id)
        .where(_held_line)
        .order_by(when.desc(), orders.c.id.desc(), order_line.c.id.desc())
    )
    short: Report = []
    for order_id, name, number, placed_us, line, pieces, units in conn.execute(held) if missing else ():
        for sku_id, count in pieces_of(pieces).items():
            if taken := min(missing.get(sku_id, 0), count * units):
                missing[sku_id] -= taken
                row = {"id": order_id, "shop": name, "number": number, "placed_us": placed_us, "line": line}
                short.append(row | {"sku": codes[sku_id], "pieces": taken})
        if len(short) >= limit or not any(missing.values()):
            break
    return short[:limit]


def entry_rows(
    conn: Connection,
    code: str | None = None,
    *,
    after_id: int | None = None,
    before_id: int = NEWEST,
    limit: int = PAGE,
) -> Report:
    """Lines of the ledger with the order behind each: the newest, newest first; given `after_id`, what followed it."""
    found = (
        select(
            *_but(entry, "sku_id", "location_id", "line_id"),
            sku.c.code.label("sku"),
            location.c.name.label("location"),
            shop.c.name.label("shop"),
            orders.c.number.label("order"),
            order_line.c.line,
        )
        .join(sku, sku.c.id == entry.c.sku_id)
        .join(location, location.c.id == entry.c.location_id)
        .outerjoin(order_line, order_line.c.id == entry.c.line_id)
        .outerjoin(orders, orders.c.id == order_line.c.order_id)
        .outerjoin(shop, shop.c.id == orders.c.shop_id)
        .limit(limit)
    )
    if code is not None:
        found = found.where(entry.c.sku_id == select(sku.c.id).where(sku.c.code == code).scalar_subquery())
    if after_id is None:
        return rows_of(conn, found.where(entry.c.id < before_id).order_by(entry.c.id.desc()))
    return rows_of(conn, found.where(entry.c.id > after_id).order_by(entry.c.id))


def outbox_rows(conn: Connection, shop_name: str | None = None, *, limit: int = PAGE, offset: int = 0) -> Report:
    """What waits to be written, in the order it will go."""
    shown = (listing.c.key, listing.c.name, listing.c.target, listing.c.believed, listing.c.held, listing.c.doubt_us)
    found = (
        select(shop.c.name.label("shop"), *shown, sku.c.code.label("sku"), *_but(outbox, "shop_id"))
        .join(listing, listing.c.id == outbox.c.listing_id)
        .join(shop, shop.c.id == outbox.c.shop_id)
        .outerjoin(sku, sku.c.id == listing.c.sku_id)
        .order_by(outbox.c.shop_id, outbox.c.lane, outbox.c.due_us, outbox.c.listing_id)
        .limit(limit)
        .offset(offset)
    )
    return rows_of(conn, found if shop_name is None else found.where(outbox.c.shop_id == _shop(shop_name)))


def intents_rows(conn: Connection, shop_name: str | None = None, *, limit: int = PAGE, after_id: int = 0) -> Report:
    """Calls that are not settled, oldest first, each with its `rows`."""
    found = (
        select(shop.c.name.label("shop"), *_but(intent, "shop_id"))
        .join(shop, shop.c.id == intent.c.shop_id)
        .where(intent.c.state != DONE, intent.c.id > after_id)
        .order_by(intent.c.id)
        .limit(limit)
    )
    if shop_name is not None:
        found = found.where(intent.c.shop_id == _shop(shop_name))
    by_id = {row["id"]: row | {"rows": []} for row in rows_of(conn, found)}
    rows = select(listing.c.key, *_but(intent_row, "listing_id")).join(listing, listing.c.id == intent_row.c.listing_id)
    for some in chunks(list(by_id)):
        mine = rows.where(intent_row.c.intent_id.in_(some)).order_by(intent_row.c.intent_id, intent_row.c.position)
        for row in rows_of(conn, mine):
            by_id[row.pop("intent_id")]["rows"].append(row)
    return list(by_id.values())


def alarm_rows(conn: Connection, *, open_only: bool = True, limit: int = PAGE, before_id: int = NEWEST) -> Report:
    """Alarms, newest first."""
    found = (
        select(shop.c.name.label("shop"), *_but(alarm, "shop_id"))
        .outerjoin(shop, shop.c.id == alarm.c.shop_id)
        .where(alarm.c.id < before_id)
        .order_by(alarm.c.id.desc())
        .limit(limit)
    )
    return rows_of(conn, found.where(alarm.c.cleared_us.is_(None)) if open_only else found)


def audit_rows(conn: Connection, *, limit: int = PAGE, before_id: int = NEWEST) -> Report:
    """Who changed what, newest first."""
    return rows_of(conn, select(audit).where(audit.c.id < before_id).order_by(audit.c.id.desc()).limit(limit))


def pieces_of(frozen: str) -> dict[int, int]:
    """The frozen pieces of a line, "sku_id:pieces,…", as SKU id -> pieces a unit."""
    return {int(each): int(count) for each, _, count in (item.partition(":") for item in frozen.split(",") if item)}


def oversold() -> Select[Any]:
    """SKUs whose free stock, over all locations, is below zero: one of them must be, which an index can tell."""
    below = select(balance.c.sku_id).where(_free < literal_column("0"))
    free = func.sum(_free)
    query = select(balance.c.sku_id, free.label("free")).where(balance.c.sku_id.in_(below))
    return query.group_by(balance.c.sku_id).having(free < 0)


def _codes(conn: Connection, ids: Iterable[int]) -> dict[int, str]:
    codes: dict[int, str] = {}
    for some in chunks(sorted(set(ids))):
        codes.update((row[0], row[1]) for row in conn.execute(select(sku.c.id, sku.c.code).where(sku.c.id.in_(some))))
    return codes


def _contains(query: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    return or_(*(column.contains(query, autoescape=True) for column in columns))


def _shop(name: str) -> Any:
    return select(shop.c.id).where(shop.c.name == name).scalar_subquery()


def _but(table: Any, *names: str) -> list[ColumnElement[Any]]:
    return [column for column in table.c if column.name not in names]


def _with_free(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"free": row["on_hand"] - row["allocated"] - row["ordered"]}


def rows_of(conn: Connection, query: Select[Any]) -> Report:
    return [dict(row) for row in conn.execute(query).mappings()]
