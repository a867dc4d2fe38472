"""The fact sheet's quirks, by its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Pending, Reason, Rejected
from syncd.sdk.settings import Orders
from syncd_amazon.emulator import AmazonEmulator

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A, B, C = "TEE-0", "TEE-1", "TEE-2"


def settings_of(quirk: str) -> Any:
    return pytest.mark.parametrize("setting", AmazonEmulator.quirks[quirk])


# --- quirk 1: FBA ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["patch", "feed"])
async def test_fba_sku_is_refused_before_anything_is_sent(open_account: Open, route: str) -> None:
    account = open_account()
    account.emulator.listings.fba.add(A)
    report = await account.write((A, 5), (B, 5), route=route)
    assert {row.index: getattr(row, "reason", None) for row in report.rows} == {0: Reason.NOT_WRITABLE, 1: None}
    assert await account.collect(report, after=60) == {1: Accepted(1, 5)}
    assert account.emulator.listings.fba_touched == 0


async def test_sku_that_becomes_fba_is_refused_once_its_page_says_so(open_account: Open) -> None:
    account = open_account()
    await account.write((A, 5))
    account.emulator.listings.fba.add(A)
    assert await account.run(account.channel.read_stock([A, B])) == {A: None, B: 50}
    [row] = (await account.write((A, 6))).rows
    assert isinstance(row, Rejected)
    assert row.reason is Reason.NOT_WRITABLE
    assert account.emulator.listings.fba_touched == 0


async def test_parent_of_variations_is_not_written(open_account: Open) -> None:
    account = open_account()
    account.emulator.listings.parents.add(A)
    [row] = (await account.write((A, 5))).rows
    assert isinstance(row, Rejected)
    assert row.reason is Reason.NOT_WRITABLE
    assert account.requests("PATCH", A) == []


async def test_many_unseen_skus_of_a_feed_are_learnt_from_one_listing_report(open_account: Open) -> None:
    account = open_account()
    keys = [f"SKU-{i}" for i in range(300)]
    for key in keys:
        account.market.offer(key, "sku", shown=9)
    account.emulator.listings.fba.add(keys[7])
    rows = [(key, 4) for key in keys]
    for _ in range(2):  # while the report is being written nothing is sent, and nothing is waited for
        before = account.clock.monotonic()
        assert (await account.write(*rows, route="feed")).rows == ()
        assert account.clock.monotonic() - before < 2
    await account.clock.advance(30)
    report = await account.write(*rows, route="feed")
    assert [row.index for row in report.rows if isinstance(row, Rejected)] == [7]
    assert sum(isinstance(row, Pending) for row in report.rows) == 299
    assert len(account.requests("POST", "/reports/2021-06-30/reports")) == 1
    assert account.requests("GET", "/listings/") == []


# --- quirk 2: what HTTP 200 and ACCEPTED prove ------------------------------------------------------------------


async def test_invalid_in_a_200_is_a_refused_row(open_account: Open) -> None:
    account = open_account()
    account.emulator.listings.understood = lambda patches: ({}, "", "made invalid")
    [row] = (await account.write((A, 5))).rows
    assert isinstance(row, Rejected)
    assert (row.reason, row.message) == (Reason.INVALID, "90000900 made invalid")


async def test_accepted_for_a_sku_that_is_gone_is_found_out_by_reading_back(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.read_stock([A]))
    account.market.listings[A].exists = False
    report = await account.write((A, 5))
    assert isinstance(report.rows[0], Pending), "Amazon accepts an unknown SKU"
    assert await account.collect(report) == {}
    result = (await account.collect(report, after=90))[0]
    assert isinstance(result, Rejected)
    assert result.reason is Reason.UNKNOWN_LISTING


async def test_sku_that_amazon_never_knew_is_refused_without_a_patch(open_account: Open) -> None:
    account = open_account()
    [row] = (await account.write(("nobody", 5))).rows
    assert isinstance(row, Rejected)
    assert row.reason is Reason.UNKNOWN_LISTING
    assert account.requests("PATCH", "nobody") == []


@settings_of("shown_after")
@pytest.mark.parametrize("number", [0, 7, 80])
async def test_number_is_accepted_when_its_page_shows_it(open_account: Open, setting: str, number: int) -> None:
    account = open_account(shown_after=setting)
    await account.run(account.channel.read_stock([A]))
    report = await account.write((A, number))
    if float(setting):
        assert await account.collect(report) == {}, "not shown yet, so nobody knows"
    assert await account.collect(report, after=float(setting)) == {0: Accepted(0, number)}
    assert account.shown(A) == number


async def test_number_that_sold_before_it_was_read_back_is_accepted_at_once(open_account: Open) -> None:
    account = open_account(shown_after="5")
    await account.run(account.channel.read_stock([A, B]))
    report = await account.write((A, 80), (B, 20))
    await account.clock.advance(5)
    account.emulator.settle()
    account.buy(3, key=0)
    account.buy(3, key=1)
    assert await account.collect(report) == {0: Accepted(0), 1: Accepted(1)}, "only our number explains 77 and 17"


async def test_page_that_shows_less_for_a_quarter_of_an_hour_has_sold_some(open_account: Open) -> None:
    account = open_account(shown_after="800")
    report = await account.write((A, 80))
    await account.clock.advance(30)
    assert await account.collect(report, after=700) == {}, "50: the old number, or 30 sold?"
    await account.clock.advance(80)
    account.emulator.settle()
    account.buy(3)
    account.channel = account.open()  # nothing is remembered of what the page showed before
    assert await account.collect(report, after=100) == {0: Accepted(0)}


async def test_number_that_took_long_is_settled_once_the_orders_of_that_time_are_read(open_account: Open) -> None:
    account = open_account(orders=Orders.ON, shown_after="800")
    await account.poll()
    await account.run(account.channel.read_stock([A]))
    report = await account.write((A, 20))
    order = account.buy(3)
    await account.clock.advance(800)
    account.emulator.settle()
    assert account.shown(A) == 20, "the three that were sold meanwhile are wiped out"
    assert await account.collect(report) == {}
    await account.poll()
    assert account.state(order).lines[0].ordered == 3
    assert await account.collect(report) == {}, "that read looked up to two minutes ago"
    await account.poll_after()
    assert await account.collect(report) == {0: Accepted(0, 20)}


async def test_number_that_showed_at_once_waits_for_no_orders(open_account: Open) -> None:
    account = open_account(orders=Orders.ON, shown_after="5")
    assert await account.collect(await account.write((A, 20)), after=5) == {0: Accepted(0, 20)}


async def test_no_result_is_held_for_ever_when_orders_cannot_be_read(open_account: Open) -> None:
    account = open_account(orders=Orders.ON, shown_after="800")
    report = await account.write((A, 20))
    assert await account.collect(report, after=800) == {}
    assert await account.collect(report, after=901) == {0: Accepted(0, 20)}


async def test_units_that_a_cancel_put_back_are_no_refusal(open_account: Open) -> None:
    account = open_account()
    order = account.buy(2)
    await account.run(account.channel.read_stock([A]))
    report = await account.write((A, 20))
    account.market.cancel(order.number)
    assert account.shown(A) == 22
    assert await account.collect(report, after=20) == {}
    assert await account.collect(report, after=900) == {0: Accepted(0)}


async def test_page_that_keeps_showing_more_is_a_refused_row_in_the_end(open_account: Open) -> None:
    account = open_account()
    account.emulator.listings.take_in = lambda *given: None  # ACCEPTED, and lost
    report = await account.write((A, 7))
    assert await account.collect(report, after=1000) == {}
    [result] = (await account.collect(report, after=900)).values()
    assert isinstance(result, Rejected)
    assert "still shows 50" in result.message


# --- quirk 3: merge -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["patch", "feed"])
async def test_stock_write_keeps_lead_time_and_restock_date(open_account: Open, route: str) -> None:
    account = open_account()
    kept = {"lead_time_to_ship_max_days": 4, "restock_date": "2026-12-24"}
    account.emulator.listings.options[A] = dict(kept)
    await account.collect(await account.write((A, 5), route=route), after=60)
    assert account.shown(A) == 5
    assert account.emulator.listings.options[A] == kept


# --- quirk 5, 7: documents are fetched once, by an address asked for anew -----------------------------------------


async def test_processing_report_is_fetched_once_for_all_rows_and_calls(open_account: Open) -> None:
    account = open_account(shown_after="800")
    report = await account.write((A, 5), (B, 6), route="feed")
    for _ in range(5):
        assert await account.collect(report, after=30) == {}
    assert account.emulator.calls["get_feed_document"] == 1
    assert await account.collect(report, after=800) == {0: Accepted(0, 5), 1: Accepted(1, 6)}
    assert account.emulator.calls["get_feed_document"] == 1


# --- quirk 6: the upload ----------------------------------------------------------------------------------------


async def test_upload_bears_the_very_content_type_and_no_header_of_the_api(open_account: Open) -> None:
    account = open_account()
    await account.write((A, 5), route="feed")
    [put] = account.requests("PUT", "/tortuga/")
    assert put.headers["content-type"] == "application/json; charset=UTF-8"
    assert not [name for name in put.headers if name.startswith("x-amz")]


# --- quirk 8: spelling ------------------------------------------------------------------------------------------


@settings_of("cancelled_quantity")
async def test_cancelled_order_releases_whether_its_quantity_is_kept_or_0(open_account: Open, setting: str) -> None:
    account = open_account(cancelled_quantity=setting)
    await account.poll()
    order = account.buy(3)
    await account.poll_after()
    assert account.state(order).lines[0].counts.held == 3
    account.market.cancel(order.number, {"1": 1})
    await account.poll_after()
    assert account.state(order).lines[0].counts.held == 2
    account.market.cancel(order.number)
    await account.poll_after()
    [line] = account.state(order).lines
    assert (line.counts.held, line.restocked) == (0, None if line.cancelled else 0)


# --- quirk 9: a feed that hangs -----------------------------------------------------------------------------------


async def test_feed_that_hangs_stays_pending_until_amazon_calls_it_dead(open_account: Open) -> None:
    account = open_account()
    account.emulator.files.hang = timedelta(days=2)
    report = await account.write((A, 5), route="feed")
    for hours in (1, 10, 30):
        assert await account.collect(report, after=hours * 3600) == {}
    assert await account.collect(report, after=8 * 3600) == {0: Accepted(0, 5)}


async def test_stockout_that_overtook_a_feed_does_not_wait_for_a_page_that_the_feed_wrote_over(
    open_account: Open,
) -> None:
    account = open_account()
    feed = await account.write((A, 20), route="feed")
    zero = await account.write((A, 0), key="zero")
    await account.clock.advance(20)
    account.emulator.settle()
    assert account.shown(A) == 20, "the older write landed last"
    receipts = {row.receipt: row.index for report in (zero, feed) for row in report.rows}
    told = await account.run(account.channel.collect(list(receipts)))
    assert told[zero.rows[0].receipt] == Accepted(0), "the core sends it again as long as the feed is not settled"


@pytest.mark.parametrize(("outcome", "told"), [("CANCELLED", "cancelled"), ("FATAL", "still shows 50")])
async def test_feed_that_ends_badly_is_judged_by_its_pages(open_account: Open, outcome: str, told: str) -> None:
    account = open_account()
    account.emulator.files.next_outcome = outcome
    report = await account.write((A, 5), route="feed")
    account.emulator.files.next_outcome = "DONE"
    results = await account.collect(report, after=30)
    if outcome == "FATAL":
        assert results == {}, "some, none or all of it may have been done"
        results = await account.collect(report, after=1900)
    assert isinstance(results[0], Rejected)
    assert told in results[0].message


async def test_garbage_instead_of_a_processing_report_leaves_the_pages_to_tell(open_account: Open) -> None:
    account = open_account()
    report = await account.write((A, 5), (B, 6), route="feed")
    account.emulator.files._process = lambda feed: b"<html>"
    results = await account.collect(report, after=30)
    assert results == {}
    assert isinstance((await account.collect(report, after=1900))[0], Rejected)


# --- pages that show neither our number nor the one before ------------------------------------------------------


def reason_of(results: Mapping[int, Any]) -> object:
    [result] = results.values()
    return result.reason


async def test_zero_that_has_not_landed_is_no_proof_that_the_page_shows_it(open_account: Open) -> None:
    """Whole seed 2 with amazon: its pieces were given to others."""
    account = open_account(shown_after="800")
    await account.run(account.channel.read_stock([A]))
    await account.clock.advance(60)
    report = await account.write((A, 0))
    assert reason_of(await account.collect(report, after=40)) is Reason.STALE
    assert account.shown(A) > 0


async def test_zero_whose_page_got_units_back_is_closed_so_that_another_zero_may_follow(open_account: Open) -> None:
    account = open_account()
    order = account.buy(3)
    await account.run(account.channel.read_stock([A]))
    report = await account.write((A, 0))
    account.market.cancel(order.number)
    assert account.shown(A) == 3
    assert reason_of(await account.collect(report, after=1)) is Reason.STALE


async def test_zero_sent_unread_whose_page_got_units_back_is_closed_after_a_while(open_account: Open) -> None:
    account = open_account()
    order = account.buy(3)
    await account.run(account.channel.read_stock([A]))
    await account.clock.advance(60)
    report = await account.write((A, 0))
    account.market.cancel(order.number)
    assert await account.collect(report, after=5) == {}
    assert reason_of(await account.collect(report, after=40)) is Reason.STALE


async def test_sale_right_after_a_raise_is_told_from_a_number_that_has_not_landed_by_the_orders(
    open_account: Open,
) -> None:
    account = open_account(orders=Orders.ON)
    await account.poll()
    await account.run(account.channel.read_stock([A]))
    report = await account.write((A, 51))
    await account.clock.advance(2)
    account.buy(1)
    assert await account.collect(report, after=2) == {}, "50, as before"
    for _ in range(2):
        await account.poll_after()
    assert await account.collect(report) == {0: Accepted(0)}


async def test_number_that_has_not_landed_stays_open_whatever_the_orders_say(open_account: Open) -> None:
    account = open_account(orders=Orders.ON, shown_after="800")
    await account.poll()
    await account.run(account.channel.read_stock([A]))
    report = await account.write((A, 51))
    await account.clock.advance(2)
    account.buy(1)
    assert await account.collect(report, after=2) == {}
    for _ in range(2):
        await account.poll_after()
        assert await account.collect(report) == {}
