"""The contract catches what it is there for: each kind of misbehaviour fails the part that speaks of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from syncd.clock import Clock
from syncd.sdk.channel import Accepted, Channel, Cursor, OrderPage, StockWrite, WriteReport, WriteRoute
from syncd.sdk.errors import ChannelError, Throttled
from syncd.testing.contract import ChannelContract
from syncd.testing.contract_stage import Stage, assert_no_secret
from syncd.testing.emulator import FaultKind, RateJudge
from syncd.testing.fakes import Stuck
from syncd.testing.hostile import HostileChannel, HostileShop
from syncd.testing.memory import MemoryChannel, MemoryShop
from syncd.testing.world import Market, World

T = TypeVar("T")

pytestmark = pytest.mark.anyio


class Hostile(ChannelContract):
    channel_type = HostileChannel
    emulator_type = HostileShop

    def listing_key(self, i: int) -> str:
        return f"item-{i:05d}"


def shop_with(**options: Any) -> type[MemoryShop]:
    class Shop(MemoryShop):
        def __init__(self, world: World, market: Market, clock: Clock, **quirks: str) -> None:
            super().__init__(world, market, clock, options=options, **quirks)

    return Shop


def stage_of(call: str, mood: str) -> tuple[Hostile, Stage]:
    contract = Hostile()
    stage = contract.build()
    assert isinstance(stage.emulator, HostileShop)
    stage.emulator.moods[call] = mood
    return contract, stage


@pytest.mark.parametrize(
    "mood",
    [
        "none",
        "nonsense",
        "wrong_types",
        "bad_cursor",
        "no_cursor",
        "more_forever",
        "skip",
        "naive",
        "negative",
        "huge",
        "same_lines",
        "ack_raises",
        "raise",
    ],
)
async def test_misread_orders_fail_the_contract(mood: str) -> None:
    contract, stage = stage_of("orders", mood)
    with pytest.raises((AssertionError, RuntimeError, AttributeError)):
        await contract.test_many_orders_over_several_pages_are_found_exactly(stage)


async def test_a_call_that_hangs_fails_the_contract() -> None:
    contract, stage = stage_of("orders", "hang")
    with pytest.raises(Stuck):
        await contract.test_first_read_without_a_cursor_works_on_an_empty_shop(stage)


@pytest.mark.parametrize(
    "mood", ["none", "nonsense", "twice", "out_of_range", "negative_index", "silent", "empty", "pending"]
)
async def test_misreported_writes_fail_the_contract(mood: str) -> None:
    contract, stage = stage_of("writes", mood)
    with pytest.raises(AssertionError):
        await contract.test_accepted_rows_of_every_form_change_what_is_shown(stage)


@pytest.mark.parametrize("mood", ["none", "nonsense", "unasked", "negative", "huge", "empty"])
async def test_misread_stock_fails_the_contract(mood: str) -> None:
    contract, stage = stage_of("reads", mood)
    with pytest.raises((AssertionError, TypeError)):
        await contract.test_read_stock_shows_the_known_and_leaves_out_the_unknown(stage)


@pytest.mark.parametrize(("call", "mood"), [("orders", "leak"), ("orders", "leak_declared")])
async def test_a_leaked_secret_fails_the_contract(call: str, mood: str) -> None:
    contract, stage = stage_of(call, mood)
    with pytest.raises(Exception, match=r"key|Bearer"):
        await contract.test_first_read_without_a_cursor_works_on_an_empty_shop(stage)
    with pytest.raises(AssertionError, match="a secret stands"):
        assert_no_secret(stage.emulator.settings(), stage.errors, "")
    with pytest.raises(AssertionError, match="reached the log"):
        assert_no_secret(stage.emulator.settings(), [], "sent memory-key-0001")


async def test_undeclared_rate_fails_the_contract() -> None:
    contract, stage = stage_of("orders", "ok")
    stage.emulator.rates["calls"] = RateJudge(per_second=1.0)
    with pytest.raises(Throttled, match="too fast"):
        await contract.test_declared_budgets_keep_within_the_documented_rate(stage)


class DenyingChannel(MemoryChannel):
    """Takes a lost write for one that did nothing."""

    async def call(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        return await super().call(operation, answer, effect=False)


class ForgetfulChannel(MemoryChannel):
    """Reads on from now, without overlap: what shows late is lost."""

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await super().fetch_orders(cursor)
        return page if page.more else replace(page, cursor={"since_us": self.context.clock.now_us()})


class TieLosingChannel(MemoryChannel):
    """Pages by time alone: of equal times, those beyond the page are lost."""

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await super().fetch_orders(cursor)
        if not page.more:
            return page
        at_us, _ = page.cursor["after"]
        return replace(page, cursor={**page.cursor, "after": [at_us, "\uffff"]})


class StubbornChannel(MemoryChannel):
    """Swallows its cancellation."""

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return await super().write_stock(rows, route, key)


class HalvingChannel(MemoryChannel):
    """Writes half of a change first."""

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        await super().write_stock([replace(row, quantity=row.quantity // 2) for row in rows], route, key + "/half")
        await asyncio.sleep(0)
        return await super().write_stock(rows, route, key)


def memory_stage(channel: type[Channel], **options: Any) -> tuple[ChannelContract, Stage]:
    class Contract(Hostile):
        channel_type = channel
        emulator_type = shop_with(**options)

    contract = Contract()
    return contract, contract.build()


async def test_a_lost_write_called_unavailable_fails_the_contract() -> None:
    contract, stage = memory_stage(DenyingChannel)
    with pytest.raises(AssertionError, match="took effect"):
        await contract.test_answer_lost_after_a_write_took_effect_is_in_doubt(stage)


async def test_a_missed_late_order_fails_the_contract() -> None:
    contract, stage = memory_stage(ForgetfulChannel, visibility_seconds=600.0)
    with pytest.raises(AssertionError, match="never shown"):
        await contract.test_order_visible_late_is_found_though_later_ones_came_first(stage)


async def test_orders_lost_at_a_page_boundary_fail_the_contract() -> None:
    contract, stage = memory_stage(TieLosingChannel)
    with pytest.raises(AssertionError, match="never shown"):
        await contract.test_orders_of_one_instant_lose_nothing_at_a_page_boundary(stage)


@pytest.mark.parametrize(("channel", "says"), [(StubbornChannel, "swallows"), (HalvingChannel, "shows neither")])
async def test_a_write_that_breaks_when_cancelled_fails_the_contract(channel: type[Channel], says: str) -> None:
    contract, stage = memory_stage(channel)
    with pytest.raises(AssertionError, match=says):
        await contract.test_cancellation_at_every_await_leaves_whole_rows(stage)


class ObjectStateChannel(MemoryChannel):
    """Keeps its place among the pages in the object, not in the cursor."""

    place: Cursor | None = None

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await super().fetch_orders(self.place if self.place is not None else cursor)
        self.place = page.cursor if page.more else None
        return replace(page, cursor={"since_us": self.context.clock.now_us()})


class BoastfulChannel(MemoryChannel):
    """Promises to have shown what cannot be seen yet."""

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await super().fetch_orders(cursor)
        return replace(page, seen_until=self.context.clock.now())


class UnbudgetedChannel(MemoryChannel):
    """Calls without waiting for its budget."""

    async def call(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        return await self.shop.serve(operation, answer, effect=effect)


async def test_a_place_kept_outside_the_cursor_fails_the_contract() -> None:
    contract, stage = memory_stage(ObjectStateChannel)
    with pytest.raises(AssertionError, match="never shown"):
        await contract.test_restart_before_every_page_loses_nothing(stage)


async def test_a_watermark_ahead_of_the_truth_fails_the_contract() -> None:
    contract, stage = memory_stage(BoastfulChannel, visibility_seconds=600.0)
    with pytest.raises(AssertionError, match="seen_until says"):
        await contract.test_order_visible_late_is_found_though_later_ones_came_first(stage)


async def test_a_call_without_its_budget_fails_the_contract() -> None:
    contract, stage = memory_stage(UnbudgetedChannel, per_second=5.0)
    with pytest.raises(AssertionError, match="waited for no budget"):
        await contract.test_calls_wait_for_the_budget_of_their_declared_operation(stage)
    with pytest.raises(Throttled):
        await contract.test_declared_budgets_keep_within_the_documented_rate(stage)


class SilentChannel(MemoryChannel):
    """Takes every failure of an order read for a quiet hour."""

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        try:
            return await super().fetch_orders(cursor)
        except ChannelError:
            return OrderPage(states=(), cursor={"since_us": self.context.clock.now_us()})


class StoppingChannel(MemoryChannel):
    """Writes up to the first row that the shop does not know, and says that all is well."""

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        listings = self.shop.market.listings
        known = [row.listing in listings for row in rows]
        await super().write_stock(rows[: (*known, False).index(False)], route, key)
        return WriteReport(tuple(Accepted(i) for i in range(len(rows))))


async def test_an_answer_that_cannot_be_and_is_read_all_the_same_fails_the_contract() -> None:
    contract, stage = memory_stage(SilentChannel)
    with pytest.raises(AssertionError, match="no error"):
        await contract.test_an_answer_too_large_or_in_the_wrong_encoding_is_never_read_as_one(stage, FaultKind.HUGE)


async def test_a_key_that_dies_and_nobody_is_told_fails_the_contract() -> None:
    contract, stage = memory_stage(SilentChannel)
    with pytest.raises(AssertionError, match="nobody was told"):
        await contract.test_a_key_that_dies_in_the_middle_of_an_order_read_loses_no_order(stage)


async def test_orders_lost_over_a_nights_maintenance_fail_the_contract() -> None:
    contract, stage = memory_stage(SilentChannel)
    with pytest.raises(AssertionError):
        await contract.test_maintenance_over_midnight_in_japan_loses_no_order(stage)


async def test_a_write_that_took_effect_and_is_denied_for_its_answer_fails_the_contract() -> None:
    contract, stage = memory_stage(DenyingChannel)
    with pytest.raises(AssertionError, match="took effect"):
        await contract.test_a_write_whose_answer_is_too_large_or_in_the_wrong_encoding_denies_nothing(
            stage, FaultKind.HUGE
        )


async def test_rows_beside_an_unknown_one_that_are_not_written_fail_the_contract() -> None:
    contract, stage = memory_stage(StoppingChannel)
    with pytest.raises(AssertionError, match="were not written"):
        await contract.test_one_unknown_listing_in_a_full_call_leaves_all_others_written(stage)


async def test_results_that_take_longer_than_declared_fail_the_contract() -> None:
    late = {"later": True, "later_seconds": 500.0, "results_within_seconds": 60.0}
    contract, stage = memory_stage(MemoryChannel, **late)
    with pytest.raises(AssertionError, match="declares 60 s for its results"):
        await contract.test_accepted_rows_of_every_form_change_what_is_shown(stage)
