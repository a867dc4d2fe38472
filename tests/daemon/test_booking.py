"""Orders booked through the store, one page a transaction (promises 1 to 4), case by case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncd.daemon.booking import UNBOOKED, book_overdue, rebook_orders
from syncd.daemon.desk_listings import ListingItem, save_listings
from syncd.daemon.desk_stock import Item, count_stock, open_stock
from syncd.model import Lane, Returns, Source
from syncd.sdk.channel import Restock
from syncd.store import orders as order_rows
from syncd.store import outbox

from .shelf import SECOND, Shelf, line, open_shelf

DAY = 86_400


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with open_shelf() as made:
        yield made
        made.check()


def test_an_order_is_booked_once_however_often_it_is_shown(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 10)
    shelf.listing(shop, "m1", "mug", 10)
    state = shelf.state("1", line("1", "m1", 2))
    first = shelf.book(shop, state, state)
    assert first.outcomes == {"new": 1, "same": 1}
    entries = shelf.entries()
    for _ in range(3):
        shelf.wait(60)
        assert shelf.book(shop, state).outcomes == {"same": 1}
    assert shelf.entries() == entries
    assert shelf.numbers("mug") == (10, 2, 0)
    assert shelf.row(shop, "m1").target == 8


def test_an_older_state_is_counted_and_ignored(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 10)
    shelf.listing(shop, "m1", "mug", 10)
    shelf.book(shop, shelf.state("1", line("1", "m1", 3, cancelled=3), at=20))
    assert shelf.book(shop, shelf.state("1", line("1", "m1", 3), at=10)).outcomes == {"older": 1}
    assert shelf.numbers("mug") == (10, 0, 0)


def test_an_order_travels_from_ordered_to_allocated_to_gone_to_returned(shelf: Shelf) -> None:
    shop = shelf.shop("a", returns=Returns.BACK)
    shelf.sku("mug", 10)
    shelf.listing(shop, "m1", "mug", 10, pack=2)
    steps = [
        (line("1", "m1", 3), False, (10, 6, 0)),
        (line("1", "m1", 3), True, (10, 0, 6)),
        (line("1", "m1", 3, cancelled=1), True, (10, 0, 4)),
        (line("1", "m1", 3, cancelled=1, shipped=1), True, (8, 0, 2)),
        (line("1", "m1", 3, cancelled=1, shipped=2), True, (6, 0, 0)),
        (line("1", "m1", 3, cancelled=1, shipped=2, returned=1), True, (8, 0, 0)),
    ]
    for at, (one, opened, numbers) in enumerate(steps):
        shelf.book(shop, shelf.state("1", one, at=at, shipment_opened=opened))
        assert shelf.numbers("mug") == numbers
        shelf.check()


def test_two_shops_may_use_the_same_order_number(shelf: Shelf) -> None:
    one, two = shelf.shop("a"), shelf.shop("b")
    shelf.sku("mug", 10)
    shelf.listing(one, "m1", "mug", 10)
    shelf.listing(two, "m1", "mug", 10)
    shelf.book(one, shelf.state("1", line("1", "m1", 2)))
    shelf.book(two, shelf.state("1", line("1", "m1", 3)))
    assert shelf.numbers("mug") == (10, 5, 0)


def test_a_line_of_an_unknown_listing_waits_with_an_alarm_and_is_booked_when_it_is_mapped(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 10)
    shelf.listing(shop, "m1", "mug", 10)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), line("2", "new", 3)))
    assert shelf.numbers("mug") == (10, 2, 0)
    assert shelf.alarms() == [(UNBOOKED, "new")]
    assert shelf.tx(lambda conn: order_rows.open_numbers(conn, shop.id)) == ["1"]
    item = ListingItem("new", "mug", pack=2)
    shelf.tx(lambda conn: save_listings(conn, shelf.facts, "a", [item], shelf.now_us, "staff"))
    assert shelf.numbers("mug") == (10, 8, 0)
    assert shelf.alarms() == []
    assert shelf.book(shop, shelf.state("1", line("1", "m1", 2), line("2", "new", 3))).outcomes == {"same": 1}
    assert shelf.numbers("mug") == (10, 8, 0)


def test_booking_again_what_is_booked_changes_nothing(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 10)
    shelf.listing(shop, "m1", "mug", 10)
    made = shelf.book(shop, shelf.state("1", line("1", "m1", 2)))
    before = shelf.entries()
    shelf.tx(lambda conn: rebook_orders(conn, shelf.facts, shop, made.new_orders, shelf.now_us))
    assert shelf.entries() == before


def test_frozen_pieces_outlive_a_corrected_mapping(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 10)
    shelf.sku("cup", 10)
    shelf.listing(shop, "m1", "mug", 10)
    shelf.book(shop, shelf.state("1", line("1", "m1", 4)))
    item = ListingItem("m1", "cup", pack=3)
    shelf.tx(lambda conn: save_listings(conn, shelf.facts, "a", [item], shelf.now_us, "staff"))
    shelf.book(shop, shelf.state("1", line("1", "m1", 4, cancelled=1), at=5))
    assert shelf.numbers("mug") == (10, 3, 0)
    assert shelf.numbers("cup") == (10, 0, 0)


def test_bundles_and_packs_come_apart_and_every_listing_of_every_part_follows_at_once(shelf: Shelf) -> None:
    one, two = shelf.shop("a"), shelf.shop("b")
    shelf.sku("mug", 7)
    shelf.sku("box", 20)
    shelf.sku("set", parts={"mug": 2, "box": 1})
    shelf.sku("gift", parts={"set": 1, "box": 3})
    shelf.listing(one, "gift", "gift", 3)
    for key in ("mug", "box", "set", "gift"):
        shelf.listing(two, key, key, {"mug": 7, "box": 20, "set": 3, "gift": 3}[key])
    shelf.book(one, shelf.state("1", line("1", "gift", 2)))
    assert shelf.numbers("mug") == (7, 4, 0)
    assert shelf.numbers("box") == (20, 8, 0)
    targets = {key: shelf.row(two, key).target for key in ("mug", "box", "set", "gift")}
    assert targets == {"mug": 3, "box": 12, "set": 1, "gift": 1}
    assert shelf.pair(two, "gift")[1] is not None


def test_the_last_piece_sold_jumps_ahead_on_every_other_shop_and_needs_no_push_on_its_own(shelf: Shelf) -> None:
    one, two = shelf.shop("a"), shelf.shop("b")
    shelf.sku("mug", 2)
    shelf.listing(one, "m1", "mug", 2)
    shelf.listing(two, "m2", "mug", 2)
    shelf.wait(100)
    made = shelf.book(one, shelf.state("1", line("1", "m1", 2), placed=90, at=90), known=50)
    assert made.refreshed.stockouts == {two.id}
    assert shelf.pair(one, "m1")[1] is None
    wish = shelf.pair(two, "m2")[1]
    assert wish is not None
    assert (wish.lane, wish.due_us) == (Lane.STOCKOUT, shelf.now_us)


def test_a_cancel_that_the_shop_restocks_needs_no_push_there(shelf: Shelf) -> None:
    shop = shelf.shop("a", restocks=Restock.YES)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    shelf.wait(200)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), placed=150, at=150), known=140)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2, cancelled=2), placed=150, at=190), known=160)
    row, wish = shelf.pair(shop, "m1")
    assert (row.believed, row.target, row.verify, wish) == (5, 5, 0, None)


def test_a_cancel_that_the_shop_does_not_restock_is_pushed(shelf: Shelf) -> None:
    shop = shelf.shop("a", restocks=Restock.NO)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    shelf.wait(200)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), placed=150, at=150), known=140)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2, cancelled=2), placed=150, at=190), known=160)
    row, wish = shelf.pair(shop, "m1")
    assert (row.believed, row.target) == (3, 5)
    assert wish is not None


def test_an_order_cancelled_before_it_is_read_takes_nothing(shelf: Shelf) -> None:
    shop = shelf.shop("a", restocks=Restock.YES)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    shelf.wait(200)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2, cancelled=2, restocked=2), placed=150, at=190), known=140)
    row, wish = shelf.pair(shop, "m1")
    assert shelf.numbers("mug") == (5, 0, 0)
    assert (row.believed, row.target, wish) == (5, 5, None)
    assert [one for one in shelf.entries() if one[4] == "order"] == []


def test_a_stronger_source_replaces_the_weaker_ones_lines_and_the_weaker_never_comes_back(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 20)
    shelf.listing(shop, "m1", "mug", 20)
    shelf.book(shop, shelf.state("1", line("mail-1", "m1", 2), line("mail-2", "m1", 3), at=50, source=Source.MAIL))
    assert shelf.numbers("mug") == (20, 5, 0)
    shelf.book(shop, shelf.state("1", line("1", "m1", 4), at=10, source=Source.API))
    assert shelf.numbers("mug") == (20, 4, 0)
    late = shelf.state("1", line("mail-1", "m1", 9), at=99, source=Source.MAIL)
    assert shelf.book(shop, late).outcomes == {"older": 1}
    assert shelf.numbers("mug") == (20, 4, 0)


def test_a_stronger_source_that_numbers_its_lines_alike_but_in_another_order_replaces_them_whole(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    for code in ("mug", "cup"):
        shelf.sku(code, 20)
        shelf.listing(shop, code, code, 20)
    shelf.book(shop, shelf.state("1", line("1", "mug", 2), line("2", "cup", 5), source=Source.MAIL))
    shelf.book(shop, shelf.state("1", line("1", "cup", 5), line("2", "mug", 2), source=Source.API))
    assert (shelf.numbers("mug"), shelf.numbers("cup")) == ((20, 2, 0), (20, 5, 0))


def test_a_listing_that_keeps_no_stock_books_nothing_and_does_not_wait(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 5)
    shelf.listing(shop, "wrap", None, state="not_counted")
    made = shelf.book(shop, shelf.state("1", line("1", "wrap", 2)))
    assert made.unbooked == set()
    assert shelf.alarms() == []
    assert shelf.tx(lambda conn: order_rows.open_numbers(conn, shop.id)) == []


def test_a_shop_that_folds_its_keys_finds_its_listing_in_any_case(shelf: Shelf) -> None:
    shop = shelf.shop("a", folds_keys=True)
    shelf.sku("mug", 5)
    shelf.listing(shop, "mug-red", "mug", 5)
    shelf.book(shop, shelf.state("1", line("1", "MUG-Red", 2)))
    assert shelf.numbers("mug") == (5, 2, 0)


def test_absurd_counts_are_kept_out_and_alarmed_while_the_other_lines_are_booked(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), line("2", "m1", -3)))
    assert shelf.numbers("mug") == (5, 2, 0)
    assert [kind for kind, _ in shelf.alarms()] == [UNBOOKED]
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), line("2", "m1", 1), at=9))
    assert shelf.numbers("mug") == (5, 3, 0)


def test_overselling_is_shown_as_it_is(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 1)
    shelf.listing(shop, "m1", "mug", 1)
    shelf.book(shop, shelf.state("1", line("1", "m1", 3)))
    assert shelf.free("mug") == -2
    assert shelf.row(shop, "m1").target == 0


# --- shipments that nobody reports ---------------------------------------------------------------------------------


def test_a_shop_that_ships_at_the_order_takes_the_pieces_off_at_once(shelf: Shelf) -> None:
    shop = shelf.shop("a", ships="at_order")
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    state = shelf.state("1", line("1", "m1", 2))
    shelf.book(shop, state)
    assert shelf.numbers("mug") == (3, 0, 0)
    assert shelf.book(shop, state).outcomes == {"same": 1}


def test_a_shop_that_ships_after_some_days_holds_until_then(shelf: Shelf) -> None:
    shop = shelf.shop("a", ships="after 2")
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    made = shelf.book(shop, shelf.state("1", line("1", "m1", 2)))
    for seconds, numbers in ((2 * DAY - 1, (5, 2, 0)), (2, (3, 0, 0)), (DAY, (3, 0, 0))):
        shelf.wait(seconds)
        shelf.tx(lambda conn: book_overdue(conn, shelf.facts, shop, made.new_orders, shelf.now_us))
        assert shelf.numbers("mug") == numbers
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), at=5))
    assert shelf.numbers("mug") == (3, 0, 0)


# --- openings and counts ----------------------------------------------------------------------------------------


def test_an_order_placed_before_the_opening_and_read_later_leaves_the_opened_number_free(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug")
    shelf.listing(shop, "m1", "mug", 7)
    shelf.wait(100)
    shelf.tx(lambda conn: open_stock(conn, shelf.facts, [Item("mug", 7)], shelf.now_us, "staff"))
    shelf.wait(10)
    shelf.book(shop, shelf.state("old", line("1", "m1", 2), placed=50, at=105))
    assert (shelf.numbers("mug"), shelf.free("mug")) == ((9, 2, 0), 7)
    shelf.book(shop, shelf.state("new", line("1", "m1", 1), placed=105, at=106))
    assert shelf.free("mug") == 6
    shelf.book(shop, shelf.state("old", line("1", "m1", 2, shipped=2), placed=50, at=108))
    assert (shelf.numbers("mug"), shelf.free("mug")) == ((7, 1, 0), 6)


def test_an_order_shipped_before_the_opening_and_read_later_changes_nothing(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug")
    shelf.listing(shop, "m1", "mug", 7)
    shelf.wait(100)
    shelf.tx(lambda conn: open_stock(conn, shelf.facts, [Item("mug", 7)], shelf.now_us, "staff"))
    state = shelf.state("old", line("1", "m1", 2, shipped=2), placed=50, at=60, shipped_at=shelf.moment(60))
    shelf.book(shop, state)
    assert shelf.numbers("mug") == (7, 0, 0)


def test_a_count_holds_open_orders_and_ignores_what_left_before_it(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 9)
    shelf.listing(shop, "m1", "mug", 9)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2)), shelf.state("2", line("1", "m1", 3)))
    shelf.wait(100)
    shelf.tx(lambda conn: count_stock(conn, shelf.facts, [Item("mug", 6)], shelf.now_us, "staff"))
    assert shelf.numbers("mug") == (6, 5, 0)
    gone = shelf.state("1", line("1", "m1", 2, shipped=2), at=150, shipped_at=shelf.moment(80))
    shelf.book(shop, gone)
    assert shelf.numbers("mug") == (6, 3, 0)
    later = shelf.state("2", line("1", "m1", 3, shipped=3), at=160, shipped_at=shelf.moment(150))
    shelf.book(shop, later)
    assert shelf.numbers("mug") == (3, 0, 0)


def test_an_order_placed_before_the_count_and_read_later_is_held_from_it(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 9)
    shelf.listing(shop, "m1", "mug", 9)
    shelf.wait(100)
    shelf.tx(lambda conn: count_stock(conn, shelf.facts, [Item("mug", 6)], shelf.now_us, "staff"))
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), placed=50, at=105))
    assert (shelf.numbers("mug"), shelf.free("mug")) == ((6, 2, 0), 4)


# --- what a write under way hears ------------------------------------------------------------------------------


def test_a_write_under_way_hears_of_own_sales_that_may_have_come_after_it(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 9)
    one = shelf.listing(shop, "m1", "mug", 9)
    shelf.wait(100)
    row = outbox.IntentRow(0, 0, one, "absolute", 4, None, 1, 4, -5, 0)
    call = shelf.tx(
        lambda conn: outbox.add_intent(conn, shop.id, "stock", "k", shelf.now_us, shelf.now_us + SECOND, [row])
    )
    shelf.book(
        shop,
        shelf.state("1", line("1", "m1", 1), placed=50, at=50),
        shelf.state("2", line("1", "m1", 2), placed=100, at=100),
    )
    told = shelf.tx(lambda conn: outbox.rows_of_intent(conn, call))[0]
    assert (told.sold_old, told.sold_new) == (1, 2)


def test_lines_told_apart_from_a_weaker_sources_are_found_again(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    for code in ("mug", "cup"):
        shelf.sku(code, 20)
        shelf.listing(shop, code, code, 20)
    shelf.book(shop, shelf.state("1", line("1", "mug", 2), source=Source.MAIL))
    good = shelf.state("1", line("1", "cup", 5), at=1)
    shelf.book(shop, good)
    assert shelf.book(shop, good).outcomes == {"same": 1}
    shelf.book(shop, shelf.state("1", line("1", "cup", 5, cancelled=1), at=2))
    assert (shelf.numbers("mug"), shelf.numbers("cup")) == ((20, 0, 0), (20, 4, 0))


def test_a_line_that_a_weaker_source_named_for_another_listing_is_still_told_apart_later(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 30)
    shelf.listing(shop, "mug", "mug", 30)
    shelf.listing(shop, "pack", "mug", 6, pack=5)
    mail = shelf.state("1", line("2", "pack", 1), at=1, source=Source.MAIL)
    shelf.book(shop, mail)
    assert shelf.numbers("mug") == (30, 5, 0)
    shelf.book(shop, shelf.state("1", line("0", "mug", 1), at=2))
    shelf.book(shop, shelf.state("1", line("0", "mug", 1), line("2", "mug", 2), at=3))
    assert shelf.numbers("mug") == (30, 3, 0)


def test_an_order_placed_before_what_was_held_to_be_known_is_counted_as_late_and_not_taken_for_a_new_sale(
    shelf: Shelf,
) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 9)
    shelf.listing(shop, "mug", "mug", 9)
    shelf.wait(100)
    in_time = shelf.book(shop, shelf.state("1", line("1", "mug", 1), at=60, placed=60), known=50)
    late = shelf.book(shop, shelf.state("2", line("1", "mug", 1), at=61, placed=20), known=50)
    assert (in_time.late, late.late) == (0, 1)
    assert len(late.new_orders) == 1, "it is booked all the same"
    assert shelf.numbers("mug") == (9, 2, 0)


def test_orders_that_always_show_late_count_as_fresh_and_those_of_an_outage_as_old(shelf: Shelf) -> None:
    """Else a shop that shows its orders after two minutes would hardly sell by our count, however fast it does."""
    shop = shelf.shop("slow", visibility_us=120 * SECOND, poll_us=30 * SECOND)
    shelf.sku("mug", 90)
    for key in ("m1", "m2"):
        shelf.listing(shop, key, "mug", 90)
    shelf.wait(140)
    shelf.book(shop, shelf.state("1", line("1", "m1", 4)))
    assert shelf.row(shop, "m1").demand_middle == 4.0
    shelf.wait(600)
    shelf.book(shop, shelf.state("2", line("1", "m2", 4)))
    assert shelf.row(shop, "m2").demand_middle < 0.01
