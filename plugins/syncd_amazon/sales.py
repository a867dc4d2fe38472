"""What the newest orders say of a page that shows neither our number nor the one before it. Pure, kept in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from syncd.model import OrderState

KEPT_SECONDS = 1800.0
GRAIN_SECONDS = 1.0
"""Between Amazon's clock and ours, and between a page and the order that took units off it."""


@dataclass(frozen=True, slots=True)
class Sold:
    """One line of an order: when it was placed and when it changed last."""

    placed: float
    changed: float
    ordered: int
    cancelled: int


class Sales:
    """The lines of the last half hour's orders, by SKU."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[tuple[str, str], Sold]] = {}

    def note(self, states: Iterable[OrderState], now: float) -> None:
        """Take orders in as they are now, and forget old ones."""
        for state in states:
            if state.placed_at is None or state.as_of is None:
                continue
            placed, changed = state.placed_at.timestamp(), state.as_of.timestamp()
            for line in state.lines:
                sold = Sold(placed, changed, line.ordered, line.cancelled)
                self._lines.setdefault(line.listing, {})[state.number, line.line] = sold
        oldest = now - KEPT_SECONDS
        kept = {
            sku: {key: one for key, one in lines.items() if one.changed >= oldest} for sku, lines in self._lines.items()
        }
        self._lines = {sku: lines for sku, lines in kept.items() if lines}

    def explain(self, sku: str, number: int, shows: int, since: float, until: float) -> bool:
        """Whether a page that was set to a number at one time may show another at a later one, by these orders.

        Whether cancelled units are put back is not confirmed: they may be, and may not. Sales at the edges of the time
        may lie inside or outside.
        """
        least = most = 0
        for one in self._lines.get(sku, {}).values():
            may_be_inside = since - GRAIN_SECONDS < one.placed < until + GRAIN_SECONDS
            most += one.ordered if may_be_inside else 0
            least += one.ordered if since + GRAIN_SECONDS < one.placed < until - GRAIN_SECONDS else 0
            least -= one.cancelled if one.changed > since - GRAIN_SECONDS else 0
        return number - most <= shows <= number - least
