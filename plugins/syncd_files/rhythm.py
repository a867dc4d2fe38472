"""How long a shop lets our file lie: learned from one to the next, so that its import is seen soon after it."""

from __future__ import annotations

LEAST_SECONDS = 1.0
SLACK_SECONDS = 1.0


class Rhythm:
    """Times are seconds of one monotonic clock. What was learned is lost at a restart.

    `usual_seconds`: between two looks as long as nothing is known.
    """

    def __init__(self, usual_seconds: float) -> None:
        self._usual = usual_seconds
        self._put_at: float | None = None
        self._lay: float | None = None
        self._window = (0.0, 0.0)

    def put(self, now: float) -> None:
        """Our file went down."""
        self._put_at, self._lay = now, None

    def gone(self, now: float) -> None:
        """Nothing lies there: the shop took our file in at an age between the last look and this one.

        Where nobody looked for long that tells nothing.
        """
        if self._put_at is not None and self._lay is not None:
            age = now - self._put_at
            if age - self._lay <= self._usual + SLACK_SECONDS:
                self._window = (self._lay, age)
        self._put_at = None

    def pause(self, now: float) -> float:
        """Seconds until the next look at a file that lies there: few around the age at which the last one went."""
        if self._put_at is None:
            return self._usual
        age = self._lay = now - self._put_at
        begin, end = self._window
        return self._usual if age >= end else min(self._usual, max(LEAST_SECONDS, begin - age))
