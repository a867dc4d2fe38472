"""What a play may contain, how long things take in it, and what comes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from syncd.sim.rough import DEAD_AFTER_SECONDS, VISIBILITY_SECONDS
from syncd.sim.trial import Crash

POLL_SECONDS = 3.0
BATCH_SECONDS = 5.0
SWEEP_SECONDS = 30.0
ROUND_TRIP_SECONDS = 0.06
CALL_SECONDS = 6.0
LOOK_SECONDS = 5.0
QUIET_SECONDS = 2 * (POLL_SECONDS + VISIBILITY_SECONDS + DEAD_AFTER_SECONDS + BATCH_SECONDS) + SWEEP_SECONDS
BELOW_ZERO = re.compile(r"shows -\d+, rule chain gives 0$")
REPLAY = "python -m syncd.sim.nemesis --seed {seed}"


@dataclass(frozen=True, slots=True)
class Script:
    """What a play may contain."""

    seconds: float = 25.0
    skus: int = 8
    malls: int = 4
    kinds: tuple[str, ...] = ()
    orders_a_second: float = 2.5
    faults: bool = True
    crashes: bool = True
    hands: bool = True


@dataclass(slots=True)
class Result:
    """What came of a play. `wrong` names everything that must not be; empty is good."""

    seed: int
    trace: str
    wrong: list[str]
    kinds: list[str]
    counts: dict[str, int]
    gap_units: int

    @property
    def good(self) -> bool:
        return not self.wrong

    def replay(self) -> str:
        """The command that plays it again, and what was wrong."""
        return "\n".join((REPLAY.format(seed=self.seed), *self.wrong[:20]))


def only_crash(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(only_crash(one) for one in error.exceptions)
    return isinstance(error, Crash)
