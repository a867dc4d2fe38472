"""Quirk 4 of the fact sheet: searchOrders lasts for one call in three minutes, and has a burst of 20 beside that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from syncd_amazon.api import RATES
from syncd_amazon.orders import KEPT_SEARCHES

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]


async def test_fences_that_ask_for_orders_all_the_time_do_not_empty_the_bucket(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    for _ in range(120):  # an hour of fences, every 30 seconds
        before = account.clock.monotonic()
        await account.poll_after(30)
        assert account.clock.monotonic() - before < 35, "a call waited for the budget"
    half = RATES["search_orders"][1] / 2
    assert account.emulator.calls["search_orders"] <= 3600 / 170 + 2 + half
    assert account.emulator.violations == 0


async def test_fence_is_answered_anew_while_half_of_the_burst_is_left_and_never_from_the_other_half(
    open_account: Open,
) -> None:
    account = open_account()
    await account.poll()
    asked = account.emulator.calls["search_orders"]
    for _ in range(30):
        await account.poll_after(1)
    spent = account.emulator.calls["search_orders"] - asked
    assert spent == KEPT_SEARCHES - asked
    await account.clock.advance(170 - 30)
    for i in range(500):
        account.buy(1, key=i % 10)
    await account.clock.advance(130)
    before = account.clock.monotonic()
    await account.poll()
    assert len(account.states) == 500
    assert account.clock.monotonic() - before < 1, "the pages of the sweep did not wait"
    assert account.emulator.violations == 0


async def test_account_with_a_larger_plan_is_asked_for_orders_as_often_as_that_allows(open_account: Open) -> None:
    account = open_account()
    account.emulator.set_rate("search_orders", 0.5)
    await account.poll()
    calls = account.emulator.calls["search_orders"]
    for _ in range(10):
        await account.poll_after(2)
    assert account.emulator.calls["search_orders"] == calls + 10
    assert account.emulator.violations == 0


async def test_sweep_never_claims_to_have_looked_nearer_than_two_minutes(open_account: Open) -> None:
    account = open_account()
    account.emulator.set_lag(timedelta(seconds=1))
    [page] = await account.poll()
    assert page.seen_until <= account.clock.now() - timedelta(minutes=2 + 5)


@pytest.mark.parametrize("ahead", [-4, 0, 4])
async def test_clock_that_is_off_makes_no_order_read_look_old(open_account: Open, ahead: int) -> None:
    account = open_account()
    account.market.skew = timedelta(seconds=ahead)
    [page] = await account.poll()
    assert account.clock.now() - page.seen_until < timedelta(minutes=2 + 5, seconds=1)


async def test_search_that_looked_less_far_than_two_minutes_ago_says_so(open_account: Open) -> None:
    account = open_account()
    account.emulator.set_lag(timedelta(minutes=4))
    [page] = await account.poll()
    assert page.seen_until <= account.clock.now() - timedelta(minutes=4 + 5)


async def test_order_read_right_after_another_is_answered_from_it(open_account: Open) -> None:
    account = open_account()
    await account.poll()
    for _ in range(10):  # half of the burst
        await account.poll_after(1)
    [first] = await account.poll_after()
    account.buy()
    [again] = await account.poll_after(100)
    assert (again.states, again.cursor, again.seen_until) == ((), first.cursor, first.seen_until)
    await account.poll_after(150)
    assert len(account.states) == 1
