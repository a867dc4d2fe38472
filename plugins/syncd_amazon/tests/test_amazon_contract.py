"""The contract of a channel, on Amazon's emulator."""

from __future__ import annotations

from syncd.testing.contract import ChannelContract
from syncd.testing.contract_package import PackageContract
from syncd.testing.world import TruthOrder
from syncd_amazon.channel import AmazonChannel
from syncd_amazon.emulator import AmazonEmulator
from syncd_amazon.emulator_orders import order_id


class TestContract(ChannelContract):
    channel_type = AmazonChannel
    emulator_type = AmazonEmulator

    def listing_key(self, i: int) -> str:
        return f"TEE/BLK {i:05d}"

    def order_number(self, order: TruthOrder) -> str:
        return order_id(order.number)


class TestPackage(PackageContract):
    package = "syncd_amazon"
    channel_type = AmazonChannel
    emulator_type = AmazonEmulator
