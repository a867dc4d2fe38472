"""Order answers on their way into the ledger: known, and not booked yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio

from syncd.clock import Clock


class Answers:
    """Counts answers of all shops between their arrival and their commit, so that a rare call can wait for them."""

    def __init__(self) -> None:
        self._open = 0
        self._booked = anyio.Event()

    @property
    def open(self) -> int:
        """Answers that are being booked."""
        return self._open

    @contextmanager
    def booking(self) -> Iterator[None]:
        """Around the transaction that books an answer, and the wake-ups after it."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._booked.set()
                self._booked = anyio.Event()

    async def quiet(self, clock: Clock, most_seconds: float) -> None:
        """Return when no answer is being booked, or after so long at the latest."""
        with suppress(TimeoutError), clock.limit(most_seconds):
            while self._open:
                await self._booked.wait()
