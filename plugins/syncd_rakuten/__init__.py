"""Rakuten Ichiba (楽天市場) through the RMS Web Service: stock out and in, orders in, listings.

`channel.py` decides, `api.py` makes the calls and classes their errors, `wire.py` and `orders.py` turn JSON into
the model, `polling.py` and `feed.py` find changed orders on a mall that has no change filter. `notices.py` and
`order_mail.py` turn pushes and mails into hints. `emulator.py` is the mall in memory.
"""

from __future__ import annotations

from syncd.sdk.channel import Channel, hookimpl
from syncd_rakuten.channel import RakutenChannel


@hookimpl
def syncd_channels() -> list[type[Channel]]:
    """The one channel of this plugin."""
    return [RakutenChannel]
