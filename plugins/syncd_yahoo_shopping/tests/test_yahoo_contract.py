"""The public contract suite against the Yahoo! Shopping emulator, by setStock and by stock CSV."""

from __future__ import annotations

import pytest

from syncd.testing.contract import ChannelContract
from syncd.testing.contract_faults import FaultsContract, QuirksContract
from syncd.testing.contract_package import PackageContract
from syncd.testing.contract_stock import StockContract
from syncd_yahoo_shopping.channel import YahooShoppingChannel
from syncd_yahoo_shopping.emulator import YahooShoppingEmulator
from syncd_yahoo_shopping.settings import StockRoute

pytestmark = pytest.mark.anyio


class CsvOnly(YahooShoppingEmulator):
    """A store for which setStock cannot be had."""

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "stock_route": StockRoute.CSV}


def key_of(i: int) -> str:
    return f"tee-{i:04d}:tee-{i:04d}-red" if i % 2 else f"mug-{i:04d}"


class TestContract(ChannelContract):
    channel_type = YahooShoppingChannel
    emulator_type = YahooShoppingEmulator

    def listing_key(self, i: int) -> str:
        return key_of(i)


class Either(YahooShoppingEmulator):
    """A store that takes both."""

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "stock_route": StockRoute.EITHER}


class TestStockCsvContract(StockContract, FaultsContract, QuirksContract):
    channel_type = YahooShoppingChannel
    emulator_type = CsvOnly

    def listing_key(self, i: int) -> str:
        return key_of(i)


class TestEitherContract(StockContract):
    channel_type = YahooShoppingChannel
    emulator_type = Either

    def listing_key(self, i: int) -> str:
        return key_of(i)


class TestPackage(PackageContract):
    package = "syncd_yahoo_shopping"
    channel_type = YahooShoppingChannel
    emulator_type = YahooShoppingEmulator
