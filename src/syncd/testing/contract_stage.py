"""The stage of a contract test: one world, one market, its emulator, and the channel under test before it."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import pytest
from pydantic import BaseModel, SecretStr

from syncd.model import LineState, OrderState
from syncd.sdk.channel import (
    Accepted,
    Capabilities,
    Channel,
    Cursor,
    Form,
    OrderPage,
    Pending,
    Rejected,
    StockWrite,
    Unreported,
    WriteReport,
    WriteRoute,
)
from syncd.sdk.errors import ChannelError
from syncd.sdk.grants import Grants
from syncd.sdk.http import Limiter
from syncd.testing.emulator import Emulator, Fault, FaultKind
from syncd.testing.fakes import BudgetLimiter, ManualClock, open_channel, run_until
from syncd.testing.world import Market, TruthLine, TruthOrder, World

T = TypeVar("T")
Counted = dict[str, tuple[int, int]]  # listing -> units kept (ordered − cancelled), units shipped
Work = Callable[[Channel], Awaitable[T]]

LISTINGS = 12
SHOWN = 50
MOST_PAGES = 1000
MOST_HITS = 40
RESULTS_WITHIN_SECONDS = (0, 1, 4, 10, 15, 30, 60, 120, 240, 600, 600, 1200, 3600, 7200, 86_400)


@dataclass(slots=True)
class Stage:
    """Everything a contract test touches. Calls to the channel go through `call` or `failure`."""

    contract: ContractBase
    clock: ManualClock
    world: World
    market: Market
    emulator: Emulator
    limiter: BudgetLimiter
    channel: Channel = field(init=False)
    errors: list[BaseException] = field(default_factory=list)
    seen: dict[str, OrderState] = field(default_factory=dict)
    cursor: Cursor | None = None
    seen_until: datetime | None = None
    opened: list[Channel] = field(default_factory=list)
    keys: int = 0
    hits: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return self.channel.capabilities

    # -- calls ---------------------------------------------------------------------------------------------

    async def call(self, work: Awaitable[T]) -> T:
        """Await the channel's answer, moving time as needed. Its errors are kept for the search for secrets."""
        try:
            return await run_until(self.clock, work)
        except Exception as error:  # kept and raised on, whatever it is
            self.errors.append(error)
            raise

    async def failure(self, work: Awaitable[object]) -> ChannelError:
        """The ChannelError that a call must end with."""
        try:
            answer = await self.call(work)
        except ChannelError as error:
            return error
        raise AssertionError(f"no error, but {answer!r:.300}")

    def open(self, *, limiter: Limiter | None = None, grants: Grants | None = None) -> Channel:
        """Another object of the same shop, as after a restart; it knows grants only where they are handed in."""
        channel = open_channel(
            self.contract.channel_type,
            self.emulator,
            open_orders=self.open_orders,
            limiter=limiter or self.limiter,
            grants=grants,
        )
        self.limiter.budgets = channel.capabilities.budgets
        self.opened.append(channel)
        return channel

    async def open_orders(self) -> Sequence[str]:
        """Numbers of the orders seen so far that still hold stock, oldest first."""
        return [number for number, state in self.seen.items() if any(line.counts.held for line in state.lines)]

    async def sweep(
        self, kind: FaultKind, work: Work[T], **fault: Any
    ) -> AsyncIterator[tuple[T | None, ChannelError | None]]:
        """Run the work with the fault in its first inner call, then in its second, … until it no longer hits.

        Yields what each run gave: the answer or the error. Each run has a fresh channel object.
        """
        for skip in range(MOST_HITS):
            planned = Fault("*", kind, skip=skip, **fault)
            self.emulator.faults.script[:] = [planned]
            channel = self.open()
            answer: T | None = None
            error: ChannelError | None = None
            try:
                answer = await self.call(work(channel))
            except ChannelError as raised:
                error = raised
            finally:
                self.emulator.faults.script.clear()
            if planned.times:
                return
            self.hits += 1
            yield answer, error

    async def close(self) -> None:
        for channel in self.opened:
            await self.call(channel.aclose())

    # -- orders ---------------------------------------------------------------------------------------------

    async def page(self, cursor: Cursor | None, channel: Channel | None = None) -> OrderPage:
        """One page, its cursor proven to survive JSON."""
        page = await self.call((channel or self.channel).fetch_orders(stored(cursor)))
        assert isinstance(page, OrderPage), f"fetch_orders gave {page!r:.200}"
        assert stored(page.cursor) is not None, "fetch_orders gave no cursor"
        until = page.seen_until
        assert until is None or until.tzinfo is not None, "seen_until is naive"
        self.seen_until = until
        return page

    async def drain(self, cursor: Cursor | None, *, acknowledge: bool = True) -> tuple[list[OrderState], Cursor | None]:
        """All pages from a cursor on, as the core reads them."""
        states: list[OrderState] = []
        for _ in range(MOST_PAGES):
            page = await self.page(cursor)
            assert not page.problems, f"problems: {page.problems}"
            states += page.states
            cursor = page.cursor
            if acknowledge and page.acknowledge is not None:
                await self.call(page.acknowledge())
            if not page.more:
                return states, cursor
        raise AssertionError(f"more = True for {MOST_PAGES} pages")

    async def poll(self) -> list[OrderState]:
        """One poll of the core: all pages, kept as seen, cursor moved on, acknowledged."""
        self.emulator.settle()
        began = self.clock.now()
        states, self.cursor = await self.drain(self.cursor)
        self.keep(states)
        self.assert_watermark(began)
        return states

    def keep(self, states: Iterable[OrderState]) -> None:
        """Take states over as the core does: an older `as_of` is ignored."""
        for state in states:
            known = self.seen.get(state.number)
            if known is None or known.as_of is None or state.as_of is None or state.as_of >= known.as_of:
                self.seen[state.number] = state

    def shown_orders(self) -> dict[str, Counted]:
        """Counts by listing of every order as last seen."""
        return {number: counts_by_listing(state) for number, state in self.seen.items()}

    def assert_watermark(self, began: datetime) -> None:
        """What a poll promises to have shown was shown: all up to `seen_until`, or up to the visibility bound."""
        bound = timedelta(seconds=self.capabilities.visibility_seconds)
        until = self.seen_until or began - bound
        for order in self.market.orders.values():
            shown = order.placed_at >= until or self.contract.order_number(order) in self.seen
            said = "seen_until" if self.seen_until else "visibility_seconds"
            assert shown, f"order {order.number} of {order.placed_at} was never shown, though {said} says {until}"

    async def poll_until(self, done: Callable[[], bool], *, within_seconds: float) -> None:
        """Poll at the declared interval until `done`, or until the time is over."""
        until = self.clock.monotonic() + within_seconds
        while True:
            await self.poll()
            if done() or self.clock.monotonic() >= until:
                return
            await self.clock.advance(self.capabilities.poll_seconds)

    # -- stock ----------------------------------------------------------------------------------------------

    def next_key(self) -> str:
        self.keys += 1
        return f"00000000-0000-4000-8000-{self.keys:012d}"

    def row(self, index: int, form: Form, quantity: int, *, expected: int | None = None) -> StockWrite:
        """A row that brings a listing to `quantity` in whatever form."""
        key = self.contract.listing_key(index)
        now = self.market.listings[key].shown if key in self.market.listings else 0
        if form.is_relative:
            return StockWrite(key, form, quantity - now)
        if form is Form.COMPARE_AND_SET:
            return StockWrite(key, form, quantity, now if expected is None else expected)
        return StockWrite(key, form, quantity)

    def shown(self, key: str) -> int:
        return self.market.listings[key].shown

    def offer(self, count: int) -> list[str]:
        """Have at least so many listings on sale; their keys."""
        keys = [self.contract.listing_key(i) for i in range(count)]
        for i, key in enumerate(keys):
            if key not in self.market.listings:
                self.world.stock(f"SKU-{i}", 100_000)
                self.market.offer(key, f"SKU-{i}", shown=SHOWN)
        return keys

    async def write(
        self, rows: Sequence[StockWrite], route: WriteRoute, channel: Channel | None = None, key: str | None = None
    ) -> dict[int, Accepted | Rejected]:
        """Write once and wait for results that come later. Indexes in no report are left out of the answer."""
        channel = channel or self.channel
        before = {key: listing.shown for key, listing in self.market.listings.items()}
        report = await self.call(channel.write_stock(rows, route, key or self.next_key()))
        outcomes = checked(report, len(rows))
        results = {i: row for i, row in outcomes.items() if not isinstance(row, Pending)}
        waiting = {row.receipt: i for i, row in outcomes.items() if isinstance(row, Pending)}
        assert not waiting or route.later, f"route {route.name} gave receipts but is not declared later"
        began = self.clock.monotonic()
        for seconds in RESULTS_WITHIN_SECONDS:
            await self.clock.advance(seconds)
            self.emulator.settle()
            if not waiting:
                break
            took = self.clock.monotonic() - began
            said = f"{route.name} declares {route.longest_wait_seconds:g} s for its results"
            assert took <= route.longest_wait_seconds, f"{said}, and gave none for {len(waiting)} rows in {took:g} s"
            told = await self.call(channel.collect(list(waiting)))
            for receipt, result in told.items():
                assert receipt in waiting, f"collect answered for {receipt!r}, which was not asked"
                results[waiting.pop(receipt)] = result
        assert not waiting, f"no result for {waiting} in {sum(RESULTS_WITHIN_SECONDS)} s"
        if report.unreported is Unreported.UNTOUCHED:
            for i in set(range(len(rows))) - outcomes.keys():
                known = rows[i].listing in before
                kept = not known or self.shown(rows[i].listing) == before[rows[i].listing]
                assert kept, f"row {i} was applied but stands in no report"
        return results

    async def settled(self) -> None:
        """Give the mall the time to do what it was sent."""
        for seconds in RESULTS_WITHIN_SECONDS[:11]:
            await self.clock.advance(seconds)
            self.emulator.settle()


