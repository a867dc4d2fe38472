"""How a stock service works: the published schedules of others, an ideal without delays, and ours."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.core.policy import AUTO, Kind, Policy
from syncd.sim.core.assumptions import BATCH_SECONDS, BEGIN_US, DEMANDS, SECOND_US, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """One way of working.

    `polls`: seconds between two reads of all orders; None for each shop's own pace. `batch`: everything that
    changed goes at whole multiples of it. `stockouts`: numbers of 0 go at whole multiples of it, 0 for at once.
    `fenced`: writes are planned by promise 4 (by relative and compare-and-set forms, reading before absolute
    numbers); else plain absolute numbers. `low`: low stock jumps the queue and is read back. `bounds`: exposures
    are kept, so that a SKU can go into escrow. `instant`: no waiting of our own, only the shops' delays.
    """

    name: str
    policy: Policy = AUTO
    polls: float | None = None
    batch: float = BATCH_SECONDS
    stockouts: float = 0.0
    fenced: bool = True
    low: bool = False
    bounds: bool = False
    instant: bool = False


MIRROR = Policy(Kind.MIRROR)
SALE = Policy(
    sale_from_us=BEGIN_US + int(DEMANDS[Scenario.FLASH].after * SECOND_US),
    sale_until_us=BEGIN_US + int((DEMANDS[Scenario.FLASH].after + DEMANDS[Scenario.FLASH].seconds) * SECOND_US),
)
"""A flash that was announced: `auto`, with its start and end known."""

HABITS: dict[str, Habit] = {
    one.name: one
    for one in (
        Habit(name="fixed 15 min", policy=MIRROR, polls=900, batch=900, stockouts=900, fenced=False),
        Habit(name="fixed 10 min", policy=MIRROR, polls=600, batch=600, stockouts=600, fenced=False),
        Habit(name="3 min + 1 min stockout", policy=MIRROR, polls=60, batch=180, stockouts=60, fenced=False),
        Habit(name="zero-delay mirror", policy=MIRROR, fenced=False, instant=True),
        Habit(name="mirror", policy=MIRROR, low=True),
        Habit(name="auto", policy=AUTO, low=True, bounds=True),
        Habit(name="escrow", policy=Policy(Kind.ESCROW), bounds=True),
        Habit(name="sale mode", policy=SALE, low=True, bounds=True),
    )
}
