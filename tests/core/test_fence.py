"""What is believed of a page against the truth of the page, over random lives of one listing (promise 4)."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncd.core import fence
from syncd.core.fence import Shown
from syncd.sdk.channel import Form

from .mall import BEGIN, SECOND, VISIBLE, Mall

A, R, C = Form.ABSOLUTE, Form.RELATIVE_REFUSES, Form.COMPARE_AND_SET
M = 2 * SECOND
Step = tuple[str, int, int]
Step4 = tuple[str, int, int, int]

pauses = st.sampled_from([100_000, 700_000, 1_500_000, 3 * SECOND, 40 * SECOND, 200 * SECOND])
lates = st.sampled_from([0, 2, 29])
acts = st.sampled_from(
    [
        "sell",
        "sell",
        "sell",
        "cancel",
        "keep",
        "poll",
        "poll",
        "read",
        "begin",
        "begin",
        "apply",
        "answer",
        "lose",
        "land",
    ]
)
steps = st.lists(st.tuples(acts, st.integers(0, 7), lates, pauses), min_size=1, max_size=25)
forms = st.sampled_from([(A,), (R,), (C,), (A, R), (A, C), (A, R, C)])


def do(mall: Mall, act: str, size: int, late: int) -> None:
    if act == "sell":
        mall.sell(1 + size % 3, late * SECOND)
    elif act in ("cancel", "keep"):
        mall.cancel(size, late * SECOND, restock=act == "cancel")
    elif act == "begin":
        mall.begin(size)
    elif act == "apply" and mall.call is not None and mall.call.applied is None:
        mall.apply(mall.call)
    elif act == "hand":
        mall.page = size
    elif act in ("poll", "read", "answer", "lose", "land"):
        getattr(mall, act)()


def live(mall: Mall, life: Iterable[tuple[str, int, int, int]]) -> None:
    mall.poll()
    mall.read()
    for act, size, late, pause in life:
        mall.wait(pause)
        do(mall, act, size, late)
        assert mall.believes_enough(), (mall.shown, mall.exposure)


@settings(max_examples=600, deadline=None)
@given(steps, forms, st.booleans(), st.sampled_from([-2, -1, 0, 2]), st.sampled_from([0, SECOND]), st.booleans())
def test_a_page_never_holds_more_than_is_believed_of_it(
    life: list[tuple[str, int, int, int]],
    some: tuple[Form, ...],
    reads_stock: bool,
    skew: int,
    stamps: int,
    dated: bool,
) -> None:
    mall = Mall(5, frozenset(some), reads_stock or A not in some, skew * SECOND, stamps, dated, skew_bound=2 * SECOND)
    live(mall, life)
    mall.come_to_rest()
    assert mall.believes_enough()


SOLD_AGAIN: list[Step4] = [
    ("sell", 0, 0, 40_000_000), ("sell", 2, 0, 100_000), ("cancel", 0, 2, 100_000), ("sell", 1, 0, 100_000),
    ("poll", 0, 0, 100_000),
]  # fmt: skip


@settings(max_examples=600, deadline=None)
@example(SOLD_AGAIN, (A,), -2, 0, False)
@given(steps, forms, st.sampled_from([-2, 0, 2]), st.sampled_from([0, SECOND]), st.booleans())
def test_at_rest_the_number_is_known_exactly_and_no_hand_was_suspected(
    life: list[tuple[str, int, int, int]], some: tuple[Form, ...], skew: int, stamps: int, dated: bool
) -> None:
    """Writes take effect when they are answered: a slow answer is a case of its own, below."""
    life = [one for one in life if one[0] != "apply"]
    mall = Mall(5, frozenset(some), True, skew * SECOND, stamps, dated, skew_bound=2 * SECOND)
    live(mall, life)
    mall.come_to_rest()
    assert mall.shown.believed == mall.page
    assert not mall.shown.verify
    put_back = sum(one.back for one in mall.orders)
    assert all(0 < drift <= put_back for drift in mall.drifts)  # a cancel seen on the page before its order was read


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["sell", "cancel", "keep", "write"]), st.integers(0, 7)), max_size=12), forms)
def test_where_nothing_is_blurred_believed_is_the_page_and_what_it_sold_unread(
    life: list[tuple[str, int]], some: tuple[Form, ...]
) -> None:
    mall = Mall(9, frozenset(some), stamps=0)
    mall.poll()
    mall.read()
    for act, size in life:
        mall.wait(100 * SECOND)
        if act == "write":
            mall.begin(size)
            mall.answer()
        else:
            do(mall, act, size, 0)
            if act != "sell":
                mall.poll()
        assert mall.shown.believed == mall.exposure
    mall.poll()
    assert mall.shown.believed == mall.page


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9), st.lists(st.tuples(st.integers(0, 2), lates), max_size=8), st.integers(0, 9), st.booleans())
def test_a_hand_is_found_with_its_units_whatever_sells_around_it(
    start: int, sales: list[tuple[int, int]], page: int, settled: bool
) -> None:
    mall = Mall(start, frozenset([A]))
    mall.poll()
    mall.read()
    for units, late in sales:
        mall.wait(5 * SECOND)
        mall.sell(units, late * SECOND)
    if settled:
        mall.come_to_rest()
    else:
        mall.wait(200 * SECOND)
    change = page - mall.page
    mall.page = page
    mall.come_to_rest()
    assert sum(mall.drifts) == change
    assert mall.shown.believed == page


def test_an_own_sale_takes_believed_down_when_it_is_booked_and_not_before() -> None:
    mall = Mall(5, frozenset([A]))
    mall.poll()
    mall.read()
    mall.wait(100 * SECOND)
    mall.sell(2, 10 * SECOND)
    mall.poll()
    assert mall.shown.believed == 5
    mall.wait(20 * SECOND)
    mall.poll()
    assert mall.shown.believed == mall.page == 3
    assert not mall.shown.verify


def test_a_sale_put_back_while_a_write_took_the_page_to_zero_is_no_hand_edit() -> None:
    """The booked sale came out of a page that its own cancellation had filled again, not yet read."""
    mall = Mall(5, frozenset([R]), skew=2 * SECOND, stamps=0, skew_bound=2 * SECOND)
    life = [("begin", 0, 0, 700_000), ("sell", 0, 0, 700_000), ("poll", 0, 0, 100_000), ("cancel", 0, 0, 100_000)]
    live(mall, life)
    mall.come_to_rest()
    assert mall.drifts == []
    assert mall.shown.believed == mall.page == 0


def test_orders_settled_while_a_write_is_under_way_are_not_held_to_be_unread_after_it() -> None:
    mall = Mall(5, frozenset([A]), skew=-2 * SECOND, stamps=0, dated=False, skew_bound=2 * SECOND)
    live(mall, [("sell", 0, 0, 100_000), ("begin", 1, 0, 100_000), ("poll", 0, 0, 40 * SECOND), ("answer", 0, 0, 1)])
    assert mall.shown.unread == 0
    mall.come_to_rest()
    assert mall.drifts == []


def test_a_sale_between_a_write_and_its_slow_answer_is_no_hand_edit() -> None:
    mall = Mall(5, frozenset([A]))
    life = [("begin", 3, 0, SECOND), ("apply", 0, 0, SECOND), ("sell", 0, 0, 5 * SECOND), ("answer", 0, 0, 10 * SECOND)]
    live(mall, life)
    mall.come_to_rest()
    assert mall.shown.believed == mall.page == 2
    assert mall.drifts == []


def test_units_put_back_between_a_write_and_its_slow_answer_are_believed() -> None:
    mall = Mall(5, frozenset([A]), reads_stock=False)
    live(mall, [("sell", 0, 0, SECOND), ("begin", 0, 0, SECOND), ("apply", 0, 0, SECOND), ("cancel", 0, 0, SECOND)])
    mall.wait(20 * SECOND)
    mall.answer()
    mall.poll()
    assert mall.page == 1
    assert mall.shown.believed == 1


# --- single findings --------------------------------------------------------------------------------------------


def test_a_read_above_believed_is_drift_at_once_and_one_below_waits_for_the_orders() -> None:
    above = fence.read(Shown(5), 7, BEGIN)
    assert (above.drift, above.shown.believed) == (2, 7)
    below = fence.read(Shown(5), 3, BEGIN)
    assert (below.drift, below.shown.believed, below.shown.seen) == (0, 5, 3)
    assert fence.settle(below.shown).drift == -2


def test_the_first_read_of_a_listing_is_believed_and_no_drift() -> None:
    first = fence.read(Shown(verify=True), 4, BEGIN)
    assert (first.drift, first.shown.believed, first.shown.verify) == (0, 4, False)


def test_a_sale_after_the_read_is_taken_off_the_read_number() -> None:
    shown = fence.read(Shown(5), 3, BEGIN).shown
    shown = fence.sold(shown, 1, BEGIN + 10 * SECOND, BEGIN + 10 * SECOND, M)
    shown = fence.sold(shown, 2, BEGIN - 10 * SECOND, BEGIN - 10 * SECOND, M)
    found = fence.settle(shown)
    assert (found.shown.believed, found.drift) == (2, 0)


def test_in_doubt_the_higher_number_is_believed_until_a_read_is_settled() -> None:
    shown = fence.doubted(Shown(3), 8, BEGIN)
    assert (shown.believed, shown.doubt_us, shown.verify) == (8, BEGIN, True)
    assert fence.doubted(shown, 2, BEGIN - 1).doubt_us == BEGIN
    shown = fence.read(shown, 3, BEGIN + SECOND).shown
    assert shown.believed == 8
    found = fence.settle(shown)
    assert (found.shown.believed, found.shown.doubt_us, found.drift) == (3, None, 0)


def test_units_held_to_be_unread_that_never_come_were_a_hand() -> None:
    found = fence.expire(Shown(5, BEGIN, unread=2))
    assert (found.shown.believed, found.shown.unread, found.drift) == (3, 0, -2)
    assert fence.expire(Shown(5)).drift == 0


def test_an_absolute_write_over_unread_sales_keeps_them_believed_until_they_are_booked() -> None:
    shown = fence.wrote_number(Shown(5), 4, unread=2, sold_old=0, sold_new=0, restocked=0, ended_us=BEGIN)
    assert (shown.believed, shown.unread, shown.shows_at_most) == (6, 2, 4)
    shown = fence.sold(shown, 2, BEGIN - VISIBLE, BEGIN - VISIBLE, M)
    assert (shown.believed, shown.unread, shown.verify) == (4, 0, False)


def test_what_a_restored_backup_believed_is_forgotten_but_not_its_doubt() -> None:
    assert fence.forgotten(Shown(5, BEGIN, 1, 1, 4, BEGIN, verify=True, doubt_us=9)) == Shown(doubt_us=9)
