"""Contract: the emulator tells the judge. What it gave, and when the read of it began, is known to the world.

Without it stale raises and lags of this channel are judged wrong wherever the emulator is played against the daemon.
Where an emulator has a buyer, it names him `CANARY`: no state and no log line may.
"""

from __future__ import annotations

import pytest

from syncd.testing.contract_orders import NO_ORDERS, OrdersContract, buy_many
from syncd.testing.contract_stage import Stage, need
from syncd.testing.contract_stock import NO_READS

CANARY = "buyer-canary"


class JudgeContract(OrdersContract):
    """What an emulator owes the world. Applies as far as `reads_orders` and `reads_stock` say."""

    async def test_orders_that_were_given_are_known_to_be_delivered(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        orders = buy_many(stage, 5)
        bound = stage.capabilities.visibility_seconds + 3 * stage.capabilities.poll_seconds
        await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll_until(lambda: len(stage.seen) >= len(orders), within_seconds=bound)
        untold = [order.number for order in orders if order.delivered_at is None]
        assert not untold, f"given and not told to the market by `delivered`: {untold}"

    async def test_a_whole_read_of_orders_is_known_to_have_begun(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.clock.advance(3600)
        began = stage.clock.now()
        await stage.poll()
        at = stage.market.orders_read_at
        assert at is not None, "all pages were read, and the market was not told by `read_orders_began`"
        assert began <= at <= stage.clock.now(), f"a read from {began} on is told as begun at {at}"

    async def test_numbers_that_were_given_are_known_to_be_read(self, stage: Stage) -> None:
        need(stage.capabilities.reads_stock, NO_READS)
        await stage.clock.advance(3600)
        began, key = stage.clock.now(), self.listing_key(0)
        await stage.call(stage.channel.read_stock([key]))
        at = stage.market.listings[key].read_at
        assert at is not None, "the number was read, and the market was not asked by `shows`"
        assert began <= at <= stage.clock.now()

    async def test_no_buyer_stands_in_a_state_or_a_log_line(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        need(stage.capabilities.reads_orders, NO_ORDERS)
        await stage.poll()
        buy_many(stage, 3)
        await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll_until(
            lambda: len(stage.seen) >= 3,
            within_seconds=stage.capabilities.visibility_seconds + 3 * stage.capabilities.poll_seconds,
        )
        assert stage.seen
        assert CANARY not in repr(stage.seen), "a buyer stands in an order's state"
        assert CANARY not in caplog.text, "a buyer reached the log"
        assert CANARY not in repr(stage.cursor), "a buyer stands in the cursor"
