"""The emulator's bucket of cost points, and what its documents cost.

The sheet can only approximate costs: a connection grows with `first`, far less than in proportion ("recorded"); the
older rule, 2 + first × child, is the other setting of the switch `connection_cost`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncd.testing.emulator import RateJudge

MOST_POINTS = 1000.0
LEAST_POINTS = 2.0
FULL_PAGE_SHARE = 0.7
"""Of what a page was reserved for, once it is full: nested lists are shorter than asked for."""


class PointBucket(RateJudge):
    """A bucket that is charged the requested cost up front, refunded down to the actual one, and reports itself."""

    def available(self, now: float) -> float:
        """Points that may be spent at once."""
        return min(self.burst, self.burst - max(0.0, self._full_at - now) * self.per_second)

    def refund(self, points: float) -> None:
        self._full_at -= points / self.per_second
        self.taken -= points

    def drain(self, now: float) -> None:
        """Take all there is, as another app's calls or a burst would."""
        self._full_at = now + self.burst / self.per_second

    def report(self, requested: float, actual: float | None, now: float) -> dict[str, Any]:
        """`extensions` of an answer."""
        return {
            "cost": {
                "requestedQueryCost": int(requested),
                "actualQueryCost": None if actual is None else int(actual),
                "throttleStatus": {
                    "maximumAvailable": self.burst,
                    "currentlyAvailable": int(self.available(now)),
                    "restoreRate": self.per_second,
                },
            }
        }


def requested_cost(name: str, variables: Mapping[str, Any], rule: str) -> float:
    """Points that a document of ours asks for under a rule of the switch `connection_cost`."""
    first, inner = int(variables.get("first") or 0), int(variables.get("inner") or 0)
    if name in ("SetAvailable", "Activate", "Ship", "AddHook", "DropHook"):
        return 11.0
    if name == "ToShip":
        return 2.0 + (700 if rule == "old_rule" else 60)
    if name == "MoreToShip":
        return 2.0 + (500 if rule == "old_rule" else 40)
    if name == "Hooks":
        return 2.0 + (100 if rule == "old_rule" else 10)
    if name == "Shop":
        return 10.0
    if name == "Levels":
        rows = len(variables.get("ids") or ())
        return 2.0 + (rows * 3 if rule == "old_rule" else rows * 0.1)
    if name == "Variants":
        return 2.0 + (first * 4 if rule == "old_rule" else first * 0.2)
    if name == "Orders":
        per_order = 1 + (2 + inner * 3) + 3 + inner * 3 + 3 + inner * 2
        return 2.0 + first * (per_order if rule == "old_rule" else 4)
    return 2.0 + inner * 3


def actual_cost(name: str, variables: Mapping[str, Any], data: Mapping[str, Any], requested: float) -> float:
    """Points that an answer costs in the end: what it was reserved for but did not return is given back."""
    pages = {"Orders": "orders", "Variants": "productVariants"}
    if name not in pages:
        return requested
    found = len(data[pages[name]]["nodes"])
    return max(LEAST_POINTS, FULL_PAGE_SHARE * requested * found / max(1, int(variables.get("first") or 0)))