class ContractBase:
    """What a plugin's test class names, and how its stage is set."""

    channel_type: ClassVar[type[Channel]]
    emulator_type: ClassVar[type[Emulator]]
    pytestmark: ClassVar[Any] = pytest.mark.anyio

    def listing_key(self, i: int) -> str:
        """The i-th valid listing key on this channel."""
        raise AssertionError("the test class has to define listing_key")

    def order_number(self, order: TruthOrder) -> str:
        """The number under which the channel gives an order; the market's own unless a plugin says otherwise."""
        return order.number

    def build(self, **quirks: str) -> Stage:
        """A world with one market of this channel and a dozen listings."""
        clock = ManualClock()
        world = World(clock.now)
        market = world.market("test")
        for i in range(LISTINGS):
            world.stock(f"SKU-{i}", 100_000)
            market.offer(self.listing_key(i), f"SKU-{i}", shown=SHOWN)
        settings: dict[str, Any] = dict(quirks)
        emulator = self.emulator_type(world, market, clock, **settings)
        limiter = BudgetLimiter(clock)
        stage = Stage(self, clock, world, market, emulator, limiter)
        stage.channel = stage.open()
        return stage

    @pytest.fixture
    async def stage(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Stage]:
        caplog.set_level(logging.DEBUG)
        stage = self.build()
        yield stage
        await stage.close()
        records = [*caplog.get_records("setup"), *caplog.get_records("call")]  # caplog.text is the teardown's own
        log = "\n".join(record.getMessage() for record in records) + "".join(capsys.readouterr())
        assert_no_secret(stage.emulator.settings(), stage.errors, log)


