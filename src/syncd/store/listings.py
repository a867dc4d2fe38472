"""Rows of listings: what a shop calls a SKU, what it must show, what it is believed to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from syncd.store.fast import Prepared
from syncd.store.orders import chunks
from syncd.store.schema import alarm, listing, outbox, sku


@dataclass(slots=True)
class ListingRow:
    """One row of `listing`."""

    id: int
    shop_id: int
    key: str
    sku_id: int | None
    pack: int
    state: str
    sync: int
    target: int | None
    believed: int | None
    base_us: int
    unread: int
    slack: int
    seen: int | None
    seen_us: int
    seen_sold: int
    seen_slack: int
    verify: int
    doubt_us: int | None
    base_from_us: int
    seen_from_us: int
    exposure: int | None
    calls: int
    lost_us: int | None
    back: int
    proven: int | None
    proven_from_us: int
    proven_us: int
    proven_sold: int
    proven_vague: int
    proven_back: int
    proven_by_read: int
    demand_us: int
    demand_short: float
    demand_middle: float
    demand_day: float
    demand_largest: float
    held: str
    told: int | None
    told_us: int


@dataclass(slots=True)
class WishRow:
    """The outbox part of a listing: where its push waits."""

    lane: int
    due_us: int
    since_us: int
    version: int
    attempts: int
    not_before_us: int
    alone: int


COLUMNS = tuple(field.name for field in fields(ListingRow))
EXPOSURE_COLUMNS = (
    "exposure",
    "calls",
    "lost_us",
    "back",
    "proven",
    "proven_from_us",
    "proven_us",
    "proven_sold",
    "proven_vague",
    "proven_back",
    "proven_by_read",
)
SHOWN_COLUMNS = (
    "believed",
    "base_us",
    "unread",
    "slack",
    "seen",
    "seen_us",
    "seen_sold",
    "seen_slack",
    "verify",
    "doubt_us",
    "base_from_us",
    "seen_from_us",
    *EXPOSURE_COLUMNS,
    "demand_us",
    "demand_short",
    "demand_middle",
    "demand_day",
    "demand_largest",
)
WISH_COLUMNS = tuple(field.name for field in fields(WishRow))
_columns = tuple(listing.c[name] for name in COLUMNS)
_wish_columns = tuple(outbox.c[name] for name in WISH_COLUMNS)

Pair = tuple[ListingRow, WishRow | None]
pair_columns = (*_columns, *_wish_columns)

_save_shown = Prepared(
    update(listing)
    .where(listing.c.id == bindparam("b_id"))
    .values({name: bindparam(f"v_{name}") for name in SHOWN_COLUMNS}),
    *(f"v_{name}" for name in SHOWN_COLUMNS),
    "b_id",
)
_save_exposure = Prepared(
    update(listing)
    .where(listing.c.id == bindparam("b_id"))
    .values({name: bindparam(f"v_{name}") for name in EXPOSURE_COLUMNS}),
    *(f"v_{name}" for name in EXPOSURE_COLUMNS),
    "b_id",
)
_save_target = Prepared(
    update(listing).where(listing.c.id == bindparam("b_id")).values(target=bindparam("v_target")), "v_target", "b_id"
)
_save_told = Prepared(
    update(listing)
    .where(listing.c.id == bindparam("b_id"))
    .values(told=bindparam("v_told"), told_us=bindparam("v_us"), error="", error_us=0),
    "v_told", "v_us", "b_id",
)  # fmt: skip
_save_error = Prepared(
    update(listing)
    .where(listing.c.id == bindparam("b_id"))
    .values(error=bindparam("v_error"), error_us=bindparam("v_us")),
    "v_error", "v_us", "b_id",
)  # fmt: skip
_save_jan = Prepared(
    update(listing)
    .where(listing.c.shop_id == bindparam("b_shop"), listing.c.key == bindparam("b_key"))
    .values(jan=bindparam("v_jan")),
    "v_jan", "b_shop", "b_key",
)  # fmt: skip
_some_ids: BindParameter[Any] = bindparam("ids", expanding=True)
_in_shop = listing.c.shop_id == bindparam("b_shop")
_with_wish = select(*pair_columns).outerjoin(outbox, outbox.c.listing_id == listing.c.id)
_by_key = Prepared(select(*_columns).where(_in_shop, listing.c.key.in_(_some_ids)), "b_shop", each="ids")
_by_id = Prepared(select(*_columns).where(listing.c.id.in_(_some_ids)), each="ids")
_of_skus = Prepared(_with_wish.where(listing.c.sku_id.in_(_some_ids)), each="ids")
_by_id_with_wish = Prepared(_with_wish.where(listing.c.id.in_(_some_ids)), each="ids")
_sellers = Prepared(
    select(listing.c.id, listing.c.sku_id).where(listing.c.sku_id.in_(_some_ids), _in_shop, listing.c.state != "gone"),
    "b_shop", each="ids",
)  # fmt: skip
_ours = (listing.c.state == "ours") & listing.c.sku_id.is_not(None)


def _after(query: Select[Any], *conditions: ColumnElement[bool]) -> Prepared:
    """The next listings of a shop under conditions, in the order of their ids."""
    query = query.where(_in_shop, listing.c.id > bindparam("b_after"), *conditions)
    return Prepared(query.order_by(listing.c.id).limit(bindparam("b_most")), "b_shop", "b_after", "b_most")


_any_after = _after(select(*_columns))
_ours_after = _after(select(*_columns), _ours)
_pairs_after = _after(_with_wish, _ours)
_SPLIT = len(COLUMNS)


def to_pair(row: Sequence[object]) -> Pair:
    """A row of `pair_columns`."""
    wish = WishRow(*row[_SPLIT:]) if row[_SPLIT] is not None else None  # type: ignore[arg-type]  # columns in order
    return ListingRow(*row[:_SPLIT]), wish  # type: ignore[arg-type]  # columns in order


_shown_values = attrgetter(*SHOWN_COLUMNS, "id")
_exposure_values = attrgetter(*EXPOSURE_COLUMNS, "id")


def listings_by_key(conn: Connection, shop_id: int, keys: Sequence[str]) -> dict[str, ListingRow]:
    """Listings of a shop by their key."""
    return {row[2]: ListingRow(*row) for row in _by_key.of(conn, keys, (shop_id,))}


def listings_by_id(conn: Connection, ids: Sequence[int]) -> dict[int, ListingRow]:
    """Listings by row id."""
    return {row[0]: ListingRow(*row) for row in _by_id.of(conn, ids)}


def listings_of_skus(conn: Connection, sku_ids: Sequence[int]) -> list[Pair]:
    """Every listing of these SKUs, on any shop, with its wish."""
    return [to_pair(row) for row in _of_skus.of(conn, sku_ids)]


def sellers(conn: Connection, shop_id: int, sku_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Listings of a shop that sell one of these SKUs: (listing, SKU)."""
    return [(row[0], row[1]) for row in _sellers.of(conn, sku_ids, (shop_id,))]


