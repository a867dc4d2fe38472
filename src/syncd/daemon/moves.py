"""What own orders do to what their shop shows: the bridge from booked lines to beliefs (`core/fence.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from syncd.core import demand, escrow, fence
from syncd.core.escrow import Exposure
from syncd.daemon.facts import (
    Facts,
    ShopFacts,
    demand_of,
    exposure_of,
    put_demand,
    put_exposure,
    put_shown,
    shown_of,
)
from syncd.model import OrderState
from syncd.sdk.channel import Restock
from syncd.store import listings as listing_rows
from syncd.store import outbox
from syncd.store.listings import ListingRow
from syncd.store.orders import LineRow
from syncd.store.shops import raise_alarm

NEGATIVE = "exposure_negative"


@dataclass(frozen=True, slots=True)
class Move:
    """Net change of one listing by one order: units sold, units the shop put back, and when.

    The sale happened between `earliest_us` and `latest_us`, by the shop's clock; what came back did so until
    `back_us`.
    """

    listing_id: int
    sold: int
    back: int
    certain: bool
    earliest_us: int
    latest_us: int
    back_us: int


def moves_of(
    shop: ShopFacts, lines: Mapping[str, LineRow], state: OrderState, earliest_us: int, latest_us: int, back_us: int
) -> tuple[list[Move], list[LineRow]]:
    """What the lines of an order did to their listings since they last told, and the lines that told it now."""
    told = {line.line: line.restocked for line in state.lines}
    net: dict[int, Move] = {}
    changed: list[LineRow] = []
    for name, line in lines.items():
        if line.listing_id is None:
            continue
        back, certain = put_back(shop, line, told.get(name, line.restocked))
        units, returned = line.ordered - line.b_units, back - line.b_restocked
        if units < 0 and shop.restocks is not Restock.NO:
            returned, certain = returned - units, shop.restocks is Restock.YES
        line.b_units, line.b_restocked = line.ordered, back
        if not units and not returned:
            continue
        changed.append(line)
        move = net.get(line.listing_id, Move(line.listing_id, 0, 0, True, earliest_us, latest_us, back_us))
        net[line.listing_id] = replace(
            move, sold=move.sold + max(0, units), back=move.back + returned, certain=move.certain and certain
        )
    return list(net.values()), changed


def _exposed(have: Exposure, move: Move, margin_us: int) -> Exposure:
    """R5 and R6: booked sales leave the exposure as they leave free stock; what came back may be sold again."""
    if move.sold:
        have = escrow.sold(have, move.sold, move.earliest_us, move.latest_us, margin_us)
    if move.back > 0:
        return escrow.put_back(have, move.back)
    if move.back < 0:
        return escrow.sold(have, -move.back, move.earliest_us, move.latest_us, margin_us)
    return have


def put_back(shop: ShopFacts, line: LineRow, told: int | None) -> tuple[int, bool]:
    """Units of a line that its shop put back on sale, at most, and whether that is certain."""
    if told is not None:
        return told, True
    units = line.cancelled
    if not units or shop.restocks is Restock.NO:
        return 0, True
    return units, shop.restocks is Restock.YES


def apply_moves(
    conn: Connection, facts: Facts, shop: ShopFacts, moves: Sequence[Move], now_us: int
) -> tuple[list[ListingRow], int]:
    """Move the beliefs of the listings that own orders touched, and tell open absolute writes of them.

    Returns these listings, and of how many the exposure became negative.
    """
    if not moves:
        return [], 0
    ids = sorted({move.listing_id for move in moves})
    rows = listing_rows.listings_by_id(conn, ids)
    before = {row.id for row in rows.values() if row.exposure is not None and row.exposure < 0}
    calls: dict[int, list[tuple[outbox.IntentRow, int]]] = {}
    for one in outbox.live_rows_of(conn, ids):
        calls.setdefault(one[0].listing_id, []).append(one)
    margin = facts.margin_us(shop.id)
    for move in moves:
        row = rows[move.listing_id]
        shown = shown_of(row)
        if move.sold:
            shown = fence.sold(shown, move.sold, move.earliest_us, move.latest_us, margin)
        if move.back > 0:
            shown = fence.restocked(shown, move.back, move.earliest_us, move.back_us, margin, certain=move.certain)
        elif move.back < 0:
            shown = fence.sold(shown, -move.back, move.earliest_us, move.latest_us, margin)
        put_shown(row, shown)
        if move.sold:
            fresh_us = facts.fresh_us(shop.id, move.latest_us, now_us)
            put_demand(row, demand.seen(demand_of(row), move.sold, now_us, fresh_us))
            facts.note_sale(shop.id, move.sold, now_us, fresh_us)
        put_exposure(row, _exposed(exposure_of(row), move, margin))
        facts.moved_us[row.id] = now_us
        for call, began_us in calls.get(move.listing_id, ()):
            old = move.sold if move.latest_us < began_us - margin else 0
            outbox.note_meanwhile(
                conn, call.intent_id, call.position, old=old, new=move.sold - old, restocked=max(0, move.back)
            )
    negative = [row for row in rows.values() if row.exposure is not None and row.exposure < 0 and row.id not in before]
    for row in negative:
        _tell_negative(conn, shop, row, now_us)
    listing_rows.save_shown(conn, list(rows.values()))
    return list(rows.values()), len(negative)


def _tell_negative(conn: Connection, shop: ShopFacts, row: ListingRow, now_us: int) -> None:
    """R5: somebody else raised it, or the shop sold what it did not have. Read it back; in escrow nothing of its SKU
    is raised anywhere until a number is proven. Housekeeping ends the alarm."""
    row.verify = 1
    text = (
        f"{shop.name} {row.key} sold {-(row.exposure or 0)} more than it was given: somebody raised it there, it sells"
        f" what it does not show, or an order showed up late. It is read back; see: syncd why {shop.name} {row.key}"
    )
    raise_alarm(conn, NEGATIVE, shop.id, row.key, text, now_us)
