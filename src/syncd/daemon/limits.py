"""Rate budgets at work: who may call next, a stockout before everything else (the math is in `core/budget.py`).

Buckets are shared by name: two shops of one application ID that declare the same shared budget draw from one
bucket. Waiters of a bucket are served by urgency, then in order.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio

from syncd.clock import Clock
from syncd.core.budget import Bucket, Window
from syncd.model import Lane
from syncd.sdk.channel import Budget, Scope

DEFAULT_BLOCK_SECONDS = 1.0
urgency: ContextVar[int] = ContextVar("urgency", default=int(Lane.BATCH))
"""How urgent the call under way is; set by the dispatcher around a call."""
slot_of_call: ContextVar[Slot | None] = ContextVar("slot_of_call", default=None)
"""The slot that was taken for the call under way, before it was clear what it carries."""
call_number: ContextVar[int | None] = ContextVar("call_number", default=None)
"""The newest call that this task made: what its answer says of a bucket is from before the calls that left since."""
REMEMBERED = 64
FIRST = -1
"""Before every lane: a call that leaves in its own slot waits for nobody."""


@dataclass(slots=True)
class _Line:
    """One bucket and those who wait for it."""

    bucket: Bucket
    waiting: list[tuple[int, int, float]] = field(default_factory=list)
    moved: anyio.Event = field(default_factory=anyio.Event)
    left: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def left_since(self, number: int) -> float:
        """Cost of the calls that left after that one."""
        return sum(cost for one, cost in self.left if one > number)

    def wake(self) -> None:
        self.moved.set()
        self.moved = anyio.Event()


@dataclass(slots=True)
class Slot:
    """Room for one call in every bucket of its operation. Nobody else may use it until it is given back."""

    operation: str
    cost: float
    lines: list[_Line] = field(default_factory=list)

    def give_back(self) -> bool:
        """Free the room, or count the call that leaves now. False when that was done before."""
        lines, self.lines = self.lines, []
        for line in lines:
            line.bucket.release(self.cost)
            line.wake()
        return bool(lines)


class Budgets:
    """Every bucket of the daemon, by (scope, sharers, budget)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lines: dict[tuple[str, str, str], _Line] = {}
        self._tickets = itertools.count()

    def limiter(self) -> ShopLimiter:
        """A limiter without budgets, for a channel that has yet to declare them."""
        return ShopLimiter(self.clock, {}, self._tickets)

    def declare(self, limiter: ShopLimiter, shop: str, channel: str, budgets: Iterable[Budget]) -> None:
        """Give a shop's limiter the budgets its channel declares."""
        of: dict[str, list[_Line]] = {}
        for budget in budgets:
            sharers = shop if budget.scope is Scope.SHOP else f"{channel}/{budget.shared_as}"
            key = (budget.scope.value, sharers, budget.name)
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line(_bucket_of(budget, self.clock.monotonic()))
            bucket = line.bucket  # a shop whose file changed declares anew
            bucket.per_second, bucket.burst, bucket.margin = budget.per_second, budget.burst, budget.margin
            for operation in budget.operations:
                of.setdefault(operation, []).append(line)
        limiter.lines = of


def _bucket_of(budget: Budget, now: float) -> Bucket:
    """Where excess is punished the bucket starts empty: the calls before a crash still count there."""
    full = budget.burst if budget.margin >= 1.0 else 0.0
    if budget.window_seconds:
        return Window(budget.per_second, budget.burst, budget.margin, full, now, seconds=budget.window_seconds)
    return Bucket(budget.per_second, budget.burst, budget.margin, full, now)


