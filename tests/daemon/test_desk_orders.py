"""Orders mended by people: closed, and booked anew by today's mapping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, StaticPool, create_engine, select

from syncd.daemon.booking import book_page
from syncd.daemon.desk_answers import NotFound
from syncd.daemon.desk_listings import ListingItem, save_listings
from syncd.daemon.desk_orders import close_order, rebook
from syncd.daemon.desk_skus import SkuItem, save_skus
from syncd.daemon.desk_stock import Item, count_stock, open_stock
from syncd.daemon.facts import Facts, ShopFacts
from syncd.model import LineState, OrderState, from_us
from syncd.store import shops, stock
from syncd.store.schema import entry, metadata, orders

T0 = 1_795_000_000_000_000
MINUTE = 60_000_000


class Stage:
    """One shop over an empty store; time goes on by a minute with each deed."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        row = shops.ensure_shop(conn, "shop-a", "memory")
        main = stock.location_ids(conn, ["main"])["main"]
        self.shop = ShopFacts(id=row.id, name="shop-a", location_ids=(main,))
        self.facts = Facts(shops={row.id: self.shop})
        self.now_us = T0

    def later(self) -> int:
        self.now_us += MINUTE
        return self.now_us

    def skus(self, *codes: str, **bundles: dict[str, int]) -> None:
        save_skus(self.conn, self.facts, [SkuItem(code) for code in codes], self.later(), "t")
        items = [SkuItem(code, parts=parts) for code, parts in bundles.items()]
        save_skus(self.conn, self.facts, items, self.later(), "t")

    def maps(self, key: str, sku: str | None, **more: Any) -> Any:
        item = ListingItem(key, sku, unmap=sku is None, **more)
        return save_listings(self.conn, self.facts, "shop-a", [item], self.later(), "t")

    def opens(self, **numbers: int) -> None:
        open_stock(self.conn, self.facts, [Item(code, n) for code, n in numbers.items()], self.later(), "t")

    def order(self, number: str, listing: str, units: int, **more: Any) -> None:
        now = self.later()
        placed = from_us(more.pop("placed_us", now - 1))
        line = LineState(line="1", listing=listing, ordered=units, **more)
        state = OrderState(number=number, lines=(line,), placed_at=placed, as_of=from_us(now))
        book_page(
            self.conn, self.facts, self.shop, [state], began_us=now, answered_us=now, watermark_us=0, now_us=now
        )  # fmt: skip

    def free(self, code: str) -> int:
        sku_id = stock.sku_ids(self.conn, [code])[code]
        rows = stock.load_balances(self.conn, [sku_id]).get(sku_id, {}).values()
        return sum(row.on_hand - row.ordered - row.allocated for row in rows)

    def open_orders(self) -> list[str]:
        return [row[0] for row in self.conn.execute(select(orders.c.number).where(orders.c.open == 1))]


@pytest.fixture
def stage() -> Iterator[Stage]:
    engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool)
    with engine.begin() as conn:
        metadata.create_all(conn)
        yield Stage(conn)
    engine.dispose()


def test_a_closed_order_frees_what_it_held_and_says_why(stage: Stage) -> None:
    stage.skus("mug", duo={"mug": 2})
    stage.maps("l1", "duo")
    stage.opens(mug=10)
    stage.order("n1", "l1", 3)
    assert stage.free("mug") == 4
    done = close_order(stage.conn, stage.facts, "shop-a", "n1", stage.later(), "t", "mall forgot it")
    assert (stage.free("mug"), stage.open_orders()) == (10, [])
    assert done.changes == [{"order": "n1", "line": "1", "sku": "mug", "on_hand": 0, "ordered": -6, "allocated": 0}]
    last = stage.conn.execute(select(entry.c.kind, entry.c.note).order_by(entry.c.id.desc()).limit(1)).one()
    assert tuple(last) == ("order", "mall forgot it")


