"""The well-behaved reference channel keeps the contract, in each of its shapes."""

from __future__ import annotations

from typing import Any, ClassVar

from syncd.clock import Clock
from syncd.sdk.channel import Form, OrderFilter
from syncd.testing.contract import ChannelContract
from syncd.testing.contract_sign_in import SignInContract
from syncd.testing.memory import MemoryChannel, MemoryShop
from syncd.testing.signing import SigningChannel, SigningShop
from syncd.testing.world import Market, World


def shop_with(**options: Any) -> type[MemoryShop]:
    """A memory shop type of given options, as the contract builds its emulators."""

    class Shop(MemoryShop):
        def __init__(self, world: World, market: Market, clock: Clock, **quirks: str) -> None:
            super().__init__(world, market, clock, options=options, **quirks)

    return Shop


class MemoryContract(ChannelContract):
    channel_type = MemoryChannel
    emulator_type: ClassVar[type[MemoryShop]] = MemoryShop

    def listing_key(self, i: int) -> str:
        return f"item-{i:05d}"


class TestPlainShop(MemoryContract):
    emulator_type = MemoryShop


class TestShopOfAllForms(MemoryContract):
    emulator_type = shop_with(
        forms=[Form.ABSOLUTE, Form.COMPARE_AND_SET, Form.RELATIVE_REFUSES],
        max_rows=7,
        read_rows=5,
        per_second=2.0,
        burst=3.0,
        key_life_seconds=3600.0,
    )


class TestShopThatShowsLateAndOnlyByCreation(MemoryContract):
    emulator_type = shop_with(
        order_filter=OrderFilter.CREATED, visibility_seconds=90.0, forms=[Form.RELATIVE_CLAMPS], reads_stock=False
    )


class TestShopThatAnswersLater(MemoryContract):
    emulator_type = shop_with(later=True, visibility_seconds=300.0, tells_restocked=False)


class TestShopThatIsSignedInTo(SignInContract):
    channel_type = SigningChannel
    emulator_type = SigningShop

    def listing_key(self, i: int) -> str:
        return f"item-{i:05d}"
