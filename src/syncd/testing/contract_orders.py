"""Contract: orders in. Every order a channel shows is found, exactly, whatever repeats, comes late or crashes."""

from __future__ import annotations

from datetime import timedelta

from syncd.model import OrderState
from syncd.testing.contract_stage import (
    MOST_PAGES,
    ContractBase,
    Counted,
    Stage,
    counts_by_listing,
    need,
    truth_by_listing,
)
from syncd.testing.world import TruthOrder

MANY = 130
LATE_POLLS = 3
OUTAGE_HALF_DAYS = 8
NO_ORDERS = "reads_orders is off: this channel shows no orders"


def buy_many(stage: Stage, count: int) -> list[TruthOrder]:
    """So many orders of one to three lines, all at the present time."""
    keys = stage.offer(6)
    for key in keys:
        stage.market.listings[key].shown += 3 * count
    orders = []
    for n in range(count):
        lines = {keys[(n + i) % len(keys)]: 1 + (n + i) % 3 for i in range(1 + n % 3)}
        order = stage.market.buy(lines)
        assert order is not None
        orders.append(order)
    return orders


def as_compared(states: list[OrderState]) -> dict[str, Counted]:
    return {state.number: counts_by_listing(state) for state in states}


class OrdersContract(ContractBase):
    """Finding orders. Applies to every channel that reads orders."""

    def assert_found(self, stage: Stage, orders: list[TruthOrder]) -> None:
        """Each order was found with the right lines, counts and an aware time, and nothing was invented."""
        truth = {self.order_number(order): order for order in orders}
        missing = truth.keys() - stage.seen.keys()
        assert not missing, f"{len(missing)} of {len(truth)} orders were never shown: {sorted(missing)[:5]}"
        every = {self.order_number(order) for order in stage.market.orders.values()}
        assert stage.seen.keys() <= every, f"invented: {sorted(stage.seen.keys() - every)[:5]}"
        for number, order in truth.items():
            state = stage.seen[number]
            assert isinstance(state, OrderState)
            found, right = counts_by_listing(state), truth_by_listing(order)
            assert found == right, f"order {number}: {found}, the mall has {right}"
            assert len({line.line for line in state.lines}) == len(state.lines), f"order {number}: a line twice"
            self.assert_times(state, order)

    @staticmethod
    def assert_times(state: OrderState, order: TruthOrder) -> None:
        for name in ("placed_at", "as_of", "shipped_at"):
            moment = getattr(state, name)
            assert moment is None or moment.tzinfo is not None, f"order {state.number}: {name} is naive"
        if state.placed_at is not None:  # a minute of grain is the coarsest a sheet documents
            off = abs(state.placed_at - order.placed_at)
            assert off <= timedelta(seconds=60), f"order {state.number}: placed_at is off by {off}"

    async def test_first_read_without_a_cursor_works_on_an_empty_shop(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        assert await stage.poll() == []
        assert stage.cursor is not None

    async def test_many_orders_over_several_pages_are_found_exactly(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        orders: list[TruthOrder] = []
        for _ in range(MANY // 10):
            orders += buy_many(stage, 10)
            await stage.clock.advance(1)
        await stage.poll_until(
            lambda: len(stage.seen) >= len(orders), within_seconds=LATE_POLLS * stage.capabilities.poll_seconds
        )
        self.assert_found(stage, orders)

    async def test_orders_of_one_instant_lose_nothing_at_a_page_boundary(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        orders = buy_many(stage, MANY)
        await stage.poll_until(
            lambda: len(stage.seen) >= len(orders), within_seconds=LATE_POLLS * stage.capabilities.poll_seconds
        )
        self.assert_found(stage, orders)

    async def test_orders_placed_between_polls_are_found_poll_by_poll(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        orders: list[TruthOrder] = []
        for _ in range(6):
            orders += buy_many(stage, 2)
            await stage.clock.advance(stage.capabilities.poll_seconds / 2)
            await stage.poll()
            await stage.clock.advance(stage.capabilities.poll_seconds / 2)
        await stage.poll_until(
            lambda: len(stage.seen) >= len(orders), within_seconds=LATE_POLLS * stage.capabilities.poll_seconds
        )
        self.assert_found(stage, orders)

    async def test_same_cursor_gives_the_same_states_again(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        buy_many(stage, 7)
        await stage.settled()
        first, _ = await stage.drain(stage.cursor, acknowledge=False)
        again, _ = await stage.drain(stage.cursor, acknowledge=False)
        assert len(as_compared(first)) == 7
        assert as_compared(again) == as_compared(first)

    async def test_crash_before_acknowledge_repeats_the_same_states(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        buy_many(stage, 9)
        await stage.settled()
        lost, _ = await stage.drain(stage.cursor, acknowledge=False)
        stage.channel = stage.open()
        again, _ = await stage.drain(stage.cursor, acknowledge=True)
        assert len(as_compared(lost)) == 9
        assert as_compared(again) == as_compared(lost)

    async def test_order_visible_late_is_found_though_later_ones_came_first(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        bound = stage.capabilities.visibility_seconds
        need(bound > 0, "visibility_seconds is 0: every order shows at once")
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        stage.market.visibility = timedelta(seconds=bound)
        late = buy_many(stage, 3)
        stage.market.visibility = timedelta(0)
        orders = list(late)
        polls = LATE_POLLS + int(bound // stage.capabilities.poll_seconds)
        for _ in range(min(polls, 50)):
            await stage.clock.advance(1)
            orders += buy_many(stage, 1)
            await stage.poll()
            await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll_until(
            lambda: len(stage.seen) >= len(orders), within_seconds=bound + LATE_POLLS * stage.capabilities.poll_seconds
        )
        self.assert_found(stage, orders)

    async def test_restart_before_every_page_loses_nothing(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        orders = buy_many(stage, MANY)
        await stage.settled()
        for _ in range(MOST_PAGES):
            page = await stage.page(stage.cursor, stage.open())
            stage.seen |= {state.number: state for state in page.states}
            stage.cursor = page.cursor
            if page.acknowledge is not None:
                await stage.call(page.acknowledge())
            if not page.more:
                break
        await stage.poll_until(lambda: False, within_seconds=stage.capabilities.poll_seconds)
        self.assert_found(stage, orders)

    async def test_orders_of_a_long_outage_are_found_from_the_old_cursor(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        orders: list[TruthOrder] = []
        for _ in range(OUTAGE_HALF_DAYS):
            await stage.clock.advance(43_200)
            orders += buy_many(stage, 4)
            stage.emulator.settle()
        stage.channel = stage.open()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll_until(
            lambda: len(stage.seen) >= len(orders), within_seconds=LATE_POLLS * stage.capabilities.poll_seconds
        )
        self.assert_found(stage, orders)
