"""Stand-ins for the core: a clock moved by hand, limiters, and the door through which a channel meets its emulator.

`ManualClock` never moves by itself: `advance` moves it waiter by waiter, and `run_until` moves it only while the
awaited work is stuck. asyncio only.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx

from syncd.clock import Clock, Wake
from syncd.model import to_us
from syncd.sdk.channel import Budget, Channel, ShopContext
from syncd.sdk.files import FilesAddress, RemoteFiles
from syncd.sdk.grants import Grants, MemoryGrants
from syncd.sdk.http import HttpClient, Limiter, NoLimit
from syncd.sdk.mail import MailOpener, no_mail
from syncd.sdk.settings import ShopSettings, Writes
from syncd.testing.emulator import Emulator, EmulatorTransport

T = TypeVar("T")

START = datetime(2026, 11, 21, tzinfo=UTC)
LONGEST_RUN_SECONDS = 7 * 86_400.0
MOST_TURNS = 1_000_000
STUCK_AFTER_SECONDS = 1.0  # of real time: only real I/O can still wake a loop that no timer can


class Stuck(AssertionError):
    """The awaited work waits for something that time does not bring."""


async def settle() -> None:
    """Give the loop turns until nothing but the caller could run."""
    # A BaseEventLoop keeps what can run in `_ready`; empty while we run means that all others wait.
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    for _ in range(MOST_TURNS if ready is not None else 200):
        await asyncio.sleep(0)
        if ready is not None and not ready:
            return
    if ready is not None:
        raise Stuck("a task of the loop spins without ever waiting")


class _Limit(AbstractContextManager[None]):
    """`ManualClock.limit`: a cancel scope that the clock cancels at its deadline."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._scope = anyio.CancelScope()
        self._ticket = 0

    def __enter__(self) -> None:
        self._scope.__enter__()
        self._ticket = self._clock.park(self._clock.after_us(self._seconds), self._scope.cancel)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._clock.unpark(self._ticket)
        swallowed = self._scope.__exit__(kind, error, trace)
        if self._scope.cancelled_caught:
            raise TimeoutError(f"longer than {self._seconds:g} s of the manual clock")
        return bool(swallowed)


class ManualClock(Clock):
    """A clock that stands still until told to advance. Starts at 2026-11-21T00:00Z.

    `busy` holds questions put before each step: while one answers True (a thread still works for a loop), the
    clock waits for it, so that no timer fires in between.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now_us = to_us(start)
        self._wall_offset_us = 0
        self._start_us = self._now_us
        self._numbers = itertools.count(1)
        self._heap: list[tuple[int, int]] = []
        self._parked: dict[int, Callable[[], None]] = {}
        self.busy: list[Callable[[], bool]] = []

    def now_us(self) -> int:
        return self._now_us + self._wall_offset_us

    def monotonic(self) -> float:
        return (self._now_us - self._start_us) / 1e6

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        due = anyio.Event()
        ticket = self.park(self.after_us(seconds), due.set)
        try:
            await due.wait()
        finally:
            self.unpark(ticket)

    async def wait(self, until_us: int | None, wake: Wake) -> bool:
        if wake.is_set():
            wake.clear()
            await anyio.lowlevel.checkpoint()
            return True
        if until_us is None:
            await wake.wait()
            return True
        if until_us <= self.now_us():
            await anyio.lowlevel.checkpoint()
            return False
        with anyio.CancelScope() as scope:
            ticket = self.park(until_us - self._wall_offset_us, scope.cancel)
            try:
                await wake.wait()
                return True
            finally:
                self.unpark(ticket)
        return False

    def limit(self, seconds: float) -> AbstractContextManager[object]:
        return _Limit(self, seconds)

    # -- moved by tests ------------------------------------------------------------------------------------

    async def advance(self, seconds: float) -> None:
        """Move on by so many seconds, waking each waiter at its time and letting all it starts run first."""
        target = self.after_us(seconds)
        await self._quiet()
        while (due := self.next_due_us()) is not None and due <= target:
            await self._step(due)
        self._now_us = max(self._now_us, target)
        await self._quiet()

    async def advance_to_next(self) -> bool:
        """Move to the next waiter and wake it. False when nobody waits for time."""
        await self._quiet()
        due = self.next_due_us()
        if due is None:
            return False
        await self._step(due)
        return True

    def set_wall(self, moment: datetime) -> None:
        """Set the wall time like an operator would; the monotonic time and sleepers do not notice."""
        self._wall_offset_us = to_us(moment) - self._now_us

    def next_due_us(self) -> int | None:
        """When the next waiter is due, in the clock's own unset time; None when nobody waits for time."""
        while self._heap and self._heap[0][1] not in self._parked:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def after_us(self, seconds: float) -> int:
        return self._now_us + max(0, round(seconds * 1e6))

    def park(self, due_us: int, wake: Callable[[], None]) -> int:
        """Have `wake` called when the time comes. Equal times are woken in the order they were parked."""
        ticket = next(self._numbers)
        self._parked[ticket] = wake
        heapq.heappush(self._heap, (due_us, ticket))
        return ticket

    def unpark(self, ticket: int) -> None:
        self._parked.pop(ticket, None)

    async def _step(self, due_us: int) -> None:
        _, ticket = heapq.heappop(self._heap)
        self._now_us = max(self._now_us, due_us)
        self._parked.pop(ticket)()
        await self._quiet()

    async def _quiet(self) -> None:
        await settle()
        while any(is_busy() for is_busy in self.busy):
            await asyncio.sleep(0.0005)  # real time: a thread works, the manual time stands
            await settle()


