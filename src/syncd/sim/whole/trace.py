"""What happened, in order: its hash tells two runs apart, its last lines tell a person what went before a fault."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable

LAST = 40


class Trace:
    """Lines of time and text. Only the last lines of each SKU are kept; the hash is over all."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._hash = hashlib.sha256()
        self._of: dict[str, deque[str]] = {}
        self._last: deque[str] = deque(maxlen=LAST)
        self.lines = 0

    def __call__(self, what: str, skus: Iterable[str] = ()) -> None:
        line = f"{self._now_us() / 1e6:.6f} {what}"
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        self.lines += 1
        self._last.append(line)
        for sku in skus:
            self._of.setdefault(sku, deque(maxlen=LAST)).append(line)

    @property
    def digest(self) -> str:
        """SHA-256 of all lines so far."""
        return self._hash.hexdigest()

    def events(self, sku: str | None) -> tuple[str, ...]:
        """The last lines about a SKU, or of everything."""
        return tuple(self._last if sku is None else self._of.get(sku, ()))
