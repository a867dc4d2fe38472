"""Openings, counts and adjustments against a shelf that is known: whatever is read when, nothing is oversold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, StaticPool, create_engine, select

from syncd.daemon.booking import book_page
from syncd.daemon.desk_answers import Conflict, NotFound, Refused
from syncd.daemon.desk_stock import Item, adjust_stock, count_stock, open_stock
from syncd.daemon.facts import Facts, ShopFacts
from syncd.model import LineState, OrderState, from_us
from syncd.sdk.channel import Restock
from syncd.store import listings, shops, stock
from syncd.store.schema import audit, entry, metadata, sku

STEP_US = 10_000_000
START_US = 1_795_000_000_000_000
SHELF = 50
EXAMPLES = 40


@contextmanager
def empty_store() -> Iterator[Connection]:
    engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool)
    with engine.begin() as conn:
        metadata.create_all(conn)
        yield conn
    engine.dispose()


@pytest.fixture
def conn() -> Iterator[Connection]:
    with empty_store() as made:
        yield made


def one_shop(conn: Connection, *codes: str, **more: Any) -> tuple[Facts, ShopFacts, dict[str, int]]:
    """A shop selling these SKUs under their own codes."""
    row = shops.ensure_shop(conn, "shop-a", "memory")
    main = stock.location_ids(conn, ["main"])["main"]
    shop = ShopFacts(id=row.id, name="shop-a", location_ids=(main,), restocks=Restock.YES, **more)
    facts = Facts(shops={shop.id: shop})
    ids = stock.add_skus(conn, [(code, "") for code in codes], START_US)
    listings.add_listings(
        conn,
        [
            {"shop_id": shop.id, "key": code, "sku_id": one, "pack": 1, "state": "ours", "name": ""}
            for code, one in ids.items()
        ],
    )
    return facts, shop, ids


def free(conn: Connection, sku_id: int) -> int:
    rows = stock.load_balances(conn, [sku_id]).get(sku_id, {}).values()
    return sum(row.on_hand - row.ordered - row.allocated for row in rows)


def on_hand(conn: Connection, sku_id: int) -> int:
    return sum(row.on_hand for row in stock.load_balances(conn, [sku_id]).get(sku_id, {}).values())


# --- a shelf whose truth is known -----------------------------------------------------------------------------


@dataclass
class Sale:
    """One order: when it was placed, when it left or was cancelled (in steps), and how many units."""

    units: int
    placed: int
    left: int | None
    cancelled: int | None

    @property
    def is_cancelled(self) -> bool:
        return self.cancelled is not None

    def state(self, number: str, at: int) -> OrderState:
        gone = self.left is not None and self.left <= at
        off = self.cancelled is not None and self.cancelled <= at
        changed = max(one for one in (self.placed, self.left, self.cancelled) if one is not None and one <= at)
        line = LineState(
            line="1",
            listing="mug",
            ordered=self.units,
            shipped=self.units if gone else 0,
            cancelled=self.units if off else 0,
        )
        return OrderState(
            number=number,
            lines=(line,),
            as_of=from_us(moment(changed)),
            placed_at=from_us(moment(self.placed)),
            shipped_at=from_us(moment(self.left)) if gone and self.left is not None else None,
        )


def moment(step: int) -> int:
    return START_US + step * STEP_US


@dataclass
class Shelf:
    """Pieces that are really there, and what is really still to be sold."""

    sales: list[Sale]
    received: list[tuple[int, int]] = field(default_factory=list)

    def came(self, at: int) -> int:
        """Pieces that were there from the start, or received by then."""
        return SHELF + sum(pieces for step, pieces in self.received if step <= at)

    def on_shelf(self, at: int) -> int:
        return self.came(at) - sum(one.units for one in self.sales if one.left is not None and one.left <= at)

    def sellable(self, at: int) -> int:
        taken = (
            one for one in self.sales if one.placed <= at and not (one.cancelled is not None and one.cancelled <= at)
        )
        return self.came(at) - sum(one.units for one in taken)


@st.composite
def sales(draw: st.DrawFn, *, cancels: bool) -> Sale:
    placed = draw(st.integers(0, 20))
    end = draw(st.none() | st.integers(placed + 1, 24))
    off = cancels and end is not None and draw(st.booleans())
    return Sale(draw(st.integers(1, 4)), placed, None if off else end, end if off else None)


DEEDS = ("received", "read", "set", "opened from a read", "count", "count entered late")
deeds = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(1, 24), st.integers(1, 6)), min_size=1, max_size=8)


def after_everything(
    conn: Connection, shelf: Shelf, plan: list[tuple[str, int, int]], *, reads_first: bool = False
) -> tuple[int, int]:
    """Carry the deeds out in the order of their times, then read all; returns free and on hand."""
    facts, shop, ids = one_shop(conn, "mug")
    baselines = 0
    shelf.received = [(at, pieces) for what, at, pieces in plan if what == "received"]

    def read(at: int) -> None:
        states = [one.state(f"n{i}", at) for i, one in enumerate(shelf.sales) if one.placed <= at]
        now = moment(at) + 1
        book_page(conn, facts, shop, states, began_us=now, answered_us=now, watermark_us=0, now_us=now)

    open_stock(conn, facts, [Item("mug", SHELF)], moment(-5), "t")
    for what, at, earlier in sorted(plan, key=lambda one: (one[1], one[0] != "received")):
        now, then = moment(at) + STEP_US // 2, max(-1, at - earlier)
        then_us = moment(then) + STEP_US // 2
        if what == "received":
            adjust_stock(conn, facts, [Item("mug", earlier)], moment(at) + 2, "t")
            continue
        if what == "read" or reads_first:
            read(at)
        if what == "read":
            continue
        if what == "set":
            open_stock(conn, facts, [Item("mug", shelf.sellable(at))], now, "t")
            baselines = max(baselines, now)
        elif what == "opened from a read":
            open_stock(conn, facts, [Item("mug", shelf.sellable(then), at_us=then_us)], now, "t")
            baselines = max(baselines, then_us)
        elif what == "count":
            count_stock(conn, facts, [Item("mug", shelf.on_shelf(at))], now, "t")
            baselines = max(baselines, now)
        elif then_us > baselines:
            count_stock(conn, facts, [Item("mug", shelf.on_shelf(then), at_us=then_us)], now, "t")
            baselines = max(baselines, then_us)
    read(30)
    return free(conn, ids["mug"]), on_hand(conn, ids["mug"])


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.lists(sales(cancels=False), max_size=6), deeds)
def test_whatever_is_opened_counted_and_read_when_the_ledger_ends_at_the_truth(
    some: list[Sale], plan: list[tuple[str, int, int]]
) -> None:
    shelf = Shelf(some)
    with empty_store() as conn:
        assert after_everything(conn, shelf, plan) == (shelf.sellable(30), shelf.on_shelf(30))


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.lists(sales(cancels=True), max_size=6), deeds)
def test_with_cancels_the_ledger_never_promises_more_than_there_is(
    some: list[Sale], plan: list[tuple[str, int, int]]
) -> None:
    """Orders are read before each deed: of a cancel nobody read, an opening cannot know that it is inside."""
    shelf = Shelf(some)
    with empty_store() as conn:
        assert after_everything(conn, shelf, plan, reads_first=True)[0] <= shelf.sellable(30)


# --- plain cases ----------------------------------------------------------------------------------------------


def test_an_opening_is_sellable_at_once_and_leaves_its_trace(conn: Connection) -> None:
    facts, _, ids = one_shop(conn, "mug")
    done = open_stock(conn, facts, [Item("mug", 7)], START_US, "api:mika", "first")
    assert free(conn, ids["mug"]) == 7
    assert done.changes == [
        {"sku": "mug", "location": "main", "on_hand_before": 0, "on_hand": 7, "free_before": 0, "free": 7}
    ]
    row = conn.execute(select(entry.c.kind, entry.c.who, entry.c.note)).one()
    assert tuple(row) == ("opening", "api:mika", "first")
    kept = conn.execute(select(audit.c.who, audit.c.action, audit.c.detail)).one()
    assert (kept.who, kept.action) == ("api:mika", "stock_opened")
    assert '"free_before":0,"free":7' in kept.detail


def test_a_count_earlier_than_the_newest_one_is_refused(conn: Connection) -> None:
    facts, _, ids = one_shop(conn, "mug")
    count_stock(conn, facts, [Item("mug", 5)], START_US + 100 * STEP_US, "t")
    with pytest.raises(Conflict, match="count again"):
        count_stock(conn, facts, [Item("mug", 9, at_us=START_US)], START_US + 101 * STEP_US, "t")
    assert on_hand(conn, ids["mug"]) == 5


def test_a_count_in_the_future_is_refused(conn: Connection) -> None:
    facts, _, _ = one_shop(conn, "mug")
    with pytest.raises(Refused, match="future"):
        count_stock(conn, facts, [Item("mug", 5, at_us=START_US + 3_600_000_000)], START_US, "t")


def test_goods_received_after_a_count_stay_when_it_is_entered_late(conn: Connection) -> None:
    facts, _, ids = one_shop(conn, "mug")
    adjust_stock(conn, facts, [Item("mug", 3)], START_US + 2 * STEP_US, "t")
    count_stock(conn, facts, [Item("mug", 10, at_us=START_US + STEP_US)], START_US + 3 * STEP_US, "t")
    assert on_hand(conn, ids["mug"]) == 13


def test_the_same_key_adjusts_once_and_other_numbers_under_it_are_refused(conn: Connection) -> None:
    facts, _, ids = one_shop(conn, "mug", "cup")
    items = [Item("mug", -3), Item("cup", 2)]
    assert len(adjust_stock(conn, facts, items, START_US, "t", key="file 1").changes) == 2
    again = adjust_stock(conn, facts, items, START_US + 1, "t", key="file 1")
    assert (again.changes, free(conn, ids["mug"]), free(conn, ids["cup"])) == ([], -3, 2)
    with pytest.raises(Conflict, match="another adjustment"):
        adjust_stock(conn, facts, [Item("mug", 1)], START_US, "t", key="file 1")


Deed = Callable[[Connection, Facts], object]


@pytest.mark.parametrize(
    ("deed", "kind", "said"),
    [
        (lambda c, f: open_stock(c, f, [Item("mog", 1)], 1, "t"), NotFound, "unknown SKU: mog .did you mean mug"),
        (lambda c, f: open_stock(c, f, [Item("mug", -1)], 1, "t"), Refused, "mug: -1"),
        (
            lambda c, f: open_stock(c, f, [Item("mug", 1), Item("mug", 2)], 1, "t"),
            Refused,
            "mug at main is named twice",
        ),
        (
            lambda c, f: open_stock(c, f, [Item("mug", 1, "mian")], 1, "t"),
            Refused,
            "no location mian .did you mean main",
        ),
        (lambda c, f: open_stock(c, f, [], 1, "t"), Refused, "no items"),
        (lambda c, f: adjust_stock(c, f, [Item("mug", 0)], 1, "t"), Refused, "by 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_way_out(
    conn: Connection, deed: Deed, kind: type[Exception], said: str
) -> None:
    facts, _, _ = one_shop(conn, "mug")
    with pytest.raises(kind, match=said):
        deed(conn, facts)
    assert conn.execute(select(entry.c.id)).all() == []


def test_a_bundle_has_no_stock_to_set(conn: Connection) -> None:
    facts, _, ids = one_shop(conn, "mug", "set")
    stock.set_parts(conn, ids["set"], {ids["mug"]: 2})
    with pytest.raises(Refused, match="bundles have no stock of their own"):
        open_stock(conn, facts, [Item("set", 1)], START_US, "t")


def test_an_import_that_empties_a_shop_is_held(conn: Connection) -> None:
    codes = [f"sku-{i}" for i in range(40)]
    facts, shop, _ = one_shop(conn, *codes)
    open_stock(conn, facts, [Item(code, 5) for code in codes], START_US, "t")
    done = open_stock(conn, facts, [Item(code, 0) for code in codes], START_US + STEP_US, "t")
    assert done.refreshed.braked == {shop.id}
    held = listings.listings_by_key(conn, shop.id, codes)
    assert {row.held for row in held.values()} == {"brake"}
    assert conn.execute(select(sku.c.id)).all()
