"""Returned goods (返品) that a person looks at first: put back on the shelf (accept), or not (reject).

Where a shop's `returns` is `inspect`, returned units wait here. Accepting books them back once: what is booked follows
from the numbers of the line, so a repeated state changes nothing, and a repeated yes finds nothing that waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection

from syncd.daemon.booking import LineWork, book_lines
from syncd.daemon.desk_answers import Conflict, Done, Mistake, Mistakes, NotFound, Refused, audit, shop_facts
from syncd.daemon.facts import Facts, ShopFacts
from syncd.model import Returns
from syncd.store import orders as order_rows
from syncd.store import returned
from syncd.store.orders import LineRow


class Verdict(StrEnum):
    """What a person says of returned goods."""

    ACCEPT = "accept"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class ReturnItem:
    """Returned units of one order. `lines` gives units per line or listing, None for all; empty means every line."""

    shop: str
    order: str
    lines: Mapping[str, int | None] = field(default_factory=dict)


def undecided(
    conn: Connection, facts: Facts, shop_name: str | None, *, limit: int, after_id: int
) -> list[dict[str, Any]]:
    """Lines whose returned units wait for a person, oldest first."""
    shops = list(facts.shops.values()) if shop_name is None else [shop_facts(facts, shop_name)]
    ids = [shop.id for shop in shops if inspects(shop)]
    found: list[dict[str, Any]] = []
    while ids and len(found) < limit:
        rows = returned.undecided(conn, ids, limit=limit, after_id=after_id)
        found += [row for row in rows if facts.shops[row["shop_id"]].returns_of(row["reason"]) is Returns.INSPECT]
        if len(rows) < limit:
            break
        after_id = rows[-1]["id"]
    return [{name: value for name, value in row.items() if name != "shop_id"} for row in found[:limit]]


def waiting_units(facts: Facts, rows: Sequence[tuple[int, str, int]]) -> dict[int, int]:
    """Units that wait for a person, by shop, of the undecided units by shop and reason."""
    found: dict[int, int] = {}
    for shop_id, reason, units in rows:
        shop = facts.shops.get(shop_id)
        if shop is not None and shop.returns_of(reason) is Returns.INSPECT:
            found[shop_id] = found.get(shop_id, 0) + units
    return found


def inspects(shop: ShopFacts) -> bool:
    """Whether any returned goods of a shop wait for a person."""
    return Returns.INSPECT in (shop.returns, *shop.returns_by_reason.values())


def decide(
    conn: Connection, facts: Facts, verdict: Verdict, items: Sequence[ReturnItem], now_us: int, who: str
) -> Done:
    """Accept or reject returned units, all items or none. Raises Mistakes, which names every one that cannot be."""
    chosen: list[tuple[ShopFacts, int, dict[str, tuple[LineRow, int]]]] = []
    wrong: list[Mistake] = []
    taken: dict[int, int] = {}
    for index, item in enumerate(items):
        try:
            chosen.append(_chosen(conn, facts, item, taken))
        except Refused as error:
            wrong.append(Mistake(index, error.where, str(error)))
    if wrong:
        raise Mistakes(wrong)
    done = Done()
    for item, (shop, order_id, lines) in zip(items, chosen, strict=True):
        work: LineWork = {name: partial(_say, verdict=verdict, units=units) for name, (_, units) in lines.items()}
        done.refreshed.add(book_lines(conn, facts, shop, {order_id: work}, now_us).refreshed)
        done.changes += [
            {"shop": shop.name, "order": item.order, "line": name, "listing": line.listing, "units": units,
             "reason": line.return_reason, "verdict": str(verdict)}
            for name, (line, units) in lines.items()
        ]  # fmt: skip
    audit(conn, who, f"returns_{verdict}", done.changes, now_us)
    return done


def _chosen(
    conn: Connection, facts: Facts, item: ReturnItem, taken: dict[int, int]
) -> tuple[ShopFacts, int, dict[str, tuple[LineRow, int]]]:
    """The units an item means, by line; `taken` is what earlier items of the request take."""
    shop = shop_facts(facts, item.shop)
    row = order_rows.load_orders(conn, shop.id, [item.order]).get(item.order)
    if row is None:
        raise NotFound(f"{shop.name} has no order {item.order}", "order")
    lines = order_rows.load_lines(conn, [row.id]).get(row.id, [])
    wait = {line.line: (line, left) for line in lines if (left := _left(shop, line) - taken.get(line.id, 0)) > 0}
    if not wait:
        raise Conflict(f"order {item.order}: no returned goods wait to be inspected; see syncd returns", "order")
    units = {name: left for name, (_, left) in wait.items()} if not item.lines else _named(shop, item, wait)
    for name, count in units.items():
        taken[wait[name][0].id] = taken.get(wait[name][0].id, 0) + count
    return shop, row.id, {name: (wait[name][0], count) for name, count in units.items()}


def _left(shop: ShopFacts, line: LineRow) -> int:
    """Returned units of a line that wait for a person."""
    if shop.returns_of(line.return_reason) is not Returns.INSPECT:
        return 0
    return min(line.returned, line.shipped) - line.accepted_back - line.rejected_back


def _named(shop: ShopFacts, item: ReturnItem, wait: Mapping[str, tuple[LineRow, int]]) -> dict[str, int]:
    units: dict[str, int] = {}
    for given, count in item.lines.items():
        same = [one for one in (given,) if one in wait] or [
            name for name, (line, _) in wait.items() if line.listing == shop.key(given)
        ]
        if len(same) != 1:
            has = ", ".join(f"{name} ({line.listing})" for name, (line, _) in wait.items())
            raise NotFound(f"order {item.order}: {given} does not wait; what waits: {has}", f"lines[{given}].line")
        left = wait[same[0]][1] - units.get(same[0], 0)
        more = left if count is None else count
        if not 1 <= more <= left:
            raise Conflict(f"order {item.order}: {left} of {given} wait, not {more}", f"lines[{given}].units")
        units[same[0]] = units.get(same[0], 0) + more
    return units


def _say(line: LineRow, *, verdict: Verdict, units: int) -> None:
    if verdict is Verdict.ACCEPT:
        line.accepted_back += units
    else:
        line.rejected_back += units
