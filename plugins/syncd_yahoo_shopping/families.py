"""Orders that the shop split (注文分割): their parts are told as the one order they were placed as.

A part moved to an order of its own is still the same goods, held once. So a family is one state under the number it
was placed with, its lines named by listing and summed over the parts: a split changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from syncd.model import LineState, OrderState
from syncd_yahoo_shopping.api import OrderUnknown, YahooApi
from syncd_yahoo_shopping.orders import IN_PROCESS, Part

MOST_PARTS = 20
AUCTION = "yahoo-auction"


@dataclass(frozen=True, slots=True)
class Family:
    """Every part of an order, the one it was placed as first.

    `whole` is False when a part could not be read: then nothing is concluded from what is missing.
    """

    parts: tuple[Part, ...]
    whole: bool = True


class PartReader:
    """Reads an order with all its parts: one call each."""

    def __init__(self, api: YahooApi) -> None:
        self._api = api

    async def family(self, number: str) -> Family:
        """The family of an order id. Raises OrderUnknown when that id itself is not given, ValueError as the api."""
        asked = await self._api.order_info(number)
        parts, root, whole = {number: asked}, asked, True
        while root.parent and root.parent not in parts and len(parts) < MOST_PARTS:
            above = await self._part(root.parent)
            if above is None:  # the family keeps its name, and what is missing stays as it was booked
                parts[root.number] = root = replace(root, number=root.parent, parent="")
                whole = False
                break
            root = parts[above.number] = above
        waiting = [name for part in parts.values() for name in part.parts]
        while waiting:
            name = waiting.pop(0)
            if name in parts:
                continue
            part = await self._part(name) if len(parts) < MOST_PARTS else None
            if part is None:
                whole = False
                continue
            parts[name] = part
            waiting += part.parts
        return Family((root, *(part for part in parts.values() if part is not root)), whole)

    async def _part(self, number: str) -> Part | None:
        try:
            return await self._api.order_info(number)
        except OrderUnknown:
            return None


@dataclass(slots=True)
class _Sum:
    """Units of one listing over all parts. `original` is what the order held when it was placed."""

    total: int = 0
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    original: int = 0

    def line(self, listing: str) -> LineState:
        ordered = max(self.total, self.original)
        freed = self.cancelled + self.returned
        return LineState(
            line=listing,
            listing=listing,
            ordered=ordered,
            cancelled=self.cancelled + ordered - self.total,
            shipped=self.shipped,
            returned=self.returned,
            # Whether the mall puts units back is an item setting (keep-stock) that no order shows.
            restocked=None if freed or ordered > self.total else 0,
        )


def state_of(family: Family) -> OrderState:
    """The state of an order from its parts."""
    parts, root = family.parts, family.parts[0]
    sums: dict[str, _Sum] = {}
    for part in parts:
        for line in part.lines:
            _add(sums.setdefault(line.listing, _Sum()), part, line.quantity, line.units)
    for line in root.lines:
        sums[line.listing].original += line.original or 0
    return OrderState(
        number=root.number,
        lines=tuple(one.line(listing) for listing, one in sums.items()),
        as_of=_newest(part.as_of for part in parts) if family.whole else None,
        complete=family.whole,
        placed_at=root.placed_at,
        shipment_opened=any(part.left or part.ship_status >= IN_PROCESS for part in parts),
        shipped_at=_newest(part.shipped_at for part in parts if part.left),
        label=AUCTION if root.is_auction else "",
        ends_hold=root.auction_id if root.is_auction else "",
    )


def _newest(times: Iterable[datetime | None]) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def _add(into: _Sum, part: Part, quantity: int, units: int) -> None:
    if part.is_cancelled and part.left:
        into.total += units
        into.shipped += units
        into.returned += units
    elif part.is_cancelled:
        into.total += units
        into.cancelled += units
    else:
        into.total += quantity
        into.shipped += quantity if part.left else 0
