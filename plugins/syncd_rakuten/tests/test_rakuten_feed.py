"""The order feed on a mall without a change filter: new orders at once, every change in the end, few calls."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from syncd.testing.world import TruthLine, TruthOrder
from syncd_rakuten.polling import CHANGED, DAY_SECONDS, LONGEST_WINDOW_SECONDS, OPEN, Feed, Scan, windows_over

pytestmark = pytest.mark.anyio


def calls_since(mall: Any, before: Counter[str]) -> Counter[str]:
    return mall.emulator.calls - before


def placed_before(mall: Any, number: str, age: timedelta) -> TruthOrder:
    """An order that lies back in time."""
    order = mall.market.buy({mall.keys[0]: 1}, number=number)
    order.placed_at = order.visible_at = order.updated_at = mall.clock.now() - age
    return order


async def test_a_new_order_takes_one_fetch_of_one_search_and_one_get(mall: Any) -> None:
    await mall.poll()
    order = mall.buy(3)
    before = Counter(mall.emulator.calls)
    page = await mall.page()
    assert [state.number for state in page.states] == [order.number]
    assert calls_since(mall, before) == {"search_order": 1, "get_order": 1}


async def test_a_quiet_poll_takes_one_search(mall: Any) -> None:
    mall.buy()
    await mall.poll()
    before = Counter(mall.emulator.calls)
    [page] = await mall.poll()
    assert page.states == ()
    assert calls_since(mall, before) == {"search_order": 1}


async def test_a_page_of_many_new_orders_is_searched_once_however_many_turns_it_takes(mall: Any) -> None:
    await mall.poll()
    for _ in range(1500):
        mall.buy()
    before = Counter(mall.emulator.calls)
    await mall.poll()
    assert len(mall.states) == 1500
    assert calls_since(mall, before) == {"search_order": 2, "get_order": 15}


async def test_a_restart_in_the_middle_of_a_page_searches_it_again_and_loses_nothing(mall: Any) -> None:
    await mall.poll()
    for _ in range(700):
        mall.buy()
    assert (await mall.page()).more
    await mall.clock.advance(5)
    before = Counter(mall.emulator.calls)
    page = await mall.run(mall.open().fetch_orders(json.loads(json.dumps(mall.cursor))))
    assert len(page.states) == 300
    assert not {state.number for state in page.states} & mall.states.keys()
    assert calls_since(mall, before)["search_order"] == 1


async def test_every_poll_ends_with_a_search_that_began_within_it(mall: Any) -> None:
    """So that the core may take the begin of the poll as its watermark, wherever a crash made the poll start."""
    await mall.poll()
    await mall.clock.advance(61)
    assert (await mall.page()).more
    crashed = json.loads(json.dumps(mall.cursor))
    assert crashed["turn"] == "background"
    order = mall.buy()
    began = mall.clock.now()
    pages = await mall.poll()
    assert mall.market.orders_read_at >= began
    assert order.number in mall.states
    assert pages[-1].seen_until >= began - timedelta(seconds=60)


async def test_a_poll_with_background_work_promises_what_its_last_search_does(mall: Any) -> None:
    """Whole seed 80: polls of several seconds looked too old for a number above 0 of a SKU with two pages."""
    await mall.poll()
    await mall.clock.advance(61)
    assert (await mall.page()).more
    assert (await mall.page()).more
    await mall.clock.advance(5)
    closing = mall.clock.now()
    page = await mall.page()
    assert not page.more
    assert page.seen_until == closing - timedelta(seconds=60)


async def test_a_search_that_began_before_the_poll_promises_only_its_own_begin(mall: Any) -> None:
    await mall.poll()
    began = mall.clock.now() + timedelta(seconds=10)
    await mall.clock.advance(10)
    for i in range(350):
        mall.buy(key=i % 10)
    assert (await mall.page()).more
    await mall.clock.advance(300)
    [page] = await mall.poll()
    late = page.seen_until - (began - timedelta(seconds=60))
    assert abs(late) < timedelta(seconds=2), "the search began when its budget let it"
    assert len(mall.states) == 350


async def test_the_first_poll_is_not_over_before_every_open_order_is_read(mall: Any) -> None:
    for i in range(230):
        placed_before(mall, f"1-2026-{i:010d}", timedelta(days=40))
    first = await mall.page()
    assert first.more
    await mall.poll()
    assert len(mall.states) == 230


async def test_an_open_order_of_last_year_is_found_at_the_first_read(mall: Any) -> None:
    old = placed_before(mall, "1-20251225-0000000001", timedelta(days=330))
    gone = placed_before(mall, "1-20251225-0000000002", timedelta(days=330))
    mall.market.ship(gone.number)
    await mall.poll()
    assert set(mall.states) == {old.number}


async def test_an_open_order_is_read_again_within_a_minute(mall: Any) -> None:
    order = mall.buy(5)
    await mall.poll()
    mall.market.cancel(order.number, {"1": 2})
    await mall.poll_for(90)
    [line] = mall.states[order.number].lines
    assert line.ordered == 3


async def test_open_orders_are_read_again_in_slices_of_a_hundred(mall: Any) -> None:
    orders = [mall.buy() for _ in range(250)]
    await mall.poll()
    assert len(mall.states) == 250
    for order in orders:
        mall.market.ship(order.number)
    before = Counter(mall.emulator.calls)
    await mall.poll_for(120)
    assert not mall.open_orders
    assert calls_since(mall, before)["get_order"] == 3


async def test_a_closed_order_does_not_make_the_round_lose_its_place(mall: Any) -> None:
    orders = [mall.buy() for _ in range(150)]
    await mall.poll()
    await mall.clock.advance(60)
    while not mall.cursor["reread_after"]:
        await mall.page()
    mall.open_orders.remove(mall.cursor["reread_after"])
    mall.market.ship(orders[-1].number)
    await mall.poll_for(30)
    assert mall.states[orders[-1].number].lines[0].shipped == 1


async def test_goods_returned_weeks_later_are_found_by_the_sweep(mall: Any) -> None:
    order = mall.buy()
    await mall.poll()
    mall.market.ship(order.number)
    await mall.poll_for(90)
    assert not mall.open_orders
    await mall.clock.advance(30 * DAY_SECONDS)
    await mall.poll()
    mall.market.give_back(order.number, {"1": 1}, restock=False)
    await mall.poll_for(1200)
    assert mall.states[order.number].lines[0].returned == 1


async def test_an_order_that_shows_up_after_the_overlap_is_found_by_the_sweep(mall: Any) -> None:
    await mall.poll()
    order = mall.buy()
    order.visible_at = mall.clock.now() + timedelta(hours=5)
    await mall.poll_for(4 * 3600)
    assert order.number not in mall.states
    await mall.clock.advance(2 * 3600)
    await mall.poll_for(1200)
    assert order.number in mall.states


async def test_an_order_that_shows_up_within_the_overlap_is_found_by_the_next_poll(mall: Any) -> None:
    await mall.poll()
    order = mall.buy()
    order.visible_at = mall.clock.now() + timedelta(minutes=100)
    await mall.poll_for(6000)
    await mall.poll()
    assert order.number in mall.states


async def test_the_same_cursor_gives_the_same_states_after_a_crash(mall: Any) -> None:
    await mall.poll()
    mall.buy(2)
    mall.buy(3)
    stored = json.loads(json.dumps(mall.cursor))
    first = await mall.run(mall.channel.fetch_orders(stored))
    await mall.clock.advance(2)  # the new process knows nothing of the old one's calls
    again = await mall.run(mall.open().fetch_orders(stored))
    assert first.states == again.states
    assert len(first.states) == 2
    assert json.loads(json.dumps(first.cursor)) == first.cursor


async def test_a_cursor_of_another_version_starts_anew(mall: Any) -> None:
    mall.buy()
    mall.cursor = {"version": 99, "whatever": 1}
    await mall.poll()
    assert len(mall.states) == 1


async def test_a_long_outage_is_caught_up_in_windows_of_63_days(mall: Any) -> None:
    mall.emulator.license_ends += timedelta(days=90)
    await mall.poll()
    order = mall.buy()
    await mall.clock.advance(100 * DAY_SECONDS)
    mall.market.ship(order.number)
    recent = mall.buy()
    pages = await mall.poll()
    assert {order.number, recent.number} <= set(mall.states)
    assert len(pages) <= 4


async def test_more_new_orders_than_one_turn_takes_come_in_bounded_turns(mall: Any) -> None:
    await mall.poll()
    numbers = {mall.buy(key=i % 10).number for i in range(1230)}
    before = Counter(mall.emulator.calls)
    first = await mall.page()
    assert first.more
    assert sum(calls_since(mall, before).values()) <= 5
    await mall.poll()
    assert set(mall.states) == numbers


async def test_windows_with_over_15000_results_are_halved(mall: Any) -> None:
    await mall.poll()
    start = mall.clock.now()
    await mall.clock.advance(3600)
    for i in range(15_500):
        moment = start + timedelta(seconds=i % 3600)
        lines = [TruthLine("1", mall.keys[0], 1)]
        mall.market.orders[f"o-{i:06d}"] = TruthOrder(f"o-{i:06d}", lines, moment, moment, moment)
    seen: set[str] = set()
    cursor: Any = mall.cursor
    for _ in range(80):
        page = await mall.run(mall.channel.fetch_orders(cursor))
        cursor = page.cursor
        seen.update(state.number for state in page.states)
        if Feed.from_cursor(cursor).recent is None:
            break
    assert len(seen) == 15_500
    assert mall.emulator.violations == 0


async def test_an_order_that_cannot_be_read_is_a_problem_and_holds_nobody_up(mall: Any) -> None:
    await mall.poll()
    poison, good = mall.buy(), mall.buy()
    poison.extra["unread"] = True
    page = await mall.page()
    assert [state.number for state in page.states] == [good.number]
    assert [problem.where for problem in page.problems] == [poison.number]
    del poison.extra["unread"]
    await mall.poll()
    assert poison.number in mall.states


async def test_the_judge_is_told_when_a_search_shows_all_new_orders(mall: Any) -> None:
    await mall.poll()
    await mall.clock.advance(100)
    began = mall.clock.now()
    order = mall.buy()
    await mall.page()
    assert mall.market.orders_read_at == began
    assert order.delivered_at is not None


async def test_a_day_of_polling_keeps_the_documented_rates(mall: Any) -> None:
    for hour in range(3):
        for _ in range(40):
            mall.buy(key=hour)
        await mall.poll_for(1200)
    assert mall.emulator.violations == 0
    assert len(mall.states) == 120


def test_windows_cover_a_span_without_a_gap_and_none_is_too_long() -> None:
    windows = windows_over(0, 729 * DAY_SECONDS)
    assert windows[0][0] == 0
    assert windows[-1][1] == 729 * DAY_SECONDS
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert max(end - start for start, end in windows) <= LONGEST_WINDOW_SECONDS


def test_a_second_with_too_many_orders_is_read_as_far_as_it_goes() -> None:
    scan = Scan(((10, 11),), began=11, rows=1000)
    assert scan.halved(20_000) is None
    pages = 1
    following = scan.after(20_000)
    while following is not None:
        pages, following = pages + 1, following.after(20_000)
    assert pages == 15


def test_the_sweep_for_changes_is_followed_by_the_one_for_missed_orders() -> None:
    feed = Feed(backfilled=True)
    changed = feed.sweep_scan(10**9)
    assert changed.statuses == CHANGED
    feed = feed.swept_on(changed, None)
    assert feed.sweep is not None
    assert feed.sweep.statuses == OPEN
    assert feed.swept_on(feed.sweep, None).swept == 10**9


async def test_an_order_changed_between_search_and_get_is_booked_as_it_is_when_it_is_got(mall: Any) -> None:
    await mall.poll()
    order = mall.buy(5)
    mall.emulator.on_call = lambda name: mall.market.cancel(order.number, {"1": 2}) if name == "get_order" else None
    await mall.page()
    [line] = mall.states[order.number].lines
    assert line.ordered == 3


async def test_an_order_cancelled_between_search_and_get_holds_nothing(mall: Any) -> None:
    await mall.poll()
    order = mall.buy(5)
    mall.emulator.on_call = lambda name: mall.market.cancel(order.number) if name == "get_order" else None
    await mall.poll()
    assert not any(line.counts.held for line in mall.states[order.number].lines)
    assert order.number not in mall.open_orders


async def test_a_page_that_shifts_while_it_is_read_loses_no_open_order(mall: Any) -> None:
    orders = [placed_before(mall, f"1-2026-{i:010d}", timedelta(days=100, seconds=-i)) for i in range(250)]
    newest, searches = orders[-5:], 0

    def ship_between_pages(name: str) -> None:
        nonlocal searches
        searches += name == "search_order" and len(mall.states) >= 100
        if searches and newest:
            mall.market.ship(newest.pop().number)

    mall.emulator.on_call = ship_between_pages
    await mall.poll()
    assert not newest
    assert {one.number for one in orders if one.lines[0].held} <= set(mall.states)


def test_a_list_that_shrinks_steps_back_a_page_and_still_comes_to_its_end() -> None:
    scan: Scan | None = Scan(((0, 100),), began=100, rows=100)
    pages = []
    for total in (400, 400, 395, 395, 380, 370, 370, 370, 370):
        assert scan is not None
        pages.append(scan.page)
        scan = scan.after(total)
    assert pages == [1, 2, 3, 2, 3, 2, 1, 2, 3]
    assert scan is not None
    assert scan.after(370) is None
    assert Scan.from_json(scan.to_json()) == scan
