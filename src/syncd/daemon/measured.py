"""What was measured of each shop, kept over a restart: its delays, else `auto` would start blind and guess again, and
how much it sells, by which pieces in escrow are shared out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection

from syncd.core.demand import NO_DEMAND, Demand, Lags
from syncd.store import notes


def keep(conn: Connection, lags: Mapping[int, Lags]) -> None:
    """Keep the histograms of these shops. Called hourly and at a stop; a crash costs an hour of samples."""
    for shop_id, one in lags.items():
        if any(part.total for part in one.parts()):
            notes.write(conn, _key(shop_id), json.dumps([part.counts for part in one.parts()], separators=(",", ":")))


def kept(conn: Connection, shop_id: int) -> Lags:
    """What was kept of a shop; nothing where nothing was, or where it was kept in another shape."""
    found = Lags()
    text = notes.read(conn, _key(shop_id))
    every = [] if text is None else json.loads(text)
    for part, counts in zip(found.parts(), every, strict=False):
        if len(counts) == len(part.counts):
            part.counts, part.total = list(counts), sum(counts)
    return found


def keep_usual(conn: Connection, usual: Mapping[int, Demand]) -> None:
    """Keep how much these shops sell. Called together with `keep`."""
    for shop_id, one in usual.items():
        notes.write(conn, _usual(shop_id), json.dumps([one.at_us, one.day]))


def kept_usual(conn: Connection, shop_id: int) -> Demand:
    """How much a shop sold, as it was kept; nothing where nothing was."""
    text = notes.read(conn, _usual(shop_id))
    if text is None:
        return NO_DEMAND
    at_us, day = json.loads(text)
    return Demand(at_us, day=day)


def _usual(shop_id: int) -> str:
    return f"sells {shop_id}"


def _key(shop_id: int) -> str:
    return f"lags {shop_id}"
