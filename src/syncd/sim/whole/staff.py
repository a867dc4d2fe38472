"""Staff: goods arrive, some are found missing, a shelf is counted, a buffer is set, a number is typed into a mall.

What is entered with us carries a key, so that it may be entered again when nobody knows whether it was kept: after a
crash under the hand, a full disk, a restored backup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from sqlalchemy import Connection

from syncd.daemon.desk_answers import Done
from syncd.daemon.desk_skus import RuleItem, set_rules
from syncd.daemon.desk_stock import Item, adjust_stock, count_stock
from syncd.sim.rough import KINDS as ROUGH
from syncd.sim.trial import Crash
from syncd.sim.whole.goods import Goods
from syncd.sim.whole.life import Life
from syncd.sim.whole.malls import Mall
from syncd.store.engine import StoreFull
from syncd.testing.world import World

WHO = "simulated staff"
ARRIVALS = (1, 2, 5, 12, 30)
GONE = (1, 3)
QUIET_BEFORE_COUNT_SECONDS = 300.0


@dataclass(slots=True)
class Staff:
    """People who change stock. `dead_seconds` is the longest a write may be under way at any mall."""

    world: World
    malls: list[Mall]
    goods: Goods
    life: Life
    rng: Random
    later: Callable[[float, Callable[[], None]], object]
    dead_seconds: float
    entered: dict[str, Item] = field(default_factory=dict)
    unsure: dict[str, Item] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    believed: dict[str, int] = field(default_factory=dict)

    async def act(self, name: str) -> None:
        """One act by name."""
        await {"arrive": self.arrive, "miss": self.miss, "count": self.count, "buffer": self.buffer, "type": self.type}[
            name
        ]()

    async def arrive(self) -> None:
        sku, pieces = self.rng.choice(self.goods.plain), self.rng.choice(ARRIVALS)
        self.world.receive(sku, pieces)
        await self._enter(f"arrival-{len(self.entered)}", Item(sku, pieces))

    async def miss(self) -> None:
        """Pieces are missing. The world believes it only when every write that did not know is dead."""
        sku, pieces = self.rng.choice(self.goods.plain), self.rng.choice(GONE)
        key = f"missing-{len(self.entered)}"
        self._expect(key, sku, pieces)
        await self._enter(key, Item(sku, -pieces))

    def _expect(self, key: str, sku: str, pieces: int) -> None:
        self.missing[sku] += pieces

        def believe() -> None:
            self.missing[sku] -= pieces
            self.believed[key] = pieces
            self.world.receive(sku, -pieces)

        self.later(self.dead_seconds, believe)

    async def _enter(self, key: str, item: Item) -> None:
        self.entered[key] = self.unsure[key] = item
        await self.repeat()

    async def repeat(self) -> None:
        """Enter everything of which nobody knows whether it was kept. What cannot be kept now is tried again later."""
        for key, item in list(self.unsure.items()):
            if not self.life.alive:
                return
            facts, now_us = self.life.hub.facts, self.life.clock.now_us()
            if not await self.kept(partial(adjust_stock, facts=facts, items=[item], now_us=now_us, who=WHO, key=key)):
                return
            self.unsure.pop(key, None)

    async def kept(self, change: Callable[[Connection], Done]) -> bool:
        """Make a change at the desk; whether it was kept for certain."""
        try:
            done = await self.life.tx(change)
        except (Crash, StoreFull):
            return False
        self.life.hub.wake_writers(done.refreshed)
        return True

    def after_restore(self) -> None:
        """A backup was put back: everything entered since it was taken may be gone. Until it is entered again, and
        every write that did not know is dead, the world does not expect it of the daemon.
        """
        self.unsure = dict(self.entered)
        for key, pieces in list(self.believed.items()):
            sku = self.entered[key].sku
            self.world.on_hand[sku] += pieces
            del self.believed[key]
            self._expect(key, sku, pieces)
        self.world.held_back.clear()

    async def restate_rules(self) -> None:
        """Set every buffer again as the world has it."""
        for sku, pieces in list(self.rules.items()):
            await self._set_buffer(sku, pieces)

    async def count(self) -> None:
        """Count the shelf of a SKU that has not moved for a while, and of which no order lies hidden in a silent feed.

        An order that is first read when it has left, without a time, may have left after the count: it is taken off.
        """
        some = self.rng.sample(self.goods.plain, 3)
        quiet = [sku for sku in some if self._has_rested(sku) and not self._is_hidden(sku)]
        if not quiet or not self.life.alive or self.unsure:
            return
        sku = self.rng.choice(quiet)
        shelf = self.world.on_hand[sku] - self.missing[sku] - self._shipped(sku)
        hub, now_us = self.life.hub, self.life.clock.now_us()
        if shelf >= 0:
            await self.kept(lambda conn: count_stock(conn, hub.facts, [Item(sku, shelf)], now_us, WHO))

    def _lines(self, sku: str) -> list[tuple[float, int]]:
        """For each order line of a SKU: seconds since its order moved, and pieces of it that left the shelf."""
        now = self.world.now()
        return [
            ((now - order.updated_at).total_seconds(), line.shipped * mall.market.listings[line.listing].pack * each)
            for mall in self.malls
            for order in mall.market.orders.values()
            for line in order.lines
            if (each := self.world.pieces(mall.market.listings[line.listing].sku)[sku])
        ]

    def _has_rested(self, sku: str) -> bool:
        return all(since > QUIET_BEFORE_COUNT_SECONDS for since, _ in self._lines(sku))

    def _is_hidden(self, sku: str) -> bool:
        """Whether the daemon was never shown an order of a SKU."""
        return any(
            order.delivered_at is None and sku in self.world.pieces(mall.market.listings[line.listing].sku)
            for mall in self.malls
            for order in mall.market.orders.values()
            for line in order.lines
        )

    def _shipped(self, sku: str) -> int:
        return sum(pieces for _, pieces in self._lines(sku))

    async def buffer(self) -> None:
        """Set a hold-back. The world expects a larger one only when every write that did not know is dead."""
        sku, pieces = self.rng.choice(self.goods.plain), self.rng.choice([0, 1, 2])
        if self.life.alive:
            await self._set_buffer(sku, pieces)

    async def _set_buffer(self, sku: str, pieces: int) -> None:
        before = self.world.held_back[sku]
        if pieces < before:
            self.world.held_back[sku] = pieces
        hub, now_us = self.life.hub, self.life.clock.now_us()
        item = RuleItem("hold_back", pieces, sku=sku)
        if not await self.kept(lambda conn: set_rules(conn, hub.facts, [item], now_us, WHO)):
            self.rules[sku] = pieces  # unknown: said again when the daemon is back
            return
        self.rules[sku] = pieces
        if pieces > before:
            self.later(self.dead_seconds, lambda: self._hold(sku))

    def _hold(self, sku: str) -> None:
        self.world.held_back[sku] = self.rules[sku]

    async def type(self) -> None:
        """Somebody lowers a number in a mall's back office, where we can read it."""
        malls = [
            mall for mall in self.malls if mall.kind != "files" and ROUGH.get(mall.kind, {}).get("reads_stock", True)
        ]
        if malls:
            market = self.rng.choice(malls).market
            key = self.rng.choice(sorted(market.listings))
            market.hand_edit(key, max(0, market.listings[key].shown - self.rng.choice([1, 2])))
