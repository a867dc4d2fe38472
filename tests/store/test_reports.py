"""What people ask to see, on a small filled store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, Table, event, insert

from syncd.clock import SystemClock
from syncd.store import counts, reports
from syncd.store.engine import Store
from syncd.store.schema import (
    alarm,
    audit,
    balance,
    entry,
    intent,
    intent_row,
    listing,
    location,
    order_line,
    orders,
    outbox,
    part,
    shop,
    sku,
)

pytestmark = pytest.mark.anyio
Values = dict[str, Any]


def an_order(order_id: int, shop_id: int, number: str, **more: int) -> Values:
    times = {"as_of_us": 1, "first_us": 1, "seen_us": 1}
    return {"id": order_id, "shop_id": shop_id, "number": number, "source": 3, **times, **more}


def a_line(order_id: int, key: str, held: int, pieces: str) -> Values:
    line = {"id": order_id, "order_id": order_id, "line": "1", "listing": key, "ordered": 4}
    return {**line, "b_held": held, "pieces": pieces}


ROWS: dict[Table, list[Values]] = {
    location: [{"id": 1, "name": "main"}, {"id": 2, "name": "annex"}],
    sku: [
        {"id": 1, "code": "tea", "name": "Green tea", "created_us": 0},
        {"id": 2, "code": "cup", "name": "Cup 100%", "created_us": 0},
        {"id": 3, "code": "set", "name": "Tea set", "created_us": 0},
        {"id": 4, "code": "new", "name": "Without stock", "created_us": 0},
    ],
    part: [{"bundle_id": 3, "part_id": 1, "pieces": 2}, {"bundle_id": 3, "part_id": 2, "pieces": 1}],
    balance: [
        {"sku_id": 1, "location_id": 1, "on_hand": 2, "ordered": 7, "allocated": 0},
        {"sku_id": 1, "location_id": 2, "on_hand": 2, "ordered": 0, "allocated": 0},
        {"sku_id": 2, "location_id": 1, "on_hand": 0, "ordered": 1, "allocated": 1},
        {"sku_id": 2, "location_id": 2, "on_hand": 9, "ordered": 0, "allocated": 0},
    ],
    shop: [{"id": 1, "name": "mall", "channel": "rakuten"}, {"id": 2, "name": "cart", "channel": "shopify"}],
    listing: [
        {"id": 1, "shop_id": 1, "key": "T-1", "sku_id": 1, "target": 3, "believed": 5, "name": "お茶"},
        {"id": 2, "shop_id": 1, "key": "C-1", "sku_id": 2, "target": 1, "believed": 1},
        {"id": 3, "shop_id": 2, "key": "tea", "sku_id": 1, "target": 3, "believed": 3, "doubt_us": 50},
        {"id": 4, "shop_id": 2, "key": "gone", "state": "gone"},
        {"id": 5, "shop_id": 2, "key": "cup", "sku_id": 2, "target": 0, "believed": 4, "held": "many zeros"},
    ],
    outbox: [
        {"listing_id": 1, "shop_id": 1, "lane": 1, "due_us": 90, "since_us": 30},
        {"listing_id": 5, "shop_id": 2, "lane": 0, "due_us": 20, "since_us": 20},
    ],
    orders: [
        an_order(1, 1, "A-1", placed_us=10),
        an_order(2, 2, "B-1", placed_us=30),
        an_order(3, 1, "A-2", placed_us=20),
        an_order(4, 1, "A-3"),
        an_order(5, 1, "A-0", open=0),
    ],
    order_line: [
        a_line(1, "T-1", 4, "1:1"),
        a_line(2, "tea", 1, "1:2,2:1"),
        a_line(3, "T-1", 1, "1:1"),
        a_line(4, "?", 0, ""),
        a_line(5, "T-1", 0, "1:1"),
    ],
    entry: [
        {"id": 1, "at_us": 1, "sku_id": 1, "location_id": 1, "kind": "opening", "on_hand": 2, "key": "o1"},
        {"id": 2, "at_us": 2, "sku_id": 1, "location_id": 1, "kind": "order", "ordered": 4, "line_id": 1, "booking": 1},
        {"id": 3, "at_us": 3, "sku_id": 2, "location_id": 1, "kind": "opening", "on_hand": 0, "key": "o2"},
    ],
    intent: [
        {"id": 1, "shop_id": 1, "route": "set", "key": "k1", "began_us": 1, "dead_us": 9},
        {"id": 2, "shop_id": 1, "route": "set", "key": "k0", "began_us": 1, "dead_us": 9, "state": "done"},
    ],
    intent_row: [
        {"intent_id": 1, "position": 0, "listing_id": 1, "form": "set", "quantity": 3, "version": 1, "target": 3}
    ],
    alarm: [
        {"id": 1, "kind": "silence", "shop_id": 1, "text": "no read", "since_us": 1, "last_us": 1},
        {"id": 2, "kind": "disk", "text": "full", "since_us": 1, "last_us": 1, "cleared_us": 2},
    ],
    audit: [
        {"id": 1, "at_us": 1, "who": "ops", "action": "start"},
        {"id": 2, "at_us": 2, "who": "ops", "action": "pause"},
    ],
}


def fill(conn: Connection) -> None:
    for table, rows in ROWS.items():
        for row in rows:
            conn.execute(insert(table).values(**row))


@pytest.fixture
async def filled() -> AsyncIterator[Store]:
    store = Store.open(None, clock=SystemClock())
    await store.tx(fill)
    yield store
    await store.aclose()


async def test_skus_are_found_by_code_and_name_with_stock_over_all_locations(filled: Store) -> None:
    rows = await filled.read(reports.sku_list)
    assert [(row["code"], row["on_hand"], row["ordered"], row["free"], bool(row["bundle"])) for row in rows] == [
        ("tea", 4, 7, -3, False),
        ("cup", 9, 1, 7, False),
        ("set", 0, 0, 0, True),
        ("new", 0, 0, 0, False),
    ]
    assert [row["code"] for row in await filled.read(lambda conn: reports.sku_list(conn, "tea"))] == ["tea", "set"]
    percent = await filled.read(lambda conn: reports.sku_list(conn, "0%"))
    assert [row["code"] for row in percent] == ["cup"], "a % is a %"
    second = await filled.read(lambda conn: reports.sku_list(conn, limit=2, after_id=2))
    assert [row["code"] for row in second] == ["set", "new"]


async def test_stock_is_told_per_location_and_bundles_both_ways(filled: Store) -> None:
    rows = await filled.read(lambda conn: reports.stock_rows(conn, ["tea", "set", "unknown"]))
    tea, tea_set = rows
    assert [(each["location"], each["on_hand"], each["free"]) for each in tea["locations"]] == [
        ("main", 2, -5),
        ("annex", 2, 2),
    ]
    assert (tea["free"], tea["part_of"]) == (-3, {"set": 2})
    assert (tea_set["parts"], tea_set["locations"]) == ({"cup": 1, "tea": 2}, [])
    page = await filled.read(lambda conn: reports.stock_rows(conn, limit=1, after_id=1))
    assert [row["code"] for row in page] == ["cup"]


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({}, ["T-1", "C-1", "tea", "gone", "cup"]),
        ({"shop_name": "cart"}, ["tea", "gone", "cup"]),
        ({"shop_name": "nobody"}, []),
        ({"query": "tea"}, ["T-1", "tea"]),
        ({"query": "茶"}, ["T-1"]),
        ({"state": "gone"}, ["gone"]),
        ({"wrong_only": True}, ["T-1", "tea", "cup"]),
        ({"wrong_only": True, "shop_name": "cart", "after_id": 3}, ["cup"]),
        ({"limit": 2, "after_id": 1}, ["C-1", "tea"]),
    ],
)
async def test_listings_are_found(filled: Store, wanted: dict[str, object], keys: list[str]) -> None:
    rows = await filled.read(lambda conn: reports.listing_rows(conn, **wanted))  # type: ignore[arg-type]
    assert [row["key"] for row in rows] == keys


async def test_a_listing_shows_its_wish(filled: Store) -> None:
    first = (await filled.read(reports.listing_rows))[0]
    assert (first["shop"], first["sku"], first["target"], first["believed"]) == ("mall", "tea", 3, 5)
    assert (first["lane"], first["since_us"]) == (1, 30)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, ["A-0", "A-3", "A-2", "B-1", "A-1"]),
        ({"open_only": True, "shop_name": "mall"}, ["A-3", "A-2", "A-1"]),
        ({"number": "B-1"}, ["B-1"]),
        ({"limit": 2, "before_id": 4}, ["A-2", "B-1"]),
    ],
)
async def test_orders_are_found_newest_first(filled: Store, wanted: dict[str, object], numbers: list[str]) -> None:
    rows = await filled.read(lambda conn: reports.orders_rows(conn, **wanted))  # type: ignore[arg-type]
    assert [row["number"] for row in rows] == numbers


async def test_an_order_has_its_lines_with_codes(filled: Store) -> None:
    (order,) = await filled.read(lambda conn: reports.orders_rows(conn, number="B-1"))
    (line,) = order["lines"]
    assert (line["listing"], line["pieces"], line["booked"]) == ("tea", {"tea": 2, "cup": 1}, True)
    (unbooked,) = await filled.read(lambda conn: reports.orders_rows(conn, number="A-3"))
    assert not unbooked["lines"][0]["booked"]


async def test_the_newest_orders_are_named_short_until_the_deficit_is_covered(filled: Store) -> None:
    rows = await filled.read(reports.short_orders)
    assert [(row["shop"], row["number"], row["sku"], row["pieces"]) for row in rows] == [
        ("cart", "B-1", "tea", 2),
        ("mall", "A-2", "tea", 1),
    ], "tea lacks 3; cup is short at one location only and not oversold"


async def test_the_ledger_is_read_from_its_end_or_from_a_mark(filled: Store) -> None:
    newest = await filled.read(lambda conn: reports.entry_rows(conn, "tea"))
    assert [(row["id"], row["shop"], row["order"]) for row in newest] == [(2, "mall", "A-1"), (1, None, None)]
    followed = await filled.read(lambda conn: reports.entry_rows(conn, after_id=1))
    assert [(row["id"], row["sku"], row["location"]) for row in followed] == [(2, "tea", "main"), (3, "cup", "main")]


async def test_what_waits_is_shown_per_shop(filled: Store) -> None:
    rows = await filled.read(reports.outbox_rows)
    assert [(row["shop"], row["key"], row["lane"], row["target"]) for row in rows] == [
        ("mall", "T-1", 1, 3),
        ("cart", "cup", 0, 0),
    ]
    assert [row["key"] for row in await filled.read(lambda conn: reports.outbox_rows(conn, "cart"))] == ["cup"]
    (call,) = await filled.read(reports.intents_rows)
    assert (call["key"], [row["key"] for row in call["rows"]]) == ("k1", ["T-1"])


async def test_alarms_and_audit_are_newest_first(filled: Store) -> None:
    assert [row["kind"] for row in await filled.read(reports.alarm_rows)] == ["silence"]
    both = await filled.read(lambda conn: reports.alarm_rows(conn, open_only=False))
    assert [(row["kind"], row["shop"]) for row in both] == [("disk", None), ("silence", "mall")]
    assert [row["action"] for row in await filled.read(reports.audit_rows)] == ["pause", "start"]


async def test_the_status_counts_everything(filled: Store) -> None:
    zero = {"ours": 0, "skip": 0, "not_counted": 0, "gone": 0}
    assert await filled.read(counts.status) == {
        "orders_booked": 5,
        "orders_open": 4,
        "unbooked_lines": 1,
        "outbox": [
            {"shop": "mall", "lane": 1, "count": 1, "oldest_since_us": 30},  # what the cart has waits for a person
        ],
        "doubts": 1,
        "oversold_skus": 1,
        "oversold_pieces": 7,
        "alarms": {"silence": 1},
        "per_shop": [
            {
                "shop": "cart",
                "doubts": 1,
                "oldest_doubt_us": 50,
                "held": 1,
                "unbooked_lines": 0,
                "open_intents": 0,
                "unknown_exposures": 2,
                "limbo_exposures": 0,
            },
            {
                "shop": "mall",
                "doubts": 0,
                "oldest_doubt_us": 0,
                "held": 0,
                "unbooked_lines": 1,
                "open_intents": 1,
                "unknown_exposures": 2,
                "limbo_exposures": 0,
            },
        ],
        "listings": [{"shop": "cart", **zero, "ours": 2, "gone": 1}, {"shop": "mall", **zero, "ours": 2}],
        "wrong_listings": 3,
        "held_listings": 1,
        "open_intents": 1,
        "open_alarms": 1,
    }


async def test_no_report_asks_once_per_row(filled: Store) -> None:
    asked: list[str] = []

    def count(conn: Connection) -> None:
        event.listen(conn, "before_cursor_execute", lambda *call: asked.append(call[2]))
        reports.sku_list(conn)
        assert len(asked) == 1
        reports.listing_rows(conn)
        assert len(asked) == 2
        reports.stock_rows(conn)
        assert len(asked) == 6
        reports.orders_rows(conn)
        assert len(asked) == 9
        reports.intents_rows(conn)
        assert len(asked) == 11

    await filled.read(count)
    assert asked


async def test_reports_work_on_the_readers_too(store: Store) -> None:
    await store.tx(fill)
    assert [row["code"] for row in await store.read(reports.sku_list)] == ["tea", "cup", "set", "new"]
    assert (await store.read(counts.status))["orders_open"] == 4
