"""Yahoo! Shopping (Yahoo!ショッピング) and the fixed-price side of Yahoo! Auctions, which arrives through the same API.

`channel.py` decides. `session.py` keeps the sign-in, `signature.py` makes the key of order calls, `api.py` makes the
calls and classes their errors; `wire.py`, `stock_wire.py`, `orders.py` and `shipping.py` turn XML into the model.
`polling.py` and `feed.py` find changed orders, `families.py` puts split orders together. `emulator.py` is the mall.
"""

from __future__ import annotations

from syncd.sdk.channel import Channel, hookimpl
from syncd_yahoo_shopping.channel import YahooShoppingChannel


@hookimpl
def syncd_channels() -> list[type[Channel]]:
    """The one channel of this plugin."""
    return [YahooShoppingChannel]
