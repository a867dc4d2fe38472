"""The public contract suite against the Yahoo! Shopping emulator."""

from __future__ import annotations

import pytest

from syncd.testing.contract import ChannelContract
from syncd_yahoo_shopping.channel import YahooShoppingChannel
from syncd_yahoo_shopping.emulator import YahooShoppingEmulator

pytestmark = pytest.mark.anyio


class TestContract(ChannelContract):
    channel_type = YahooShoppingChannel
    emulator_type = YahooShoppingEmulator

    def listing_key(self, i: int) -> str:
        return f"tee-{i:04d}:tee-{i:04d}-red" if i % 2 else f"mug-{i:04d}"
