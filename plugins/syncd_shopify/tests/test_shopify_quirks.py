"""The channel under every setting of what the fact sheet calls not confirmed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Reason, Rejected, StockWrite, Unreported
from syncd.sdk.errors import CallRefused
from syncd_shopify.emulator import ShopifyEmulator
from syncd_shopify.emulator_orders import order_id

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
Row = Callable[..., StockWrite]
A, B, C = "30322695", "30322696", "30322697"
SETTINGS = [(name, setting) for name, settings in ShopifyEmulator.quirks.items() for setting in settings]


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
async def test_a_day_of_a_shop_ends_right_under_every_setting(
    shop_of: Open, swap: Row, plain: Row, name: str, setting: str
) -> None:
    shop = shop_of(signs_in="client", **{name: setting})
    cursor = (await shop.sweep())[-1].cursor
    order, other = shop.market.buy({A: 3, B: 1}), shop.market.buy({C: 2})
    shop.market.cancel(order.number, {"1": 1})
    shop.market.ship(order.number)
    shop.market.cancel(other.number)
    await shop.clock.advance(60)
    states = {state.number: state for page in await shop.sweep(cursor) for state in page.states}
    lines = {number: [(x.cancelled, x.shipped, x.counts.held) for x in state.lines] for number, state in states.items()}
    assert lines == {order_id(order.number): [(1, 2, 0), (0, 1, 0)], order_id(other.number): [(2, 0, 0)]}
    report = await shop.write(swap(A, 48, 40), plain(B, 0))
    assert [type(row) for row in report.rows] == [Accepted, Accepted]
    assert await shop.run(shop.channel.read_stock([A, B, C])) == {A: 40, B: 0, C: 50}


async def test_bad_line_fails_all_without_an_adjustment_group_leaves_its_neighbours_untouched(
    shop_of: Open, swap: Row, plain: Row
) -> None:
    shop = shop_of(bad_line="fails_all")
    report = await shop.write(plain(A, 7), swap(B, 49, 8), plain(C, 0))
    assert [(row.index, row.reason) for row in report.rows] == [(1, Reason.STALE)]
    assert report.unreported is Unreported.UNTOUCHED
    assert [shop.shown(key) for key in (A, B, C)] == [50, 50, 50]


async def test_bad_line_with_valid_lines_applied_reports_them(shop_of: Open, swap: Row, plain: Row) -> None:
    shop = shop_of(bad_line="valid_lines_applied")
    report = await shop.write(plain(A, 7), swap(B, 49, 8), plain(C, 0))
    assert {row.index: type(row) for row in report.rows} == {0: Accepted, 1: Rejected, 2: Accepted}
    assert report.unreported is Unreported.UNSURE
    assert [shop.shown(key) for key in (A, B, C)] == [7, 50, 0]


@pytest.mark.parametrize("shape", ["full", "short"])
async def test_row_is_found_however_the_field_spells_it(shop_of: Open, swap: Row, plain: Row, shape: str) -> None:
    shop = shop_of(error_field=shape)
    report = await shop.write(plain(A, 7), swap(B, 49, 8))
    assert [row.index for row in report.rows] == [1]


async def test_error_without_a_field_refuses_the_call_for_the_core_to_bisect(shop_of: Open, swap: Row) -> None:
    shop = shop_of(error_field="none")
    with pytest.raises(CallRefused, match="STALE"):
        await shop.write(swap(A, 50, 7), swap(B, 49, 8))
    assert shop.shown(A) == 50
    assert (await shop.write(swap(B, 49, 8), key="half")).rows[0].reason is Reason.STALE


async def test_error_without_a_field_is_no_refusal_where_other_lines_were_applied(shop_of: Open, swap: Row) -> None:
    """Whole seed 2: taken for refused, the applied lines were sent again, and what they can sell was forgotten."""
    shop = shop_of(error_field="none", bad_line="valid_lines_applied")
    report = await shop.write(swap(A, 50, 7), swap(B, 49, 8))
    assert {row.index: type(row) for row in report.rows} == {0: Accepted}
    assert report.unreported is Unreported.UNSURE
    assert [shop.shown(key) for key in (A, B)] == [7, 50]


@pytest.mark.parametrize(("setting", "after"), [("null", None), ("filled", 7)])
async def test_number_after_is_told_only_where_the_answer_tells_it(
    shop_of: Open, plain: Row, setting: str, after: int | None
) -> None:
    shop = shop_of(quantity_after=setting)
    assert (await shop.write(plain(A, 7))).rows == (Accepted(0, after),)


async def test_a_key_may_be_forgotten_so_its_life_is_declared_zero(shop_of: Open, swap: Row) -> None:
    shop = shop_of(key_life="none")
    await shop.write(swap(A, 50, 60), key="same")
    await shop.clock.advance(1)
    report = await shop.write(swap(A, 50, 60), key="same")
    assert report.rows[0].reason is Reason.STALE
    assert shop.channel.capabilities.routes[0].key_life_seconds == 0


async def test_previous_attempt_failed_keeps_every_row_queued_for_a_new_key(shop_of: Open, swap: Row) -> None:
    shop = shop_of(failed_key="previous_attempt_failed")
    await shop.write(swap(A, 49, 7), swap(B, 50, 8), key="same")
    report = await shop.write(swap(A, 49, 7), swap(B, 50, 8), key="same")
    assert report.rows == ()
    assert report.unreported is Unreported.UNSURE
    assert (await shop.write(swap(B, 50, 8), key="new")).rows == (Accepted(0),)


async def test_first_answer_again_names_the_same_row(shop_of: Open, swap: Row) -> None:
    shop = shop_of(failed_key="first_answer")
    first = await shop.write(swap(A, 49, 7), swap(B, 50, 8), key="same")
    assert await shop.write(swap(A, 49, 7), swap(B, 50, 8), key="same") == first


async def test_change_is_found_though_the_index_lags(shop_of: Open) -> None:
    shop = shop_of(index_lag_seconds="30")
    order = shop.market.buy({A: 1})
    await shop.clock.advance(31)
    [page] = await shop.sweep()
    assert page.states[0].lines[0].shipped == 0
    await shop.clock.advance(600)
    shop.market.ship(order.number)
    later = shop.market.buy({B: 1})
    later.visible_at = shop.clock.now()
    await shop.clock.advance(1)
    [page] = await shop.sweep(page.cursor)
    await shop.clock.advance(31)
    [page] = await shop.sweep(page.cursor)
    assert {state.number: state.lines[0].shipped for state in page.states}[order_id(order.number)] == 1


async def test_page_is_halved_where_connections_cost_by_the_old_rule(shop_of: Open) -> None:
    shop = shop_of(connection_cost="old_rule")
    numbers = {order_id(shop.market.buy({A: 1}).number) for _ in range(9)}
    pages = []
    cursor = None
    while not pages or pages[-1].more:
        await shop.clock.advance(60)  # the bucket fills again; the real budget waits for it
        pages.append(await shop.run(shop.channel.fetch_orders(cursor)))
        cursor = pages[-1].cursor
    assert {state.number for page in pages for state in page.states} == numbers
    tried = [json.loads(one.content)["variables"]["first"] for one in shop.sent]
    assert tried[:4] == [25, 12, 6, 6] or tried[:5] == [25, 12, 6, 3, 3]


async def test_edit_without_a_refund_leaves_the_restock_unknown(shop_of: Open) -> None:
    for setting, restocked in (("yes", 1), ("no", None)):
        shop = shop_of(edit_writes_refund=setting)
        order = shop.market.buy({A: 3})
        shop.market.cancel(order.number, {"1": 1})
        [page] = await shop.sweep()
        [line] = page.states[0].lines
        assert (line.cancelled, line.counts.held, line.restocked) == (1, 2, restocked)


@pytest.mark.parametrize(("setting", "fetched"), [("86399", 1), ("missing", 2)])
async def test_token_of_unknown_life_is_renewed_within_the_hour(shop_of: Open, setting: str, fetched: int) -> None:
    shop = shop_of(signs_in="client", expires_in=setting)
    await shop.run(shop.channel.read_stock([A]))
    await shop.clock.advance(3600)
    await shop.run(shop.channel.read_stock([A]))
    assert shop.emulator.tokens_given == fetched


@pytest.mark.parametrize("version", ["2026-01", "2026-04", "2026-07", "2026-10"])
async def test_run_time_rules_of_writes_hold_by_version(shop_of: Open, plain: Row, version: str) -> None:
    shop = shop_of(api_version=version)
    await shop.write(plain(A, 7))
    call = json.loads(shop.sent[0].content)
    bare = {**call, "query": call["query"].replace(" @idempotent(key: $key)", "")}
    short = json.loads(json.dumps(call))
    del short["variables"]["input"]["quantities"][0]["changeFromQuantity"]
    short["variables"]["key"] = "another"
    for changed, code in ((bare, "BAD_REQUEST"), (short, "INVALID_FIELD_ARGUMENTS")):
        first = shop.sent[0]
        token = {"X-Shopify-Access-Token": first.headers["X-Shopify-Access-Token"]}
        answer = await shop.channel._api._http.send("graphql", "POST", first.url.path, json=changed, headers=token)
        codes = [error["extensions"]["code"] for error in answer.json().get("errors", [])]
        assert codes == ([] if version == "2026-01" else [code])
