"""By which write a row may go now: promise 4 as a table of cases, and as properties over every situation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.fence import Shown
from syncd.core.planner import READ_IS_FRESH_US, Evidence, Need, Plan, plan_write
from syncd.sdk.channel import Form, StockWrite

NOW = 1_000_000_000_000
A, R, C = Form.ABSOLUTE, Form.RELATIVE_REFUSES, Form.COMPARE_AND_SET
LATE = NOW - READ_IS_FRESH_US - 1


def evidence(
    *,
    reads_stock: bool = True,
    reads_orders: bool = True,
    orders_began: int = 0,
    raised: int = 0,
    number: int | None = None,
    number_began: int = NOW - 1,
) -> Evidence:
    return Evidence(NOW, reads_stock, reads_orders, orders_began, raised, number, number_began)


def plan(target: int, shown: Shown, forms: Iterable[Form], seen: Evidence) -> tuple[Form, int, int | None] | Need:
    made = plan_write("mug", target, shown, frozenset(forms), seen)
    if isinstance(made, Need):
        return made
    assert made.write.listing == "mug"
    return made.write.form, made.write.quantity, made.write.expected


blind = evidence(reads_stock=False, reads_orders=False)
by_orders = evidence(reads_stock=False)


@pytest.mark.parametrize(
    ("situation", "target", "shown", "forms", "seen", "answer"),
    [
        ("right already", 5, Shown(5), [A, R, C], evidence(), Need.NOTHING),
        # to 0: at once, as a plain set
        ("sold out", 0, Shown(5), [A], evidence(), (A, 0, None)),
        ("sold out, every form", 0, Shown(5), [A, R, C], evidence(), (A, 0, None)),
        ("sold out, nothing known", 0, Shown(), [A], evidence(), (A, 0, None)),
        ("sold out, in doubt", 0, Shown(5, doubt_us=NOW + 9), [A, R, C], evidence(), (A, 0, None)),
        ("sold out, believed 0, in doubt", 0, Shown(0, doubt_us=NOW + 9), [A], evidence(), (A, 0, None)),
        ("sold out without a plain set", 0, Shown(5), [R], evidence(), (R, -5, None)),
        ("sold out by compare-and-set", 0, Shown(5), [C], evidence(), (C, 0, 5)),
        # an unresolved write holds up everything else
        ("raise in doubt", 9, Shown(5, doubt_us=NOW + 9), [A, R, C], evidence(number=5, orders_began=NOW), Need.DOUBT),
        ("lower in doubt", 2, Shown(5, doubt_us=NOW + 9), [A, R, C], evidence(number=5, orders_began=NOW), Need.DOUBT),
        ("sold out in doubt without a plain set", 0, Shown(5, doubt_us=NOW + 9), [R], evidence(), Need.DOUBT),
        # relative lowering and compare-and-set from believed: at once
        ("relative lowering", 2, Shown(5), [R, A], evidence(), (R, -3, None)),
        ("relative lowering, nothing to read", 2, Shown(5), [R], blind, (R, -3, None)),
        ("compare-and-set down", 2, Shown(5), [C], evidence(), (C, 2, 5)),
        ("compare-and-set up", 9, Shown(5), [C, A], evidence(orders_began=1), (C, 9, 5)),
        ("compare-and-set up, orders never read", 9, Shown(5), [C, A], evidence(), Need.ORDER_READ),
        ("compare-and-set over a known unread sale", 9, Shown(5, unread=2), [C], evidence(orders_began=1), (C, 7, 3)),
        # a relative raise and an absolute number above 0 first read
        ("relative raise", 9, Shown(5), [R], evidence(), Need.STOCK_READ),
        ("absolute raise", 9, Shown(5), [A], evidence(), Need.STOCK_READ),
        ("absolute lowering above 0", 2, Shown(5), [A], evidence(), Need.STOCK_READ),
        ("nothing known", 2, Shown(), [A, R, C], evidence(), Need.STOCK_READ),
        ("to verify", 2, Shown(5, verify=True), [A, R, C], evidence(), Need.STOCK_READ),
        ("read too long ago", 9, Shown(5), [A], evidence(number=5, number_began=LATE, orders_began=1), Need.STOCK_READ),
        ("read just in time", 9, Shown(5), [A], evidence(number=5, number_began=LATE + 1, orders_began=1),
         (A, 9, None)),
        # above what the shop shows: the orders too, begun after the newest raising entry
        ("raise, orders older than the raise", 9, Shown(5), [A], evidence(number=5, orders_began=7, raised=7),
         Need.ORDER_READ),
        ("raise, orders read after it", 9, Shown(5), [A], evidence(number=5, orders_began=8, raised=7), (A, 9, None)),
        ("relative raise, orders read after it", 9, Shown(5), [R], evidence(number=5, orders_began=8), (R, 4, None)),
        ("lowering needs no orders", 2, Shown(5), [A], evidence(number=5, raised=7), (A, 2, None)),
        # what is missing is an unread sale: it is taken off
        ("two unread sales", 9, Shown(5), [A], evidence(number=3, orders_began=8), (A, 7, None)),
        ("unread sales, relative", 9, Shown(5), [R], evidence(number=3, orders_began=8), (R, 4, None)),
        ("lowering meets unread sales", 3, Shown(5), [A], evidence(number=4), (A, 2, None)),
        ("lowering already done by unread sales", 3, Shown(5), [A], evidence(number=1), (A, 0, None)),
        ("the shop shows more than believed", 9, Shown(5), [A], evidence(number=7, orders_began=8), (A, 9, None)),
        ("it shows it already", 4, Shown(6), [A], evidence(number=0), Need.ORDER_READ),
        ("first number of a listing", 9, Shown(), [A], evidence(number=4, orders_began=8), (A, 9, None)),
        ("first number lowers", 2, Shown(), [A], evidence(number=4), (A, 2, None)),
        ("read, then compared", 9, Shown(5, verify=True), [C], evidence(number=4, orders_began=8), (C, 8, 4)),
        ("to 0 by a relative form, to verify", 0, Shown(5, verify=True), [R], evidence(number=5), (R, -5, None)),
        # no stock to read: the orders instead
        ("absolute raise by orders", 9, Shown(5), [A], by_orders, Need.ORDER_READ),
        ("absolute lowering by orders", 2, Shown(5), [A], by_orders, Need.ORDER_READ),
        ("lowering, orders fresh", 2, Shown(5), [A], evidence(reads_stock=False, orders_began=NOW - 1), (A, 2, None)),
        ("raise, orders fresh", 9, Shown(5), [A], evidence(reads_stock=False, orders_began=NOW - 1), (A, 9, None)),
        ("raise, fresh but before the raising entry", 9, Shown(5), [A],
         evidence(reads_stock=False, orders_began=NOW - 9, raised=NOW - 9), Need.ORDER_READ),
        ("lowering over unread sales", 3, Shown(5, unread=1), [A],
         evidence(reads_stock=False, orders_began=NOW - 1), (A, 2, None)),
        ("relative raise by orders", 9, Shown(5), [R], by_orders, Need.ORDER_READ),
        ("relative raise, orders fresh", 9, Shown(5), [R], evidence(reads_stock=False, orders_began=NOW - 1),
         (R, 4, None)),
        ("relative raise, fresh but before the raising entry", 9, Shown(5), [R],
         evidence(reads_stock=False, orders_began=NOW - 9, raised=NOW - 9), Need.ORDER_READ),
        # nothing is read of it at all: unfenced
        ("unfenced raise", 9, Shown(5), [A], blind, (A, 9, None)),
        ("unfenced relative raise", 9, Shown(5), [R], blind, (R, 4, None)),
        ("no write for it", 9, Shown(), [R], blind, Need.NO_FORM),
    ],
)  # fmt: skip
def test_each_situation_is_written_or_says_what_it_needs(
    situation: str, target: int, shown: Shown, forms: list[Form], seen: Evidence, answer: object
) -> None:
    assert plan(target, shown, forms, seen) == answer, situation


@pytest.mark.parametrize(
    ("situation", "shown", "number", "orders_began", "answer"),
    [
        ("compared with a 0 of ours, sales from before may be unread", Shown(0, base_us=60), None, 90, Need.ORDER_READ),
        ("orders looked at just now", Shown(0, base_us=60), None, NOW - 1, (C, 9, 0)),
        ("every order from before is booked", Shown(0, base_us=50), None, 90, (C, 9, 0)),
        ("read as 0 after a 0 of ours", Shown(0, base_us=60, verify=True), 0, 90, Need.ORDER_READ),
        ("read as 0, orders looked at just now", Shown(0, base_us=60, verify=True), 0, NOW - 1, (C, 9, 0)),
        ("first read a moment ago", Shown(5, base_us=60, seen=5, seen_us=60), 5, 90, Need.ORDER_READ),
        ("first read, orders looked at just now", Shown(5, base_us=60, seen=5, seen_us=60), 5, NOW - 1, (A, 9, None)),
        ("a page that shows some tells by itself", Shown(5, base_us=60, verify=True), 5, 90, (C, 9, 5)),
    ],
)  # fmt: skip
def test_a_page_that_we_emptied_is_raised_once_what_it_sold_before_is_known(
    situation: str, shown: Shown, number: int | None, orders_began: int, answer: object
) -> None:
    seen = Evidence(NOW, True, True, orders_began, 0, number, NOW - 1, watermark_us=50)
    forms = [A] if number == 5 and not shown.verify else [C, A]
    assert plan(9, shown, forms, seen) == answer, situation


forms = st.sets(st.sampled_from(Form), min_size=1)
small = st.integers(0, 9)
times = st.sampled_from([0, 5, 7, NOW - READ_IS_FRESH_US - 1, NOW - 1000, NOW])


@st.composite
def showns(draw: st.DrawFn) -> Shown:
    believed = draw(st.none() | small)
    unread = draw(st.integers(0, believed or 0))
    return Shown(believed, 5, unread, verify=draw(st.booleans()), doubt_us=draw(st.sampled_from([None, None, NOW + 5])))


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    reads_stock = draw(st.booleans())
    number = draw(st.none() | small) if reads_stock else None
    return Evidence(NOW, reads_stock, draw(st.booleans()), draw(times), draw(times), number, draw(times))


def leaves(write: StockWrite, page: int) -> int:
    """What a page that shows so many shows after the write."""
    return page + write.quantity if write.form.is_relative else write.quantity


@settings(max_examples=600, deadline=None)
@given(small, showns(), forms, evidences())
def test_a_number_above_zero_never_goes_without_the_evidence_it_needs(
    target: int, shown: Shown, some: set[Form], seen: Evidence
) -> None:
    made = plan_write("mug", target, shown, some, seen)
    if not isinstance(made, Plan):
        return
    write = made.write
    assert write.form in some
    if write.form is Form.ABSOLUTE and write.quantity == 0:
        return
    assert not shown.in_doubt
    assert write.quantity >= 0 or write.form.is_relative
    if write.form.is_relative and write.quantity < 0:
        return
    if write.form is Form.COMPARE_AND_SET:
        assert write.expected is not None
        if not shown.verify and shown.believed is not None:
            assert write.expected == shown.believed - shown.unread
            return
    if seen.reads_stock:
        assert seen.fresh_number is not None
    elif seen.reads_orders:
        assert seen.fresh_orders
    page = seen.number if seen.reads_stock else shown.believed
    raises = page is None or leaves(write, page) > page
    if raises and seen.reads_orders:
        assert seen.orders_began_us > seen.raised_us


@settings(max_examples=600, deadline=None)
@given(small, showns(), forms, evidences())
def test_a_write_never_leaves_more_than_the_target_less_what_was_sold_unread(
    target: int, shown: Shown, some: set[Form], seen: Evidence
) -> None:
    """The units missing on the page against believed are sold; they may not be put back on sale."""
    made = plan_write("mug", target, shown, some, seen)
    if not isinstance(made, Plan) or shown.believed is None:
        return
    page = seen.fresh_number if made.fenced and seen.reads_stock else shown.believed - shown.unread
    assert page is not None
    missing = max(0, shown.believed - page)
    assert max(0, leaves(made.write, page)) <= max(0, target - missing)


@settings(max_examples=500, deadline=None)
@given(showns(), forms, evidences())
def test_a_write_to_zero_goes_at_once_as_a_plain_set_where_there_is_one(
    shown: Shown, some: set[Form], seen: Evidence
) -> None:
    made = plan_write("mug", 0, shown, some, seen)
    if shown.believed == 0 and not shown.in_doubt:
        assert made is Need.NOTHING
    elif Form.ABSOLUTE in some:
        assert made == Plan(StockWrite("mug", Form.ABSOLUTE, 0))


# -- pieces that another listing of the shop sells, too ------------------------------------------------------------


def shared(
    *, orders_began: int = 0, raised: int = 0, number: int | None = 5, reads_stock: bool = True,
    reads_orders: bool = True,
) -> Evidence:  # fmt: skip
    return Evidence(NOW, reads_stock, reads_orders, orders_began, raised, number, NOW - 1, shared=True)


@pytest.mark.parametrize(
    ("situation", "target", "shown", "forms", "seen", "answer"),
    [
        ("raise, the page read alone", 9, Shown(5), [A], shared(), Need.ORDER_READ),
        ("lowering above 0, the page read alone", 2, Shown(5), [A], shared(), Need.ORDER_READ),
        ("compare-and-set up", 9, Shown(5), [C], shared(), Need.ORDER_READ),
        ("compare-and-set down", 2, Shown(5), [C], shared(), Need.ORDER_READ),
        ("to verify", 2, Shown(5, verify=True), [C], shared(), Need.ORDER_READ),
        ("nothing known", 2, Shown(), [A], shared(), Need.ORDER_READ),
        ("relative raise", 9, Shown(5), [R], shared(), Need.ORDER_READ),
        ("orders read too long ago", 2, Shown(5), [A], shared(orders_began=LATE), Need.ORDER_READ),
        # a look at the orders just now, and all is as for any other listing
        ("raise, orders fresh", 9, Shown(5), [A], shared(orders_began=NOW - 1), (A, 9, None)),
        ("lowering, orders just fresh", 2, Shown(5), [A], shared(orders_began=LATE + 1), (A, 2, None)),
        ("compare-and-set, orders fresh", 9, Shown(5), [C], shared(orders_began=NOW - 1), (C, 9, 5)),
        ("unread sales, orders fresh", 9, Shown(5), [A], shared(number=3, orders_began=NOW - 1), (A, 7, None)),
        ("the page is still to be read", 9, Shown(5), [A], shared(number=None, orders_began=NOW - 1),
         Need.STOCK_READ),
        ("raise, orders fresh but before the raising entry", 9, Shown(5), [A],
         shared(orders_began=NOW - 9, raised=NOW - 9), Need.ORDER_READ),
        ("no stock to read, orders fresh", 9, Shown(5), [A],
         shared(reads_stock=False, number=None, orders_began=NOW - 1), (A, 9, None)),
        # what only takes away goes at once, shared or not
        ("sold out", 0, Shown(5), [A], shared(), (A, 0, None)),
        ("sold out by compare-and-set", 0, Shown(5), [C], shared(), (C, 0, 5)),
        ("relative lowering", 2, Shown(5), [R], shared(), (R, -3, None)),
        ("right already", 5, Shown(5), [A, R, C], shared(), Need.NOTHING),
        # orders that are not taken in cannot be waited for
        ("orders not taken in", 2, Shown(5), [A], shared(reads_orders=False), (A, 2, None)),
        ("orders not taken in, compare-and-set", 9, Shown(5), [C], shared(reads_orders=False), (C, 9, 5)),
    ],
)  # fmt: skip
def test_pieces_sold_on_two_pages_are_looked_for_in_the_orders(
    situation: str, target: int, shown: Shown, forms: list[Form], seen: Evidence, answer: object
) -> None:
    assert plan(target, shown, forms, seen) == answer, situation


@settings(max_examples=400, deadline=None)
@given(small, showns(), forms, evidences())
def test_a_shared_listing_is_never_written_above_zero_without_fresh_orders(
    target: int, shown: Shown, some: set[Form], seen: Evidence
) -> None:
    both = replace(seen, shared=True)
    made = plan_write("mug", target, shown, some, both)
    if not isinstance(made, Plan) or not seen.reads_orders or not target:
        return
    assert both.fresh_orders or (made.write.form.is_relative and made.write.quantity < 0)
    assert made == plan_write("mug", target, shown, some, seen)
