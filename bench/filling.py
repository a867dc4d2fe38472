"""A store filled in bulk as a daemon leaves it after a quiet day: every listing shows its target, nothing waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, insert

from syncd.clock import Clock
from syncd.model import SECOND_US
from syncd.store import shops, stock
from syncd.store.engine import Store
from syncd.store.schema import sku

AT_ONCE = 50_000
DAY_US = 86_400 * SECOND_US


def sku_code(number: int) -> str:
    return f"SKU-{number:07d}"


def listing_key(number: int) -> str:
    return f"item-{number:07d}"


def open_store(path: Path, clock: Clock) -> Store:
    """A store with its file and its writer thread, as the daemon opens it."""
    return Store.open(path, clock=clock)


KeyOf = Callable[[str, int], str]
"""What a shop calls the SKU of a number."""


def fill(
    conn: Connection,
    channels: Mapping[str, str],
    counts: Sequence[int],
    now_us: int,
    key_of: KeyOf = lambda _name, number: listing_key(number),
) -> None:
    """SKUs with so many pieces each, and a listing of each SKU in each shop (name -> channel).

    Ids of SKUs begin at 1, in order. Listings of one SKU lie far apart in the table, shop by shop, as imports do.
    """
    before_us, skus = now_us - DAY_US, len(counts)
    main = stock.location_ids(conn, ["main"])["main"]
    for start in range(0, skus, AT_ONCE):
        some = range(start, min(skus, start + AT_ONCE))
        conn.execute(insert(sku), [{"code": sku_code(i), "name": "", "created_us": before_us} for i in some])
        stock.add_to_balances(conn, [(i + 1, main, counts[i], 0, 0, before_us) for i in some])
    columns = "shop_id, key, sku_id, target, believed, base_us, told, told_us"
    for name, channel in channels.items():
        shop_id = shops.ensure_shop(conn, name, channel).id
        for start in range(0, skus, AT_ONCE):
            conn.exec_driver_sql(
                f"INSERT INTO listing ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (shop_id, key_of(name, i), i + 1, counts[i], counts[i], before_us, counts[i], before_us)
                    for i in range(start, min(skus, start + AT_ONCE))
                ],
            )
