"""Orders in: two speeds, lists that shift or take less, and the order API's own trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from syncd.model import Counts
from syncd.sdk.errors import BrokenAnswer, Closed, SignInRequired
from syncd_yahoo_shopping.feed import ROWS

pytestmark = pytest.mark.anyio


def counts(mall: Any, number: str) -> dict[str, Counts]:
    return {line.listing: line.counts for line in mall.states[number].lines}


def calls_since(mall: Any, before: Counter[str]) -> Counter[str]:
    return mall.emulator.calls - before


# --- two speeds ---------------------------------------------------------------------------------------------


async def test_a_new_order_takes_one_count_one_list_and_one_detail(mall: Any) -> None:
    await mall.poll()
    await mall.clock.advance(60)
    order = mall.buy(3, key=1)
    before = Counter(mall.emulator.calls)
    page = await mall.page()
    assert [state.number for state in page.states] == [order.number]
    assert counts(mall, order.number) == {mall.keys[1]: Counts(ordered=3)}
    assert calls_since(mall, before) == {"order_count": 1, "order_list": 1, "order_info": 1}


async def test_a_quiet_poll_takes_one_list_and_the_counts_once_a_minute(mall: Any) -> None:
    mall.buy()
    await mall.poll()
    await mall.clock.advance(60)
    before = Counter(mall.emulator.calls)
    for _ in range(4):
        assert [page.states for page in await mall.poll()] == [()]
        await mall.clock.advance(15)
    assert calls_since(mall, before) == {"order_count": 1, "order_list": 4}


async def test_an_order_that_a_person_opened_first_is_found_all_the_same(mall: Any) -> None:
    """IsSeen is never a filter: it turns true when the order is opened on a screen."""
    await mall.poll()
    order = mall.buy()
    mall.emulator.orders.versions[order.number] = 2  # opened: no new order in the counts
    await mall.poll()
    assert order.number in mall.states


async def test_a_cancel_is_found_soon_because_the_counts_moved(mall: Any) -> None:
    order = mall.buy(2)
    order.placed_at -= timedelta(days=20)  # far beyond the list of the last hours
    await mall.poll()
    swept = mall.cursor["swept"]
    while mall.cursor["swept"] == swept:
        await mall.poll_for(15)
    mall.market.cancel(order.number)  # just after a sweep: the next is ten minutes away
    before = mall.clock.monotonic()
    while counts(mall, order.number)[mall.keys[0]].held:
        await mall.poll_for(15)
    assert mall.clock.monotonic() - before <= 200


async def test_a_change_of_an_old_order_is_found_by_the_sweep(mall: Any) -> None:
    order = mall.buy(4)
    order.placed_at -= timedelta(days=40)
    await mall.poll()
    mall.market.cancel(order.number, {"1": 1})  # the counts stay as they are
    await mall.poll_for(700)
    assert counts(mall, order.number)[mall.keys[0]] == Counts(ordered=4, cancelled=1)


async def test_every_list_promises_its_own_begin_wherever_a_restart_happened(mall: Any) -> None:
    for _ in range(12):
        mall.buy()
    first = await mall.page()
    assert first.more
    began = mall.clock.now()
    await mall.clock.advance(500)
    mall.channel = mall.open()
    pages = await mall.poll()
    while pages[-1].more:
        pages += await mall.poll()
    assert pages[-1].seen_until is not None
    assert pages[-1].seen_until >= began - timedelta(seconds=61)
    assert len(mall.states) == 12


async def test_the_first_poll_reads_every_order_that_is_still_open_and_no_closed_one(mall: Any) -> None:
    opened, shipped, cancelled = (mall.buy() for _ in range(3))
    mall.market.ship(shipped.number)
    mall.market.cancel(cancelled.number)
    for order in (opened, shipped, cancelled):
        order.placed_at -= timedelta(days=30)
    await mall.poll()
    assert mall.states.keys() == {opened.number}


@pytest.mark.parametrize("limits", ["none", "refused_above_500", "clamped_at_100", "week_at_most"])
async def test_a_list_that_takes_less_than_we_ask_for_is_read_whole(open_mall: Callable[..., Any], limits: str) -> None:
    mall = open_mall(list_limits=limits)
    numbers = set()
    for n in range(230):
        order = mall.buy()
        order.placed_at -= timedelta(hours=5 * n)
        numbers.add(order.number)
    await mall.poll()
    assert mall.states.keys() == numbers
    refused = [sent for sent in mall.calls("orderList") if b"<Result>2000<" in sent.content]
    assert limits != "refused_above_500" or len(refused) == 1  # learned once


@pytest.mark.parametrize("end", ["inclusive", "exclusive"])
async def test_orders_of_the_very_second_of_a_list_are_found(open_mall: Callable[..., Any], end: str) -> None:
    mall = open_mall(window_end=end)
    await mall.poll()
    order = mall.buy()
    await mall.page()
    assert order.number in mall.states


@pytest.mark.parametrize("update", ["order_time", "empty"])
async def test_a_new_order_without_an_update_time_is_read_once(open_mall: Callable[..., Any], update: str) -> None:
    mall = open_mall(update_of_new=update)
    await mall.poll()
    mall.buy()
    await mall.poll_for(1300)
    assert mall.emulator.calls["order_info"] == 1


# --- what moves while it is read ----------------------------------------------------------------------------


async def test_a_page_that_shifts_while_it_is_read_loses_no_order(open_mall: Callable[..., Any]) -> None:
    """An order leaves the list between two pages: without the anchor the one at the border would be missed."""
    mall = open_mall(list_limits="clamped_at_100")
    await mall.poll()
    orders = []
    for _ in range(150):
        orders.append(mall.buy())
        await mall.clock.advance(1)
    lists = 0

    def leave(request: httpx.Request) -> None:
        nonlocal lists
        if request.url.path.endswith("/orderList"):
            lists += 1
            if lists == 2:
                mall.emulator.orders.removed.add(orders[3].number)

    mall.transport.tampering = leave
    await mall.page()
    while mall.cursor["recent"] or mall.cursor["todo"]:  # the first list alone, without the one that closes the poll
        await mall.page()
    assert {order.number for order in orders} - mall.states.keys() <= {orders[3].number}
    assert lists == 4


async def test_a_list_that_never_holds_still_is_no_whole_list(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(list_limits="clamped_at_100")
    await mall.poll()
    orders = [mall.buy() for _ in range(300)]
    leaving = iter(sorted(order.number for order in orders))

    def leave(request: httpx.Request) -> None:
        if b"<Start>1</Start>" not in request.content and request.url.path.endswith("/orderList"):
            mall.emulator.orders.removed.add(next(leaving))

    mall.transport.tampering = leave
    with pytest.raises(BrokenAnswer, match="loses orders"):
        await mall.poll()


async def test_an_order_changed_between_list_and_detail_is_booked_as_it_is_now(mall: Any) -> None:
    await mall.poll()
    order = mall.buy(5)

    def change(request: httpx.Request) -> None:
        if request.url.path.endswith("/orderInfo") and not order.lines[0].cancelled:
            mall.market.cancel(order.number, {"1": 2})

    mall.transport.tampering = change
    await mall.poll()
    assert counts(mall, order.number)[mall.keys[0]] == Counts(ordered=5, cancelled=2)
    await mall.poll()
    assert counts(mall, order.number)[mall.keys[0]] == Counts(ordered=5, cancelled=2)


async def test_an_order_in_the_list_that_is_not_given_is_told_once_and_holds_nobody_up(mall: Any) -> None:
    await mall.poll()
    lost, found = mall.buy(), mall.buy()

    def vanish(request: httpx.Request) -> httpx.Response | None:
        if lost.number.encode() in request.content and request.url.path.endswith("/orderInfo"):
            return httpx.Response(404, text="<Error><Message>no order</Message><Code>od91801</Code></Error>")
        return None

    mall.transport.tampering = vanish
    pages = await mall.poll()
    assert [problem.where for page in pages for problem in page.problems] == [lost.number]
    assert found.number in mall.states
    assert not [problem for page in await mall.poll() for problem in page.problems]


async def test_an_order_whose_details_are_never_xml_holds_the_others_up_only_twice(mall: Any) -> None:
    await mall.poll()
    poison, found = mall.buy(), mall.buy()

    def garble(request: httpx.Request) -> httpx.Response | None:
        if poison.number.encode() in request.content and request.url.path.endswith("/orderInfo"):
            return httpx.Response(200, content=b"<ResultSet><Result>\x01\xff</Result></ResultSet>")
        return None

    mall.transport.tampering = garble
    for _ in range(2):
        with pytest.raises(BrokenAnswer):
            await mall.poll()
    pages = await mall.poll()
    assert [problem.where for page in pages for problem in page.problems] == [poison.number]
    assert found.number in mall.states


# --- the order API's own trouble ----------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", ["status_200", "401"])
async def test_a_signature_that_does_not_hold_asks_for_a_person_even_at_status_200(
    open_mall: Callable[..., Any], refusal: str
) -> None:
    mall = open_mall(settings={"public_key_version": "3"}, signature_refusal=refusal)
    with pytest.raises(SignInRequired):
        await mall.poll()


async def test_a_signature_is_made_when_the_call_leaves_not_when_it_queues(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(signature_age="1")
    await mall.poll()
    await mall.clock.advance(60)
    await mall.limiter.acquire("order_list", 1.0)
    mall.limiter.throttled("order_list", 500.0)
    await mall.poll()
    assert len(mall.calls("orderList")) >= 2


@pytest.mark.parametrize("code", ["px-04303", "px-04306", "px-04307", "px-14303", "px-14304"])
async def test_a_caller_that_yahoo_does_not_allow_is_told_to_a_person(mall: Any, code: str) -> None:
    mall.emulator.refuses = code
    with pytest.raises(SignInRequired, match=code):
        await mall.poll()


@pytest.mark.parametrize("errors", ["error", "result"])
async def test_an_error_of_the_order_api_is_read_in_either_shape(open_mall: Callable[..., Any], errors: str) -> None:
    mall = open_mall(list_limits="refused_above_500", order_errors=errors)
    order = mall.buy()
    await mall.poll()
    assert order.number in mall.states
    assert b"<Result>500<" in mall.calls("orderList")[-1].content
    assert ROWS[0] == 2000


async def test_orders_stop_alone_in_their_own_maintenance(mall: Any) -> None:
    mall.emulator.order_closed = True
    with pytest.raises(Closed):
        await mall.poll()
    assert await mall.run(mall.channel.read_stock(mall.keys[:1])) == {mall.keys[0]: 500}
