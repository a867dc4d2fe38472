"""Virtual time as a heap of what happens next. At one moment, lower ranks go first, then what was put in first."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from typing import Any


class Rank(IntEnum):
    """What goes first at one moment: effects, then answers, then what the daemon reads, then what it decides."""

    APPLY = 0
    ANSWER = 1
    POLL = 2
    WATCH = 3
    SETTLE = 4
    TIMER = 5
    DISPATCH = 6


class Calendar:
    """`now_us` only moves forward. What is put in for the past happens now."""

    __slots__ = ("_count", "_heap", "now_us")

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self._heap: list[tuple[int, int, int, Callable[[Any], None], Any]] = []
        self._count = 0

    def at(self, when_us: int, rank: int, act: Callable[[Any], None], what: Any) -> None:
        """Have `act(what)` called at that time."""
        self._count += 1
        heappush(self._heap, (when_us, rank, self._count, act, what))

    def run_to(self, until_us: int) -> None:
        """Let everything happen that is due by then."""
        heap = self._heap
        while heap and heap[0][0] <= until_us:
            when_us, _, _, act, what = heappop(heap)
            if when_us > self.now_us:
                self.now_us = when_us
            act(what)
        if until_us > self.now_us:
            self.now_us = until_us
