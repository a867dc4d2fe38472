"""Shipments booked here: the ledger moves once, whichever side tells first, and a mistake applies nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.daemon.desk_answers import Conflict, Done, Mistakes
from syncd.daemon.desk_shipments import ShipmentItem, book_shipments, retry, settle, withdraw
from syncd.daemon.desk_stock import Item, count_stock
from syncd.daemon.facts import ShopFacts
from syncd.model import Source
from syncd.sdk.channel import Carrier
from syncd.sdk.settings import Writes
from syncd.store import orders as order_rows
from syncd.store import shipments

from .shelf import SECOND, Shelf, line, open_shelf

RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with open_shelf() as made:
        made.sku("mug", 20)
        made.listing(made.shop("a", takes_shipments=True), "mug", "mug", 20)
        yield made


def shop_of(shelf: Shelf, name: str = "a") -> ShopFacts:
    return next(one for one in shelf.facts.shops.values() if one.name == name)


def ship(shelf: Shelf, number: str, tracking: str = "", shop: str = "a", **more: Any) -> Done:
    item = ShipmentItem(shop, number, Carrier.YAMATO, tracking, **more)
    return shelf.tx(lambda conn: book_shipments(conn, shelf.facts, [item], shelf.now_us, "test"))


def listed(shelf: Shelf) -> list[dict[str, Any]]:
    return shelf.tx(lambda conn: shipments.listed(conn, limit=100, before_id=2**62))[::-1]


def open_numbers(shelf: Shelf) -> list[str]:
    return shelf.tx(lambda conn: order_rows.open_numbers(conn, shop_of(shelf).id))


def test_on_hand_goes_down_and_the_hold_ends(shelf: Shelf) -> None:
    shelf.book(shop_of(shelf), shelf.state("1", line("1", "mug", 3)))
    assert shelf.numbers("mug") == (20, 3, 0)
    done = ship(shelf, "1", "t")
    assert shelf.numbers("mug") == (17, 0, 0)
    assert [one["units"] for one in done.changes] == [3]
    assert [one["state"] for one in listed(shelf)] == ["queued"]
    shelf.check()


def test_the_same_shipment_in_the_orders_state_is_not_taken_off_twice(shelf: Shelf) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", "t")
    shelf.book(shop, shelf.state("1", line("1", "mug", 3, shipped=3), at=50))
    assert shelf.numbers("mug") == (17, 0, 0)
    assert open_numbers(shelf) == []


def test_a_newer_state_that_does_not_know_it_yet_does_not_undo_it_and_the_order_is_read_on(shelf: Shelf) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", "t")
    shelf.book(shop, shelf.state("1", line("1", "mug", 3), at=50))
    assert shelf.numbers("mug") == (17, 0, 0)
    assert open_numbers(shelf) == ["1"]


def test_a_shop_that_shows_no_shipments_does_not_keep_the_order_open(shelf: Shelf) -> None:
    shop = replace(shop_of(shelf), shows_shipments=False)
    shelf.facts.shops[shop.id] = shop
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", "t")
    assert open_numbers(shelf) == []


def test_what_was_cancelled_at_the_shop_after_it_left_is_gone_and_the_order_closed(shelf: Shelf) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", "t")
    shelf.book(shop, shelf.state("1", line("1", "mug", 3, cancelled=3), at=50))
    assert shelf.numbers("mug") == (17, 0, 0)
    assert open_numbers(shelf) == []


events = st.lists(st.tuples(st.sampled_from(["here", "told", "stale"]), st.integers(1, 3)), min_size=1, max_size=7)


@RELAXED
@given(st.integers(1, 6), events, st.randoms(use_true_random=False))
def test_units_leave_once_in_whatever_order_both_sides_tell_of_them(
    ordered: int, happened: list[tuple[str, int]], chance: Any
) -> None:
    """`here`: a parcel is booked here and in the end told to the shop. `told`: staff ship at the shop, and its state
    is read. `stale`: a state made before our parcels, stamped later than they were booked.
    """
    with open_shelf() as shelf:
        shelf.sku("mug", 20)
        shop = shelf.shop("a", takes_shipments=True)
        shelf.listing(shop, "mug", "mug", 20)
        shelf.book(shop, shelf.state("1", line("1", "mug", ordered)))
        here = there = at = 0
        known = False  # whether the shop has shown parcels of ours: what it shows of them later is newer
        for what, units in happened:
            at += 10
            left = ordered - max(here + there, 0)
            units = min(units, left)
            if what == "here" and units:
                ship(shelf, "1", f"t{at}", lines={"1": units})
                here += units
            elif what == "told" and units:
                there += units
                shown = here + there if chance.random() < 0.5 else there
                shelf.book(shop, shelf.state("1", line("1", "mug", ordered, shipped=shown), at=at))
                if shown < here + there:  # the shop takes ours in a moment later
                    shelf.book(shop, shelf.state("1", line("1", "mug", ordered, shipped=here + there), at=at + 1))
                known = True
            elif what == "stale":
                shelf.book(shop, shelf.state("1", line("1", "mug", ordered, shipped=there), at=0 if known else at))
            gone = here + there
            assert shelf.numbers("mug") == (20 - gone, ordered - gone, 0)
            shelf.check()
        shelf.book(shop, shelf.state("1", line("1", "mug", ordered, shipped=here + there), at=at + 20))
        assert shelf.numbers("mug") == (20 - here - there, ordered - here - there, 0)


def test_a_parcel_that_left_before_a_count_is_not_taken_off_again(shelf: Shelf) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)))
    left_us = shelf.now_us
    shelf.wait(100)
    shelf.tx(lambda conn: count_stock(conn, shelf.facts, [Item("mug", 17)], shelf.now_us, "staff"))
    shelf.wait(100)
    ship(shelf, "1", "t", shipped_us=left_us)
    assert shelf.numbers("mug") == (17, 0, 0)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3, shipped=3), at=500))
    assert shelf.numbers("mug") == (17, 0, 0)


def at_time(shelf: Shelf, seconds: float) -> int:
    """Wait until so many seconds after the start."""
    shelf.wait(seconds - (shelf.now_us - shelf.start_us) / SECOND)
    return shelf.now_us


@pytest.mark.parametrize("told", [False, True])
def test_a_count_entered_late_knows_which_parcels_left_after_it(shelf: Shelf, told: bool) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("1", "mug", 2)), shelf.state("2", line("1", "mug", 3)))
    before_us = at_time(shelf, 50)
    counted_us = at_time(shelf, 100)  # the two pieces of order 1 are gone from the shelf, order 2 is there
    at_time(shelf, 200)
    ship(shelf, "1", "t1", shipped_us=before_us)
    ship(shelf, "2", "t2")
    if told:
        shelf.book(shop, shelf.state("1", line("1", "mug", 2, shipped=2), at=40))
        shelf.book(shop, shelf.state("2", line("1", "mug", 3, shipped=3), at=210))
    at_time(shelf, 300)
    shelf.tx(lambda conn: count_stock(conn, shelf.facts, [Item("mug", 18, at_us=counted_us)], shelf.now_us, "staff"))
    assert shelf.numbers("mug") == (15, 0, 0)
    shelf.check()


def test_units_that_staff_shipped_after_ours_are_taken_off_after_a_count_in_between(shelf: Shelf) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)))
    at_time(shelf, 100)
    ship(shelf, "1", "t", lines={"1": 1})
    at_time(shelf, 200)
    shelf.tx(lambda conn: count_stock(conn, shelf.facts, [Item("mug", 19)], shelf.now_us, "staff"))
    at_time(shelf, 300)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3, shipped=3), at=300))
    assert shelf.numbers("mug") == (17, 0, 0)


def test_a_stronger_source_that_names_the_lines_anew_takes_the_shipped_units_over(shelf: Shelf) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("mail-1", "mug", 3), source=Source.MAIL))
    ship(shelf, "1", "t", lines={"mug": 2})
    shelf.book(shop, shelf.state("1", line("10001", "mug", 3), at=50))
    assert shelf.numbers("mug") == (18, 1, 0)
    [one] = listed(shelf)
    assert one["lines"] == [{"line": "10001", "listing": "mug", "units": 2}]
    shelf.book(shop, shelf.state("1", line("10001", "mug", 3, shipped=2), at=60))
    assert shelf.numbers("mug") == (18, 1, 0)
    shelf.check()


def test_the_same_parcel_twice_is_booked_once(shelf: Shelf) -> None:
    shelf.book(shop_of(shelf), shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", "t", lines={"1": 1})
    again = ship(shelf, "1", "t", lines={"1": 1})
    assert again.changes == []
    assert [one["why"] for one in again.skipped] == ["booked already"]
    assert shelf.numbers("mug") == (19, 2, 0)


def test_one_mistake_applies_nothing_and_every_mistake_is_named(shelf: Shelf) -> None:
    shop = shop_of(shelf)
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)), shelf.state("2", line("1", "mug", 1)))
    items = [
        ShipmentItem("a", "1", Carrier.YAMATO, "t1"),
        ShipmentItem("a", "1", Carrier.YAMATO, "t2"),
        ShipmentItem("a", "9", Carrier.YAMATO, "t3"),
        ShipmentItem("a", "2", Carrier.OTHER, "t4"),
        ShipmentItem("a", "2", Carrier.SAGAWA, "t5", lines={"cup": 1}),
        ShipmentItem("a", "2", Carrier.SAGAWA, "t6", lines={"1": 2}),
        ShipmentItem("a", "2", Carrier.SAGAWA, "t7", shipped_us=shelf.now_us + 10**12),
    ]
    with pytest.raises(Mistakes) as caught:
        shelf.tx(lambda conn: book_shipments(conn, shelf.facts, items, shelf.now_us, "test"))
    assert [one.where for one in caught.value.every] == [
        "items[1].order", "items[2].order", "items[3].carrier_name", "items[4].lines[cup].line",
        "items[5].lines[1].units", "items[6].shipped_at",
    ]  # fmt: skip
    assert shelf.numbers("mug") == (20, 4, 0)
    assert listed(shelf) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [({"takes_shipments": False}, "takes no shipments"), ({"writes": Writes.DRY_RUN}, 'writes = "dry_run"')],
)
def test_a_shop_that_is_not_told_has_it_booked_and_says_so(shelf: Shelf, facts: Any, why: str) -> None:
    shop = replace(shop_of(shelf), **facts)
    shelf.facts.shops[shop.id] = shop
    shelf.book(shop, shelf.state("1", line("1", "mug", 3)))
    done = ship(shelf, "1", "t")
    assert shelf.numbers("mug") == (17, 0, 0)
    assert [one["state"] for one in listed(shelf)] == ["not_sent"]
    assert why in done.notes[0]


def test_a_withdrawn_shipment_is_on_hand_and_held_again_and_may_leave_anew(shelf: Shelf) -> None:
    shelf.book(shop_of(shelf), shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", "t")
    [one] = listed(shelf)
    shelf.tx(lambda conn: withdraw(conn, shelf.facts, one["id"], shelf.now_us, "test"))
    assert shelf.numbers("mug") == (20, 3, 0)
    ship(shelf, "1", "t")
    assert shelf.numbers("mug") == (17, 0, 0)
    assert [one["state"] for one in listed(shelf)] == ["withdrawn", "queued"]
    shelf.check()


def test_only_what_is_open_can_be_decided(shelf: Shelf) -> None:
    shelf.book(shop_of(shelf), shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", "t")
    [one] = listed(shelf)
    for decide in (retry, settle):
        with pytest.raises(Conflict):
            shelf.tx(lambda conn, decide=decide: decide(conn, shelf.facts, one["id"], shelf.now_us, "test"))


def test_an_old_clock_does_not_matter_to_parcels_without_a_number(shelf: Shelf) -> None:
    """Two parcels without a tracking number are told apart by when they left."""
    shelf.book(shop_of(shelf), shelf.state("1", line("1", "mug", 3)))
    ship(shelf, "1", lines={"1": 1}, shipped_us=shelf.now_us)
    ship(shelf, "1", lines={"1": 1}, shipped_us=shelf.now_us + SECOND)
    assert shelf.numbers("mug") == (18, 1, 0)
