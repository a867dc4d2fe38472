"""Holds (取り置き): units of a listing that its shop counts apart, e.g. an auction (競売), held until they are ordered.

A hold is an order of its own, numbered `hold:<name>`, recorded by a person and booked like any other. It has two lines
of one listing: what is offered, and what was won but is not ordered yet. The order that takes its place names it
(`OrderState.ends_hold`): its units leave the hold in the transaction that books that order first, so nothing is
held twice and nothing is free in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from syncd.daemon.facts import ShopFacts
from syncd.model import Counts, LineState, OrderState, Source, from_us, to_us
from syncd.store import listings as listing_rows
from syncd.store import orders as order_rows
from syncd.store.orders import LineRow
from syncd.store.shops import clear_alarm, raise_alarm

PREFIX = "hold:"
OFFERED, WON = "offered", "won"
NONE = Counts()
DAY_US = 86_400_000_000
WAITS, WAITS_US = "hold_waits", 7 * DAY_US


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it stands. Its counts only ever grow: what leaves a line is cancelled there."""

    name: str
    listing: str
    offered: Counts = NONE
    won: Counts = NONE
    as_of_us: int = 0

    @property
    def held(self) -> int:
        return self.offered.held + self.won.held

    def offer(self, units: int) -> Hold:
        """Hold more units for it."""
        return replace(self, offered=replace(self.offered, ordered=self.offered.ordered + units))

    def win(self, units: int) -> Hold:
        """Units that were offered are sold, and not ordered yet."""
        won = replace(self.won, ordered=self.won.ordered + units)
        return replace(self, offered=_less(self.offered, units), won=won)

    def release(self, *, offered: int = 0, won: int = 0) -> Hold:
        """Give units up, at most those that are held."""
        return replace(self, offered=_less(self.offered, offered), won=_less(self.won, won))

    def pass_on(self, units: int) -> Hold:
        """Units that an order holds from now on: what was won first."""
        won = min(units, self.won.held)
        return self.release(won=won, offered=units - won)

    def state(self, now_us: int) -> OrderState:
        """The hold as the state of an order. It is newer than any before, whatever the clock does."""
        lines = ((OFFERED, self.offered), (WON, self.won))
        return OrderState(
            number=PREFIX + self.name,
            lines=tuple(
                LineState(
                    line=name, listing=self.listing, ordered=counts.ordered, cancelled=counts.cancelled, restocked=0
                )
                for name, counts in lines
            ),
            as_of=from_us(max(now_us, self.as_of_us + 1)),
            placed_at=None if self.as_of_us else from_us(now_us),
            source=Source.STAFF,
            label="hold",
        )


def _less(counts: Counts, units: int) -> Counts:
    return replace(counts, cancelled=counts.cancelled + min(max(0, units), counts.held))


def load_holds(conn: Connection, shop_id: int, names: Iterable[str]) -> dict[str, Hold]:
    """Holds of a shop by name."""
    rows = order_rows.load_orders(conn, shop_id, [PREFIX + name for name in dict.fromkeys(names)])
    lines = order_rows.load_lines(conn, [row.id for row in rows.values()])
    found: dict[str, Hold] = {}
    for row in rows.values():
        name, own = row.number.removeprefix(PREFIX), lines.get(row.id, [])
        by_name = {line.line: line for line in own}
        listing = own[0].listing if own else ""
        found[name] = Hold(name, listing, _counts(by_name.get(OFFERED)), _counts(by_name.get(WON)), row.as_of_us)
    return found


def _counts(line: LineRow | None) -> Counts:
    return NONE if line is None else Counts(line.ordered, line.cancelled)


def ended_holds(
    conn: Connection, shop: ShopFacts, states: Sequence[OrderState], horizon_us: int, now_us: int
) -> list[OrderState]:
    """States of the holds whose place orders of a page take: those that are booked for the first time.

    An order that cannot be booked (no SKU, too old) leaves its hold as it is.
    """
    naming = [state for state in states if state.ends_hold and state.number and not _is_forgotten(state, horizon_us)]
    if not naming:
        return []
    holds = load_holds(conn, shop.id, [state.ends_hold for state in naming])
    known = order_rows.load_orders(conn, shop.id, [state.number for state in naming])
    keys = sorted({shop.key(line.listing) for state in naming for line in state.lines})
    listings = listing_rows.listings_by_key(conn, shop.id, keys)
    booked = {key for key, row in listings.items() if row.sku_id is not None}
    ended: dict[str, Hold] = {}
    for number, state in {state.number: state for state in reversed(naming)}.items():
        hold = ended.get(state.ends_hold, holds.get(state.ends_hold))
        if hold is None or number in known or not all(shop.key(line.listing) in booked for line in state.lines):
            continue
        ended[state.ends_hold] = hold.pass_on(units_of(state))
    return [hold.state(now_us) for hold in ended.values() if hold != holds[hold.name]]


def _is_forgotten(state: OrderState, horizon_us: int) -> bool:
    return state.placed_at is not None and to_us(state.placed_at) < horizon_us


def tell_of_waiting(conn: Connection, shop: ShopFacts, now_us: int) -> None:
    """Alarm holds whose won units wait too long for their order. A person decides: nothing is given up by itself."""
    names = [number.removeprefix(PREFIX) for number in order_rows.holding(conn, shop.id, WON, now_us - WAITS_US)]
    if not names:
        clear_alarm(conn, WAITS, shop.id, "", now_us)
        return
    text = f"{shop.name}: won {WAITS_US // DAY_US} days ago and still not ordered: {', '.join(names[:10])}"
    raise_alarm(conn, WAITS, shop.id, "", f"{text}; see syncd holds", now_us)


def units_of(state: OrderState) -> int:
    """Units that an order holds or shipped."""
    return sum(max(0, line.ordered - line.cancelled) for line in state.lines)


def units_booked(lines: Mapping[int, Sequence[LineRow]]) -> int:
    """Units of orders that are booked."""
    return sum(max(0, line.ordered - line.cancelled) for some in lines.values() for line in some)
