"""Contract: stock out. Every row ends reported or kept, what was accepted is shown, and what is shown is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from syncd.sdk.channel import (
    Accepted,
    Form,
    ListingInfo,
    Reason,
    Rejected,
    StockWrite,
    Unreported,
    WriteRoute,
)
from syncd.sdk.errors import CallRefused, ChannelError
from syncd.testing.contract_stage import LISTINGS, SHOWN, ContractBase, Stage, need
from syncd.testing.fakes import settle, spawn

NO_ROUTES = "no write routes: this channel's stock is not written"
NO_READS = "reads_stock is off: this channel's stock cannot be read"
ROWS_TRIED_AT_MOST = 20_000
TURNS_AT_MOST = 600
REPEATS = 5
ORPHAN_SECONDS = 25 * 3600.0  # a shop may keep the number of an unknown listing for a day (rakuten.md)


def routes_of(stage: Stage) -> Sequence[WriteRoute]:
    need(bool(stage.capabilities.routes), NO_ROUTES)
    return stage.capabilities.routes


def bounded_routes_of(stage: Stage) -> Sequence[WriteRoute]:
    """Routes whose `max_rows` can be tried."""
    found = [route for route in routes_of(stage) if route.max_rows <= ROWS_TRIED_AT_MOST]
    need(bool(found), f"max_rows of every route is beyond {ROWS_TRIED_AT_MOST}")
    return found


def of_form(stage: Stage, *forms: Form) -> list[tuple[WriteRoute, Form]]:
    """The routes that take one of these forms."""
    found = [(route, form) for route in routes_of(stage) for form in forms if form in route.forms]
    need(bool(found), f"no write route takes {' or '.join(form.value for form in forms)}")
    return found


async def write_all(stage: Stage, rows: Sequence[StockWrite], route: WriteRoute) -> dict[int, Accepted | Rejected]:
    """Write until each row has an outcome, as the core does: unreported rows again, a refused call in halves."""
    outcomes: dict[int, Accepted | Rejected] = {}
    calls = [list(range(len(rows)))]
    for _ in range(REPEATS + 2 * len(rows)):
        if not calls:
            return outcomes
        indexes = calls.pop()
        try:
            results = await stage.write([rows[i] for i in indexes], route)
        except CallRefused as refused:
            if len(indexes) == 1:
                outcomes[indexes[0]] = Rejected(indexes[0], Reason.OTHER, str(refused))
                continue
            half = len(indexes) // 2
            calls += [indexes[:half], indexes[half:]]
            continue
        outcomes |= {indexes[i]: outcome for i, outcome in results.items()}
        left = [i for i in indexes if i not in outcomes]
        calls += [left] if left else []
    raise AssertionError(f"rows {sorted(set(range(len(rows))) - outcomes.keys())} never got an outcome")


@asynccontextmanager
async def cut_after(stage: Stage, rows: Sequence[StockWrite], route: WriteRoute, turns: int) -> AsyncIterator[bool]:
    """A write cancelled after so many turns of the loop; yields whether it was over before."""
    task = spawn(stage.channel.write_stock(rows, route, stage.next_key()))
    for _ in range(turns):
        if task.done():
            break
        await anyio.lowlevel.checkpoint()
    over = task.done()
    task.cancel()
    await settle()
    if not task.done():
        raise AssertionError("write_stock goes on after its cancellation")
    if not task.cancelled() and task.exception() is not None:
        raise AssertionError("write_stock fails when cancelled") from task.exception()
    assert over or task.cancelled(), "write_stock swallows its cancellation"
    yield over


class StockContract(ContractBase):
    """Writing and reading stock. Applies as far as `routes`, `reads_stock` and `lists_listings` say."""

    async def test_check_names_the_account_and_changes_nothing(self, stage: Stage) -> None:
        report = await stage.call(stage.channel.check())
        assert report.account
        assert report.key_expires_at is None or report.key_expires_at.tzinfo is not None
        assert report.account == (await stage.call(stage.open().check())).account
        assert {one.shown for one in stage.market.listings.values()} == {SHOWN}

    async def test_accepted_rows_of_every_form_change_what_is_shown(self, stage: Stage) -> None:
        for route in routes_of(stage):
            for form in sorted(route.forms):
                wanted = [0, 7, 1, SHOWN + 13][: route.max_rows]
                rows = [stage.row(i, form, quantity) for i, quantity in enumerate(wanted)]
                outcomes = await write_all(stage, rows, route)
                assert all(isinstance(one, Accepted) for one in outcomes.values()), f"{form.value}: {outcomes}"
                shown = [stage.shown(row.listing) for row in rows]
                assert shown == wanted, f"{route.name} {form.value}: shows {shown}, wanted {wanted}"
                self.assert_after(outcomes, wanted)
                untouched = stage.shown(self.listing_key(LISTINGS - 1))
                assert untouched == SHOWN, "a listing that was in no row changed"

    @staticmethod
    def assert_after(outcomes: dict[int, Accepted | Rejected], wanted: list[int]) -> None:
        for i, outcome in outcomes.items():
            after = outcome.quantity_after if isinstance(outcome, Accepted) else None
            assert after in (None, wanted[i]), f"row {i}: quantity_after {after}, the shop shows {wanted[i]}"

    async def test_mixed_forms_in_one_call_each_take_effect(self, stage: Stage) -> None:
        mixing = [route for route in routes_of(stage) if len(route.forms) > 1 and route.max_rows > 1]
        need(bool(mixing), "no write route takes two forms in one call")
        for route in mixing:
            forms = sorted(route.forms)
            rows = [stage.row(i, form, 20 + i) for i, form in enumerate(forms[: route.max_rows])]
            await write_all(stage, rows, route)
            assert [stage.shown(row.listing) for row in rows] == [20 + i for i in range(len(rows))]

    async def test_a_call_of_max_rows_is_taken_whole(self, stage: Stage) -> None:
        for route in bounded_routes_of(stage):
            stage.offer(route.max_rows)
            form = min(route.forms)
            rows = [stage.row(i, form, 3 + i % 5) for i in range(route.max_rows)]
            outcomes = await stage.write(rows, route)
            assert len(outcomes) == route.max_rows, f"only {len(outcomes)} of {route.max_rows} rows reported"
            assert [stage.shown(row.listing) for row in rows] == [3 + i % 5 for i in range(route.max_rows)]

    async def test_one_row_beyond_max_rows_is_never_lost_silently(self, stage: Stage) -> None:
        for route in bounded_routes_of(stage):
            stage.offer(route.max_rows + 1)
            form = min(route.forms)
            rows = [stage.row(i, form, 9) for i in range(route.max_rows + 1)]
            try:
                outcomes = await stage.write(rows, route)
            except ChannelError:
                continue
            accepted = [i for i, outcome in outcomes.items() if isinstance(outcome, Accepted)]
            silent = [i for i in accepted if stage.shown(rows[i].listing) != 9]
            assert not silent, f"rows {silent[:5]} were accepted and are not shown"

    async def test_stale_compare_and_set_is_rejected_as_stale(self, stage: Stage) -> None:
        for route, form in of_form(stage, Form.COMPARE_AND_SET):
            row = stage.row(0, form, 9, expected=SHOWN - 1)
            neighbour = stage.row(1, form, 8)
            outcomes = await write_all(stage, [row, neighbour][: route.max_rows], route)
            outcome = outcomes[0]
            assert isinstance(outcome, Rejected), f"accepted though the shop shows {SHOWN}, not {row.expected}"
            assert outcome.reason is Reason.STALE, f"{outcome}"
            assert stage.shown(row.listing) == SHOWN
            assert route.max_rows == 1 or stage.shown(neighbour.listing) == 8, "a stale row held its neighbour up"

    async def test_compare_and_set_without_expectation_is_a_plain_set(self, stage: Stage) -> None:
        for route, form in of_form(stage, Form.COMPARE_AND_SET):
            row = StockWrite(self.listing_key(0), form, 0, None)
            assert isinstance((await write_all(stage, [row], route))[0], Accepted)
            assert stage.shown(row.listing) == 0

    async def test_relative_below_zero_is_refused(self, stage: Stage) -> None:
        for route, form in of_form(stage, Form.RELATIVE_REFUSES):
            row = StockWrite(self.listing_key(0), form, -SHOWN - 1)
            outcome = (await write_all(stage, [row], route))[0]
            assert isinstance(outcome, Rejected), f"{outcome}"
            assert outcome.reason is Reason.BELOW_ZERO, f"{outcome}"
            assert stage.shown(row.listing) == SHOWN

    async def test_relative_below_zero_is_clamped(self, stage: Stage) -> None:
        for route, form in of_form(stage, Form.RELATIVE_CLAMPS):
            row = StockWrite(self.listing_key(0), form, -SHOWN - 1)
            await write_all(stage, [row], route)
            assert stage.shown(row.listing) == stage.market.floor

    async def test_unknown_listing_does_not_hold_up_its_neighbours(self, stage: Stage) -> None:
        for route in routes_of(stage):
            form = min(route.forms)
            unknown = self.listing_key(LISTINGS + 4321)
            rows = [stage.row(0, form, 11), StockWrite(unknown, form, 3), stage.row(1, form, 12)]
            outcomes = await write_all(stage, rows[: max(2, route.max_rows)], route)
            assert stage.shown(rows[0].listing) == 11
            assert route.max_rows < 3 or stage.shown(rows[2].listing) == 12
            if isinstance(outcomes[1], Accepted) and stage.capabilities.reads_stock:
                await stage.clock.advance(ORPHAN_SECONDS)
                read = await stage.call(stage.channel.read_stock([unknown]))
                assert unknown not in read, "a write to an unknown listing was accepted, and is read back a day later"

    async def test_same_rows_under_the_same_key_are_applied_once(self, stage: Stage) -> None:
        found = [route for route in routes_of(stage) if route.key_life_seconds > 0]
        need(bool(found), "key_life_seconds is 0: keys promise nothing")
        for route in found:
            for form in sorted(route.forms):
                key, row = stage.next_key(), stage.row(0, form, stage.shown(self.listing_key(0)) - 2)
                wanted = stage.shown(row.listing) - 2
                first = await stage.write([row], route, key=key)
                again = await stage.write([row], route, key=key)
                assert isinstance(first[0], Accepted)
                assert isinstance(again[0], Accepted), f"the repeat under the same key gave {again[0]}"
                assert stage.shown(row.listing) == wanted, f"{form.value}: shows {stage.shown(row.listing)}"

    async def test_cancellation_at_every_await_leaves_whole_rows(self, stage: Stage) -> None:
        for route in routes_of(stage):
            form = min(route.forms)
            for turns in range(TURNS_AT_MOST):
                await stage.clock.advance(3600)  # every budget is full again
                wanted = 10 + turns % 2
                rows = [stage.row(i, form, wanted) for i in range(min(3, route.max_rows))]
                before = [stage.shown(row.listing) for row in rows]
                async with cut_after(stage, rows, route, turns) as over:
                    await stage.settled()
                for row, was in zip(rows, before, strict=True):
                    assert stage.shown(row.listing) in (was, wanted), f"{row.listing} shows neither {was} nor {wanted}"
                if over:
                    break
            else:
                pytest.fail(f"write_stock took over {TURNS_AT_MOST} turns of the loop")
            final = [stage.row(i, form, 33) for i in range(min(3, route.max_rows))]
            await write_all(stage, final, route)
            assert {stage.shown(row.listing) for row in final} == {33}, "after cancellations it no longer works"

    async def test_results_not_known_yet_are_left_out(self, stage: Stage) -> None:
        later = [route for route in routes_of(stage) if route.later]
        need(bool(later), "no write route is declared later")
        for route in later:
            report = await stage.call(
                stage.channel.write_stock([stage.row(0, min(route.forms), 9)], route, stage.next_key())
            )
            receipts = [getattr(row, "receipt", "") for row in report.rows]
            assert all(receipts), f"a later route reported {report.rows} at once"
            assert report.unreported is Unreported.UNTOUCHED or not report.rows
            told = await stage.call(stage.channel.collect(receipts))
            assert told.keys() <= set(receipts)

    async def test_read_stock_shows_the_known_and_leaves_out_the_unknown(self, stage: Stage) -> None:
        need(stage.capabilities.reads_stock, NO_READS)
        known, unknown = self.listing_key(0), self.listing_key(LISTINGS + 4321)
        stage.market.hand_edit(known, 17)
        read = await stage.call(stage.channel.read_stock([known, unknown, self.listing_key(1)]))
        assert dict(read) == {known: 17, self.listing_key(1): SHOWN}

    async def test_read_stock_takes_read_rows_at_once(self, stage: Stage) -> None:
        need(stage.capabilities.reads_stock, NO_READS)
        count = min(stage.capabilities.read_rows, ROWS_TRIED_AT_MOST)
        keys = stage.offer(count)[:count]
        for i, key in enumerate(keys):
            stage.market.hand_edit(key, i % 91)
        read = await stage.call(stage.channel.read_stock(keys))
        assert dict(read) == {key: i % 91 for i, key in enumerate(keys)}

    async def test_read_stock_of_nothing_is_nothing(self, stage: Stage) -> None:
        need(stage.capabilities.reads_stock, NO_READS)
        assert dict(await stage.call(stage.channel.read_stock([]))) == {}

    async def test_listing_without_counted_stock_reads_as_none(self, stage: Stage) -> None:
        need(stage.capabilities.reads_stock, NO_READS)
        stage.market.listings[self.listing_key(2)].counted = False
        read = await stage.call(stage.channel.read_stock([self.listing_key(1), self.listing_key(2)]))
        assert read[self.listing_key(1)] == SHOWN
        assert read.get(self.listing_key(2)) is None

    async def test_every_listing_is_listed_once(self, stage: Stage) -> None:
        need(stage.capabilities.lists_listings, "lists_listings is off: listings cannot be listed")
        keys = stage.offer(137)

        async def everything() -> list[ListingInfo]:
            return [info async for info in stage.channel.list_listings()]

        infos = await stage.call(everything())
        assert sorted(info.key for info in infos) == sorted(keys)
        assert {info.quantity for info in infos} <= {SHOWN, None}
