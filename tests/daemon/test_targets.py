"""Targets and wishes follow from the rows, and nobody's shop is emptied by accident (promises 5 and 10)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from syncd.daemon.desk_listings import approve
from syncd.daemon.facts import ShopFacts
from syncd.daemon.targets import BRAKE, Refreshed, refresh_skus
from syncd.model import Lane
from syncd.store import outbox, reports, stock

from .shelf import Shelf, line, open_shelf


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with open_shelf() as made:
        yield made
        made.check()


def refresh(shelf: Shelf, *codes: str, by_orders: bool = False) -> Refreshed:
    ids = [shelf.skus[code] for code in codes]
    return shelf.tx(lambda conn: refresh_skus(conn, shelf.facts, ids, shelf.now_us, by_orders=by_orders))


def many(shelf: Shelf, count: int) -> ShopFacts:
    shop = shelf.shop("a")
    for number in range(count):
        shelf.sku(f"s{number}", 3)
        shelf.listing(shop, f"k{number}", f"s{number}", 3)
    return shop


def empty(shelf: Shelf, numbers: range, *, by_orders: bool = False) -> Refreshed:
    for number in numbers:
        shelf.adjust(f"s{number}", -3)
    return refresh(shelf, *(f"s{number}" for number in numbers), by_orders=by_orders)


def test_a_changed_target_waits_for_the_next_batch_and_a_stockout_does_not(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    shelf.adjust("mug", -2)
    assert refresh(shelf, "mug").stockouts == set()
    wish = shelf.pair(shop, "m1")[1]
    assert wish is not None
    assert wish.lane == Lane.BATCH
    assert wish.due_us % shelf.facts.batch_us == 0
    assert wish.due_us > shelf.now_us
    shelf.adjust("mug", -3)
    assert refresh(shelf, "mug").stockouts == {shop.id}
    after = shelf.pair(shop, "m1")[1]
    assert after is not None
    assert (after.lane, after.due_us) == (Lane.STOCKOUT, shelf.now_us)
    assert after.version > wish.version


def test_a_wish_that_is_no_longer_needed_is_dropped(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 5)
    for pieces in (-2, 2):
        shelf.adjust("mug", pieces)
        refresh(shelf, "mug")
    assert shelf.pair(shop, "m1")[1] is None


def test_a_repeated_refresh_changes_nothing(shelf: Shelf) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 9)
    before = shelf.pair(shop, "m1")
    assert refresh(shelf, "mug").changed == 0
    assert shelf.pair(shop, "m1") == before


@pytest.mark.parametrize("values", [{"state": "skip"}, {"state": "not_counted"}, {"state": "gone"}, {"sync": 0}])
def test_what_is_not_ours_to_write_has_no_wish(shelf: Shelf, values: dict[str, object]) -> None:
    shop = shelf.shop("a")
    shelf.sku("mug", 5)
    shelf.listing(shop, "m1", "mug", 9, **values)
    assert shelf.pair(shop, "m1")[1] is None


def test_only_the_locations_a_shop_sells_from_count(shelf: Shelf) -> None:
    other = shelf.tx(lambda conn: stock.location_ids(conn, ["osaka"])["osaka"])
    shelf.sku("mug", 5)
    near, far, both = (
        shelf.shop(name, location_ids=places)
        for name, places in (("near", (shelf.main,)), ("far", (other,)), ("both", (shelf.main, other)))
    )
    for shop in (near, far, both):
        shelf.listing(shop, "m1", "mug", 1)
    assert [shelf.row(shop, "m1").target for shop in (near, far, both)] == [5, 0, 5]


def test_more_listings_than_the_brake_allows_are_held_and_approved_by_a_person(shelf: Shelf) -> None:
    shop = many(shelf, 30)
    found = empty(shelf, range(21))
    assert found.braked == {shop.id}
    assert shelf.alarms() == [(BRAKE, "")]
    assert {shelf.row(shop, f"k{number}").held for number in range(21)} == {BRAKE}

    def due(conn: Connection) -> int:
        return len(outbox.candidates(conn, shop.id, shelf.now_us, lane=Lane.STOCKOUT, due_us=shelf.now_us, most=99))

    assert shelf.tx(due) == 0
    shelf.tx(lambda conn: approve(conn, shelf.facts, "a", None, shelf.now_us, "staff"))
    assert shelf.tx(due) == 21
    assert shelf.alarms() == []


def test_the_brake_lets_its_limit_and_a_small_share_of_a_large_shop_pass(shelf: Shelf) -> None:
    many(shelf, 25)
    assert empty(shelf, range(20)).braked == set()
    shelf.facts.approved(1)
    shelf.facts.brake_listings, shelf.facts.brake_share = 2, 0.5
    assert empty(shelf, range(20, 25)).braked == set()


def test_small_steps_within_the_window_brake_like_one_large_one(shelf: Shelf) -> None:
    shop = many(shelf, 30)
    assert empty(shelf, range(15)).braked == set()
    shelf.wait(300)
    assert empty(shelf, range(15, 24)).braked == {shop.id}
    assert shelf.row(shop, "k20").held == BRAKE


def test_orders_are_never_braked(shelf: Shelf) -> None:
    shop = many(shelf, 30)
    states = [shelf.state(str(number), line("1", f"k{number}", 3)) for number in range(30)]
    assert shelf.book(shop, *states).refreshed.braked == set()
    assert {shelf.row(shop, f"k{number}").held for number in range(30)} == {""}


def test_a_hold_of_the_brake_ends_with_its_cause_and_counts_no_listing_twice(shelf: Shelf) -> None:
    shop = many(shelf, 30)
    codes = [f"s{number}" for number in range(30)]

    def hold_back(pieces: int | None) -> Refreshed:
        shelf.tx(lambda conn: stock.set_rule(conn, "hold_back", 0, 0, pieces))
        return refresh(shelf, *codes)

    def held() -> int:
        return sum(shelf.row(shop, f"k{number}").held == BRAKE for number in range(30))

    assert hold_back(500).braked == {shop.id}
    assert held() == 30
    assert [row["kind"] for row in shelf.tx(reports.alarm_rows)] == ["brake"]
    hold_back(None)
    assert held() == 0
    assert shelf.tx(reports.alarm_rows) == []
    hold_back(500)
    assert "30 of 30 listings" in shelf.tx(reports.alarm_rows)[0]["text"]
