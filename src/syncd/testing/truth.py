"""Listings and orders as a mall has them: the truth that its emulator shows and the judge of `world.py` knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from syncd.sdk.channel import Reason


class Refusal(Exception):
    """The mall refuses one row of a write."""

    def __init__(self, reason: Reason, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sent:
    """When a write left the daemon, and which reads came before that: of each listing's number, of the orders whole.
    `unread` are the malls whose orders could not be read then.
    """

    at: datetime
    numbers: Mapping[str, datetime | None]
    orders: datetime | None
    unread: frozenset[str] = frozenset()


@dataclass(slots=True)
class TruthListing:
    """One listing as the mall has it. `shown` is the number on the page; `counted` False sells without end."""

    key: str
    sku: str
    pack: int = 1
    shown: int = 0
    counted: bool = True
    exists: bool = True
    updated_at: datetime | None = None
    read_at: datetime | None = None  # begin of the last stock read that included it
    sold_out_at: datetime | None = None  # when a buyer took the last unit shown


@dataclass(slots=True)
class TruthLine:
    """One line of an order as the mall has it, in units of the listing."""

    line: str
    listing: str
    ordered: int
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    restocked: int = 0

    @property
    def held(self) -> int:
        return self.ordered - self.cancelled - self.shipped


@dataclass(slots=True)
class TruthOrder:
    """One accepted order. `visible_at` is when the order feed first shows it, `delivered_at` when we got it.

    `parcels` are the tracking numbers of what was reported as shipped, each as often as it was reported.
    `late`: it shows later than the channel's bound, against the condition under which raises are judged.
    """

    number: str
    lines: list[TruthLine]
    placed_at: datetime
    visible_at: datetime
    updated_at: datetime
    cancelled_at: datetime | None = None
    delivered_at: datetime | None = None
    parcels: list[str] = field(default_factory=list)
    late: bool = False
    extra: dict[str, object] = field(default_factory=dict)
