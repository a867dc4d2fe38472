"""The tables. One SQL for SQLite (STRICT) and PostgreSQL; times are whole microseconds since the epoch.

sku ── part (bundles)            shop ── listing ── outbox (wishes)     orders ── order_line ── entry (append-only)
 └── balance per location         └── intent ── intent_row (calls)       └── shipment ── shipment_line
rule (scopes)   stance   grant   alarm   audit   meta
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Real: TypeEngine[float] = Double().with_variant(REAL, "sqlite")
Int = BigInteger().with_variant(Integer, "sqlite")


def _table(name: str, *items: Column[Any] | UniqueConstraint | Index) -> Table:
    return Table(name, metadata, *items, sqlite_strict=True)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows that matter."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def _id() -> Column[int]:
    return Column("id", Int, primary_key=True)


def _int(name: str, default: int | None = None, *, null: bool = False) -> Column[int]:
    server = None if default is None else text(str(default))
    return Column(name, Int, nullable=null, server_default=server)


def _real(name: str) -> Column[float]:
    return Column(name, Real, nullable=False, server_default=text("0"))


def _text(name: str, default: str | None = "", *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, server_default=default)


def _ref(name: str, target: str, *, null: bool = False, primary: bool = False) -> Column[int]:
    return Column(name, Int, ForeignKey(f"{target}.id"), nullable=null, primary_key=primary, autoincrement=False)


meta = _table("meta", Column("key", Text, primary_key=True), _text("value"))

sku = _table("sku", _id(), _text("code", None), _text("name"), _int("created_us"), UniqueConstraint("code"))

part = _table(  # one row per kind of component of a bundle
    "part",
    _ref("bundle_id", "sku", primary=True),
    _ref("part_id", "sku", primary=True),
    _int("pieces"),
    Index("ix_part_part_id", "part_id"),
)

location = _table("location", _id(), _text("name", None), UniqueConstraint("name"))

balance = _table(
    "balance",
    _ref("sku_id", "sku", primary=True),
    _ref("location_id", "location", primary=True),
    _int("on_hand", 0),
    _int("ordered", 0),
    _int("allocated", 0),
    _int("opened_us", 0),  # time of the newest opening: orders placed before it were inside its number
    _int("counted_us", 0),  # time of the newest count or opening: shipments before it are not taken off again
    _int("raised_us", 0),  # newest entry that raised free stock
    _partial("ix_balance_short", "sku_id", where="on_hand - allocated - ordered < 0"),
)

shop = _table(
    "shop",
    _id(),
    _text("name", None),
    _text("channel", None),
    _text("account", None, null=True),  # the mall's own id; the key of its orders
    _text("cursor", None, null=True),
    _int("watermark_us", 0),  # every order accepted before it is known to be read
    _int("orders_began_us", 0),  # begin of the newest whole order read
    _int("read_us", 0),  # last good order read
    _int("wrote_us", 0),  # last good stock write
    _int("skew_us", 0),
    _int("paused", 0),
    _int("started", 0),  # a person said: write
    _text("status", "new"),
    _text("status_text"),
    _int("key_expires_us", null=True),
    _int("checked_us", 0),
    UniqueConstraint("name"),
    UniqueConstraint("channel", "account"),
)

listing = _table(
    "listing",
    _id(),
    _ref("shop_id", "shop"),
    _text("key", None),
    _ref("sku_id", "sku", null=True),
    _int("pack", 1),
    _text("state", "ours"),
    _int("sync", 1),
    _text("name"),
    _text("jan"),  # as its shop tells it
    _int("target", null=True),  # what it must show, by the rule chain
    # what it should show now and why we think so: core/fence.py
    _int("believed", null=True),
    _int("base_us", 0),
    _int("base_from_us", 0),
    _int("unread", 0),
    _int("slack", 0),
    _int("seen", null=True),
    _int("seen_us", 0),
    _int("seen_from_us", 0),
    _int("seen_sold", 0),
    _int("seen_slack", 0),
    _int("verify", 0),
    _int("doubt_us", null=True),
    # what it can still bring us at most, and the proof that waits: core/escrow.py
    _int("exposure", null=True),
    _int("calls", 0),
    _int("lost_us", null=True),
    _int("back", 0),
    _int("proven", null=True),
    _int("proven_from_us", 0),
    _int("proven_us", 0),
    _int("proven_sold", 0),
    _int("proven_vague", 0),
    _int("proven_back", 0),
    _int("proven_by_read", 0),
    # what it sold lately: core/demand.py
    _int("demand_us", 0),
    _real("demand_short"),
    _real("demand_middle"),
    _real("demand_day"),
    _real("demand_largest"),
    _text("held"),  # why a person must say yes before it is written
    # what we last told it
    _int("told", null=True),
    _int("told_us", 0),
    _text("error"),
    _int("error_us", 0),
    UniqueConstraint("shop_id", "key"),
    Index("ix_listing_sku_id", "sku_id"),
    Index("ix_listing_state", "shop_id", "state"),
    _partial("ix_listing_jan", "jan", where="jan <> ''"),
    _partial("ix_listing_held", "shop_id", where="held <> ''"),
    _partial("ix_listing_verify", "shop_id", "id", where="verify = 1 OR doubt_us IS NOT NULL"),
    _partial("ix_listing_unproven", "shop_id", "id", where="lost_us IS NOT NULL OR exposure IS NULL"),
    _partial("ix_listing_seen", "shop_id", "id", where="seen IS NOT NULL OR unread > 0 OR proven IS NOT NULL"),
)

rule = _table(  # 0 stands for every shop or every SKU
    "rule",
    Column("name", Text, primary_key=True),
    Column("shop_id", Int, primary_key=True, autoincrement=False),
    Column("sku_id", Int, primary_key=True, autoincrement=False),
    _int("value"),
    Index("ix_rule_sku_id", "sku_id"),
)

stance = _table(  # how a SKU is shown now by its policy; no row: mirrored, with nothing to look at
    "stance",
    _ref("sku_id", "sku", primary=True),
    _text("mode", "mirror"),
    _int("reserve", 0),
    _int("jumps", 0),
    _int("watched", 0),
    _int("since_us", 0),
    _int("sale", 0),
    _int("next_us", null=True),  # when time alone may change it
    _real("blind"),  # pieces expected to be sold unseen (m)
    _partial("ix_stance_next", "next_us", where="next_us IS NOT NULL"),
)

orders = _table(
    "orders",
    _id(),
    _ref("shop_id", "shop"),
    _text("number", None),
    _int("placed_us", null=True),
    _int("as_of_us"),
    _int("source"),
    _int("opened", 0),  # a shipment is opened
    _int("shipped_us", null=True),
    _int("open", 1),  # still holds, or a line of it could not be booked
    _int("first_us"),
    _int("seen_us"),
    _int("asked_us", 0),  # begin of the newest request that showed it
    _text("label"),  # what kind of order it is, for reports
    _text("ends_hold"),  # the hold whose place it took
    UniqueConstraint("shop_id", "number"),
    _partial("ix_orders_open", "shop_id", "id", where="open = 1"),
    _partial("ix_orders_ends_hold", "shop_id", "ends_hold", where="ends_hold <> ''"),
)

order_line = _table(
    "order_line",
    _id(),
    _ref("order_id", "orders"),
    _text("line", None),
    _text("listing", None),
    _ref("listing_id", "listing", null=True),
    _ref("location_id", "location", null=True),
    _int("ordered", 0),
    _int("cancelled", 0),
    _int("shipped", 0),
    _int("returned", 0),
    _int("restocked", null=True),
    _text("pieces"),  # "sku_id:pieces,…" frozen at the first booking; empty: not booked yet
    _int("booking", 0),  # number of the newest booking
    _int("b_held", 0),  # booked: pieces are these times the frozen pieces
    _int("b_allocated", 0),
    _int("b_gone", 0),
    _int("b_restocked", 0),
    _int("b_units", 0),  # units of the listing already taken off (or put back) in believed
    _int("ignored", 0),  # units that left before a count or opening
    _int("own_shipped", 0),  # shipped in all, as booked here
    _int("shop_shipped", 0),  # shipped in all, as its shop shows it
    _int("accepted_back", 0),  # returned units that a person put back on the shelf
    _int("rejected_back", 0),  # and that a person did not
    _text("return_reason"),
    UniqueConstraint("order_id", "line"),
    _partial("ix_order_line_unbooked", "listing", where="pieces = ''"),
    _partial("ix_order_line_held", "listing_id", where="b_held > 0"),
    _partial("ix_order_line_returned", "id", where="returned > accepted_back + rejected_back"),
)

shipment = _table(  # one parcel of one order, booked here: durable before its shop is told
    "shipment",
    _id(),
    _ref("shop_id", "shop"),
    _ref("order_id", "orders"),
    _text("parcel", None),  # carrier and tracking number: the same parcel is booked once
    _text("carrier", None),
    _text("carrier_name"),
    _text("tracking"),
    _int("shipped_us"),
    _text("state", None),
    _text("note"),  # why it was refused, is in doubt, or is not sent
    _int("whole", 1),  # all that was unshipped
    _int("alone", 0),  # a refused call held it: send it by itself
    _int("attempts", 0),
    _int("not_before_us", 0),
    _int("doubt_us", 0),  # in doubt: from then on the call can take no more effect
    _int("created_us"),
    _int("changed_us"),
    _text("who"),
    UniqueConstraint("order_id", "parcel"),
    _partial("ix_shipment_live", "shop_id", "id", where="state IN ('queued', 'sent', 'in_doubt', 'refused')"),
)

shipment_line = _table(
    "shipment_line",
    _ref("shipment_id", "shipment", primary=True),
    _ref("line_id", "order_line", primary=True),
    _int("units"),
    _int("expected", 0),  # shipped units of the line that its shop shows once it took this in
    Index("ix_shipment_line_line_id", "line_id"),
)

entry = _table(
    "entry",
    _id(),
    _int("at_us"),
    _ref("sku_id", "sku"),
    _ref("location_id", "location"),
    _text("kind", None),
    _int("on_hand", 0),
    _int("ordered", 0),
    _int("allocated", 0),
    _ref("line_id", "order_line", null=True),
    _int("booking", 0),
    _text("key", None, null=True),
    _text("who"),
    _text("note"),
    _partial("uq_entry_line", "line_id", "booking", "sku_id", where="line_id IS NOT NULL", unique=True),
    _partial("uq_entry_key", "key", "sku_id", where="key IS NOT NULL", unique=True),
    Index("ix_entry_sku_id", "sku_id", "id"),
)

outbox = _table(
    "outbox",
    _ref("listing_id", "listing", primary=True),
    _ref("shop_id", "shop"),
    _int("lane"),
    _int("due_us"),  # batch rows: the tick they ride on
    _int("since_us"),  # when this listing first went wrong
    _int("version", 1),  # grows with every change of the wish
    _int("attempts", 0),
    _int("not_before_us", 0),
    _int("alone", 0),  # a refused call held it: send in ever smaller calls until the culprit is found
    Index("ix_outbox_due", "shop_id", "lane", "due_us"),
    _partial("ix_outbox_tried", "shop_id", "not_before_us", where="not_before_us > 0"),
)

intent = _table(
    "intent",
    _id(),
    _ref("shop_id", "shop"),
    _text("route", None),
    _text("key", None),
    _int("began_us"),
    _int("dead_us"),  # from then on it can take no more effect
    _text("state", "open"),  # open | waiting (results come later) | doubt | done
    _text("note"),
    UniqueConstraint("key"),
    _partial("ix_intent_live", "shop_id", "id", where="state <> 'done'"),
)

intent_row = _table(
    "intent_row",
    _ref("intent_id", "intent", primary=True),
    Column("position", Int, primary_key=True, autoincrement=False),
    _ref("listing_id", "listing"),
    _text("form", None),
    _int("quantity"),
    _int("expected", null=True),
    _int("version"),
    _int("target"),
    _int("delta", 0),
    _int("unread", 0),
    _int("sold_old", 0),  # own units booked meanwhile, accepted for certain before the send
    _int("sold_new", 0),  # own units booked meanwhile that may have come after it
    _int("restocked", 0),
    _int("cost", 0),  # units booked on the listing's exposure before the send
    _int("alone", 1),  # no other write of the listing was under way or alive since it was sent
    _text("receipt", None, null=True),
    _int("live", 1),
    _partial("uq_intent_row_live", "listing_id", where="live = 1 AND quantity <> 0", unique=True),
    _partial("ix_intent_row_listing", "listing_id", where="live = 1"),
)

grant = _table(  # what an authorization server gave us; all but the times is encrypted
    "grant",
    Column("channel", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    _text("sealed", None),
    _int("ends_us", null=True),  # the access token's end
    _int("signed_in_until_us", null=True),  # a person must sign in again by then
    _int("saved_us"),
)

alarm = _table(
    "alarm",
    _id(),
    _text("kind", None),
    _ref("shop_id", "shop", null=True),
    _text("subject"),
    _text("text"),
    _int("since_us"),
    _int("last_us"),
    _int("count", 1),
    _int("cleared_us", null=True),
    _partial("ix_alarm_open", "kind", "shop_id", "subject", where="cleared_us IS NULL"),
)

audit = _table(
    "audit",
    _id(),
    _int("at_us"),
    _text("who"),
    _text("action", None),
    _text("detail"),
)
