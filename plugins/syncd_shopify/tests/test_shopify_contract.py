"""The contract of a channel, on Shopify's emulator."""

from __future__ import annotations

from syncd.testing.contract import ChannelContract
from syncd.testing.contract_package import PackageContract
from syncd.testing.world import TruthOrder
from syncd_shopify.channel import ShopifyChannel
from syncd_shopify.emulator import ShopifyEmulator
from syncd_shopify.emulator_orders import order_id


class TestContract(ChannelContract):
    channel_type = ShopifyChannel
    emulator_type = ShopifyEmulator

    def listing_key(self, i: int) -> str:
        return str(30_322_695 + i)

    def order_number(self, order: TruthOrder) -> str:
        return order_id(order.number)


class TestPackage(PackageContract):
    package = "syncd_shopify"
    channel_type = ShopifyChannel
    emulator_type = ShopifyEmulator
