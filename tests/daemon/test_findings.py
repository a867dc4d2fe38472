"""What stock reads tell: drift, hands on the mall, listings that are gone (promises 4 to 6 and 10)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncd.daemon.findings import SETTLED_AT_ONCE, settle_due, take_reading
from syncd.daemon.sending import settle_call
from syncd.daemon.targets import refresh_listings
from syncd.model import ListingState
from syncd.sdk.channel import Accepted, Form, WriteReport
from syncd.sdk.settings import HandEdits
from syncd.store import listings as listing_rows
from syncd.store import outbox, stances
from syncd.store.stances import StanceRow

from .shelf import SECOND, Shelf, line, open_shelf


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with open_shelf() as made:
        yield made
        made.check()


def lowered(shelf: Shelf, how: HandEdits) -> None:
    shop = shelf.shop("a", reads_stock=True, hand_edits=how)
    shelf.sku("mug", 10)
    shelf.listing(shop, "m1", "mug", 5, pack=2)
    shelf.read(shop, {"m1": 3})
    assert shelf.row(shop, "m1").believed == 5  # unread sales, or a hand: the orders will tell
    shelf.wait(60)
    found = shelf.settle(shop)
    assert (found.drift, found.units) == ({"down": 1}, 2)
    assert shelf.row(shop, "m1").believed == 3


def test_a_number_lowered_by_hand_is_held_until_a_person_says_so(shelf: Shelf) -> None:
    lowered(shelf, HandEdits.ASK)
    shop = shelf.facts.shops[1]
    row, wish = shelf.pair(shop, "m1")
    assert row.held == "lowered to 3 on the mall"
    assert wish is not None
    assert shelf.alarms() == [("hand_edit", "m1")]
    due = 2**62
    assert shelf.tx(lambda conn: outbox.candidates(conn, shop.id, shelf.now_us, lane=1, due_us=due, most=9)) == []
    other = shelf.shop("b")
    shelf.listing(other, "m2", "mug", 5, pack=2)
    shelf.book(other, shelf.state("1", line("1", "m2", 4)))
    shelf.wait(200)
    lower = shelf.tx(lambda conn: outbox.candidates(conn, shop.id, shelf.now_us, lane=1, due_us=due, most=9))
    assert [(row.key, row.target) for row, _ in lower] == [("m1", 1)]  # further down is never held


def test_a_number_lowered_by_hand_is_written_over_where_the_shop_says_so(shelf: Shelf) -> None:
    lowered(shelf, HandEdits.OVERWRITE)
    row, wish = shelf.pair(shelf.facts.shops[1], "m1")
    assert (row.held, row.target) == ("", 5)
    assert wish is not None
    assert shelf.alarms() == []


def test_a_number_lowered_by_hand_is_taken_over_where_the_shop_says_so(shelf: Shelf) -> None:
    lowered(shelf, HandEdits.ADOPT)
    row, wish = shelf.pair(shelf.facts.shops[1], "m1")
    assert shelf.numbers("mug") == (6, 0, 0)
    assert (row.held, row.target, row.believed, wish) == ("", 3, 3, None)


def test_missing_units_that_come_as_orders_are_no_hand(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    shelf.wait(100)
    shelf.read(shop, {"m1": 3})
    shelf.wait(20)
    shelf.book(shop, shelf.state("1", line("1", "m1", 2), placed=90, at=90), known=50)
    assert not shelf.settle(shop).drift
    row, wish = shelf.pair(shop, "m1")
    assert (row.believed, row.target, row.held, wish) == (3, 3, "", None)


def test_a_number_above_what_was_believed_is_drift_at_once_and_is_pushed_down(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    assert shelf.read(shop, {"m1": 9}).drift == {"up": 1}
    row, wish = shelf.pair(shop, "m1")
    assert (row.believed, row.target) == (9, 5)
    assert wish is not None


def test_a_shop_without_orders_is_settled_by_its_read(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True, reads_orders=False)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    shelf.read(shop, {"m1": 3})
    assert (shelf.row(shop, "m1").believed, shelf.row(shop, "m1").seen) == (3, None)


def test_a_listing_the_shop_no_longer_knows_is_gone_and_alarmed(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    assert shelf.read(shop, {}, "m1").gone == 1
    assert shelf.row(shop, "m1").state == ListingState.GONE
    assert shelf.alarms() == [("listing_gone", "m1")]


def test_a_listing_that_keeps_no_stock_is_left_alone_from_then_on(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 4)
    shelf.read(shop, {"m1": None})
    assert shelf.row(shop, "m1").state == ListingState.NOT_COUNTED
    assert shelf.pair(shop, "m1")[1] is None


def test_a_listing_never_written_and_not_yet_stocked_there_shows_nothing(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug")
    shelf.read(shop, {}, "m1")
    assert shelf.row(shop, "m1").believed == 0
    assert shelf.alarms() == []


def test_a_read_says_nothing_of_a_listing_with_a_write_under_way(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    one = shelf.listing(shop, "m1", "mug", 9)
    row = outbox.IntentRow(0, 0, one, "absolute", 5, None, 1, 5, -4, 0)
    shelf.tx(lambda conn: outbox.add_intent(conn, shop.id, "stock", "k", shelf.now_us, shelf.now_us + SECOND, [row]))
    assert shelf.read(shop, {"m1": 5}).numbers == {}
    assert shelf.row(shop, "m1").believed == 9


def test_a_write_under_way_hears_that_its_unread_sales_are_known(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 4)
    one = shelf.listing(shop, "m1", "mug", 5)
    shelf.read(shop, {"m1": 4})
    row = outbox.IntentRow(0, 0, one, "absolute", 3, None, 1, 4, -1, 1)
    call = shelf.tx(
        lambda conn: outbox.add_intent(conn, shop.id, "stock", "k", shelf.now_us, shelf.now_us + SECOND, [row])
    )
    shelf.wait(100)
    shelf.settle(shop)
    assert shelf.tx(lambda conn: outbox.rows_of_intent(conn, call))[0].sold_old == 1


def test_a_write_under_way_hears_nothing_of_what_was_found_settled_before_it_left(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 4)
    one = shelf.listing(shop, "m1", "mug", 5)
    shelf.read(shop, {"m1": 4})
    known_us = shelf.now_us
    shelf.wait(10)
    row = outbox.IntentRow(0, 0, one, "absolute", 3, None, 1, 4, -1, 1)  # a sale was found missing just now
    dead_us = shelf.now_us + SECOND
    call = shelf.tx(lambda conn: outbox.add_intent(conn, shop.id, "stock", "k", shelf.now_us, dead_us, [row]))
    shelf.tx(lambda conn: settle_due(conn, shelf.facts, shop, known_us, shelf.now_us))
    assert shelf.row(shop, "m1").seen is None, "the older read is settled"
    assert shelf.tx(lambda conn: outbox.rows_of_intent(conn, call))[0].sold_old == 0


def test_a_write_under_way_hears_that_a_settled_read_explains_what_it_held_to_be_unread(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 4)
    one = shelf.listing(shop, "m1", "mug", 5)
    shelf.tx(lambda conn: listing_rows.set_fields(conn, [one], slack=1))  # a booked sale, before or after the base
    shelf.read(shop, {"m1": 4})
    known_us = shelf.now_us
    shelf.wait(10)
    row = outbox.IntentRow(0, 0, one, "absolute", 3, None, 1, 4, -1, 1)
    dead_us = shelf.now_us + SECOND
    call = shelf.tx(lambda conn: outbox.add_intent(conn, shop.id, "stock", "k", shelf.now_us, dead_us, [row]))
    shelf.tx(lambda conn: settle_due(conn, shelf.facts, shop, known_us, shelf.now_us))
    assert shelf.row(shop, "m1").believed == 4
    shelf.tx(lambda conn: settle_call(conn, shelf.facts, shop, call, WriteReport((Accepted(0),)), shelf.now_us))
    assert (shelf.row(shop, "m1").believed, shelf.row(shop, "m1").unread) == (3, 0)


def test_after_a_restored_backup_nothing_is_raised_before_it_is_read(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    one = shelf.listing(shop, "m1", "mug", 3)
    shelf.tx(lambda conn: listing_rows.set_fields(conn, [one], believed=None, base_us=0, verify=1))
    assert shelf.tx(lambda conn: listing_rows.to_read_back(conn, shop.id, shelf.now_us, 9))[0].id == one
    assert not shelf.read(shop, {"m1": 4}).drift
    row = shelf.row(shop, "m1")
    assert (row.believed, row.verify) == (4, 0)
    shelf.wait(60)
    assert not shelf.settle(shop).drift
    assert shelf.pair(shop, "m1")[1] is not None


def test_a_sale_booked_while_a_read_was_out_is_no_drift(shelf: Shelf) -> None:
    """The number was read before the sale; the order came in before the number was taken over."""
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    one = shelf.listing(shop, "m1", "mug", 5)
    shelf.wait(100)
    began_us = shelf.now_us
    shelf.wait(2)
    shelf.book(shop, shelf.state("1", line("1", "m1", 1), placed=101, at=101), known=90)
    found = shelf.tx(
        lambda conn: take_reading(
            conn, shelf.facts, shop, [(one, "m1")], {"m1": 5}, began_us=began_us, ended_us=shelf.now_us
        )
    )
    assert not found.drift
    assert shelf.row(shop, "m1").believed == 4


def test_many_proven_numbers_are_settled_some_at_a_time(shelf: Shelf) -> None:
    """A sold-out listing waits behind the transaction that settles."""
    shop = shelf.shop("a", reads_stock=True)
    shelf.sku("mug", 5)
    keys = [f"m{number}" for number in range(SETTLED_AT_ONCE + 1)]
    for key in keys:
        shelf.listing(shop, key, "mug", 5)
    shelf.read(shop, dict.fromkeys(keys, 5))
    shelf.wait(60)
    assert shelf.settle(shop).more
    assert shelf.row(shop, keys[-1]).seen == 5
    assert not shelf.settle(shop).more
    assert {shelf.row(shop, key).seen for key in keys} == {None}


def test_a_proof_of_a_listing_in_escrow_is_looked_at_though_its_number_is_right() -> None:
    """What one listing is proven not to hold, another may show."""
    with open_shelf() as shelf:
        forms = frozenset({Form.COMPARE_AND_SET})
        shops = [shelf.shop(name, reads_stock=True, forms=forms) for name in "ab"]
        sku = shelf.sku("mug", 10)
        ids = [shelf.listing(shop, "m", "mug", 1) for shop in shops]
        shelf.tx(lambda conn: listing_rows.set_fields(conn, ids, exposure=1))
        waits = {"exposure": 9, "proven": 1, "proven_us": shelf.now_us, "proven_from_us": shelf.now_us}
        shelf.tx(lambda conn: listing_rows.set_fields(conn, ids[:1], **waits))
        shelf.tx(lambda conn: stances.save_stances(conn, {sku: StanceRow(mode="escrow", watched=1)}))
        shelf.facts.read_us = {shop.id: shelf.now_us for shop in shops}
        shelf.tx(lambda conn: refresh_listings(conn, shelf.facts, ids, shelf.now_us))
        assert sum(shelf.row(shop, "m").target or 0 for shop in shops) == 2  # the rest waits for a proof
        shelf.wait(60)
        shelf.settle(shops[0])
        assert shelf.row(shops[0], "m").exposure == 1
        assert sum(shelf.row(shop, "m").target or 0 for shop in shops) == 10


def test_the_read_before_a_raise_in_escrow_does_not_hold_the_raise_up() -> None:
    """A read that waits for its settlement renewed the proof of the bound: rights were revoked by their own fence."""
    with open_shelf() as shelf:
        forms = frozenset({Form.RELATIVE_REFUSES})
        shops = [shelf.shop(name, reads_stock=True, forms=forms) for name in "ab"]
        sku = shelf.sku("mug", 10)
        ids = [shelf.listing(shop, "m", "mug", 4) for shop in shops]
        shelf.tx(lambda conn: listing_rows.set_fields(conn, ids, exposure=4))
        shelf.tx(lambda conn: stances.save_stances(conn, {sku: StanceRow(mode="escrow", watched=1)}))
        shelf.facts.read_us = {shop.id: shelf.now_us for shop in shops}
        shelf.read(shops[0], {"m": 1})  # three were sold and are not read yet
        assert (shelf.row(shops[0], "m").seen, shelf.row(shops[0], "m").proven) == (1, None)
        shelf.wait(10)
        shelf.book(shops[0], shelf.state("1", line("1", "m", 3), at=-5, placed=-5))
        target = shelf.row(shops[0], "m").target
        assert target is not None
        assert target > 1
        shelf.read(shops[0], {"m": 1})
        assert shelf.row(shops[0], "m").target == target


def test_a_bound_that_a_hand_lowered_is_proven_once_the_orders_told_nothing(shelf: Shelf) -> None:
    shop = shelf.shop("a", reads_stock=True, hand_edits=HandEdits.OVERWRITE)
    shelf.sku("mug", 9)
    one = shelf.listing(shop, "m1", "mug", 9)
    shelf.tx(lambda conn: listing_rows.set_fields(conn, [one], exposure=9))
    shelf.read(shop, {"m1": 7})
    shelf.wait(60)
    shelf.settle(shop)
    assert (shelf.row(shop, "m1").believed, shelf.row(shop, "m1").exposure) == (7, 9)
    shelf.read(shop, {"m1": 7})
    shelf.wait(60)
    shelf.settle(shop)
    assert shelf.row(shop, "m1").exposure == 7
