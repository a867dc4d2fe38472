"""How long to wait after failures, and when a shop's circuit opens. Deterministic: jitter comes from the caller."""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
OPENS_AFTER = 5


def back_off_seconds(failures: int, *, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> float:
    """Seconds to wait after so many failures in a row: doubled each time up to the longest."""
    if failures <= 0:
        return 0.0
    return min(longest, first * 2.0 ** min(failures - 1, 30))


@dataclass(frozen=True, slots=True)
class Circuit:
    """State of one shop's calls: how many failed in a row and until when nothing is tried."""

    failures: int = 0
    until_us: int = 0

    @property
    def is_open(self) -> bool:
        return self.failures >= OPENS_AFTER

    def failed(self, now_us: int, *, after_seconds: float | None = None, jitter: float = 0.0) -> Circuit:
        """One more failure; wait as the shop asks or back off."""
        failures = self.failures + 1
        wait = after_seconds if after_seconds is not None else back_off_seconds(failures) * (1.0 + jitter)
        return replace(self, failures=failures, until_us=now_us + int(wait * 1e6))

    def waits(self, until_us: int) -> Circuit:
        """Nothing before that time, without counting a failure: maintenance, a throttle."""
        return replace(self, until_us=max(self.until_us, until_us))


CLOSED_CIRCUIT = Circuit()


def smaller_call(rows: int) -> int:
    """Rows of the next call after one of so many was refused with no row named (bisection)."""
    return max(1, (rows + 1) // 2)
