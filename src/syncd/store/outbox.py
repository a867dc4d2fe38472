"""Rows of the outbox (a table of wishes, one a listing) and of intents (calls durable before their first byte)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from syncd.store.fast import Prepared
from syncd.store.listings import Pair, pair_columns, to_pair
from syncd.store.orders import chunks
from syncd.store.schema import intent, intent_row, listing, outbox

WISH = ("listing_id", "shop_id", "lane", "due_us", "since_us", "version")


def _upsert(dialect: str) -> Insert:
    construct = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = construct(outbox).values({name: bindparam(name) for name in WISH})
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["listing_id"],
        set_={"lane": new.lane, "due_us": new.due_us, "since_us": new.since_us, "version": new.version},
    )


_put = Prepared(_upsert, *WISH)
_bump = Prepared(
    update(outbox).where(outbox.c.listing_id == bindparam("b_id")).values(version=outbox.c.version + 1), "b_id"
)
_drop = Prepared(delete(outbox).where(outbox.c.listing_id == bindparam("b_id")), "b_id")
_later = Prepared(
    update(outbox)
    .where(outbox.c.listing_id == bindparam("b_id"))
    .values(attempts=outbox.c.attempts + 1, not_before_us=bindparam("v_us")),
    "v_us", "b_id",
)  # fmt: skip
_at_once = Prepared(
    update(outbox)
    .where(outbox.c.listing_id == bindparam("b_id"), outbox.c.not_before_us > 0)
    .values(not_before_us=0, attempts=0),
    "b_id",
)
_alone = Prepared(
    update(outbox).where(outbox.c.listing_id == bindparam("b_id")).values(alone=bindparam("v_rows")), "v_rows", "b_id"
)


def put_wishes(conn: Connection, rows: Sequence[tuple[int, int, int, int, int, int]]) -> None:
    """Upsert wishes (listing, shop, lane, due, since, version)."""
    if rows:
        _put.many(conn, sorted(rows))


def bump_wishes(conn: Connection, listing_ids: Sequence[int]) -> None:
    """These wishes want another number now, in their old place: no index is touched."""
    if listing_ids:
        _bump.many(conn, [(one,) for one in sorted(listing_ids)])


def drop_wishes(conn: Connection, listing_ids: Sequence[int]) -> None:
    """Take listings off the outbox: they show what they must."""
    if listing_ids:
        _drop.many(conn, [(one,) for one in listing_ids])


def wait_anew(conn: Connection, shop_id: int, now_us: int, listing_ids: Sequence[int] | None = None) -> None:
    """These wishes (without ids: all of the shop) wait from now on: before, a person's yes was missing, not a call."""
    if listing_ids is None:
        conn.execute(update(outbox).where(outbox.c.shop_id == shop_id).values(since_us=now_us))
    for some in chunks(listing_ids or ()):
        conn.execute(update(outbox).where(outbox.c.listing_id.in_(some)).values(since_us=now_us))


def put_off(conn: Connection, rows: Sequence[tuple[int, int]]) -> None:
    """Not before a time: (time, listing)."""
    if rows:
        _later.many(conn, list(rows))


def hurry(conn: Connection, listing_ids: Sequence[int]) -> None:
    """What was put off goes now."""
    _at_once.many(conn, [(one,) for one in listing_ids])


def send_alone(conn: Connection, rows: Sequence[tuple[int, int]]) -> None:
    """Send in calls of at most so many rows: (rows, listing)."""
    if rows:
        _alone.many(conn, list(rows))


def _open_for_writing() -> tuple[ColumnElement[bool], ...]:
    """Conditions of a wish that does not wait for a person or for an earlier write.

    A write to 0 may overtake an open write, but not another write to 0 whose result is still to come.
    """
    live = (intent_row.c.listing_id == listing.c.id, intent_row.c.live == 1)
    blocked = exists().where(*live)
    zeroed = exists().where(*live, intent_row.c.quantity == 0, intent_row.c.form == "absolute")
    lowers = and_(listing.c.held.like("lowered%"), listing.c.target < listing.c.believed)
    zero = listing.c.target == 0
    return (
        listing.c.state == "ours",
        listing.c.sync == 1,
        or_(listing.c.held == "", lowers),
        or_(~blocked, and_(zero, ~zeroed)),
        or_(listing.c.doubt_us.is_(None), zero),
    )


_candidates = Prepared(
    select(*pair_columns)
    .join(outbox, outbox.c.listing_id == listing.c.id)
    .where(outbox.c.shop_id == bindparam("b_shop"), outbox.c.lane == bindparam("b_lane"))
    .where(outbox.c.due_us <= bindparam("b_due"), outbox.c.not_before_us <= bindparam("b_now"), *_open_for_writing())
    .order_by(outbox.c.due_us, outbox.c.listing_id)
    .limit(bindparam("b_most")),
    "b_shop", "b_lane", "b_due", "b_now", "b_most",
)  # fmt: skip


