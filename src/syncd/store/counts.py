"""How much there is of everything: the counts of a status page and of the gauges. Read-only, plain dicts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, TextClause, func, literal_column, select, text

from syncd.model import ListingState
from syncd.store.reports import DONE, NOTHING, ONE, Report, doubtful, oversold, rows_of, wrong
from syncd.store.schema import alarm, balance, intent, listing, order_line, orders, outbox, shop

_open_alarms = select(alarm.c.kind, func.count()).where(alarm.c.cleared_us.is_(None)).group_by(alarm.c.kind)


def status(conn: Connection) -> dict[str, Any]:
    """The counts of a status page: orders, what waits per shop and lane, doubts, oversold SKUs, listings by state.

    Looks at every listing once: for a page or a scrape, not for a loop.
    """
    return {
        "orders_booked": count_of(conn, orders),
        "orders_open": count_of(conn, orders, orders.c.open == ONE),
        "unbooked_lines": count_of(conn, order_line, order_line.c.pieces == NOTHING),
        "outbox": outbox_counts(conn),
        "doubts": count_of(conn, listing, doubtful),
        "oversold_skus": count_of(conn, oversold().subquery()),
        "oversold_pieces": oversold_pieces(conn),
        "alarms": {row[0]: row[1] for row in conn.execute(_open_alarms)},
        "per_shop": shop_counts(conn),
        "listings": listing_counts(conn),
        "wrong_listings": count_of(conn, wrong.subquery()),
        "held_listings": count_of(conn, listing, listing.c.held != NOTHING),
        "open_intents": count_of(conn, intent, intent.c.state != DONE),
        "open_alarms": count_of(conn, alarm, alarm.c.cleared_us.is_(None)),
    }


def oversold_pieces(conn: Connection) -> int:
    """Pieces missing over every SKU and location that is short."""
    free = balance.c.on_hand - balance.c.allocated - balance.c.ordered
    short: ColumnElement[bool] = literal_column("on_hand - allocated - ordered < 0")
    return -int(conn.execute(select(func.sum(free)).where(short)).scalar() or 0)


def shop_counts(conn: Connection) -> Report:
    """Per shop: doubts, held listings, lines without a SKU, exposures not known or in limbo, calls under way."""
    live: ColumnElement[bool] = literal_column("state <> 'done'")
    counted = (
        ("doubts", select(listing.c.shop_id, func.count()).where(doubtful).group_by(listing.c.shop_id)),
        (
            "oldest_doubt_us",
            select(listing.c.shop_id, func.min(listing.c.doubt_us)).where(doubtful).group_by(listing.c.shop_id),
        ),
        ("held", select(listing.c.shop_id, func.count()).where(listing.c.held != NOTHING).group_by(listing.c.shop_id)),
        (
            "unbooked_lines",
            select(orders.c.shop_id, func.count())
            .join(order_line, order_line.c.order_id == orders.c.id)
            .where(order_line.c.pieces == NOTHING)
            .group_by(orders.c.shop_id),
        ),
        ("unknown_exposures", _exposed(listing.c.exposure.is_(None))),
        ("limbo_exposures", _exposed(listing.c.lost_us.is_not(None))),
        ("open_intents", select(intent.c.shop_id, func.count()).where(live).group_by(intent.c.shop_id)),
    )
    rows = {
        each.id: {"shop": each.name, **dict.fromkeys((name for name, _ in counted), 0)}
        for each in conn.execute(select(shop.c.id, shop.c.name).order_by(shop.c.name))
    }
    for name, query in counted:
        for shop_id, count in conn.execute(query):
            rows[shop_id][name] = count
    return list(rows.values())


def _exposed(condition: ColumnElement[bool]) -> Select[int, int]:
    """Listings of ours of which this holds, by shop; by the partial index's own words."""
    marked = text("(listing.lost_us IS NOT NULL OR listing.exposure IS NULL)")
    ours = (listing.c.state == ListingState.OURS) & listing.c.sku_id.is_not(None)
    return select(listing.c.shop_id, func.count()).where(marked, condition, ours).group_by(listing.c.shop_id)


def outbox_counts(conn: Connection) -> Report:
    """Per shop and lane: how many wait, and since when the oldest. What waits for a person is not counted here."""
    return rows_of(
        conn,
        select(
            shop.c.name.label("shop"),
            outbox.c.lane,
            func.count().label("count"),
            func.min(outbox.c.since_us).label("oldest_since_us"),
        )
        .join(shop, shop.c.id == outbox.c.shop_id)
        .join(listing, listing.c.id == outbox.c.listing_id)
        .where(listing.c.held == NOTHING)
        .group_by(shop.c.name, outbox.c.lane)
        .order_by(shop.c.name, outbox.c.lane),
    )


def listing_counts(conn: Connection) -> Report:
    """Per shop: listings of each state, each state named even at 0."""
    shops = conn.execute(select(shop.c.id, shop.c.name).order_by(shop.c.name)).all()
    zero = dict.fromkeys((state.value for state in ListingState), 0)
    by_id: dict[int, dict[str, Any]] = {each.id: {"shop": each.name, **zero} for each in shops}
    grouped = select(listing.c.shop_id, listing.c.state, func.count()).group_by(listing.c.shop_id, listing.c.state)
    for shop_id, state, count in conn.execute(grouped):
        by_id[shop_id][state] = count
    return list(by_id.values())


def count_of(conn: Connection, rows: FromClause, *where: ColumnElement[bool] | TextClause) -> int:
    return int(conn.execute(select(func.count()).select_from(rows).where(*where)).scalar() or 0)
