"""Contract: orders that change after they were seen. A cancel or a shipment shows up as a new state of the order."""

from __future__ import annotations

from syncd.testing.contract_orders import MANY, OrdersContract, buy_many
from syncd.testing.contract_stage import MOST_PAGES, Stage, counts_by_listing, need, truth_by_listing
from syncd.testing.world import TruthOrder

SEEN_WITHIN_SECONDS = 86_400.0
NO_CANCELS = "shows_cancels is off: this channel shows no cancels"
NO_SHIPMENTS = "shows_shipments is off: this channel shows no shipments"


class ChangesContract(OrdersContract):
    """Seeing changes. Applies as far as `shows_cancels` and `shows_shipments` say."""

    async def assert_change_is_seen(self, stage: Stage, order: TruthOrder) -> None:
        number, right = self.order_number(order), truth_by_listing(order)
        await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll_until(
            lambda: counts_by_listing(stage.seen[number]) == right, within_seconds=SEEN_WITHIN_SECONDS
        )
        found = counts_by_listing(stage.seen[number])
        assert found == right, f"order {number} still shows {found} after a day, the mall has {right}"

    async def seen_order(self, stage: Stage) -> TruthOrder:
        """One order of three lines among neighbours, read by the channel."""
        orders = buy_many(stage, 6)
        count = len(stage.market.orders)
        await stage.poll_until(lambda: len(stage.seen) >= count, within_seconds=6 * stage.capabilities.poll_seconds)
        self.assert_found(stage, orders)
        return orders[2]

    async def test_cancelled_order_shows_as_a_new_state(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders and stage.capabilities.shows_cancels, NO_CANCELS)
        order = await self.seen_order(stage)
        stage.market.cancel(order.number)
        await self.assert_change_is_seen(stage, order)

    async def test_partly_cancelled_order_shows_what_is_left(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders and stage.capabilities.shows_cancels, NO_CANCELS)
        order = await self.seen_order(stage)
        stage.market.cancel(order.number, {order.lines[0].line: 1})
        await self.assert_change_is_seen(stage, order)

    async def test_restocked_units_are_told_as_the_shop_put_them_back(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders and stage.capabilities.shows_cancels, NO_CANCELS)
        for restocks in (True, False):
            stage.market.restocks_on_cancel = restocks
            order = await self.seen_order(stage)
            stage.market.cancel(order.number)
            await self.assert_change_is_seen(stage, order)
            told = [line.restocked for line in stage.seen[self.order_number(order)].lines]
            right = sum(line.restocked for line in order.lines)
            assert None in told or sum(n or 0 for n in told) == right, f"restocked {told}, the mall put back {right}"

    async def test_shipped_order_shows_as_shipped(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders and stage.capabilities.shows_shipments, NO_SHIPMENTS)
        order = await self.seen_order(stage)
        stage.market.ship(order.number)
        await self.assert_change_is_seen(stage, order)

    async def assert_all_are_seen(self, stage: Stage, orders: list[TruthOrder]) -> None:
        right = {self.order_number(order): truth_by_listing(order) for order in orders}
        await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll_until(
            lambda: right.items() <= stage.shown_orders().items(), within_seconds=SEEN_WITHIN_SECONDS
        )
        found = stage.shown_orders()
        wrong = [number for number, counts in right.items() if found.get(number) != counts]
        assert not wrong, f"{len(wrong)} of {len(right)} orders show old counts after a day: {sorted(wrong)[:5]}"

    async def test_many_changes_of_one_instant_are_all_seen(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders and stage.capabilities.shows_cancels, NO_CANCELS)
        await stage.poll()
        orders = buy_many(stage, MANY)
        await self.assert_all_are_seen(stage, orders)
        for order in orders:
            stage.market.cancel(order.number, {order.lines[0].line: 1})
        await self.assert_all_are_seen(stage, orders)

    async def test_changes_between_pages_lose_nothing(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders and stage.capabilities.shows_cancels, NO_CANCELS)
        await stage.poll()
        orders = buy_many(stage, MANY)
        await stage.settled()
        for n in range(MOST_PAGES):
            page = await stage.page(stage.cursor)
            stage.keep(page.states)
            stage.cursor = page.cursor
            if page.acknowledge is not None:
                await stage.call(page.acknowledge())
            if not page.more:
                break
            for order in (orders[(7 * n) % MANY], orders[-1 - n % MANY]):
                stage.market.cancel(order.number, {order.lines[0].line: 1})
            orders += buy_many(stage, 1)
            await stage.clock.advance(1)
        await self.assert_all_are_seen(stage, orders)
