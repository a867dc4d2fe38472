"""Read the shops' own numbers: doubts first, then what must be verified, then everything once in a while.

Runs in the background and gives way: its calls wait behind every other call of the same budget. A full sync
(一括同期) recomputes every target of the shop and reads (or, where nothing can be read, writes) every listing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog
from sqlalchemy import Connection

from syncd.core import fence
from syncd.daemon.dispatcher import ROWS_A_TRANSACTION, Dispatcher
from syncd.daemon.facts import put_shown
from syncd.daemon.findings import Found, settle_due
from syncd.daemon.hub import Hub, Shop, Trouble
from syncd.daemon.intake import note_drift
from syncd.daemon.limits import urgency
from syncd.daemon.targets import Refreshed, refresh_listings, refresh_pairs
from syncd.model import Lane
from syncd.sdk.errors import ChannelError
from syncd.store import listings as listing_rows
from syncd.store import outbox, shops, stances
from syncd.store.engine import Priority
from syncd.store.listings import ListingRow

log = structlog.get_logger()
CHUNK_WITHOUT_READS = 500
SHORTEST_SECONDS = 1.0
WATCH_SECONDS = 10.0
"""Pages of watched SKUs (low stock that sells fast, or in escrow) are read back so often."""
BLOCKED_US = 2_000_000
LOOK_AGAIN_US = 5_000_000
ECHO_US = 30_000_000


class Reconcile:
    """The reading loop of one shop. `turn` reads one chunk at most."""

    def __init__(self, hub: Hub, shop: Shop, dispatcher: Dispatcher) -> None:
        self.hub = hub
        self.shop = shop
        self.dispatcher = dispatcher
        self.trouble = Trouble(hub, shop, "reconcile")
        self._after_id = 0
        self._sweep_us: int | None = None
        self.full = False
        self._push = False
        self._watch_us = 0
        self._watched_id = 0

    @property
    def chunk(self) -> int:
        """Listings a turn looks at."""
        return self.shop.capabilities.read_rows if self.shop.facts.reads_stock else CHUNK_WITHOUT_READS

    def start_full_sync(self, *, push: bool = True) -> None:
        """Go through the whole shop now, from its first listing: recompute, read back, push what differs.

        `push`: where nothing can be read, write every listing again.
        """
        self.full, self._push, self._after_id = True, push, 0
        self.shop.reconcile_wake.set()

    async def turn(self) -> int | None:
        """Read back what is in doubt or unsure, else the next part of the sweep. Returns when to go on."""
        now_us = self.hub.clock.now_us()
        if self.trouble.until_us > now_us:
            return self.trouble.until_us
        token = urgency.set(int(Lane.BACKGROUND))
        try:
            blocked, moved = await self._doubts(now_us)
            if moved or await self._settled() or await self._hinted(now_us) or (self.full and await self._full_chunk()):
                await self.trouble.over()
                return self.hub.clock.now_us()
            await self._watch(now_us)
            again_us = await self._sweep(now_us)
            soon_us = now_us + (BLOCKED_US if blocked else LOOK_AGAIN_US)
            return soon_us if again_us is None else min(again_us, soon_us)
        except ChannelError as error:
            await self.trouble.met(error)
            return self.trouble.until_us
        finally:
            urgency.reset(token)

    async def _doubts(self, now_us: int) -> tuple[bool, bool]:
        """Read back what needs it. Returns whether rows had to wait (a write is under way), and whether any moved."""
        shop = self.shop
        rows = await self.hub.store.tx(partial(self._unsure, now_us=now_us))
        if not rows:
            return False, False
        if shop.facts.reads_stock:
            found = await self.dispatcher.read([(row.id, row.key) for row in rows], Priority.BACKGROUND)
            moved = len(found.numbers) + found.gone
            return moved < len(rows), moved > 0
        await self.hub.store.tx(partial(self._forget, rows=rows))
        shop.write_wake.set()
        return False, True

    async def _settled(self) -> bool:
        """Settle the next of those that an order read proved and did not settle itself."""
        if not self.shop.unsettled:
            return False
        found = await self.hub.store.tx(self._settle, priority=Priority.BACKGROUND)
        self.shop.unsettled = found.more
        self.hub.wake_writers(found.refreshed)
        note_drift(self.hub, self.shop, found)
        return True

    def _settle(self, conn: Connection) -> Found:
        hub, shop = self.hub, self.shop
        watermark_us = shops.shop_row(conn, shop.id).watermark_us
        return settle_due(conn, hub.facts, shop.facts, watermark_us, hub.clock.now_us(), ROWS_A_TRANSACTION)

    async def _watch(self, now_us: int) -> None:
        """Read back the next pages of watched SKUs: what is missing there was sold, though no order shows it yet."""
        if not self.shop.facts.reads_stock or 0 <= now_us - self._watch_us < WATCH_SECONDS * 1e6:
            return
        self._watch_us, shop, after = now_us, self.shop, self._watched_id
        rows = await self.hub.store.tx(
            lambda conn: stances.watched_listings(conn, shop.id, after, self.chunk), priority=Priority.BACKGROUND
        )
        self._watched_id = rows[-1][0] if len(rows) == self.chunk else 0
        if rows:
            await self.dispatcher.read(rows)

    def _unsure(self, conn: Connection, now_us: int) -> list[ListingRow]:
        """What must be read back: doubts first, then listings whose exposure is unknown (R8, R11)."""
        rows = listing_rows.to_read_back(conn, self.shop.id, now_us, self.chunk)
        if rows or self.full or not (self.shop.facts.reads_stock and self.shop.facts.reads_orders):
            return rows  # a full sync reads all of them anyway, and without orders nothing can be proven
        return listing_rows.to_prove(conn, self.shop.id, now_us, self.chunk)

    async def _hinted(self, now_us: int) -> bool:
        """Read the listings that a push named, but for those we have just written: such a push tells of ourselves."""
        shop = self.shop
        keys = list(shop.hinted)[: self.chunk]
        if not keys:
            return False
        rows = await self.hub.store.tx(lambda conn: listing_rows.listings_by_key(conn, shop.id, keys))
        for key in keys:
            shop.hinted.pop(key, None)
        asked = [(row.id, row.key) for row in rows.values() if row.state == "ours" and row.told_us < now_us - ECHO_US]
        if asked:
            await self.dispatcher.read(asked, Priority.BACKGROUND)
        return True

    def _forget(self, conn: Connection, rows: Sequence[ListingRow]) -> None:
        """Nothing can be read here and no earlier write can still land: unknown, so it is written anew."""
        for row in rows:
            put_shown(row, fence.Shown(base_us=self.hub.clock.now_us()))
        listing_rows.save_shown(conn, rows)
        refresh_listings(conn, self.hub.facts, [row.id for row in rows], self.hub.clock.now_us(), by_orders=True)

    async def _next_chunk(self) -> list[ListingRow]:
        shop_id, after, most = self.shop.id, self._after_id, self.chunk
        rows = await self.hub.store.tx(
            lambda conn: listing_rows.listings_after(conn, shop_id, after, most), priority=Priority.BACKGROUND
        )
        self._after_id = rows[-1].id if len(rows) == most else 0
        return rows

    async def _full_chunk(self) -> bool:
        """One chunk of a full sync; False when there is nothing to go through."""
        rows: list[ListingRow] = []
        while len(rows) < self.chunk:
            most = min(ROWS_A_TRANSACTION, self.chunk - len(rows))
            some, refreshed = await self.hub.store.tx(partial(self._recompute, most=most), priority=Priority.BACKGROUND)
            self.hub.wake_writers(refreshed)
            rows += some
            self._after_id = some[-1].id if len(some) == most else 0
            if self._after_id == 0:
                break
        if rows and self.shop.facts.reads_stock:
            await self.dispatcher.read([(row.id, row.key) for row in rows], Priority.BACKGROUND)
        if self._after_id == 0:
            self.full = False
            self.shop.write_wake.set()
            log.info("full_sync_read", shop=self.shop.name)
        return bool(rows)

    def _recompute(self, conn: Connection, most: int) -> tuple[list[ListingRow], Refreshed]:
        """Recompute the next chunk's targets; where nothing can be read, have every listing written again."""
        now_us = self.hub.clock.now_us()
        pairs = listing_rows.pairs_after(conn, self.shop.id, self._after_id, most)
        refreshed = refresh_pairs(conn, self.hub.facts, pairs, now_us, by_orders=False)
        if self._push and not self.shop.facts.reads_stock and self.shop.writes:
            pairs = listing_rows.pairs_by_id(conn, [row.id for row, _ in pairs])
            quiet = [row for row, wish in pairs if wish is None and row.target is not None and row.doubt_us is None]
            outbox.put_wishes(conn, [(row.id, row.shop_id, int(Lane.BACKGROUND), now_us, now_us, 1) for row in quiet])
            listing_rows.set_fields(conn, [row.id for row in quiet], believed=None)
        return [row for row, _ in pairs], refreshed

    async def _sweep(self, now_us: int) -> int | None:
        """The slow sweep: every listing once in `reconcile_seconds`."""
        shop = self.shop
        doubt_us = await self.hub.store.tx(lambda conn: listing_rows.next_doubt_us(conn, shop.id))
        if not shop.facts.reads_stock:
            return doubt_us if doubt_us is None else max(doubt_us, now_us + 1_000_000)
        if self._sweep_us is None or self._sweep_us > now_us + int(shop.reconcile_seconds * 1e6) + BLOCKED_US:
            self._sweep_us = now_us + int(shop.reconcile_seconds * 1e6 * 0.1)
        if now_us >= self._sweep_us:
            rows = await self._next_chunk()
            if rows:
                await self.dispatcher.read([(row.id, row.key) for row in rows], Priority.BACKGROUND)
                await self.trouble.over()
            self._sweep_us = now_us + int(await self._pace() * 1e6)
        if doubt_us is not None and doubt_us > now_us:
            return min(doubt_us, self._sweep_us)
        return min(self._sweep_us, now_us + 5_000_000) if doubt_us is not None else self._sweep_us

    async def _pace(self) -> float:
        """Seconds between two chunks of the sweep."""
        count = await self.hub.store.tx(lambda conn: listing_rows.count_ours(conn, self.shop.id))
        calls = max(1, -(-count // self.chunk))
        return max(SHORTEST_SECONDS, self.shop.reconcile_seconds / calls)
