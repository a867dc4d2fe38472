"""Contract: trouble. Every fault becomes the error that says what to do next, and no write is lost or doubled by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Channel, WriteReport, WriteRoute
from syncd.sdk.errors import (
    BrokenAnswer,
    ChannelError,
    Closed,
    InDoubt,
    SignInRequired,
    Throttled,
    TryAgain,
    Unavailable,
)
from syncd.sdk.http import NoLimit
from syncd.testing.contract_orders import MANY, NO_ORDERS, as_compared, buy_many
from syncd.testing.contract_stage import (
    MOST_PAGES,
    SHOWN,
    ContractBase,
    Stage,
    assert_no_secret,
    checked,
    need,
    truth_by_listing,
)
from syncd.testing.contract_stock import routes_of
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import RecordingLimiter

CALLS_PUSHED = 30
CALLS_UNTIL_THROTTLED = 400
FAILING = (FaultKind.LOST_BEFORE, FaultKind.GARBAGE, FaultKind.STATUS)
Call = Callable[[Channel], Awaitable[object]]


def named(error: ChannelError | None) -> str:
    return "no error" if error is None else f"{type(error).__name__}: {error}"


class FaultsContract(ContractBase):
    """Classing of trouble. Each part runs with the fault in the first inner call, in the second, and so on."""

    def reads_of(self, stage: Stage) -> Iterator[tuple[str, Call]]:
        """Every kind of call that changes nothing, as far as the capabilities have it."""
        yield "check", lambda channel: channel.check()
        if stage.capabilities.reads_orders:
            yield "fetch_orders", lambda channel: channel.fetch_orders(None)
        if stage.capabilities.reads_stock:
            yield "read_stock", lambda channel: channel.read_stock([self.listing_key(0)])
        if stage.capabilities.lists_listings:
            yield "list_listings", first_listing

    def writes_of(self, stage: Stage) -> Iterator[tuple[str, Call]]:
        for route in stage.capabilities.routes:
            yield f"write_stock by {route.name}", self.one_row(stage, route)

    def one_row(self, stage: Stage, route: WriteRoute) -> Callable[[Channel], Awaitable[WriteReport]]:
        """A call that writes one row: the number shown now and one less, by turns."""

        def write(channel: Channel) -> Awaitable[WriteReport]:
            wanted = SHOWN - 1 if stage.shown(self.listing_key(0)) == SHOWN else SHOWN
            return channel.write_stock([stage.row(0, min(route.forms), wanted)], route, stage.next_key())

        return write

    async def swept_writes(
        self, stage: Stage, kind: FaultKind, allowed: tuple[type[ChannelError], ...], **fault: Any
    ) -> list[ChannelError]:
        """The errors of a write under a fault, each proven honest: what took effect is in doubt, never denied."""
        errors: list[ChannelError] = []
        for route in routes_of(stage):
            before = stage.shown(self.listing_key(0))
            async for report, error in stage.sweep(kind, self.one_row(stage, route), **fault):
                await stage.settled()
                changed = stage.shown(self.listing_key(0)) != before
                before = stage.shown(self.listing_key(0))
                if error is None:
                    self.assert_honest(report, changed, later=route.later)
                    continue
                assert isinstance(error, allowed), f"{route.name} under {kind.value}: {named(error)}"
                denied = changed and not isinstance(error, InDoubt | BrokenAnswer)
                assert not denied, f"{route.name}: the write took effect, the error says it did not: {named(error)}"
                errors.append(error)
        need(stage.hits > 0, f"the emulator does not play {kind.value}")
        return errors

    @staticmethod
    def assert_honest(report: object, changed: bool, *, later: bool) -> None:
        """A report given in spite of a fault says what happened."""
        outcomes = checked(report, 1)
        accepted = isinstance(outcomes.get(0), Accepted)
        assert later or accepted == changed, f"{report} though the shop's number {'changed' if changed else 'stayed'}"

    # -- writes ---------------------------------------------------------------------------------------------

    async def test_answer_lost_after_a_write_took_effect_is_in_doubt(self, stage: Stage) -> None:
        errors = await self.swept_writes(stage, FaultKind.LOST_AFTER, (InDoubt, TryAgain))
        assert any(isinstance(error, InDoubt) for error in errors), f"never in doubt: {[named(e) for e in errors]}"

    async def test_connection_lost_before_a_write_is_in_doubt_or_tried_again(self, stage: Stage) -> None:
        errors = await self.swept_writes(stage, FaultKind.LOST_BEFORE, (InDoubt, TryAgain))
        assert errors

    async def test_write_that_times_out_is_in_doubt(self, stage: Stage) -> None:
        errors = await self.swept_writes(stage, FaultKind.LATENCY, (InDoubt, TryAgain), seconds=3600.0)
        assert any(isinstance(error, InDoubt) for error in errors), f"never in doubt: {[named(e) for e in errors]}"

    async def test_server_error_on_a_write_is_in_doubt_or_tried_again(self, stage: Stage) -> None:
        errors = await self.swept_writes(stage, FaultKind.STATUS, (InDoubt, TryAgain), status=500)
        assert errors

    @pytest.mark.parametrize("kind", [FaultKind.GARBAGE, FaultKind.GARBAGE_AFTER, FaultKind.CUT_OFF])
    async def test_garbage_for_a_write_is_a_broken_answer_or_in_doubt(self, stage: Stage, kind: FaultKind) -> None:
        errors = await self.swept_writes(stage, kind, (BrokenAnswer, InDoubt))
        assert errors or kind is FaultKind.CUT_OFF  # an empty body cannot be cut

    @pytest.mark.parametrize("after", [None, 7.0])
    async def test_throttled_write_says_so_and_changes_nothing(self, stage: Stage, after: float | None) -> None:
        errors = await self.swept_writes(stage, FaultKind.STATUS, (Throttled,), status=429, retry_after=after)
        assert errors
        told = {error.after_seconds for error in errors if isinstance(error, Throttled)}
        assert after is None or told == {after}, f"Retry-After: {after:g}, the error says {told}"

    # -- reads ----------------------------------------------------------------------------------------------

    async def swept_reads(self, stage: Stage, kind: FaultKind, allowed: type[ChannelError], **fault: Any) -> None:
        for name, call in self.reads_of(stage):
            async for answer, error in stage.sweep(kind, call, **fault):
                right = isinstance(error, allowed)
                assert right, f"{name} under {kind.value}: {named(error)}, answer {answer!r:.200}"
        need(stage.hits > 0, f"the emulator does not play {kind.value}")

    async def test_read_that_times_out_is_unavailable(self, stage: Stage) -> None:
        await self.swept_reads(stage, FaultKind.LATENCY, Unavailable, seconds=3600.0)

    async def test_lost_connection_of_a_read_is_unavailable(self, stage: Stage) -> None:
        await self.swept_reads(stage, FaultKind.LOST_BEFORE, Unavailable)

    async def test_server_error_on_a_read_is_tried_again(self, stage: Stage) -> None:
        await self.swept_reads(stage, FaultKind.STATUS, TryAgain, status=500)

    async def test_throttled_read_says_so(self, stage: Stage) -> None:
        await self.swept_reads(stage, FaultKind.STATUS, Throttled, status=429)

    async def test_garbage_for_a_read_is_a_broken_answer(self, stage: Stage) -> None:
        await self.swept_reads(stage, FaultKind.GARBAGE, BrokenAnswer)

    async def test_orders_cut_off_are_a_broken_answer_never_a_shorter_page(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        buy_many(stage, 5)
        await stage.settled()
        whole = as_compared(list((await stage.page(stage.cursor, stage.open())).states))
        assert whole
        async for page, error in stage.sweep(FaultKind.CUT_OFF, lambda channel: channel.fetch_orders(stage.cursor)):
            if page is not None:
                assert as_compared(list(page.states)) == whole, "a cut-off answer gave another page"
                assert not page.problems
            else:
                assert isinstance(error, BrokenAnswer), named(error)
        need(stage.hits > 0, "the emulator does not cut answers off")

    async def test_pages_go_on_after_every_kind_of_failed_call(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        orders = buy_many(stage, MANY)
        await stage.settled()
        for n in range(MOST_PAGES):
            stage.emulator.faults.script[:] = [Fault("*", FAILING[n % len(FAILING)], skip=n % 3)]
            try:
                page = await stage.page(stage.cursor)
            except ChannelError:
                stage.emulator.faults.script.clear()
                page = await stage.page(stage.cursor)
            stage.emulator.faults.script.clear()
            stage.keep(page.states)
            stage.cursor = page.cursor
            if page.acknowledge is not None:
                await stage.call(page.acknowledge())
            if not page.more:
                break
        await stage.poll_until(lambda: False, within_seconds=stage.capabilities.poll_seconds)
        assert stage.shown_orders() == {self.order_number(order): truth_by_listing(order) for order in orders}

    # -- the shop as a whole --------------------------------------------------------------------------------

    async def test_dead_key_asks_for_a_sign_in_on_every_call(self, stage: Stage) -> None:
        stage.emulator.key_works = False
        for name, call in [*self.reads_of(stage), *self.writes_of(stage)]:
            error = await stage.failure(call(stage.channel))
            assert isinstance(error, SignInRequired), f"{name}: {named(error)}"
        assert stage.shown(self.listing_key(0)) == SHOWN

    async def test_key_that_dies_and_is_renewed_works_again(self, stage: Stage) -> None:
        await stage.call(stage.channel.check())
        stage.emulator.key_works = False
        assert isinstance(await stage.failure(stage.channel.check()), SignInRequired)
        stage.emulator.key_works = True
        assert (await stage.call(stage.open().check())).account

    async def test_maintenance_is_closed_or_unavailable(self, stage: Stage) -> None:
        stage.emulator.maintenance = True
        for name, call in self.reads_of(stage):
            error = await stage.failure(call(stage.channel))
            assert isinstance(error, Closed | Unavailable), f"{name}: {named(error)}"
            until = error.until if isinstance(error, Closed) else None
            assert until is None or until.tzinfo is not None, f"{name}: until is naive"
        for name, call in self.writes_of(stage):  # a bare 503 does not prove that nothing was done
            error = await stage.failure(call(stage.channel))
            assert isinstance(error, Closed | Unavailable | InDoubt), f"{name}: {named(error)}"
        stage.emulator.maintenance = False
        await stage.clock.advance(3600)
        assert (await stage.call(stage.channel.check())).account
        assert stage.shown(self.listing_key(0)) == SHOWN

    async def test_calls_beyond_the_documented_rate_are_throttled(self, stage: Stage) -> None:
        need(bool(stage.emulator.rates), "the emulator judges no rate")
        for name, call in [*self.reads_of(stage), *self.writes_of(stage)]:
            await stage.clock.advance(3600)
            before, channel = stage.emulator.violations, stage.open(limiter=NoLimit())
            error: ChannelError | None = None
            for _ in range(CALLS_UNTIL_THROTTLED):
                try:
                    await stage.call(call(channel))
                except ChannelError as raised:
                    error = raised
                    break
            excess = stage.emulator.violations - before
            assert error is None or isinstance(error, Throttled), f"{name}: {named(error)}"
            assert error is not None or not excess, f"{name}: {excess} calls were refused for speed, silently"

    async def test_calls_wait_for_the_budget_of_their_declared_operation(self, stage: Stage) -> None:
        need(bool(stage.capabilities.budgets), "no budgets: this channel documents no rate")
        budgeted = frozenset().union(*(budget.operations for budget in stage.capabilities.budgets))
        expected = {f"write_stock by {route.name}": route.operation for route in stage.capabilities.routes}
        expected["read_stock"] = stage.capabilities.read_operation
        for name, call in [*self.reads_of(stage), *self.writes_of(stage)]:
            limiter = RecordingLimiter()
            await stage.clock.advance(3600)
            await stage.call(call(stage.open(limiter=limiter)))
            acquired = {operation for operation, _ in limiter.acquired}
            assert acquired, f"{name} waited for no budget"
            operation = expected.get(name)
            assert operation in {None, ""} | acquired, f"{name} is declared as {operation}, waited for {acquired}"
            assert operation not in acquired or operation in budgeted, f"{name}: {operation} has no budget"

    async def test_declared_budgets_keep_within_the_documented_rate(self, stage: Stage) -> None:
        for name, call in [*self.reads_of(stage), *self.writes_of(stage)]:
            channel = stage.open()
            for _ in range(CALLS_PUSHED):
                await stage.call(call(channel))
            assert stage.emulator.violations == 0, f"{name}: beyond the rate with the declared budgets kept"


class QuirksContract(ContractBase):
    """Every setting of what the fact sheet calls not confirmed: a right answer or an error, never a wrong silence."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "quirk" in metafunc.fixturenames:
            every = [(name, setting) for name, settings in self.emulator_type.quirks.items() for setting in settings]
            every = every or [("", "")]  # a skip that says why, instead of an empty list of tests
            metafunc.parametrize("quirk", every, ids=[f"{name}={setting}" for name, setting in every])

    async def test_survives_every_setting_of_what_is_not_confirmed(
        self, quirk: tuple[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        name, setting = quirk
        need(bool(name), "the emulator has no quirks: the fact sheet leaves nothing open")
        stage = self.build(**{name: setting})
        if stage.capabilities.reads_orders:
            await self.orders_survive(stage)
        for route in stage.capabilities.routes:
            await self.write_survives(stage, route)
        if stage.capabilities.reads_stock:
            await self.read_survives(stage)
        await stage.close()
        assert_no_secret(stage.emulator.settings(), stage.errors, caplog.text)

    async def orders_survive(self, stage: Stage) -> None:
        """Orders come in exactly, or the channel says that it cannot understand them."""
        try:
            await stage.poll()
            orders = buy_many(stage, 5)
            await stage.clock.advance(stage.capabilities.poll_seconds)
            await stage.poll_until(lambda: len(stage.seen) >= 5, within_seconds=5 * stage.capabilities.poll_seconds)
        except ChannelError:
            return
        truth = {self.order_number(order): order for order in orders}
        assert stage.shown_orders() == {number: truth_by_listing(order) for number, order in truth.items()}

    async def write_survives(self, stage: Stage, route: WriteRoute) -> None:
        row = stage.row(0, min(route.forms), 21)
        try:
            outcomes = await stage.write([row], route)
        except ChannelError:
            return
        assert not isinstance(outcomes.get(0), Accepted) or stage.shown(row.listing) == 21

    async def read_survives(self, stage: Stage) -> None:
        key = self.listing_key(1)
        try:
            read = await stage.call(stage.channel.read_stock([key]))
        except ChannelError:
            return
        assert read.get(key, stage.shown(key)) == stage.shown(key)


async def first_listing(channel: Channel) -> object:
    """The first listing, as a call."""
    async for info in channel.list_listings():
        return info
    return None
