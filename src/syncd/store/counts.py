"""How much there is of everything: the counts of a status page and of the gauges. Read-only, plain dicts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, TextClause, func, literal_column, select

from syncd.model import ListingState
from syncd.store.fast import Prepared
from syncd.store.reports import DONE, NOTHING, ONE, Report, doubtful, oversold, wrong
from syncd.store.schema import alarm, balance, intent, listing, order_line, orders, outbox, shop


def _count(rows: FromClause, *where: ColumnElement[bool] | TextClause) -> Prepared:
    return Prepared(select(func.count()).select_from(rows).where(*where))


def _by_shop(
    column: ColumnElement[int], number: ColumnElement[Any], *where: ColumnElement[bool] | TextClause
) -> Prepared:
    return Prepared(select(column, number).where(*where).group_by(column))


def _exposed(condition: ColumnElement[bool]) -> Prepared:
    """Listings of ours of which this holds, by shop; by the partial index's own words."""
    marked: ColumnElement[bool] = literal_column("(listing.lost_us IS NOT NULL OR listing.exposure IS NULL)")
    ours = (listing.c.state == ListingState.OURS) & listing.c.sku_id.is_not(None)
    return _by_shop(listing.c.shop_id, func.count(), marked, condition, ours)


_open_alarms = Prepared(
    select(alarm.c.kind, func.count()).where(alarm.c.cleared_us.is_(None)).group_by(alarm.c.kind).order_by(alarm.c.kind)
)
_free = balance.c.on_hand - balance.c.allocated - balance.c.ordered
_short: ColumnElement[bool] = literal_column("on_hand - allocated - ordered < 0")
_missing = Prepared(select(func.sum(_free)).where(_short))
_under_way: ColumnElement[bool] = literal_column("state <> 'done'")
_orders_booked = _count(orders)
_orders_open = _count(orders, orders.c.open == ONE)
_unbooked_lines = _count(order_line, order_line.c.pieces == NOTHING)
_doubts = _count(listing, doubtful)
_oversold_skus = _count(oversold().subquery())
_wrong_listings = _count(wrong.subquery())
_held_listings = _count(listing, listing.c.held != NOTHING)
_open_intents = _count(intent, intent.c.state != DONE)
_alarms_open = _count(alarm, alarm.c.cleared_us.is_(None))
_shops = Prepared(select(shop.c.id, shop.c.name).order_by(shop.c.name))
_states = Prepared(
    select(listing.c.shop_id, listing.c.state, func.count()).group_by(listing.c.shop_id, listing.c.state)
)
WAITING = ("shop", "lane", "count", "oldest_since_us")
_waiting = Prepared(
    select(shop.c.name, outbox.c.lane, func.count(), func.min(outbox.c.since_us))
    .join(shop, shop.c.id == outbox.c.shop_id)
    .join(listing, listing.c.id == outbox.c.listing_id)
    .where(listing.c.held == NOTHING)
    .group_by(shop.c.name, outbox.c.lane)
    .order_by(shop.c.name, outbox.c.lane)
)
_of_shops = {
    "doubts": _by_shop(listing.c.shop_id, func.count(), doubtful),
    "oldest_doubt_us": _by_shop(listing.c.shop_id, func.min(listing.c.doubt_us), doubtful),
    "held": _by_shop(listing.c.shop_id, func.count(), listing.c.held != NOTHING),
    "unbooked_lines": Prepared(
        select(orders.c.shop_id, func.count())
        .join(order_line, order_line.c.order_id == orders.c.id)
        .where(order_line.c.pieces == NOTHING)
        .group_by(orders.c.shop_id)
    ),
    "unknown_exposures": _exposed(listing.c.exposure.is_(None)),
    "limbo_exposures": _exposed(listing.c.lost_us.is_not(None)),
    "open_intents": _by_shop(intent.c.shop_id, func.count(), _under_way),
}


def status(conn: Connection) -> dict[str, Any]:
    """The counts of a status page: orders, what waits per shop and lane, doubts, oversold SKUs, listings by state.

    Looks at every listing once: for a page or a scrape, not for a loop.
    """
    return {
        "orders_booked": _one(conn, _orders_booked),
        "orders_open": _one(conn, _orders_open),
        "unbooked_lines": _one(conn, _unbooked_lines),
        "outbox": outbox_counts(conn),
        "doubts": _one(conn, _doubts),
        "oversold_skus": _one(conn, _oversold_skus),
        "oversold_pieces": oversold_pieces(conn),
        "alarms": {row[0]: row[1] for row in _open_alarms.all(conn)},
        "per_shop": shop_counts(conn),
        "listings": listing_counts(conn),
        "wrong_listings": _one(conn, _wrong_listings),
        "held_listings": _one(conn, _held_listings),
        "open_intents": _one(conn, _open_intents),
        "open_alarms": _one(conn, _alarms_open),
    }


def _one(conn: Connection, query: Prepared) -> int:
    return int(query.all(conn)[0][0] or 0)


def oversold_pieces(conn: Connection) -> int:
    """Pieces missing over every SKU and location that is short."""
    return -_one(conn, _missing)


def shop_counts(conn: Connection) -> Report:
    """Per shop: doubts, held listings, lines without a SKU, exposures not known or in limbo, calls under way."""
    rows = {shop_id: {"shop": name, **dict.fromkeys(_of_shops, 0)} for shop_id, name in _shops.all(conn)}
    for name, query in _of_shops.items():
        for shop_id, count in query.all(conn):
            rows[shop_id][name] = count
    return list(rows.values())


def outbox_counts(conn: Connection) -> Report:
    """Per shop and lane: how many wait, and since when the oldest. What waits for a person is not counted here."""
    return [dict(zip(WAITING, row, strict=True)) for row in _waiting.all(conn)]


def listing_counts(conn: Connection) -> Report:
    """Per shop: listings of each state, each state named even at 0."""
    zero = dict.fromkeys((state.value for state in ListingState), 0)
    by_id: dict[int, dict[str, Any]] = {shop_id: {"shop": name, **zero} for shop_id, name in _shops.all(conn)}
    for shop_id, state, count in _states.all(conn):
        by_id[shop_id][state] = count
    return list(by_id.values())
