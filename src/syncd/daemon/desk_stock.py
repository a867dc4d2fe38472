"""Stock as staff correct it: openings (開始在庫), counts (棚卸) and adjustments, each one transaction.

    opening   the number is sellable: on hand = number + what open orders hold. An order placed before it, read
              later, was inside the number; a shipment booked later takes its pieces off again, as it must
    count     the number is on the shelf: on hand = number, less what left since. A shipment before it is not
              taken off again; an order placed before it, read later, is held from it

So an opening ends the older count and a count ends the older opening: each alone says what its number held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from syncd.core import ledger
from syncd.core.matching import folded
from syncd.daemon.desk_answers import Conflict, Done, NotFound, Refused, audit, meant, names
from syncd.daemon.facts import Facts
from syncd.daemon.targets import refresh_skus
from syncd.model import Balance, EntryKind, from_us
from syncd.store import orders as order_rows
from syncd.store import stock
from syncd.store.orders import thaw
from syncd.store.schema import entry, location, order_line, orders, sku
from syncd.store.stock import BalanceRow

MAIN = "main"
MOST_PIECES = 100_000_000
CLOCK_US = 60_000_000
"""A count's time may be this far in the future: the clock of who typed it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One number for a SKU at a location. `at_us`: when it was true, for a count or a number read; None is now."""

    sku: str
    number: int
    location: str | None = None
    at_us: int | None = None


@dataclass(slots=True)
class Place:
    """A SKU at a location with its balance, and the number asked for it."""

    item: Item
    sku_id: int
    location_id: int
    location: str
    row: BalanceRow

    @property
    def balance(self) -> Balance:
        return Balance(self.row.on_hand, self.row.ordered, self.row.allocated)

    @property
    def where(self) -> tuple[int, int]:
        return self.sku_id, self.location_id


def open_stock(conn: Connection, facts: Facts, items: Sequence[Item], now_us: int, who: str, note: str = "") -> Done:
    """Take over sellable numbers. A number of an earlier time is less what was sold and booked since."""
    margin = _margin_us(facts)

    def change(place: Place) -> int:
        number, at_us = place.item.number, place.item.at_us
        if at_us is not None:
            number += _adjusted_since(conn, place, at_us) - _sold_since(conn, place, at_us - margin)
        return ledger.opening(number, place.balance)

    def mark(place: Place) -> None:
        at_us = now_us if place.item.at_us is None else place.item.at_us
        stock.mark_baseline(conn, *place.where, opened_us=at_us - margin, counted_us=0)

    places = _places(conn, items, negative=False)
    return _book(conn, facts, places, EntryKind.OPENING, change, mark, now_us, who, note)


def count_stock(conn: Connection, facts: Facts, items: Sequence[Item], now_us: int, who: str, note: str = "") -> Done:
    """Take over what was counted on the shelf, now or at an earlier time."""
    margin = _margin_us(facts)

    def counted_us(place: Place) -> int:
        return now_us if place.item.at_us is None else min(place.item.at_us, now_us)

    def change(place: Place) -> int:
        _check_time(place, now_us)
        left = 0 if counted_us(place) == now_us else _moved_since(conn, place, counted_us(place), margin)
        return ledger.count(place.item.number + left, place.balance)

    def mark(place: Place) -> None:
        stock.mark_baseline(conn, *place.where, opened_us=0, counted_us=counted_us(place) - margin)

    places = _places(conn, items, negative=False)
    return _book(conn, facts, places, EntryKind.COUNT, change, mark, now_us, who, note)


def adjust_stock(
    conn: Connection, facts: Facts, items: Sequence[Item], now_us: int, who: str, note: str = "", key: str = ""
) -> Done:
    """Add or take off pieces. The same key again changes nothing; with other numbers it is refused."""
    places = _places(conn, items, negative=True)
    if zero := [place.item.sku for place in places if place.item.number == 0]:
        raise Refused(f"adjust by 0 changes nothing: {names(zero)}", "by")
    if key:
        repeated = _known_under(conn, places, key)
        if repeated:
            return Done(notes=[f"key {key} was booked before: nothing changed"])
    keys = {place.where: f"{key}@{place.location}" if key else None for place in places}
    return _book(
        conn,
        facts,
        places,
        EntryKind.ADJUST,
        lambda place: place.item.number,
        lambda _place: None,
        now_us,
        who,
        note,
        keys,
    )


