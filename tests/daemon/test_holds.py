"""Holds: units put aside for an auction are held once, from the listing to the order that takes their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from syncd.daemon.booking import book_overdue
from syncd.daemon.desk_answers import Conflict, Done, Mistakes, NotFound, Refused
from syncd.daemon.desk_holds import Given, add_hold, release_hold, win_hold
from syncd.daemon.desk_shipments import ShipmentItem, book_shipments
from syncd.daemon.facts import ShopFacts
from syncd.daemon.holds import load_holds, tell_of_waiting
from syncd.model import OrderState
from syncd.sdk.channel import Carrier
from syncd.store import cleaning
from syncd.store import orders as order_rows

from .shelf import Shelf, line, open_shelf

LISTING = "auction/mug"


class Auctions:
    """A shop with 20 mugs, one page that it counts and an auction listing that it counts apart."""

    def __init__(self, shelf: Shelf, **facts: Any) -> None:
        self.shelf = shelf
        self.shop: ShopFacts = shelf.shop("a", **facts)
        shelf.sku("mug", 20)
        shelf.listing(self.shop, "mug", "mug", 20)
        shelf.listing(self.shop, LISTING, "mug", state="skip")

    def do(self, fn: Callable[..., Done], *given: Any) -> Done:
        shelf = self.shelf
        shelf.wait(1)
        done = shelf.tx(lambda conn: fn(conn, shelf.facts, "a", *given, shelf.now_us, "test"))
        shelf.check()
        return done

    def add(self, name: str, units: int, listing: str = LISTING) -> Done:
        return self.do(add_hold, name, listing, units)

    def order(self, number: str, units: int, hold: str, listing: str = LISTING, **more: Any) -> OrderState:
        return self.shelf.state(number, line("1", listing, units, **more), ends_hold=hold, label="yahoo-auction")

    def book(self, *states: OrderState) -> None:
        self.shelf.wait(1)
        self.shelf.book(self.shop, *states)
        self.shelf.check()

    def held(self, name: str) -> tuple[int, int]:
        """(offered, won) of a hold."""
        hold = self.shelf.tx(lambda conn: load_holds(conn, self.shop.id, [name]))[name]
        return hold.offered.held, hold.won.held


@pytest.fixture
def a() -> Iterator[Auctions]:
    with open_shelf() as shelf:
        yield Auctions(shelf)


def test_units_are_held_from_the_listing_on_and_every_page_shows_less(a: Auctions) -> None:
    done = a.add("x1", 3)
    assert a.shelf.numbers("mug") == (20, 3, 0)
    assert a.shelf.row(a.shop, "mug").target == 17
    assert a.shelf.row(a.shop, LISTING).target is None
    assert done.changes == [
        {"shop": "a", "hold": "x1", "listing": LISTING, "was_offered": 0, "offered": 3, "was_won": 0, "won": 0}
    ]


def test_a_win_changes_no_number_and_an_unsold_end_frees_only_the_rest(a: Auctions) -> None:
    a.add("x1", 3)
    a.do(win_hold, "x1", 1)
    assert a.held("x1") == (2, 1)
    assert a.shelf.numbers("mug") == (20, 3, 0)
    a.do(release_hold, "x1", Given.OFFERED)
    assert a.held("x1") == (0, 1)
    assert a.shelf.numbers("mug") == (20, 1, 0)
    a.do(release_hold, "x1", Given.WON)
    assert a.shelf.numbers("mug") == (20, 0, 0)


def test_the_order_takes_the_place_of_what_was_won_and_nothing_is_held_twice(a: Auctions) -> None:
    a.add("x1", 3)
    a.do(win_hold, "x1", 1)
    state = a.order("o-1", 1, "x1")
    for _ in range(2):
        a.book(state)
        assert a.held("x1") == (2, 0)
        assert a.shelf.numbers("mug") == (20, 3, 0)
    a.do(release_hold, "x1", Given.ALL)
    assert a.shelf.numbers("mug") == (20, 1, 0)


def test_several_winners_in_one_page_take_each_their_own_units(a: Auctions) -> None:
    a.add("x1", 3)
    a.do(win_hold, "x1", 1)
    a.book(a.order("o-1", 1, "x1"), a.order("o-2", 1, "x1"), a.order("o-1", 1, "x1"))
    assert a.held("x1") == (1, 0)
    assert a.shelf.numbers("mug") == (20, 3, 0)


def test_an_order_of_more_than_was_held_takes_the_whole_hold_and_no_more(a: Auctions) -> None:
    a.add("x1", 2)
    a.book(a.order("o-1", 5, "x1"))
    assert a.held("x1") == (0, 0)
    assert a.shelf.numbers("mug") == (20, 5, 0)


def test_an_order_that_arrived_before_the_hold_was_recorded_is_not_held_again(a: Auctions) -> None:
    a.book(a.order("o-1", 1, "x1"))
    done = a.add("x1", 3)
    assert a.shelf.numbers("mug") == (20, 3, 0)
    assert done.notes == ["1 of them are ordered already"]
    a.book(a.order("o-2", 1, "x1"))
    assert a.shelf.numbers("mug") == (20, 3, 0)


def test_an_order_without_a_sku_leaves_the_hold_as_it_is(a: Auctions) -> None:
    a.add("x1", 3)
    a.book(a.order("o-1", 1, "x1", listing="auction/unheard-of"))
    assert a.held("x1") == (3, 0)
    assert a.shelf.numbers("mug") == (20, 3, 0)


def test_a_cancelled_order_frees_its_own_units_and_not_the_hold(a: Auctions) -> None:
    a.add("x1", 3)
    a.book(a.order("o-1", 1, "x1"))
    a.shelf.wait(10)
    a.shelf.book(a.shop, a.shelf.state("o-1", line("1", LISTING, 1, cancelled=1), at=20, ends_hold="x1"))
    a.shelf.check()
    assert a.held("x1") == (2, 0)
    assert a.shelf.numbers("mug") == (20, 2, 0)


def test_an_order_names_a_hold_that_nobody_recorded_and_is_booked_like_any_other(a: Auctions) -> None:
    a.book(a.order("o-1", 1, "x9"))
    assert a.shelf.numbers("mug") == (20, 1, 0)


def test_the_same_hold_can_be_given_more_units(a: Auctions) -> None:
    a.add("x1", 1)
    a.do(release_hold, "x1", Given.ALL)
    a.add("x1", 2)
    assert a.held("x1") == (2, 0)
    assert a.shelf.numbers("mug") == (20, 2, 0)


@pytest.mark.parametrize("ships", ["at_order", "after 3"])
def test_a_hold_never_counts_as_shipped_by_the_rule_of_its_shop(ships: str) -> None:
    with open_shelf() as shelf:
        a = Auctions(shelf, ships=ships)
        a.add("x1", 3)
        shelf.wait(10 * 86_400)
        ids = shelf.tx(lambda conn: cleaning.open_orders_before(conn, a.shop.id, shelf.now_us))
        shelf.tx(lambda conn: book_overdue(conn, shelf.facts, a.shop, ids, shelf.now_us))
        assert shelf.numbers("mug") == (20, 3, 0)
        a.do(release_hold, "x1", Given.ALL)
        assert shelf.numbers("mug") == (20, 0, 0)


def test_what_was_won_and_is_not_ordered_for_a_week_is_alarmed_and_still_held(a: Auctions) -> None:
    a.add("x1", 3)
    a.add("x2", 1)
    a.do(win_hold, "x1", 1)

    def look() -> list[tuple[str, str]]:
        a.shelf.tx(lambda conn: tell_of_waiting(conn, a.shop, a.shelf.now_us))
        return a.shelf.alarms()

    a.shelf.wait(6 * 86_400)
    assert look() == []
    a.shelf.wait(2 * 86_400)
    assert look() == [("hold_waits", "")]
    assert a.held("x1") == (2, 1)
    a.book(a.order("o-1", 1, "x1"))
    assert look() == []


def test_a_hold_is_no_order_that_a_shop_could_show_or_that_is_shipped(a: Auctions) -> None:
    a.add("x1", 3)
    assert a.shelf.tx(lambda conn: order_rows.open_numbers(conn, a.shop.id)) == []
    item = ShipmentItem("a", "hold:x1", Carrier.YAMATO, "t")
    with pytest.raises(Mistakes, match="is a hold"):
        a.shelf.tx(lambda conn: book_shipments(conn, a.shelf.facts, [item], a.shelf.now_us, "test"))


def test_the_hosts_clock_set_back_does_not_make_a_change_of_a_hold_older(a: Auctions) -> None:
    a.add("x1", 3)
    a.shelf.tx(
        lambda conn: release_hold(conn, a.shelf.facts, "a", "x1", Given.ALL, a.shelf.now_us - 60_000_000, "test")
    )
    assert a.shelf.numbers("mug") == (20, 0, 0)


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        (("x1", "mug", 1), Conflict, "apart"),
        (("x1", "nothing", 1), NotFound, "map it first"),
        (("x1", LISTING, 0), Refused, "units"),
        (("a/b", LISTING, 1), Refused, "slash"),
        ((" x1", LISTING, 1), Refused, "printable"),
        (("", LISTING, 1), Refused, "printable"),
    ],
)
def test_what_cannot_be_held_is_refused_with_the_way_out(
    a: Auctions, given: tuple[Any, ...], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        a.do(add_hold, *given)
    assert a.shelf.numbers("mug") == (20, 0, 0)


def test_a_hold_of_another_listing_an_unknown_one_and_too_many_won_are_refused(a: Auctions) -> None:
    a.shelf.listing(a.shop, "auction/other", "mug", state="skip")
    a.add("auction-1", 2)
    with pytest.raises(Conflict, match="a hold of auction/mug"):
        a.add("auction-1", 1, listing="auction/other")
    with pytest.raises(NotFound, match="did you mean auction-1"):
        a.do(win_hold, "auction-2", 1)
    with pytest.raises(Conflict, match="offers 2, not 3"):
        a.do(win_hold, "auction-1", 3)