class ShopLimiter:
    """What one shop's client waits for. Operations without a budget never wait."""

    def __init__(self, clock: Clock, lines: dict[str, list[_Line]], tickets: itertools.count[int]) -> None:
        self._clock = clock
        self.lines = lines
        self._tickets = tickets

    def ready_in(self, operation: str, cost: float = 1.0) -> float:
        """Seconds until a call of that cost could leave if nobody else wanted to."""
        now = self._clock.monotonic()
        return max((line.bucket.ready_at(cost, now) - now for line in self.lines.get(operation, ())), default=0.0)

    def seconds_each(self, operation: str, cost: float) -> float:
        """Seconds between two calls of that cost at the full rate."""
        return max((cost / line.bucket.rate for line in self.lines.get(operation, ())), default=0.0)

    def undisturbed(self, operation: str, cost: float, others: float) -> bool:
        """Whether calls of other operations, of so much cost, hold no call of this one up: they draw from other buckets
        or leave enough.
        """
        now = self._clock.monotonic()
        shared = [line for name, lines in self.lines.items() if name != operation for line in lines]
        return not any(
            line.bucket.left(now) < cost + others and any(line is other for other in shared)
            for line in self.lines.get(operation, ())
        )

    async def acquire(self, operation: str, cost: float) -> None:
        slot, rank = slot_of_call.get(), urgency.get()
        if slot is not None and slot.operation == operation and slot.give_back():
            rank = FIRST  # no await from here until it is taken: what was held is counted when the call leaves
        number = None
        for line in self.lines.get(operation, ()):
            await self._turn(line, cost, rank)
            number = next(self._tickets)
            line.bucket.take(cost, self._clock.monotonic())
            line.left.append((number, cost))
            line.wake()
        call_number.set(number)

    async def reserve(self, operation: str, cost: float) -> Slot:
        """Wait in line for a slot and hold it for the call that will use it (`slot_of_call`), or give it back."""
        slot = Slot(operation, cost)
        try:
            for line in self.lines.get(operation, ()):
                await self._turn(line, cost, urgency.get())
                line.bucket.hold(cost)
                slot.lines.append(line)
        except BaseException:
            slot.give_back()
            raise
        return slot

    async def _turn(self, line: _Line, cost: float, rank: int) -> None:
        """Return when a call of that cost may leave, before anything else can happen."""
        ticket = (rank, next(self._tickets), cost)
        heapq.heappush(line.waiting, ticket)
        try:
            while True:
                now = self._clock.monotonic()
                first = line.waiting[0] is ticket
                wait = line.bucket.ready_at(cost, now) - now if first else None
                if wait is not None and wait <= 0:
                    return
                await self._sleep(line, wait)
        finally:
            line.waiting.remove(ticket)
            heapq.heapify(line.waiting)
            line.wake()

    async def _sleep(self, line: _Line, seconds: float | None) -> None:
        """Until it may be our turn: time has passed, or the queue moved."""
        moved = line.moved
        if seconds is None:
            await moved.wait()
            return
        async with anyio.create_task_group() as group:

            async def queue_moved() -> None:
                await moved.wait()
                group.cancel_scope.cancel()

            group.start_soon(queue_moved)
            await self._clock.sleep(seconds)
            group.cancel_scope.cancel()

    def feed(self, operation: str, *, available: float | None, per_second: float | None, burst: float | None) -> None:
        now, number = self._clock.monotonic(), call_number.get()
        for line in self.lines.get(operation, ()):
            since = 0.0 if number is None else line.left_since(number)
            line.bucket.feed(None if available is None else available - since, now, per_second, burst)
            line.wake()

    def throttled(self, operation: str, after_seconds: float | None) -> None:
        """The shop refused a call for speed. Which of its rates that was is not told: the one soonest full again, or
        a single refusal would use a whole day's calls up."""
        now, lines = self._clock.monotonic(), self.lines.get(operation, ())
        soonest = min((line.bucket.burst / line.bucket.rate for line in lines), default=0.0)
        for line in lines:
            empty = line.bucket.burst / line.bucket.rate <= soonest
            line.bucket.block(DEFAULT_BLOCK_SECONDS if after_seconds is None else after_seconds, now, empty=empty)
            line.wake()

    def spare(self, operation: str) -> float:
        now = self._clock.monotonic()
        lines = self.lines.get(operation, ())
        return min((line.bucket.left(now) - line.bucket.held for line in lines), default=math.inf)

    def left(self) -> dict[str, float]:
        """Share of each operation's bucket that is left, for a metric."""
        now = self._clock.monotonic()
        out: dict[str, float] = {}
        for operation, lines in self.lines.items():
            for line in lines:
                out[operation] = max(0.0, line.bucket.left(now)) / line.bucket.burst
        return out
