"""Contract: bad days. Answers that cannot be, keys that die half way, maintenance over night, a strange row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from syncd.sdk.channel import Accepted, StockWrite, Unreported, WriteRoute
from syncd.sdk.errors import BrokenAnswer, ChannelError, InDoubt, SignInRequired, TryAgain
from syncd.testing.contract_faults import FaultsContract, named
from syncd.testing.contract_orders import LATE_POLLS, MANY, NO_ORDERS, buy_many
from syncd.testing.contract_stage import LISTINGS, MOST_HITS, Stage, need, truth_by_listing
from syncd.testing.contract_stock import routes_of, write_all
from syncd.testing.emulator import FaultKind

FULL_CALL = 1000
TO_MIDNIGHT_SECONDS = 15 * 3600 - 600
"""From the stage's start, 09:00 in Japan, to ten minutes before midnight there."""


class BadInputContract(FaultsContract):
    """Applies as far as `reads_orders` and `routes` say, and the emulator speaks HTTP."""

    @pytest.mark.parametrize("kind", [FaultKind.HUGE, FaultKind.WRONG_ENCODING])
    async def test_an_answer_too_large_or_in_the_wrong_encoding_is_never_read_as_one(
        self, stage: Stage, kind: FaultKind
    ) -> None:
        for name, call in self.reads_of(stage):
            async for answer, error in stage.sweep(kind, call):
                refused = isinstance(error, BrokenAnswer | TryAgain)
                assert refused, f"{name} under {kind.value}: {named(error)}, answer {answer!r:.200}"
        need(stage.hits > 0, f"the emulator does not play {kind.value}")

    @pytest.mark.parametrize("kind", [FaultKind.HUGE, FaultKind.WRONG_ENCODING])
    async def test_a_write_whose_answer_is_too_large_or_in_the_wrong_encoding_denies_nothing(
        self, stage: Stage, kind: FaultKind
    ) -> None:
        await self.swept_writes(stage, kind, (BrokenAnswer, InDoubt, TryAgain))

    async def test_a_key_that_dies_in_the_middle_of_an_order_read_loses_no_order(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        orders = buy_many(stage, MANY)
        await stage.settled()
        for calls in range(MOST_HITS):
            stage.channel = stage.open()
            with key_that_dies(stage, calls) as has_died:
                try:
                    states, cursor = await stage.drain(stage.cursor, acknowledge=False)
                except SignInRequired:
                    continue
                assert not has_died(), "the key died, and nobody was told"
            stage.keep(states)
            stage.cursor = cursor
            break
        await stage.poll_until(lambda: False, within_seconds=LATE_POLLS * stage.capabilities.poll_seconds)
        assert stage.shown_orders() == {self.order_number(one): truth_by_listing(one) for one in orders}

    async def test_a_key_that_dies_in_the_middle_of_a_write_denies_nothing(self, stage: Stage) -> None:
        for route in routes_of(stage):
            for calls in range(MOST_HITS):
                await stage.clock.advance(3600)
                rows = [stage.row(i, min(route.forms), 20 + calls % 2) for i in range(min(LISTINGS, route.max_rows))]
                stage.channel = stage.open()
                with key_that_dies(stage, calls) as has_died:
                    await self.write_with_a_dying_key(stage, rows, route)
                if not has_died():
                    break
            assert isinstance((await write_all(stage, [stage.row(0, min(route.forms), 33)], route))[0], Accepted)

    async def write_with_a_dying_key(self, stage: Stage, rows: Sequence[StockWrite], route: WriteRoute) -> None:
        before = [stage.shown(row.listing) for row in rows]
        accepted: set[int] = set()
        unsure = False
        try:
            report = await stage.call(stage.channel.write_stock(rows, route, stage.next_key()))
            accepted = {one.index for one in report.rows if isinstance(one, Accepted)}
            pending = {one.index for one in report.rows} - accepted
            unsure = report.unreported is Unreported.UNSURE
        except ChannelError as error:
            if not isinstance(error, SignInRequired | InDoubt):
                raise AssertionError(f"{route.name}: {named(error)}") from error
            unsure, pending = isinstance(error, InDoubt), set()
        await stage.settled()
        for i, (row, was) in enumerate(zip(rows, before, strict=True)):
            changed = stage.shown(row.listing) != was
            told = i in accepted or i in pending or unsure
            assert told or not changed, f"{route.name}: row {i} was applied, and nobody was told"
            assert changed or i not in accepted, f"{route.name}: row {i} was accepted, and stayed as it was"

    async def test_a_call_after_the_shop_was_stopped_is_no_bug_of_the_plugin(self, stage: Stage) -> None:
        channel = stage.open()
        await stage.call(channel.aclose())
        for _, call in self.reads_of(stage):
            with suppress(ChannelError):  # anything else would be told as a bug, at every stop
                await stage.call(call(channel))

    async def test_maintenance_over_midnight_in_japan_loses_no_order(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(TO_MIDNIGHT_SECONDS)
        await stage.poll()
        orders = buy_many(stage, 5)
        stage.emulator.maintenance = True
        for _ in range(4):
            with suppress(ChannelError):  # which one, another test says; a page read just before may be given again
                page = await stage.page(stage.cursor)
                stage.keep(page.states)
                stage.cursor = page.cursor
            await stage.clock.advance(600)
            orders += buy_many(stage, 3)  # the pages sell on while the interface is closed
        stage.emulator.maintenance = False
        within = LATE_POLLS * stage.capabilities.poll_seconds
        await stage.poll_until(lambda: len(stage.seen) >= len(orders), within_seconds=within)
        assert stage.shown_orders() == {self.order_number(one): truth_by_listing(one) for one in orders}

    async def test_one_unknown_listing_in_a_full_call_leaves_all_others_written(self, stage: Stage) -> None:
        wide = [route for route in routes_of(stage) if route.max_rows > 1]
        need(bool(wide), "every route writes one row a call")
        for route in wide:
            count = min(route.max_rows, FULL_CALL)
            stage.offer(count)
            form = min(route.forms)
            rows = [stage.row(i, form, 4 + i % 5) for i in range(count)]
            known = [i for i in range(count) if i != count // 2]
            rows[count // 2] = StockWrite(self.listing_key(FULL_CALL * 9), form, 3)
            await write_all(stage, rows, route)
            wrong = [i for i in known if stage.shown(rows[i].listing) != 4 + i % 5]
            assert not wrong, f"{route.name}: {len(wrong)} rows beside an unknown one were not written"


@contextmanager
def key_that_dies(stage: Stage, calls: int) -> Iterator[Callable[[], bool]]:
    """A key that holds for so many calls, and again behind the block; gives whether it has died."""
    left = calls

    def count(operation: str) -> None:
        nonlocal left
        left -= 1
        stage.emulator.key_works = left >= 0

    watched, stage.emulator.on_call = stage.emulator.on_call, count
    try:
        yield lambda: left < 0
    finally:
        stage.emulator.on_call, stage.emulator.key_works = watched, True
