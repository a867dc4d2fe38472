"""The contract of a channel: inherit `ChannelContract` in a plugin's tests, name the channel and its emulator.

    class TestContract(ChannelContract):
        channel_type = RakutenChannel
        emulator_type = RakutenEmulator

        def listing_key(self, i: int) -> str:
            return f"item-{i:05d}"

Which parts apply follows from the channel's `Capabilities` alone; a part that does not apply is skipped with a
sentence that names the capability.
"""

from __future__ import annotations

from syncd.testing.contract_bad_input import BadInputContract
from syncd.testing.contract_changes import ChangesContract
from syncd.testing.contract_faults import QuirksContract
from syncd.testing.contract_judge import JudgeContract
from syncd.testing.contract_options import OptionsContract
from syncd.testing.contract_shipments import ShipmentsContract
from syncd.testing.contract_sign_in import SignInContract
from syncd.testing.contract_stock import StockContract
from syncd.testing.contract_webhooks import WebhooksContract


class ChannelContract(
    ChangesContract,
    ShipmentsContract,
    StockContract,
    BadInputContract,
    QuirksContract,
    WebhooksContract,
    SignInContract,
    OptionsContract,
    JudgeContract,
):
    """Everything a channel has to prove against its emulator."""
