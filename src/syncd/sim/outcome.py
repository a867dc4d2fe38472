"""What comes of one seed in the simulated world, in the same shape for both layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SHOWN = 20


class Layer(StrEnum):
    """How much of the real code runs: its pure decisions over rows in memory, or the whole daemon."""

    CORE = "core"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One promise that was broken, and the SKU concerned if there is one."""

    what: str
    sku: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one seed. `broken` is everything that must not be; an empty one is good.

    `oversold_by_us` are pieces sold that were not there; in a mirrored SKU that may be, in one in escrow it is also
    `broken`. `oversold_by_channel` are pieces that a shop sold while it showed nothing: no daemon can prevent them.
    `decisions` are the writes that were decided, in order, as (time, shop, listing, form, number) in words, so that
    two layers can be compared. `events` are the last events of the first SKU in `broken`, oldest first.
    """

    seed: int
    layer: Layer
    seconds: float
    trace_hash: str
    orders: int
    lost: int
    doubled: int
    stale_raises: int
    oversold_by_us: int
    oversold_by_channel: int
    converged: bool
    broken: tuple[Broken, ...] = ()
    events: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.converged and not (self.broken or self.lost or self.doubled or self.stale_raises)

    def replay(self) -> str:
        """The command that plays it again."""
        return f"syncd sim --layer {self.layer} --seed {self.seed} --hours {self.seconds / 3600:g}"

    def line(self) -> str:
        """One line of JSON, keys in a fixed order."""
        names = (
            "seed", "layer", "trace_hash", "orders", "lost", "doubled", "stale_raises", "oversold_by_us",
            "oversold_by_channel", "converged",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in names}
        return json.dumps({**values, "good": self.good, "seconds": self.seconds, "counts": dict(self.counts)})

    def report(self) -> str:
        """For a person: what was broken, how to see it again, and what happened to the SKU before."""
        broken = [f"  {one.what}" for one in self.broken[:SHOWN]]
        more = len(self.broken) - SHOWN
        rest = [f"  and {more} more"] if more > 0 else []
        events = ["last events:", *(f"  {event}" for event in self.events)] if self.events else []
        return "\n".join([f"seed {self.seed}: broken; replay: {self.replay()}", *broken, *rest, *events])
