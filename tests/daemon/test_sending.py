"""What becomes of a call: rows the report leaves open, a zero's last word, overtaken writes, bisection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from syncd.daemon.agenda import Agenda, Occasion
from syncd.daemon.facts import put_shown, shown_of
from syncd.daemon.sending import Settled, doubt_call, plan_call, recover, settle_call, undo_call
from syncd.daemon.targets import refresh_skus
from syncd.model import ListingState
from syncd.sdk.channel import (
    Accepted,
    Form,
    Pending,
    ReadFirst,
    Reason,
    Rejected,
    StockWrite,
    Unreported,
    WriteReport,
    WriteRoute,
)
from syncd.store import listings as listing_rows
from syncd.store.shops import set_shop

from .shelf import SECOND, Shelf, line, open_shelf

A, R, C = Form.ABSOLUTE, Form.RELATIVE_REFUSES, Form.COMPARE_AND_SET
DEAD_AFTER = 60.0


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with open_shelf() as made:
        yield made
        made.check()


class Desk:
    """One writing shop on a shelf, and a second one whose orders move its targets."""

    def __init__(self, shelf: Shelf, *forms: Form, rows: int = 100) -> None:
        self.shelf = shelf
        self.shop = shelf.shop("b")
        self.other = shelf.shop("a")
        self.route = WriteRoute("stock", "write", frozenset(forms or (A,)), rows, dead_after_seconds=DEAD_AFTER)
        self.calls = 0

    def goods(self, count: int, shows: int = 5) -> list[str]:
        """So many SKUs with a listing at each shop, known to show a number."""
        names = [f"m{i}" for i in range(count)]
        for name in names:
            self.shelf.sku(name, shows)
            self.shelf.listing(self.shop, name, name, shows)
            self.shelf.listing(self.other, name, name, shows)
        self.orders_read()
        return names

    def orders_read(self) -> None:
        """Everything ordered until now is known; a whole read began this moment."""
        self.shelf.wait(2)
        self.shelf.tx(lambda conn: set_shop(conn, self.shop.id, orders_began_us=self.shelf.now_us))

    def sell(self, name: str, units: int) -> None:
        self.calls += 1
        at = (self.shelf.now_us - self.shelf.start_us) / SECOND
        order = line("1", name, units)
        self.shelf.book(self.other, self.shelf.state(f"o{self.calls}", order, at=at, placed=at))

    def plan(self, *, urgent: bool = False, route: WriteRoute | None = None, **seen: Any) -> Agenda:
        """The next call; the batch turn has come."""
        self.calls += 1
        on = Occasion(
            shop=self.shop, route=route or self.route, now_us=self.shelf.now_us, key=f"k{self.calls}", urgent=urgent,
            final=True, **seen,
        )  # fmt: skip
        return self.shelf.tx(lambda conn: plan_call(conn, self.shelf.facts, on))

    def settle(self, agenda: Agenda, report: WriteReport, *, after: float = 0.2) -> Settled:
        self.shelf.wait(after)
        intent = agenda.intent_id
        assert intent is not None
        ended_us = self.shelf.now_us
        return self.shelf.tx(
            lambda conn: settle_call(conn, self.shelf.facts, self.shop, intent, report, ended_us)
        )  # fmt: skip

    def doubt(self, agenda: Agenda) -> None:
        intent, now_us = agenda.intent_id, self.shelf.now_us
        assert intent is not None
        dead_us = now_us + int(DEAD_AFTER * SECOND)
        self.shelf.tx(lambda conn: doubt_call(conn, self.shelf.facts, intent, dead_us, now_us, "lost"))

    def refused(self, agenda: Agenda) -> None:
        intent = agenda.intent_id
        assert intent is not None
        self.shelf.tx(lambda conn: undo_call(conn, self.shelf.facts, intent, self.shelf.now_us, "400", bisect=True))

    def waits(self, name: str) -> bool:
        return self.shelf.pair(self.shop, name)[1] is not None


def accepted(agenda: Agenda) -> WriteReport:
    return WriteReport.all_accepted(len(agenda.rows))


def written(agenda: Agenda) -> list[StockWrite]:
    assert (agenda.intent_id is None) == (not agenda.writes)
    return agenda.writes


# -- rows that the report leaves open --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [A, R, C])
def test_a_write_above_zero_that_may_have_happened_is_in_doubt(shelf: Shelf, form: Form) -> None:
    desk = Desk(shelf, form)
    desk.goods(1)
    desk.sell("m0", 2)
    desk.orders_read()
    agenda = desk.plan()
    desk.settle(agenda, WriteReport((), Unreported.UNSURE))
    assert shelf.row(desk.shop, "m0").doubt_us is not None
    assert written(desk.plan()) == []


def test_rows_that_a_report_does_not_name_stay_queued_and_the_named_ones_are_done(shelf: Shelf) -> None:
    desk = Desk(shelf, R)
    names = desk.goods(3)
    for name in names:
        desk.sell(name, 1)
    agenda = desk.plan()
    done = desk.settle(agenda, WriteReport((Accepted(1),)))
    assert done.outcomes == {"accepted": 1, "unreported": 2}
    assert [desk.waits(name) for name in names] == [True, False, True]
    assert [row.listing for row in written(desk.plan())] == ["m0", "m2"]


def test_a_newer_wish_outlives_the_success_of_an_older_write(shelf: Shelf) -> None:
    desk = Desk(shelf, R)
    desk.goods(1)
    desk.sell("m0", 1)
    agenda = desk.plan()
    desk.sell("m0", 1)
    desk.settle(agenda, accepted(agenda))
    assert written(desk.plan()) == [StockWrite("m0", R, -1)]


@pytest.mark.parametrize("reason", [Reason.INVALID, Reason.NOT_WRITABLE, Reason.OTHER])
def test_a_refused_row_is_alarmed_and_backs_off_alone(shelf: Shelf, reason: Reason) -> None:
    desk = Desk(shelf, R)
    desk.goods(2)
    desk.sell("m0", 1)
    desk.sell("m1", 1)
    agenda = desk.plan()
    desk.settle(agenda, WriteReport((Rejected(0, reason, "no"), Accepted(1))))
    assert shelf.alarms() == [("row_refused", "m0")]
    assert (desk.waits("m0"), desk.waits("m1")) == (True, False)
    assert written(desk.plan()) == []
    shelf.wait(31)
    assert [row.listing for row in written(desk.plan())] == ["m0"]


def test_a_listing_the_shop_does_not_know_is_gone_and_no_longer_written(shelf: Shelf) -> None:
    desk = Desk(shelf, A)
    desk.goods(1)
    desk.sell("m0", 5)
    agenda = desk.plan(urgent=True)
    desk.settle(agenda, WriteReport((Rejected(0, Reason.UNKNOWN_LISTING),)))
    assert shelf.row(desk.shop, "m0").state == ListingState.GONE
    assert shelf.alarms() == [("listing_gone", "m0")]
    assert written(desk.plan()) == []


# -- the last word of a zero -----------------------------------------------------------------------------------------


def in_doubt(desk: Desk, name: str, seconds: float) -> None:
    """A write of this listing is in doubt until so many seconds from now."""
    row = desk.shelf.row(desk.shop, name)
    until_us = desk.shelf.now_us + int(seconds * SECOND)
    shown = shown_of(row)
    put_shown(row, type(shown)(believed=9, base_us=shown.base_us, verify=True, doubt_us=until_us))
    desk.shelf.tx(lambda conn: listing_rows.save_shown(conn, [row]))


def test_a_zero_on_a_listing_whose_doubt_is_dead_is_the_last_word(shelf: Shelf) -> None:
    desk = Desk(shelf, A)
    desk.goods(1)
    in_doubt(desk, "m0", 5)
    shelf.wait(6)
    desk.sell("m0", 5)
    agenda = desk.plan(urgent=True)
    assert written(agenda) == [StockWrite("m0", A, 0)]
    desk.settle(agenda, accepted(agenda))
    row = shelf.row(desk.shop, "m0")
    assert (row.believed, row.doubt_us, desk.waits("m0")) == (0, None, False)


def test_a_zero_on_a_listing_still_in_doubt_is_repeated_once_that_doubt_is_dead(shelf: Shelf) -> None:
    desk = Desk(shelf, A)
    desk.goods(1)
    in_doubt(desk, "m0", 30)
    desk.sell("m0", 5)
    zeros = 0
    for _ in range(120):
        agenda = desk.plan(urgent=True)
        if written(agenda):
            assert written(agenda) == [StockWrite("m0", A, 0)]
            desk.settle(agenda, accepted(agenda))
            zeros += 1
        shelf.wait(1)
    assert zeros == 2
    row = shelf.row(desk.shop, "m0")
    assert (row.believed, row.doubt_us, desk.waits("m0")) == (0, None, False)


@pytest.mark.parametrize("lost", [True, False], ids=["its answer is lost", "its answer comes late"])
def test_a_zero_that_overtakes_an_open_write_is_written_again(shelf: Shelf, lost: bool) -> None:
    desk = Desk(shelf, A)
    desk.goods(1)
    desk.sell("m0", 2)
    desk.orders_read()
    lowering = desk.plan()
    assert written(lowering) == [StockWrite("m0", A, 3)]
    desk.sell("m0", 3)
    first = desk.plan(urgent=True)
    assert written(first) == [StockWrite("m0", A, 0)]
    desk.settle(first, accepted(first))
    assert shelf.row(desk.shop, "m0").doubt_us is not None
    assert written(desk.plan(urgent=True)) == []
    if lost:
        desk.doubt(lowering)
    else:
        desk.settle(lowering, accepted(lowering))
    zeros, last_at = 0, 0
    for second in range(180):
        shelf.wait(1)
        agenda = desk.plan(urgent=True)
        if written(agenda):
            assert written(agenda) == [StockWrite("m0", A, 0)]
            desk.settle(agenda, accepted(agenda))
            zeros, last_at = zeros + 1, second
    assert 1 <= zeros <= 2
    assert not lost or last_at >= DEAD_AFTER - 2
    row = shelf.row(desk.shop, "m0")
    assert (row.believed, row.doubt_us, desk.waits("m0")) == (0, None, False)


def test_a_zero_that_overtook_a_write_that_hangs_is_repeated_ever_more_rarely(shelf: Shelf) -> None:
    """A feed may take minutes: its zeros must not use up the budget of other stockouts. At its end one goes at once."""
    desk = Desk(shelf, A)
    desk.goods(1)
    desk.sell("m0", 2)
    desk.orders_read()
    lowering = desk.plan()
    desk.sell("m0", 3)
    moments = []
    for second in range(600):
        agenda = desk.plan(urgent=True)
        if written(agenda):
            desk.settle(agenda, accepted(agenda))
            moments.append(second)
        shelf.wait(1)
    assert len(moments) <= 16
    assert max(later - sooner for sooner, later in pairwise(moments)) <= 62
    desk.settle(lowering, accepted(lowering))
    assert written(desk.plan(urgent=True)) == [StockWrite("m0", A, 0)]


def test_a_zero_whose_answer_was_lost_is_sent_again_at_once(shelf: Shelf) -> None:
    desk = Desk(shelf, A)
    desk.goods(1)
    desk.sell("m0", 5)
    agenda = desk.plan(urgent=True)
    desk.doubt(agenda)
    assert shelf.row(desk.shop, "m0").doubt_us is None
    again = desk.plan(urgent=True)
    assert written(again) == [StockWrite("m0", A, 0)]
    desk.settle(again, accepted(again))
    assert not desk.waits("m0")


# -- calls as a whole ------------------------------------------------------------------------------------------------


def test_a_refused_call_is_halved_until_the_poisoned_row_stands_alone(shelf: Shelf) -> None:
    desk = Desk(shelf, R)
    names = desk.goods(8)
    for name in names:
        desk.sell(name, 1)
    sizes = []
    done: set[str] = set()
    for _ in range(20):
        agenda = desk.plan()
        rows = [row.listing for row in written(agenda)]
        if not rows:
            break
        sizes.append(len(rows))
        if "m5" not in rows:
            desk.settle(agenda, accepted(agenda))
            done |= set(rows)
        elif len(rows) > 1:
            desk.refused(agenda)
        else:
            desk.settle(agenda, WriteReport((Rejected(0, Reason.OTHER, "400"),)))
    assert sizes[0] == 8
    assert len(sizes) <= 8
    assert done == set(names) - {"m5"}
    assert shelf.alarms() == [("row_refused", "m5")]


def test_rows_of_a_refused_call_do_not_hold_up_the_others(shelf: Shelf) -> None:
    desk = Desk(shelf, A, R)
    names = desk.goods(6)
    for name in names[:4]:
        desk.sell(name, 1)
    desk.refused(desk.plan())
    desk.sell("m5", 5)
    assert "m5" in [row.listing for row in written(desk.plan(urgent=True))]


def test_a_call_holds_no_more_rows_than_its_route_takes(shelf: Shelf) -> None:
    desk = Desk(shelf, R, rows=3)
    names = desk.goods(7)
    for name in names:
        desk.sell(name, 1)
    sizes = []
    while written(agenda := desk.plan()):
        sizes.append(len(agenda.rows))
        desk.settle(agenda, accepted(agenda))
    assert sizes == [3, 3, 1]


def test_a_route_too_large_to_read_for_is_fenced_by_an_order_read(shelf: Shelf) -> None:
    desk = Desk(shelf, A)
    desk.goods(2)
    desk.sell("m0", 2)
    shelf.wait(400)
    desk.shop = replace(desk.shop, reads_stock=True)
    bulk = replace(desk.route, read_first=ReadFirst.ORDERS)
    first = desk.plan(route=bulk)
    assert (first.need_orders, first.need_stock, written(first)) == (True, [], [])
    assert desk.plan().need_stock, "by any other route its own number is read"
    desk.orders_read()
    assert written(desk.plan(route=bulk)) == [StockWrite("m0", A, 3)]


def test_a_listing_has_one_open_write_at_most(shelf: Shelf) -> None:
    desk = Desk(shelf, R)
    desk.goods(1)
    desk.sell("m0", 1)
    desk.plan()
    desk.sell("m0", 1)
    assert written(desk.plan()) == []


def test_what_was_under_way_at_a_crash_is_in_doubt_at_the_start(shelf: Shelf) -> None:
    desk = Desk(shelf, R)
    desk.goods(2)
    desk.sell("m0", 1)
    desk.plan()
    assert shelf.tx(lambda conn: recover(conn, shelf.facts, desk.shop, shelf.now_us)) == 1
    row = shelf.row(desk.shop, "m0")
    assert row.doubt_us is not None
    assert row.doubt_us >= shelf.now_us
    assert shelf.row(desk.shop, "m1").doubt_us is None


@pytest.mark.parametrize("zero", [True, False])
def test_a_pending_row_waits_for_its_receipt_and_is_not_sent_twice(shelf: Shelf, zero: bool) -> None:
    desk = Desk(shelf, A)
    desk.goods(1)
    desk.sell("m0", 5 if zero else 2)
    desk.orders_read()
    agenda = desk.plan(urgent=zero)
    desk.settle(agenda, WriteReport((Pending(0, "r1"),)))
    for _ in range(5):
        shelf.wait(30)
        desk.orders_read()
        assert written(desk.plan(urgent=zero)) == []
    desk.settle(agenda, accepted(agenda))
    assert shelf.row(desk.shop, "m0").believed == (0 if zero else 3)
    assert not desk.waits("m0")


def test_a_number_read_before_a_write_of_our_own_is_no_evidence_after_it(shelf: Shelf) -> None:
    """A stockout's call takes lowerings along while the shop's numbers are read for the rest."""
    desk = Desk(shelf, R, A)
    desk.goods(2)
    desk.shop = replace(desk.shop, reads_stock=True)
    began_us, ids = shelf.now_us, {name: shelf.row(desk.shop, name).id for name in ("m0", "m1")}
    desk.sell("m0", 2)
    agenda = desk.plan(urgent=True)
    assert written(agenda) == [StockWrite("m0", R, -2)]
    desk.settle(agenda, accepted(agenda))
    for name in ids:
        shelf.adjust(name, 4)
    shelf.tx(lambda conn: refresh_skus(conn, shelf.facts, shelf.skus.values(), shelf.now_us, by_orders=False))
    shelf.wait(0.2)
    shelf.tx(lambda conn: set_shop(conn, desk.shop.id, orders_began_us=shelf.now_us))
    now = desk.plan(numbers=dict.fromkeys(ids.values(), 5), numbers_began_us=began_us)
    assert written(now) == [StockWrite("m1", R, 4)]