_ready = (
    select(outbox.c.listing_id)
    .join(listing, outbox.c.listing_id == listing.c.id)
    .where(outbox.c.shop_id == bindparam("b_shop"), outbox.c.lane == bindparam("b_lane"))
    .where(outbox.c.due_us <= bindparam("b_now"), outbox.c.not_before_us <= bindparam("b_now2"), *_open_for_writing())
    .limit(bindparam("b_most"))
    .subquery()
)
_count_ready = Prepared(select(func.count()).select_from(_ready), "b_shop", "b_lane", "b_now", "b_now2", "b_most")
_next_due = Prepared(
    select(func.min(outbox.c.due_us)).where(
        outbox.c.shop_id == bindparam("b_shop"),
        outbox.c.lane == bindparam("b_lane"),
        outbox.c.due_us > bindparam("b_now"),
    ),
    "b_shop", "b_lane", "b_now",
)  # fmt: skip
_next_tried = Prepared(
    select(func.min(outbox.c.not_before_us)).where(
        outbox.c.shop_id == bindparam("b_shop"), text("not_before_us > 0"), outbox.c.not_before_us > bindparam("b_now")
    ),
    "b_shop", "b_now",
)  # fmt: skip


def candidates(conn: Connection, shop_id: int, now_us: int, *, lane: int, due_us: int, most: int) -> list[Pair]:
    """Wishes of one lane that may be written now and are due, oldest first."""
    return [to_pair(row) for row in _candidates.all(conn, (shop_id, lane, due_us, now_us, most))]


def due_rows(
    conn: Connection, shop_id: int, now_us: int, lanes: Sequence[int], most: int
) -> tuple[dict[int, int], int | None]:
    """Rows of each lane that may be written now (counted up to `most`), and the earliest time of the others.

    Costs what is due, not what waits.
    """
    counts: dict[int, int] = {}
    later: list[int] = [row[0] for row in _next_tried.all(conn, (shop_id, now_us)) if row[0] is not None]
    for lane in lanes:
        [(count,)] = _count_ready.all(conn, (shop_id, lane, now_us, now_us, most))
        if count:
            counts[lane] = count
        later += [row[0] for row in _next_due.all(conn, (shop_id, lane, now_us)) if row[0] is not None]
    return counts, min(later, default=None)


def pending_rows(conn: Connection, shop_id: int) -> list[IntentRow]:
    """Rows whose results come later."""
    return [IntentRow(*row) for row in _pending.all(conn, (shop_id,))]


# --- intents ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IntentRow:
    """One row of a call, as it was sent."""

    intent_id: int
    position: int
    listing_id: int
    form: str
    quantity: int
    expected: int | None
    version: int
    target: int
    delta: int
    unread: int
    sold_old: int = 0
    sold_new: int = 0
    restocked: int = 0
    cost: int = 0
    alone: int = 1
    receipt: str | None = None
    live: int = 1


@dataclass(frozen=True, slots=True)
class Intent:
    """One call: durable before its first byte."""

    id: int
    shop_id: int
    route: str
    key: str
    began_us: int
    dead_us: int
    state: str


_ROW = tuple(IntentRow.__dataclass_fields__)
_row_columns = tuple(intent_row.c[name] for name in _ROW)
_intent_columns = tuple(intent.c[name] for name in Intent.__dataclass_fields__)
_rows_of = Prepared(
    select(*_row_columns)
    .where(intent_row.c.intent_id == bindparam("b_intent"), intent_row.c.live == 1)
    .order_by(intent_row.c.position),
    "b_intent",
)
_live_of = Prepared(
    select(*_row_columns, intent.c.began_us)
    .join(intent, intent.c.id == intent_row.c.intent_id)
    .where(intent_row.c.listing_id.in_(bindparam("ids", expanding=True)), intent_row.c.live == 1),
    each="ids",
)
_pending = Prepared(
    select(*_row_columns)
    .join(intent, intent.c.id == intent_row.c.intent_id)
    .where(intent.c.shop_id == bindparam("b_shop"), intent.c.state == "waiting", intent_row.c.live == 1)
    .where(intent_row.c.receipt.is_not(None)),
    "b_shop",
)
_INTENT = ("shop_id", "route", "key", "began_us", "dead_us")
_insert_intent = Prepared(
    insert(intent).values({name: bindparam(name) for name in _INTENT} | {"state": "open"}).returning(intent.c.id),
    *_INTENT,
)
_began = Prepared(select(intent.c.began_us).where(intent.c.id == bindparam("b_id")), "b_id")
_row_done = Prepared(
    update(intent_row)
    .where(intent_row.c.intent_id == bindparam("b_intent"), intent_row.c.position == bindparam("b_position"))
    .values(live=0),
    "b_intent", "b_position",
)  # fmt: skip
_receipt = Prepared(
    update(intent_row)
    .where(intent_row.c.intent_id == bindparam("b_intent"), intent_row.c.position == bindparam("b_position"))
    .values(receipt=bindparam("v_receipt")),
    "b_intent", "b_position", "v_receipt",
)  # fmt: skip
_not_alone = Prepared(
    update(intent_row)
    .where(intent_row.c.intent_id == bindparam("b_intent"), intent_row.c.position == bindparam("b_position"))
    .values(alone=0),
    "b_intent", "b_position",
)  # fmt: skip
_set_state = Prepared(
    update(intent)
    .where(intent.c.id == bindparam("b_intent"))
    .values(state=bindparam("v_state"), note=bindparam("v_note")),
    "b_intent", "v_state", "v_note",
)  # fmt: skip
_all_done = Prepared(
    update(intent_row).where(intent_row.c.intent_id == bindparam("b_intent"), intent_row.c.live == 1).values(live=0),
    "b_intent",
)
_insert_row = Prepared(insert(intent_row).values({name: bindparam(name) for name in _ROW}), *_ROW)