async def run_until(clock: ManualClock, work: Awaitable[T], *, within_seconds: float = LONGEST_RUN_SECONDS) -> T:
    """Await the work, moving the clock to the next waiter whenever all is stuck; give back what it gives.

    Raises Stuck when nobody waits for time and the work still does not end, or when it takes more manual time
    than `within_seconds`. The work is cancelled then.
    """
    task = asyncio.ensure_future(work)
    began = clock.monotonic()
    try:
        while True:
            await settle()
            if task.done():
                return await task
            if clock.monotonic() - began > within_seconds:
                raise Stuck(f"not done within {within_seconds:g} s of the manual clock")
            if not await clock.advance_to_next():
                await asyncio.wait({task}, timeout=STUCK_AFTER_SECONDS)
                if not task.done() and clock.next_due_us() is None:
                    raise Stuck("waits, and neither time nor another task will end it")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


# --- limiters -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class RecordingLimiter:
    """A limiter that never waits and keeps what it was told."""

    acquired: list[tuple[str, float]] = field(default_factory=list)
    fed: list[tuple[str, float | None]] = field(default_factory=list)
    refused: list[tuple[str, float | None]] = field(default_factory=list)

    async def acquire(self, operation: str, cost: float) -> None:
        self.acquired.append((operation, cost))

    def feed(self, operation: str, *, available: float | None, per_second: float | None, burst: float | None) -> None:
        self.fed.append((operation, available))

    def throttled(self, operation: str, after_seconds: float | None) -> None:
        self.refused.append((operation, after_seconds))

    def spare(self, operation: str) -> float:
        return math.inf


