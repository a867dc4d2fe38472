"""What was measured of each shop's delays, kept over a restart: else `auto` would start blind and guess again."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection

from syncd.core.demand import Lags
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


def _key(shop_id: int) -> str:
    return f"lags {shop_id}"
