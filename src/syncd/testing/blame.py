"""Who is to blame for pieces sold that were not there: the daemon, or one of the conditions that no daemon can keep.

Zero oversold can be promised while each channel sells only what it shows, nobody else raises it, its orders show in
time, and counted stock is real. Whoever breaks one of these breaks it by so many pieces; so many oversold pieces of
the SKU, until every shop has been told, are his.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Blame(StrEnum):
    """What made pieces oversold."""

    CHANNEL = "channel"  # it sold more than it showed
    HAND = "hand"  # staff raised a number on the mall
    LATE = "late"  # an order showed later than its channel's bound
    MISSING = "missing"  # counted stock was not there
    US = "us"


@dataclass(slots=True)
class Fault:
    """A condition broken for so many pieces of a SKU."""

    at: datetime
    blame: Blame
    pieces: int


@dataclass(slots=True)
class Blames:
    """Broken conditions by SKU. A fault is forgotten after `lasts`: by then every shop shows the truth again."""

    lasts: timedelta = timedelta(hours=1)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    broken: Counter[Blame] = field(default_factory=Counter)
    ever: dict[str, set[Blame]] = field(default_factory=dict)

    def broke(self, sku: str, pieces: int, blame: Blame, now: datetime) -> None:
        """A condition was broken by so many pieces."""
        self.faults.setdefault(sku, []).append(Fault(now, blame, pieces))
        self.broken[blame] += pieces
        self.ever.setdefault(sku, set()).add(blame)

    def broken_by(self, sku: str, blames: Collection[Blame]) -> bool:
        """Whether one of these ever broke a condition for a SKU."""
        return not self.ever.get(sku, set()).isdisjoint(blames)

    def of(self, sku: str, pieces: int, now: datetime) -> Counter[Blame]:
        """Whose so many oversold pieces are, oldest fault first; what nobody else broke is ours."""
        found: Counter[Blame] = Counter()
        alive = [one for one in self.faults.get(sku, ()) if now - one.at <= self.lasts]
        for fault in alive:
            taken = min(fault.pieces, pieces)
            fault.pieces -= taken
            pieces -= taken
            found[fault.blame] += taken
        self.faults[sku] = [one for one in alive if one.pieces]
        found[Blame.US] += pieces
        return +found