class BudgetLimiter:
    """A plain limiter over declared budgets with their margins: what the core's does at the least.

    `budgets` may be set later: a channel names its budgets only once it is built.
    """

    def __init__(self, clock: Clock, budgets: Sequence[Budget] = ()) -> None:
        self._clock = clock
        self.budgets = budgets
        self._full_at: dict[str, float] = {}
        self._left: dict[str, deque[float]] = {}
        self.acquired: list[tuple[str, float]] = []

    async def acquire(self, operation: str, cost: float) -> None:
        """Return when every budget of the operation has room for the cost."""
        self.acquired.append((operation, cost))
        for budget in self._of(operation):
            if budget.window_seconds:
                await self._in_window(budget)
                continue
            rate = budget.per_second * budget.margin
            room = max(cost, budget.burst * budget.margin) / rate
            full_at = max(self._full_at.get(budget.name, 0.0), self._clock.monotonic()) + cost / rate
            self._full_at[budget.name] = full_at
            while full_at - self._clock.monotonic() > room + 1e-6:
                await self._clock.sleep(full_at - self._clock.monotonic() - room)

    def feed(self, operation: str, *, available: float | None, per_second: float | None, burst: float | None) -> None:
        return None

    def throttled(self, operation: str, after_seconds: float | None) -> None:
        for budget in self._of(operation):
            until = self._clock.monotonic() + (after_seconds or 0.0)
            self._full_at[budget.name] = max(self._full_at.get(budget.name, 0.0), until)

    def spare(self, operation: str) -> float:
        now, left = self._clock.monotonic(), math.inf
        for budget in self._of(operation):
            owed = max(0.0, self._full_at.get(budget.name, 0.0) - now) * budget.per_second
            left = min(left, budget.burst - owed * budget.margin)
        return left

    def _of(self, operation: str) -> list[Budget]:
        return [budget for budget in self.budgets if operation in budget.operations]

    async def _in_window(self, budget: Budget) -> None:
        """Return when fewer than the burst have left within the window; each call counts as one."""
        left = self._left.setdefault(budget.name, deque(maxlen=int(budget.burst)))
        if len(left) == left.maxlen:
            await self._clock.sleep(left[0] + budget.window_seconds / budget.margin - self._clock.monotonic())
        left.append(self._clock.monotonic())


# --- opening a channel --------------------------------------------------------------------------------------

OpenOrders = Callable[[], Awaitable[Sequence[str]]]


class _NoNetwork(httpx.AsyncBaseTransport):
    """Refuses every call: the emulator speaks no HTTP."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("this emulator has no HTTP", request=request)


def shop_context(
    emulator: Emulator,
    *,
    shop: str = "test",
    open_orders: OpenOrders | Sequence[str] | None = None,
    limiter: Limiter | None = None,
    clock: Clock | None = None,
    timeout_seconds: float = 30.0,
    grants: Grants | None = None,
) -> ShopContext:
    """The seams that lead into an emulator: HTTP in process, or its folder or mailbox in memory."""
    now = clock or emulator.clock
    app = getattr(emulator, "app", None)
    transport = _NoNetwork() if app is None else EmulatorTransport(app)

    def http(base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        client = httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, trust_env=False)
        return HttpClient(client, now, limiter or NoLimit(), timeout_seconds=timeout_seconds)

    def files(address: FilesAddress) -> RemoteFiles:
        opener: Callable[[FilesAddress], RemoteFiles] | None = getattr(emulator, "open_files", None)
        if opener is None:
            raise RuntimeError(f"{type(emulator).__name__} has no open_files")
        return opener(address)

    async def numbers() -> Sequence[str]:
        if callable(open_orders):
            return await open_orders()
        return list(open_orders or ())

    kept = grants or MemoryGrants()
    mail: MailOpener = getattr(emulator, "open_mail", no_mail)
    return ShopContext(shop=shop, clock=now, http=http, files=files, open_orders=numbers, grants=kept, mail=mail)


def open_channel(
    channel_type: type[Channel],
    emulator: Emulator,
    *,
    shop: str = "test",
    open_orders: OpenOrders | Sequence[str] | None = None,
    limiter: Limiter | None = None,
    clock: Clock | None = None,
    shop_settings: Mapping[str, Any] | None = None,
    grants: Grants | None = None,
) -> Channel:
    """A channel wired to its emulator, with the settings the emulator names. The caller awaits `aclose`."""
    general = ShopSettings(**{"name": shop, "channel": channel_type.slug, "writes": Writes.ON, **(shop_settings or {})})
    settings = channel_type.settings_type(**emulator.settings())
    context = shop_context(
        emulator,
        shop=shop,
        open_orders=open_orders,
        limiter=limiter,
        clock=clock,
        timeout_seconds=general.timeout_seconds,
        grants=grants,
    )
    return channel_type(general, settings, context)


def spawn(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start work beside the test, to be advanced, cancelled or awaited by it."""
    return asyncio.get_running_loop().create_task(work)
