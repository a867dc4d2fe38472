"""Virtual time as a heap of what happens next. At one moment, lower ranks go first, then what was put in first."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from typing import Any


class Rank(IntEnum):
    """What goes first at one moment: effects, then answers, then what the daemon reads, then what it decides."""

    WORLD = -1  # buyers, hands, faults
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


class Halting(Calendar):
    """A calendar in which the daemon can be dead for a while: what it would do then, it does when it is back."""

    __slots__ = ("dead_until_us",)

    def __init__(self, now_us: int) -> None:
        super().__init__(now_us)
        self.dead_until_us = 0

    def run_to(self, until_us: int) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until_us:
            when_us, rank, _, act, what = heappop(heap)
            self.now_us = max(self.now_us, when_us)
            if when_us < self.dead_until_us and rank >= Rank.ANSWER:
                self.at(self.dead_until_us, rank, act, what)
            else:
                act(what)
        self.now_us = max(self.now_us, until_us)