def add_intent(
    conn: Connection, shop_id: int, route: str, key: str, began_us: int, dead_us: int, rows: Sequence[IntentRow]
) -> int:
    """Make a call durable. The rows' `intent_id` is filled in; a second live write of a listing is refused."""
    [[new_id]] = _insert_intent.all(conn, (shop_id, route, key, began_us, dead_us))
    _insert_row.many(
        conn,
        [
            (new_id, r.position, r.listing_id, r.form, r.quantity, r.expected, r.version, r.target, r.delta, r.unread,
             r.sold_old, r.sold_new, r.restocked, r.cost, r.alone, r.receipt, r.live)
            for r in rows
        ],
    )  # fmt: skip
    return int(new_id)


def rows_of_intent(conn: Connection, intent_id: int) -> list[IntentRow]:
    """The live rows of a call, by position."""
    return [IntentRow(*row) for row in _rows_of.all(conn, (intent_id,))]


def began_us(conn: Connection, intent_id: int) -> int:
    """When a call was made durable, right before it was sent."""
    [[began]] = _began.all(conn, (intent_id,))
    return int(began)


def live_intents(conn: Connection, shop_id: int, *states: str) -> list[Intent]:
    """Calls of a shop that are not done, in these states."""
    query = select(*_intent_columns).where(intent.c.shop_id == shop_id, intent.c.state.in_(states))
    return [Intent(*row) for row in conn.execute(query.order_by(intent.c.id)).all()]


def live_rows_of(conn: Connection, listing_ids: Sequence[int]) -> list[tuple[IntentRow, int]]:
    """Live rows that touch these listings, with the time their call began."""
    return [(IntentRow(*row[:-1]), row[-1]) for row in _live_of.of(conn, listing_ids)]


def note_meanwhile(conn: Connection, intent_id: int, position: int, *, old: int, new: int, restocked: int) -> None:
    """Own units that were booked while a call is under way."""
    conn.execute(
        update(intent_row)
        .where(intent_row.c.intent_id == intent_id, intent_row.c.position == position)
        .values(
            sold_old=intent_row.c.sold_old + old,
            sold_new=intent_row.c.sold_new + new,
            restocked=intent_row.c.restocked + restocked,
        )
    )


def not_alone(conn: Connection, rows: Sequence[tuple[int, int]]) -> None:
    """Another write of the listing left while these rows were under way: (intent, position)."""
    _not_alone.many(conn, list(rows))


def rows_done(conn: Connection, intent_id: int, positions: Sequence[int]) -> None:
    """These rows of a call are settled."""
    _row_done.many(conn, [(intent_id, one) for one in positions])


def rows_receipts(conn: Connection, intent_id: int, receipts: Sequence[tuple[int, str]]) -> None:
    """Results of these rows come later: (position, receipt)."""
    _receipt.many(conn, [(intent_id, position, receipt) for position, receipt in receipts])


def set_intent(conn: Connection, intent_id: int, state: str, note: str = "") -> None:
    """Move a call on: open, waiting, done. A done call keeps no live row."""
    _set_state.one(conn, (intent_id, state, note[:256]))
    if state == "done":
        _all_done.one(conn, (intent_id,))


def forget_done(conn: Connection, before_us: int, most: int = 2000) -> int:
    """Delete calls that were done long ago; returns how many."""
    old = list(
        conn.execute(select(intent.c.id).where(intent.c.state == "done", intent.c.began_us < before_us).limit(most))
    )
    for some in chunks([row[0] for row in old]):
        conn.execute(delete(intent_row).where(intent_row.c.intent_id.in_(some)))
        conn.execute(delete(intent).where(intent.c.id.in_(some)))
    return len(old)
