"""CSV over SFTP (CSV連携): stock files out, order files in, for shops of any mall, cart or warehouse.

`channel.py` is the door; `outgoing.py` and `incoming.py` decide, `stock.py`, `orders.py` and `wire.py` are pure.
"""

from __future__ import annotations

from syncd.sdk.channel import Channel, hookimpl
from syncd_files.channel import FilesChannel


@hookimpl
def syncd_channels() -> list[type[Channel]]:
    return [FilesChannel]
