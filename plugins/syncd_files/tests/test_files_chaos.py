"""Whatever breaks, and whenever we stop: every order is told, and in the end every number is shown."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest

from syncd.model import OrderState
from syncd.sdk.channel import Accepted, Channel, Cursor, Form, Pending, Rejected, StockWrite
from syncd.sdk.errors import ChannelError, InDoubt
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import ManualClock, open_channel, run_until
from syncd.testing.world import TruthOrder, World
from syncd_files.channel import FilesChannel
from syncd_files.emulator import FilesEmulator

pytestmark = pytest.mark.anyio

KEYS = ("a", "b", "靴～1")
KINDS = (FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.CUT_OFF, FaultKind.STATUS, FaultKind.GARBAGE)
OPERATIONS = ("list", "read", "write", "rename", "remove")


class Storm:
    """A mall under random faults, and a core that crashes now and then."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        quirks = {name: self.random.choice(settings) for name, settings in FilesEmulator.quirks.items()}
        quirks |= {"consumes": self.random.choice(("at_once", "after_a_while")), "order_lines": "counts"}
        if quirks["rename"] == "missing":  # half a file imported before anybody can look at its size: nobody can tell
            quirks["half_files"] = "waits_for_the_end"
        self.clock = ManualClock()
        self.world = World(self.clock.now)
        self.market = self.world.market("mall")
        for key in KEYS:
            self.world.stock(key, 10_000)
            self.market.offer(key, key, shown=500)
        self.emulator = FilesEmulator(
            self.world, self.market, self.clock, seed=seed, export_seconds=self.random.choice((0.0, 60.0)), **quirks
        )
        self.channel: Channel = open_channel(FilesChannel, self.emulator)
        self.cursor: Cursor | None = None
        self.booked: dict[str, OrderState] = {}

    def break_something(self) -> None:
        operation = self.random.choice(OPERATIONS)
        skip = self.random.randrange(3) if operation == "list" else 0
        self.emulator.faults.script[:] = [Fault(operation, self.random.choice(KINDS), skip=skip)]

    def buy_or_change(self) -> None:
        """A buyer comes, or an order is cancelled or shipped."""
        order = self.random.choice(list(self.market.orders.values())) if self.market.orders else None
        if order is None or self.random.random() < 0.5:
            self.market.buy({key: self.random.randint(1, 3) for key in self.random.sample(KEYS, 2)})
        elif self.random.random() < 0.5:
            self.market.cancel(order.number, {"1": 1})
        else:
            self.market.ship(order.number)

    async def poll(self) -> None:
        """One poll; the core may crash before the commit, or between the commit and the acknowledgement."""
        try:
            page = await run_until(self.clock, self.channel.fetch_orders(self.cursor))
            if self.random.random() < 0.2:
                self.channel = open_channel(FilesChannel, self.emulator)
                return
            assert page.problems == ()
            self.book(page.states)
            self.cursor = page.cursor
            if page.acknowledge is not None and self.random.random() < 0.8:
                await run_until(self.clock, page.acknowledge())
        except ChannelError:
            return

    def book(self, states: Sequence[OrderState]) -> None:
        for state in states:
            known = self.booked.get(state.number)
            assert state.as_of is not None
            if known is None or known.as_of is None or state.as_of >= known.as_of:
                self.booked[state.number] = state

    async def write(self, wanted: Mapping[str, int]) -> set[str]:
        """Write what is wanted; the listings that the shop took for certain."""
        [route] = self.channel.capabilities.routes
        rows = [StockWrite(key, Form.ABSOLUTE, quantity) for key, quantity in wanted.items()]
        try:
            report = await run_until(self.clock, self.channel.write_stock(rows, route, "key"))
        except ChannelError as error:
            if isinstance(error, InDoubt):
                await self.clock.advance(route.dead_after_seconds)
                self.emulator.settle()
            return set()
        waiting = {row.receipt: rows[row.index].listing for row in report.rows if isinstance(row, Pending)}
        results: dict[str, Accepted | Rejected] = {}
        for _ in range(20):
            await self.clock.advance(15)
            self.emulator.settle()
            try:
                results |= await run_until(self.clock, self.channel.collect([*waiting.keys() - results.keys()]))
            except ChannelError:
                continue
        return {waiting[receipt] for receipt, result in results.items() if isinstance(result, Accepted)}


def counts(order: TruthOrder) -> list[tuple[str, int, int, int]]:
    return [(line.listing, line.ordered, line.cancelled, line.shipped) for line in order.lines]


@pytest.mark.parametrize("seed", range(30))
async def test_every_order_is_told_as_it_is_in_the_end(seed: int) -> None:
    storm = Storm(seed)
    for _ in range(40):
        if storm.random.random() < 0.4:
            storm.break_something()
        storm.buy_or_change()
        await storm.clock.advance(storm.random.choice((1, 5, 20)))
        await storm.poll()
    storm.emulator.faults.script.clear()
    for _ in range(30):
        await storm.clock.advance(15)
        await storm.poll()
    told = {
        number: [(one.listing, one.ordered, one.cancelled, one.shipped) for one in state.lines]
        for number, state in storm.booked.items()
    }
    assert told == {number: counts(order) for number, order in storm.market.orders.items()}


@pytest.mark.parametrize("seed", range(30))
async def test_what_was_accepted_is_shown(seed: int) -> None:
    storm = Storm(seed)
    for n in range(12):
        if storm.random.random() < 0.7:
            storm.break_something()
        wanted = {key: 10 * n + i for i, key in enumerate(KEYS)}
        for key in await storm.write(wanted):
            assert storm.market.listings[key].shown == wanted[key]
    storm.emulator.faults.script.clear()
    await storm.clock.advance(1200)
    storm.emulator.settle()
    assert await storm.write(dict.fromkeys(KEYS, 7)) == set(KEYS)
    assert {storm.market.listings[key].shown for key in KEYS} == {7}
