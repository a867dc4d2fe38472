"""One script for both layers: a few shops of every write form, SKUs under every policy, and what happens to them.

Nothing goes wrong in it, and its events lie so far apart that no delay of a poll, a batch or a barrier matters: so
both layers must decide the same (`same.py`). Buyers take what they find; whatever else a script says is absolute.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from syncd.core.policy import AUTO, Kind, Policy
from syncd.sdk.capabilities import Form

VISIBLE_SECONDS = 2.0
POLL_SECONDS = 10.0
"""What a shop is assumed to take, in both layers. Right after an event all shops are polled each second."""
BUSY_SECONDS = 30
LOOK_SECONDS = 10.0
"""How often SKUs in escrow are looked at though nothing happened to them (the daemon's housekeeping)."""
BATCH_SECONDS = 10.0
DEAD_SECONDS = 10.0
GAP_SECONDS = 100.0
"""From one event to the next; with seven SKUs in turn the bursts of a SKU's orders have faded before its next one."""
APART_SECONDS = 4.0
"""From a batch to the next event or look, so that they do not meet."""
OPENING_SECONDS = 240.0
"""Until every bound is proven and every share is given."""
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Stand:
    """One shop of the script: by which forms it is written, whether its stock is read, whether it restocks.

    `usual`: what it sold of everything on the day before; no two alike, so that no share hangs on a tie.
    """

    name: str
    forms: tuple[Form, ...]
    usual: float
    reads: bool = True
    restocks: bool = True


STANDS = (
    Stand("absolute", (Form.ABSOLUTE,), 31.0),
    Stand("unread", (Form.ABSOLUTE,), 23.0, reads=False, restocks=False),
    Stand("relative", (Form.RELATIVE_REFUSES, Form.ABSOLUTE), 27.0),
    Stand("swapping", (Form.COMPARE_AND_SET, Form.ABSOLUTE), 19.0, restocks=False),
)


@dataclass(frozen=True, slots=True)
class Ware:
    """One SKU: how it is kept from being oversold, and what of it is there at first."""

    code: str
    policy: Policy
    pieces: int


class Act(StrEnum):
    """What can happen."""

    BUY = "buy"
    CANCEL = "cancel"
    ARRIVE = "arrive"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens to a SKU.

    `number`: units that a buyer wants at `stand` (below 0: all but so many of what it shows), pieces that arrive, or
    pieces that a count finds, `change` of them more than were held to be there. A cancel takes the newest order of
    the SKU back that is not cancelled yet.
    """

    act: Act
    ware: int
    number: int = 0
    stand: int = 0
    change: int = 0

    def wants(self, shown: int) -> int:
        """Units that the buyer takes of a page that shows so many."""
        return max(0, shown + self.number if self.number < 0 else min(self.number, shown))


@dataclass(frozen=True, slots=True)
class Script:
    """What there is and what happens, in order, one event every `GAP_SECONDS`."""

    seed: int
    wares: Sequence[Ware]
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Written:
    """A write that a shop took: its form, and the number the page showed after it."""

    form: Form
    number: int


@dataclass(slots=True)
class View:
    """What one event led to. Keys of pages and writes are (stand, ware)."""

    pages: Mapping[tuple[int, int], int]
    modes: Mapping[int, str]
    writes: dict[tuple[int, int], list[Written]] = field(default_factory=dict)


def script_of(seed: int, rounds: int = ROUNDS) -> Script:
    """The script of a seed; a shorter one is the begin of a longer one."""
    chance = random.Random(f"script {seed}")  # noqa: S311  # a script must repeat
    wares = _wares(chance)
    order = list(range(len(wares)))
    chance.shuffle(order)
    there = {i: ware.pieces for i, ware in enumerate(wares)}
    return Script(seed, wares, tuple(_events(chance, rounds, order, wares, there)))


def _wares(chance: random.Random) -> tuple[Ware, ...]:
    def few() -> int:
        return chance.randint(2, 40)

    def many() -> int:
        return chance.randint(500, 4000)

    return (
        Ware("mirror", Policy(Kind.MIRROR), few()),
        Ware("reserve", Policy(Kind.MIRROR, chance.randint(1, 4)), few()),
        Ware("auto-few", AUTO, few()),
        Ware("auto-many", AUTO, many()),
        Ware("auto-more", AUTO, many()),
        Ware("escrow-few", Policy(Kind.ESCROW), few()),
        Ware("escrow-many", Policy(Kind.ESCROW), chance.randint(40, 200)),
    )


def _events(
    chance: random.Random, rounds: int, order: Sequence[int], wares: Sequence[Ware], there: dict[int, int]
) -> Iterator[Event]:
    for _ in range(rounds):
        for ware in order:
            [act] = chance.choices(list(Act), (6, 1, 1, 1))
            yield _event(chance, act, ware, wares[ware].pieces, there)


def _event(chance: random.Random, act: Act, ware: int, pieces: int, there: dict[int, int]) -> Event:
    if act is Act.BUY:
        units = -chance.randint(1, 9) if chance.random() < 0.3 else chance.randint(1, max(1, pieces // 3))
        return Event(act, ware, units, chance.randrange(len(STANDS)))
    if act is Act.CANCEL:
        return Event(act, ware)
    change = chance.randint(1, pieces)
    if act is Act.COUNT and chance.random() < 0.7:
        change = -min(there[ware], change)
    there[ware] += change
    return Event(act, ware, change if act is Act.ARRIVE else there[ware], change=change)
