"""The one place that reads time or waits for it. Everything else is handed a `Clock`.

`Wake` is a flag that ends a wait early and keeps until consumed, so a wake-up between two waits is not lost.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import datetime

import anyio

from syncd.model import from_us

LONGEST_SLEEP_SECONDS = 30.0


class Wake:
    """A flag that ends a wait. Setting it twice is one wake-up; setting it while nobody waits is kept."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def clear(self) -> None:
        if self._event.is_set():
            self._event = anyio.Event()

    async def wait(self) -> None:
        """Return once set, and reset."""
        await self._event.wait()
        self.clear()


class Clock(ABC):
    """Reads and waits for time."""

    @abstractmethod
    def now_us(self) -> int:
        """Wall time in whole microseconds since the epoch, UTC. May jump when the host's clock is set."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds that never go back; for durations and rate limits only."""

    def now(self) -> datetime:
        return from_us(self.now_us())

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""

    @abstractmethod
    async def wait(self, until_us: int | None, wake: Wake) -> bool:
        """Return at a wall time, or earlier when `wake` is set (then True, and the flag is consumed).

        None waits for the flag alone. A time in the past returns at once, after one turn of the loop.
        """

    @abstractmethod
    def limit(self, seconds: float) -> AbstractContextManager[object]:
        """A `with` block that raises TimeoutError when it takes longer."""


class SystemClock(Clock):
    """The host's clock. A wait ends when the wall says so or when its time has really passed, so that a clock that
    is set forward or back strands nobody.
    """

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def wait(self, until_us: int | None, wake: Wake) -> bool:
        ends = math.inf if until_us is None else self.monotonic() + (until_us - self.now_us()) / 1e6
        while True:
            if wake.is_set():
                wake.clear()
                await anyio.lowlevel.checkpoint()
                return True
            left = LONGEST_SLEEP_SECONDS
            if until_us is not None:
                left = min((until_us - self.now_us()) / 1e6, ends - self.monotonic())
                if left <= 0:
                    await anyio.lowlevel.checkpoint()
                    return False
            with anyio.move_on_after(min(left, LONGEST_SLEEP_SECONDS)):
                await wake.wait()
                return True

    def limit(self, seconds: float) -> AbstractContextManager[object]:
        return anyio.fail_after(seconds)