def pairs_by_id(conn: Connection, ids: Sequence[int]) -> list[Pair]:
    """Listings by row id with their wishes."""
    return [to_pair(row) for row in _by_id_with_wish.of(conn, ids)]


def listings_after(conn: Connection, shop_id: int, after_id: int, most: int, *, ours: bool = True) -> list[ListingRow]:
    """The next listings of a shop in the order of their ids; for sweeps."""
    query = _ours_after if ours else _any_after
    return [ListingRow(*row) for row in query.all(conn, (shop_id, after_id, most))]


def pairs_after(conn: Connection, shop_id: int, after_id: int, most: int) -> list[Pair]:
    """The next listings of a shop that are ours, with their wishes; for a full sync."""
    return [to_pair(row) for row in _pairs_after.all(conn, (shop_id, after_id, most))]


def _some(marked: str, condition: ColumnElement[bool]) -> Prepared:
    """Listings of a shop under a condition on a time; `marked` are a partial index's own words."""
    query = select(*_columns).where(listing.c.shop_id == bindparam("b_shop"), text(marked), condition)
    return Prepared(query.order_by(listing.c.id).limit(bindparam("b_most")), "b_shop", "b_us", "b_most")


_b_us: BindParameter[int] = bindparam("b_us")
_doubtful = listing.c.doubt_us.is_not(None) & (listing.c.doubt_us <= _b_us)
_unsure = (listing.c.verify == 1) & listing.c.doubt_us.is_(None)
_to_read_back = _some("(verify = 1 OR doubt_us IS NOT NULL)", (_doubtful | _unsure) & listing.c.seen.is_(None))
_ready = or_(listing.c.lost_us.is_(None), listing.c.lost_us <= _b_us) & listing.c.proven.is_(None)
_to_prove = _some("(lost_us IS NOT NULL OR exposure IS NULL)", and_(_ready, _ours))
_read = listing.c.seen.is_not(None) & (listing.c.seen_us <= _b_us)
_wrote = (listing.c.unread > 0) & (listing.c.base_us <= _b_us)
_proved = listing.c.proven.is_not(None) & (listing.c.proven_us <= _b_us)
_to_settle = _some("(seen IS NOT NULL OR unread > 0 OR proven IS NOT NULL)", or_(_read, _wrote, _proved))
_negative = select(listing.c.id).where(
    listing.c.shop_id == alarm.c.shop_id, listing.c.key == alarm.c.subject, listing.c.exposure < 0
)
_no_longer = Prepared(
    select(alarm.c.shop_id, alarm.c.subject)
    .where(alarm.c.kind == bindparam("b_kind"), alarm.c.cleared_us.is_(None))
    .where(~_negative.exists()),
    "b_kind",
)
_count_ours = Prepared(select(func.count()).where(_in_shop, listing.c.state == "ours"), "b_shop")
_next_doubt = Prepared(
    select(listing.c.doubt_us)
    .where(listing.c.shop_id == bindparam("b_shop"), listing.c.doubt_us.is_not(None), listing.c.seen.is_(None))
    .order_by(listing.c.doubt_us)
    .limit(1),
    "b_shop",
)


