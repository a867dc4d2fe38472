"""A documented rate as a token bucket in our own hands: when may the next call leave, never too early.

Classic token bucket; the level may be corrected by what the shop's answer says about it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """`per_second` units refill, at most `burst` at once. Times are seconds of one monotonic clock.

    `held` units are kept for a call that is about to leave; it counts when it leaves.
    """

    per_second: float
    burst: float
    margin: float = 1.0
    level: float = -1.0
    at: float = 0.0
    blocked_until: float = -math.inf
    held: float = 0.0

    def __post_init__(self) -> None:
        if self.level < 0:
            self.level = self.burst

    @property
    def rate(self) -> float:
        """Units a second that may be used."""
        return self.per_second * self.margin

    def _refill(self, now: float) -> None:
        if now > self.at:
            self.level = min(self.burst, self.level + (now - self.at) * self.rate)
            self.at = now

    def ready_at(self, cost: float, now: float) -> float:
        """The earliest time a call of that cost may leave; a cost above the bucket waits for a full one."""
        self._refill(now)
        missing = min(cost, self.burst) + self.held - self.level
        free = now if missing <= 1e-9 else now + missing / self.rate
        return max(free, self.blocked_until)

    def take(self, cost: float, now: float) -> None:
        """Count a call that leaves now."""
        self._refill(now)
        self.level -= cost

    def left(self, now: float) -> float:
        """Units in the bucket now; negative while a call that was larger than it is paid off."""
        self._refill(now)
        return self.level

    def hold(self, cost: float) -> None:
        """Keep room for a call; nobody else may use it until `release`."""
        self.held += cost

    def release(self, cost: float) -> None:
        self.held = max(0.0, self.held - cost)

    def feed(self, available: float | None, now: float, per_second: float | None, burst: float | None) -> None:
        """Believe the shop about what is left, but never more than we count ourselves while calls are out."""
        self._refill(now)
        if burst is not None and burst > 0:
            self.burst = burst
        if per_second is not None and per_second > 0:
            self.per_second = per_second
        self.level = min(self.level if available is None else available, self.burst)

    def block(self, seconds: float, now: float, *, empty: bool = True) -> None:
        """The shop refused for speed. `empty`: because nothing was left of this rate."""
        self.blocked_until = max(self.blocked_until, now + seconds)
        if empty:
            self.level = min(self.level, 0.0)


@dataclass(slots=True)
class Window(Bucket):
    """A rate that the shop counts over a sliding window: at most `burst` units in any `seconds`.

    What an answer says is left is not believed: it does not say when the calls it counts were made.
    """

    seconds: float = 1.0
    calls: deque[tuple[float, float]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if 0 <= self.level < self.burst:
            self.calls.append((self.at, self.burst - self.level))
        self.level = self.burst

    @property
    def rate(self) -> float:
        return self.burst / self._length

    @property
    def _length(self) -> float:
        return self.seconds / self.margin

    def _refill(self, now: float) -> None:
        self.at = max(self.at, now)
        while self.calls and self.calls[0][0] + self._length <= now:
            self.calls.popleft()
        self.level = self.burst - sum(cost for _, cost in self.calls)

    def ready_at(self, cost: float, now: float) -> float:
        self._refill(now)
        missing, free = min(cost, self.burst) + self.held - self.level, now
        for at, units in self.calls:
            if missing <= 1e-9:
                break
            missing, free = missing - units, at + self._length
        return max(free, self.blocked_until)

    def take(self, cost: float, now: float) -> None:
        self.calls.append((now, cost))
        self._refill(now)
