"""A store whose transactions take time, one after the other: what a busy disk does to everybody's turn."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from sqlalchemy import Connection

from syncd.store.engine import Priority, Store

T = TypeVar("T")


class SlowStore(Store):
    """Open it inline. Each transaction takes `each_seconds` of the clock; waiters go by priority, then in order."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.each_seconds = 0.0
        self._line: list[tuple[int, int, anyio.Event]] = []
        self._tickets = itertools.count()
        self._working = False

    async def tx(self, fn: Callable[[Connection], T], *, priority: Priority = Priority.NORMAL) -> T:
        if self.each_seconds <= 0:
            return await super().tx(fn, priority=priority)
        with anyio.CancelScope(shield=True):
            await self._my_turn(priority)
            await self._clock.sleep(self.each_seconds)
        try:
            return await super().tx(fn, priority=priority)
        finally:
            self._next_turn()

    async def _my_turn(self, priority: Priority) -> None:
        if not self._working:
            self._working = True
            return
        turn = anyio.Event()
        heapq.heappush(self._line, (priority, next(self._tickets), turn))
        await turn.wait()

    def _next_turn(self) -> None:
        if self._line:
            heapq.heappop(self._line)[2].set()
        else:
            self._working = False
