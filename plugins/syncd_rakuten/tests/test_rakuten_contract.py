"""The public contract suite against the Rakuten emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from syncd.testing.contract import ChannelContract
from syncd.testing.contract_package import PackageContract
from syncd_rakuten.channel import RakutenChannel
from syncd_rakuten.emulator import RakutenEmulator

pytestmark = pytest.mark.anyio


class TestContract(ChannelContract):
    channel_type = RakutenChannel
    emulator_type = RakutenEmulator
    option_values: ClassVar[Mapping[str, str]] = {
        "normal_delivery_time_id": "4",
        "back_order_delivery_time_id": "5",
        "ship_from_ids": "3,4",
    }

    def listing_key(self, i: int) -> str:
        return f"item-{i:04d}/SKU-{i}"


class TestPackage(PackageContract):
    package = "syncd_rakuten"
    channel_type = RakutenChannel
    emulator_type = RakutenEmulator
