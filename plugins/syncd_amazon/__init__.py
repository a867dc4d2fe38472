"""Amazon.co.jp (アマゾン) through the Selling Partner API: stock out and in, orders in, shipments out, listings.

`channel.py` says what it can do. `api.py` makes the calls and classes their errors, `tokens.py` keeps the access token.
Stock: `shelf.py` knows which SKUs are ours to write, `writing.py` sends numbers by two routes, `results.py` finds out
what became of them. `orders.py` reads changed orders, `shipping.py` reports shipments, `options.py` sets lead times,
`report.py` fetches the listing report. `listening.py` brings hints: notices of orders (`notices.py`) from a queue
(`queue.py`). `wire*.py` turn bytes into the model and back. The emulator is `emulator.py` and its parts
`emulator_*.py`.
"""

from __future__ import annotations

from syncd.sdk.channel import Channel, hookimpl
from syncd_amazon.channel import AmazonChannel


@hookimpl
def syncd_channels() -> list[type[Channel]]:
    """The one channel of this plugin."""
    return [AmazonChannel]
