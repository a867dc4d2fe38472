"""Malls as bad as they may be: coarse and skewed stamps, writes that land long after we gave them up.

Memory shops with what the plays of `whole` need beside scripted faults. Each kind stands for a write form or a feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, ClassVar, TypeVar

from syncd.clock import Clock
from syncd.model import OrderState
from syncd.sdk.channel import Accepted, Channel, Form, OrderFilter, Rejected, Restock, StockWrite, WriteReport
from syncd.sdk.errors import Closed, InDoubt
from syncd.testing.memory import MemoryChannel, MemoryShop, Upload
from syncd.testing.world import Market, Refusal, Sent, TruthOrder, World

T = TypeVar("T")
DEAD_AFTER_SECONDS = 15.0
VISIBILITY_SECONDS = 8.0
LATER_SECONDS = 6.0

KINDS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"forms": (Form.ABSOLUTE,), "visibility_seconds": 1.0},
    "refuses": {"forms": (Form.RELATIVE_REFUSES, Form.ABSOLUTE), "visibility_seconds": 1.0},
    "swaps": {"forms": (Form.COMPARE_AND_SET,), "visibility_seconds": 2.0, "key_life_seconds": 60.0},
    "clamps": {"forms": (Form.RELATIVE_CLAMPS, Form.ABSOLUTE), "visibility_seconds": 1.0},
    "silent": {"forms": (Form.RELATIVE_SILENT, Form.ABSOLUTE), "visibility_seconds": 0.0},
    "later": {"forms": (Form.ABSOLUTE,), "later": True, "later_seconds": LATER_SECONDS, "visibility_seconds": 1.0},
    "blind": {"forms": (Form.ABSOLUTE,), "reads_stock": False, "visibility_seconds": 1.0},
    "blind-slow": {"forms": (Form.ABSOLUTE,), "reads_stock": False, "visibility_seconds": VISIBILITY_SECONDS},
    "slow": {"forms": (Form.ABSOLUTE,), "visibility_seconds": VISIBILITY_SECONDS, "order_filter": OrderFilter.CREATED},
    "tight": {"forms": (Form.ABSOLUTE,), "visibility_seconds": 1.0, "per_second": 4.0, "burst": 3.0, "max_rows": 4},
}


@dataclass(frozen=True, slots=True)
class Habits:
    """What a mall does beside its form: its clock is fast by so much, stamps are cut to whole seconds."""

    skew_seconds: float = 0.0
    whole_seconds: bool = False

    def stamp(self, moment: datetime) -> datetime:
        """A time as this mall prints it."""
        told = moment + timedelta(seconds=self.skew_seconds)
        return told.replace(microsecond=0) if self.whole_seconds else told


@dataclass(slots=True)
class Nature:
    """What goes wrong by chance: how often a write is lost on its way and lands later, and until when it is closed."""

    rng: Random
    habits: Habits = field(default_factory=Habits)
    late_share: float = 0.0
    closed_until: datetime | None = None


class RoughShop(MemoryShop):
    """A memory shop with habits. `trace` is told of every call that reached it."""

    def __init__(
        self, world: World, market: Market, clock: Clock, *, nature: Nature, trace: Callable[[str], None],
        options: Mapping[str, Any], round_trip_seconds: float,
    ) -> None:  # fmt: skip
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, options=options)
        self.nature = nature
        self.trace = trace
        self._sent: Sent | None = None
        self._sent_of: dict[str, Sent] = {}

    async def serve(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        self.trace(f"{self.market.name} {operation}")
        if not effect:
            return await self._told(operation, answer)
        return await self._taken(operation, answer)

    async def _taken(self, operation: str, answer: Callable[[], T]) -> T:
        """A write; now and then it is given up by us and lands later. What is uploaded is applied when it is due."""
        answer = self._applied_when_due(answer)
        if self.nature.rng.random() >= self.nature.late_share:
            return await super().serve(operation, self._as_sent(answer), effect=True)
        self.called(operation)
        await self.clock.sleep(self.round_trip_seconds / 2)
        self._admit(operation)
        own = self.options.later_seconds if self.options.later else 0.0  # what the mall itself takes comes on top
        seconds = self.nature.rng.uniform(0.1, DEAD_AFTER_SECONDS * 0.9 - own)
        asyncio.get_running_loop().call_later(seconds, partial(self._land, answer, self.market.sent_now()))
        await self.clock.sleep(min(seconds, 1.0))
        raise InDoubt(f"{operation}: connection lost")

    def _applied_when_due(self, answer: Callable[[], T]) -> Callable[[], T]:
        def taken() -> T:
            result = answer()
            if self.options.later:
                asyncio.get_running_loop().call_later(self.options.later_seconds + 0.001, self.settle)
            return result

        return taken

    async def _told(self, operation: str, answer: Callable[[], T]) -> T:
        """A read. Orders in an answer that is lost on its way were not delivered."""
        before = [order for order in self.market.orders.values() if order.delivered_at is None]
        try:
            return await super().serve(operation, answer)
        except BaseException:
            for order in before:
                order.delivered_at = None
            raise

    def _as_sent(self, answer: Callable[[], T]) -> Callable[[], T]:
        """A write held up on its way is judged by what was read before it was sent; nobody can call it back."""
        sent = self.market.sent_now()

        def landed() -> T:
            held_up = self.world.now() - sent.at > timedelta(seconds=self.round_trip_seconds)
            return self._landed(answer, sent) if held_up else answer()

        return landed

    def _land(self, answer: Callable[[], object], sent: Sent) -> None:
        """A call that was given up arrives after all."""
        self.trace(f"{self.market.name} lands late")
        self._landed(answer, sent)

    def _landed(self, answer: Callable[[], T], sent: Sent) -> T:
        self._sent = sent
        try:
            return answer()
        finally:
            self._sent = None

    def _admit(self, operation: str) -> None:
        until = self.nature.closed_until
        if until is not None and self.world.now() < until:
            raise Closed(f"{operation}: maintenance", until=until)
        super()._admit(operation)

    def _upload(self, index: int, row: StockWrite, receipt: str) -> Any:
        self._sent_of[receipt] = self._sent or self.market.sent_now()
        return super()._upload(index, row, receipt)

    def settle(self) -> None:
        for receipt, upload in self.uploads.items():
            if upload.result is None and upload.due <= self.world.now():
                self._take_in(receipt, upload)

    def _take_in(self, receipt: str, upload: Upload) -> None:
        before, self._sent = self._sent, self._sent_of[receipt]
        upload.result = self.apply(0, upload.row)
        self._sent = before

    def apply(self, index: int, row: StockWrite) -> Accepted | Rejected:
        if self._sent is None:
            result = super().apply(index, row)
        else:
            try:
                shown = self.market.write(row.listing, row.form, row.quantity, row.expected, sent=self._sent)
                result = Accepted(index, shown)
            except Refusal as refusal:
                result = Rejected(index, refusal.reason, str(refusal))
        what = "taken" if isinstance(result, Accepted) else result.reason
        self.trace(f"{self.market.name} {row.listing} {row.form} {row.quantity} {row.expected} {what}")
        return result

    def take(self, rows: Sequence[StockWrite], key: str) -> WriteReport:
        self.settle()
        return super().take(rows, key)


class RoughChannel(MemoryChannel):
    """The memory channel over a mall whose stamps are coarse and whose clock is off."""

    slug: ClassVar[str] = "memory"

    def _state(self, order: TruthOrder) -> OrderState:
        state = super()._state(order)
        shop = self.shop
        if not isinstance(shop, RoughShop):
            return state
        stamp = shop.nature.habits.stamp
        return replace(state, placed_at=stamp(order.placed_at), as_of=stamp(order.updated_at))


CHANNELS: Mapping[str, type[Channel]] = {RoughChannel.slug: RoughChannel}


def options_of(kind: str, rng: Random) -> dict[str, Any]:
    """The options of a mall of a kind; what a fact sheet would leave open is drawn."""
    restocks, truth, tells = rng.choice(
        [(Restock.YES, True, True), (Restock.YES, True, False), (Restock.NO, False, False),
         (Restock.UNKNOWN, True, False), (Restock.UNKNOWN, False, False), (Restock.UNKNOWN, True, True)]
    )  # fmt: skip
    return {
        "dead_after_seconds": DEAD_AFTER_SECONDS, "page_size": rng.choice([3, 50]), "restocks": restocks,
        "tells_restocked": tells, "restocks_truly": truth, **KINDS[kind],
    }  # fmt: skip