# --- finding what is meant ---------------------------------------------------------------------------------------


def find_skus(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """Ids of SKU codes. Raises NotFound naming those that are not known, with what may be meant."""
    known = stock.sku_ids(conn, list(dict.fromkeys(codes)))
    missing = [code for code in dict.fromkeys(codes) if code not in known]
    if missing:
        near = _near_codes(conn, missing[0])
        raise NotFound(f"unknown SKU: {names(missing)}{meant(missing[0], near)}", "sku")
    return known


def _near_codes(conn: Connection, code: str) -> list[str]:
    same = select(sku.c.code).where(func.lower(sku.c.code).in_([code.lower(), folded(code)])).limit(3)
    begins = [
        select(sku.c.code).where(sku.c.code.startswith(some, autoescape=True)).order_by(sku.c.code).limit(200)
        for some in (code[:3], code[:1])
    ]
    return [row[0] for query in (same, *begins) for row in conn.execute(query)]


def find_location(known: dict[str, int], name: str | None) -> str:
    """A location that a shop or an earlier entry uses; `main` if nothing is said."""
    wanted = MAIN if name is None else name
    if wanted in known or (not known and wanted == MAIN):
        return wanted
    said = f"no location {wanted}" if name is not None else f"no location is named and there is no {MAIN}"
    raise Refused(f"{said}{meant(wanted, sorted(known))}; locations: {names(sorted(known))}", "location")


def _places(conn: Connection, items: Sequence[Item], *, negative: bool) -> list[Place]:
    if not items:
        raise Refused("no items", "items")
    ids = find_skus(conn, [item.sku for item in items])
    known = {row[0]: row[1] for row in conn.execute(select(location.c.name, location.c.id))}
    wanted = [find_location(known, item.location) for item in items]
    known = stock.location_ids(conn, wanted)
    if bundles := stock.parts_below(conn, ids.values()).keys() & set(ids.values()):
        some = [code for code, one in ids.items() if one in bundles]
        raise Refused(f"bundles have no stock of their own, set their parts: {names(some)}", "sku")
    balances = stock.load_balances(conn, sorted(ids.values()))
    found: dict[tuple[int, int], Place] = {}
    for item, name in zip(items, wanted, strict=True):
        if abs(item.number) > MOST_PIECES or (item.number < 0 and not negative):
            raise Refused(f"{item.sku}: {item.number} must be 0 to {MOST_PIECES}", "number")
        where = (ids[item.sku], known[name])
        if where in found:
            raise Refused(f"{item.sku} at {name} is named twice", "items")
        row = balances.get(where[0], {}).get(where[1], BalanceRow())
        found[where] = Place(item, *where, name, row)
    return list(found.values())


def _check_time(place: Place, now_us: int) -> None:
    at_us = place.item.at_us
    if at_us is None:
        return
    if at_us > now_us + CLOCK_US:
        raise Refused(f"{place.item.sku}: the count's time {from_us(at_us).isoformat()} is in the future", "at")
    newer = max(place.row.opened_us, place.row.counted_us)
    if at_us < newer:
        raise Conflict(
            f"{place.item.sku} at {place.location} was opened or counted after this count, at "
            f"{from_us(newer).isoformat()}; count again",
            "at",
        )


def _known_under(conn: Connection, places: Sequence[Place], key: str) -> bool:
    """Whether this very adjustment was booked under the key. Raises Conflict where the key was used for another."""
    begins = entry.c.key.startswith(f"{key}@", autoescape=True)
    query = select(entry.c.sku_id, entry.c.location_id, entry.c.on_hand).where(entry.c.key.is_not(None), begins)
    booked = {(row[0], row[1]): row[2] for row in conn.execute(query)}
    if booked and booked != {place.where: place.item.number for place in places}:
        raise Conflict(f"key {key} was used for another adjustment; give this one a key of its own", "key")
    return bool(booked)


# --- what moved since a time --------------------------------------------------------------------------------------


def _margin_us(facts: Facts) -> int:
    """The widest blur between our clock and a shop's: what falls inside it is taken as sold or left after."""
    return max((facts.margin_us(one) for one in facts.shops), default=0)


def _sold_since(conn: Connection, place: Place, since_us: int) -> int:
    """Pieces of orders placed after a time and booked since: not yet missing from a number of that time."""
    placed = func.coalesce(orders.c.placed_us, orders.c.as_of_us)
    query = (
        select(order_line.c.pieces, order_line.c.b_held + order_line.c.b_allocated + order_line.c.b_gone)
        .select_from(entry)
        .join(order_line, order_line.c.id == entry.c.line_id)
        .join(orders, orders.c.id == order_line.c.order_id)
        .where(entry.c.sku_id == place.sku_id, entry.c.location_id == place.location_id, entry.c.booking == 1)
        .where(entry.c.at_us > since_us, placed > since_us)
    )
    return sum(thaw(pieces).get(place.sku_id, 0) * units for pieces, units in conn.execute(query))


def _adjusted_since(conn: Connection, place: Place, since_us: int) -> int:
    """Pieces that staff added or took off after a time."""
    query = select(func.coalesce(func.sum(entry.c.on_hand), 0)).where(
        entry.c.sku_id == place.sku_id,
        entry.c.location_id == place.location_id,
        entry.c.kind == EntryKind.ADJUST.value,
        entry.c.at_us > since_us,
    )
    return int(conn.execute(query).scalar_one())


def _moved_since(conn: Connection, place: Place, since_us: int, margin_us: int) -> int:
    """Change of on hand since a time, without what had left the shelf before it but was booked after.

    Openings and counts move no pieces: they correct a number, and those entered since are of an earlier time.
    A line first booked since is taken by what it has taken in all: its first entry may hold pieces that an
    opening had left out, which were on the shelf.
    """
    left = func.coalesce(orders.c.shipped_us, orders.c.as_of_us)
    query = (
        select(entry.c.line_id, entry.c.booking, entry.c.on_hand, order_line.c.pieces, order_line.c.b_gone, left)
        .outerjoin(order_line, order_line.c.id == entry.c.line_id)
        .outerjoin(orders, orders.c.id == order_line.c.order_id)
        .where(entry.c.sku_id == place.sku_id, entry.c.location_id == place.location_id, entry.c.at_us > since_us)
        .where(entry.c.kind.not_in([EntryKind.OPENING.value, EntryKind.COUNT.value]))
    )
    total = 0
    lines: dict[int, tuple[int, int]] = {}
    whole: dict[int, int] = {}
    for line_id, booking, on_hand, pieces, gone, left_us in conn.execute(query):
        if line_id is None:
            total += on_hand
            continue
        lines[line_id] = (lines.get(line_id, (0, 0))[0] + on_hand, left_us)
        if booking == 1:
            whole[line_id] = -gone * thaw(pieces).get(place.sku_id, 0)
    for line_id, (moved, left_us) in lines.items():
        moved = whole.get(line_id, moved)
        if moved > 0 or left_us > since_us - margin_us:
            total += moved
    return total


# --- booking it ---------------------------------------------------------------------------------------------------

_ACTIONS = {EntryKind.OPENING: "stock_opened", EntryKind.COUNT: "stock_counted", EntryKind.ADJUST: "stock_adjusted"}


def _book(
    conn: Connection,
    facts: Facts,
    places: Sequence[Place],
    kind: EntryKind,
    change: Callable[[Place], int],
    mark: Callable[[Place], None],
    now_us: int,
    who: str,
    note: str,
    keys: dict[tuple[int, int], str | None] | None = None,
) -> Done:
    """Entries, balances, baselines, targets and the audit row of a correction."""
    moved = [(place, change(place)) for place in places]
    order_rows.add_entries(
        conn,
        [
            (now_us, *place.where, kind, delta, 0, 0, None, 0, (keys or {}).get(place.where), who, note)
            for place, delta in moved
        ],
    )
    stock.add_to_balances(conn, [(*place.where, delta, 0, 0, now_us if delta > 0 else 0) for place, delta in moved])
    for place, _ in moved:
        mark(place)
    done = Done([_row(place, delta) for place, delta in moved])
    done.refreshed = refresh_skus(conn, facts, {place.sku_id for place in places}, now_us, by_orders=False)
    audit(conn, who, _ACTIONS[kind], done.changes, now_us, note=note)
    return done


def _row(place: Place, delta: int) -> dict[str, object]:
    before = place.balance
    return {
        "sku": place.item.sku,
        "location": place.location,
        "on_hand_before": before.on_hand,
        "on_hand": before.on_hand + delta,
        "free_before": before.free,
        "free": before.free + delta,
    }
