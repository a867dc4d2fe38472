"""A call before it leaves: the occasion it is planned for, and what the plan came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from syncd.daemon.facts import ShopFacts
from syncd.model import Lane
from syncd.sdk.channel import StockWrite, WriteRoute
from syncd.store.outbox import IntentRow


@dataclass(slots=True)
class Due:
    """What waits for a shop: rows due by lane, and the earliest of the others."""

    rows: dict[int, int] = field(default_factory=dict)
    next_us: int | None = None

    @property
    def urgent(self) -> bool:
        return Lane.STOCKOUT in self.rows

    @property
    def count(self) -> int:
        return sum(self.rows.values())

    def riders(self, max_rows: int) -> bool:
        """Whether others may ride with the stockouts in a call of so many rows."""
        return self.rows.get(Lane.STOCKOUT, 0) < min(max_rows, self.count)


@dataclass(slots=True)
class Agenda:
    """What a plan came to: rows to write now, and what others need first.

    `on`: what it was planned for. `later`: some could leave, but the slot is still to come.
    """

    on: Occasion | None = None
    intent_id: int | None = None
    key: str = ""
    rows: list[IntentRow] = field(default_factory=list)
    writes: list[StockWrite] = field(default_factory=list)
    since_us: dict[int, int] = field(default_factory=dict)
    lanes: dict[int, int] = field(default_factory=dict)
    need_stock: list[tuple[int, str]] = field(default_factory=list)
    need_orders: bool = False
    later: bool = False

    @property
    def lane(self) -> Lane:
        """The most urgent lane among its rows."""
        return Lane(min(self.lanes.values(), default=Lane.BATCH))

    @property
    def full(self) -> bool:
        """Whether one more stockout would find no place: a stockout goes before every other row."""
        stockouts = sum(lane == Lane.STOCKOUT for lane in self.lanes.values())
        return self.on is None or stockouts >= self.on.route.max_rows

    def too_late(self, now_us: int) -> bool:
        """Whether what was read for it is no longer fresh."""
        return self.on is not None and 0 < self.on.until_us < now_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When and how a call is planned.

    `urgent`: a stockout is due, nothing may hold the call up. `riders`: batch rows may ride along in it.
    `final`: what had to be read was read. `early`: the slot is still to come, only what must be read is asked.
    `until_us`: with these numbers the call must have left by then; 0 where slots are too far apart for that.
    """

    shop: ShopFacts
    route: WriteRoute
    now_us: int
    key: str
    urgent: bool
    final: bool
    early: bool = False
    riders: bool = True
    numbers: Mapping[int, int] = field(default_factory=dict)
    numbers_began_us: int = 0
    until_us: int = 0
