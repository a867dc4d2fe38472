"""Shopify (ショッピファイ): stock out, stock in and orders in by the Admin GraphQL API.

`channel.py` decides, `admin.py` makes one call, `tokens.py` keeps the token, `documents.py` holds every GraphQL
document, `wire.py` and `wire_orders.py` turn JSON into the model and back, `counts.py` reads the counts of a line.
The emulator is `emulator.py` with its parts `emulator_*.py`.
"""

from __future__ import annotations

from syncd.sdk.channel import Channel, hookimpl
from syncd_shopify.channel import ShopifyChannel


@hookimpl
def syncd_channels() -> list[type[Channel]]:
    """Return the one channel of this plugin."""
    return [ShopifyChannel]
