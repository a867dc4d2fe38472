"""The contract of a channel, for CSV over SFTP."""

from __future__ import annotations

from syncd.testing.contract import ChannelContract
from syncd.testing.contract_package import PackageContract
from syncd_files.channel import FilesChannel
from syncd_files.emulator import FilesEmulator


class TestContract(ChannelContract):
    channel_type = FilesChannel
    emulator_type = FilesEmulator

    def listing_key(self, i: int) -> str:
        return f"tシャツ-{i:05d}"


class TestPackage(PackageContract):
    package = "syncd_files"
    channel_type = FilesChannel
    emulator_type = FilesEmulator