def test_a_closed_order_that_is_read_again_with_news_is_booked_as_it_is_then(stage: Stage) -> None:
    stage.skus("mug")
    stage.maps("l1", "mug")
    stage.opens(mug=10)
    stage.order("n1", "l1", 3)
    close_order(stage.conn, stage.facts, "shop-a", "n1", stage.later(), "t")
    stage.order("n1", "l1", 3, shipped=2)
    assert (stage.free("mug"), stage.open_orders()) == (7, ["n1"])


def test_an_unknown_order_is_named(stage: Stage) -> None:
    with pytest.raises(NotFound, match="no order n9"):
        close_order(stage.conn, stage.facts, "shop-a", "n9", T0, "t")


@pytest.mark.parametrize("shipped", [0, 1])
def test_a_corrected_mapping_moves_booked_orders_only_when_they_are_rebooked(stage: Stage, shipped: int) -> None:
    stage.skus("mug", "cup")
    stage.maps("l1", "mug")
    stage.opens(mug=10, cup=10)
    stage.order("n1", "l1", 3, shipped=shipped)
    stage.maps("l1", "cup", pack=2)
    assert (stage.free("mug"), stage.free("cup")) == (7, 10)
    rebook(stage.conn, stage.facts, "shop-a", ["n1"], stage.later(), "t")
    assert (stage.free("mug"), stage.free("cup")) == (10, 4)
    again = rebook(stage.conn, stage.facts, "shop-a", ["n1"], stage.later(), "t")
    assert (again.changes, stage.free("cup")) == ([], 4)
    stage.order("n1", "l1", 3, shipped=3)
    assert (stage.free("mug"), stage.free("cup"), stage.open_orders()) == (10, 4, [])


def test_rebooking_leaves_free_alone_where_an_opening_had_the_order_inside(stage: Stage) -> None:
    stage.skus("mug", "cup")
    stage.maps("l1", "mug")
    stage.opens(mug=10)
    stage.order("n1", "l1", 3)
    stage.opens(cup=5)
    stage.maps("l1", "cup")
    rebook(stage.conn, stage.facts, "shop-a", ["n1"], stage.later(), "t")
    assert (stage.free("mug"), stage.free("cup")) == (10, 5)


def test_rebooking_takes_nothing_off_again_that_left_before_a_count(stage: Stage) -> None:
    stage.skus("mug", "cup")
    stage.maps("l1", "mug")
    stage.opens(mug=10)
    stage.order("n1", "l1", 3, shipped=3)
    stage.later()
    count_stock(stage.conn, stage.facts, [Item("cup", 8)], stage.later(), "t")
    stage.maps("l1", "cup")
    rebook(stage.conn, stage.facts, "shop-a", ["n1"], stage.later(), "t")
    assert (stage.free("mug"), stage.free("cup")) == (10, 8)


def test_orders_that_waited_for_a_mapping_are_booked_with_it(stage: Stage) -> None:
    stage.skus("mug")
    stage.opens(mug=10)
    stage.order("n1", "l1", 3)
    assert (stage.free("mug"), stage.open_orders()) == (10, ["n1"])
    done = stage.maps("l1", "mug")
    assert (stage.free("mug"), done.notes) == (7, ["1 waiting orders booked"])


def test_a_listing_said_to_keep_no_stock_lets_its_orders_go(stage: Stage) -> None:
    stage.skus("mug")
    stage.maps("l1", "mug")
    stage.opens(mug=10)
    stage.order("n1", "l1", 3)
    stage.maps("l1", "mug", state="not_counted")
    rebook(stage.conn, stage.facts, "shop-a", ["n1"], stage.later(), "t")
    assert (stage.free("mug"), stage.open_orders()) == (10, [])


def test_an_unbooked_order_that_is_closed_waits_no_more(stage: Stage) -> None:
    stage.skus("mug")
    stage.order("n1", "l1", 3)
    close_order(stage.conn, stage.facts, "shop-a", "n1", stage.later(), "t")
    stage.maps("l1", "mug")
    assert (stage.free("mug"), stage.open_orders()) == (0, [])