def to_read_back(conn: Connection, shop_id: int, now_us: int, most: int) -> list[ListingRow]:
    """Listings that must be read: doubts whose dead time is over, and those marked to verify, not yet seen."""
    return [ListingRow(*row) for row in _to_read_back.all(conn, (shop_id, now_us, most))]


def to_prove(conn: Connection, shop_id: int, now_us: int, most: int) -> list[ListingRow]:
    """Listings whose exposure nobody knows, or lost a write that can land no more, with no proof under way."""
    return [ListingRow(*row) for row in _to_prove.all(conn, (shop_id, now_us, most))]


def to_settle(conn: Connection, shop_id: int, until_us: int, most: int) -> list[ListingRow]:
    """Listings whose last read, last absolute write over unread sales, or proof of exposure is older than a time up
    to which all orders are known.
    """
    return [ListingRow(*row) for row in _to_settle.all(conn, (shop_id, until_us, most))]


def alarmed_no_longer(conn: Connection, kind: str) -> list[tuple[int, str]]:
    """(shop, listing's key) of open alarms of a kind about a negative exposure that is none any more."""
    return [(row[0], row[1]) for row in _no_longer.all(conn, (kind,))]


def next_doubt_us(conn: Connection, shop_id: int) -> int | None:
    """When the next doubt may be read back."""
    rows = _next_doubt.all(conn, (shop_id,))
    return rows[0][0] if rows else None


def save_shown(conn: Connection, rows: Sequence[ListingRow]) -> None:
    """Write what is believed of listings, and what they are exposed to."""
    if rows:
        _save_shown.many(conn, [_shown_values(row) for row in rows])


def save_exposure(conn: Connection, rows: Sequence[ListingRow]) -> None:
    """Write what listings are exposed to."""
    if rows:
        _save_exposure.many(conn, [_exposure_values(row) for row in rows])


def save_targets(conn: Connection, rows: Sequence[tuple[int | None, int]]) -> None:
    """Write (target, listing), in the order of the table: neighbours share a page."""
    if rows:
        _save_target.many(conn, sorted(rows, key=itemgetter(1)))


def save_told(conn: Connection, rows: Sequence[tuple[int, int, int]]) -> None:
    """Write (number, time, listing) of accepted writes and clear the listing's error."""
    if rows:
        _save_told.many(conn, list(rows))


def save_errors(conn: Connection, rows: Sequence[tuple[str, int, int]]) -> None:
    """Write (error, time, listing)."""
    if rows:
        _save_error.many(conn, list(rows))


def set_fields(conn: Connection, ids: Sequence[int], **values: object) -> None:
    """Set the same values on several listings."""
    for some in chunks(ids):
        conn.execute(update(listing).where(listing.c.id.in_(some)).values(**values))


def add_listings(conn: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Create listings (shop_id, key, sku_id, pack, state, name)."""
    if rows:
        conn.execute(insert(listing), list(rows))


def mapped_jans(conn: Connection) -> list[tuple[str, str, int]]:
    """JAN, SKU and pack size of every mapped listing that has a JAN."""
    query = (
        select(listing.c.jan, sku.c.code, listing.c.pack)
        .join(sku, sku.c.id == listing.c.sku_id)
        .where(listing.c.jan != "")
        .distinct()
    )
    return [(row[0], row[1], row[2]) for row in conn.execute(query)]


def save_jans(conn: Connection, shop_id: int, jans: Mapping[str, str]) -> None:
    """Keep the JAN of a shop's listings, by key; what it does not tell any more is forgotten."""
    known: dict[str, str] = {}
    for some in chunks(list(jans)):
        query = select(listing.c.key, listing.c.jan).where(listing.c.shop_id == shop_id, listing.c.key.in_(some))
        known.update((row[0], row[1]) for row in conn.execute(query))
    rows = [(jans[key], shop_id, key) for key, jan in known.items() if jans[key] != jan]
    if rows:
        _save_jan.many(conn, rows)


def count_ours(conn: Connection, shop_id: int) -> int:
    """How many listings of a shop are ours to write."""
    [[count]] = _count_ours.all(conn, (shop_id,))
    return int(count)