def need(fact: bool, sentence: str) -> None:
    """Skip a part of the contract that a declared capability rules out."""
    if not fact:
        pytest.skip(sentence)


def stored(cursor: Cursor | None) -> Cursor | None:
    """A cursor as it comes back from the store."""
    if cursor is None:
        return None
    try:
        back: Cursor = json.loads(json.dumps(dict(cursor)))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the cursor is not JSON-able: {error}") from None
    return back


def checked(report: object, rows: int) -> dict[int, Accepted | Rejected | Pending]:
    """A report by index, after proof that each index is one of the rows and named once."""
    assert isinstance(report, WriteReport), f"write_stock gave {report!r:.200}"
    outcomes: dict[int, Accepted | Rejected | Pending] = {}
    for row in report.rows:
        assert isinstance(row, Accepted | Rejected | Pending), f"a report holds {row!r:.200}"
        assert 0 <= row.index < rows, f"index {row.index} of {rows} rows"
        assert row.index not in outcomes, f"index {row.index} reported twice"
        outcomes[row.index] = row
    return outcomes


def counts_by_listing(state: OrderState) -> Counted:
    """Units kept (ordered − cancelled) and shipped per listing of a state.

    Malls without a count of cancelled units show a smaller order instead, or no line at all: both are right.
    """
    return _kept_and_shipped(state.lines)


def truth_by_listing(order: TruthOrder) -> Counted:
    """The same of the order as the mall has it."""
    return _kept_and_shipped(order.lines)


def _kept_and_shipped(lines: Iterable[LineState | TruthLine]) -> Counted:
    sums: dict[str, Counter[str]] = {}
    for line in lines:
        sums.setdefault(line.listing, Counter()).update(kept=line.ordered - line.cancelled, shipped=line.shipped)
    return {key: (n["kept"], n["shipped"]) for key, n in sums.items() if any(n.values())}


def secrets_in(value: object) -> Iterable[str]:
    """Every secret in a settings table, however deep."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from secrets_in(dict(value))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner)


def texts_of(error: BaseException | None) -> Iterable[str]:
    """The texts of an error and of all that it stems from."""
    while error is not None:
        yield f"{error} {error!r}"
        if error.__cause__ is not None and error.__cause__ is not error.__context__:
            yield from texts_of(error.__cause__)
        error = error.__context__


def assert_no_secret(settings: Mapping[str, object], errors: Iterable[BaseException], log: str) -> None:
    """No secret of the settings stands in an error's text or in the log."""
    for secret in filter(None, secrets_in(settings)):
        assert secret not in log, "a secret reached the log"
        for error in errors:
            for text in texts_of(error):
                assert secret not in text, f"a secret stands in the text of a {type(error).__name__}"
